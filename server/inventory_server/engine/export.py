"""Exports: one snapshot of a store's totals, spooled to a file as fast as the database gives it.

The spool keeps a slow reader from holding the snapshot, which would keep dead versions of hot rows alive.
"""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import NamedTuple

from inventory_server.db.read_pool import ReadPool, ReadTransaction
from inventory_server.domain.errors import QuantityOverflow
from inventory_server.engine.errors import DeadlinePassed, Overloaded
from inventory_server.engine.load import Row
from inventory_server.engine.reads import Reader

# Exports at once, slow readers included: so many spools lie on the disk.
EXPORTS_MAX = 8
# What a reader may take in all.
EXPORT_S_MAX = 3_600.0
PAGE_ROWS_MAX = 1_000
# So that a page is a message: 10,000 slugs of 128 characters with their totals are below 4 MiB. More than one
# product can have.
PAGE_LEVELS_MAX = 10_000


class ExportRow(NamedTuple):
    """A product with its totals by location."""

    product_id: str
    levels: list[tuple[str, int]]
    low_stock_threshold: int | None


class Spool:
    """The rows of one export, on a file without a name that is gone when it is closed.

    Args:
        bytes_max: what the file may grow to.
    """

    def __init__(self, bytes_max: int) -> None:
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - close() is for whoever has the spool
        self._bytes_max = bytes_max
        self.row_count = 0
        self.snapshot_time: datetime

    async def fill(self, transaction: ReadTransaction) -> None:
        """Read the whole store, anew each time it is called. Raises: QuantityOverflow, past the bound."""
        self._file.seek(0)
        self._file.truncate()
        self.row_count, after = 0, ""
        ((self.snapshot_time, *_),) = (await transaction.fetch([("store", {})]))[0]
        while True:
            asked = {"after": after, "limit": PAGE_ROWS_MAX, "levels_limit": PAGE_LEVELS_MAX}
            rows = (await transaction.fetch([("export_page", asked)]))[0]
            if not rows:
                return
            if sum(len(row[1]) for row in rows) == PAGE_LEVELS_MAX:
                rows.pop()  # it may have more levels than came
            await asyncio.to_thread(self._write, rows)
            self.row_count, after = self.row_count + len(rows), rows[-1][0]

    async def pages(self) -> AsyncIterator[list[ExportRow]]:
        """Yield the rows by product_id, so many at once as fit into a message."""
        self._file.seek(0)
        while line := await asyncio.to_thread(self._file.readline):
            yield [ExportRow(*row) for row in json.loads(line)]

    def close(self) -> None:
        self._file.close()

    def _write(self, rows: Sequence[Row]) -> None:
        """Write a page, as one line."""
        self._file.write(json.dumps(rows, separators=(",", ":")).encode() + b"\n")
        if self._file.tell() > self._bytes_max:
            raise QuantityOverflow("the export's spool", self._bytes_max)


class Exporter(Reader):
    """Takes exports.

    Args:
        pool: deferrable, and of its own: an export must not wait for reads, nor they for it.
        spool_bytes_max: bytes that one export may take of the disk.
    """

    def __init__(self, pool: ReadPool, *, spool_bytes_max: int) -> None:
        super().__init__(pool)
        self._spool_bytes_max = spool_bytes_max
        self._exports_inside = 0

    @asynccontextmanager
    async def export(self, store_id: str, *, deadline_s: float) -> AsyncIterator[Spool]:
        """Spool a store, and lend the spool.

        Args:
            deadline_s: seconds for all of it, the reading of the spool included; at most EXPORT_S_MAX count.
        Raises: Overloaded; QuantityOverflow; what every read raises; DeadlinePassed from the block too.
        """
        if self._exports_inside >= EXPORTS_MAX:
            raise Overloaded
        self._exports_inside += 1
        spool = Spool(self._spool_bytes_max)
        try:
            deadline_s = min(deadline_s, EXPORT_S_MAX)
            async with asyncio.timeout(deadline_s):
                await self.run(store_id, spool.fill, deadline_s=deadline_s)
                yield spool
        except TimeoutError as error:
            raise DeadlinePassed from error
        finally:
            # A read whose caller is gone goes on for a page at most: it finds the file closed.
            spool.close()
            self._exports_inside -= 1
