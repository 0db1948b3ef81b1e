"""Payments and the operations that they consist of. A payment's state is derived from its operations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from operator import add, sub
from typing import NamedTuple


class OperationKind(StrEnum):
    """What the gateway is asked to do. PURCHASE or AUTHORIZE begins a payment; the others go on with it."""

    PURCHASE = "PURCHASE"
    AUTHORIZE = "AUTHORIZE"
    CAPTURE = "CAPTURE"
    VOID = "VOID"
    REFUND = "REFUND"
    CONFIRM = "CONFIRM"


class OperationState(StrEnum):
    """What is known of one call to the gateway. PROCESSING = in flight or in doubt."""

    PROCESSING = "PROCESSING"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    FAILED = "FAILED"
    REQUIRES_ACTION = "REQUIRES_ACTION"


class PaymentState(StrEnum):
    PROCESSING = "PROCESSING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    AUTHORIZED = "AUTHORIZED"
    CAPTURED = "CAPTURED"
    DECLINED = "DECLINED"
    FAILED = "FAILED"
    VOIDED = "VOIDED"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"


# What takes the amount or sets it aside when it is accepted, and takes it from the balance until then.
TAKING = frozenset({OperationKind.PURCHASE, OperationKind.AUTHORIZE, OperationKind.CONFIRM})


@dataclass(frozen=True, slots=True)
class Operation:
    """One call to the gateway.

    Attributes:
        lease_until: whoever settles it has until then before others look.
        lapsed: the gateway said of a CAPTURE or VOID that the authorization has run out.
        refund_id: the caller's id of a REFUND; None = a refund that the service began by itself.
        content_hash: what the refund_id was used for; b"" for the other kinds.
        reverses_operation_id: the operation that this one undoes, since the gateway accepted it after an
            administrator had ended it otherwise.
        resolved_at, resolved_by, resolve_reason: that administrator's word; None and "" = the gateway's.
        poll_until: an operation that was ended by hand is still asked about, until then; without end while
            a reversal of it was begun and none accepted.
    """

    operation_id: str
    payment_id: str
    order_id: str
    kind: OperationKind
    amount_minor: int
    state: OperationState
    lease_until: datetime
    gateway_reference: str
    failure_reason: str
    created_at: datetime
    updated_at: datetime
    lapsed: bool = False
    refund_id: str | None = None
    content_hash: bytes = b""
    reverses_operation_id: str | None = None
    resolved_at: datetime | None = None
    resolved_by: str = ""
    resolve_reason: str = ""
    poll_until: datetime | None = None

    @property
    def is_in_flight(self) -> bool:
        return self.state is OperationState.PROCESSING

    @property
    def is_accepted(self) -> bool:
        return self.state is OperationState.ACCEPTED

    def is_unclaimed(self, lease_s: float) -> bool:
        """Whether nobody but who began it, with a lease of so long, can have sent it to the gateway."""
        return self.lease_until == self.created_at + timedelta(seconds=lease_s)


@dataclass(frozen=True, slots=True)
class Payment:
    """A part of an order's total, or all of it. No operation = the order cost nothing.

    `operations` in the order they were begun; one of them at most is in flight.
    """

    payment_id: str
    order_id: str
    amount_minor: int
    currency: str
    payment_method: str
    operations: tuple[Operation, ...]
    content_hash: bytes
    created_at: datetime

    @property
    def first(self) -> Operation | None:
        """The PURCHASE or AUTHORIZE that began it."""
        return self.operations[0] if self.operations else None

    @property
    def in_flight(self) -> Operation | None:
        return next((o for o in self.operations if o.is_in_flight), None)

    @property
    def state(self) -> PaymentState:
        if self.in_flight is not None:
            return PaymentState.PROCESSING
        deciding = self._deciding
        if deciding is None or self.captured_minor:
            if not self.refunded_minor:
                return PaymentState.CAPTURED
            is_whole = self.refunded_minor == self.captured_minor
            return PaymentState.REFUNDED if is_whole else PaymentState.PARTIALLY_REFUNDED
        if self._is_voided:
            return PaymentState.VOIDED
        if deciding.is_accepted:
            return PaymentState.AUTHORIZED
        return PaymentState(deciding.state.value)

    @property
    def counts(self) -> bool:
        """Whether this payment holds the order's units: see the allocation rule, docs/concepts.md.

        A refund in flight belongs to what was captured, a capture or void in flight to an authorization; the
        void of a payment that waits for the shopper belongs to nothing that counts.
        """
        return self.is_definite or (self._deciding is not None and self._deciding.is_in_flight)

    @property
    def is_definite(self) -> bool:
        """Whether the gateway has said yes, and the payment counts."""
        return not self.operations or self.is_authorized or self.captured_minor > 0

    @property
    def is_authorized(self) -> bool:
        """Whether there is an authorization, open or lapsed, that was neither captured nor voided."""
        deciding = self._deciding
        return (
            deciding is not None
            and deciding.is_accepted
            and self.operations[0].kind is OperationKind.AUTHORIZE
            and not self.captured_minor
            and not self._is_voided
        )

    @property
    def is_lapsed(self) -> bool:
        """Whether the gateway said that the authorization has run out."""
        return any(o.lapsed for o in self.operations)

    @property
    def is_capturable(self) -> bool:
        return self.is_authorized and not self.is_lapsed

    @property
    def is_voidable(self) -> bool:
        """Whether there is something to call off: an authorization, or what asks the shopper."""
        return self.is_authorized or self.state is PaymentState.REQUIRES_ACTION

    @property
    def in_flight_minor(self) -> int:
        deciding = self._deciding
        return self.amount_minor if deciding is not None and deciding.is_in_flight else 0

    @property
    def authorized_minor(self) -> int:
        """What an open authorization sets aside: until it is captured, voided or lapsed."""
        return self.amount_minor if self.is_capturable else 0

    @property
    def captured_minor(self) -> int:
        """What was taken; refunds don't lower it."""
        deciding = self._deciding
        if deciding is None or not deciding.is_accepted:
            return 0
        if self.operations[0].kind is OperationKind.PURCHASE:
            return self.amount_minor
        return sum(o.amount_minor for o in self._own(OperationKind.CAPTURE) if o.is_accepted)

    @property
    def refunded_minor(self) -> int:
        return sum(o.amount_minor for o in self._own(OperationKind.REFUND) if o.is_accepted)

    @property
    def refundable_minor(self) -> int:
        """What of the captured is neither given back nor on its way."""
        refunding = (OperationState.ACCEPTED, OperationState.PROCESSING)
        gone = sum(o.amount_minor for o in self._own(OperationKind.REFUND) if o.state in refunding)
        return self.captured_minor - gone

    def operation(self, operation_id: str) -> Operation | None:
        return next((o for o in self.operations if o.operation_id == operation_id), None)

    def reversals_of(self, operation_id: str) -> tuple[Operation, ...]:
        """Return what was begun, whatever came of it, to undo an operation that was accepted too late."""
        return tuple(o for o in self.operations if o.reverses_operation_id == operation_id)

    def target_of(self, operation: Operation) -> Operation | None:
        """Return the operation that the gateway is to go on with: a refund's is what took the money."""
        if operation is self.first:
            return None
        if operation.kind is not OperationKind.REFUND:
            return self.first
        undone = self.operation(operation.reverses_operation_id or "")
        taken = (undone,) if undone else self._own(OperationKind.CAPTURE)
        captures = (o for o in taken if o.kind is OperationKind.CAPTURE and (undone or o.is_accepted))
        return next(captures, self.first)

    @property
    def _deciding(self) -> Operation | None:
        """The operation that decides whether it came about: the first, or the last confirmation.

        A confirmation that was provably never sent decides nothing: the shopper's action is still open. One
        that an administrator called failed may have been sent, so it ends the payment.
        """
        deciding = None
        for operation in self.operations:
            is_void = operation.state is OperationState.FAILED and operation.resolved_at is None
            if operation.kind is OperationKind.CONFIRM and is_void:
                continue
            if operation.kind in TAKING:
                deciding = operation
        return deciding

    @property
    def _is_voided(self) -> bool:
        """Also where the void was refused because there is no authorization any more to call off."""
        return any(
            o.is_accepted or (o.state is OperationState.DECLINED and o.lapsed)
            for o in self._own(OperationKind.VOID)
        )

    def _own(self, kind: OperationKind) -> tuple[Operation, ...]:
        """Return the operations of a kind, without those that only undo what came too late."""
        return tuple(o for o in self.operations if o.kind is kind and o.reverses_operation_id is None)


class PaymentSums(NamedTuple):
    """What the payments of one order come to together; `*_count` are payments of which that holds."""

    captured_minor: int = 0
    refunded_minor: int = 0
    authorized_minor: int = 0
    in_flight_minor: int = 0
    payment_count: int = 0
    in_flight_count: int = 0
    counting_count: int = 0
    definite_count: int = 0

    def changed(self, before: Payment | None, after: Payment | None) -> PaymentSums:
        """Return the sums with one payment changed; None = it was not there."""
        sums = self if before is None else PaymentSums(*map(sub, self, _sums_of(before)))
        return sums if after is None else PaymentSums(*map(add, sums, _sums_of(after)))


def _sums_of(payment: Payment) -> PaymentSums:
    return PaymentSums(
        captured_minor=payment.captured_minor,
        refunded_minor=payment.refunded_minor,
        authorized_minor=payment.authorized_minor,
        in_flight_minor=payment.in_flight_minor,
        payment_count=1,
        in_flight_count=payment.in_flight is not None,
        counting_count=payment.counts,
        definite_count=payment.is_definite,
    )
