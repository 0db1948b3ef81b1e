"""Moving units between available and held: what reservations and orders share."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inventory_server.domain import stock
from inventory_server.domain.errors import (
    InsufficientStock,
    QuantityExceedsHeld,
    ReturnExceedsShipped,
    StockNotFound,
)
from inventory_server.domain.reservation import (
    Line,
    LineUnits,
    Reservation,
    ReservationLine,
    ReservationState,
)
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
    held_lines = []
    for number, line, slug in zip(numbers or range(1, len(lines) + 1), lines, found, strict=True):
        product_id, quantity, named_location = line
        level = stock.reserve(state.level(product_id, slug), quantity)
        state.write_level(product_id, slug, Action.RESERVE, quantity, level, reservation=reservation)
        held_lines.append(
            ReservationLine(number, product_id, slug, quantity, quantity, 0, 0, 0, named_location)
        )
    held = reservation.with_lines(tuple(held_lines), state.now)
    state.reservations.put(held.reservation_id, held)
    return held


def give_back(
    state: State,
    reservation: Reservation,
    ended: ReservationState,
    *,
    reason: str = "",
    reference: str = "",
) -> Reservation:
    """Make every open unit available again; `reason` and `reference` are for the log.

    Returns: the reservation as it ended: RELEASED or EXPIRED as said, but CLOSED where units of it left the
        house before.
    """
    action = Action.EXPIRE if ended is ReservationState.EXPIRED else Action.RELEASE
    lines = []
    for line in reservation.lines:
        if line.open:
            level = stock.release(state.level(line.product_id, line.location), line.open)
            state.write_level(
                line.product_id, line.location, action, line.open, level,
                reservation=reservation, reason=reason, reference=reference,
            )  # fmt: skip
        lines.append(line._replace(open=0, released=line.released + line.open))
    if any(line.fulfilled for line in lines):
        ended = ReservationState.CLOSED
    given = reservation._replace(state=ended, lines=tuple(lines), updated_at=state.now)
    state.reservations.put(given.reservation_id, given)
    return given


def take_out(
    state: State,
    reservation: Reservation,
    units: Sequence[LineUnits] | None = None,
    *,
    reason: str = "",
    reference: str = "",
) -> Reservation:
    """Take open units out of the house.

    Args:
        reservation: COMMITTED, or HELD: what leaves the house is confirmed by it.
        units: how many of which lines, merged; None: all that are open.
        reason, reference: for the log.
    Returns: the reservation; CLOSED if nothing of it is open any more, else COMMITTED.
    Raises: QuantityExceedsHeld.
    """
    asked = _by_number(reservation, units, QuantityExceedsHeld, lambda line: line.open)
    lines = []
    for line in reservation.lines:
        count = asked.get(line.line_number, 0)
        if count:
            level = stock.fulfill(state.level(line.product_id, line.location), count)
            state.write_level(
                line.product_id, line.location, Action.FULFILL, count, level,
                reservation=reservation, reason=reason, reference=reference,
            )  # fmt: skip
        lines.append(line._replace(open=line.open - count, fulfilled=line.fulfilled + count))
    is_open = any(line.open for line in lines)
    taken = reservation._replace(
        state=ReservationState.COMMITTED if is_open else ReservationState.CLOSED,
        lines=tuple(lines),
        expire_time=None,
        updated_at=state.now,
    )
    state.reservations.put(taken.reservation_id, taken)
    return taken


def bring_back(
    state: State,
    reservation: Reservation,
    units: Sequence[LineUnits],
    *,
    restock: bool,
    location: str | None = None,
    reason: str = "",
    reference: str = "",
) -> Reservation:
    """Take fulfilled units back; restocked they are available again.

    Args:
        units: how many of which lines, merged.
        restock: False: they count as returned, and no level changes.
        location: where they are put, disabled or not; None: where each line was served.
        reason, reference: for the log.
    Returns: the reservation, in the state that it was in.
    Raises: LocationNotFound (a line's own may have been deleted: name another), StockNotFound,
        ReturnExceedsShipped, QuantityOverflow.
    """
    if restock:
        _need_places(state, reservation, units, location)
    asked = _by_number(reservation, units, ReturnExceedsShipped, lambda line: line.fulfilled - line.returned)
    lines = []
    for line in reservation.lines:
        count = asked.get(line.line_number, 0)
        if count and restock:
            slug = location or line.location
            level = stock.increment(state.level(line.product_id, slug), count)
            state.write_level(
                line.product_id, slug, Action.RETURN, count, level,
                reservation=reservation, reason=reason, reference=reference,
            )  # fmt: skip
        lines.append(line._replace(returned=line.returned + count))
    returned = reservation._replace(lines=tuple(lines), updated_at=state.now)
    state.reservations.put(returned.reservation_id, returned)
    return returned


def _need_places(
    state: State, reservation: Reservation, units: Sequence[LineUnits], location: str | None
) -> None:
    """Raise LocationNotFound or StockNotFound where a line's units have nowhere to go."""
    state.need_location(location)
    named = {line_number for line_number, _ in units}
    for line in reservation.lines:
        if line.line_number in named:
            state.need_location(location or line.location)
            if state.managed(line.product_id) is None:
                raise StockNotFound(line.product_id)


def _by_number(
    reservation: Reservation,
    units: Sequence[LineUnits] | None,
    refusal: type[QuantityExceedsHeld | ReturnExceedsShipped],
    limit: Callable[[ReservationLine], int],
) -> dict[int, int]:
    """Return how many units of which line are meant; a line that there isn't has none.

    Raises: refusal, for the first line of which more is asked than its limit.
    """
    most = {line.line_number: limit(line) for line in reservation.lines}
    if units is None:
        return most
    for line_number, quantity in units:
        if quantity > most.get(line_number, 0):
            raise refusal(line_number, quantity, most.get(line_number, 0))
    return dict(units)
