"""Laws of money: nothing is counted twice, and the gateway's books agree (7)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from inventory_client import v1
from inventory_loadtest.evidence import FinalState, Violation, payment_state_name

_State = v1.PaymentState
_Kind = v1.PaymentOperationKind
_TAKING = (
    _Kind.PAYMENT_OPERATION_KIND_PURCHASE,
    _Kind.PAYMENT_OPERATION_KIND_AUTHORIZE,
    _Kind.PAYMENT_OPERATION_KIND_CONFIRM,
)


def order_amounts(state: FinalState) -> Iterator[Violation]:
    """An order's total is that of its lines; captured and balance follow from its payments."""
    for order_id, order in state.orders.items():
        lines_minor = sum(line.quantity * line.unit_price_minor for line in order.lines)
        if order.total_minor != lines_minor:
            text = f"total {order.total_minor}, its lines come to {lines_minor}"
            yield Violation("order-amounts", order_id, text)
        in_flight_minor = sum(map(_in_flight_minor, state.payments_by_order.get(order_id, ())))
        authorized_minor = sum(p.authorized_minor for p in state.payments_by_order.get(order_id, ()))
        captured_minor = state.captured_minor(order_id)
        if order.captured_minor != captured_minor:
            text = f"captured {order.captured_minor}, its payments come to {captured_minor}"
            yield Violation("order-amounts", order_id, text)
        if order.balance_minor != order.total_minor - captured_minor - authorized_minor - in_flight_minor:
            text = (
                f"balance {order.balance_minor}, not total {order.total_minor} - captured {captured_minor} "
                f"- authorized {authorized_minor} - in flight {in_flight_minor}"
            )
            yield Violation("order-amounts", order_id, text)


def _in_flight_minor(payment: v1.Payment) -> int:
    """What an operation in flight may take, or set aside: a capture takes what was set aside before."""
    return sum(
        operation.amount_minor
        for operation in payment.operations
        if operation.state == v1.PaymentOperationState.PAYMENT_OPERATION_STATE_PROCESSING
        and operation.kind in _TAKING
    )


def no_double_payment(state: FinalState) -> Iterator[Violation]:
    """What is captured for an order, by its payments or at the gateway, is at most its total."""
    taken_minor: Counter[str] = Counter()
    for taking in state.takings or ():
        taken_minor[taking.order_id] += max(0, taking.amount_minor)
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
            text = f"the gateway moved money {count} times for this operation"
            yield Violation("no-double-payment", operation_id, text)


def gateway_agrees(state: FinalState) -> Iterator[Violation]:
    """Money was moved at the gateway for exactly what is captured and given back.

    What an operation in flight moves may be there or not. Money taken for stock that was given away is the
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
        due_minor = payment.captured_minor - payment.refunded_minor
        if taken[payment_id] not in (due_minor, due_minor + _moving_minor(payment)):
            state_name = payment_state_name(payment)
            text = f"{state_name} with {payment.amount_minor}; the gateway took {taken[payment_id]}"
            yield Violation("gateway-agrees", payment_id, text)


def _moving_minor(payment: v1.Payment) -> int:
    """What an operation in flight takes where it is accepted; below 0 = gives back."""
    for operation in payment.operations:
        if operation.state == v1.PaymentOperationState.PAYMENT_OPERATION_STATE_PROCESSING:
            if operation.kind == _Kind.PAYMENT_OPERATION_KIND_REFUND:
                return -operation.amount_minor
            is_purchase = payment.kind != v1.PaymentKind.PAYMENT_KIND_AUTHORIZE
            is_taking = operation.kind in _TAKING and is_purchase
            if is_taking or operation.kind == _Kind.PAYMENT_OPERATION_KIND_CAPTURE:
                return operation.amount_minor
    return 0


def payments_belong(state: FinalState) -> Iterator[Violation]:
    """Every payment is listed by its order, every listed one is there, and the order's state says so."""
    for order_id, order in state.orders.items():
        found = {payment.payment_id for payment in state.payments_by_order.get(order_id, ())}
        if found != set(order.payment_ids) or len(set(order.payment_ids)) != len(order.payment_ids):
            text = f"it lists {sorted(order.payment_ids)}, of it are {sorted(found)}"
            yield Violation("payments-belong", order_id, text)
        expected = _payment_state(state.payments_by_order.get(order_id, ()), order.total_minor)
        if order.total_minor and order.payment_state != expected:
            captured_minor = state.captured_minor(order_id)
            text = (
                f"payment state {order.payment_state} with {captured_minor} of {order.total_minor} captured"
            )
            yield Violation("payments-belong", order_id, text)
    for payment_id, payment in state.payments.items():
        if payment.order_id not in state.orders:
            yield Violation("payments-belong", payment_id, f"its order {payment.order_id} is not there")


def _payment_state(payments: Sequence[v1.Payment], total_minor: int) -> v1.OrderPaymentState.ValueType:
    captured_minor = sum(payment.captured_minor for payment in payments)
    authorized_minor = sum(payment.authorized_minor for payment in payments)
    refunded_minor = sum(payment.refunded_minor for payment in payments)
    state = v1.OrderPaymentState
    if refunded_minor:
        is_whole = refunded_minor == captured_minor
        return (
            state.ORDER_PAYMENT_STATE_REFUNDED if is_whole else state.ORDER_PAYMENT_STATE_PARTIALLY_REFUNDED
        )
    if captured_minor == total_minor:
        return state.ORDER_PAYMENT_STATE_PAID
    if captured_minor + authorized_minor == total_minor:
        return state.ORDER_PAYMENT_STATE_AUTHORIZED
    if captured_minor:
        return state.ORDER_PAYMENT_STATE_PARTIALLY_PAID
    is_begun = authorized_minor > 0
    return state.ORDER_PAYMENT_STATE_PARTIALLY_AUTHORIZED if is_begun else state.ORDER_PAYMENT_STATE_UNPAID
