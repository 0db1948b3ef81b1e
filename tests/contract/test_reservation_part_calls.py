"""InventoryService: reservations of which a part leaves the house, and a part of that comes back."""

from __future__ import annotations

import pytest

import inventory_client
from inventory_client import v1
from support.shop import Shop, word

QUANTITY_MAX = 2**43 - 1


def units(reservation: v1.Reservation) -> list[tuple[int, int, int, int]]:
    """Return (open, released, fulfilled, returned) by line."""
    return [(line.open, line.released, line.fulfilled, line.returned) for line in reservation.lines]


def held(shop: Shop) -> v1.Reservation:
    """4 of 10 `a` (line 1) and 2 of 5 `b` (line 2) held as `r`."""
    shop.stocks(a=10, b=5)
    return shop.reserve("r", ("a", 4), ("b", 2), order_id="o-7")


# --- leaving in parts ----------------------------------------------------------------------------


def test_fulfill_in_parts(shop: Shop) -> None:
    """Some units of some lines, several times; CLOSED when none is open, COMMITTED until then."""
    held(shop)
    part = shop.fulfill("r", by_line={1: 3})
    assert (word(part), units(part)) == ("COMMITTED", [(1, 0, 3, 0), (2, 0, 0, 0)])
    assert not part.HasField("expire_time")
    assert shop.numbers("a") == (7, 6, 1)
    assert word(shop.fulfill("r", by_line={2: 2})) == "COMMITTED"
    last = shop.fulfill("r", by_line={1: 1})
    assert (word(last), units(last)) == ("CLOSED", [(0, 0, 4, 0), (0, 0, 2, 0)])
    assert shop.actions("a") == [("RESERVE", 4), ("FULFILL", 3), ("FULFILL", 1)]
    assert shop.reservation("r") == last


def test_fulfill_adds_up_what_is_named_twice(shop: Shop) -> None:
    """Two parts of one line are one need."""
    held(shop)
    request = v1.FulfillReservationRequest(reservation_id="r", lines=shop.parts({1: 3}) * 2)
    with shop.refused("QUANTITY_EXCEEDS_HELD") as refusal:
        shop.inventory.FulfillReservation(request)
    assert refusal.metadata == {"line_number": "1", "requested": "6", "open": "4"}
    request = v1.FulfillReservationRequest(reservation_id="r", lines=shop.parts({1: 2}) * 2)
    assert units(shop.inventory.FulfillReservation(request).reservation)[0] == (0, 0, 4, 0)


def test_a_part_is_taken_once(shop: Shop) -> None:
    """The same request_id takes the part once; with other lines it is ID_REUSED; a new one takes more."""
    held(shop)
    first = shop.fulfill("r", "q", {1: 1})
    shop.fulfill("r", "q-2", {1: 1})
    again = v1.FulfillReservationRequest(reservation_id="r", request_id="q", lines=shop.parts({1: 1}))
    answer = shop.inventory.FulfillReservation(again)
    assert (answer.replayed, answer.reservation) == (True, first)
    for other in ({1: 2}, {2: 1}, {}):
        with shop.refused("ID_REUSED"):
            shop.fulfill("r", "q", other)
    assert shop.numbers("a") == (8, 6, 2)


def test_the_rest_of_a_part_is_released(shop: Shop) -> None:
    """What has not left yet is given back; what has left keeps it from being RELEASED."""
    held(shop)
    shop.fulfill("r", by_line={1: 1})
    rest = shop.release("r")
    assert (word(rest), units(rest)) == ("CLOSED", [(0, 3, 1, 0), (0, 2, 0, 0)])
    assert (shop.numbers("a"), shop.numbers("b")) == ((9, 9, 0), (5, 5, 0))
    with shop.refused("RESERVATION_NOT_ACTIVE") as refusal:
        shop.release("r")
    assert refusal.metadata == {"reservation_id": "r", "state": "CLOSED"}


def test_the_log_says_why(shop: Shop) -> None:
    """Reason, reference and actor of a fulfilment and of a release stand in each log entry they write."""
    held(shop)
    who = (("x-inventory-actor", "ann"),)
    part = v1.FulfillReservationRequest(
        reservation_id="r", lines=shop.parts({1: 1}), reason="x" * 512, reference="y" * 128
    )
    shop.inventory.FulfillReservation(part, metadata=who)
    rest = v1.ReleaseReservationRequest(reservation_id="r", reason="no show", reference="desk-3")
    shop.inventory.ReleaseReservation(rest, metadata=who)
    told = [(e.reason, e.reference, e.actor) for e in shop.log("a")[2:]]
    assert told == [("x" * 512, "y" * 128, "ann"), ("no show", "desk-3", "ann")]
    assert (shop.log("b")[2].reason, shop.log("b")[2].actor) == ("no show", "ann")


def test_a_part_names_at_most_1000_lines(shop: Shop) -> None:
    """1,000 lines at most: one more is refused before anything is looked at."""
    held(shop)
    for count, reason in ((1000, "QUANTITY_EXCEEDS_HELD"), (1001, "INVALID_FIELD")):
        with shop.refused(reason):
            shop.fulfill("r", by_line=dict.fromkeys(range(1, count + 1), 1))


# --- coming back ---------------------------------------------------------------------------------


