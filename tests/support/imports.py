"""Imports in few words: on the engine without gRPC, and over the wire."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from inventory_client import v1
from inventory_server.db.connection import EngineConnections
from inventory_server.db.read_pool import ReadPool, Snapshot
from inventory_server.domain.stock_import import Batch, ImportRow, RowError, StockImport
from inventory_server.engine.engine import Engine
from inventory_server.engine.export import Exporter
from inventory_server.engine.import_reads import ImportReader
from inventory_server.engine.import_staging import ImportStaging
from inventory_server.engine.imports import Imports
from inventory_server.jobs.importer import Importer
from support.polling import until
from support.shop import Shop, word

# --- on the engine -------------------------------------------------------------------------------


class Desk(NamedTuple):
    """All that imports and exports are made of, on one engine."""

    imports: Imports
    reader: ImportReader
    staging: ImportStaging
    importer: Importer
    exporter: Exporter

    async def upload(
        self, store: str, import_id: str, items: Sequence[ImportRow | RowError], **more: Any
    ) -> StockImport:
        """Upload rows, 1,000 to a message."""
        given: dict[str, Any] = {"announced_count": None, "reason": "", "reference": "", "actor": "", **more}
        async with self.imports.begun(batches(())):
            return await self.imports.upload(store, import_id=import_id, batches=batches(items), **given)

    async def run(self, store: str, import_id: str) -> StockImport:
        """Let the importer work until an import has ended."""
        while True:
            await self.importer.look()
            await self.importer.idle()
            job = await self.reader.stock_import(store, import_id, deadline_s=20)
            if job.is_ended:
                await self.importer.clear_away()
                return job


@asynccontextmanager
async def desk_on(engine: Engine, database_url: str) -> AsyncIterator[Desk]:
    """Put imports and exports on an engine; staging goes where `database_url` says, reads too."""
    reads, exports = ReadPool(database_url, 2), ReadPool(database_url, 1, snapshot=Snapshot.SAFE)
    connections = EngineConnections(database_url, 1)
    await reads.open()
    await exports.open()
    reader, staging = ImportReader(reads), ImportStaging(connections)
    imports = Imports(engine, reader, staging)
    importer = Importer(engine, reader, staging, imports)
    try:
        yield Desk(imports, reader, staging, importer, Exporter(exports, spool_bytes_max=1 << 20))
    finally:
        await importer.stop()
        await connections.close()
        await exports.close()
        await reads.close()


async def batches(items: Sequence[ImportRow | RowError]) -> AsyncIterator[Batch]:
    for begin in range(0, len(items), 1_000):
        part = items[begin : begin + 1_000]
        yield Batch(part, repr(part).encode())
    yield Batch((), b"", is_last=True)


def staged(*products: str, total: int = 5) -> list[ImportRow]:
    """Return a row for every product, with its total at `default`."""
    return [
        ImportRow(number, number, product_id, (("default", total),))
        for number, product_id in enumerate(products, start=1)
    ]


# --- over the wire -------------------------------------------------------------------------------


def row(product_id: str, *totals: int | tuple[str, int], **more: Any) -> v1.StockRow:
    """Return a row; a bare total is that of `default`."""
    levels = [("default", total) if isinstance(total, int) else total for total in totals]
    return v1.StockRow(
        product_id=product_id,
        levels=[v1.LevelTotal(location=location, total=total) for location, total in levels],
        **more,
    )


def messages(
    rows: Iterable[v1.StockRow], import_id: str = "i", *, size: int = 1_000, **header: Any
) -> Iterator[v1.ImportStockRequest]:
    """Yield an upload, so many rows to a message; the header stands alone in the first.

    Where it announces no number, a last message says that it is.
    """
    yield v1.ImportStockRequest(header=v1.ImportHeader(import_id=import_id, **header))
    listed = list(rows)
    for begin in range(0, len(listed), size):
        yield v1.ImportStockRequest(rows=listed[begin : begin + size])
    if "row_count" not in header:
        yield v1.ImportStockRequest(is_last=True)


def upload(shop: Shop, rows: Iterable[v1.StockRow], import_id: str = "i", **header: Any) -> v1.StockImport:
    request = messages(rows, import_id, **header)
    return shop.inventory.ImportStock(request, timeout=60).stock_import


def get_import(shop: Shop, import_id: str = "i") -> v1.StockImport:
    return shop.inventory.GetImport(v1.GetImportRequest(import_id=import_id)).stock_import


def wait_for_import(shop: Shop, import_id: str = "i") -> v1.StockImport:
    """Wait until an import has ended, and nothing of it is written any more: what was staged is gone."""

    def look() -> v1.StockImport | None:
        job = get_import(shop, import_id)
        has_ended = word(job) in ("SUCCEEDED", "FAILED")
        return job if has_ended and not shop.observer.is_staged(shop.store, import_id) else None

    job = until(look, f"import {import_id} ends")
    assert job is not None
    return job


def imported(shop: Shop, *rows: v1.StockRow, import_id: str = "i", **header: Any) -> v1.StockImport:
    """Import rows and wait for the end."""
    upload(shop, rows, import_id, **header)
    return wait_for_import(shop, import_id)


def errors(shop: Shop, import_id: str = "i") -> list[tuple[int, str, str]]:
    """Return (line, field, reason) of the errors of an import's first page."""
    request = v1.ListImportErrorsRequest(import_id=import_id, page_size=1000)
    found = shop.inventory.ListImportErrors(request).errors
    return [(error.line, error.field, word(error, "reason")) for error in found]


def exported(shop: Shop) -> list[v1.StockRow]:
    """Return the rows of an export."""
    rows: list[v1.StockRow] = []
    for message in shop.inventory.ExportStock(v1.ExportStockRequest()):
        rows += message.rows
    assert message.row_count == len(rows)
    return rows
