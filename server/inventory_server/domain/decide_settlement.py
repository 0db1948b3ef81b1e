"""The end of operations: the gateway's word, an administrator's, and what comes after it; the lease."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from inventory_server.domain.decide_payment import PaymentBegun, new_operation
from inventory_server.domain.errors import PaymentNotFound, PaymentOperationNotFound
from inventory_server.domain.limits import (
    RESOLVED_POLL_S_MAX,
    REVERSAL_PAUSE_S_MAX,
    REVERSALS_PER_OPERATION_MAX,
)
from inventory_server.domain.payment import TAKING, Operation, OperationKind, OperationState, Payment
from inventory_server.domain.payment_commands import ClaimOperation, ResolvePayment, SettlePayment
from inventory_server.domain.settlement import end_operation, put_operation
from inventory_server.domain.state import State


class Settled(NamedTuple):
    """A payment after the gateway's word; `reversal` is an operation that its caller must now see through.

    `gave_up`: none was begun any more, after so many that failed, though money is to be moved back.
    """

    payment: Payment
    reversal: Operation | None = None
    gave_up: bool = False


def settle_payment(state: State, command: SettlePayment, _request_id: str | None) -> Settled:
    """Record the gateway's word by compare-and-set; where nothing counts any more, release.

    The first word stands. But one of an administrator that the gateway contradicts by an acceptance is
    reversed: money that was moved against the books is moved back.
    """
    payment, operation = _operation(state, command.payment_id, command.operation_id)
    if not operation.is_in_flight:
        return _settle_late(state, payment, operation, command)
    if command.outcome is OperationState.REQUIRES_ACTION and operation.kind not in TAKING:
        return Settled(payment)  # what takes nothing waits for no shopper: that is no answer
    if command.outcome is OperationState.FAILED and not operation.is_unclaimed(command.lease_s):
        return Settled(payment)  # whoever has claimed it may have sent it
    ended = replace(
        operation,
        state=command.outcome,
        gateway_reference=command.gateway_reference,
        # Why the service called a payment off stands there before the gateway's word.
        failure_reason=command.failure_reason or operation.failure_reason,
        lapsed=command.lapsed and _may_lapse(operation, command.outcome),
    )
    return Settled(end_operation(state, payment, ended))


def resolve_payment(state: State, command: ResolvePayment, _request_id: str | None) -> Payment:
    """End an operation in doubt by an administrator's word; one that has ended is left as it is.

    But for a reversal that came to nothing: called accepted, the money was moved back by hand.
    """
    if command.order_id is None:  # see decide_payment._payment
        raise PaymentNotFound(command.payment_id)
    payment, operation = _operation(state, command.payment_id, command.operation_id)
    is_accepted = command.outcome is OperationState.ACCEPTED
    if not operation.is_in_flight and not (is_accepted and _is_reversal_in_vain(payment, operation)):
        return payment
    ended = replace(
        operation,
        state=command.outcome,
        lease_until=state.now,  # it is asked about at once whether that is so
        resolved_at=state.now,
        resolved_by=state.actor,
        resolve_reason=command.reason,
        poll_until=None if is_accepted else state.now + timedelta(seconds=RESOLVED_POLL_S_MAX),
    )
    return end_operation(state, payment, ended)


def claim_operation(state: State, command: ClaimOperation, _request_id: str | None) -> PaymentBegun:
    """Take the lease of an operation to ask about; not ours where it is over or somebody holds it."""
    payment, operation = _operation(state, command.payment_id, command.operation_id)
    reversals = len(payment.reversals_of(operation.operation_id))
    is_past = operation.poll_until is not None and operation.poll_until <= state.now
    # What was accepted against the books is not forgotten, nor what nothing could undo as yet.
    if is_past and not reversals and payment.in_flight is None:
        operation = replace(operation, poll_until=None)
        payment = put_operation(state, payment, operation)
    is_over = not operation.is_in_flight and operation.poll_until is None
    if is_over or operation.lease_until > state.now:
        return PaymentBegun(payment, operation, is_ours=False)
    pause_s = command.lease_s if operation.is_in_flight else _pause_s(command.poll_s, reversals)
    claimed = replace(operation, lease_until=state.now + timedelta(seconds=pause_s))
    return PaymentBegun(put_operation(state, payment, claimed), claimed, is_ours=True)


def _pause_s(poll_s: float, reversals: int) -> float:
    """Return how long a gateway is left alone that was asked about what an administrator has ended."""
    return max(poll_s, min(poll_s * 2.0**reversals, REVERSAL_PAUSE_S_MAX))


def _settle_late(state: State, payment: Payment, operation: Operation, command: SettlePayment) -> Settled:
    """Take the gateway's word on an operation that an administrator has ended."""
    if operation.poll_until is None:
        return Settled(payment)
    if command.outcome is OperationState.DECLINED:
        return Settled(put_operation(state, payment, replace(operation, poll_until=None)))
    if command.outcome is not OperationState.ACCEPTED or payment.in_flight is not None:
        return Settled(payment)  # nothing moved, or another operation's turn: it is asked about again
    seen = replace(operation, gateway_reference=command.gateway_reference)
    if operation.kind in (OperationKind.VOID, OperationKind.REFUND):
        return Settled(_agree(state, payment, seen))
    return _reverse(state, payment, seen, command)


