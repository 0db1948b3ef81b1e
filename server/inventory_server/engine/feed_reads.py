"""The statements of the feed: where it ends, whether a place in it still is, and what comes after one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

from inventory_server.db.read_pool import ReadTransaction, Snapshot
from inventory_server.domain.stock import LogRecord
from inventory_server.engine.errors import DatabaseUnavailable, DeadlinePassed
from inventory_server.engine.load import Call, Row
from inventory_server.engine.log_reads import log_record
from inventory_server.engine.reads import Reader

T = TypeVar("T")

# A database that can't be read for so long ends the watches; a connection that is slow to come does not.
READ_TIMEOUT_S = 5.0
PAUSE_S = 0.1
# Entries of one part, and so of one message: with every text at its longest they stay below 4 MiB.
PART_ENTRIES_MAX = 1_000


class Position(NamedTuple):
    """The place of a log entry in the feed, whose order is that of these tuples (texts are ASCII)."""

    xid: int
    product_id: str
    location: str
    version: int


# Before every entry.
START = Position(0, "", "", 0)


class Change(NamedTuple):
    """A log entry and its place."""

    position: Position
    record: LogRecord


class Part(NamedTuple):
    """A stretch of the feed.

    `last`: the place to go on from; `continues`: the last entry's transaction has more;
    `is_cut`: the read that made it was cut by its bound, so there is more at once.
    """

    changes: Sequence[Change]
    last: Position
    continues: bool = False
    is_cut: bool = False


class Opening(NamedTuple):
    """What a watch begins with. `origin` names the database among all there are."""

    origin: str
    end: Position
    is_known: bool


class FeedReader:
    """Reads settled entries alone: nothing can change them, so SERIALIZABLE has nothing to guard."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def opening(self, store_id: str, resumed: Position | None) -> Opening:
        """Look where the feed ends, and whether `resumed` still is in it. Raises: StoreNotFound."""
        calls: list[Call] = [("feed_origin", {}), ("feed_end", {})]
        if resumed is not None and resumed != START:
            calls.append(("feed_position", {**resumed._asdict(), "xid": str(resumed.xid)}))

        async def read(transaction: ReadTransaction) -> list[list[Row]]:
            return await transaction.fetch(calls)

        found = await self._run(store_id, read)
        system_identifier, database = found[0][0]
        return Opening(
            origin=f"{system_identifier}:{database}",
            end=Position(*found[1][0]) if found[1] else START,
            is_known=bool(found[2][0][0]) if len(calls) > 2 else True,
        )

    async def after(
        self, store_id: str, position: Position, *, inside: bool
    ) -> tuple[Part | None, float | None]:
        """Return what comes next, and since when committed entries are held back.

        Args:
            inside: the position's transaction may have more; where it is known to be over, the look for it
                is saved.
        Returns: a part, None at the end of what is settled; the age in seconds of the oldest entry that was
            committed while a transaction with a lower id is open, None where there is none.
        """

        async def read(transaction: ReadTransaction) -> tuple[Part | None, float | None]:
            if inside:
                rest = await _transaction(transaction, position)
                if rest is not None:
                    return rest, None
            return await _page(transaction, position)

        return await self._run(store_id, read)

    async def _run(self, store_id: str, read: Callable[[ReadTransaction], Awaitable[T]]) -> T:
        loop = asyncio.get_running_loop()
        until = loop.time() + READ_TIMEOUT_S
        while True:
            try:
                return await self._reader.run(
                    store_id, read, deadline_s=until - loop.time(), snapshot=Snapshot.SETTLED
                )
            except DeadlinePassed as error:
                raise DatabaseUnavailable("the feed could not be read in time") from error
            except DatabaseUnavailable:
                if loop.time() + PAUSE_S >= until:
                    raise
                await asyncio.sleep(PAUSE_S)


async def _page(transaction: ReadTransaction, after: Position) -> tuple[Part | None, float | None]:
    """Read the transactions after one, as many as fit; of one that does not fit by itself, a part."""
    asked = {"after_xid": str(after.xid), "limit": PART_ENTRIES_MAX + 1}
    rows, stalled = await transaction.fetch([("feed_page", asked), ("feed_stalled", {})])
    stalled_s = float(stalled[0][0]) if stalled else None
    if not rows:
        return None, stalled_s
    # Within a transaction the rows come in any order.
    changes = sorted(map(_change, rows))
    is_cut = len(changes) > PART_ENTRIES_MAX
    if is_cut:
        whole = [change for change in changes if change.position.xid < changes[-1].position.xid]
        if not whole:
            return await _transaction(transaction, Position(changes[-1].position.xid, "", "", 0)), None
        changes = whole
    return Part(changes, changes[-1].position, is_cut=is_cut), stalled_s


async def _transaction(transaction: ReadTransaction, after: Position) -> Part | None:
    """Read on within the transaction of a position; None where it is over."""
    asked = {
        "xid": str(after.xid),
        "after_product_id": after.product_id,
        "after_location": after.location,
        "after_version": after.version,
        "limit": PART_ENTRIES_MAX + 1,
    }
    rows = (await transaction.fetch([("feed_transaction", asked)]))[0]
    if not rows:
        return None
    changes = [_change(row) for row in rows[:PART_ENTRIES_MAX]]
    return Part(changes, changes[-1].position, continues=len(rows) > PART_ENTRIES_MAX, is_cut=True)


def _change(row: Row) -> Change:
    record = log_record(row[:-1])
    entry = record.entry
    return Change(Position(row[-1], entry.product_id, entry.location, entry.level.version), record)
