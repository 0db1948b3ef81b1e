"""The two transactions of a payment, and the lease of one in doubt.

The allocation rule: an order's units are held while one of its payments counts (in flight or captured). The
first to count allocates; the transaction that ends the last one releases.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from inventory_server.domain.commands import BeginPayment, ClaimOperation, SettlePayment, content_hash
from inventory_server.domain.errors import (
    AmountExceedsBalance,
    IdReused,
    InvalidValue,
    OrderCancelled,
    OrderNotPayable,
    PaymentInProgress,
    PaymentNotFound,
)
from inventory_server.domain.holding import give_back, hold
from inventory_server.domain.order import OrderView
from inventory_server.domain.payment import Operation, OperationKind, OperationState, Payment
from inventory_server.domain.reservation import Line, Reservation, ReservationState
from inventory_server.domain.state import State


@dataclass(frozen=True, slots=True)
class PaymentBegun:
    """`is_ours`: this very command wrote the operation, so its caller must see it through."""

    payment: Payment
    is_ours: bool


def begin_payment(state: State, command: BeginPayment, _request_id: str | None) -> PaymentBegun:
    """Allocate the whole order, unless it is, and write the operation as PROCESSING."""
    content = content_hash(command)
    seen = state.payments.get(command.payment_id)
    if seen is not None:
        if seen.content_hash != content:
            raise IdReused("payment_id", command.payment_id)
        ours = seen.operation is not None and seen.operation.operation_id == command.operation_id
        return PaymentBegun(seen, is_ours=ours)
    view = state.order_view(command.order_id)
    _need_payable(view, command)
    is_free = command.amount_minor == 0
    _allocate(state, view, command, committed=is_free)
    operation = None
    if not is_free:
        operation = Operation(
            operation_id=command.operation_id,
            payment_id=command.payment_id,
            order_id=command.order_id,
            kind=OperationKind.PURCHASE,
            amount_minor=command.amount_minor,
            state=OperationState.PROCESSING,
            lease_until=state.now + timedelta(seconds=command.lease_s),
            gateway_reference="",
            failure_reason="",
            created_at=state.now,
            updated_at=state.now,
        )
    payment = Payment(
        payment_id=command.payment_id,
        order_id=command.order_id,
        amount_minor=command.amount_minor,
        currency=view.order.currency,
        payment_method=command.payment_method,
        operation=operation,
        content_hash=content,
        created_at=state.now,
    )
    state.payments.put(payment.payment_id, payment)
    return PaymentBegun(payment, is_ours=not is_free)


def settle_payment(state: State, command: SettlePayment, _request_id: str | None) -> Payment:
    """Record the gateway's word by compare-and-set; where nothing counts any more, release."""
    payment, operation = _operation(state, command.payment_id, command.operation_id)
    if operation.state is not OperationState.PROCESSING:
        return payment
    settled = replace(
        payment,
        operation=replace(
            operation,
            state=command.outcome,
            gateway_reference=command.gateway_reference,
            failure_reason=command.failure_reason,
            updated_at=state.now,
        ),
    )
    state.payments.put(settled.payment_id, settled)
    view = state.order_view(command.order_id)
    reservation = view.reservation
    if reservation is not None and reservation.is_live:
        if not any(other.counts for other in view.payments):
            give_back(state, reservation, ReservationState.RELEASED)
        elif settled.counts:
            committed = replace(reservation, state=ReservationState.COMMITTED, updated_at=state.now)
            state.reservations.put(committed.reservation_id, committed)
    return settled


def claim_operation(state: State, command: ClaimOperation, _request_id: str | None) -> PaymentBegun:
    """Take the lease of an operation in doubt; not ours where it is settled or somebody holds it."""
    payment, operation = _operation(state, command.payment_id, command.operation_id)
    if operation.state is not OperationState.PROCESSING or operation.lease_until > state.now:
        return PaymentBegun(payment, is_ours=False)
    lease_until = state.now + timedelta(seconds=command.lease_s)
    claimed = replace(payment, operation=replace(operation, lease_until=lease_until))
    state.payments.put(claimed.payment_id, claimed)
    return PaymentBegun(claimed, is_ours=True)


def _need_payable(view: OrderView, command: BeginPayment) -> None:
    order_id, amount_minor = command.order_id, command.amount_minor
    if amount_minor == 0 and view.order.total_minor > 0:
        raise InvalidValue("amount_minor", "must be at least 1; 0 only where the order's total is 0")
    if view.order.cancelled_at is not None:
        raise OrderCancelled(order_id)
    if view.is_paid and view.order.total_minor == 0:
        raise OrderNotPayable(order_id, "it costs nothing and is paid")
    if amount_minor > view.balance_minor:
        if amount_minor <= view.balance_minor + view.in_flight_minor:
            raise PaymentInProgress(order_id)  # once that is settled there may be room for it
        raise AmountExceedsBalance(amount_minor, view.balance_minor)
    if amount_minor > 0 and not command.has_gateway:
        raise OrderNotPayable(order_id, "no payment gateway is set")


def _allocate(state: State, view: OrderView, command: BeginPayment, *, committed: bool) -> None:
    if view.reservation is not None and view.reservation.is_live:
        return
    reservation = Reservation(
        reservation_id=command.reservation_id,
        order_id=command.order_id,
        owned_by_order=True,
        state=ReservationState.COMMITTED if committed else ReservationState.HELD,
        lines=(),
        expire_time=None,  # the payment decides, not a clock
        content_hash=b"",
        created_at=state.now,
        updated_at=state.now,
    )
    hold(state, reservation, [Line(ln.product_id, ln.quantity, ln.location) for ln in view.order.lines])
    state.orders.put(command.order_id, replace(view.order, reservation_id=command.reservation_id))


def _operation(state: State, payment_id: str, operation_id: str) -> tuple[Payment, Operation]:
    payment = state.payments.get(payment_id)
    if payment is None or payment.operation is None or payment.operation.operation_id != operation_id:
        raise PaymentNotFound(payment_id)
    return payment, payment.operation
