"""The importer: applies imports chunk by chunk, behind the carts, and clears away what uploads left.

A chunk is a command of the engine: it applies its rows and moves the job's cursor in one transaction, so
whatever ends in between, nothing is applied twice. Several servers on one database may all try: whose cursor
is no longer where the job's stands changes nothing, and leaves the job to the other for a while.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import structlog

from inventory_server.domain.import_commands import FailImport, ImportChunk
from inventory_server.domain.stock_import import (
    CHUNK_LEVELS_MAX,
    CHUNK_ROWS_MAX,
    ImportRow,
    StockImport,
)
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import NotDecided
from inventory_server.engine.import_reads import ImportReader
from inventory_server.engine.import_staging import ImportStaging
from inventory_server.engine.imports import Imports

log = structlog.get_logger(__name__)

# Stores whose imports are applied side by side; the others wait.
STORES_MAX = 4
# A chunk joins a queue in which so few wait, or that has not got as short for so long.
WAITING_MAX = 64
PATIENCE_S = 1.0
LOOK_INTERVAL_S = 0.01
DEADLINE_S = 30.0
UPLOADS_DROPPED_MAX = 4


class Importer:
    """`look` and `clear_away` are run periodically; what `look` starts goes on by itself until `stop`."""

    def __init__(
        self, engine: Engine, reader: ImportReader, staging: ImportStaging, imports: Imports
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._staging = staging
        self._imports = imports
        self._tasks: dict[str, asyncio.Task[None]] = {}

    async def look(self) -> None:
        """Start on the oldest unfinished import of every store."""
        store_ids = await self._reader.all_stores(deadline_s=DEADLINE_S)
        unfinished = await self._reader.unfinished_imports(store_ids, deadline_s=DEADLINE_S)
        for store_id, import_id in unfinished.items():
            if store_id not in self._tasks and len(self._tasks) < STORES_MAX:
                task = asyncio.create_task(self._import(store_id, import_id), name=f"import of {store_id}")
                self._tasks[store_id] = task

    async def clear_away(self) -> None:
        """Drop the rows of uploads that nobody needs: this process's first, then all that are found."""
        while self._imports.abandoned:
            await self._staging.drop(*self._imports.abandoned[0])
            del self._imports.abandoned[0]  # others may have come behind it
        store_ids = await self._reader.all_stores(deadline_s=DEADLINE_S)
        spent = await self._reader.spent_uploads(store_ids, limit=UPLOADS_DROPPED_MAX, deadline_s=DEADLINE_S)
        for store_id, upload_ids in spent.items():
            for upload_id in upload_ids:
                await self._staging.drop(store_id, upload_id)

    async def idle(self) -> None:
        """Wait until what was started has come to its end."""
        await asyncio.gather(*self._tasks.values())

    async def stop(self) -> None:
        """End what was started; a chunk that the engine has taken is decided all the same."""
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)

    async def _import(self, store_id: str, import_id: str) -> None:
        """Apply an import to its end, or until something is in the way; then `look` begins again."""
        try:
            await self._apply(store_id, import_id)
        except NotDecided as error:
            log.warning("import_interrupted", store=store_id, import_id=import_id, error=repr(error))
        except Exception as defect:
            log.exception("import_failed", store=store_id, import_id=import_id)
            failure = f"a defect: {type(defect).__name__}; the server's log says more"
            with suppress(NotDecided):
                await self._engine.change(store_id, FailImport(import_id, failure), deadline_s=DEADLINE_S)
        finally:
            del self._tasks[store_id]

    async def _apply(self, store_id: str, import_id: str) -> None:
        job = await self._reader.stock_import(store_id, import_id, deadline_s=DEADLINE_S)
        staged = await self._staged(store_id, job, job.applied_through)
        while not job.is_ended:
            chunk = _chunk(staged)
            is_last = len(chunk) == len(staged)
            command = ImportChunk(import_id, job.applied_through, chunk, is_last)
            through = chunk[-1].product_id if chunk else job.applied_through
            # The next ones are read while these are being applied.
            job, staged = await asyncio.gather(
                self._change(store_id, command, job.actor), self._staged(store_id, job, through)
            )
            if not job.is_ended and (is_last or job.applied_through != through):
                return  # it is not its turn, or another server is at it
        self._imports.has_work.set()

    async def _staged(self, store_id: str, job: StockImport, after: str) -> list[ImportRow]:
        return await self._reader.staged_rows(
            store_id,
            job.upload_id,
            after_product_id=after,
            rows_max=CHUNK_ROWS_MAX,
            levels_max=CHUNK_LEVELS_MAX,
            deadline_s=DEADLINE_S,
        )

    async def _change(self, store_id: str, command: ImportChunk, actor: str) -> StockImport:
        """Send a chunk when few wait; where others were decided meanwhile, leave them as long again."""
        loop = asyncio.get_running_loop()
        patient_until = loop.time() + PATIENCE_S
        # It looks instead of being told: that costs the carts nothing.
        while self._is_busy(store_id) and loop.time() < patient_until:  # noqa: ASYNC110
            await asyncio.sleep(LOOK_INTERVAL_S)
        begun, taken_before = loop.time(), self._engine.taken_count(store_id)
        job: StockImport = await self._engine.change(store_id, command, deadline_s=DEADLINE_S, actor=actor)
        if self._engine.taken_count(store_id) - taken_before > 1:
            await asyncio.sleep(loop.time() - begun)
        return job

    def _is_busy(self, store_id: str) -> bool:
        return self._engine.waiting_count(store_id) > WAITING_MAX


def _chunk(staged: Sequence[ImportRow]) -> tuple[ImportRow, ...]:
    """Return the rows that one chunk takes, from the first on: one at least."""
    levels = 0
    for index, row in enumerate(staged[:CHUNK_ROWS_MAX]):
        levels += len(row.levels)
        if index and levels > CHUNK_LEVELS_MAX:
            return tuple(staged[:index])
    return tuple(staged[:CHUNK_ROWS_MAX])
