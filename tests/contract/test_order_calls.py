"""CheckoutService: checkout, cancelling and shipping."""

from __future__ import annotations

import pytest

from inventory_client import v1
from support.shop import Shop, word


def states(order: v1.Order) -> tuple[str, str, str]:
    return word(order), word(order, "payment_state"), word(order, "shipping_state")


def test_checkout_freezes_the_cart(shop: Shop) -> None:
    """An order has the cart's lines and total, is unpaid, and holds nothing."""
    shop.stocks(a=5, b=5)
    shop.cart("c", ("a", 2, 150), ("b", 1, 99))
    order = shop.check_out("c", "o")

    assert states(order) == ("INCOMPLETE", "UNPAID", "UNFULFILLED")
    assert [
        (ln.line_number, ln.product_id, ln.quantity, ln.unit_price_minor, ln.open, ln.fulfilled, ln.location)
        for ln in order.lines
    ] == [(1, "a", 2, 150, 0, 0, ""), (2, "b", 1, 99, 0, 0, "")]
    assert (order.cart_id, order.currency) == ("c", "EUR")
    assert (order.total_minor, order.balance_minor, order.captured_minor) == (399, 399, 0)
    assert (order.reservation_id, list(order.payment_ids), list(order.shipments)) == ("", [], [])
    assert not order.HasField("cancel_time")
    assert shop.get_order("o") == order
    assert shop.numbers("a") == (5, 5, 0)


def test_more_may_be_checked_out_than_is_there(shop: Shop) -> None:
    """Each checkout sees the stock as it is, and takes none: two orders of all 5 units are both made."""
    shop.stock("a", 5)
    for order_id in ("o-1", "o-2"):
        assert states(shop.order(order_id, ("a", 5)))[1] == "UNPAID"


def test_checkout_checks_the_summed_quantity(shop: Shop) -> None:
    """60 and 50 of 100 came into the cart; at checkout 110 are too many, and the cart stays open."""
    shop.stock("a", 100)
    shop.cart("c", ("a", 60))
    shop.add("c", ("a", 50))
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.check_out("c", "o")
    assert refusal.short_lines == [("a", "", 110, 100, True)]
    assert word(shop.get_cart("c")) == "OPEN"
    shop.change("a", "INCREMENT", 10)
    assert shop.check_out("c", "o").lines[0].quantity == 110


def test_checkout_sees_what_was_sold_meanwhile(shop: Shop) -> None:
    """The last check of the stock lists every line that has become short."""
    shop.stocks(a=5, b=5)
    shop.cart("c", ("a", 5), ("b", 5))
    shop.paid_order("first", ("a", 1), ("b", 2))
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.check_out("c", "o")
    assert refusal.short_lines == [("a", "", 5, 4, True), ("b", "", 5, 3, True)]


def test_an_empty_cart_makes_no_order(shop: Shop) -> None:
    """There is nothing to buy in a cart that is empty, from the start or again."""
    shop.stock("a", 5)
    shop.cart("c")
    with shop.refused("CART_EMPTY"):
        shop.check_out("c", "o")
    shop.add("c", ("a", 1))
    shop.checkout.RemoveCartItem(v1.RemoveCartItemRequest(cart_id="c", product_id="a"))
    with shop.refused("CART_EMPTY") as refusal:
        shop.check_out("c", "o")
    assert refusal.metadata == {"cart_id": "c"}
    with shop.refused("ORDER_NOT_FOUND"):
        shop.get_order("o")


def test_an_order_that_is_not_there(shop: Shop) -> None:
    """Every call on an unknown order says so."""
    for call in (
        lambda: shop.get_order("o"),
        lambda: shop.pay("o", "p", 1),
        lambda: shop.cancel("o"),
        lambda: shop.ship("o", "s"),
    ):
        with shop.refused("ORDER_NOT_FOUND") as refusal:
            call()
        assert refusal.metadata == {"order_id": "o"}


def test_the_life_of_an_order(shop: Shop) -> None:
    """Unpaid, partly paid, paid, shipped: the states follow the payments and the shipment."""
    shop.stock("a", 5)
    assert states(shop.order("o", ("a", 3))) == ("INCOMPLETE", "UNPAID", "UNFULFILLED")
    shop.pay("o", "p-1", 100)
    half = shop.get_order("o")
    assert states(half) == ("INCOMPLETE", "PARTIALLY_PAID", "UNFULFILLED")
    assert (half.balance_minor, half.captured_minor) == (200, 100)
    shop.pay("o", "p-2", 200)
    paid = shop.get_order("o")
    assert states(paid) == ("PROCESSING", "PAID", "UNFULFILLED")
    assert (paid.balance_minor, paid.captured_minor, list(paid.payment_ids)) == (0, 300, ["p-1", "p-2"])
    assert [(ln.open, ln.fulfilled, ln.location) for ln in paid.lines] == [(3, 0, "default")]
    shop.ship("o", "s")
    assert states(shop.get_order("o")) == ("COMPLETE", "PAID", "FULFILLED")


