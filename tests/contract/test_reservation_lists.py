"""InventoryService.ListReservations, and ExtendReservation: who holds what, and until when."""

from __future__ import annotations

import time

import pytest

from inventory_client import v1
from support.shop import Shop, word

DAY_S = 86_400
S = v1.ReservationState


def ids(reservations: list[v1.Reservation]) -> list[str]:
    return [reservation.reservation_id for reservation in reservations]


def held_s(reservation: v1.Reservation) -> float:
    return (reservation.expire_time.ToNanoseconds() - reservation.create_time.ToNanoseconds()) / 1e9


# --- extending -----------------------------------------------------------------------------------


def test_a_hold_is_extended(shop: Shop) -> None:
    """A later time stands, an earlier one changes nothing; then it never runs out."""
    shop.stock("a", 5)
    held = shop.reserve("r", ("a", 2))
    longer = shop.extend("r", ttl_s=3600)
    assert (word(longer), longer.HasField("expire_time")) == ("HELD", True)
    assert held_s(longer) > held_s(held) == 900
    before = shop.observer.written(shop.store)
    assert shop.extend("r", ttl_s=1) == longer
    assert shop.observer.written(shop.store) == before
    request = v1.ExtendReservationRequest(reservation_id="r")
    request.expire_time.seconds = int(time.time()) + 2 * DAY_S
    until = shop.inventory.ExtendReservation(request).reservation
    assert until.expire_time == request.expire_time
    endless = shop.inventory.ExtendReservation(
        v1.ExtendReservationRequest(reservation_id="r", never_expires=True)
    ).reservation
    assert not endless.HasField("expire_time")
    assert shop.actions("a") == [("RESERVE", 2)]


@pytest.mark.parametrize(("seconds", "nanos"), [(0, 999_999_999), (90 * DAY_S, 1), (-1, 0)])
def test_a_ttl_out_of_its_range(shop: Shop, seconds: int, nanos: int) -> None:
    """ttl is 1 s to 90 days."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 2))
    request = v1.ExtendReservationRequest(reservation_id="r")
    request.ttl.seconds, request.ttl.nanos = seconds, nanos
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.ExtendReservation(request)
    assert refusal.fields == ["ttl"]


def test_a_time_has_to_be_said(shop: Shop) -> None:
    """Without a time, with `never_expires` false, and at a moment that has passed: refused."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 2))
    request = v1.ExtendReservationRequest(reservation_id="r")
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.ExtendReservation(request)
    assert refusal.fields == ["expiry"]
    request.never_expires = False
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.ExtendReservation(request)
    assert refusal.fields == ["never_expires"]
    for ahead_s in (-1, 90 * DAY_S + 60):
        request.expire_time.seconds = int(time.time()) + ahead_s
        with shop.refused("INVALID_FIELD") as refusal:
            shop.inventory.ExtendReservation(request)
        assert refusal.fields == ["expire_time"]


