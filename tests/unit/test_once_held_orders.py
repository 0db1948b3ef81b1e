"""Orders that hold units by a clock before they are paid: what a payment does to that hold, and its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from inventory_server.domain.commands import CreateStockTransaction, ExpireReservation
from inventory_server.domain.errors import InsufficientStock, OrderCancelled
from inventory_server.domain.holding import hold
from inventory_server.domain.order import CartItem
from inventory_server.domain.order_commands import CancelOrder
from inventory_server.domain.payment import OperationKind, OperationState, PaymentState
from inventory_server.domain.reservation import Line, Reservation, ReservationState
from inventory_server.domain.stock import Action
from support.world import World, begin, further

HOLD_S = 24 * 3600
ACCEPTED, DECLINED = OperationState.ACCEPTED, OperationState.DECLINED
ENDS_IT = [DECLINED, OperationState.FAILED, OperationState.REQUIRES_ACTION]
HELD, FREE = (7, 3), (10, 0)


@pytest.fixture
def world() -> World:
    """10 of `a`; an unpaid order `o` of 3 that costs 300 and holds its units for 24 h."""
    made = World()
    made.stock("a", 10)
    order = made.order("o", CartItem("a", 3, 100, None)).order
    state = made.state()
    reservation = Reservation(
        "early", "o", True, ReservationState.HELD, (), made.now + timedelta(seconds=HOLD_S), b"", made.now,
        made.now,
    )  # fmt: skip
    hold(state, reservation, [Line("a", 3)])
    state.orders.put("o", replace(order, reservation_id="early"))
    state.keep()
    made.keep(state)
    made.check()
    return made


def test_a_payment_suspends_the_expiry(world: World) -> None:
    """Nothing more is allocated; the time is kept, and while the payment is in flight it does not count."""
    entries = len(world.log)
    world.begin("o", "p", 300)
    held = world.reservation_of("o")
    assert (held.reservation_id, held.state, held.expiry_suspended) == ("early", ReservationState.HELD, True)
    assert held.expire_time is not None and len(world.log) == entries
    world.wait(HOLD_S)
    assert not held.is_due(world.now)
    world.do(ExpireReservation("early"))
    assert world.numbers("a") == HELD
    world.check()


@pytest.mark.parametrize("kind", [OperationKind.PURCHASE, OperationKind.AUTHORIZE])
def test_committed_on_the_first_acceptance(world: World, kind: OperationKind) -> None:
    """Captured or authorized: from then on no clock counts, also where a later payment is declined."""
    world.do(begin("o", "p", 100, kind=kind))
    world.begin("o", "q", 200)
    world.wait(HOLD_S + 1)
    world.settle("o", "p", ACCEPTED)
    world.settle("o", "q", DECLINED)
    held = world.reservation_of("o")
    assert (held.state, held.expire_time, held.expiry_suspended) == (ReservationState.COMMITTED, None, False)
    assert world.numbers("a") == HELD
    world.check()


@pytest.mark.parametrize("outcome", ENDS_IT)
@pytest.mark.parametrize("seconds", [0, HOLD_S - 0.000001])
def test_decline_of_a_once_held_order_back_to_held(
    world: World, seconds: float, outcome: OperationState
) -> None:
    """Not due yet: the hold goes on until its own time, which then ends it."""
    world.begin("o", "p", 300)
    world.wait(seconds)
    world.settle("o", "p", outcome)
    held = world.reservation_of("o")
    assert (held.state, held.expiry_suspended) == (ReservationState.HELD, False)
    assert world.numbers("a") == HELD
    world.check()
    world.wait(HOLD_S - seconds)
    world.do(ExpireReservation("early"))
    assert (world.reservation_of("o").state, world.numbers("a")) == (ReservationState.EXPIRED, FREE)


@pytest.mark.parametrize("outcome", ENDS_IT)
def test_decline_of_a_once_held_order_else_expired(world: World, outcome: OperationState) -> None:
    """Due meanwhile: EXPIRED by the transaction that ends the last payment, and in the log as that."""
    world.begin("o", "p", 300)
    world.wait(HOLD_S)
    world.settle("o", "p", outcome)
    assert (world.reservation_of("o").state, world.numbers("a")) == (ReservationState.EXPIRED, FREE)
    assert world.log[-1].action is Action.EXPIRE
    world.check()


def test_two_at_once_the_last_decline_decides(world: World) -> None:
    """While another payment counts the expiry stays suspended."""
    world.begin("o", "p", 100)
    world.begin("o", "q", 100)
    world.settle("o", "p", DECLINED)
    assert world.reservation_of("o").expiry_suspended
    world.wait(HOLD_S)
    assert world.numbers("a") == HELD
    world.settle("o", "q", DECLINED)
    assert world.numbers("a") == FREE
    world.check()


def test_due_at_that_instant(world: World) -> None:
    """As expired: the units go back and the payment allocates afresh, under a reservation of its own."""
    world.wait(HOLD_S)
    world.begin("o", "p", 300)
    held = world.reservation_of("o")
    assert (held.reservation_id, held.expire_time) == ("hold for p", None)
    assert world.rows["reservations"]["early"].state is ReservationState.EXPIRED
    assert [entry.action for entry in world.log[-2:]] == [Action.EXPIRE, Action.RESERVE]
    assert world.numbers("a") == HELD
    world.check()


def test_due_and_no_longer_to_be_had(world: World) -> None:
    """Where the units are gone the payment is refused; the expiry stands all the same."""
    world.wait(HOLD_S)
    expired, taken, refused = world.batch(
        ExpireReservation("early"),
        CreateStockTransaction("a", Action.DECREMENT, 8),
        begin("o", "p", 300),
    )
    assert not isinstance(expired, Exception) and not isinstance(taken, Exception)
    assert isinstance(refused, InsufficientStock)
    assert (world.reservation_of("o").state, world.numbers("a")) == (ReservationState.EXPIRED, (2, 0))
    world.check()


def test_an_authorization_that_is_voided_releases(world: World) -> None:
    """Once committed the hold's own time is gone: the last payment's end releases."""
    world.authorize("o", "p", 300)
    assert world.go_on("p", OperationKind.VOID, "v", outcome=ACCEPTED).state is PaymentState.VOIDED
    assert (world.reservation_of("o").state, world.numbers("a")) == (ReservationState.RELEASED, FREE)
    world.check()


def test_a_confirmation_keeps_an_earlier_hold(world: World) -> None:
    """Waiting for the shopper the hold goes on by its clock; the confirmation suspends it again."""
    world.begin("o", "p", 300)
    world.settle("o", "p", OperationState.REQUIRES_ACTION)
    assert not world.reservation_of("o").expiry_suspended
    world.go_on("p", OperationKind.CONFIRM, "k")
    assert world.reservation_of("o").expiry_suspended
    world.settle("o", "p", ACCEPTED, "k")
    assert world.reservation_of("o").state is ReservationState.COMMITTED
    world.check()


def test_an_order_that_costs_nothing_commits_its_hold(world: World) -> None:
    """Its payment of 0 needs no gateway, and no clock counts after it."""
    state = world.state()
    state.orders.put("o", replace(world.view("o").order, total_minor=0))
    state.keep()
    world.keep(state)
    world.begin("o", "p", 0)
    held = world.reservation_of("o")
    assert (held.state, held.expire_time) == (ReservationState.COMMITTED, None)
    world.check()


def test_cancelling_releases_such_a_hold(world: World) -> None:
    """A hold before any payment is released like any other, and the order is paid no more."""
    world.do(CancelOrder("o"))
    assert world.numbers("a") == FREE
    with pytest.raises(OrderCancelled):
        world.begin("o", "p", 300)
    world.check()


def test_the_end_of_a_payment_that_never_counted_leaves_the_hold(world: World) -> None:
    """What asked the shopper before the order was held never held a unit, so its void gives none back."""
    world.begin("o", "asks", 300)
    world.settle("o", "asks", OperationState.REQUIRES_ACTION)
    assert world.numbers("a") == HELD
    world.do(further(OperationKind.VOID, "o", "asks", "void"))
    assert world.settle("o", "asks", ACCEPTED, "void").state is PaymentState.VOIDED
    assert world.numbers("a") == HELD
    assert world.reservation_of("o").state is ReservationState.HELD
    world.check()
