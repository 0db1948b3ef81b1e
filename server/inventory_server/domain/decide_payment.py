"""The beginning of operations: transaction 1 of each call that goes to the payment gateway.

The first payment to count allocates the whole order, before the gateway hears of it; whatever begins writes
its operation as PROCESSING, and one of a payment at most is in flight.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from inventory_server.domain.allocation import allocate
from inventory_server.domain.commands import content_hash
from inventory_server.domain.errors import (
    AmountExceedsAuthorized,
    AmountExceedsBalance,
    AmountExceedsRefundable,
    IdReused,
    InsufficientStock,
    InvalidValue,
    OrderCancelled,
    OrderNotPayable,
    PaymentInProgress,
    PaymentNotCapturable,
    PaymentNotFound,
    PaymentNotRefundable,
    PaymentNotVoidable,
)
from inventory_server.domain.limits import OPERATIONS_PER_PAYMENT_MAX, PAYMENTS_PER_ORDER_MAX
from inventory_server.domain.order import OrderStanding
from inventory_server.domain.payment import Operation, OperationKind, OperationState, Payment, PaymentState
from inventory_server.domain.payment_commands import (
    BeginCapture,
    BeginConfirm,
    BeginPayment,
    BeginRefund,
    BeginVoid,
)
from inventory_server.domain.settlement import put_operation
from inventory_server.domain.state import State

Begin = BeginCapture | BeginConfirm | BeginRefund | BeginVoid


@dataclass(frozen=True, slots=True)
class PaymentBegun:
    """`is_ours`: this very command wrote the operation, so its caller must see it through."""

    payment: Payment
    operation: Operation | None
    is_ours: bool


def begin_payment(state: State, command: BeginPayment, _request_id: str | None) -> PaymentBegun:
    """Allocate the whole order, unless it is, and write the purchase or authorization as PROCESSING."""
    content = content_hash(command)
    seen = state.payments.get(command.payment_id)
    if seen is not None:
        if seen.content_hash != content:
            raise IdReused("payment_id", command.payment_id)
        first = seen.first
        return PaymentBegun(seen, first, is_ours=first is not None and is_own(first, command))
    view = state.standing(command.order_id)
    _need_payable(view, command)
    is_free = command.amount_minor == 0
    allocate(state, view, command.reservation_id, committed=is_free)
    payment = Payment(
        payment_id=command.payment_id,
        order_id=command.order_id,
        amount_minor=command.amount_minor,
        currency=view.order.currency,
        payment_method=command.payment_method,
        operations=(),
        content_hash=content,
        created_at=state.now,
    )
    if is_free:
        state.payments.put(payment.payment_id, payment)
        return PaymentBegun(payment, None, is_ours=False)
    operation = new_operation(
        state, payment, command.kind, command.operation_id, command.amount_minor, command.lease_s
    )
    return PaymentBegun(put_operation(state, payment, operation), operation, is_ours=True)


def begin_capture(state: State, command: BeginCapture, _request_id: str | None) -> PaymentBegun:
    """Write the capture of an open authorization as PROCESSING; the units stay where they are."""
    payment, view = _payment(state, command)
    if view.order.cancelled_at is not None:
        raise OrderCancelled(payment.order_id)
    _need_idle(payment, command)
    if not payment.is_capturable:
        why = ("its authorization has lapsed",) if payment.is_authorized else ()
        raise PaymentNotCapturable(payment.payment_id, payment.state, *why)
    if command.amount_minor > payment.authorized_minor:
        raise AmountExceedsAuthorized(command.amount_minor, payment.authorized_minor)
    return _begin(state, payment, OperationKind.CAPTURE, command, command.amount_minor)


def begin_void(state: State, command: BeginVoid, _request_id: str | None) -> PaymentBegun:
    """Write the void of an authorization, or of what asks the shopper, as PROCESSING.

    An authorization counts until the void is accepted.
    """
    payment, _ = _payment(state, command)
    _need_idle(payment, command)
    if not payment.is_voidable:
        raise PaymentNotVoidable(payment.payment_id, payment.state)
    return _begin(state, payment, OperationKind.VOID, command, payment.amount_minor)


def begin_refund(state: State, command: BeginRefund, _request_id: str | None) -> PaymentBegun:
    """Write a refund of what was captured as PROCESSING. It moves no unit and reopens no balance."""
    content = content_hash(command)
    seen = state.payments.of_refund(command.refund_id)
    if seen is not None:
        refund = next(o for o in seen.operations if o.refund_id == command.refund_id)
        if refund.content_hash != content:
            raise IdReused("refund_id", command.refund_id)
        return PaymentBegun(seen, refund, is_ours=is_own(refund, command))
    payment, _ = _payment(state, command)
    _need_idle(payment, command)
    if not payment.refundable_minor:
        raise PaymentNotRefundable(payment.payment_id, payment.state)
    if command.amount_minor > payment.refundable_minor:
        raise AmountExceedsRefundable(command.amount_minor, payment.refundable_minor)
    begun = _begin(state, payment, OperationKind.REFUND, command, command.amount_minor)
    assert begun.operation is not None
    operation = replace(begun.operation, refund_id=command.refund_id, content_hash=content)
    return PaymentBegun(put_operation(state, begun.payment, operation), operation, is_ours=True)


def begin_confirm(state: State, command: BeginConfirm, _request_id: str | None) -> PaymentBegun:
    """Allocate again for a payment whose shopper has acted, and write its confirmation as PROCESSING."""
    payment, view = _payment(state, command)
    if view.order.cancelled_at is not None:
        raise OrderCancelled(payment.order_id)
    _need_idle(payment, command)
    if payment.state is not PaymentState.REQUIRES_ACTION:
        raise OrderNotPayable(payment.order_id, f"payment {payment.payment_id!r} waits for no confirmation")
    _need_balance(view, payment.amount_minor)
    _need_room(payment, OperationKind.CONFIRM)
    try:
        allocate(state, view, command.reservation_id, committed=False)
    except InsufficientStock as short:
        if not command.or_void:
            raise
        begun = _begin(state, payment, OperationKind.VOID, command, payment.amount_minor)
        assert begun.operation is not None
        told = replace(begun.operation, failure_reason=short.message)
        return PaymentBegun(put_operation(state, begun.payment, told), told, is_ours=True)
    return _begin(state, payment, OperationKind.CONFIRM, command, payment.amount_minor)


def is_own(operation: Operation, command: BeginPayment | Begin) -> bool:
    """Whether a command finds its own work, from before a lost COMMIT, and may still send it.

    Once somebody has claimed it, they may have sent it: then it is theirs to see through.
    """
    is_same = operation.operation_id == command.operation_id
    return is_same and operation.is_in_flight and operation.is_unclaimed(command.lease_s)


def new_operation(
    state: State,
    payment: Payment,
    kind: OperationKind,
    operation_id: str,
    amount_minor: int,
    lease_s: float,
) -> Operation:
    """Return an operation that begins now, PROCESSING until the gateway's word is recorded."""
    return Operation(
        operation_id=operation_id,
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        kind=kind,
        amount_minor=amount_minor,
        state=OperationState.PROCESSING,
        lease_until=state.now + timedelta(seconds=lease_s),
        gateway_reference="",
        failure_reason="",
        created_at=state.now,
        updated_at=state.now,
    )


