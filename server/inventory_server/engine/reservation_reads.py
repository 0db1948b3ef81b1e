"""Reservations page by page: the narrowest filter with an index leads, the others look at what it finds."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NamedTuple

from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.commands import Wanted
from inventory_server.domain.reservation import LIVE, Reservation, ReservationState
from inventory_server.engine import load

# How many reservations one call looks at: a page may be short where filters let few of them through.
LOOKED_AT_MAX = 4_000
# A page ends early rather than hold more lines: with ids of the greatest length these are 3 MB of 4 MiB.
LINES_MAX = 10_000
_CHUNK = 100

# (when it runs out, reservation_id); the time counts only in a list of holds that are due.
ReservationKey = tuple[datetime, str]
FIRST_KEY: ReservationKey = (datetime(1, 1, 1, tzinfo=UTC), "")


class ReservationFilters(NamedTuple):
    """None, and no states, = all. `due_by`: holds that have run out at that moment of the clock."""

    states: tuple[ReservationState, ...] = ()
    order_id: str | None = None
    product_id: str | None = None
    due_by: datetime | None = None

    def lets_through(self, reservation: Reservation) -> bool:
        return (
            (not self.states or reservation.state in self.states)
            and self.order_id in (None, reservation.order_id)
            and (
                self.product_id is None
                or any(line.product_id == self.product_id for line in reservation.lines)
            )
        )


class ReservationPage(NamedTuple):
    """`last` is the key to go on after, None = there are no more."""

    reservations: list[Reservation]
    last: ReservationKey | None


async def read_reservations(
    transaction: ReadTransaction, filters: ReservationFilters, after: ReservationKey, limit: int
) -> ReservationPage:
    """Return at most `limit` reservations after a key: by id; those that are due by expire_time first.

    Fewer, though there are more, where LOOKED_AT_MAX were looked at or LINES_MAX lines are in the page.
    """
    found: list[Reservation] = []
    looked_at = line_count = 0
    while looked_at < LOOKED_AT_MAX:
        keys = await _keys(transaction, filters, after)
        calls = load.calls_for(Wanted(reservations={reservation_id for _, reservation_id in keys}))
        state = load.state_from(calls, await transaction.fetch(calls))
        for key in keys:
            reservation = state.reservations.get(key[1])
            if reservation is not None and filters.lets_through(reservation):
                line_count += len(reservation.lines)
                if len(found) == limit or (found and line_count > LINES_MAX):
                    return ReservationPage(found, after)
                found.append(reservation)
            after = key
        if len(keys) < _CHUNK:
            return ReservationPage(found, None)
        looked_at += len(keys)
    return ReservationPage(found, after)


async def _keys(
    transaction: ReadTransaction, filters: ReservationFilters, after: ReservationKey
) -> list[ReservationKey]:
    """Return the next _CHUNK keys by the index that narrows most; fewer = there are no more."""
    asked: dict[str, Any] = {"after_id": after[1], "limit": _CHUNK}
    if filters.due_by is not None:
        pages = [("reservation_due_page", {**asked, "after_time": after[0], "until": filters.due_by})]
    elif filters.order_id is not None:
        pages = [("reservation_of_order_page", {**asked, "order_id": filters.order_id})]
    elif filters.states and LIVE.issuperset(filters.states):
        pages = [("reservation_live_page", {**asked, "state": state.value}) for state in filters.states]
    else:
        pages = [("reservation_page", asked)]
    rows = [row for page in await transaction.fetch(pages) for row in page]
    if filters.due_by is not None:
        return [(expire_time, reservation_id) for expire_time, reservation_id in rows]
    return [(FIRST_KEY[0], reservation_id) for reservation_id in sorted(row[1] for row in rows)][:_CHUNK]
