"""Imports: an upload is staged as it comes, and becomes a job in one command when it is whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import TypeVar

from inventory_server.domain.errors import DomainError, ImportIncomplete, InvalidValue
from inventory_server.domain.import_commands import CreateImport
from inventory_server.domain.stock_import import (
    IMPORT_ERRORS_MAX,
    IMPORT_ROWS_MAX,
    Batch,
    ImportRow,
    RowError,
    StockImport,
)
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import Overloaded
from inventory_server.engine.import_reads import ImportReader
from inventory_server.engine.import_staging import ImportStaging
from inventory_server.uuid7 import uuid7

T = TypeVar("T")

UPLOADS_MAX = 8
# An upload that says nothing for so long, or takes so long altogether, is given up.
UPLOAD_SILENCE_S_MAX = 60.0
UPLOAD_S_MAX = 3_600.0
# For the look-up before an upload and for the command after it; the caller's own deadline may be sooner.
DEADLINE_S = 30.0


@dataclass(slots=True)
class _Tally:
    """What has come of an upload."""

    row_count: int = 0
    failed_count: int = 0
    is_closed: bool = False
    digest: blake2b = field(default_factory=lambda: blake2b(digest_size=16))

    def take(self, batch: Batch) -> None:
        self.row_count += len(batch.items)
        self.digest.update(batch.content)
        self.is_closed = batch.is_last


class Imports:
    """Takes uploads; what becomes of them is the importer's (jobs/importer.py)."""

    def __init__(self, engine: Engine, reader: ImportReader, staging: ImportStaging) -> None:
        self._engine = engine
        self._reader = reader
        self._staging = staging
        self._uploads_inside = 0
        # Set when there is something to apply or to clear away.
        self.has_work = asyncio.Event()
        # Uploads of this process that became no import: their rows can go at once.
        self.abandoned: list[tuple[str, str]] = []

    @asynccontextmanager
    async def begun(self, messages: AsyncIterator[T]) -> AsyncIterator[T | None]:
        """Take a place for an upload and its first message, None where there is none; leave it at the end.

        Raises: Overloaded; ImportIncomplete where no message comes in time.
        """
        if self._uploads_inside >= UPLOADS_MAX:
            raise Overloaded
        self._uploads_inside += 1
        try:
            yield await _next("", messages)
        finally:
            self._uploads_inside -= 1

    async def upload(
        self,
        store_id: str,
        *,
        import_id: str,
        announced_count: int | None,
        reason: str,
        reference: str,
        actor: str,
        batches: AsyncIterator[Batch],
    ) -> StockImport:
        """Stage the rows as they come, and make the job when the last one has; within `begun`.

        Args:
            announced_count: how many will come; None = not said.
            actor: who imports, for the log; "" = not said.
            batches: rows in order, numbered from 1, and in their places those that are wrong in themselves.
        Returns: the job, PENDING; its current state if this id was uploaded with the same content.
        Raises: InvalidValue, IdReused, ImportIncomplete (this precedence); StoreNotFound; what the stream
            raises.
        Effects: nothing that a caller could see before it returns; what was staged is dropped where the
            upload breaks off.
        """
        upload_id = str(uuid7())
        is_nobodys = True
        try:
            tally = await self._take(store_id, import_id, upload_id, batches)
            command = CreateImport(
                import_id, upload_id, tally.row_count, tally.failed_count, tally.digest.digest(),
                announced_count, tally.is_closed, reason, reference,
            )  # fmt: skip
            # From here on, unless it is refused, the rows may be a job's although we do not hear of it.
            is_nobodys = not command.is_whole
            job: StockImport = await self._engine.change(
                store_id, command, deadline_s=DEADLINE_S, actor=actor
            )
            is_nobodys = job.upload_id != upload_id
            return job
        except DomainError:
            is_nobodys = True
            raise
        finally:
            if is_nobodys:
                self.abandoned.append((store_id, upload_id))
            self.has_work.set()

    async def _take(
        self,
        store_id: str,
        import_id: str,
        upload_id: str,
        batches: AsyncIterator[Batch],
    ) -> _Tally:
        """Stage all rows; those of an id that was uploaded before are only counted and compared."""
        tally = _Tally()
        is_new = await self._reader.find_import(store_id, import_id, deadline_s=DEADLINE_S) is None
        # A message is staged while the next one comes.
        staging: asyncio.Task[None] | None = None
        try:
            async for batch in _in_time(import_id, batches):
                if staging is not None:
                    await staging
                if is_new and batch.items:
                    if not tally.row_count:
                        await self._staging.begin(store_id, upload_id)
                    staging = asyncio.create_task(self._stage(store_id, upload_id, batch.items, tally))
                tally.take(batch)
                if tally.row_count > IMPORT_ROWS_MAX:
                    raise InvalidValue("rows", f"at most {IMPORT_ROWS_MAX:,} in one import")
            if staging is not None:
                await staging
        finally:
            if staging is not None:
                staging.cancel()
                await asyncio.gather(staging, return_exceptions=True)
        return tally

    async def _stage(
        self, store_id: str, upload_id: str, items: Sequence[ImportRow | RowError], tally: _Tally
    ) -> None:
        rows = [item for item in items if isinstance(item, ImportRow)]
        errors = [item for item in items if isinstance(item, RowError)]
        errors_max = IMPORT_ERRORS_MAX - tally.failed_count
        tally.failed_count += await self._staging.add(
            store_id, upload_id, rows, errors, errors_max=errors_max
        )


async def _next(import_id: str, messages: AsyncIterator[T]) -> T | None:
    """Return what comes next, None at the end. Raises: ImportIncomplete where nothing comes in time."""
    try:
        async with asyncio.timeout(UPLOAD_SILENCE_S_MAX):
            return await anext(messages, None)
    except TimeoutError:
        raise ImportIncomplete(import_id, f"nothing came for {UPLOAD_SILENCE_S_MAX:g} s") from None


async def _in_time(import_id: str, batches: AsyncIterator[Batch]) -> AsyncIterator[Batch]:
    """Yield what comes. Raises: ImportIncomplete where it takes too long."""
    loop = asyncio.get_running_loop()
    until = loop.time() + UPLOAD_S_MAX
    while loop.time() < until:
        batch = await _next(import_id, batches)
        if batch is None:
            return
        yield batch
    raise ImportIncomplete(import_id, f"it took more than {UPLOAD_S_MAX:g} s")
