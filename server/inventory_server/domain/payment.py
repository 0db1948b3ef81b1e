"""Payments and the operations that they consist of. A payment's state is derived from its operations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class OperationState(StrEnum):
    """What is known of one call to the gateway. PROCESSING = in flight or in doubt."""

    PROCESSING = "PROCESSING"
    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    FAILED = "FAILED"
    REQUIRES_ACTION = "REQUIRES_ACTION"


class OperationKind(StrEnum):
    PURCHASE = "PURCHASE"


class PaymentState(StrEnum):
    PROCESSING = "PROCESSING"
    CAPTURED = "CAPTURED"
    DECLINED = "DECLINED"
    FAILED = "FAILED"
    REQUIRES_ACTION = "REQUIRES_ACTION"


@dataclass(frozen=True, slots=True)
class Operation:
    """One call to the gateway. `lease_until`: whoever settles it has until then before others look."""

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


@dataclass(frozen=True, slots=True)
class Payment:
    """A part of an order's total, or all of it. No operation = the order cost nothing."""

    payment_id: str
    order_id: str
    amount_minor: int
    currency: str
    payment_method: str
    operation: Operation | None
    content_hash: bytes
    created_at: datetime

    @property
    def state(self) -> PaymentState:
        if self.operation is None:
            return PaymentState.CAPTURED
        return _STATE_OF_PURCHASE[self.operation.state]

    @property
    def in_flight_minor(self) -> int:
        return self.amount_minor if self.state is PaymentState.PROCESSING else 0

    @property
    def captured_minor(self) -> int:
        return self.amount_minor if self.state is PaymentState.CAPTURED else 0

    @property
    def counts(self) -> bool:
        """Whether this payment holds the order's units: see the allocation rule, docs/concepts.md."""
        return self.state in (PaymentState.PROCESSING, PaymentState.CAPTURED)


_STATE_OF_PURCHASE = {
    OperationState.PROCESSING: PaymentState.PROCESSING,
    OperationState.ACCEPTED: PaymentState.CAPTURED,
    OperationState.DECLINED: PaymentState.DECLINED,
    OperationState.FAILED: PaymentState.FAILED,
    OperationState.REQUIRES_ACTION: PaymentState.REQUIRES_ACTION,
}
