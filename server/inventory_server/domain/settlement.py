"""What an operation's end does to its payment, and the payment's to the order's units.

The allocation rule: an order's units are held while one of its payments counts (in flight, authorized,
captured or refunded). The transaction that ends the last one gives them back.
"""

from __future__ import annotations

from dataclasses import replace

from inventory_server.domain.holding import give_back
from inventory_server.domain.order import OrderStanding
from inventory_server.domain.payment import Operation, Payment
from inventory_server.domain.reservation import Reservation, ReservationState
from inventory_server.domain.state import State


def put_operation(state: State, payment: Payment, operation: Operation) -> Payment:
    """Draft a payment with an operation changed or, where it has none of this id, begun."""
    is_known = payment.operation(operation.operation_id) is not None
    others = [operation if o.operation_id == operation.operation_id else o for o in payment.operations]
    changed = replace(payment, operations=tuple(others if is_known else [*others, operation]))
    state.payments.put(changed.payment_id, changed)
    return changed


def end_operation(state: State, payment: Payment, ended: Operation) -> Payment:
    """Draft an operation's end and what follows from it for the order's units."""
    changed = put_operation(state, payment, replace(ended, updated_at=state.now))
    undone = changed.operation(ended.reverses_operation_id or "")
    if undone is not None and (ended.is_accepted or ended.lapsed):
        changed = put_operation(state, changed, replace(undone, poll_until=None))
    _units_follow(state, state.standing(payment.order_id))
    return changed


def _units_follow(state: State, view: OrderStanding) -> None:
    reservation = view.reservation
    if reservation is None or not reservation.is_live:
        return
    if view.is_counting:
        if reservation.state is ReservationState.HELD and view.is_definite:
            _commit(state, reservation)
    elif reservation.state is ReservationState.HELD and reservation.expire_time is not None:
        # A hold that no payment made: it has a time of its own, and one that never counted can't end it.
        if reservation.expiry_suspended:
            _resume(state, reservation)
    else:
        give_back(state, reservation, ReservationState.RELEASED)


def _commit(state: State, reservation: Reservation) -> None:
    committed = reservation._replace(
        state=ReservationState.COMMITTED,
        expire_time=None,
        expiry_suspended=False,
        updated_at=state.now,
    )
    state.reservations.put(committed.reservation_id, committed)


def _resume(state: State, reservation: Reservation) -> None:
    """A hold from before the payment goes on until its own time, or is over if that has passed."""
    resumed = reservation._replace(expiry_suspended=False, updated_at=state.now)
    if resumed.is_due(state.now):
        give_back(state, resumed, ReservationState.EXPIRED)
    else:
        state.reservations.put(resumed.reservation_id, resumed)
