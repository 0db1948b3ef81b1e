"""Laws of money: nothing is counted twice, and the gateway's books agree (7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from inventory_client import v1
from inventory_loadtest.evidence import FinalState, Violation, payment_state_name

_State = v1.PaymentState


def order_amounts(state: FinalState) -> Iterator[Violation]:
    """An order's total is that of its lines; captured and balance follow from its payments."""
    for order_id, order in state.orders.items():
        lines_minor = sum(line.quantity * line.unit_price_minor for line in order.lines)
        if order.total_minor != lines_minor:
            text = f"total {order.total_minor}, its lines come to {lines_minor}"
            yield Violation("order-amounts", order_id, text)
        in_flight_minor = sum(
            payment.amount_minor
            for payment in state.payments_by_order.get(order_id, ())
            if payment.state == _State.PAYMENT_STATE_PROCESSING
        )
        captured_minor = state.captured_minor(order_id)
        if order.captured_minor != captured_minor:
            text = f"captured {order.captured_minor}, its payments come to {captured_minor}"
            yield Violation("order-amounts", order_id, text)
        if order.balance_minor != order.total_minor - captured_minor - in_flight_minor:
            text = (
                f"balance {order.balance_minor}, not total {order.total_minor} - captured {captured_minor} "
                f"- in flight {in_flight_minor}"
            )
            yield Violation("order-amounts", order_id, text)


def no_double_payment(state: FinalState) -> Iterator[Violation]:
    """What is captured for an order, by its payments or at the gateway, is at most its total."""
    taken_minor: Counter[str] = Counter()
    for taking in state.takings or ():
        taken_minor[taking.order_id] += taking.amount_minor
    for order_id, order in state.orders.items():
        for what, minor in (
            ("captured", state.captured_minor(order_id)),
            ("taken at the gateway", taken_minor[order_id]),
        ):
            if minor > order.total_minor:
                text = f"{minor} {what}, its total is {order.total_minor}"
                yield Violation("no-double-payment", order_id, text)
    operations = Counter(payment.operation_id for payment in state.payments.values() if payment.operation_id)
    for operation_id, count in operations.items():
        if count > 1:
            yield Violation("no-double-payment", operation_id, f"{count} payments share this operation")
    for operation_id, count in Counter(taking.operation_id for taking in state.takings or ()).items():
        if count > 1:
            text = f"the gateway took money {count} times for this operation"
            yield Violation("no-double-payment", operation_id, text)


def gateway_agrees(state: FinalState) -> Iterator[Violation]:
    """Money was taken at the gateway for exactly the payments that are captured, and in their amounts.

    A payment still in flight may have been taken or not. Money taken for stock that was given away is the
    bug this service exists to prevent.
    """
    if state.takings is None:
        return
    taken: Counter[str] = Counter()
    for taking in state.takings:
        taken[taking.payment_id] += taking.amount_minor
        if taking.payment_id not in state.payments:
            text = f"{taking.amount_minor} taken for order {taking.order_id}, no such payment is known"
            yield Violation("gateway-agrees", taking.payment_id, text)
    for payment_id, payment in state.payments.items():
        due_minor = payment.amount_minor if payment.state == _State.PAYMENT_STATE_CAPTURED else 0
        in_flight = payment.state == _State.PAYMENT_STATE_PROCESSING
        if taken[payment_id] != due_minor and not (in_flight and taken[payment_id] == payment.amount_minor):
            state_name = payment_state_name(payment)
            text = f"{state_name} with {payment.amount_minor}; the gateway took {taken[payment_id]}"
            yield Violation("gateway-agrees", payment_id, text)


def payments_belong(state: FinalState) -> Iterator[Violation]:
    """Every payment is listed by its order, every listed one is there, and the order's state says so."""
    for order_id, order in state.orders.items():
        found = {payment.payment_id for payment in state.payments_by_order.get(order_id, ())}
        if found != set(order.payment_ids) or len(set(order.payment_ids)) != len(order.payment_ids):
            text = f"it lists {sorted(order.payment_ids)}, of it are {sorted(found)}"
            yield Violation("payments-belong", order_id, text)
        captured_minor = state.captured_minor(order_id)
        expected = _payment_state(captured_minor, order.total_minor)
        if order.total_minor and order.payment_state != expected:
            text = (
                f"payment state {order.payment_state} with {captured_minor} of {order.total_minor} captured"
            )
            yield Violation("payments-belong", order_id, text)
    for payment_id, payment in state.payments.items():
        if payment.order_id not in state.orders:
            yield Violation("payments-belong", payment_id, f"its order {payment.order_id} is not there")


def _payment_state(captured_minor: int, total_minor: int) -> v1.OrderPaymentState.ValueType:
    if captured_minor == 0:
        return v1.OrderPaymentState.ORDER_PAYMENT_STATE_UNPAID
    if captured_minor < total_minor:
        return v1.OrderPaymentState.ORDER_PAYMENT_STATE_PARTIALLY_PAID
    return v1.OrderPaymentState.ORDER_PAYMENT_STATE_PAID
