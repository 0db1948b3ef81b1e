"""Carts, sales orders and shipments. An order's states are derived, never stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from inventory_server.domain.etag import etag
from inventory_server.domain.payment import Payment, PaymentSums
from inventory_server.domain.reservation import LineUnits, Reservation


class CartItem(NamedTuple):
    """`track_stock` False: a service or a gift wrap, without stock. None: not said, in a request."""

    product_id: str
    quantity: int
    unit_price_minor: int
    location: str | None
    track_stock: bool | None = None


class CartState(StrEnum):
    OPEN = "OPEN"
    CHECKED_OUT = "CHECKED_OUT"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class Cart:
    """One item a product, in the order they came in. `order_id` = it was checked out.

    `expires_at`: every change puts it off. `seen_at`: the moment that this is looked at; not stored.
    """

    cart_id: str
    currency: str
    items: tuple[CartItem, ...]
    order_id: str | None
    content_hash: bytes
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    seen_at: datetime
    defer_inventory_check: bool = False

    @property
    def total_minor(self) -> int:
        return sum(item.quantity * item.unit_price_minor for item in self.items)

    @property
    def state(self) -> CartState:
        if self.order_id is not None:
            return CartState.CHECKED_OUT
        return CartState.EXPIRED if self.expires_at <= self.seen_at else CartState.OPEN

    @property
    def etag(self) -> str:
        """That it has expired is no change of it."""
        return etag(
            self.currency, self.items, self.order_id, self.created_at, self.updated_at, self.expires_at,
            self.defer_inventory_check,
        )  # fmt: skip


class OrderLine(NamedTuple):
    """Frozen at checkout, but for `unmanaged`: the last allocation found no record of the product.

    Such a line takes no stock, nor does one of which none is tracked.
    """

    line_number: int
    product_id: str
    quantity: int
    unit_price_minor: int
    location: str | None
    track_stock: bool = True
    unmanaged: bool = False


@dataclass(frozen=True, slots=True)
class SalesOrder:
    """`reservation_id` points to the reservation of its last allocation, live or ended.

    None: it was never allocated, or none of its lines took stock.
    """

    order_id: str
    cart_id: str
    currency: str
    lines: tuple[OrderLine, ...]
    total_minor: int
    reservation_id: str | None
    content_hash: bytes
    created_at: datetime
    cancelled_at: datetime | None


@dataclass(frozen=True, slots=True)
class Shipment:
    shipment_id: str
    order_id: str
    lines: tuple[LineUnits, ...]
    content_hash: bytes
    created_at: datetime


@dataclass(frozen=True, slots=True)
class OrderReturn:
    """Shipped units that came back. `location`: where they were put; None = where each line was served."""

    return_id: str
    order_id: str
    lines: tuple[LineUnits, ...]
    restocked: bool
    location: str | None
    reason: str
    reference: str
    actor: str
    content_hash: bytes
    created_at: datetime


class OrderState(StrEnum):
    INCOMPLETE = "INCOMPLETE"
    PROCESSING = "PROCESSING"
    COMPLETE = "COMPLETE"
    CANCELLED = "CANCELLED"


class OrderPaymentState(StrEnum):
    UNPAID = "UNPAID"
    PARTIALLY_AUTHORIZED = "PARTIALLY_AUTHORIZED"
    AUTHORIZED = "AUTHORIZED"
    PARTIALLY_PAID = "PARTIALLY_PAID"
    PAID = "PAID"
    PARTIALLY_REFUNDED = "PARTIALLY_REFUNDED"
    REFUNDED = "REFUNDED"


class OrderShippingState(StrEnum):
    UNFULFILLED = "UNFULFILLED"
    PARTIALLY_FULFILLED = "PARTIALLY_FULFILLED"
    FULFILLED = "FULFILLED"


class UnitSums(NamedTuple):
    """What was moved of one order together, by shipments or by returns: `units` by line number."""

    part_count: int = 0
    line_count: int = 0
    units: Mapping[int, int] = MappingProxyType({})

    def changed(
        self, before: Shipment | OrderReturn | None, after: Shipment | OrderReturn | None
    ) -> UnitSums:
        """Return the sums with a shipment or a return added; neither ever changes."""
        if after is None or before is not None:
            return self
        units = dict(self.units)
        for line_number, quantity in after.lines:
            units[line_number] = units.get(line_number, 0) + quantity
        return UnitSums(self.part_count + 1, self.line_count + len(after.lines), units)


@dataclass(frozen=True, slots=True)
class OrderStanding:
    """An order with what its states are derived from, in sums: however many payments and parts it has."""

    order: SalesOrder
    reservation: Reservation | None
    money: PaymentSums
    sent: UnitSums
    back: UnitSums

    @property
    def captured_minor(self) -> int:
        return self.money.captured_minor

    @property
    def refunded_minor(self) -> int:
        return self.money.refunded_minor

    @property
    def authorized_minor(self) -> int:
        return self.money.authorized_minor

    @property
    def in_flight_minor(self) -> int:
        return self.money.in_flight_minor

    @property
    def balance_minor(self) -> int:
        """What can still be paid. Refunds don't reopen it; what a partial capture leaves does."""
        return self.order.total_minor - self.captured_minor - self.authorized_minor - self.in_flight_minor

    @property
    def has_payment_in_flight(self) -> bool:
        """Whether the outcome of any operation, a refund or a void too, is awaited or in doubt."""
        return self.money.in_flight_count > 0

    @property
    def is_counting(self) -> bool:
        """Whether a payment holds the units: the allocation rule, docs/concepts.md."""
        return self.money.counting_count > 0

    @property
    def is_definite(self) -> bool:
        """Whether the gateway has said yes to any payment."""
        return self.money.definite_count > 0

    @property
    def is_covered(self) -> bool:
        """Captured and authorized = total; an order that costs nothing is paid by its payment of 0."""
        covered_minor = self.captured_minor + self.authorized_minor
        return covered_minor == self.order.total_minor and self.is_definite

    @property
    def is_paid(self) -> bool:
        """Captured = total, whatever was given back since."""
        return self.is_covered and not self.authorized_minor

    @property
    def is_refunded(self) -> bool:
        """Whether all that was captured was given back."""
        return 0 < self.captured_minor == self.refunded_minor

    @property
    def held_count(self) -> int:
        """The units that its reservation holds."""
        return sum(line.open for line in self.reservation.lines) if self.reservation else 0

    @property
    def shipped(self) -> Counter[int]:
        """Units shipped by line number, of lines that take no stock too; returns don't lower them."""
        return Counter(self.sent.units)

    @property
    def returned(self) -> Counter[int]:
        """Units that came back by line number, restocked or not."""
        return Counter(self.back.units)

    @property
    def is_shipped(self) -> bool:
        """Whether anything was."""
        return self.sent.part_count > 0

    @property
    def is_wholly_shipped(self) -> bool:
        shipped = self.shipped
        return all(shipped[line.line_number] == line.quantity for line in self.order.lines)

    @property
    def payment_state(self) -> OrderPaymentState:
        if self.refunded_minor:
            return OrderPaymentState.REFUNDED if self.is_refunded else OrderPaymentState.PARTIALLY_REFUNDED
        if self.is_paid:
            return OrderPaymentState.PAID
        if self.is_covered:
            return OrderPaymentState.AUTHORIZED
        if self.captured_minor:
            return OrderPaymentState.PARTIALLY_PAID
        return OrderPaymentState.PARTIALLY_AUTHORIZED if self.authorized_minor else OrderPaymentState.UNPAID

    @property
    def shipping_state(self) -> OrderShippingState:
        if self.is_wholly_shipped:
            return OrderShippingState.FULFILLED
        return OrderShippingState.PARTIALLY_FULFILLED if self.is_shipped else OrderShippingState.UNFULFILLED

    @property
    def state(self) -> OrderState:
        is_cancelled = self.order.cancelled_at is not None
        if self.is_wholly_shipped or (self.is_shipped and is_cancelled):
            return OrderState.COMPLETE
        if is_cancelled:
            return OrderState.CANCELLED
        return OrderState.PROCESSING if self.is_covered else OrderState.INCOMPLETE


@dataclass(frozen=True, slots=True)
class OrderView(OrderStanding):
    """An order with all that is shown of it."""

    payments: tuple[Payment, ...]
    shipments: tuple[Shipment, ...]
    returns: tuple[OrderReturn, ...]

    @property
    def reversible_payments(self) -> tuple[Payment, ...]:
        """The payments that can be voided or refunded: cancelling does neither by itself."""
        return tuple(p for p in self.payments if p.is_voidable or p.refundable_minor)
