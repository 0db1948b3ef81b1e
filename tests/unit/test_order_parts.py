"""Orders in parts: several shipments, the rest released, units that come back or go to another order."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_server.domain.errors import (
    IdReused,
    InsufficientStock,
    LocationNotFound,
    OrderCancelled,
    OrderNotCancellable,
    OrderNotFound,
    OrderNotShippable,
    PaymentInProgress,
    QuantityExceedsHeld,
    QuantityOverflow,
    ReturnExceedsShipped,
)
from inventory_server.domain.limits import (
    LINES_MAX,
    MOVED_LINES_PER_ORDER_MAX,
    RETURNS_PER_ORDER_MAX,
    SHIPMENTS_PER_ORDER_MAX,
    TARGET_HOLD_S,
)
from inventory_server.domain.location import Location
from inventory_server.domain.order import CartItem, OrderShippingState, OrderState
from inventory_server.domain.order_commands import CancelOrder, ReturnOrderItems, ShipOrder
from inventory_server.domain.payment import OperationKind, OperationState
from inventory_server.domain.reservation import Line, LineUnits, ReservationState
from support.world import World

A, B = CartItem("a", 3, 10, None), CartItem("b", 2, 35, None)
WRAP = CartItem("wrap", 2, 0, None, False)
TWO_PLACES = (Location("default"), Location("far"))


def units(*pairs: tuple[int, int]) -> tuple[LineUnits, ...]:
    return tuple(LineUnits(*pair) for pair in pairs)


@pytest.fixture
def world() -> World:
    """10 of `a`, 5 of `b`; order `o` of 3 `a`, 2 `b` and 2 gift wraps is paid, `t` of all 10 `a` not."""
    made = World(TWO_PLACES)
    made.stock("a", 10)
    made.stock("b", 5)
    made.order("o", A, B, WRAP)
    made.order("t", CartItem("a", 10, 1, None), WRAP)
    made.pay("o", "p", 100)
    return made


def states(world: World) -> tuple[OrderState, OrderShippingState]:
    view = world.view("o")
    return view.state, view.shipping_state


# --- ship ----------------------------------------------------------------------------------------


def test_ship_in_parts(world: World) -> None:
    """Line by line, unit by unit; the order is complete with the last of them, a gift wrap's too."""
    world.do(ShipOrder("o", "s1", units((1, 1), (3, 1))))
    assert states(world) == ("PROCESSING", "PARTIALLY_FULFILLED")
    assert world.numbers("a") == (7, 2) and world.numbers("b") == (3, 2)
    assert world.reservation_of("o").state is ReservationState.COMMITTED
    world.do(ShipOrder("o", "s2", units((1, 2), (2, 2))))
    assert states(world) == ("PROCESSING", "PARTIALLY_FULFILLED")
    assert world.reservation_of("o").state is ReservationState.CLOSED
    world.check()
    world.do(ShipOrder("o", "s3", units((3, 1))))
    assert states(world) == ("COMPLETE", "FULFILLED")
    assert world.numbers("a") == (7, 0) and world.numbers("b") == (3, 0)
    world.check()


def test_ship_what_is_left(world: World) -> None:
    """Without lines: all that was not shipped yet, and only that."""
    world.do(ShipOrder("o", "s1", units((1, 2), (2, 2))))
    assert world.do(ShipOrder("o", "s2")).lines == units((1, 1), (3, 2))
    with pytest.raises(OrderNotShippable):
        world.do(ShipOrder("o", "s3"))
    world.check()


@pytest.mark.parametrize(("asked", "line", "left"), [((1, 4), 1, 3), ((3, 3), 3, 2), ((4, 1), 4, 0)])
def test_ship_more_than_is_left(world: World, asked: tuple[int, int], line: int, left: int) -> None:
    """Refused as a whole, also where the order has no such line."""
    before = world.snapshot()
    with pytest.raises(QuantityExceedsHeld) as caught:
        world.do(ShipOrder("o", "s", units((2, 1), asked)))
    assert (caught.value.line_number, caught.value.open_count) == (line, left)
    assert world.snapshot() == before


