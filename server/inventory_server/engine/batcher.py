"""One store's queue and the task that turns it into batches.

While one batch commits, the next one collects. Nobody is answered before COMMIT has returned. Database work
runs in this task, never in a caller's, so that a caller who goes away cannot tear a batch.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from inventory_server.db.connection import EngineConnection, EngineConnections
from inventory_server.db.sqlstate import Conflict, ConnectionLost, Unavailable
from inventory_server.domain.decide import Replay, Request
from inventory_server.domain.store import SettingsChange
from inventory_server.engine.closing import Closing
from inventory_server.engine.errors import (
    CommitOutcomeUnknown,
    DatabaseUnavailable,
    NotDecided,
    TransactionConflict,
)
from inventory_server.engine.statistics import StoreStatistics
from inventory_server.engine.transaction import Attempt, run_batch
from inventory_server.engine.verdicts import Verdict

log = structlog.get_logger(__name__)

# Past this the connection counts as lost: a black-holed reply would be waited for without end.
BATCH_TIMEOUT_S = 15.0
BACKOFF_S_MIN = 0.002
BACKOFF_S_MAX = 0.25
RESCUE_TIMEOUT_S = 2.0
# So long before their deadline callers are told that the outcome can't be found out.
ANSWER_MARGIN_S = 0.1


@dataclass(frozen=True, slots=True)
class BatchLimits:
    commands_max: int
    lines_max: int
    attempts_max: int
    linger_s_max: float


@dataclass(slots=True, eq=False)
class Entry:
    """A request that waits for its verdict. `deadline` is a time of the event loop."""

    request: Request
    deadline: float
    verdict: asyncio.Future[object] | Verdict
    # An earlier run of its batch made the change and lost its COMMIT: a replay found now is its own answer,
    # and what that run came to stands.
    is_in_doubt: bool = False
    doubted: object = None

    def is_waiting(self, now: float) -> bool:
        return not self.verdict.done() and self.deadline > now


class Batcher:
    """Decides one store's requests, batch by batch.

    `on_taken` hears how many left the queue, `on_logged` that the log has grown.
    """

    def __init__(
        self,
        store_id: str,
        connections: EngineConnections,
        limits: BatchLimits,
        on_taken: Callable[[int], None],
        on_logged: Callable[[str], None],
    ) -> None:
        self._store_id = store_id
        self._connections = connections
        self._limits = limits
        self._on_taken = on_taken
        self._on_logged = on_logged
        self.statistics = StoreStatistics()
        self._queue: deque[Entry] = deque()
        self._task: asyncio.Task[None] | None = None
        self._enough = asyncio.Event()
        self._enough_count = 0
        self._closing = Closing(limits.linger_s_max, -(-limits.commands_max // 2))
        self.taken_count = 0
        # A connection that was lost, while its backend may still run or what it committed be on its way.
        self._lost: EngineConnection | None = None
        # How the next batch is loaded: right either way, and cheaper where it is as the last one was.
        self._is_wide = True

    @property
    def waiting_count(self) -> int:
        """How many commands wait to be taken. Not __len__: with an empty queue it would count as None."""
        return len(self._queue)

    def put(self, entry: Entry) -> None:
        self._queue.append(entry)
        self._closing.came(time.monotonic())
        if len(self._queue) >= self._enough_count:
            self._enough.set()
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name=f"batcher of {self._store_id}")

    async def idle(self) -> None:
        """Wait until nothing waits and nothing runs."""
        while self._task is not None:
            await asyncio.shield(self._task)

    def cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._queue:
                await self._linger()
                entries = self._take()
                if entries:
                    begun = time.monotonic()
                    await self._decide_or_fail(entries)
                    self._closing.answered(len(entries), begun, time.monotonic())
        finally:
            self._task = None

    async def _decide_or_fail(self, entries: list[Entry]) -> None:
        """A defect of our own must leave nobody waiting, nor end the task that others wait for."""
        try:
            if self._lost is None or await self._lay_to_rest(RESCUE_TIMEOUT_S):
                await self._decide(entries)
            else:
                _fail(entries, DatabaseUnavailable())
        except Exception as defect:
            log.exception("batch_failed", store=self._store_id, commands=len(entries))
            _fail(entries, defect)

    async def _linger(self) -> None:
        """Wait for those who were just answered, a few milliseconds at most; a lone caller never waits."""
        loop = asyncio.get_running_loop()
        enough, wait_s = self._closing.wait(len(self._queue), time.monotonic())
        if wait_s <= 0:
            return
        self._enough.clear()
        self._enough_count = enough
        timer = loop.call_later(wait_s, self._enough.set)
        await self._enough.wait()
        timer.cancel()
        if len(self._queue) < self._enough_count:
            self._closing.waited_in_vain(time.monotonic())

    def _take(self) -> list[Entry]:
        """Take what one transaction may hold, in arrival order; those who gave up are passed over."""
        taken: list[Entry] = []
        lines = left = 0
        now = asyncio.get_running_loop().time()
        while self._queue and len(taken) < self._limits.commands_max:
            entry = self._queue[0]
            if entry.is_waiting(now):
                lines += entry.request.command.line_count
                if taken and lines > self._limits.lines_max:
                    break
                taken.append(entry)
            self._queue.popleft()
            left += 1
        self._on_taken(left)
        self.taken_count += left
        return taken

    async def _decide(self, entries: list[Entry], in_doubt: bool = False) -> None:
        """Run a batch until it is decided: again on a conflict or a lost connection, halved on a defect."""
        for number in range(self._limits.attempts_max):
            now = asyncio.get_running_loop().time()
            entries = [entry for entry in entries if entry.is_waiting(now)]
            if not entries:
                return
            attempt = Attempt()
            if number:
                self.statistics.retried()
            try:
                await self._attempt(entries, attempt)
            except Conflict as conflict:
                self.statistics.conflicted()
                log.info("batch_conflict", store=self._store_id, attempt=number, sqlstate=conflict.sqlstate)
                await asyncio.sleep(_backoff_s(number))
            except _Lost as lost:
                in_doubt = in_doubt or attempt.commit_sent
                _mark_in_doubt(entries, attempt)
                log.warning("connection_lost", store=self._store_id, commit_sent=attempt.commit_sent)
                self._lost = lost.connection
                if not await self._settle(entries):
                    _fail(entries, CommitOutcomeUnknown() if in_doubt else DatabaseUnavailable())
                    return
            except Unavailable as unavailable:
                log.warning("database_unavailable", store=self._store_id, error=str(unavailable))
                _fail(entries, CommitOutcomeUnknown() if in_doubt else DatabaseUnavailable())
                return
            except Exception as defect:
                await self._split(entries, defect, in_doubt)
                return
            else:
                self._answer(entries, attempt)
                self.statistics.committed(len(entries) - len(attempt.deferred), attempt.facts)
                if attempt.facts.logged:
                    self._on_logged(self._store_id)
                return
        _fail(entries, CommitOutcomeUnknown() if in_doubt else TransactionConflict())

    async def _attempt(self, entries: list[Entry], attempt: Attempt) -> None:
        async with self._connections.borrow() as connection:
            timer = asyncio.get_running_loop().call_later(BATCH_TIMEOUT_S, connection.cut)
            try:
                requests = [entry.request for entry in entries]
                await run_batch(
                    connection, self._store_id, requests, attempt,
                    lines_max=self._limits.lines_max, is_wide=self._is_wide,
                )  # fmt: skip
                self._is_wide = attempt.is_wide
            except ConnectionLost as error:
                await connection.close()
                raise _Lost(connection) from error
            finally:
                timer.cancel()

    async def _settle(self, entries: list[Entry]) -> bool:
        """End the lost connection's backend, so that a re-run under the same ids finds what it did.

        It is tried once at least, though every caller may have given up: the backend may sit on its locks.
        What can't be settled while they wait is before the next batch, which must not take it for durable.
        pg_xact_status is no way to ask: after a crash transaction ids are used again.
        """
        loop = asyncio.get_running_loop()
        until = max(entry.deadline for entry in entries) - ANSWER_MARGIN_S
        number = 0
        while True:
            left_s = until - loop.time()
            if await self._lay_to_rest(min(RESCUE_TIMEOUT_S, left_s) if left_s > 0 else RESCUE_TIMEOUT_S):
                return True
            pause_s = _backoff_s(number)
            if loop.time() + pause_s >= until:
                return False
            await asyncio.sleep(pause_s)
            number += 1

    async def _lay_to_rest(self, timeout_s: float) -> bool:
        assert self._lost is not None
        try:
            await self._connections.lay_to_rest(self._lost, timeout_s)
        except Unavailable as error:
            log.warning("rescue_failed", store=self._store_id, error=str(error))
            return False
        self._lost = None
        return True

    async def _split(self, entries: list[Entry], defect: Exception, in_doubt: bool) -> None:
        """Find the poisonous command: it fails alone, and the others are decided without it."""
        if len(entries) == 1:
            _fail(entries, CommitOutcomeUnknown() if in_doubt else defect)
            return
        log.error("batch_split", store=self._store_id, commands=len(entries), error=repr(defect))
        middle = len(entries) // 2
        await self._decide(entries[:middle], in_doubt)
        await self._decide(entries[middle:], in_doubt)

    def _answer(self, entries: list[Entry], attempt: Attempt) -> None:
        deferred = []
        for index, (entry, verdict) in enumerate(zip(entries, attempt.verdicts, strict=True)):
            stands = entry.doubted if isinstance(verdict, Replay) else verdict
            if isinstance(stands, SettingsChange) and stands.after != stands.before:
                self._audit(stands, entry.request.actor)
            if entry.verdict.done():
                continue
            if index in attempt.deferred:
                deferred.append(entry)
            elif isinstance(verdict, Exception):
                entry.verdict.set_exception(verdict)
            elif isinstance(verdict, Replay):
                entry.verdict.set_result(verdict._replace(is_own=entry.is_in_doubt))
            else:
                entry.verdict.set_result(verdict)
        self._queue.extendleft(reversed(deferred))
        self._on_taken(-len(deferred))

    def _audit(self, change: SettingsChange, actor: str) -> None:
        """Say who changed the store's settings, and from what to what; its caller may be gone by now."""
        before, after = change.before._asdict(), change.after._asdict()
        names = [name for name in after if after[name] != before[name] and name != "updated_at"]
        log.info(
            "store_settings_changed",
            store=self._store_id,
            actor=actor,
            before={name: before[name] for name in names},
            after={name: after[name] for name in names},
        )


class _Lost(Exception):
    def __init__(self, connection: EngineConnection) -> None:
        super().__init__()
        self.connection = connection


def _backoff_s(number: int) -> float:
    """Full jitter: anywhere between nothing and a bound that doubles."""
    return random.uniform(0, min(BACKOFF_S_MAX, BACKOFF_S_MIN * 2**number))


def _mark_in_doubt(entries: list[Entry], attempt: Attempt) -> None:
    if attempt.commit_sent:
        for index, (entry, verdict) in enumerate(zip(entries, attempt.verdicts, strict=True)):
            if index not in attempt.deferred and not isinstance(verdict, Replay | Exception):
                entry.is_in_doubt, entry.doubted = True, verdict


def _fail(entries: list[Entry], error: NotDecided | Exception) -> None:
    for entry in entries:
        if not entry.verdict.done():
            entry.verdict.set_exception(error)