def test_what_left_comes_back_into_stock(shop: Shop) -> None:
    """Restocked units are available again; the log and the return say why, and who sent them."""
    held(shop)
    shop.fulfill("r", by_line={1: 3})
    client = shop.client
    request = v1.ReturnReservationItemsRequest(
        reservation_id="r", return_id="t", lines=shop.parts({1: 2}), restock=True,
        reason="wrong size", reference="rma-9",
    )  # fmt: skip
    answer = client.inventory.ReturnReservationItems(request, metadata=(("x-inventory-actor", "ann"),))
    assert (word(answer.reservation), units(answer.reservation)[0]) == ("COMMITTED", (1, 0, 3, 2))
    back = answer.item_return
    assert (back.return_id, back.reservation_id, back.restocked, back.location) == ("t", "r", True, "")
    assert (back.reason, back.reference, back.actor) == ("wrong size", "rma-9", "ann")
    assert list(back.lines) == shop.parts({1: 2})
    assert shop.numbers("a") == (9, 8, 1)
    entry = shop.log("a")[-1]
    assert (word(entry, "action"), entry.quantity, entry.available_after) == ("RETURN", 2, 8)
    assert (entry.reservation_id, entry.order_id) == ("r", "o-7")
    assert (entry.reason, entry.reference, entry.actor) == ("wrong size", "rma-9", "ann")
    assert back.create_time == entry.create_time


def test_what_comes_back_need_not_be_restocked(shop: Shop) -> None:
    """Not restocked, units count as returned and no level changes; a location for them is refused."""
    held(shop)
    shop.fulfill("r")
    answer = shop.bring_back("r", "t", {1: 4}, restock=False)
    assert (word(answer.reservation), units(answer.reservation)[0]) == ("CLOSED", (0, 0, 4, 4))
    assert not answer.item_return.restocked
    assert shop.numbers("a") == (6, 6, 0)
    assert shop.actions("a") == [("RESERVE", 4), ("FULFILL", 4)]
    with shop.refused("INVALID_FIELD") as refusal:
        shop.bring_back("r", "t-2", {2: 1}, restock=False, location="default")
    assert refusal.fields == ["location"]


def test_whether_to_restock_has_to_be_said(shop: Shop) -> None:
    """An absent `restock` is an error: neither way is a safe guess."""
    held(shop)
    shop.fulfill("r")
    request = v1.ReturnReservationItemsRequest(reservation_id="r", return_id="t", lines=shop.parts({1: 1}))
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.ReturnReservationItems(request)
    assert refusal.fields == ["restock"]


@pytest.mark.parametrize("restock", [True, False])
def test_what_comes_back_is_capped(shop: Shop, restock: bool) -> None:
    """Exactly what left can come back, in whatever parts; not one unit more."""
    held(shop)
    shop.fulfill("r", by_line={1: 3})
    shop.bring_back("r", "t-1", {1: 1}, restock)
    with shop.refused("RETURN_EXCEEDS_SHIPPED"):
        shop.bring_back("r", "t-2", {1: 3}, restock)
    shop.bring_back("r", "t-2", {1: 2}, restock)
    with shop.refused("RETURN_EXCEEDS_SHIPPED"):
        shop.bring_back("r", "t-3", {1: 1}, restock)


def test_a_return_again_is_the_return(shop: Shop) -> None:
    """The same id and content: the return as it was made, beside the reservation as it stands."""
    held(shop)
    shop.fulfill("r", by_line={1: 3})
    made = shop.bring_back("r", "t", {1: 1})
    shop.bring_back("r", "t-2", {1: 1})
    before = shop.observer.written(shop.store)
    again = shop.bring_back("r", "t", {1: 1})
    assert again.item_return == made.item_return
    assert units(again.reservation)[0] == (1, 0, 3, 2)
    assert shop.observer.written(shop.store) == before
    for other in ({1: 2}, {2: 1}):
        with shop.refused("ID_REUSED") as refusal:
            shop.bring_back("r", "t", other)
        assert refusal.metadata == {"field": "return_id", "id": "t"}
    with shop.refused("ID_REUSED"):
        shop.bring_back("r", "t", {1: 1}, restock=False)


def test_a_return_to_where_there_is_no_location(shop: Shop) -> None:
    """A slug that no location has is LOCATION_NOT_FOUND."""
    held(shop)
    shop.fulfill("r")
    with shop.refused("LOCATION_NOT_FOUND") as refusal:
        shop.bring_back("r", "t", {1: 1}, location="elsewhere")
    assert refusal.metadata == {"location": "elsewhere"}
    assert shop.bring_back("r", "t", {1: 1}, location="default").item_return.location == "default"


def test_a_return_to_a_level_that_is_full(shop: Shop) -> None:
    """A level takes 2^43-1 units and not one more."""
    held(shop)
    shop.fulfill("r")
    shop.change("a", "SET", QUANTITY_MAX)
    with shop.refused("QUANTITY_OVERFLOW"):
        shop.bring_back("r", "t", {1: 1})


def test_whose_units_come_back(shop: Shop) -> None:
    """Nobody's, an order's, and those that are still held can't be returned here."""
    with shop.refused("RESERVATION_NOT_FOUND"):
        shop.bring_back("ghost", "t", {1: 1})
    shop.stock("a", 10)
    owned = shop.paid_order("o", ("a", 1)).reservation_id
    with shop.refused("RESERVATION_OWNED_BY_ORDER"):
        shop.bring_back(owned, "t", {1: 1})
    shop.reserve("r", ("a", 4))
    with shop.refused("RETURN_EXCEEDS_SHIPPED"):
        shop.bring_back("r", "t", {1: 1})


def test_the_clients_exceptions(shop: Shop) -> None:
    """The two refusals of parts are exceptions of their own."""
    held(shop)
    with pytest.raises(inventory_client.QuantityExceedsHeld):
        shop.fulfill("r", by_line={1: 5})
    with pytest.raises(inventory_client.ReturnExceedsShipped):
        shop.bring_back("r", "t", {1: 1})