def _agree(state: State, payment: Payment, operation: Operation) -> Payment:
    """A void or a refund can't be taken back: the books follow, as far as they have it to give."""
    is_reversal = operation.reverses_operation_id is not None
    fits = (
        payment.is_voidable
        if operation.kind is OperationKind.VOID
        else operation.amount_minor <= payment.refundable_minor
    )
    if fits or is_reversal:
        accepted = replace(operation, state=OperationState.ACCEPTED, poll_until=None)
        return end_operation(state, payment, accepted)
    return put_operation(state, payment, replace(operation, poll_until=None))


def _reverse(state: State, payment: Payment, operation: Operation, command: SettlePayment) -> Settled:
    """Begin to undo what the gateway accepted too late. It is asked about until that is accepted in turn."""
    assert payment.first is not None
    if len(payment.reversals_of(operation.operation_id)) >= REVERSALS_PER_OPERATION_MAX:
        return Settled(payment, gave_up=True)
    is_capture = operation.kind is OperationKind.CAPTURE
    is_held_only = payment.first.kind is OperationKind.AUTHORIZE and not is_capture
    # A capture that came too late has used up the authorization: there is none any more to capture.
    payment = put_operation(state, payment, replace(operation, lapsed=is_capture))
    reversal = new_operation(
        state,
        payment,
        OperationKind.VOID if is_held_only else OperationKind.REFUND,
        command.reversal_id,
        operation.amount_minor,
        command.lease_s,
    )
    reversal = replace(reversal, reverses_operation_id=operation.operation_id)
    return Settled(put_operation(state, payment, reversal), reversal)


def _is_reversal_in_vain(payment: Payment, operation: Operation) -> bool:
    """Whether an operation has ended that was to undo another one, which nothing has undone so far."""
    undone = payment.operation(operation.reverses_operation_id or "")
    return undone is not None and undone.poll_until is not None and payment.in_flight is None


def _may_lapse(operation: Operation, outcome: OperationState) -> bool:
    """Whether a word can mean that the authorization has run out."""
    return outcome is OperationState.DECLINED and operation.kind in (
        OperationKind.CAPTURE,
        OperationKind.VOID,
    )


def _operation(state: State, payment_id: str, operation_id: str) -> tuple[Payment, Operation]:
    payment = state.payments.get(payment_id)
    if payment is None:
        raise PaymentNotFound(payment_id)
    operation = payment.operation(operation_id)
    if operation is None:
        raise PaymentOperationNotFound(payment_id, operation_id)
    return payment, operation
