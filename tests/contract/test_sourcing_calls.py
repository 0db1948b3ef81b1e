"""One rule for where lines are served from: CheckAvailability, ReserveStock, cart, checkout and payment."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from inventory_client import v1
from support.shop import Shop, word

# How a line of `a` is asked for: (quantity, location) -> the location that serves it.
Ask = Callable[[Shop, int, str], str]


def by_reservation(shop: Shop, quantity: int, location: str) -> str:
    line = v1.LineRequest(product_id="a", quantity=quantity, location=location)
    request = v1.ReserveStockRequest(reservation_id="r", lines=[line])
    return shop.inventory.ReserveStock(request).reservation.lines[0].location


def by_payment(shop: Shop, quantity: int, location: str) -> str:
    shop.cart("c")
    shop.add("c", ("a", quantity), location=location)
    order = shop.check_out("c", "o")
    assert word(shop.pay("o", "p", order.total_minor)) == "CAPTURED"
    return shop.get_order("o").lines[0].location


def by_availability(shop: Shop, quantity: int, location: str) -> str:
    """CheckAvailability names no location, so the reservation is asked as well."""
    line = v1.LineRequest(product_id="a", quantity=quantity, location=location)
    assert shop.inventory.CheckAvailability(v1.CheckAvailabilityRequest(lines=[line])).sufficient
    return by_reservation(shop, quantity, location)


EVERYWHERE = pytest.mark.parametrize("ask", [by_reservation, by_payment, by_availability])


@pytest.fixture
def at_four(shop: Shop) -> Shop:
    """`a`: 3 at near (-1), 5 at default (0), 9 at b-far and at a-far (1), 99 at shut (-5, disabled)."""
    for slug, priority in (("near", -1), ("b-far", 1), ("a-far", 1), ("shut", -5)):
        shop.location(slug, priority=priority)
    shop.stock("a", 5)
    for slug, quantity in (("near", 3), ("b-far", 9), ("a-far", 9), ("shut", 99)):
        shop.change("a", "SET", quantity, location=slug)
    shop.disable("shut")
    return shop


@EVERYWHERE
@pytest.mark.parametrize(
    ("quantity", "location", "served_at"),
    [
        (3, "", "near"),
        (4, "", "default"),
        (5, "", "default"),
        (6, "", "a-far"),
        (9, "", "a-far"),
        (1, "b-far", "b-far"),
        (9, "b-far", "b-far"),
        (1, "default", "default"),
    ],
)
def test_the_first_that_has_the_whole_quantity(
    at_four: Shop, ask: Ask, quantity: int, location: str, served_at: str
) -> None:
    """By priority, then slug; a location that is named serves alone; a disabled one is passed over."""
    assert ask(at_four, quantity, location) == served_at


@pytest.mark.parametrize(
    ("quantity", "location", "most"), [(10, "", 9), (4, "near", 3), (1, "shut", 0), (100, "", 9)]
)
@pytest.mark.parametrize("step", ["reserve", "cart", "check"])
def test_a_line_is_never_split(at_four: Shop, step: str, quantity: int, location: str, most: int) -> None:
    """Enough in sum and nowhere together is short; so is what lies at a disabled location."""
    line = v1.LineRequest(product_id="a", quantity=quantity, location=location)
    if step == "check":
        answer = at_four.inventory.CheckAvailability(v1.CheckAvailabilityRequest(lines=[line]))
        (short,) = answer.shortages
        assert (short.requested, short.available, short.location) == (quantity, most, location)
        return
    at_four.cart("c")
    with at_four.refused("INSUFFICIENT_STOCK") as refusal:
        if step == "reserve":
            at_four.inventory.ReserveStock(v1.ReserveStockRequest(reservation_id="r", lines=[line]))
        else:
            at_four.add("c", ("a", quantity), location=location)
    assert refusal.short_lines == [("a", location, quantity, most, True)]


def test_lines_that_name_a_location_are_decided_first(at_four: Shop) -> None:
    """Whatever the order given, the line that can go nowhere else gets its units."""
    lines = [
        v1.LineRequest(product_id="a", quantity=3),
        v1.LineRequest(product_id="a", quantity=3, location="near"),
    ]
    held = at_four.inventory.ReserveStock(v1.ReserveStockRequest(reservation_id="r", lines=lines)).reservation
    assert [line.location for line in held.lines] == ["default", "near"]


def test_a_cart_line_keeps_its_location_to_the_end(at_four: Shop) -> None:
    """Named in the cart, it stands in the order, serves the payment, and gives the units back there."""
    at_four.cart("c")
    assert at_four.add("c", ("a", 2), location="b-far").items[0].location == "b-far"
    assert at_four.check_out("c", "o").lines[0].location == "b-far"
    at_four.pay("o", "p", 200)
    assert at_four.level("a", "b-far") == (9, 7, 2)
    at_four.cancel("o")
    assert at_four.level("a", "b-far") == (9, 9, 0)


def test_a_location_that_is_disabled_meanwhile(at_four: Shop) -> None:
    """What it holds is confirmed and leaves the house; what is only in a cart or an unpaid order is short."""
    held = at_four.reserve("r", ("a", 3))
    assert held.lines[0].location == "near"
    at_four.change("a", "SET", 6, location="near")
    at_four.cart("c")
    at_four.add("c", ("a", 1), location="near")
    at_four.disable("near")
    at_four.confirm("r")
    at_four.fulfill("r")
    with at_four.refused("INSUFFICIENT_STOCK") as refusal:
        at_four.check_out("c", "o")
    assert refusal.short_lines == [("a", "near", 1, 0, True)]


def test_a_hold_that_ran_out_at_a_location_that_is_gone(at_four: Shop) -> None:
    """It was pinned there, so it is not sourced elsewhere: RESERVATION_EXPIRED, and the line is short."""
    line = v1.LineRequest(product_id="a", quantity=3, location="near")
    request = v1.ReserveStockRequest(reservation_id="r", lines=[line])
    request.ttl.seconds = 1
    at_four.inventory.ReserveStock(request)
    at_four.observer.change_rows(at_four.store, "reservation", expire_time="2020-01-01T00:00:00Z")
    at_four.transfer("a", 3, "near", "default")
    at_four.delete_location("near")
    with at_four.refused("RESERVATION_EXPIRED") as refusal:
        at_four.confirm("r")
    assert refusal.short_lines == [("a", "near", 3, 0, True)]


def test_the_last_of_1024_locations_serves(shop: Shop) -> None:
    """With as many locations as a store may have, and a level at each: the one that has enough is found."""
    slugs = [f"l-{number:04}" for number in range(1_023)]
    shop.observer.add_locations(shop.store, slugs)
    shop.stock("a", 1)
    shop.observer.add_levels(shop.store, ["a"], slugs[:-1])
    shop.change("a", "SET", 7, location=slugs[-1])
    assert [line.location for line in shop.reserve("r", ("a", 7)).lines] == [slugs[-1]]
    with shop.refused("INSUFFICIENT_STOCK"):
        shop.reserve("r-2", ("a", 2))