def test_an_extension_is_made_once(shop: Shop) -> None:
    """The same request_id answers as before, though the time went on; other content is ID_REUSED."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 2))
    first = shop.extend("r", 3600, "q")
    request = v1.ExtendReservationRequest(reservation_id="r", request_id="q")
    request.ttl.seconds = 3600
    again = shop.inventory.ExtendReservation(request)
    assert (again.replayed, again.reservation) == (True, first)
    with shop.refused("ID_REUSED"):
        shop.extend("r", 3601, "q")


def test_what_cannot_be_extended(shop: Shop) -> None:
    """Nobody's, an order's, an ended one; a confirmed one has no time, which is OK."""
    shop.stock("a", 5)
    with shop.refused("RESERVATION_NOT_FOUND"):
        shop.extend("ghost", 60)
    owned = shop.paid_order("o", ("a", 1)).reservation_id
    with shop.refused("RESERVATION_OWNED_BY_ORDER"):
        shop.extend(owned, 60)
    shop.reserve("r", ("a", 1))
    confirmed = shop.confirm("r")
    assert shop.extend("r", 60) == confirmed
    shop.release("r")
    with shop.refused("RESERVATION_NOT_ACTIVE") as refusal:
        shop.extend("r", 60)
    assert refusal.metadata == {"reservation_id": "r", "state": "RELEASED"}


# --- lists ---------------------------------------------------------------------------------------


@pytest.fixture
def listed(shop: Shop) -> Shop:
    """r-0 to r-5 in several states, of several products and orders, and the hold of order `o`."""
    shop.stocks(a=50, b=50)
    shop.reserve("r-3", ("a", 1), ("b", 1), order_id="x")
    shop.reserve("r-0", ("a", 1))
    shop.reserve("r-5", ("b", 1), order_id="x", never_expires=True)
    shop.reserve("r-2", ("a", 1), order_id="y")
    shop.reserve("r-1", ("a", 1))
    shop.reserve("r-4", ("b", 1))
    shop.confirm("r-3")
    shop.release("r-2")
    shop.fulfill("r-1")
    return shop


def test_all_of_them(listed: Shop) -> None:
    """By reservation_id, each as GetReservation tells it, those of orders among them."""
    owned = listed.paid_order("o", ("a", 1)).reservation_id
    found = listed.list_reservations()
    assert ids(found) == sorted([owned, "r-0", "r-1", "r-2", "r-3", "r-4", "r-5"])
    assert found == [listed.reservation(reservation_id) for reservation_id in ids(found)]
    assert ids(listed.list_reservations(order_id="o")) == [owned]


def test_by_state(listed: Shop) -> None:
    """One state or several, live or ended."""
    for states, expected in (
        (["HELD"], ["r-0", "r-4", "r-5"]),
        (["COMMITTED"], ["r-3"]),
        (["HELD", "COMMITTED"], ["r-0", "r-3", "r-4", "r-5"]),
        (["CLOSED", "RELEASED"], ["r-1", "r-2"]),
        (["CLOSED", "HELD"], ["r-0", "r-1", "r-4", "r-5"]),
        (["EXPIRED"], []),
    ):
        asked = [S.Value(f"RESERVATION_STATE_{state}") for state in states]
        for page_size in (0, 1, 2):
            assert ids(listed.list_reservations(states=asked, page_size=page_size)) == expected


def test_by_order_and_product(listed: Shop) -> None:
    """Each filter narrows the others; what matches nothing is an empty list."""
    held = [S.RESERVATION_STATE_HELD]
    assert ids(listed.list_reservations(order_id="x")) == ["r-3", "r-5"]
    assert ids(listed.list_reservations(order_id="x", states=held)) == ["r-5"]
    assert ids(listed.list_reservations(order_id="x", product_id="a")) == ["r-3"]
    assert ids(listed.list_reservations(product_id="b", page_size=1)) == ["r-3", "r-4", "r-5"]
    assert ids(listed.list_reservations(product_id="b", states=held)) == ["r-4", "r-5"]
    assert listed.list_reservations(order_id="ghost") == []
    assert listed.list_reservations(product_id="ghost") == []


def test_by_when_they_run_out(listed: Shop) -> None:
    """The soonest first; a hold without end and a confirmed one never run out."""
    listed.extend("r-0", 7200)
    last = listed.reservation("r-0").expire_time
    assert ids(listed.list_reservations(due_by=last)) == ["r-4", "r-0"]
    assert ids(listed.list_reservations(due_by=last, page_size=1)) == ["r-4", "r-0"]
    assert ids(listed.list_reservations(due_by=last, product_id="a")) == ["r-0"]
    soon = listed.reservation("r-4").expire_time
    assert ids(listed.list_reservations(due_by=soon)) == ["r-4"]
    soon.FromMicroseconds(soon.ToMicroseconds() - 1)
    assert listed.list_reservations(due_by=soon) == []


def test_a_token_of_another_list(listed: Shop) -> None:
    """A token is good for its own filters alone, in whatever order they were named."""
    both = [S.RESERVATION_STATE_HELD, S.RESERVATION_STATE_COMMITTED]
    request = v1.ListReservationsRequest(states=both, page_size=1)
    token = listed.inventory.ListReservations(request).next_page_token
    again = v1.ListReservationsRequest(states=both[::-1], page_size=1, page_token=token)
    assert ids(listed.inventory.ListReservations(again).reservations) == ["r-3"]
    for other in ({"states": both[:1]}, {"states": both, "order_id": "x"}, {}):
        with listed.refused("INVALID_FIELD") as refusal:
            listed.inventory.ListReservations(v1.ListReservationsRequest(page_token=token, **other))
        assert refusal.fields == ["page_token"]


def test_a_change_between_pages(listed: Shop) -> None:
    """What is neither made nor ended between two pages comes once, whatever else happens."""
    request = v1.ListReservationsRequest(states=[S.RESERVATION_STATE_HELD], page_size=1)
    page = listed.inventory.ListReservations(request)
    assert ids(page.reservations) == ["r-0"]
    listed.release("r-0")
    listed.release("r-4")
    listed.reserve("r-00", ("a", 1))
    listed.reserve("r-6", ("a", 1))
    request.page_token = page.next_page_token
    seen = []
    while True:
        page = listed.inventory.ListReservations(request)
        seen += ids(page.reservations)
        if not page.next_page_token:
            break
        request.page_token = page.next_page_token
    assert seen == ["r-00", "r-5", "r-6"]


def test_a_page_of_many_lines_is_short(shop: Shop) -> None:
    """A page ends before its lines pass 10,000, far below a message's limit; the token goes on."""
    names = [f"p-{number:04}" for number in range(1000)]
    calls = [
        shop.inventory.CreateStock.future(v1.CreateStockRequest(product_id=name, quantity=20))
        for name in names
    ]
    assert {shop.reason_of(call) for call in calls} == {"OK"}
    for number in range(11):
        shop.reserve(f"r-{number:02}", *[(name, 1) for name in names])
    page = shop.inventory.ListReservations(v1.ListReservationsRequest())
    assert len(page.reservations) == 10
    rest = shop.inventory.ListReservations(v1.ListReservationsRequest(page_token=page.next_page_token))
    assert (ids(rest.reservations), rest.next_page_token) == (["r-10"], "")
