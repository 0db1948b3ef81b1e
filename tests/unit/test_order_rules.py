"""Checkout, cancelling, shipping, and the states that are derived."""

from __future__ import annotations

import pytest

from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    Command,
    CreateCart,
    CreateStockTransaction,
    RemoveCartItem,
)
from inventory_server.domain.errors import (
    CartEmpty,
    CartNotFound,
    CartNotOpen,
    IdReused,
    InsufficientStock,
    OrderCancelled,
    OrderNotCancellable,
    OrderNotFound,
    OrderNotShippable,
    PaymentInProgress,
    Shortage,
)
from inventory_server.domain.order import (
    CartItem,
    OrderLine,
    OrderPaymentState,
    OrderShippingState,
    OrderState,
)
from inventory_server.domain.order_commands import CancelOrder, ShipOrder
from inventory_server.domain.payment import OperationState
from inventory_server.domain.reservation import ReservationState
from inventory_server.domain.stock import Action
from support.world import World

A, B = CartItem("a", 3, 10, None), CartItem("b", 2, 35, None)  # 100 minor units together


@pytest.fixture
def world() -> World:
    """10 of `a`, 5 of `b`."""
    made = World()
    made.stock("a", 10)
    made.stock("b", 5)
    return made


def states(world: World) -> tuple[OrderState, OrderPaymentState, OrderShippingState]:
    view = world.view("o")
    return view.state, view.payment_state, view.shipping_state


# --- checkout ------------------------------------------------------------------------------------


def test_checkout_freezes_the_cart_and_holds_nothing(world: World) -> None:
    """An order has the cart's lines, prices and total; no unit moves."""
    view = world.order("o", A, B)
    assert view.order.lines == (OrderLine(1, "a", 3, 10, None), OrderLine(2, "b", 2, 35, None))
    assert (view.order.total_minor, view.order.currency, view.balance_minor) == (100, "EUR", 100)
    assert world.rows["carts"]["cart of o"].order_id == "o"
    assert world.numbers("a") == (10, 0) and view.reservation is None
    assert states(world) == ("INCOMPLETE", "UNPAID", "UNFULFILLED")


def test_checkout_twice_is_the_same_order(world: World) -> None:
    """The same order_id and cart answers the order as it is now, though the stock is gone meanwhile."""
    world.order("o", A)
    world.do(CreateStockTransaction("a", Action.SET, 0))
    before = world.snapshot()
    assert world.do(Checkout("cart of o", "o")).order.total_minor == 30
    assert world.snapshot() == before


def test_checkout_of_another_cart_under_the_same_order(world: World) -> None:
    """An order_id with another cart is ID_REUSED, before the cart is looked at."""
    world.order("o", A)
    with pytest.raises(IdReused):
        world.do(Checkout("no such cart", "o"))


def test_checkout_of_a_cart_under_a_second_order(world: World) -> None:
    """A cart becomes one order: a second order_id is CART_NOT_OPEN."""
    world.order("o", A)
    with pytest.raises(CartNotOpen) as caught:
        world.do(Checkout("cart of o", "o2"))
    assert caught.value.order_id == "o"


def test_checkout_needs_a_cart_with_something_in_it(world: World) -> None:
    """No cart, or an empty one, is no order."""
    with pytest.raises(CartNotFound):
        world.do(Checkout("c", "o"))
    world.do(CreateCart("c", "EUR"))
    with pytest.raises(CartEmpty):
        world.do(Checkout("c", "o"))
    world.do(AddCartItems("c", (A,)))
    world.do(RemoveCartItem("c", "a"))
    with pytest.raises(CartEmpty):
        world.do(Checkout("c", "o"))


def test_checkout_checks_the_summed_quantity(world: World) -> None:
    """60 then 50 of 100 went into the cart; at the checkout 110 is too much, and the cart stays open."""
    world.do(CreateCart("c", "EUR"))
    world.do(AddCartItems("c", (CartItem("a", 6, 10, None),)))
    world.do(AddCartItems("c", (CartItem("a", 5, 10, None), B)))
    before = world.snapshot()
    with pytest.raises(InsufficientStock) as caught:
        world.do(Checkout("c", "o"))
    assert caught.value.shortages == (Shortage("a", None, 11, 10, True),)
    assert world.snapshot() == before


def test_more_may_be_checked_out_than_there_is(world: World) -> None:
    """Unpaid orders do not see each other."""
    world.order("o", CartItem("a", 10, 1, None))
    assert world.order("o2", CartItem("a", 10, 1, None)).order.total_minor == 10


# --- cancel --------------------------------------------------------------------------------------


def test_cancel_releases_what_is_not_shipped(world: World) -> None:
    """Cancelling gives every unit back; the money stays captured, no refund starts by itself."""
    world.order("o", A, B)
    world.pay("o", "p", 100)
    assert world.numbers("a") == (7, 3)
    view = world.do(CancelOrder("o")).order
    assert (view.state, view.payment_state) == (OrderState.CANCELLED, OrderPaymentState.PAID)
    assert world.numbers("a") == (10, 0) and world.numbers("b") == (5, 0)
    assert world.reservation_of("o").state is ReservationState.RELEASED
    assert view.captured_minor == 100
    world.check()


def test_cancel_of_an_unpaid_order_moves_nothing(world: World) -> None:
    """An order that holds nothing has nothing to release."""
    world.order("o", A)
    entries = len(world.log)
    assert world.do(CancelOrder("o")).order.state is OrderState.CANCELLED
    assert len(world.log) == entries