def test_ship_in_parts_is_repeatable(world: World) -> None:
    """The same units answer the shipment; other units under its id are ID_REUSED."""
    first = world.do(ShipOrder("o", "s", units((1, 1))))
    assert world.do(ShipOrder("o", "s", units((1, 1)))) == first
    for other in (units((1, 2)), ()):
        with pytest.raises(IdReused):
            world.do(ShipOrder("o", "s", other))
    assert world.numbers("a") == (7, 2)


@pytest.mark.parametrize("outcome", [None, OperationState.ACCEPTED])
def test_ship_after_a_refund(world: World, outcome: OperationState | None) -> None:
    """While it is in flight, and after a whole one: refused; after one of a part the rest is shipped."""
    world.do(ShipOrder("o", "s1", units((1, 1))))
    world.go_on("p", OperationKind.REFUND, "f1", 40, OperationState.ACCEPTED)
    world.do(ShipOrder("o", "s2", units((1, 1))))
    world.go_on("p", OperationKind.REFUND, "f2", 60, outcome)
    with pytest.raises(PaymentInProgress if outcome is None else OrderNotShippable):
        world.do(ShipOrder("o", "s3"))


# --- cancel the rest -----------------------------------------------------------------------------


def test_cancel_after_a_part_was_shipped(world: World) -> None:
    """Only the rest is released; the order is complete, not cancelled, and ships no more."""
    world.do(ShipOrder("o", "s1", units((1, 1))))
    view = world.do(CancelOrder("o")).order
    assert (view.state, view.shipping_state) == ("COMPLETE", "PARTIALLY_FULFILLED")
    assert view.order.cancelled_at == world.now
    assert world.numbers("a") == (9, 0) and world.numbers("b") == (5, 0)
    assert world.reservation_of("o").state is ReservationState.CLOSED
    with pytest.raises(OrderCancelled):
        world.do(ShipOrder("o", "s2"))
    before = world.snapshot()
    world.do(CancelOrder("o"))
    assert world.snapshot() == before
    world.check()


# --- return --------------------------------------------------------------------------------------


def test_return_in_parts_up_to_what_was_shipped(world: World) -> None:
    """Restocked where the line was served; a unit more than was shipped never comes back."""
    world.do(ShipOrder("o", "s", units((1, 2), (3, 2))))
    world.do(ReturnOrderItems("o", "r1", units((1, 1), (3, 1)), True))
    assert world.numbers("a") == (8, 1)
    for asked, left in (((1, 2), 1), ((3, 2), 1), ((2, 1), 0), ((9, 1), 0)):
        before = world.snapshot()
        with pytest.raises(ReturnExceedsShipped) as caught:
            world.do(ReturnOrderItems("o", "r2", units(asked), True))
        assert caught.value.returnable == left
        assert world.snapshot() == before
    returned = world.do(ReturnOrderItems("o", "r2", units((1, 1), (3, 1)), True))
    assert [each.return_id for each in returned.order.returns] == ["r1", "r2"]
    assert world.numbers("a") == (9, 1)
    world.check()


def test_return_without_restocking(world: World) -> None:
    """The units count as returned, and no level changes."""
    world.do(ShipOrder("o", "s"))
    entries = len(world.log)
    world.do(ReturnOrderItems("o", "r", units((1, 3)), False))
    assert len(world.log) == entries
    with pytest.raises(ReturnExceedsShipped):
        world.do(ReturnOrderItems("o", "r2", units((1, 1)), True))
    world.check()


def test_return_to_another_location(world: World) -> None:
    """Where the caller says; one that there isn't is not found, whatever else is wrong."""
    world.do(ShipOrder("o", "s"))
    world.do(ReturnOrderItems("o", "r", units((1, 2)), True, "far"))
    assert world.level("a", "far").available == 2
    for asked in (units((1, 1)), units((3, 99))):
        with pytest.raises(LocationNotFound):
            world.do(ReturnOrderItems("o", "r2", asked, True, "gone"))
    world.check()


