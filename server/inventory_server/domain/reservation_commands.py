"""What callers ask of a reservation beyond making and moving it whole."""

from __future__ import annotations

from dataclasses import dataclass

from inventory_server.domain.commands import Command, Wanted
from inventory_server.domain.reservation import LineUnits
from inventory_server.domain.state import State


@dataclass(frozen=True, slots=True)
class ReturnReservationItems(Command):
    """`units` are merged. `location`: where restocked units are put; None = where each line was served."""

    reservation_id: str
    return_id: str
    units: tuple[LineUnits, ...]
    restock: bool
    location: str | None = None
    reason: str = ""
    reference: str = ""

    def lines_in(self, state: State) -> int:
        reservation = state.reservations.get(self.reservation_id)
        return len(reservation.lines) if reservation else 1

    def content(self) -> tuple[object, ...]:
        units = tuple(tuple(each) for each in self.units)
        return (self.reservation_id, units, self.restock, self.location, self.reason, self.reference)

    def want(self, wanted: Wanted) -> None:
        wanted.reservations.add(self.reservation_id)
        wanted.reservations_moved.add(self.reservation_id)
        wanted.item_returns.add(self.return_id)
