"""What is asked of orders that were made, but for their payments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from inventory_server.domain.commands import Command, Wanted
from inventory_server.domain.reservation import LineUnits
from inventory_server.domain.state import State


@dataclass(frozen=True, slots=True)
class _OnOrder(Command):
    order_id: str

    def lines_in(self, state: State) -> int:
        order = state.orders.get(self.order_id)
        return len(order.lines) if order else 1

    def content(self) -> tuple[object, ...]:
        return (self.order_id,)

    def want(self, wanted: Wanted) -> None:
        wanted.orders.add(self.order_id)


@dataclass(frozen=True, slots=True)
class CancelOrder(_OnOrder):
    """`target_order_id` gets the units that come free, held by the server's own `reservation_id`."""

    has_request_id: ClassVar[bool] = True

    target_order_id: str | None = None
    reservation_id: str = ""

    def lines_in(self, state: State) -> int:
        orders = (state.orders.get(order_id) for order_id in (self.order_id, self.target_order_id or ""))
        return sum(len(order.lines) for order in orders if order) or 1

    def content(self) -> tuple[object, ...]:
        target = () if self.target_order_id is None else (self.target_order_id,)
        return (self.order_id, *target)

    def want(self, wanted: Wanted) -> None:
        wanted.orders.add(self.order_id)
        if self.target_order_id is not None:
            wanted.orders.add(self.target_order_id)


@dataclass(frozen=True, slots=True)
class ShipOrder(_OnOrder):
    """`units` are merged; none = all that were not shipped yet."""

    shipment_id: str
    units: tuple[LineUnits, ...] = ()

    def content(self) -> tuple[object, ...]:
        units = tuple(tuple(each) for each in self.units)
        return (self.order_id, units) if units else (self.order_id,)

    def want(self, wanted: Wanted) -> None:
        wanted.orders.add(self.order_id)
        wanted.shipments.add(self.shipment_id)


@dataclass(frozen=True, slots=True)
class ReturnOrderItems(_OnOrder):
    """`units` are merged. `location`: where restocked units are put; None = where each line was served."""

    return_id: str
    units: tuple[LineUnits, ...]
    restock: bool
    location: str | None = None
    reason: str = ""
    reference: str = ""

    def content(self) -> tuple[object, ...]:
        units = tuple(tuple(each) for each in self.units)
        return (self.order_id, units, self.restock, self.location, self.reason, self.reference)

    def want(self, wanted: Wanted) -> None:
        wanted.orders.add(self.order_id)
        wanted.order_returns.add(self.return_id)
