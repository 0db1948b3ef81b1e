"""CheckoutService: orders shipped in parts, units that come back, and units that go to another order."""

from __future__ import annotations

from datetime import timedelta

import pytest

from inventory_client import v1
from support.shop import Shop, StagedShop, word

QUANTITY_MAX = 2**43 - 1


@pytest.fixture
def sold(shop: Shop) -> Shop:
    """Order `o` of 4 `a`, 2 `b` and a gift wrap is paid; there were 10 and 5."""
    shop.stocks(a=10, b=5)
    shop.cart("c", ("a", 4), ("b", 2))
    shop.add("c", ("wrap", 1, 0), track_stock=False)
    shop.check_out("c", "o")
    shop.pay("o", "p", 600)
    return shop


def units(order: v1.Order) -> list[tuple[int, int, int]]:
    """Return (open, fulfilled, returned) by line."""
    return [(line.open, line.fulfilled, line.returned) for line in order.lines]


def states(order: v1.Order) -> tuple[str, str]:
    return word(order), word(order, "shipping_state")


# --- shipments -------------------------------------------------------------------------------------


def test_ship_in_parts(sold: Shop) -> None:
    """Some units of some lines, several times; what is left at last, without saying it."""
    sold.ship("o", "s-1", {1: 3, 3: 1})
    part = sold.get_order("o")
    assert states(part) == ("PROCESSING", "PARTIALLY_FULFILLED")
    assert units(part) == [(1, 3, 0), (2, 0, 0), (0, 1, 0)]
    assert sold.numbers("a") == (7, 6, 1)
    rest = sold.ship("o", "s-2")
    assert [(line.line_number, line.quantity) for line in rest.lines] == [(1, 1), (2, 2)]
    whole = sold.get_order("o")
    assert states(whole) == ("COMPLETE", "FULFILLED")
    assert [shipment.shipment_id for shipment in whole.shipments] == ["s-1", "s-2"]
    assert sold.actions("a") == [("RESERVE", 4), ("FULFILL", 3), ("FULFILL", 1)]
    assert word(sold.reservation(whole.reservation_id)) == "CLOSED"


def test_ship_adds_up_what_is_named_twice(sold: Shop) -> None:
    """Two parts of one line are one need."""
    request = v1.ShipOrderRequest(order_id="o", shipment_id="s", lines=sold.parts({1: 3}) * 2)
    with sold.refused("QUANTITY_EXCEEDS_HELD") as refusal:
        sold.checkout.ShipOrder(request)
    assert refusal.metadata == {"line_number": "1", "requested": "6", "open": "4"}
    request = v1.ShipOrderRequest(order_id="o", shipment_id="s", lines=sold.parts({1: 2}) * 2)
    assert [line.quantity for line in sold.checkout.ShipOrder(request).shipment.lines] == [4]


@pytest.mark.parametrize(
    ("line", "quantity", "left"), [(1, 5, 4), (3, 2, 1), (4, 1, 0), (1, QUANTITY_MAX, 4)]
)
def test_ship_more_than_is_left(sold: Shop, line: int, quantity: int, left: int) -> None:
    """Of a held line, of one without stock, of one that there isn't: nothing of the shipment is made."""
    with sold.refused("QUANTITY_EXCEEDS_HELD") as refusal:
        sold.ship("o", "s", {2: 1, line: quantity})
    assert refusal.metadata == {"line_number": str(line), "requested": str(quantity), "open": str(left)}


def test_ship_in_parts_is_repeatable(sold: Shop) -> None:
    """The same units answer the shipment and ship nothing more; others under its id are ID_REUSED."""
    first = sold.ship("o", "s", {1: 1})
    assert sold.ship("o", "s", {1: 1}) == first
    with sold.refused("ID_REUSED"):
        sold.ship("o", "s", {1: 2})
    assert sold.numbers("a") == (9, 6, 3)


def test_cancel_after_a_part_was_shipped(sold: Shop) -> None:
    """Only the rest is released; COMPLETE, and closed for shipping and paying."""
    sold.ship("o", "s", {1: 1})
    order = sold.cancel("o")
    assert states(order) == ("COMPLETE", "PARTIALLY_FULFILLED")
    assert order.HasField("cancel_time")
    assert units(order) == [(0, 1, 0), (0, 0, 0), (0, 0, 0)]
    assert (sold.numbers("a"), sold.numbers("b")) == ((9, 9, 0), (5, 5, 0))
    for call in (lambda: sold.ship("o", "s-2"), lambda: sold.pay("o", "p-2", 1)):
        with sold.refused("ORDER_CANCELLED"):
            call()


