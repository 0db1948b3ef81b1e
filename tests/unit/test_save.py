"""What a batch writes, in which order."""

from __future__ import annotations

from datetime import UTC, datetime

from inventory_server.domain.reservation import Reservation, ReservationLine, ReservationState
from inventory_server.domain.state import State
from inventory_server.engine import save

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def held(reservation_id: str) -> Reservation:
    lines = (ReservationLine(1, "a", "default", 1, 1),)
    return Reservation(reservation_id, "o", True, ReservationState.HELD, lines, None, b"", NOW, NOW)


def test_a_reservation_ends_before_its_orders_next_one_is_made() -> None:
    """An order has one live reservation at most, at every instant: the database checks it row by row."""
    state = State(now=NOW)
    state.reservations.load("old", held("old"))
    state.reservations.put("new", held("new"))
    state.reservations.put("old", held("old")._replace(state=ReservationState.RELEASED))
    state.keep()
    written = [(name, params["reservation_id"]) for name, params in save.calls_for(state)]
    assert written == [
        ("put_reservations", ["old"]),
        ("put_reservation_lines", ["old"]),
        ("insert_reservations", ["new"]),
        ("insert_reservation_lines", ["new"]),
    ]
