"""Units of orders leave the house, in parts or whole, and come back.

Lines that take no stock are shipped and returned like the others, and touch none.
"""

from __future__ import annotations

from typing import NamedTuple

from inventory_server.domain.commands import content_hash
from inventory_server.domain.errors import (
    IdReused,
    OrderCancelled,
    OrderNotShippable,
    PaymentInProgress,
    QuantityExceedsHeld,
    QuantityOverflow,
    ReturnExceedsShipped,
)
from inventory_server.domain.holding import bring_back, take_out
from inventory_server.domain.limits import (
    MOVED_LINES_PER_ORDER_MAX,
    RETURNS_PER_ORDER_MAX,
    SHIPMENTS_PER_ORDER_MAX,
)
from inventory_server.domain.order import OrderReturn, OrderStanding, OrderView, Shipment
from inventory_server.domain.order_commands import ReturnOrderItems, ShipOrder
from inventory_server.domain.reservation import LineUnits
from inventory_server.domain.state import State


class Returned(NamedTuple):
    """A return, and the order as it stands with it."""

    order_return: OrderReturn
    order: OrderView


def ship_order(state: State, command: ShipOrder, _request_id: str | None) -> Shipment:
    """Take units of a paid order out of the house: those named, or all that were not shipped yet."""
    content = content_hash(command)
    seen = state.shipments.get(command.shipment_id)
    if seen is not None:
        if seen.content_hash != content:
            raise IdReused("shipment_id", command.shipment_id)
        return seen
    view = state.standing(command.order_id)
    _need_shippable(view)
    shipped = view.shipped
    left = {line.line_number: line.quantity - shipped[line.line_number] for line in view.order.lines}
    units = command.units or tuple(LineUnits(*item) for item in left.items() if item[1])
    for line_number, quantity in units:
        if quantity > left.get(line_number, 0):
            raise QuantityExceedsHeld(line_number, quantity, left.get(line_number, 0))
    if view.sent.part_count == SHIPMENTS_PER_ORDER_MAX:
        raise OrderNotShippable(view.order.order_id, f"it has {SHIPMENTS_PER_ORDER_MAX} shipments")
    if view.sent.line_count + len(units) > MOVED_LINES_PER_ORDER_MAX:
        raise OrderNotShippable(
            view.order.order_id, f"its shipments have {MOVED_LINES_PER_ORDER_MAX} lines together at most"
        )
    held = _held_of(view, units)
    if view.reservation is not None and held:
        take_out(state, view.reservation, held)
    shipment = Shipment(command.shipment_id, command.order_id, units, content, state.now)
    state.shipments.put(shipment.shipment_id, shipment)
    return shipment


def return_order_items(state: State, command: ReturnOrderItems, _request_id: str | None) -> Returned:
    """Take shipped units back; restocked they are available again. Moves no money."""
    content = content_hash(command)
    seen = state.order_returns.get(command.return_id)
    if seen is not None and seen.content_hash != content:
        raise IdReused("return_id", command.return_id)
    if seen is not None:
        return Returned(seen, state.order_view(command.order_id))
    view = state.standing(command.order_id)
    state.need_location(command.location)
    held = _held_of(view, command.units)
    if view.reservation is not None and held:
        bring_back(
            state, view.reservation, held, restock=command.restock, location=command.location,
            reason=command.reason, reference=command.reference,
        )  # fmt: skip
    returnable = view.shipped - view.returned
    for line_number, quantity in command.units:
        if quantity > returnable[line_number]:
            raise ReturnExceedsShipped(line_number, quantity, returnable[line_number])
    if view.back.part_count == RETURNS_PER_ORDER_MAX:
        raise QuantityOverflow("the number of the order's returns", RETURNS_PER_ORDER_MAX)
    if view.back.line_count + len(command.units) > MOVED_LINES_PER_ORDER_MAX:
        raise QuantityOverflow("the number of lines in the order's returns", MOVED_LINES_PER_ORDER_MAX)
    order_return = OrderReturn(
        command.return_id, command.order_id, command.units, command.restock, command.location,
        command.reason, command.reference, state.actor, content, state.now,
    )  # fmt: skip
    state.order_returns.put(order_return.return_id, order_return)
    return Returned(order_return, state.order_view(command.order_id))


def _need_shippable(view: OrderStanding) -> None:
    order_id = view.order.order_id
    if view.order.cancelled_at is not None:
        raise OrderCancelled(order_id)
    if view.has_payment_in_flight:
        raise PaymentInProgress(order_id)
    if view.is_wholly_shipped:
        raise OrderNotShippable(order_id, "it was shipped before")
    if not view.is_paid:
        raise OrderNotShippable(order_id, "it is not paid in full")
    if view.is_refunded:
        raise OrderNotShippable(order_id, "it was refunded in full")


def _held_of(view: OrderStanding, units: tuple[LineUnits, ...]) -> list[LineUnits]:
    """Return those of the units that the order's reservation holds or held."""
    numbers = {line.line_number for line in view.reservation.lines} if view.reservation else set()
    return [each for each in units if each.line_number in numbers]