# --- returns ---------------------------------------------------------------------------------------


def test_return_in_parts(sold: Shop) -> None:
    """Restocked where they were served, told whole, and shown by the order; also of a gift wrap."""
    sold.ship("o", "s")
    request = sold.return_request("o", "r-1", {1: 3, 3: 1}, reason="too big", reference="#7")
    answer = sold.checkout.ReturnOrderItems(request)
    told = answer.order_return
    assert [(line.line_number, line.quantity) for line in told.lines] == [(1, 3), (3, 1)]
    assert (told.return_id, told.order_id, told.restocked, told.location) == ("r-1", "o", True, "")
    assert (told.reason, told.reference) == ("too big", "#7")
    assert units(answer.order) == [(0, 4, 3), (0, 2, 0), (0, 1, 1)]
    assert sold.numbers("a") == (9, 9, 0)
    assert sold.actions("a")[-1] == ("RETURN", 3)
    assert (sold.log("a")[-1].order_id, sold.log("a")[-1].reason) == ("o", "too big")
    order = sold.return_of("o", "r-2", {1: 1}, restock=False)
    assert sold.numbers("a") == (9, 9, 0)
    assert [each.return_id for each in order.returns] == ["r-1", "r-2"]
    assert sold.get_order("o") == order
    assert states(order) == ("COMPLETE", "FULFILLED")


@pytest.mark.parametrize("restock", [True, False])
@pytest.mark.parametrize(("line", "left"), [(1, 2), (2, 0), (3, 1), (4, 0)])
def test_return_more_than_was_shipped(sold: Shop, line: int, left: int, restock: bool) -> None:
    """A unit more than left the house and did not come back yet."""
    sold.ship("o", "s", {1: 3, 3: 1})
    sold.return_of("o", "r-1", {1: 1})
    with sold.refused("RETURN_EXCEEDS_SHIPPED") as refusal:
        sold.return_of("o", "r-2", {line: left + 1}, restock)
    assert refusal.metadata == {
        "line_number": str(line), "requested": str(left + 1), "returnable": str(left)
    }  # fmt: skip
    if left:
        sold.return_of("o", "r-2", {line: left}, restock)


def test_return_to_another_location(sold: Shop) -> None:
    """Where the caller says, a level is opened; a disabled one takes them too."""
    sold.ship("o", "s")
    sold.inventory.CreateLocation(v1.CreateLocationRequest(slug="far", disabled=True))
    order = sold.return_of("o", "r", {1: 2}, location="far")
    assert order.returns[0].location == "far"
    assert [entry.location for entry in sold.log("a") if word(entry, "action") == "RETURN"] == ["far"]


def test_return_without_restocking_names_no_location(sold: Shop) -> None:
    """What is put nowhere has no location."""
    sold.ship("o", "s")
    with sold.refused("INVALID_FIELD") as refusal:
        sold.return_of("o", "r", {1: 1}, restock=False, location="default")
    assert refusal.fields == ["location"]


def test_return_is_repeatable(sold: Shop) -> None:
    """The same content answers the return as it was made and the order as it stands."""
    sold.ship("o", "s")
    request = sold.return_request("o", "r", {1: 1})
    first = sold.checkout.ReturnOrderItems(request)
    sold.return_of("o", "r-2", {1: 1})
    again = sold.checkout.ReturnOrderItems(request)
    assert again.order_return == first.order_return
    assert units(again.order)[0] == (0, 4, 2)
    for other in ({"by_line": {1: 2}}, {"by_line": {1: 1}, "restock": False}):
        with sold.refused("ID_REUSED") as refusal:
            sold.return_of("o", "r", **other)  # type: ignore[arg-type]
        assert refusal.metadata == {"field": "return_id", "id": "r"}


def test_return_of_an_unknown_order(shop: Shop) -> None:
    """Nothing comes back of what is not there."""
    with shop.refused("ORDER_NOT_FOUND"):
        shop.return_of("ghost", "r", {1: 1})


# --- cancel with a target --------------------------------------------------------------------------


