"""What a batch made true, for those who count and those who watch: told once its COMMIT has returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from inventory_server.domain.errors import InsufficientStock
from inventory_server.domain.payment import PaymentState
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
    settled = [
        payment
        for payment_id, payment in state.payments.written()
        if (before := state.payments.loaded.get(payment_id)) is None or before.state is not payment.state
    ]
    captured = {payment.order_id for payment in settled if payment.state is PaymentState.CAPTURED}
    return Facts(
        logged=len(state.log),
        # Nothing is captured for an order that is paid, so it became so now.
        orders_paid=sum(state.order_view(order_id).is_paid for order_id in captured),
        declined=sum(payment.state is PaymentState.DECLINED for payment in settled),
        sold_out=sum(isinstance(verdict, InsufficientStock) for verdict in verdicts),
    )
