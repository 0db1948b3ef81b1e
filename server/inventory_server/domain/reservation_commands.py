"""What callers ask of a reservation beyond making and moving it whole."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from inventory_server.domain.commands import Command, Wanted
from inventory_server.domain.reservation import LineUnits
from inventory_server.domain.state import State


@dataclass(frozen=True, slots=True)
class ExtendReservation(Command):
    """Of ttl_s, expire_time, never_expires exactly one."""

    has_request_id: ClassVar[bool] = True

    reservation_id: str
    ttl_s: float | None = None
    expire_time: datetime | None = None
    never_expires: bool = False

    def lines_in(self, state: State) -> int:
        reservation = state.reservations.get(self.reservation_id)
        return len(reservation.lines) if reservation else 1

    def content(self) -> tuple[object, ...]:
        expire_time = self.expire_time.isoformat() if self.expire_time else None
        return (self.reservation_id, self.ttl_s, expire_time, self.never_expires)

    def want(self, wanted: Wanted) -> None:
        wanted.reservations.add(self.reservation_id)
        # One that is due ends here, so its units move.
        wanted.reservations_moved.add(self.reservation_id)


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
