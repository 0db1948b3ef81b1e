"""Moving units between available and held: what reservations and orders share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from inventory_server.domain import stock
from inventory_server.domain.errors import InsufficientStock
from inventory_server.domain.reservation import Line, Reservation, ReservationLine, ReservationState
from inventory_server.domain.sourcing import source
from inventory_server.domain.state import State
from inventory_server.domain.stock import Action


def hold(
    state: State,
    reservation: Reservation,
    lines: Sequence[Line],
    refusal: type[InsufficientStock] = InsufficientStock,
    numbers: Sequence[int] | None = None,
) -> Reservation:
    """Allocate every line for a reservation, or none.

    Args:
        reservation: what is to be written; its lines are replaced by those sourced now.
        lines: merged.
        refusal: what is raised with the shortages.
        numbers: the lines' keys, where they are those of an order's lines; None = 1, 2, ...
    Returns: the reservation with its lines open.
    Raises: refusal.
    """
    found, shortages = source(state, lines)
    if shortages:
        raise refusal(shortages)
    for line, slug in zip(lines, found, strict=True):
        level = stock.reserve(state.level(line.product_id, slug), line.quantity)
        state.write_level(
            line.product_id, slug, Action.RESERVE, line.quantity, level, reservation=reservation
        )
    held = replace(
        reservation,
        lines=tuple(
            ReservationLine(
                number, line.product_id, slug, line.quantity, line.quantity, named_location=line.location
            )
            for number, line, slug in zip(numbers or range(1, len(lines) + 1), lines, found, strict=True)
        ),
        updated_at=state.now,
    )
    state.reservations.put(held.reservation_id, held)
    return held


def give_back(state: State, reservation: Reservation, ended: ReservationState) -> Reservation:
    """Make every open unit available again; the reservation ends as RELEASED or EXPIRED."""
    action = Action.EXPIRE if ended is ReservationState.EXPIRED else Action.RELEASE
    lines = []
    for line in reservation.lines:
        if line.open:
            level = stock.release(state.level(line.product_id, line.location), line.open)
            state.write_level(
                line.product_id, line.location, action, line.open, level, reservation=reservation
            )
        lines.append(line._replace(open=0, released=line.released + line.open))
    given = replace(reservation, state=ended, lines=tuple(lines), updated_at=state.now)
    state.reservations.put(given.reservation_id, given)
    return given


def take_out(state: State, reservation: Reservation) -> Reservation:
    """Take every open unit out of the house; the reservation is CLOSED."""
    lines = []
    for line in reservation.lines:
        if line.open:
            level = stock.fulfill(state.level(line.product_id, line.location), line.open)
            state.write_level(
                line.product_id, line.location, Action.FULFILL, line.open, level, reservation=reservation
            )
        lines.append(line._replace(open=0, fulfilled=line.fulfilled + line.open))
    closed = replace(
        reservation, state=ReservationState.CLOSED, lines=tuple(lines), expire_time=None, updated_at=state.now
    )
    state.reservations.put(closed.reservation_id, closed)
    return closed
