"""How much of imports is done at once: each bound at it and one past it, and nothing left out for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import pairwise
from typing import Any

import pytest

from inventory_server.db.connection import EngineConnection
from inventory_server.db.sqlstate import Conflict
from inventory_server.db.stores import create_store
from inventory_server.domain.import_commands import ImportChunk
from inventory_server.domain.location import Location
from inventory_server.domain.location_commands import CreateLocation
from inventory_server.domain.stock_import import (
    CHUNK_LEVELS_MAX,
    ROW_LEVELS_MAX,
    ImportRow,
    ImportState,
)
from inventory_server.engine import import_staging
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import TransactionConflict
from inventory_server.engine.import_reads import ImportReader
from inventory_server.jobs import importer
from support.engine import WAIT_S, Database, running_engine
from support.imports import Desk, desk_on, staged

SLUGS = ("default", "east", "north", "west")


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with running_engine(database.url) as (engine, _), desk_on(engine, database.url) as opened:
        for slug in SLUGS[1:]:
            await engine.change(database.store, CreateLocation(Location(slug)), deadline_s=WAIT_S)
        yield opened


def wide(*counts: int) -> list[ImportRow]:
    """Return a row for every count, with so many levels."""
    return [
        ImportRow(number, number, f"p-{number}", tuple((f"l-{n}", 1) for n in range(count)))
        for number, count in enumerate(counts, start=1)
    ]


async def read(desk: Desk, store: str, rows_max: int, levels_max: int, after: str = "") -> list[str]:
    rows = await desk.reader.staged_rows(
        store, "u", after_product_id=after, rows_max=rows_max, levels_max=levels_max, deadline_s=WAIT_S
    )
    return [row.product_id for row in rows]


async def test_what_is_read_for_a_chunk(database: Database, desk: Desk) -> None:
    """Its rows and the one that follows them, bounded by rows and by levels, whatever more is staged."""
    await desk.staging.add(database.store, "u", wide(2, 2, 1, 3, 4), [], errors_max=0)
    assert await read(desk, database.store, 2, 100) == ["p-1", "p-2", "p-3"]
    assert await read(desk, database.store, 100, 4) == ["p-1", "p-2", "p-3"]
    assert await read(desk, database.store, 100, 5) == ["p-1", "p-2", "p-3", "p-4"]
    assert await read(desk, database.store, 100, 4, after="p-2") == ["p-3", "p-4", "p-5"]
    assert await read(desk, database.store, 100, 4, after="p-4") == ["p-5"]


async def test_the_widest_rows(database: Database, desk: Desk) -> None:
    """Two of them are a chunk: of three staged ones no more than three are read, then the last."""
    assert CHUNK_LEVELS_MAX == 2 * ROW_LEVELS_MAX
    await desk.staging.add(database.store, "u", wide(*[ROW_LEVELS_MAX] * 5), [], errors_max=0)
    assert await read(desk, database.store, 500, CHUNK_LEVELS_MAX) == ["p-1", "p-2", "p-3"]
    assert await read(desk, database.store, 500, CHUNK_LEVELS_MAX, after="p-4") == ["p-5"]


async def test_an_import_into_many_locations(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its chunks are as large as their levels allow, and no row is read more than twice."""
    monkeypatch.setattr(importer, "CHUNK_LEVELS_MAX", 8)
    chunks, read_count = [], 0
    change, staged_rows = Engine.change, ImportReader.staged_rows

    async def watched_change(self: Engine, store_id: str, command: Any, **more: Any) -> Any:
        if isinstance(command, ImportChunk):
            chunks.append(len(command.rows))
        return await change(self, store_id, command, **more)

    async def watched_rows(self: ImportReader, *args: Any, **more: Any) -> list[ImportRow]:
        nonlocal read_count
        rows = await staged_rows(self, *args, **more)
        read_count += len(rows)
        return rows

    monkeypatch.setattr(Engine, "change", watched_change)
    monkeypatch.setattr(ImportReader, "staged_rows", watched_rows)
    levels = tuple((slug, number) for number, slug in enumerate(SLUGS))
    rows = [ImportRow(number, number, f"p-{number}", levels) for number in range(1, 8)]
    await desk.upload(database.store, "i", [*rows, *staged("q")], announced_count=8)
    job = await desk.run(database.store, "i")
    assert (job.state, job.applied_count) == (ImportState.SUCCEEDED, 8)
    assert chunks == [2, 2, 2, 2]
    assert read_count <= 2 * job.row_count
    logged = database.one("SELECT count(*) FROM stock_transaction WHERE store_id = %s", database.store)
    assert logged == 7 * len(SLUGS) + 1


