"""Lines that take no stock: items that are not tracked, and products that are sold without a record."""

from __future__ import annotations

import pytest

from inventory_server.domain.commands import AddCartItems, Checkout, CreateCart, ReserveStock, UpdateCartItem
from inventory_server.domain.errors import InsufficientStock, OrderCancelled, Shortage
from inventory_server.domain.order import CartItem
from inventory_server.domain.order_commands import CancelOrder, ShipOrder
from inventory_server.domain.payment import OperationState
from inventory_server.domain.reservation import Line, ReservationState
from inventory_server.domain.store import StoreSettings
from support.world import World

A = CartItem("a", 2, 10, None)
WRAP = CartItem("wrap", 1, 5, None, False)
GHOST = CartItem("ghost", 3, 10, None)

SELLS = StoreSettings(sell_unmanaged_products=True)
ONLY_MANAGED = StoreSettings()


@pytest.fixture
def world() -> World:
    """5 of `a`; neither `wrap` nor `ghost` has a record; the store sells what has none."""
    made = World()
    made.settings = SELLS
    made.stock("a", 5)
    return made


def frozen(world: World, order_id: str = "o") -> list[tuple[str, bool, bool]]:
    return [(line.product_id, line.track_stock, line.unmanaged) for line in world.view(order_id).order.lines]


def held(world: World) -> list[tuple[int, str, int]]:
    return [(line.line_number, line.product_id, line.open) for line in world.reservation_of("o").lines]


# --- items that are not tracked ------------------------------------------------------------------


def test_an_untracked_item_is_not_checked_and_costs_its_price(world: World) -> None:
    """A gift wrap goes into cart and order without stock, also of a product that is sold out."""
    world.settings = ONLY_MANAGED
    view = world.order("o", WRAP, CartItem("a", 99, 1, None, False))
    assert view.order.total_minor == 5 + 99
    assert frozen(world) == [("wrap", False, False), ("a", False, False)]


def test_what_was_said_last_of_the_tracking_holds(world: World) -> None:
    """Not said: as it is in the cart, tracked where it is new."""
    world.settings = ONLY_MANAGED
    world.do(CreateCart("c", "EUR"))
    world.do(AddCartItems("c", (WRAP,)))
    cart = world.do(AddCartItems("c", (WRAP._replace(track_stock=None), A)))
    assert [(i.quantity, i.track_stock) for i in cart.items] == [(2, False), (2, True)]
    assert world.do(UpdateCartItem("c", "wrap", quantity=7)).items[0].quantity == 7
    with pytest.raises(InsufficientStock):
        world.do(AddCartItems("c", (WRAP._replace(track_stock=True),)))


def test_an_order_holds_its_tracked_lines_alone(world: World) -> None:
    """The reservation's lines bear the numbers of the order's."""
    world.settings = ONLY_MANAGED
    world.order("o", WRAP, A)
    world.pay("o", "p", 25)
    assert held(world) == [(2, "a", 2)]
    world.do(ShipOrder("o", "s"))
    assert world.numbers("a") == (3, 0)
    world.check()


@pytest.mark.parametrize("item", [WRAP, GHOST])
def test_an_order_that_takes_no_stock_is_paid_shipped_and_cancelled(world: World, item: CartItem) -> None:
    """Without any reservation: it is paid in parts, declined, shipped; another is cancelled."""
    total_minor = world.order("o", item).order.total_minor
    world.begin("o", "p0", 1)
    world.settle("o", "p0", OperationState.DECLINED)
    world.pay("o", "p1", 1)
    world.pay("o", "p2", total_minor - 1)
    assert world.view("o").order.reservation_id is None
    assert world.do(ShipOrder("o", "s")).lines[0].quantity == item.quantity
    assert world.view("o").state == "COMPLETE"

    world.order("o2", item)
    world.pay("o2", "p3", total_minor)
    assert world.do(CancelOrder("o2")).order.state == "CANCELLED"
    with pytest.raises(OrderCancelled):
        world.do(ShipOrder("o2", "s2"))
    assert not world.rows["reservations"] and len(world.log) == 1
    world.check()


# --- products without a record -------------------------------------------------------------------


def test_unmanaged_is_no_shortage_where_the_store_sells_it(world: World) -> None:
    """From cart to payment the line takes no stock, and is frozen so; managed lines are held."""
    world.order("o", GHOST, A)
    assert frozen(world) == [("ghost", True, False), ("a", True, False)]
    world.pay("o", "p", 50)
    assert frozen(world) == [("ghost", True, True), ("a", True, False)]
    assert held(world) == [(2, "a", 2)]
    world.check()


def test_unmanaged_is_a_shortage_where_the_setting_is_off(world: World) -> None:
    """Cart, checkout and payment refuse, each by the setting of its moment."""
    world.settings = ONLY_MANAGED
    world.do(CreateCart("c", "EUR"))
    with pytest.raises(InsufficientStock) as caught:
        world.do(AddCartItems("c", (GHOST,)))
    assert caught.value.shortages == (Shortage("ghost", None, 3, 0, False),)
    world.settings = SELLS
    world.do(AddCartItems("c", (GHOST,)))
    world.settings = ONLY_MANAGED
    with pytest.raises(InsufficientStock):
        world.do(Checkout("c", "o"))


def test_sell_unmanaged_off_before_pay(world: World) -> None:
    """Pay refuses and holds nothing of the rest; an order paid before is unaffected."""
    world.order("paid", GHOST)
    world.pay("paid", "p1", 10)
    world.order("o", GHOST, A)
    world.settings = ONLY_MANAGED
    before = world.snapshot()
    with pytest.raises(InsufficientStock) as caught:
        world.begin("o", "p", 50)
    assert caught.value.shortages == (Shortage("ghost", None, 3, 0, False),)
    assert world.snapshot() == before
    world.pay("paid", "p2", 20)
    assert world.do(ShipOrder("paid", "s")).lines[0].quantity == 3


def test_product_gets_stock_after_an_unmanaged_payment(world: World) -> None:
    """The line is frozen: no later payment, shipment or cancelling touches the new stock."""
    for order_id in ("o", "o2"):
        world.order(order_id, GHOST)
        world.pay(order_id, f"p1 of {order_id}", 10)
    world.stock("ghost", 100)
    for order_id in ("o", "o2"):
        world.pay(order_id, f"p2 of {order_id}", 20)
        assert frozen(world, order_id) == [("ghost", True, True)]
    world.do(ShipOrder("o", "s"))
    world.do(CancelOrder("o2"))
    assert world.numbers("ghost") == (100, 0) and len(world.log) == 2
    world.check()


def test_a_product_that_got_stock_before_the_payment_is_held(world: World) -> None:
    """What is frozen is what the payment found; a declined one froze nothing."""
    world.order("o", GHOST)
    world.begin("o", "p", 30)
    world.settle("o", "p", OperationState.DECLINED)
    world.stock("ghost", 3)
    world.pay("o", "p2", 30)
    assert frozen(world) == [("ghost", True, False)]
    assert held(world) == [(1, "ghost", 3)]
    assert world.reservation_of("o").state is ReservationState.COMMITTED
    world.check()


def test_reserve_stock_ignores_the_setting(world: World) -> None:
    """A reservation is of stock; without a record there is none."""
    with pytest.raises(InsufficientStock) as caught:
        world.do(ReserveStock("r", (Line("ghost", 1),)))
    assert caught.value.shortages == (Shortage("ghost", None, 1, 0, False),)
