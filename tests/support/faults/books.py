"""What must be in the database if whatever was answered OK is there, once, and nothing else is."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inventory_client import v1
from support.faults.calls import Caller
from support.faults.place import WAIT_S
from support.polling import until

_STATE = v1.PaymentState


@dataclass
class Order:
    """An order of the load: its lines, its payment, and what was last acknowledged of it."""

    lines: Mapping[str, int]
    payment_id: str
    state: str = "UNPAID"


@dataclass
class Books:
    """Kept by the workers of a load, each change when it was answered OK."""

    available: Counter[str] = field(default_factory=Counter)
    allocated: Counter[str] = field(default_factory=Counter)
    # Hand actions by their request_id, reservations with their state.
    hand: set[str] = field(default_factory=set)
    reservations: dict[str, str] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    # Orders whose payment was still open when its caller was answered.
    open_orders: list[Order] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def move(self, lines: Mapping[str, int], available: int, allocated: int) -> None:
        """Note that so many times each line's quantity came or went."""
        with self._lock:
            for product_id, quantity in lines.items():
                self.available[product_id] += available * quantity
                self.allocated[product_id] += allocated * quantity

    def paid(self, order: Order, payment: v1.Payment) -> None:
        """Note how a payment of the whole order ended."""
        if payment.state == _STATE.PAYMENT_STATE_CAPTURED:
            order.state = "PAID"
            self.move(order.lines, -1, 1)

    def settle(self, caller: Caller) -> None:
        """See how the payments ended that were in doubt: somebody has to find out within WAIT_S."""
        for order in self.open_orders:
            request = v1.GetPaymentRequest(payment_id=order.payment_id)

            def look(request: v1.GetPaymentRequest = request) -> v1.Payment | None:
                payment: v1.Payment = caller.send("GetPayment", request).payment
                return None if payment.state == _STATE.PAYMENT_STATE_PROCESSING else payment

            payment = until(look, f"{order.payment_id} is settled", WAIT_S)
            assert payment is not None
            self.paid(order, payment)

    def compare(self, database: Any) -> None:
        """Assert that the database holds what these books say, and nothing else."""
        store = database.store
        levels = database.rows(
            "SELECT product_id, available, allocated FROM stock_level WHERE store_id = %s", store
        )
        assert {row[0]: row[1:] for row in levels} == {
            product_id: (self.available[product_id], self.allocated[product_id])
            for product_id in self.available
        }
        by_hand = database.rows(
            "SELECT request_id FROM stock_transaction"
            " WHERE store_id = %s AND action IN ('INCREMENT', 'DECREMENT')",
            store,
        )
        assert sorted(row[0] for row in by_hand) == sorted(self.hand)
        held = database.rows(
            "SELECT reservation_id, state FROM reservation WHERE store_id = %s AND NOT owned_by_order", store
        )
        assert dict(held) == self.reservations
        self._compare_orders(database)

    def _compare_orders(self, database: Any) -> None:
        found = database.rows(
            "SELECT o.order_id, o.cancelled_at IS NOT NULL,"
            " EXISTS (SELECT FROM shipment s WHERE s.store_id = o.store_id AND s.order_id = o.order_id),"
            " coalesce((SELECT sum(p.amount_minor) FROM payment_operation p WHERE p.store_id = o.store_id"
            " AND p.order_id = o.order_id AND p.state = 'ACCEPTED'), 0) = o.total_minor"
            " FROM sales_order o WHERE o.store_id = %s",
            database.store,
        )
        assert {
            order_id: "CANCELLED" if cancelled else "SHIPPED" if shipped else "PAID" if paid else "UNPAID"
            for order_id, cancelled, shipped, paid in found
        } == {order_id: order.state for order_id, order in self.orders.items()}
