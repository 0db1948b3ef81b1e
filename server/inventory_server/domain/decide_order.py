"""Checkout and cancelling."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import NamedTuple

from inventory_server.domain.allocation import hold_order, need_stock
from inventory_server.domain.commands import Checkout, content_hash
from inventory_server.domain.decide_reservation import expire_if_due
from inventory_server.domain.errors import (
    CartEmpty,
    CartNotFound,
    CartNotOpen,
    IdReused,
    OrderCancelled,
    OrderNotCancellable,
    PaymentInProgress,
)
from inventory_server.domain.holding import give_back
from inventory_server.domain.limits import TARGET_HOLD_S
from inventory_server.domain.order import CartState, OrderLine, OrderView, SalesOrder
from inventory_server.domain.order_commands import CancelOrder
from inventory_server.domain.reservation import ReservationState
from inventory_server.domain.state import State


class Cancelled(NamedTuple):
    """An order that was cancelled; `target` is the one that holds units in its stead."""

    order: OrderView
    target: OrderView | None = None


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


def cancel_order(state: State, command: CancelOrder, _request_id: str | None) -> Cancelled:
    """Release every unit not yet shipped; hold a whole other order of what is free then, or change nothing.

    Cancelling a cancelled order changes nothing, and gives nothing to another one.
    """
    view = state.order_view(command.order_id)
    target = None if command.target_order_id is None else state.order_view(command.target_order_id)
    if view.order.cancelled_at is not None:
        if target is not None:
            raise OrderCancelled(command.order_id)
        return Cancelled(view)
    if view.has_payment_in_flight:
        raise PaymentInProgress(command.order_id)
    if view.is_wholly_shipped:
        raise OrderNotCancellable(command.order_id, "it was shipped whole")
    if target is not None:
        _need_unpaid(state, target, command.order_id)
    if view.reservation is not None and view.reservation.is_live:
        give_back(state, view.reservation, ReservationState.RELEASED)
    state.orders.put(command.order_id, replace(view.order, cancelled_at=state.now))
    if target is None:
        return Cancelled(state.order_view(command.order_id))
    until = state.now + timedelta(seconds=TARGET_HOLD_S)
    hold_order(state, target.order, command.reservation_id, ReservationState.HELD, until)
    target_id = target.order.order_id
    return Cancelled(state.order_view(command.order_id), state.order_view(target_id))


def _need_unpaid(state: State, target: OrderView, source_id: str) -> None:
    """Raise unless an order can be held for the first time; a hold of it that is due is ended by that."""
    target_id = target.order.order_id
    if target.order.cancelled_at is not None:
        raise OrderCancelled(target_id)
    if target.has_payment_in_flight:
        raise PaymentInProgress(target_id)
    held = target.reservation
    if held is not None and held.is_live:
        held = expire_if_due(state, held)
    if target.is_counting or (held is not None and held.is_live):
        raise OrderNotCancellable(source_id, f"order {target_id!r} is paid, in part or whole, or holds units")
