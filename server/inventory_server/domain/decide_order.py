"""Checkout, cancelling and shipping."""

from __future__ import annotations

from dataclasses import replace

from inventory_server.domain.allocation import need_stock
from inventory_server.domain.commands import CancelOrder, Checkout, ShipOrder, content_hash
from inventory_server.domain.errors import (
    CartEmpty,
    CartNotFound,
    CartNotOpen,
    IdReused,
    OrderCancelled,
    OrderNotCancellable,
    OrderNotShippable,
    PaymentInProgress,
)
from inventory_server.domain.holding import give_back, take_out
from inventory_server.domain.order import CartState, OrderLine, OrderView, SalesOrder, Shipment, ShipmentLine
from inventory_server.domain.reservation import ReservationState
from inventory_server.domain.state import State


def checkout(state: State, command: Checkout, _request_id: str | None) -> OrderView:
    """Freeze a cart as an unpaid order, after a last check; allocates nothing."""
    content = content_hash(command)
    seen = state.orders.get(command.order_id)
    if seen is not None:
        if seen.content_hash != content:
            raise IdReused("order_id", command.order_id)
        return state.order_view(command.order_id)
    cart = state.carts.get(command.cart_id)
    if cart is None:
        raise CartNotFound(command.cart_id)
    if cart.state is not CartState.OPEN:
        raise CartNotOpen(cart.cart_id, cart.order_id)
    if not cart.items:
        raise CartEmpty(cart.cart_id)
    need_stock(state, cart.items)
    state.carts.put(cart.cart_id, replace(cart, order_id=command.order_id, updated_at=state.now))
    order = SalesOrder(
        order_id=command.order_id,
        cart_id=cart.cart_id,
        currency=cart.currency,
        lines=tuple(
            OrderLine(number, *item[:4], track_stock=item.track_stock is not False)
            for number, item in enumerate(cart.items, start=1)
        ),
        total_minor=cart.total_minor,
        reservation_id=None,
        content_hash=content,
        created_at=state.now,
        cancelled_at=None,
    )
    state.orders.put(order.order_id, order)
    return state.order_view(order.order_id)


def cancel_order(state: State, command: CancelOrder, _request_id: str | None) -> OrderView:
    """Release every unit not yet shipped. Cancelling a cancelled order changes nothing."""
    view = state.order_view(command.order_id)
    if view.order.cancelled_at is not None:
        return view
    if view.has_payment_in_flight:
        raise PaymentInProgress(command.order_id)
    if view.is_shipped:
        raise OrderNotCancellable(command.order_id)
    if view.reservation is not None and view.reservation.is_live:
        give_back(state, view.reservation, ReservationState.RELEASED)
    state.orders.put(command.order_id, replace(view.order, cancelled_at=state.now))
    return state.order_view(command.order_id)


def ship_order(state: State, command: ShipOrder, _request_id: str | None) -> Shipment:
    """Take the units of a paid order out of the house."""
    content = content_hash(command)
    seen = state.shipments.get(command.shipment_id)
    if seen is not None:
        if seen.content_hash != content:
            raise IdReused("shipment_id", command.shipment_id)
        return seen
    view = state.order_view(command.order_id)
    if view.order.cancelled_at is not None:
        raise OrderCancelled(command.order_id)
    if view.has_payment_in_flight:
        raise PaymentInProgress(command.order_id)
    if view.is_shipped:
        raise OrderNotShippable(command.order_id, "it was shipped before")
    if not view.is_paid:
        raise OrderNotShippable(command.order_id, "it is not paid in full")
    if view.is_refunded:
        raise OrderNotShippable(command.order_id, "it was refunded in full")
    if view.reservation is not None and view.reservation.is_live:
        take_out(state, view.reservation)
    shipment = Shipment(
        shipment_id=command.shipment_id,
        order_id=command.order_id,
        lines=tuple(ShipmentLine(line.line_number, line.quantity) for line in view.order.lines),
        content_hash=content,
        created_at=state.now,
    )
    state.shipments.put(shipment.shipment_id, shipment)
    return shipment
