"""Imports and exports on a real database: whatever breaks in between, each row is applied once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from inventory_loadtest.proxy import Fault, proxy
from inventory_server.domain.commands import CreateStock
from inventory_server.domain.errors import ImportIncomplete, InvalidValue, QuantityOverflow
from inventory_server.domain.stock_import import CHUNK_ROWS_MAX, Batch, ImportState, RowError, RowReason
from inventory_server.engine import export, imports
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import DeadlinePassed, Overloaded
from inventory_server.jobs import importer
from support.engine import Database, eventually, plus, running_engine
from support.imports import Desk, batches, desk_on, staged

PRODUCTS = [f"p-{number:04}" for number in range(CHUNK_ROWS_MAX * 2 + 1)]


@pytest.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    async with running_engine(database.url) as (engine, _), desk_on(engine, database.url) as opened:
        yield opened


def entries(database: Database) -> dict[str, int]:
    """Return how many log entries each product has."""
    return dict(
        database.rows(
            "SELECT product_id, count(*) FROM stock_transaction WHERE store_id = %s GROUP BY product_id",
            database.store,
        )
    )


def remains(database: Database) -> int:
    """Return how many rows of uploads lie about."""
    tables = ("import_upload", "import_row")
    return sum(
        database.one(f"SELECT count(*) FROM {table} WHERE store_id = %s", database.store) for table in tables
    )


# --- each row once -------------------------------------------------------------------------------


@pytest.mark.fault(3, 4)
@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
async def test_a_chunk_whose_commit_was_cut(database: Database, fault: Fault) -> None:
    """The connection dies around the COMMIT of a chunk: its rows are applied, and once."""
    async with (
        proxy(database.url) as (between, url),
        running_engine(url, reads_url=database.url) as (engine, _),
        desk_on(engine, database.url) as desk,
    ):
        await desk.upload(database.store, "i", staged(*PRODUCTS))
        between.arm(fault)
        job = await desk.run(database.store, "i")
        assert between.struck.is_set()
    assert (job.state, job.applied_count) == (ImportState.SUCCEEDED, len(PRODUCTS))
    assert entries(database) == dict.fromkeys(PRODUCTS, 1)


async def test_an_importer_that_stops_in_the_middle(database: Database, desk: Desk) -> None:
    """Another one goes on where the cursor stands."""
    await desk.upload(database.store, "i", staged(*PRODUCTS))
    with database.locked("SELECT FROM import_job WHERE store_id = %s FOR UPDATE", database.store) as holder:
        await desk.importer.look()
        await eventually(lambda: database.blocked(holder), "the first chunk waits")
        await desk.importer.stop()
    async with running_engine(database.url) as (engine, _), desk_on(engine, database.url) as another:
        job = await another.run(database.store, "i")
    assert job.applied_count == len(PRODUCTS)
    assert entries(database) == dict.fromkeys(PRODUCTS, 1)


async def test_two_servers_on_one_import(database: Database) -> None:
    """Both take every chunk that they can get: each row is applied once, and the counts are right."""
    async with AsyncExitStack() as stack:
        desks = []
        for _ in range(2):
            engine, _reader = await stack.enter_async_context(running_engine(database.url))
            desks.append(await stack.enter_async_context(desk_on(engine, database.url)))
        await desks[0].upload(database.store, "i", staged(*PRODUCTS))
        jobs = await asyncio.gather(*(desk.run(database.store, "i") for desk in desks))
    assert {job.applied_count for job in jobs} == {len(PRODUCTS)}
    assert entries(database) == dict.fromkeys(PRODUCTS, 1)


async def test_a_defect_ends_an_import(database: Database) -> None:
    """A chunk that cannot be applied, whoever tries: FAILED, and it says so; what came before it stays."""
    async with running_engine(database.url) as (engine, _), desk_on(engine, database.url) as desk:
        await desk.upload(database.store, "i", staged("a"), reason="P0001")
        job = await desk.run(database.store, "i")
        assert (job.state, job.applied_count) == (ImportState.FAILED, 0)
        assert "StatementRefused" in job.failure
        await desk.upload(database.store, "j", staged("a"))
        assert (await desk.run(database.store, "j")).state is ImportState.SUCCEEDED
    assert entries(database) == {"a": 1}


async def test_who_imports_stands_in_the_log(database: Database, desk: Desk) -> None:
    """The caller of the upload is the actor of every entry."""
    await desk.upload(database.store, "i", staged("a"), actor="mo", reason="count", reference="#7")
    await desk.run(database.store, "i")
    assert database.rows("SELECT actor, reason, reference FROM stock_transaction WHERE store_id = %s",
                         database.store) == [("mo", "count", "#7")]  # fmt: skip


async def test_nothing_staged_is_left(database: Database, desk: Desk) -> None:
    """When an import has ended, its rows go; its errors stay."""
    await desk.upload(database.store, "i", staged(*PRODUCTS, "p-0000"))
    assert remains(database) == len(PRODUCTS) + 1
    await desk.run(database.store, "i")
    assert remains(database) == 0
    assert database.one("SELECT count(*) FROM import_error WHERE store_id = %s", database.store) == 1


# --- uploads -------------------------------------------------------------------------------------


async def test_what_a_killed_server_left(database: Database, desk: Desk) -> None:
    """Rows of an upload that became no import go after two hours, its errors too; a younger one's stay."""
    bad = RowError(1, 1, "", "levels", RowReason.INVALID_FIELD, "bad")
    for upload_id in ("old", "young"):
        await desk.staging.begin(database.store, upload_id)
        await desk.staging.add(database.store, upload_id, staged("a", "b"), [bad], errors_max=9)
    database.connection.execute(
        "UPDATE import_upload SET created_at = now() - interval '121 minutes'"
        " WHERE store_id = %s AND upload_id = 'old'",
        (database.store,),
    )
    await desk.importer.clear_away()
    for table in ("import_upload", "import_row", "import_error"):
        left = database.rows(f"SELECT DISTINCT upload_id FROM {table} WHERE store_id = %s", database.store)
        assert left == [("young",)]


