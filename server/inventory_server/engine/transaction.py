"""The one transaction: load, decide, save. Every write of the service goes through `run_batch`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

from inventory_server.db.connection import EngineConnection
from inventory_server.domain.commands import ExpireReservation, Wanted
from inventory_server.domain.decide import Request, decide
from inventory_server.domain.errors import InsufficientStock, StockInUse, TotalBelowAllocated
from inventory_server.domain.state import State
from inventory_server.domain.stock_import import RowReason
from inventory_server.engine import level_load, load, save
from inventory_server.engine.ahead import SHORT, decide_in_parts
from inventory_server.engine.facts import NOTHING, Facts, facts_of

# How many due holds a batch ends for the sake of those who are short, as far as the batch's bound on lines
# has room for theirs; more wait for the next batch.
DUE_HOLDS_MAX = 64


@dataclass(slots=True)
class Attempt:
    """What is known of one run of a batch, also when it fails in the middle."""

    # With the verdicts set: COMMIT was sent, so they may have become true.
    commit_sent: bool = False
    verdicts: list[object] = field(default_factory=list)
    # Indexes of requests that go first in the next batch: they are short although more due holds exist, or
    # the lines that they turned out to move did not fit.
    deferred: frozenset[int] = frozenset()
    facts: Facts = NOTHING
    # Whether the store turned out to be wide; it need not have been known.
    is_wide: bool = True


class _SentTooSoon(Exception):
    """What was sent ahead would have been decided otherwise."""


async def run_batch(
    connection: EngineConnection,
    store_id: str,
    requests: Sequence[Request],
    attempt: Attempt,
    *,
    lines_max: int,
    is_wide: bool,
) -> None:
    """Decide requests in one SERIALIZABLE transaction; on return it is committed.

    Two round trips: BEGIN with the load, and the save with COMMIT, which of a large batch begins before all
    is decided (engine/ahead.py). In a wide store another one may bring levels that turned out to be needed.
    Where stock does not suffice, or is in use and should be deleted or counted below that, two more look for
    holds that are due and load them: they are expired first. After either everything is decided again; in a
    transaction anew, if something was sent by then.

    Args:
        is_wide: how to load: see engine/level_load.py.

    Raises: the database's errors, or whatever a rule raised that is no refusal; the caller rolls back.
    Effects: `attempt` is filled as far as it came.
    """
    send_ahead = partial(connection.send_ahead, store_id)
    run = partial(_run, connection, store_id, requests, attempt, lines_max, is_wide)
    try:
        await run(partial(decide_in_parts, send=send_ahead))
    except _SentTooSoon:
        await connection.rollback()
        await run(lambda state, requests: (decide(state, requests), False))


async def _run(
    connection: EngineConnection,
    store_id: str,
    requests: Sequence[Request],
    attempt: Attempt,
    lines_max: int,
    is_wide: bool,
    decide_first: Callable[[State, Sequence[Request]], tuple[list[object], bool]],
) -> None:
    fetch = partial(connection.fetch, store_id)
    calls = load.calls_for(_wanted(requests), is_wide=is_wide)
    results = await connection.begin(store_id, calls)

    def decide_fitting(state: State) -> tuple[Sequence[Request], list[object], bool]:
        fitting = requests[: _fitting_count(state, requests, lines_max)]
        return fitting, *decide_first(state, fitting)

    state, (fitting, verdicts, is_sent) = await load.decided(fetch, calls, results, decide_fitting)
    attempt.is_wide = level_load.is_wide(state)
    deferred = set(range(len(fitting), len(requests)))
    if short := _products_short(verdicts) | _products_of_rows_below(state):
        looked_for = {"products": sorted(short), "limit": DUE_HOLDS_MAX}
        rows = (await fetch([("due_reservations", looked_for)]))[0]
        room = lines_max - sum(request.command.lines_in(state) for request in fitting)
        due = _oldest_within(rows, room)
        if due and is_sent:
            raise _SentTooSoon
        if due:
            moved = Wanted(locations=False, reservations=set(due), reservations_moved=set(due))
            more = load.calls_for(moved, is_wide=is_wide)
            results += await fetch(more)
            calls += more
            more_are_due = len(due) < len(rows) or len(rows) == DUE_HOLDS_MAX
            expiries = [Request(ExpireReservation(reservation_id)) for reservation_id in due]

            def decide_again(state: State) -> list[object]:
                state.more_are_due = more_are_due
                return decide(state, [*expiries, *fitting])[len(due) :]

            state, verdicts = await load.decided(fetch, calls, results, decide_again)
            if more_are_due:
                deferred |= {i for i, verdict in enumerate(verdicts) if isinstance(verdict, SHORT)}
    verdicts += [None] * (len(requests) - len(fitting))
    saves = save.calls_for(state)
    attempt.facts = facts_of(state, verdicts)
    attempt.verdicts, attempt.deferred, attempt.commit_sent = verdicts, frozenset(deferred), True
    await connection.commit(store_id, saves)


def _wanted(requests: Sequence[Request]) -> Wanted:
    wanted = Wanted()
    for request in requests:
        request.command.want(wanted)
        if request.request_id is not None:
            wanted.answers.add((request.scope, request.request_id))
    return wanted


def _fitting_count(state: State, requests: Sequence[Request], lines_max: int) -> int:
    """Return how many requests, from the first on, move at most `lines_max` lines; one at least."""
    lines = 0
    for index, request in enumerate(requests):
        lines += request.command.lines_in(state)
        if index and lines > lines_max:
            return index
    return len(requests)


def _oldest_within(rows: Sequence[tuple[str, int]], lines_max: int) -> list[str]:
    """Return the first reservations of (id, line count) that have at most so many lines; one at least."""
    chosen: list[str] = []
    lines = 0
    for reservation_id, line_count in rows:
        lines += line_count
        if chosen and lines > lines_max:
            break
        chosen.append(reservation_id)
    return chosen


def _products_short(verdicts: Sequence[object]) -> set[str]:
    """Return the products whose due holds, if they had expired, could have changed a verdict."""
    short: set[str] = set()
    for verdict in verdicts:
        if isinstance(verdict, InsufficientStock):
            short.update(shortage.product_id for shortage in verdict.shortages if shortage.managed)
        elif isinstance(verdict, StockInUse | TotalBelowAllocated):
            short.add(verdict.product_id)
    return short


def _products_of_rows_below(state: State) -> set[str]:
    """Return the same for the rows of imports, whose chunks are not refused for them."""
    errors = [error for _, error in state.import_errors.inserted()]
    return {error.product_id for error in errors if error.reason is RowReason.TOTAL_BELOW_ALLOCATED}
