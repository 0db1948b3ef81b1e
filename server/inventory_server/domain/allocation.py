"""Which lines of the order flow take stock, and how an order comes to hold its units.

A line takes none where its item is not tracked or, with the store's setting `sell_unmanaged_products`, where
its product has no record. What an order's allocation finds is frozen while a payment counts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from inventory_server.domain.decide_reservation import expire_if_due
from inventory_server.domain.errors import InsufficientStock
from inventory_server.domain.holding import give_back, hold
from inventory_server.domain.order import CartItem, OrderLine, OrderStanding, SalesOrder
from inventory_server.domain.reservation import Line, Reservation, ReservationState
from inventory_server.domain.sourcing import source
from inventory_server.domain.state import State

Sold = TypeVar("Sold", CartItem, OrderLine)


def need_stock(state: State, items: Sequence[CartItem]) -> None:
    """Raise InsufficientStock unless every item that takes stock can be served now. Allocates nothing."""
    _, shortages = source(state, _asked(_taking(state, items)))
    if shortages:
        raise InsufficientStock(shortages)


def allocate(state: State, view: OrderStanding, reservation_id: str, *, committed: bool) -> None:
    """Hold the whole order for a payment, unless it is held.

    While another payment counts there is nothing to allocate. A hold from before is kept from expiring, if it
    is not due and still covers all that takes stock; else everything is allocated afresh.

    Raises: InsufficientStock.
    """
    held = view.reservation
    if held is not None and held.is_live and not view.is_counting:
        held = expire_if_due(state, held)
    if held is not None and held.is_live:
        if view.is_counting or _covers(state, held, view.order):
            _keep(state, held, committed=committed)
            return
        give_back(state, held, ReservationState.RELEASED)
    if view.is_counting:
        return  # of all its lines none takes stock
    life = ReservationState.COMMITTED if committed else ReservationState.HELD
    hold_order(state, view.order, reservation_id, life, None)  # the payment decides, not a clock


def hold_order(
    state: State, order: SalesOrder, reservation_id: str, life: ReservationState, expire_time: datetime | None
) -> None:
    """Hold every line that takes stock, or none, and freeze which those are. Raises: InsufficientStock."""
    taking = _taking(state, order.lines)
    numbers = [line.line_number for line in taking]
    if taking:
        reservation = Reservation(
            reservation_id=reservation_id,
            order_id=order.order_id,
            owned_by_order=True,
            state=life,
            lines=(),
            expire_time=expire_time,
            content_hash=b"",
            created_at=state.now,
            updated_at=state.now,
        )
        hold(state, reservation, _asked(taking), numbers=numbers)
    held = set(numbers)
    lines = tuple(
        line._replace(unmanaged=line.track_stock and line.line_number not in held) for line in order.lines
    )
    pointer = reservation_id if taking else None
    state.orders.put(order.order_id, replace(order, lines=lines, reservation_id=pointer))


def _taking(state: State, lines: Sequence[Sold]) -> list[Sold]:
    sells_unmanaged = state.settings.sell_unmanaged_products
    return [
        line
        for line in lines
        if line.track_stock is not False and not (sells_unmanaged and state.managed(line.product_id) is None)
    ]


def _asked(lines: Sequence[Sold]) -> list[Line]:
    return [Line(line.product_id, line.quantity, line.location) for line in lines]


def _covers(state: State, held: Reservation, order: SalesOrder) -> bool:
    numbers = {line.line_number for line in held.lines}
    return all(line.line_number in numbers for line in _taking(state, order.lines))


def _keep(state: State, held: Reservation, *, committed: bool) -> None:
    if held.state is not ReservationState.HELD:
        return
    if committed:
        kept = held._replace(state=ReservationState.COMMITTED, expire_time=None, updated_at=state.now)
    elif held.expire_time is not None and not held.expiry_suspended:
        kept = held._replace(expiry_suspended=True, updated_at=state.now)
    else:
        return
    state.reservations.put(kept.reservation_id, kept)
