"""Carts, sales orders and shipments. An order's states are derived, never stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from inventory_server.domain.payment import Payment
from inventory_server.domain.reservation import Reservation


class CartItem(NamedTuple):
    product_id: str
    quantity: int
    unit_price_minor: int
    location: str | None


@dataclass(frozen=True, slots=True)
class Cart:
    """One item a product, in the order they came in. `order_id` = it was checked out."""

    cart_id: str
    currency: str
    items: tuple[CartItem, ...]
    order_id: str | None
    content_hash: bytes
    created_at: datetime
    updated_at: datetime

    @property
    def total_minor(self) -> int:
        return sum(item.quantity * item.unit_price_minor for item in self.items)


class OrderLine(NamedTuple):
    """Frozen at checkout."""

    line_number: int
    product_id: str
    quantity: int
    unit_price_minor: int
    location: str | None


@dataclass(frozen=True, slots=True)
class SalesOrder:
    """`reservation_id` points to the last reservation made for it, live or ended."""

    order_id: str
    cart_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    total_minor: int
    reservation_id: str | None
    content_hash: bytes
    created_at: datetime
    cancelled_at: datetime | None


class ShipmentLine(NamedTuple):
    line_number: int
    quantity: int


@dataclass(frozen=True, slots=True)
class Shipment:
    shipment_id: str
    order_id: str
    lines: tuple[ShipmentLine, ...]
    content_hash: bytes
    created_at: datetime


class OrderState(StrEnum):
    INCOMPLETE = "INCOMPLETE"
    PROCESSING = "PROCESSING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"


class OrderPaymentState(StrEnum):
    UNPAID = "UNPAID"
    PARTIALLY_PAID = "PARTIALLY_PAID"
    PAID = "PAID"


class OrderShippingState(StrEnum):
    UNFULFILLED = "UNFULFILLED"
    FULFILLED = "FULFILLED"


@dataclass(frozen=True, slots=True)
class OrderView:
    """An order with all that its states are derived from."""

    order: SalesOrder
    reservation: Reservation | None
    payments: tuple[Payment, ...]
    shipments: tuple[Shipment, ...]

    @property
    def captured_minor(self) -> int:
        return sum(payment.captured_minor for payment in self.payments)

    @property
    def in_flight_minor(self) -> int:
        return sum(payment.in_flight_minor for payment in self.payments)

    @property
    def balance_minor(self) -> int:
        return self.order.total_minor - self.captured_minor - self.in_flight_minor

    @property
    def has_payment_in_flight(self) -> bool:
        return any(payment.in_flight_minor for payment in self.payments)

    @property
    def is_paid(self) -> bool:
        """Captured = total; an order that costs nothing is paid by its payment of 0."""
        return self.captured_minor == self.order.total_minor and any(p.counts for p in self.payments)

    @property
    def is_shipped(self) -> bool:
        return bool(self.shipments)

    @property
    def payment_state(self) -> OrderPaymentState:
        if self.is_paid:
            return OrderPaymentState.PAID
        return OrderPaymentState.PARTIALLY_PAID if self.captured_minor else OrderPaymentState.UNPAID

    @property
    def shipping_state(self) -> OrderShippingState:
        return OrderShippingState.FULFILLED if self.is_shipped else OrderShippingState.UNFULFILLED

    @property
    def state(self) -> OrderState:
        if self.is_shipped:
            return OrderState.COMPLETE
        if self.order.cancelled_at is not None:
            return OrderState.CANCELLED
        return OrderState.PROCESSING if self.is_paid else OrderState.INCOMPLETE