@pytest.mark.parametrize(("row_count", "deletes"), [(2, [2]), (3, [2, 1]), (5, [2, 2, 1])])
async def test_what_one_transaction_drops(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch, row_count: int, deletes: list[int]
) -> None:
    """So many rows of an upload, and the others in transactions after it; then nothing is left."""
    monkeypatch.setattr(import_staging, "ROWS_DROPPED_MAX", 2)
    await desk.staging.begin(database.store, "u")
    rows = staged(*[f"p-{number}" for number in range(row_count)])
    await desk.staging.add(database.store, "u", rows, [], errors_max=0)
    counts: list[int] = []
    begin = EngineConnection.begin

    def left() -> int:
        count = database.one("SELECT count(*) FROM import_row WHERE store_id = %s", database.store)
        assert isinstance(count, int)
        return count

    async def watched(self: EngineConnection, store_id: str, calls: Any) -> Any:
        counts.append(left())
        return await begin(self, store_id, calls)

    monkeypatch.setattr(EngineConnection, "begin", watched)
    await desk.staging.drop(database.store, "u")
    counts.append(left())
    assert [before - after for before, after in pairwise(counts)] == deletes
    assert database.one("SELECT count(*) FROM import_upload WHERE store_id = %s", database.store) == 0


async def test_uploads_dropped_at_a_time(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many of a store's spent uploads, the oldest first; the next look has the others."""
    monkeypatch.setattr(importer, "UPLOADS_DROPPED_MAX", 2)
    for upload_id in ("a", "b", "c"):
        await desk.staging.begin(database.store, upload_id)
    database.connection.execute(
        "UPDATE import_upload SET created_at = now() - interval '3 hours' WHERE store_id = %s",
        (database.store,),
    )
    left = []
    for _ in range(2):
        await desk.importer.clear_away()
        asked = "SELECT upload_id FROM import_upload WHERE store_id = %s"
        left.append([upload_id for (upload_id,) in database.rows(asked, database.store)])
    assert left == [["c"], []]


async def test_stores_imported_into_at_once(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many side by side; one more waits until another has ended."""
    stores = [f"{database.store}-{number}" for number in range(3)]
    for store in stores:
        create_store(database.url, store)
        await desk.upload(store, "i", staged("a"))
    monkeypatch.setattr(importer, "STORES_MAX", 2)
    monkeypatch.setattr(ImportReader, "all_stores", _answer(stores))
    await desk.importer.look()
    assert len(desk.importer._tasks) == 2
    await desk.importer.idle()
    jobs = [await desk.reader.stock_import(store, "i", deadline_s=WAIT_S) for store in stores]
    assert sorted(job.state for job in jobs) == [
        ImportState.PENDING,
        ImportState.SUCCEEDED,
        ImportState.SUCCEEDED,
    ]
    await desk.importer.look()
    await desk.importer.idle()
    jobs = [await desk.reader.stock_import(store, "i", deadline_s=WAIT_S) for store in stores]
    assert {job.state for job in jobs} == {ImportState.SUCCEEDED}


@pytest.mark.parametrize("conflict_count", [import_staging.ATTEMPTS_MAX - 1, import_staging.ATTEMPTS_MAX])
async def test_conflicts_of_one_message(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch, conflict_count: int
) -> None:
    """Its rows are staged again and again, so many times; one conflict more and the upload breaks off."""
    begin, left = EngineConnection.begin, conflict_count

    async def conflicting(self: EngineConnection, store_id: str, calls: Any) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise Conflict("forced", sqlstate="40001")
        return await begin(self, store_id, calls)

    monkeypatch.setattr(EngineConnection, "begin", conflicting)
    adding = desk.staging.add(database.store, "u", staged("a"), [], errors_max=0)
    if conflict_count == import_staging.ATTEMPTS_MAX:
        with pytest.raises(TransactionConflict):
            await adding
    else:
        assert await adding == 0
    assert left == 0


def _answer(found: Iterable[str]) -> Any:
    async def answer(*_: Any, **__: Any) -> list[str]:
        return list(found)

    return answer