def _begin(
    state: State, payment: Payment, kind: OperationKind, command: Begin, amount_minor: int
) -> PaymentBegun:
    _need_room(payment, kind)
    operation = new_operation(state, payment, kind, command.operation_id, amount_minor, command.lease_s)
    return PaymentBegun(put_operation(state, payment, operation), operation, is_ours=True)


def _need_room(payment: Payment, kind: OperationKind) -> None:
    """Raise the refusal of a call that would begin one operation too many."""
    if len(payment.operations) < OPERATIONS_PER_PAYMENT_MAX:
        return
    why = f"it has {OPERATIONS_PER_PAYMENT_MAX} operations, and no more are begun"
    if kind is OperationKind.CAPTURE:
        raise PaymentNotCapturable(payment.payment_id, payment.state, why)
    if kind is OperationKind.VOID:
        raise PaymentNotVoidable(payment.payment_id, payment.state, why)
    if kind is OperationKind.REFUND:
        raise PaymentNotRefundable(payment.payment_id, payment.state, why)
    raise OrderNotPayable(payment.order_id, f"payment {payment.payment_id!r}: {why}")


def _payment(state: State, command: Begin) -> tuple[Payment, OrderStanding]:
    payment = state.payments.get(command.payment_id)
    # No order: the payment was not there when the call came, so no order was loaded. It may have been made
    # since, side by side with this call, and then "not found" is true of one order of the two.
    if payment is None or command.order_id is None:
        raise PaymentNotFound(command.payment_id)
    return payment, state.standing(payment.order_id)


def _need_idle(payment: Payment, command: Begin) -> None:
    if payment.in_flight is not None:
        raise PaymentInProgress(payment.order_id)
    if not command.has_gateway:
        raise OrderNotPayable(payment.order_id, "no payment gateway is set")


def _need_payable(view: OrderStanding, command: BeginPayment) -> None:
    order_id, amount_minor = command.order_id, command.amount_minor
    if amount_minor == 0 and view.order.total_minor > 0:
        raise InvalidValue("amount_minor", "must be at least 1; 0 only where the order's total is 0")
    if view.order.cancelled_at is not None:
        raise OrderCancelled(order_id)
    if view.is_paid and view.order.total_minor == 0:
        raise OrderNotPayable(order_id, "it costs nothing and is paid")
    _need_balance(view, amount_minor)
    if view.money.payment_count >= PAYMENTS_PER_ORDER_MAX:
        raise OrderNotPayable(order_id, f"it has {PAYMENTS_PER_ORDER_MAX} payments, and no more are taken")
    if amount_minor > 0 and not command.has_gateway:
        raise OrderNotPayable(order_id, "no payment gateway is set")


def _need_balance(view: OrderStanding, amount_minor: int) -> None:
    if amount_minor <= view.balance_minor:
        return
    if amount_minor <= view.balance_minor + view.in_flight_minor:
        raise PaymentInProgress(view.order.order_id)  # once that is settled there may be room for it
    raise AmountExceedsBalance(amount_minor, view.balance_minor)