def test_shipping_takes_the_units_out(shop: Shop) -> None:
    """A shipment names all lines; the units leave the house and the reservation is CLOSED."""
    shop.stocks(a=5, b=5)
    paid = shop.paid_order("o", ("a", 2), ("b", 1))
    shipment = shop.ship("o", "s")

    assert (shipment.shipment_id, shipment.order_id) == ("s", "o")
    assert [(ln.line_number, ln.quantity) for ln in shipment.lines] == [(1, 2), (2, 1)]
    assert (shop.numbers("a"), shop.numbers("b")) == ((3, 3, 0), (4, 4, 0))
    assert word(shop.reservation(paid.reservation_id)) == "CLOSED"
    order = shop.get_order("o")
    assert list(order.shipments) == [shipment]
    assert [(ln.open, ln.fulfilled) for ln in order.lines] == [(0, 2), (0, 1)]
    assert shop.actions("a") == [("RESERVE", 2), ("FULFILL", 2)]
    assert shop.log("a")[-1].order_id == "o"


@pytest.mark.parametrize("paid_minor", [0, 199])
def test_an_order_that_is_not_paid_does_not_ship(shop: Shop, paid_minor: int) -> None:
    """Shipping needs all of the money: one minor unit less will not do."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    if paid_minor:
        shop.pay("o", "p", paid_minor)
    with shop.refused("ORDER_NOT_SHIPPABLE") as refusal:
        shop.ship("o", "s")
    assert refusal.metadata == {"order_id": "o"}


def test_an_order_ships_once(shop: Shop) -> None:
    """A second shipment of an order shipped whole is refused."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 2))
    shop.ship("o", "s-1")
    with shop.refused("ORDER_NOT_SHIPPABLE"):
        shop.ship("o", "s-2")
    assert shop.numbers("a") == (3, 3, 0)


def test_cancel_of_an_unpaid_order(shop: Shop) -> None:
    """Nothing was held, nothing is released; the order is cancelled for good."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    cancelled = shop.cancel("o")
    assert (word(cancelled), cancelled.HasField("cancel_time")) == ("CANCELLED", True)
    assert shop.get_order("o") == cancelled
    assert shop.actions("a") == []


@pytest.mark.parametrize("paid_minor", [100, 200])
def test_cancel_releases_what_was_paid_for(shop: Shop, paid_minor: int) -> None:
    """Partly or wholly paid: the units are available again, and no money moves by itself."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    shop.pay("o", "p", paid_minor)
    cancelled = shop.cancel("o")
    assert word(cancelled) == "CANCELLED"
    assert cancelled.captured_minor == paid_minor
    assert [(ln.open, ln.fulfilled) for ln in cancelled.lines] == [(0, 0)]
    assert word(shop.reservation(cancelled.reservation_id)) == "RELEASED"
    assert shop.numbers("a") == (5, 5, 0)
    assert word(shop.payment("p")) == "CAPTURED"


def test_cancelling_twice_is_ok(shop: Shop) -> None:
    """A cancelled order is cancelled: the same answer, and nothing is written."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 2))
    first = shop.cancel("o")
    before = shop.observer.written(shop.store)
    assert shop.cancel("o") == first
    assert shop.observer.written(shop.store) == before


def test_a_shipped_order_is_not_cancelled(shop: Shop) -> None:
    """What has left the house whole cannot be cancelled."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 2))
    shop.ship("o", "s")
    with shop.refused("ORDER_NOT_CANCELLABLE") as refusal:
        shop.cancel("o")
    assert refusal.metadata == {"order_id": "o"}


def test_a_cancelled_order_is_neither_paid_nor_shipped(shop: Shop) -> None:
    """ORDER_CANCELLED answers every other call; reading goes on."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 2))
    shop.cancel("o")
    for call in (lambda: shop.pay("o", "p-2", 1), lambda: shop.ship("o", "s")):
        with shop.refused("ORDER_CANCELLED") as refusal:
            call()
        assert refusal.metadata == {"order_id": "o"}


def test_a_cart_that_named_a_location(shop: Shop) -> None:
    """The location is frozen with the line, and the units are taken there."""
    shop.stock("a", 5)
    shop.cart("c")
    shop.add("c", ("a", 2), location="default")
    assert shop.check_out("c", "o").lines[0].location == "default"
    shop.pay("o", "p", 200)
    (line,) = shop.reservation(shop.get_order("o").reservation_id).lines
    assert (line.location, line.open) == ("default", 2)
