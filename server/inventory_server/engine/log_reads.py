"""The log page by page. One filter chooses the index; what the others leave out is passed over."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.stock import Action, LogEntry, LogRecord, StockLevel

# How many entries one call looks at: a page may be short where most of them are filtered out.
LOOKED_AT_MAX = 10_000
# How many are asked for at once; those of the last one's transaction come with it, a batch's lines at most.
CHUNK = 1_000

# When an entry was written, its product, location and version.
LogKey = tuple[datetime, str, str, int]
Row = tuple[Any, ...]

_BEGINNING = datetime(1, 1, 1, tzinfo=UTC)
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)
# PostgreSQL keeps times to the microsecond, so this is the next one.
_NEXT = timedelta(microseconds=1)
_VERSION_END = 2**63 - 1
# Above every slug.
_ABOVE = "\x7f"


class LogFilters(NamedTuple):
    """None, and no actions, = all. Both times are included."""

    product_id: str | None = None
    location: str | None = None
    actions: frozenset[Action] = frozenset()
    order_id: str | None = None
    actor: str | None = None
    created_from: datetime | None = None
    created_until: datetime | None = None
    newest_first: bool = False

    @property
    def is_by_level(self) -> bool:
        """Whether the list goes level by level: of one product that is its key's order."""
        return self.product_id is not None and self.order_id is None

    @property
    def words(self) -> list[str]:
        """Return what a page_token is bound to: the same in every server, unlike a set's order."""
        return [*map(str, self._replace(actions=frozenset())), *sorted(self.actions)]

    def lets_through(self, record: LogRecord) -> bool:
        entry = record.entry
        return (
            self.product_id in (None, entry.product_id)
            and self.location in (None, entry.location)
            and (not self.actions or entry.action in self.actions)
            and self.order_id in (None, entry.order_id)
            and self.actor in (None, entry.actor)
            and (self.created_from is None or record.created_at >= self.created_from)
            and (self.created_until is None or record.created_at <= self.created_until)
        )


class LogPage(NamedTuple):
    """Entries in the order asked for; `last` is the key to go on after, None = there are no more."""

    records: list[LogRecord]
    last: LogKey | None


async def read_log(
    transaction: ReadTransaction, filters: LogFilters, after: LogKey | None, limit: int
) -> LogPage:
    """Return at most `limit` entries after a key, None = from the beginning.

    Fewer, though there may be more, where LOOKED_AT_MAX entries were looked at.
    """
    read = _by_level if filters.is_by_level else _by_time
    found: list[LogRecord] = []
    looked_at = 0
    # Enough for a page that nothing is filtered out of; then by chunks.
    count = limit + 1
    is_new = True
    while True:
        records, is_last = await read(transaction, filters, after, count, is_new)
        for record in records:
            if filters.lets_through(record):
                if len(found) == limit:
                    return LogPage(found, key_of(found[-1]))
                found.append(record)
        if is_last:
            return LogPage(found, None)
        if records:
            after = key_of(records[-1])
        count, is_new = CHUNK, False
        looked_at += len(records)
        if looked_at >= LOOKED_AT_MAX:
            return LogPage(found, after)


def key_of(record: LogRecord) -> LogKey:
    entry = record.entry
    return (record.created_at, entry.product_id, entry.location, entry.level.version)


async def _by_level(
    transaction: ReadTransaction, filters: LogFilters, after: LogKey | None, count: int, _is_new: bool
) -> tuple[list[LogRecord], bool]:
    """Return the next entries of one product, by location, then version; and whether they are the last."""
    low: tuple[str, int] = ("", 0) if filters.location is None else (filters.location, 0)
    high: tuple[str, int] = (_ABOVE if filters.location is None else filters.location, _VERSION_END)
    if after is not None and filters.newest_first:
        high = (after[2], after[3])
    elif after is not None:
        low = (after[2], after[3])
    asked = {
        "product_id": filters.product_id,
        "after_location": low[0],
        "after_version": low[1],
        "before_location": high[0],
        "before_version": high[1],
        "limit": count,
    }
    name = "log_of_product_newest" if filters.newest_first else "log_of_product"
    rows = (await transaction.fetch([(name, asked)]))[0]
    return [log_record(row) for row in rows], len(rows) < count


async def _by_time(
    transaction: ReadTransaction, filters: LogFilters, after: LogKey | None, count: int, is_new: bool
) -> tuple[list[LogRecord], bool]:
    """Return the next entries by time, and whether they are the last.

    What was written at one moment comes whole (WITH TIES), so a chunk goes on with the next moment; only a
    caller's key may lie within one.
    """
    first, last = filters.created_from or _BEGINNING, filters.created_until or _END_OF_TIME
    if after is not None and filters.newest_first:
        last = min(last, after[0] if is_new else after[0] - _NEXT)
    elif after is not None:
        first = max(first, after[0] if is_new else after[0] + _NEXT)
    asked: dict[str, Any] = {"first": first, "last": last, "limit": count}
    oldest, newest = "log_by_time", "log_by_time_newest"
    if filters.order_id is not None:
        oldest, newest, asked["order_id"] = "log_of_order", "log_of_order_newest", filters.order_id
    elif filters.actor is not None:
        oldest, newest, asked["actor"] = "log_of_actor", "log_of_actor_newest", filters.actor
    rows = (await transaction.fetch([(newest if filters.newest_first else oldest, asked)]))[0]
    records = sorted((log_record(row) for row in rows), key=key_of, reverse=filters.newest_first)
    if after is not None and is_new:
        is_behind = after.__gt__ if filters.newest_first else after.__lt__
        records = [record for record in records if is_behind(key_of(record))]
    return records, len(rows) < count


def log_record(row: Row) -> LogRecord:
    (
        product_id, location, version, action, quantity, available, allocated, hand_allocated,
        reservation_id, order_id, reason, reference, request_id, actor, created_at,
    ) = row  # fmt: skip
    level = StockLevel(available, allocated, hand_allocated, version)
    entry = LogEntry(
        product_id, location, Action(action), quantity, level, reservation_id, order_id, reason, reference,
        request_id, actor,
    )  # fmt: skip
    return LogRecord(entry, created_at)
