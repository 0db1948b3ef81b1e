"""The engine: the one way to change anything."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, NamedTuple

from inventory_server.db.connection import EngineConnections
from inventory_server.domain.commands import Command
from inventory_server.domain.decide import Request
from inventory_server.engine.batcher import Batcher, BatchLimits, Entry
from inventory_server.engine.errors import DeadlinePassed, Overloaded
from inventory_server.engine.reads import Reader
from inventory_server.engine.room import has_room
from inventory_server.engine.statistics import StoreStatistics
from inventory_server.engine.verdicts import Verdict, verdicts_of


class Statistics(NamedTuple):
    """One store's statistics, since `started_at` of this server's clock."""

    started_at: datetime
    queue_length: int
    store: StoreStatistics


class Engine:
    """Queues commands by store and answers each with its verdict, once it is durable."""

    def __init__(
        self,
        connections: EngineConnections,
        reader: Reader,
        limits: BatchLimits,
        *,
        queue_commands_max: int,
        queue_commands_max_total: int,
        on_logged: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._connections = connections
        self._reader = reader
        self._limits = limits
        self._queue_commands_max = queue_commands_max
        self._queue_commands_max_total = queue_commands_max_total
        self._on_logged = on_logged
        self._batchers: dict[str, Batcher] = {}
        self._waiting_count = 0
        self._stopping = False
        self.started_at = datetime.now(UTC)

    async def change(
        self,
        store_id: str,
        command: Command,
        *,
        deadline_s: float,
        request_id: str | None = None,
        encode: Callable[[Any], bytes] | None = None,
        actor: str = "",
    ) -> Any:
        """Have a command decided and made durable.

        Args:
            deadline_s: seconds the caller still waits; past it the command is not begun any more.
            request_id: makes a repeat answer as before.
            encode: turns the verdict into what such a repeat is answered with.
            actor: who sent it, for the log; "" = not said.
        Returns: what the command's handler in domain/decide.py returns; a Replay for a repeated request_id.
        Raises: StoreNotFound; Overloaded; a DomainError; TransactionConflict, DatabaseUnavailable,
            CommitOutcomeUnknown, DeadlinePassed.
        Effects: one command of one batch.
        """
        batcher = self._batchers.get(store_id) or await self._new_batcher(store_id, deadline_s)
        loop = asyncio.get_running_loop()
        verdict: asyncio.Future[object] = loop.create_future()
        self._queue(batcher, Request(command, request_id, encode, actor), loop.time() + deadline_s, verdict)
        # Two thirds of what asyncio.timeout costs (docs/performance.md).
        timer = loop.call_later(deadline_s, _pass_deadline, verdict)
        try:
            return await verdict
        finally:
            timer.cancel()

    async def change_many(
        self, store_id: str, requests: Sequence[Request], *, deadline_s: float
    ) -> list[Any]:
        """Have many commands decided in their order, each by itself.

        Args:
            deadline_s: seconds the caller still waits for all of them; past it none is begun any more.
        Returns: by request what `change` would return of it, or the exception that it would raise.
        Raises: StoreNotFound; DeadlinePassed where not every one was decided in time.
        Effects: a command each, in as few batches as they fit into.
        """
        outcomes = await self.change_each(
            store_id, [(request, deadline_s) for request in requests], deadline_s=deadline_s
        )
        if any(isinstance(outcome, DeadlinePassed) for outcome in outcomes):
            raise DeadlinePassed
        return outcomes

    async def change_each(
        self, store_id: str, requests: Sequence[tuple[Request, float]], *, deadline_s: float
    ) -> list[Any]:
        """Do the same with the seconds that each is waited for, past which it alone is DeadlinePassed.

        Args:
            deadline_s: seconds to find out whether there is such a store.
        """
        waiting_count = len(requests)
        all_ended = asyncio.get_running_loop().create_future()

        def heard(_: Verdict) -> None:
            nonlocal waiting_count
            waiting_count -= 1
            if not waiting_count and not all_ended.done():
                all_ended.set_result(None)

        verdicts = await self.submit(store_id, requests, heard, deadline_s=deadline_s)
        try:
            if waiting_count:
                await all_ended
        finally:
            for verdict in verdicts:
                verdict.cancel()
        return [verdict.outcome for verdict in verdicts]

    async def submit(
        self,
        store_id: str,
        requests: Sequence[tuple[Request, float]],
        heard: Callable[[Verdict], None],
        *,
        deadline_s: float,
    ) -> list[Verdict]:
        """Queue commands together, each with the seconds that its verdict is waited for.

        Args:
            heard: told of each that ends, also before this returns.
            deadline_s: seconds to find out whether there is such a store.
        Returns: by request a verdict that ends as `change` would.
        Raises: StoreNotFound.
        """
        batcher = self._batchers.get(store_id) or await self._new_batcher(store_id, deadline_s)
        verdicts = verdicts_of((each_s for _, each_s in requests), heard)
        now = asyncio.get_running_loop().time()
        for (request, each_s), verdict in zip(requests, verdicts, strict=True):
            self._queue(batcher, request, now + each_s, verdict)
        return verdicts

    def waiting_count(self, store_id: str) -> int:
        """Return how many commands of a store wait to be taken into a batch."""
        batcher = self._batchers.get(store_id)
        return batcher.waiting_count if batcher else 0

    def taken_count(self, store_id: str) -> int:
        """Return how many commands of a store left its queue since the start."""
        batcher = self._batchers.get(store_id)
        return batcher.taken_count if batcher else 0

    async def statistics(self, store_id: str, *, deadline_s: float) -> Statistics:
        """Return what this server did for a store. Raises: StoreNotFound."""
        batcher = self._batchers.get(store_id) or await self._new_batcher(store_id, deadline_s)
        return Statistics(self.started_at, batcher.waiting_count, batcher.statistics)

    def all_statistics(self) -> dict[str, Statistics]:
        """Return the same by store, of those that were asked anything."""
        return {
            store_id: Statistics(self.started_at, batcher.waiting_count, batcher.statistics)
            for store_id, batcher in self._batchers.copy().items()
        }

    async def drain(self, grace_s: float) -> None:
        """Refuse what comes, decide what waits, for `grace_s` seconds at most; then close the connections."""
        self._stopping = True
        with suppress(TimeoutError):
            async with asyncio.timeout(grace_s):
                await asyncio.gather(*(batcher.idle() for batcher in self._batchers.values()))
        for batcher in self._batchers.values():
            batcher.cancel()
        await self._connections.close()

    def _queue(
        self, batcher: Batcher, request: Request, deadline: float, verdict: asyncio.Future[object] | Verdict
    ) -> None:
        """Let a command wait for its turn, until a time of the event loop."""
        if self._stopping or not has_room(
            batcher.waiting_count,
            self._waiting_count,
            own_max=self._queue_commands_max,
            together_max=self._queue_commands_max_total,
        ):
            verdict.set_exception(Overloaded())
        else:
            self._waiting_count += 1
            batcher.put(Entry(request, deadline, verdict))

    async def _new_batcher(self, store_id: str, deadline_s: float) -> Batcher:
        """An unknown store never gets a batcher, else anybody's typing would cost memory for ever."""
        await self._reader.need_store(store_id, deadline_s=deadline_s)
        return self._batchers.setdefault(
            store_id,
            Batcher(store_id, self._connections, self._limits, self._taken, self._on_logged),
        )

    def _taken(self, count: int) -> None:
        self._waiting_count -= count


def _pass_deadline(verdict: asyncio.Future[object]) -> None:
    if not verdict.done():
        verdict.set_exception(DeadlinePassed())