def test_cancel_twice(world: World) -> None:
    """Cancelling a cancelled order is OK and changes nothing."""
    world.order("o", A)
    world.pay("o", "p", 30)
    world.do(CancelOrder("o"))
    before = world.snapshot()
    world.wait(5)
    assert world.do(CancelOrder("o")).order.state is OrderState.CANCELLED
    assert world.snapshot() == before


def test_cancel_while_a_payment_is_in_flight(world: World) -> None:
    """Money that may have been taken is settled first; also where another part was captured."""
    world.order("o", A)
    world.pay("o", "p1", 10)
    world.begin("o", "p2", 20)
    before = world.snapshot()
    with pytest.raises(PaymentInProgress):
        world.do(CancelOrder("o"))
    assert world.snapshot() == before
    world.settle("o", "p2", OperationState.DECLINED)
    assert world.do(CancelOrder("o")).order.state is OrderState.CANCELLED


def test_cancel_and_ship_by_order_of_arrival(world: World) -> None:
    """Ship first: a wholly shipped order is ORDER_NOT_CANCELLABLE. Cancel first: ORDER_CANCELLED."""
    world.order("o", A)
    world.pay("o", "p", 30)
    shipped, refused = world.batch(ShipOrder("o", "s"), CancelOrder("o"))
    assert shipped.shipment_id == "s" and isinstance(refused, OrderNotCancellable)
    world.order("o2", A)
    world.pay("o2", "p2", 30)
    cancelled, late = world.batch(CancelOrder("o2"), ShipOrder("o2", "s2"))
    assert cancelled.order.state is OrderState.CANCELLED and isinstance(late, OrderCancelled)
    assert world.numbers("a") == (7, 0)
    world.check()


# --- ship ----------------------------------------------------------------------------------------


def test_ship_takes_the_units_out_of_the_house(world: World) -> None:
    """Shipping lowers allocated and total; available stays; the reservation is closed."""
    world.order("o", A, B)
    world.pay("o", "p", 100)
    shipment = world.do(ShipOrder("o", "s"))
    assert [(line.line_number, line.quantity) for line in shipment.lines] == [(1, 3), (2, 2)]
    assert world.numbers("a") == (7, 0) and world.numbers("b") == (3, 0)
    assert world.reservation_of("o").state is ReservationState.CLOSED
    assert states(world) == ("COMPLETE", "PAID", "FULFILLED")
    world.check()


def test_ship_is_repeatable(world: World) -> None:
    """The same shipment_id answers the same shipment; another order's is ID_REUSED; a second is refused."""
    world.order("o", A)
    world.order("o2", A)
    world.pay("o", "p", 30)
    first = world.do(ShipOrder("o", "s"))
    before = world.snapshot()
    assert world.do(ShipOrder("o", "s")) == first
    with pytest.raises(IdReused):
        world.do(ShipOrder("o2", "s"))
    with pytest.raises(OrderNotShippable):
        world.do(ShipOrder("o", "s2"))
    assert world.snapshot() == before


def test_ship_needs_captured_equal_to_total(world: World) -> None:
    """Unpaid, partly paid, or with a payment in flight: not shippable; paid to the last unit: shippable."""
    world.order("o", A)
    with pytest.raises(OrderNotShippable):
        world.do(ShipOrder("o", "s"))
    world.pay("o", "p1", 29)
    with pytest.raises(OrderNotShippable):
        world.do(ShipOrder("o", "s"))
    world.begin("o", "p2", 1)
    with pytest.raises(PaymentInProgress):
        world.do(ShipOrder("o", "s"))
    world.settle("o", "p2", OperationState.ACCEPTED)
    assert world.do(ShipOrder("o", "s")).order_id == "o"


@pytest.mark.parametrize("command", [CancelOrder("x"), ShipOrder("x", "s")])
def test_an_unknown_order_is_not_found(world: World, command: Command) -> None:
    """What is not there cannot be moved."""
    with pytest.raises(OrderNotFound):
        world.do(command)


def test_derived_states(world: World) -> None:
    """An order's states follow from its payments and shipments: nothing of it is stored."""
    world.order("o", A)
    world.begin("o", "p1", 10)
    assert states(world) == ("INCOMPLETE", "UNPAID", "UNFULFILLED")
    world.settle("o", "p1", OperationState.ACCEPTED)
    assert states(world) == ("INCOMPLETE", "PARTIALLY_PAID", "UNFULFILLED")
    world.pay("o", "p2", 20)
    assert states(world) == ("PROCESSING", "PAID", "UNFULFILLED")
    world.do(ShipOrder("o", "s"))
    assert states(world) == ("COMPLETE", "PAID", "FULFILLED")


def test_an_order_that_costs_nothing(world: World) -> None:
    """Total 0: unpaid until its payment of 0, which holds the units; then it ships."""
    world.order("o", CartItem("a", 2, 0, None))
    assert states(world) == ("INCOMPLETE", "UNPAID", "UNFULFILLED")
    with pytest.raises(OrderNotShippable):
        world.do(ShipOrder("o", "s"))
    world.begin("o", "p", 0)
    assert states(world) == ("PROCESSING", "PAID", "UNFULFILLED")
    assert world.numbers("a") == (8, 2)
    world.do(ShipOrder("o", "s"))
    world.check()
