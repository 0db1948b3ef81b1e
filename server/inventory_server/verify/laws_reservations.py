"""Laws of a reservation: where each of its units is, and which state goes with that."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inventory_server.verify.violation import Violation

LIVE = ("HELD", "COMMITTED")


class Line(NamedTuple):
    line_number: int
    reserved: int
    open: int
    released: int
    fulfilled: int
    returned: int


class Reservation(NamedTuple):
    """`of_order`: the reservation that its order points to; None where it has no such order."""

    reservation_id: str
    state: str
    owned_by_order: bool
    order_id: str
    of_order: str | None
    lines: Sequence[Line]


def reservation_laws(reservation: Reservation) -> Iterator[Violation]:
    """Check a reservation by itself, and that a live one of the order flow is its order's only one."""
    here = Violation(reservation_id=reservation.reservation_id, order_id=reservation.order_id)
    state, lines = reservation.state, reservation.lines
    for line in lines:
        parts = (line.open, line.released, line.fulfilled)
        is_returned_sound = 0 <= line.returned <= line.fulfilled
        if line.reserved != sum(parts) or min(parts) < 0 or line.reserved < 1 or not is_returned_sound:
            text = f"line {line.line_number}: {line[1:]} reserved, open, released, fulfilled, returned"
            yield here.of("line-units", text)
    is_open, is_fulfilled = any(line.open for line in lines), any(line.fulfilled for line in lines)
    if not lines:
        yield here.of("reservation-state", "it has no lines")
    elif (
        is_open is not (state in LIVE)
        or (state == "CLOSED" and not is_fulfilled)
        or (state in ("RELEASED", "EXPIRED", "HELD") and is_fulfilled)
    ):
        units = sum(line.open for line in lines), sum(line.fulfilled for line in lines)
        yield here.of("reservation-state", f"{state} with {units[0]} open units and {units[1]} fulfilled")
    if reservation.owned_by_order and state in LIVE and reservation.of_order != reservation.reservation_id:
        text = f"{state}, but the order's reservation is {reservation.of_order or 'none'}"
        yield here.of("one-live-reservation", text)
