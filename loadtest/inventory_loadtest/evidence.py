"""What the checker judges: the final state as the API shows it, beside the history; and what it finds."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from inventory_client import v1
from inventory_loadtest.gateway_ledger import Taking

COUNTING = (
    v1.PaymentState.PAYMENT_STATE_PROCESSING,
    v1.PaymentState.PAYMENT_STATE_AUTHORIZED,
    v1.PaymentState.PAYMENT_STATE_CAPTURED,
    v1.PaymentState.PAYMENT_STATE_PARTIALLY_REFUNDED,
    v1.PaymentState.PAYMENT_STATE_REFUNDED,
)
"""An order's units are held while one of its payments is in one of these states, and only then."""

_GIVES = {
    v1.StockAction.STOCK_ACTION_RESERVE: +1,
    v1.StockAction.STOCK_ACTION_RELEASE: -1,
    v1.StockAction.STOCK_ACTION_EXPIRE: -1,
    v1.StockAction.STOCK_ACTION_FULFILL: -1,
}


@dataclass(frozen=True)
class Violation:
    """A law that does not hold.

    Args:
        law: its name in `checker.LAWS`.
        subject: the product, cart, order or payment it is about.
        text: what was found beside what the law has, with the numbers.
    """

    law: str
    subject: str
    text: str


@dataclass(frozen=True)
class FinalState:
    """Everything of a race after its end, when nothing is in flight any more.

    Args:
        stocks: by product; one that isn't there has no record.
        log: all entries by product, in the order the API lists them.
        carts: by id; one that isn't there was not found. So with orders and payments.
        orders: by id.
        payments: by id.
        reservations: by id; those that no order is behind.
        imports: by id.
        feeds: of each watch that went on all the time, the changes that it brought, by product, as they came.
        takings: what the gateway's own books have; None where they can't be read.
    """

    stocks: dict[str, v1.Stock] = field(default_factory=dict)
    log: dict[str, Sequence[v1.StockTransaction]] = field(default_factory=dict)
    carts: dict[str, v1.Cart] = field(default_factory=dict)
    orders: dict[str, v1.Order] = field(default_factory=dict)
    payments: dict[str, v1.Payment] = field(default_factory=dict)
    reservations: dict[str, v1.Reservation] = field(default_factory=dict)
    imports: dict[str, v1.StockImport] = field(default_factory=dict)
    feeds: Sequence[Mapping[str, Sequence[v1.StockTransaction]]] = ()
    takings: list[Taking] | None = None

    @cached_property
    def payments_by_order(self) -> dict[str, list[v1.Payment]]:
        """The payments found, by order."""
        found = defaultdict(list)
        for payment in self.payments.values():
            found[payment.order_id].append(payment)
        return found

    @cached_property
    def held_by_log(self) -> dict[str, dict[str, Counter[str]]]:
        """Units that each reservation still holds by the log: order -> reservation -> product -> units."""
        held: dict[str, dict[str, Counter[str]]] = defaultdict(lambda: defaultdict(Counter))
        for entries in self.log.values():
            for entry in entries:
                if entry.action in _GIVES:
                    units = _GIVES[entry.action] * entry.quantity
                    held[entry.order_id][entry.reservation_id][entry.product_id] += units
        return held

    @cached_property
    def referenced(self) -> dict[str, list[v1.StockTransaction]]:
        """The entries of the log that bear a reference, by it."""
        found = defaultdict(list)
        for entries in self.log.values():
            for entry in entries:
                if entry.reference:
                    found[entry.reference].append(entry)
        return found

    def captured_minor(self, order_id: str) -> int:
        """What the order's captured payments come to."""
        return sum(payment.captured_minor for payment in self.payments_by_order.get(order_id, ()))


def cancelled(order: v1.Order) -> bool:
    """Whether an order was cancelled, or the rest of one that was shipped in part."""
    return order.state == v1.OrderState.ORDER_STATE_CANCELLED or order.HasField("cancel_time")


def action_name(entry: v1.StockTransaction) -> str:
    """RESERVE, or the number of an action that nobody knows."""
    return _short(v1.StockAction, entry.action, "STOCK_ACTION_")


def payment_state_name(payment: v1.Payment) -> str:
    """CAPTURED, or the number of a state that nobody knows."""
    return _short(v1.PaymentState, payment.state, "PAYMENT_STATE_")


def _short(enum: Any, number: int, prefix: str) -> str:
    return str(enum.Name(number)).removeprefix(prefix) if number in enum.values() else str(number)