def test_return_is_repeatable(world: World) -> None:
    """The same return_id and content answers the return and the order as it is now."""
    world.do(ShipOrder("o", "s"))
    command = ReturnOrderItems("o", "r", units((1, 1)), True)
    first = world.do(command)
    world.do(ReturnOrderItems("o", "r2", units((1, 1)), True))
    again = world.do(command)
    assert again.order_return == first.order_return
    assert len(again.order.returns) == 2
    with pytest.raises(IdReused):
        world.do(ReturnOrderItems("o", "r", units((1, 2)), True))
    with pytest.raises(OrderNotFound):
        world.do(ReturnOrderItems("ghost", "r3", units((1, 1)), True))


def test_refund_and_cancel_and_return(world: World) -> None:
    """Cancel frees what was not shipped, return restocks what was: never one unit twice."""
    world.do(ShipOrder("o", "s", units((1, 1), (2, 2))))
    world.go_on("p", OperationKind.REFUND, "f", 100, OperationState.ACCEPTED)
    world.do(CancelOrder("o"))
    world.do(ReturnOrderItems("o", "r", units((1, 1), (2, 2)), True))
    assert world.numbers("a") == (10, 0) and world.numbers("b") == (5, 0)
    with pytest.raises(ReturnExceedsShipped):
        world.do(ReturnOrderItems("o", "r2", units((1, 1)), True))
    world.check()


# --- how many there are --------------------------------------------------------------------------


def all_of(verdicts: list[Any]) -> list[Any]:
    assert not [verdict for verdict in verdicts if isinstance(verdict, Exception)]
    return verdicts


def test_so_many_shipments_of_an_order_and_no_more() -> None:
    """At the limit the last is taken, past it none but a repeat; what is left can be cancelled."""
    made = World()
    made.stock("a", SHIPMENTS_PER_ORDER_MAX + 1)
    made.order("o", CartItem("a", SHIPMENTS_PER_ORDER_MAX + 1, 1, None))
    made.pay("o", "p", SHIPMENTS_PER_ORDER_MAX + 1)
    ships = [ShipOrder("o", f"s{number}", units((1, 1))) for number in range(SHIPMENTS_PER_ORDER_MAX)]
    taken = all_of(made.batch(*ships))
    with pytest.raises(OrderNotShippable, match="1000 shipments"):
        made.do(ShipOrder("o", "one more"))
    assert made.do(ships[0]) == taken[0]
    assert made.do(CancelOrder("o")).order.state is OrderState.COMPLETE
    made.check()


def test_so_many_returns_of_an_order_and_no_more() -> None:
    """At the limit the last is taken, past it none but a repeat, though more was shipped."""
    made = World()
    made.stock("a", RETURNS_PER_ORDER_MAX + 1)
    made.order("o", CartItem("a", RETURNS_PER_ORDER_MAX + 1, 1, None))
    made.pay("o", "p", RETURNS_PER_ORDER_MAX + 1)
    made.do(ShipOrder("o", "s"))
    returns = [
        ReturnOrderItems("o", f"r{number}", units((1, 1)), False) for number in range(RETURNS_PER_ORDER_MAX)
    ]
    taken = all_of(made.batch(*returns))
    with pytest.raises(QuantityOverflow, match="limit of 1000"):
        made.do(ReturnOrderItems("o", "one more", units((1, 1)), True))
    assert made.do(returns[0]).order_return == taken[0].order_return
    made.check()


def test_so_many_lines_in_an_orders_shipments_and_returns() -> None:
    """Ten of 1,000 lines are taken, and no line more; each has a count of its own."""
    times = MOVED_LINES_PER_ORDER_MAX // LINES_MAX
    made = World()
    made.order("o", *(CartItem(f"wrap-{n}", times + 1, 1, None, False) for n in range(LINES_MAX)))
    made.pay("o", "p", made.view("o").order.total_minor)
    every = units(*((number, 1) for number in range(1, LINES_MAX + 1)))
    first_twice = (LineUnits(1, 2), *every[1:])
    ships = [ShipOrder("o", f"s{number}", every) for number in range(1, times)]
    all_of(made.batch(ShipOrder("o", "s0", first_twice), *ships))
    with pytest.raises(OrderNotShippable, match="10000 lines"):
        made.do(ShipOrder("o", "one more", units((2, 1))))
    all_of(made.batch(*(ReturnOrderItems("o", f"r{number}", every, False) for number in range(times))))
    with pytest.raises(QuantityOverflow, match="limit of 10000"):
        made.do(ReturnOrderItems("o", "one more", units((1, 1)), False))
    made.check()


