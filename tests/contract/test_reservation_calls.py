"""InventoryService: the life of a reservation that a caller made."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from inventory_client import v1
from support.shop import Shop, word

QUANTITY_MAX = 2**43 - 1
DAY_S = 86_400

ENDINGS: dict[str, Callable[[Shop, str], v1.Reservation]] = {
    "CLOSED": Shop.fulfill,
    "RELEASED": Shop.release,
}


def units(reservation: v1.Reservation) -> list[tuple[int, int, int, int]]:
    """Return (reserved, open, released, fulfilled) by line."""
    return [(line.reserved, line.open, line.released, line.fulfilled) for line in reservation.lines]


def test_reserve_holds_every_line(shop: Shop) -> None:
    """A reservation is HELD, its units are allocated, and its lines say where they are."""
    shop.stocks(a=5, b=1)
    made = shop.reserve("r", ("a", 2), ("b", 1), order_id="o-1")

    assert word(made) == "HELD"
    assert (made.reservation_id, made.order_id, made.owned_by_order) == ("r", "o-1", False)
    assert [(ln.line_number, ln.product_id, ln.location) for ln in made.lines] == [
        (1, "a", "default"),
        (2, "b", "default"),
    ]
    assert units(made) == [(2, 2, 0, 0), (1, 1, 0, 0)]
    assert (shop.numbers("a"), shop.numbers("b")) == ((5, 3, 2), (1, 0, 1))
    assert shop.reservation("r") == made


def test_reserve_all_or_nothing(shop: Shop) -> None:
    """One line that is one unit short: no line is held, and each short one is listed."""
    shop.stocks(a=5, b=1)
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.reserve("r", ("a", 2), ("b", 2), ("ghost", 1))
    assert refusal.short_lines == [("b", "", 2, 1, True), ("ghost", "", 1, 0, False)]
    with shop.refused("RESERVATION_NOT_FOUND"):
        shop.reservation("r")


@pytest.mark.fault(28)
def test_lines_are_merged_by_product_and_named_location(shop: Shop) -> None:
    """Equal lines become one, in the order first named; a named location stays a line of its own."""
    shop.stocks(a=10, b=10)
    named = v1.LineRequest(product_id="a", quantity=4, location="default")
    request = shop.reserve_request("r", ("a", 1), ("b", 1), ("a", 2))
    request.lines.append(named)
    made = shop.inventory.ReserveStock(request).reservation
    assert [(ln.product_id, ln.reserved) for ln in made.lines] == [("a", 3), ("b", 1), ("a", 4)]
    assert shop.numbers("a") == (10, 3, 7)


@pytest.mark.fault(28)
def test_merged_lines_are_one_need(shop: Shop) -> None:
    """Two lines of 3 need 6: together they are short where each alone is not."""
    shop.stock("a", 5)
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.reserve("r", ("a", 3), ("a", 3))
    assert refusal.short_lines == [("a", "", 6, 5, True)]


def test_lines_that_add_up_past_every_level(shop: Shop) -> None:
    """1,000 lines of the greatest quantity are a shortage, not an overflow."""
    shop.stock("a", QUANTITY_MAX)
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.reserve("r", *[("a", QUANTITY_MAX)] * 1000)
    assert refusal.short_lines == [("a", "", 1000 * QUANTITY_MAX, QUANTITY_MAX, True)]


def test_the_greatest_quantity_is_held(shop: Shop) -> None:
    """2^43-1 units can be held at once."""
    shop.stock("a", QUANTITY_MAX)
    shop.reserve("r", ("a", QUANTITY_MAX))
    assert shop.numbers("a") == (QUANTITY_MAX, 0, QUANTITY_MAX)


def test_a_reservation_of_1000_lines(shop: Shop) -> None:
    """1,000 lines are held together and given back together; 1,001 and none are refused."""
    names = [f"p-{number:04}" for number in range(1000)]
    calls = [
        shop.inventory.CreateStock.future(v1.CreateStockRequest(product_id=name, quantity=2))
        for name in names
    ]
    assert {shop.reason_of(call) for call in calls} == {"OK"}
    lines = [(name, 1) for name in names]
    assert len(shop.reserve("r", *lines).lines) == 1000
    assert {shop.numbers(name) for name in names[::250]} == {(2, 1, 1)}
    assert units(shop.release("r")) == [(1, 0, 1, 0)] * 1000
    assert {shop.numbers(name) for name in names[::250]} == {(2, 2, 0)}
    for wrong in ([*lines, ("p-0000", 1)], []):
        with shop.refused("INVALID_FIELD") as refusal:
            shop.reserve("r-2", *wrong)
        assert refusal.fields == ["lines"]


def test_confirm_keeps_the_units(shop: Shop) -> None:
    """HELD -> COMMITTED: the units stay allocated and nothing expires any more; again is OK."""
    shop.stock("a", 5)
    held = shop.reserve("r", ("a", 2))
    committed = shop.confirm("r")
    assert (word(committed), units(committed)) == ("COMMITTED", [(2, 2, 0, 0)])
    assert held.HasField("expire_time")
    assert not committed.HasField("expire_time")
    assert shop.confirm("r") == committed
    assert shop.numbers("a") == (5, 3, 2)
    assert shop.actions("a") == [("RESERVE", 2)]


@pytest.mark.parametrize("confirmed", [False, True])
def test_release_gives_back(shop: Shop, confirmed: bool) -> None:
    """A live reservation gives every open unit back and is RELEASED; again is OK and changes nothing."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 2))
    if confirmed:
        shop.confirm("r")
    released = shop.release("r")
    assert (word(released), units(released)) == ("RELEASED", [(2, 0, 2, 0)])
    assert shop.numbers("a") == (5, 5, 0)
    before = shop.observer.written(shop.store)
    assert shop.release("r") == released
    assert shop.observer.written(shop.store) == before


