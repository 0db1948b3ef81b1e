"""What is asked of payments, decoded: each begins an operation, ends one, or looks after one in doubt.

Whatever begins an operation brings ids of the server's own, made before the batch, so that a batch that is
run again after a lost COMMIT knows its own work; `lease_s` is how long the caller's task may take to settle.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from inventory_server.domain.commands import Command, Wanted
from inventory_server.domain.payment import OperationKind, OperationState
from inventory_server.domain.state import State


@dataclass(frozen=True, slots=True)
class BeginPayment(Command):
    """Transaction 1 of PayOrder: allocate and write the operation as PROCESSING."""

    order_id: str
    payment_id: str
    amount_minor: int
    payment_method: str
    operation_id: str
    reservation_id: str
    lease_s: float
    has_gateway: bool = True
    kind: OperationKind = OperationKind.PURCHASE

    def lines_in(self, state: State) -> int:
        return _lines_of(state, self.order_id)

    def content(self) -> tuple[object, ...]:
        kind = () if self.kind is OperationKind.PURCHASE else (self.kind.value,)
        return (self.order_id, self.amount_minor, self.payment_method, *kind)

    def want(self, wanted: Wanted) -> None:
        wanted.orders.add(self.order_id)
        wanted.payments.add(self.payment_id)


@dataclass(frozen=True, slots=True)
class _OnPayment(Command):
    """`order_id` is the payment's, looked up before the batch; None where there is no such payment."""

    has_request_id: ClassVar[bool] = True

    order_id: str | None
    payment_id: str

    def lines_in(self, state: State) -> int:
        return _lines_of(state, self.order_id)

    def content(self) -> tuple[object, ...]:
        return (self.payment_id,)

    def want(self, wanted: Wanted) -> None:
        wanted.payments.add(self.payment_id)
        if self.order_id is not None:
            wanted.orders.add(self.order_id)


@dataclass(frozen=True, slots=True)
class _BeginOperation(_OnPayment):
    operation_id: str
    lease_s: float
    has_gateway: bool = True


@dataclass(frozen=True, slots=True)
class BeginCapture(_BeginOperation):
    """Transaction 1 of CapturePayment: whole, or a part whose rest goes back to the balance."""

    amount_minor: int = 0

    def content(self) -> tuple[object, ...]:
        return (self.payment_id, self.amount_minor)


@dataclass(frozen=True, slots=True)
class BeginVoid(_BeginOperation):
    """Transaction 1 of VoidPayment."""


@dataclass(frozen=True, slots=True)
class BeginRefund(_BeginOperation):
    """Transaction 1 of RefundPayment; the caller's `refund_id` makes it repeatable."""

    has_request_id: ClassVar[bool] = False

    refund_id: str = ""
    amount_minor: int = 0

    def content(self) -> tuple[object, ...]:
        return (self.payment_id, self.amount_minor)

    def want(self, wanted: Wanted) -> None:
        # Not super(): a dataclass with slots is another class than the one its methods were written in.
        _OnPayment.want(self, wanted)
        wanted.refunds.add(self.refund_id)


@dataclass(frozen=True, slots=True)
class BeginConfirm(_BeginOperation):
    """Transaction 1 of ConfirmPayment: allocate again.

    `or_void`: where stock does not suffice any more, begin to void instead of refusing. The first try
    refuses, so that holds that are due are looked for; only the second voids.
    """

    reservation_id: str = ""
    or_void: bool = False


@dataclass(frozen=True, slots=True)
class ResolvePayment(_OnPayment):
    """An administrator's word that ends an operation in doubt; `outcome` ACCEPTED, DECLINED or FAILED."""

    operation_id: str
    outcome: OperationState
    reason: str

    def content(self) -> tuple[object, ...]:
        return (self.payment_id, self.operation_id, self.outcome.value, self.reason)


@dataclass(frozen=True, slots=True)
class SettlePayment(Command):
    """Transaction 2: record the gateway's word, once; release where nothing counts any more.

    FAILED, provably never sent, is the word of who began the operation with a lease of `lease_s`: it counts
    as long as nobody else has claimed it. `reversal_id`: the operation, with such a lease, that undoes one
    which the gateway accepted after an administrator had ended it otherwise.
    """

    order_id: str
    payment_id: str
    operation_id: str
    outcome: OperationState
    gateway_reference: str = ""
    failure_reason: str = ""
    lapsed: bool = False
    reversal_id: str = ""
    lease_s: float = 0.0

    def lines_in(self, state: State) -> int:
        return _lines_of(state, self.order_id)

    def content(self) -> tuple[object, ...]:
        return (self.operation_id, self.outcome.value)

    def want(self, wanted: Wanted) -> None:
        wanted.orders.add(self.order_id)
        wanted.payments.add(self.payment_id)


@dataclass(frozen=True, slots=True)
class ClaimOperation(Command):
    """The reconciler's: take the lease of an operation to ask about, unless somebody holds it.

    `lease_s` is for one in doubt, `poll_s` for one that an administrator has ended.
    """

    order_id: str
    payment_id: str
    operation_id: str
    lease_s: float
    poll_s: float = 60.0

    def content(self) -> tuple[object, ...]:
        return (self.operation_id,)

    def want(self, wanted: Wanted) -> None:
        wanted.orders.add(self.order_id)
        wanted.payments.add(self.payment_id)


def _lines_of(state: State, order_id: str | None) -> int:
    order = state.orders.get(order_id) if order_id is not None else None
    return len(order.lines) if order else 1