async def test_an_upload_without_an_end(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that says nothing for too long, or goes on for too long, is given up, and nothing of it is left."""

    async def silent() -> AsyncIterator[Batch]:
        yield Batch(staged("a"), b"a")
        await asyncio.Event().wait()

    async def endless() -> AsyncIterator[Batch]:
        while True:
            yield Batch((), b"")
            await asyncio.sleep(0)

    given: dict[str, Any] = {"announced_count": None, "reason": "", "reference": "", "actor": ""}
    monkeypatch.setattr(imports, "UPLOAD_SILENCE_S_MAX", 0.05)
    with pytest.raises(ImportIncomplete, match="nothing came for"):
        await desk.imports.upload(database.store, import_id="i", batches=silent(), **given)
    monkeypatch.setattr(imports, "UPLOAD_S_MAX", 0.05)
    with pytest.raises(ImportIncomplete, match="it took more than"):
        await desk.imports.upload(database.store, import_id="i", batches=endless(), **given)
    await desk.importer.clear_away()
    assert remains(database) == 0


@pytest.mark.parametrize(("announced_count", "is_dropped"), [(1, False), (2, True)])
async def test_a_caller_who_goes_away_at_the_very_end(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch, announced_count: int, is_dropped: bool
) -> None:
    """While the job is being made: rows that may be its own stay, those of an upload that is not whole go."""
    is_asked = asyncio.Event()

    async def change(*_: Any, **__: Any) -> None:
        is_asked.set()
        await asyncio.Event().wait()

    monkeypatch.setattr(Engine, "change", change)
    uploading = asyncio.create_task(
        desk.upload(database.store, "i", staged("a"), announced_count=announced_count)
    )
    await is_asked.wait()
    uploading.cancel()
    await asyncio.gather(uploading, return_exceptions=True)
    assert bool(desk.imports.abandoned) == is_dropped


async def test_an_upload_that_breaks_off_while_another_is_cleared_away(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each is dropped, whichever came while the other was being dropped."""
    dropped = []

    async def drop(_store_id: str, upload_id: str) -> None:
        dropped.append(upload_id)
        if upload_id == "first":
            desk.imports.abandoned.append((database.store, "second"))

    monkeypatch.setattr(desk.staging, "drop", drop)
    desk.imports.abandoned.append((database.store, "first"))
    await desk.importer.clear_away()
    assert dropped == ["first", "second"]
    assert desk.imports.abandoned == []


async def test_an_upload_without_a_beginning(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stream on which nothing ever comes has a place among the uploads, and is given up as soon."""

    async def mute() -> AsyncIterator[Batch]:
        await asyncio.Event().wait()
        yield Batch((), b"")

    monkeypatch.setattr(imports, "UPLOADS_MAX", 1)
    monkeypatch.setattr(imports, "UPLOAD_SILENCE_S_MAX", 0.05)

    async def begin() -> None:
        async with desk.imports.begun(mute()):
            pass

    waiting = asyncio.create_task(begin())
    await asyncio.sleep(0)
    with pytest.raises(Overloaded):
        await desk.upload(database.store, "i", staged("a"))
    with pytest.raises(ImportIncomplete, match="nothing came for"):
        await waiting
    await desk.upload(database.store, "i", staged("a"))


async def test_as_many_rows_as_an_import_takes(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the bound it is taken, one row past it is not; the same for the errors that are listed."""
    monkeypatch.setattr(imports, "IMPORT_ROWS_MAX", 3)
    monkeypatch.setattr(imports, "IMPORT_ERRORS_MAX", 1)
    with pytest.raises(InvalidValue, match="at most 3"):
        await desk.upload(database.store, "i", staged("a", "b", "c", "d"))
    job = await desk.upload(database.store, "i", staged("a", "a", "a"))
    assert (job.row_count, job.failed_count) == (3, 2)
    job = await desk.run(database.store, "i")
    assert (job.applied_count, job.failed_count) == (1, 2)
    assert database.one("SELECT count(*) FROM import_error WHERE store_id = %s", database.store) == 1


async def test_as_many_uploads_at_once_as_are_taken(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is OVERLOADED, and taken when another has ended."""
    monkeypatch.setattr(imports, "UPLOADS_MAX", 2)
    async with desk.imports.begun(batches(staged("a"))) as first:
        assert first is not None and len(first.items) == 1
        await desk.upload(database.store, "i", staged("a"))
        async with desk.imports.begun(batches(())):
            with pytest.raises(Overloaded):
                await desk.upload(database.store, "j", staged("b"))
        await desk.upload(database.store, "j", staged("b"))


async def test_the_same_upload_twice_at_once(database: Database, desk: Desk) -> None:
    """Both are answered with the one job that was made; the other's rows are dropped."""
    jobs = await asyncio.gather(*(desk.upload(database.store, "i", staged(*PRODUCTS)) for _ in range(2)))
    assert jobs[0] == jobs[1]
    assert (await desk.run(database.store, "i")).applied_count == len(PRODUCTS)
    assert remains(database) == 0


# --- behind the carts ----------------------------------------------------------------------------


async def test_an_import_waits_while_many_wait(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk joins no queue in which more than WAITING_MAX wait, until its patience is over."""
    monkeypatch.setattr(importer, "WAITING_MAX", 0)
    monkeypatch.setattr(importer, "PATIENCE_S", 0.2)
    waiting: list[bool] = []

    def count(_engine: Engine, _store: str) -> int:
        waiting.append(True)
        return 1

    monkeypatch.setattr(Engine, "waiting_count", count)
    await desk.upload(database.store, "i", staged("a"))
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await desk.run(database.store, "i")
    assert len(waiting) > 1 and loop.time() - begun >= 0.2


async def test_carts_beside_an_import_are_not_starved(database: Database) -> None:
    """Between any two chunks that were decided beside carts, the carts go on by themselves."""
    async with running_engine(database.url) as (engine, _), desk_on(engine, database.url) as desk:
        await desk.upload(database.store, "i", staged(*PRODUCTS))
        done = asyncio.Event()

        async def cart() -> int:
            count = 0
            while not done.is_set():
                await engine.change(database.store, plus("hot"), deadline_s=20)
                count += 1
            return count

        await engine.change(database.store, CreateStock("hot", 1), deadline_s=20)
        carts = [asyncio.create_task(cart()) for _ in range(4)]
        await desk.run(database.store, "i")
        done.set()
        counts = await asyncio.gather(*carts)
    xids = database.rows(
        "SELECT xid::text, bool_or(product_id = 'hot') FROM stock_transaction WHERE store_id = %s GROUP BY 1",
        database.store,
    )
    assert all(count > 3 for count in counts)
    # Three chunks, and at least as many batches of carts alone.
    assert sum(is_cart for _, is_cart in xids) >= 6


# --- exports -------------------------------------------------------------------------------------


async def test_a_slow_reader_holds_no_snapshot(database: Database, desk: Desk) -> None:
    """While the rows are being read from the spool, no transaction is open."""
    await desk.upload(database.store, "i", staged(*PRODUCTS))
    await desk.run(database.store, "i")
    async with desk.exporter.export(database.store, deadline_s=20) as spool:
        pages = spool.pages()
        assert len(await anext(pages)) == 1_000
        open_ones = database.rows(
            "SELECT query FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_xmin IS NOT NULL AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
        )
        assert open_ones == []
        assert [len(page) async for page in pages] == [1]
        assert spool.row_count == len(PRODUCTS)


async def test_an_export_past_the_spool(database: Database, desk: Desk) -> None:
    """It is refused, not written on and on."""
    await desk.upload(database.store, "i", staged(*PRODUCTS))
    await desk.run(database.store, "i")
    desk.exporter._spool_bytes_max = 20_000
    with pytest.raises(QuantityOverflow, match="spool would pass its limit of 20000"):
        async with desk.exporter.export(database.store, deadline_s=20):
            pass


async def test_as_many_exports_at_once_as_are_taken(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more is OVERLOADED, and taken when another has ended."""
    monkeypatch.setattr(export, "EXPORTS_MAX", 1)
    async with desk.exporter.export(database.store, deadline_s=20):
        with pytest.raises(Overloaded):
            async with desk.exporter.export(database.store, deadline_s=20):
                pass
    async with desk.exporter.export(database.store, deadline_s=20) as spool:
        assert [page async for page in spool.pages()] == []


async def test_an_export_that_is_read_too_slowly(
    database: Database, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends at its bound, and leaves its place."""
    monkeypatch.setattr(export, "EXPORT_S_MAX", 0.3)
    with pytest.raises(DeadlinePassed):
        async with desk.exporter.export(database.store, deadline_s=20):
            await asyncio.Event().wait()
    assert desk.exporter._exports_inside == 0