# --- cancel with a target ------------------------------------------------------------------------


def to(target: str) -> CancelOrder:
    return CancelOrder("o", target, f"hold for {target}")


def test_cancel_with_a_target_moves_the_units(world: World) -> None:
    """The source releases, the target holds its whole for 24 h, unpaid: in one command."""
    world.do(ShipOrder("o", "s", units((2, 1))))
    moved = world.do(to("t"))
    assert moved.order.state == "COMPLETE"
    assert (moved.target.state, moved.target.payment_state) == ("INCOMPLETE", "UNPAID")
    held = world.reservation_of("t")
    assert (held.state, held.owned_by_order) == (ReservationState.HELD, True)
    assert (held.expire_time - world.now).total_seconds() == TARGET_HOLD_S
    assert world.numbers("a") == (0, 10) and world.numbers("b") == (4, 0)
    world.check()
    world.pay("t", "p-t", 10)
    assert world.reservation_of("t") == world.rows["reservations"]["hold for t"]
    assert world.reservation_of("t").state is ReservationState.COMMITTED
    world.check()


def test_cancel_with_a_target_that_is_short_changes_nothing() -> None:
    """All or nothing: the source goes on holding its units."""
    made = World(TWO_PLACES)
    made.stock("a", 10)
    made.order("o", A)
    made.order("t", CartItem("a", 10, 1, None))
    made.pay("o", "p", 30)
    made.hold("r", Line("a", 1))
    before = made.snapshot()
    with pytest.raises(InsufficientStock) as caught:
        made.do(to("t"))
    assert caught.value.shortages[0][2:4] == (10, 9)
    assert made.snapshot() == before


def test_what_a_target_must_be(world: World) -> None:
    """There, not cancelled, unpaid, with nothing in flight and nothing held; else nothing changes."""
    world.order("cancelled", A)
    world.do(CancelOrder("cancelled"))
    world.order("flying", A)
    world.begin("flying", "p-f", 10)
    world.order("paid", A)
    world.pay("paid", "p-p", 1)
    world.order("source", CartItem("a", 1, 1, None))
    world.order("held", CartItem("a", 1, 1, None))
    world.do(CancelOrder("source", "held", "hold for held"))
    before = world.snapshot()
    for target, refusal in (
        ("ghost", OrderNotFound),
        ("cancelled", OrderCancelled),
        ("flying", PaymentInProgress),
        ("paid", OrderNotCancellable),
        ("held", OrderNotCancellable),
    ):
        with pytest.raises(refusal):
            world.do(to(target))
    assert world.snapshot() == before
    world.wait(TARGET_HOLD_S)
    assert world.do(CancelOrder("o", "held", "hold again")).target.held_count == 1
    world.check()


def test_a_cancelled_source_has_nothing_to_give(world: World) -> None:
    """Cancelling it again is OK, giving its units away is not."""
    world.do(CancelOrder("o"))
    before = world.snapshot()
    with pytest.raises(OrderCancelled):
        world.do(to("t"))
    assert world.snapshot() == before


def test_the_hold_of_a_target_runs_out(world: World) -> None:
    """After 24 h whoever needs its units gets them; its payment then allocates afresh, or is refused."""
    world.do(to("t"))
    world.wait(TARGET_HOLD_S)
    world.pay("t", "p-t", 10)
    assert world.rows["reservations"]["hold for t"].state is ReservationState.EXPIRED
    assert world.reservation_of("t").state is ReservationState.COMMITTED
    world.check()
