"""An order service over the inventory service, with payments of its own: reserve, take the money, confirm.

    python client/examples/python/order_service.py 127.0.0.1:50051 tea 2

Units are held before any money moves, under the order's own id. Whatever ends this process in between,
`place` with the same order goes on where it was: each of its calls takes effect at most once.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import Enum
from typing import Protocol, TypeVar

import inventory_client
from inventory_client import (
    DeadlineExceeded,
    InsufficientStock,
    ReservationExpired,
    ReservationNotActive,
    Unavailable,
    v1,
)

ATTEMPTS_MAX = 3
HOLD_S = 900

T = TypeVar("T")


class Payments(Protocol):
    """The payment provider; both calls may be repeated under the same order_id."""

    def charge(self, order_id: str, amount_minor: int) -> bool:
        """Take the money; False where it was declined."""

    def refund(self, order_id: str) -> None:
        """Give back whatever was taken."""


class Outcome(Enum):
    PAID = "paid"
    SOLD_OUT = "sold out"
    DECLINED = "declined"
    ENDED = "ended"  # an earlier try of it was declined, or paid too late: a new one needs a new id


class OrderService:
    def __init__(self, client: inventory_client.Client, payments: Payments, hold_s: int = HOLD_S) -> None:
        self._inventory = client.inventory
        self._payments = payments
        self._hold_s = hold_s

    def place(self, order_id: str, quantities: dict[str, int], amount_minor: int) -> Outcome:
        """Sell an order, all of its units or none.

        Args:
            order_id: the same again repeats the order, after a crash too.
            quantities: units by product, 1..1,000 products.
        Raises: InventoryError. After Unavailable and DeadlineExceeded the outcome is not known: call again.
        """
        try:
            self._hold(order_id, quantities)
        except InsufficientStock:  # final: a retry would be told the same
            return Outcome.SOLD_OUT
        except ReservationNotActive:
            self._payments.refund(order_id)
            return Outcome.ENDED
        if not self._payments.charge(order_id, amount_minor):
            release = v1.ReleaseReservationRequest(reservation_id=order_id, request_id=f"release-{order_id}")
            patiently(lambda: self._inventory.ReleaseReservation(release))
            return Outcome.DECLINED
        confirm = v1.ConfirmReservationRequest(reservation_id=order_id, request_id=f"confirm-{order_id}")
        try:
            patiently(lambda: self._inventory.ConfirmReservation(confirm))
        except ReservationExpired:  # paying took longer than the hold, and others have the units
            self._payments.refund(order_id)
            return Outcome.SOLD_OUT
        return Outcome.PAID

    def _hold(self, order_id: str, quantities: dict[str, int]) -> None:
        lines = [v1.LineRequest(product_id=name, quantity=count) for name, count in quantities.items()]
        request = v1.ReserveStockRequest(reservation_id=order_id, order_id=order_id, lines=lines)
        request.ttl.seconds = self._hold_s
        patiently(lambda: self._inventory.ReserveStock(request))


def patiently(call: Callable[[], T]) -> T:
    """Make a call again while its outcome is unknown; the client itself does so on UNAVAILABLE before."""
    for _ in range(ATTEMPTS_MAX - 1):
        try:
            return call()
        except (Unavailable, DeadlineExceeded):
            continue
    return call()


class AlwaysAccepts:
    """A payment provider for trying it out."""

    def charge(self, order_id: str, amount_minor: int) -> bool:
        return True

    def refund(self, order_id: str) -> None:
        pass


if __name__ == "__main__":
    address, product_id, quantity = sys.argv[1:]
    with inventory_client.connect(address, actor="order-service") as connected:
        service = OrderService(connected, AlwaysAccepts())
        print(service.place(inventory_client.new_id(), {product_id: int(quantity)}, 1_000).value)
