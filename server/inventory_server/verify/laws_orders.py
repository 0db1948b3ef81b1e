"""Laws of an order: its money, and that its units are held as long as a payment counts, and no longer."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from inventory_server.verify.laws_reservations import LIVE
from inventory_server.verify.violation import Violation

_TAKING = ("PURCHASE", "AUTHORIZE", "CONFIRM")


class Operation(NamedTuple):
    """`undoes`: it was begun by the service, to give back what came too late."""

    kind: str
    state: str
    amount_minor: int
    lapsed: bool
    undoes: bool


class Payment(NamedTuple):
    """Its operations in the order they were begun; none = the order cost nothing."""

    payment_id: str
    amount_minor: int
    operations: Sequence[Operation]


class Hold(NamedTuple):
    """The order's reservation: units by product."""

    state: str
    is_timed: bool
    open: Mapping[str, int]
    fulfilled: Mapping[str, int]


class Order(NamedTuple):
    """`units`: what its lines take from stock, by product; `lines_minor`: their price, added up."""

    order_id: str
    total_minor: int
    lines_minor: int
    is_cancelled: bool
    units: Mapping[str, int]
    hold: Hold | None
    payments: Sequence[Payment]
    shipped: int


class Money(NamedTuple):
    """Where the money of one payment is, and whether the payment holds the order's units."""

    in_flight: int
    authorized: int
    captured: int
    refunds: int
    counts: bool


def money_of(payment: Payment) -> Money:
    """Add up a payment's operations."""
    own = [operation for operation in payment.operations if not operation.undoes]
    if not own:
        return Money(0, 0, 0, 0, counts=True)

    def of(kinds: Sequence[str], *states: str) -> list[Operation]:
        return [operation for operation in own if operation.kind in kinds and operation.state in states]

    begun_as = own[0].kind
    is_accepted = bool(of(_TAKING, "ACCEPTED"))
    is_in_flight = bool(of(_TAKING, "PROCESSING"))
    captured = sum(operation.amount_minor for operation in of(["CAPTURE"], "ACCEPTED"))
    if begun_as == "PURCHASE" and is_accepted:
        captured += payment.amount_minor
    # A void that finds the authorization lapsed has called it off, too.
    is_void = any(o.kind == "VOID" and (o.state == "ACCEPTED" or o.lapsed) for o in own)
    is_authorized = begun_as == "AUTHORIZE" and is_accepted and not captured and not is_void
    has_lapsed = any(operation.lapsed for operation in own)
    return Money(
        in_flight=payment.amount_minor if is_in_flight else 0,
        authorized=payment.amount_minor if is_authorized and not has_lapsed else 0,
        captured=captured,
        refunds=sum(operation.amount_minor for operation in of(["REFUND"], "ACCEPTED", "PROCESSING")),
        counts=is_in_flight or is_authorized or captured > 0,
    )


def order_laws(order: Order) -> Iterator[Violation]:
    """Check an order: its total, its money, its units."""
    if order.total_minor != order.lines_minor:
        text = f"the total is {order.total_minor}, the lines cost {order.lines_minor}"
        yield Violation("order-total", text, order_id=order.order_id)
    yield from _money_laws(order)
    yield from _unit_laws(order)


def _money_laws(order: Order) -> Iterator[Violation]:
    taken = 0
    for payment in order.payments:
        money = money_of(payment)
        taken += money.in_flight + money.authorized + money.captured
        here = Violation(order_id=order.order_id, payment_id=payment.payment_id)
        if money.refunds > money.captured:
            text = f"{money.refunds} refunded or on the way back of {money.captured} captured"
            yield here.of("refunds-within-captured", text)
        if money.captured > payment.amount_minor:
            text = f"{money.captured} captured of {payment.amount_minor}"
            yield here.of("captured-within-payment", text)
        in_flight_count = sum(operation.state == "PROCESSING" for operation in payment.operations)
        if in_flight_count > 1:
            yield here.of("one-operation-in-flight", f"{in_flight_count} are in flight")
    if taken > order.total_minor:
        text = f"{taken} in flight, authorized or captured of a total of {order.total_minor}"
        yield Violation("money-within-total", text, order_id=order.order_id)


def _unit_laws(order: Order) -> Iterator[Violation]:
    counts = any(money_of(payment).counts for payment in order.payments)
    hold = order.hold
    open_units, fulfilled = (Counter(hold.open), Counter(hold.fulfilled)) if hold else (Counter(), Counter())
    if counts and not order.is_cancelled:
        kept = open_units + fulfilled
        if kept != Counter(order.units):
            text = f"a payment counts for {_said(order.units)}; held or shipped are {_said(kept)}"
            yield Violation("paid-units-kept", text, order_id=order.order_id)
    elif hold is not None and hold.state in LIVE and (order.is_cancelled or not hold.is_timed):
        why = "the order is cancelled" if order.is_cancelled else "no payment counts, and no time ends it"
        yield Violation("unpaid-units-free", f"{_said(open_units)} held; {why}", order_id=order.order_id)
    if order.shipped != sum(fulfilled.values()):
        text = f"{order.shipped} units were shipped, {sum(fulfilled.values())} left the reservation"
        yield Violation("shipped-is-fulfilled", text, order_id=order.order_id)


def _said(units: Mapping[str, int]) -> str:
    """Name the units of three products at most."""
    named = [f"{count} of {product_id}" for product_id, count in sorted(units.items()) if count]
    more = f" and {len(named) - 3} more products" if len(named) > 3 else ""
    return (", ".join(named[:3]) or "none") + more
