"""The feed: a store's log in the order of the transactions that wrote it, followed by whoever watches.

Nothing is missed and nothing comes twice: a reader goes on after the last entry that it was given, and reads
only what no open transaction can still add to (docs/decisions/0019-the-feed.md). The end of a store's feed is
read once for all its watchers and kept for a while; who has fallen behind that reads for itself.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import deque
from collections.abc import AsyncGenerator, Set
from contextlib import aclosing, suppress
from operator import attrgetter
from typing import NamedTuple

import structlog

from inventory_server.domain.errors import ResumeTokenExpired
from inventory_server.engine.errors import NotDecided, Overloaded
from inventory_server.engine.feed_reads import START, FeedReader, Part, Position

log = structlog.get_logger(__name__)

# Entries kept of the end of one store's feed, for all its watchers.
ENTRIES_KEPT_MAX = 10_000
# Those who have fallen behind must not take the connections that other reads need.
CATCHING_UP_MAX = 2
# While an open transaction holds back what was committed after it, the pause grows with the delay.
PAUSE_S_MIN = 0.005
# A feed that is held back for so long is worth a line in the log.
STALLED_S_WARNING = 10.0


class ResumePoint(NamedTuple):
    """What a resume token holds: a place in the feed of one store of one database."""

    origin: str
    store_id: str
    position: Position


class Feed:
    """The feeds of all stores; it reads only where somebody watches.

    Args:
        watchers_max: watches at once; one more is Overloaded.
        poll_interval_s: what a missed wake-up costs at most, and what another server's commit does.
        heartbeat_s: after so long without a change a watcher is told its position.
    """

    def __init__(
        self, reader: FeedReader, *, watchers_max: int, poll_interval_s: float, heartbeat_s: float
    ) -> None:
        self._reader = reader
        self._watchers_max = watchers_max
        self._poll_interval_s = poll_interval_s
        self._heartbeat_s = heartbeat_s
        self._tails: dict[str, _Tail] = {}
        self._catching_up = asyncio.Semaphore(CATCHING_UP_MAX)
        self._closed = False
        self.watcher_count = 0

    @property
    def stalled_s(self) -> dict[str, float]:
        """By watched store, for how long entries that were committed have been held back."""
        return {store_id: tail.stalled_s for store_id, tail in self._tails.items()}

    def wake(self, store_id: str) -> None:
        """Something of this store was committed."""
        tail = self._tails.get(store_id)
        if tail is not None:
            tail.wake()

    def close(self) -> None:
        """End every watch, and refuse those that come."""
        self._closed = True
        for tail in self._tails.values():
            tail.fail(Overloaded())

    async def watch(
        self,
        store_id: str,
        start: ResumePoint | None,
        *,
        from_beginning: bool = False,
        product_ids: Set[str] = frozenset(),
    ) -> AsyncGenerator[tuple[ResumePoint, Part]]:
        """Yield the feed of a store for ever, from a point, from the beginning, or from now.

        Args:
            start: a point that was yielded before; None: from now, unless `from_beginning`.
            product_ids: whose entries are wanted; none named = all.
        Yields: the point to go on from once this part is taken in, and the part. The first has no entries;
            such parts also come when `heartbeat_s` brought none.
        Raises: StoreNotFound; ResumeTokenExpired; Overloaded, also where the server stops;
            DatabaseUnavailable.
        """
        if self._closed or self.watcher_count >= self._watchers_max:
            raise Overloaded
        self.watcher_count += 1
        try:
            resumed = start.position if start else None
            opening = await self._reader.opening(store_id, resumed)
            origin = opening.origin
            if start and (start.origin, start.store_id, opening.is_known) != (origin, store_id, True):
                raise ResumeTokenExpired
            position = START if from_beginning else resumed or opening.end
            yield ResumePoint(origin, store_id, position), Part((), position)
            async with aclosing(self._parts(store_id, position, opening.end, product_ids)) as parts:
                async for part in parts:
                    yield ResumePoint(origin, store_id, part.last), part
        finally:
            self.watcher_count -= 1

    async def _parts(
        self, store_id: str, position: Position, end: Position, product_ids: Set[str]
    ) -> AsyncGenerator[Part]:
        tail = self._borrow_tail(store_id, end)
        loop = asyncio.get_running_loop()
        # Whether the position's transaction may have more, and whether the watcher was told that it has.
        inside, owes_end = position != START, False
        quiet_until = loop.time() + self._heartbeat_s
        try:
            while True:
                part = await self._next(tail, store_id, position, inside, quiet_until - loop.time())
                if part is not None:
                    position, inside = part.last, part.continues
                    if product_ids:
                        kept = [
                            change for change in part.changes if change.position.product_id in product_ids
                        ]
                        part = part._replace(changes=kept)
                    if part.changes or (owes_end and not part.continues):
                        owes_end = part.continues
                        yield part
                        quiet_until = loop.time() + self._heartbeat_s
                        continue
                if loop.time() >= quiet_until:
                    yield Part((), position, continues=owes_end)
                    quiet_until = loop.time() + self._heartbeat_s
        finally:
            self._return_tail(store_id, tail)

    async def _next(
        self, tail: _Tail, store_id: str, position: Position, inside: bool, patience_s: float
    ) -> Part | None:
        """Return what comes after a position; None where nothing came for `patience_s`."""
        if not tail.holds(position):
            async with self._catching_up:
                tail.need_sound()
                part, _ = await self._reader.after(store_id, position, inside=inside)
                return part
        part = tail.after(position)
        if part is None:
            await tail.growth(patience_s)
            part = tail.after(position)
        return part

    def _borrow_tail(self, store_id: str, end: Position) -> _Tail:
        tail = self._tails.get(store_id)
        if tail is None or tail.has_failed:
            tail = self._tails[store_id] = _Tail(store_id, self._reader, end, self._poll_interval_s)
        if self._closed:
            tail.fail(Overloaded())
        tail.watcher_count += 1
        return tail

    def _return_tail(self, store_id: str, tail: _Tail) -> None:
        tail.watcher_count -= 1
        if not tail.watcher_count:
            tail.stop()
            if self._tails.get(store_id) is tail:
                del self._tails[store_id]


class _Tail:
    """The end of one store's feed, in parts. It is read as long as somebody watches."""

    def __init__(self, store_id: str, reader: FeedReader, end: Position, poll_interval_s: float) -> None:
        self._store_id = store_id
        self._reader = reader
        self._poll_interval_s = poll_interval_s
        self._parts: deque[Part] = deque()
        self._kept_count = 0
        self._floor = self._end = end
        self._woken = asyncio.Event()
        self._grown = asyncio.Event()
        self._failure: Exception | None = None
        self.stalled_s = 0.0
        self.watcher_count = 0
        self._task = asyncio.create_task(self._follow(), name=f"feed of {store_id}")

    @property
    def has_failed(self) -> bool:
        return self._failure is not None

    def wake(self) -> None:
        self._woken.set()

    def stop(self) -> None:
        self._task.cancel()

    def fail(self, error: Exception) -> None:
        """End every watch with this error, and let go what was kept for them.

        The error's traceback knows us, whom it went through; such circles are looked for seldom (app.py).
        """
        self._failure = error
        self._parts.clear()
        self._kept_count = 0
        self._grown.set()

    def need_sound(self) -> None:
        """Raise what ended the watches, if anything has."""
        if self._failure is not None:
            raise self._failure

    def holds(self, position: Position) -> bool:
        """Whether all that comes after a position, and is known yet, is kept here."""
        return position >= self._floor

    def after(self, position: Position) -> Part | None:
        """Return what comes next after a position that is held; None where that is the end for now."""
        self.need_sound()
        index = bisect_right(self._parts, position, key=attrgetter("last"))
        if index == len(self._parts):
            return None
        part = self._parts[index]
        known = bisect_right(part.changes, position, key=attrgetter("position"))
        return part._replace(changes=part.changes[known:]) if known else part

    async def growth(self, patience_s: float) -> None:
        """Wait until something is added, or the watches are ended; for `patience_s` at most."""
        with suppress(TimeoutError):
            async with asyncio.timeout(patience_s):
                await self._grown.wait()

    async def _follow(self) -> None:
        inside = False
        try:
            while True:
                self._woken.clear()
                part, stalled_s = await self._reader.after(self._store_id, self._end, inside=inside)
                self._note_stall(stalled_s)
                if part is not None:
                    inside = part.continues
                    self._add(part)
                    if part.is_cut:
                        continue
                pause_s = self._poll_interval_s
                if stalled_s is not None:
                    pause_s = min(pause_s, max(PAUSE_S_MIN, stalled_s))
                with suppress(TimeoutError):
                    async with asyncio.timeout(pause_s):
                        await self._woken.wait()
        except NotDecided as error:
            self.fail(error)
        except Exception as defect:
            log.exception("feed_failed", store=self._store_id)
            self.fail(defect)

    def _add(self, part: Part) -> None:
        self._parts.append(part)
        self._end = part.last
        self._kept_count += len(part.changes)
        while self._kept_count > ENTRIES_KEPT_MAX:
            dropped = self._parts.popleft()
            self._floor = dropped.last
            self._kept_count -= len(dropped.changes)
        grown, self._grown = self._grown, asyncio.Event()
        grown.set()

    def _note_stall(self, stalled_s: float | None) -> None:
        """Say once that a transaction, of any database of the cluster, holds the feed back."""
        before, self.stalled_s = self.stalled_s, stalled_s or 0.0
        if before < STALLED_S_WARNING <= self.stalled_s:
            log.warning("feed_stalled", store=self._store_id, stalled_s=round(self.stalled_s, 1))
