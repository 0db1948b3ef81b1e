"""Reservations: lines held together, all or nothing, with a life."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple


class ReservationState(StrEnum):
    """HELD -> COMMITTED -> CLOSED, or RELEASED, or EXPIRED."""

    HELD = "HELD"
    COMMITTED = "COMMITTED"
    CLOSED = "CLOSED"
    RELEASED = "RELEASED"
    EXPIRED = "EXPIRED"


LIVE = frozenset({ReservationState.HELD, ReservationState.COMMITTED})


class Line(NamedTuple):
    """A line asked for; `location` is None where any will do."""

    product_id: str
    quantity: int
    location: str | None = None


class LineUnits(NamedTuple):
    """Units of one line of a reservation, named by the line's number."""

    line_number: int
    quantity: int


class ReservationLine(NamedTuple):
    """A line held. reserved = open + released + fulfilled; returned <= fulfilled."""

    line_number: int
    product_id: str
    location: str
    reserved: int
    open: int
    released: int = 0
    fulfilled: int = 0
    returned: int = 0
    # The location that the caller named, so that a hold that expired is sourced afresh as it was asked for.
    named_location: str | None = None


class Reservation(NamedTuple):
    """`expiry_suspended`: a payment of its order decides, not the clock; the time is kept for its end.

    A tuple, since the hot path makes many.
    """

    reservation_id: str
    order_id: str | None
    owned_by_order: bool
    state: ReservationState
    lines: tuple[ReservationLine, ...]
    expire_time: datetime | None
    content_hash: bytes
    created_at: datetime
    updated_at: datetime
    expiry_suspended: bool = False

    def with_lines(self, lines: tuple[ReservationLine, ...], now: datetime) -> Reservation:
        """Return it with other lines, in half of the time that `_replace` takes."""
        return Reservation(
            self.reservation_id, self.order_id, self.owned_by_order, self.state, lines, self.expire_time,
            self.content_hash, self.created_at, now, self.expiry_suspended,
        )  # fmt: skip

    @property
    def is_live(self) -> bool:
        return self.state in LIVE

    def is_due(self, now: datetime) -> bool:
        """Whether the hold has run out at this moment of the database's clock."""
        return (
            self.state is ReservationState.HELD
            and not self.expiry_suspended
            and self.expire_time is not None
            and self.expire_time <= now
        )


@dataclass(frozen=True, slots=True)
class ItemReturn:
    """Fulfilled units that came back. `location`: where they were put; None = where each line was served."""

    return_id: str
    reservation_id: str
    lines: tuple[LineUnits, ...]
    restocked: bool
    location: str | None
    reason: str
    reference: str
    actor: str
    content_hash: bytes
    created_at: datetime


def merge_units(units: Iterable[LineUnits]) -> tuple[LineUnits, ...]:
    """Add up what is named of one line, in the order first named."""
    merged: dict[int, int] = {}
    for line_number, quantity in units:
        merged[line_number] = merged.get(line_number, 0) + quantity
    return tuple(LineUnits(*item) for item in merged.items())


def merge(lines: tuple[Line, ...]) -> tuple[Line, ...]:
    """Add up the lines of one (product, named location), in the order first named."""
    if len(lines) == 1:
        return lines
    merged: dict[tuple[str, str | None], Line] = {}
    for line in lines:
        key = (line.product_id, line.location)
        seen = merged.get(key)
        merged[key] = line if seen is None else line._replace(quantity=seen.quantity + line.quantity)
    return tuple(merged.values())