@pytest.mark.parametrize("confirmed", [False, True])
def test_fulfill_takes_the_units_out(shop: Shop, confirmed: bool) -> None:
    """Fulfilling takes every open unit out of the house, and confirms where that was still to do."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 2))
    if confirmed:
        shop.confirm("r")
    closed = shop.fulfill("r")
    assert (word(closed), units(closed)) == ("CLOSED", [(2, 0, 0, 2)])
    assert shop.numbers("a") == (3, 3, 0)
    assert shop.actions("a") == [("RESERVE", 2), ("FULFILL", 2)]


@pytest.mark.parametrize("ended", ENDINGS)
@pytest.mark.parametrize("move", ["confirm", "fulfill", "release"])
def test_an_ended_reservation_moves_no_more(shop: Shop, ended: str, move: str) -> None:
    """CLOSED and RELEASED are final; only a release of a released one is OK."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 2))
    ENDINGS[ended](shop, "r")
    if (ended, move) == ("RELEASED", "release"):
        assert word(shop.release("r")) == "RELEASED"
        return
    with shop.refused("RESERVATION_NOT_ACTIVE") as refusal:
        getattr(shop, move)("r")
    assert refusal.metadata == {"reservation_id": "r", "state": ended}


@pytest.mark.parametrize("move", ["confirm", "fulfill", "release", "reservation"])
def test_a_reservation_that_is_not_there(shop: Shop, move: str) -> None:
    """An id that nobody reserved under is not found."""
    with shop.refused("RESERVATION_NOT_FOUND") as refusal:
        getattr(shop, move)("ghost")
    assert refusal.metadata == {"reservation_id": "ghost"}


@pytest.mark.parametrize("move", ["confirm", "fulfill", "release"])
def test_an_orders_reservation_is_the_orders(shop: Shop, move: str) -> None:
    """What the order flow holds is moved by the order flow alone; it can be read."""
    shop.stock("a", 5)
    order = shop.paid_order("o", ("a", 2))
    seen = shop.reservation(order.reservation_id)
    assert (seen.order_id, seen.owned_by_order, word(seen)) == ("o", True, "COMMITTED")
    with shop.refused("RESERVATION_OWNED_BY_ORDER") as refusal:
        getattr(shop, move)(order.reservation_id)
    assert refusal.metadata == {"reservation_id": order.reservation_id, "order_id": "o"}


