"""What a batch made true, for those who count and those who watch: told once its COMMIT has returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from inventory_server.domain.errors import InsufficientStock
from inventory_server.domain.payment import TAKING, OperationState, Payment
from inventory_server.domain.state import State


class Facts(NamedTuple):
    """Counts of one batch."""

    # Entries of the log.
    logged: int = 0
    # Orders that became wholly paid.
    orders_paid: int = 0
    # Payments that the gateway declined.
    declined: int = 0
    # Commands refused for lack of stock.
    sold_out: int = 0


NOTHING = Facts()


def facts_of(state: State, verdicts: Sequence[object]) -> Facts:
    """Count what a decided batch will have done. Pure: a batch that runs again is counted afresh."""
    written = [(state.payments.loaded.get(payment_id), p) for payment_id, p in state.payments.written()]
    captured = {payment.order_id for before, payment in written if _has_captured(before, payment)}
    return Facts(
        logged=len(state.log),
        # Nothing is captured for an order that is paid, so it became so now.
        orders_paid=sum(state.standing(order_id).is_paid for order_id in captured),
        declined=sum(_was_declined(before, payment) for before, payment in written),
        sold_out=sum(isinstance(verdict, InsufficientStock) for verdict in verdicts),
    )


def _has_captured(before: Payment | None, after: Payment) -> bool:
    """Whether money was taken, or what costs nothing was paid; giving back, or failing to, is neither."""
    if before is None and not after.operations:
        return True
    return after.captured_minor > (before.captured_minor if before else 0)


def _was_declined(before: Payment | None, after: Payment) -> bool:
    """Whether the gateway said no to the payment, not to what went on with it."""

    def declined(payment: Payment) -> set[str]:
        taking = (o for o in payment.operations if o.kind in TAKING)
        return {o.operation_id for o in taking if o.state is OperationState.DECLINED}

    return bool(declined(after) - (declined(before) if before else set()))