def test_cancel_with_a_target(sold: Shop) -> None:
    """The target holds its whole, unpaid, of what the source gives up; its payment finds the units there."""
    sold.order("t", ("a", 4))
    sold.reserve("r", ("a", 6))
    answer = sold.cancel_for("o", "t")
    assert (word(answer.order), word(answer.target_order)) == ("CANCELLED", "INCOMPLETE")
    assert [paid.refundable_minor for paid in answer.reversible_payments] == [600]
    assert units(answer.target_order) == [(4, 0, 0)]
    assert sold.get_order("t") == answer.target_order
    assert sold.numbers("a") == (10, 0, 10)
    assert word(sold.pay("t", "p-t", 400)) == "CAPTURED"
    assert sold.actions("a") == [("RESERVE", 4), ("RESERVE", 6), ("RELEASE", 4), ("RESERVE", 4)]
    assert word(sold.reservation(answer.target_order.reservation_id)) == "COMMITTED"


def test_cancel_with_a_target_that_is_short(sold: Shop) -> None:
    """Nothing changes at all; the shortages are those with the source's units free."""
    sold.order("t", ("a", 6))
    sold.reserve("r", ("a", 5))
    with sold.refused("INSUFFICIENT_STOCK") as refusal:
        sold.cancel_for("o", "t")
    assert refusal.short_lines == [("a", "", 6, 5, True)]


def test_cancel_with_a_target_is_repeatable(sold: Shop) -> None:
    """The same request_id answers as before, marked; another target under it is ID_REUSED."""
    for order_id in ("t", "t-2"):
        sold.order(order_id, ("a", 2))
    first = sold.cancel_for("o", "t", "q")
    again = sold.cancel_for("o", "t", "q")
    assert again.replayed
    again.replayed = False
    assert again == first
    with sold.refused("ID_REUSED"):
        sold.cancel_for("o", "t-2", "q")
    with sold.refused("ORDER_CANCELLED") as refusal:
        sold.cancel_for("o", "t-2")
    assert refusal.metadata == {"order_id": "o"}


def test_what_a_target_must_be(sold: Shop) -> None:
    """Another order, there, not cancelled, unpaid, and holding nothing."""
    for order_id in ("cancelled", "source", "held"):
        sold.order(order_id, ("a", 1))
    sold.cancel("cancelled")
    sold.cancel_for("source", "held")
    sold.paid_order("paid", ("a", 1))
    for target, reason in (
        ("o", "INVALID_FIELD"),
        ("ghost", "ORDER_NOT_FOUND"),
        ("cancelled", "ORDER_CANCELLED"),
        ("held", "ORDER_NOT_CANCELLABLE"),
        ("paid", "ORDER_NOT_CANCELLABLE"),
    ):
        with sold.refused(reason):
            sold.cancel_for("o", target)


def test_the_hold_of_a_target_ends_like_any_other(staged: StagedShop) -> None:
    """It has its time, 24 h; cancelling the target releases it."""
    staged.stock("a", 2)
    for order_id in ("o", "t"):
        staged.order(order_id, ("a", 2))
    held = staged.cancel_for("o", "t").target_order
    reservation = staged.reservation(held.reservation_id)
    assert (word(reservation), reservation.owned_by_order) == ("HELD", True)
    until = reservation.expire_time.ToDatetime() - reservation.create_time.ToDatetime()
    assert until == timedelta(hours=24)
    with staged.refused("ORDER_NOT_SHIPPABLE"):
        staged.ship("t", "s")
    call, visit = staged.pay_up_to_gateway("t", "p", 200)
    visit.decline()
    call.result()
    assert word(staged.reservation(held.reservation_id)) == "HELD"
    staged.cancel("t")
    assert staged.actions("a") == [("RESERVE", 2), ("RELEASE", 2)]


def test_the_laws_hold_of_orders_in_parts(sold: Shop) -> None:
    """Shipped in part, returned, cancelled for another, a line without stock: VerifyStock finds nothing."""
    for order_id in ("t", "o-2"):
        sold.order(order_id, ("a", 3))
    sold.pay("o-2", "p-2", 300)
    sold.ship("o", "s", {1: 2, 3: 1})
    sold.ship("o-2", "s-2", {1: 1})
    sold.return_of("o", "r", {1: 1})
    sold.cancel_for("o", "t")
    pages = list(sold.pages_of(sold.inventory.VerifyStock, v1.VerifyStockRequest()))
    assert [violation for page in pages for violation in page.violations] == []
    assert sum(page.order_count for page in pages) == 3