def test_a_callers_reservation_may_name_any_order(shop: Shop) -> None:
    """order_id is a reference without rules: two reservations of a caller's own may name the same."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 1))
    for reservation_id in ("r-1", "r-2"):
        shop.reserve(reservation_id, ("a", 1), order_id="o")
        assert word(shop.confirm(reservation_id)) == "COMMITTED"
    assert shop.numbers("a") == (5, 2, 3)


def test_reserve_at_a_location_that_is_not_there(shop: Shop) -> None:
    """An unknown location is a mistake in the call, not a shortage."""
    shop.stock("a", 5)
    request = shop.reserve_request("r", ("a", 1))
    request.lines[0].location = "elsewhere"
    with shop.refused("LOCATION_NOT_FOUND") as refusal:
        shop.inventory.ReserveStock(request)
    assert refusal.metadata == {"location": "elsewhere"}


# --- how long units are held ---------------------------------------------------------------------


def held_s(made: v1.Reservation) -> float:
    return (made.expire_time.ToNanoseconds() - made.create_time.ToNanoseconds()) / 1e9


def test_a_hold_lasts_15_minutes(shop: Shop) -> None:
    """Without a word about it units are held for 15 minutes from the decision."""
    shop.stock("a", 5)
    assert held_s(shop.reserve("r", ("a", 1))) == 900


@pytest.mark.parametrize(("seconds", "nanos"), [(1, 0), (1, 500_000_000), (90 * DAY_S, 0)])
def test_a_hold_lasts_as_long_as_asked(shop: Shop, seconds: int, nanos: int) -> None:
    """ttl is 1 s to 90 days."""
    shop.stock("a", 5)
    request = shop.reserve_request("r", ("a", 1))
    request.ttl.seconds, request.ttl.nanos = seconds, nanos
    assert held_s(shop.inventory.ReserveStock(request).reservation) == seconds + nanos / 1e9


@pytest.mark.parametrize(("seconds", "nanos"), [(0, 999_999_999), (0, 0), (-5, 0), (90 * DAY_S, 1)])
def test_a_ttl_out_of_its_range(shop: Shop, seconds: int, nanos: int) -> None:
    """A nanosecond less than 1 s or more than 90 days is refused."""
    shop.stock("a", 5)
    request = shop.reserve_request("r", ("a", 1))
    request.ttl.seconds, request.ttl.nanos = seconds, nanos
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.ReserveStock(request)
    assert refusal.fields == ["ttl"]


def test_a_hold_until_a_moment(shop: Shop) -> None:
    """expire_time is kept as it was asked for, to the microsecond; at most 90 days ahead."""
    shop.stock("a", 5)
    request = shop.reserve_request("r", ("a", 1))
    request.expire_time.seconds = int(time.time()) + 90 * DAY_S - 60
    request.expire_time.nanos = 123_456_000
    assert shop.inventory.ReserveStock(request).reservation.expire_time == request.expire_time


@pytest.mark.parametrize("ahead_s", [-1, -10 * DAY_S, 90 * DAY_S + 60])
def test_a_hold_until_a_moment_out_of_range(shop: Shop, ahead_s: int) -> None:
    """A moment that has passed, and one more than 90 days ahead, are refused."""
    shop.stock("a", 5)
    request = shop.reserve_request("r", ("a", 1))
    request.expire_time.seconds = int(time.time()) + ahead_s
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.ReserveStock(request)
    assert refusal.fields == ["expire_time"]


def test_a_hold_for_good(shop: Shop) -> None:
    """never_expires holds until released or fulfilled; saying false is refused."""
    shop.stock("a", 5)
    made = shop.reserve("r", ("a", 1), never_expires=True)
    assert (word(made), made.HasField("expire_time")) == ("HELD", False)
    with shop.refused("INVALID_FIELD") as refusal:
        shop.reserve("r-2", ("a", 1), never_expires=False)
    assert refusal.fields == ["never_expires"]
