"""Imports: an upload becomes one job, a chunk is applied once, a row whole or not at all."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_server.domain.commands import CreateStockTransaction, ReserveStock
from inventory_server.domain.errors import IdReused, ImportIncomplete, ImportNotFound
from inventory_server.domain.import_commands import CreateImport, FailImport, ImportChunk
from inventory_server.domain.reservation import Line
from inventory_server.domain.state import Location
from inventory_server.domain.stock import Action
from inventory_server.domain.stock_import import (
    CHUNK_LEVELS_MAX,
    CHUNK_ROWS_MAX,
    IMPORT_ERRORS_MAX,
    ImportRow,
    ImportState,
    RowReason,
    StockImport,
)
from inventory_server.jobs.importer import _chunk
from support.world import World

LOCATIONS = (Location("default"), Location("north", enabled=False))


@pytest.fixture
def world() -> World:
    return World(LOCATIONS)


def create(import_id: str = "i", row_count: int = 2, **more: Any) -> CreateImport:
    given: dict[str, Any] = {"upload_id": f"upload of {import_id}", "failed_count": 0, "rows_hash": b"h"}
    given |= {"is_closed": True, **more}
    return CreateImport(import_id, row_count=row_count, **given)


def row(number: int, product_id: str, *levels: tuple[str, int]) -> ImportRow:
    return ImportRow(number, number + 1, product_id, levels or (("default", 5),))


def chunk(*rows: ImportRow, after: str = "", is_last: bool = True, import_id: str = "i") -> ImportChunk:
    return ImportChunk(import_id, after, rows, is_last)


def entries(world: World, product_id: str) -> list[tuple[str, str, int]]:
    """Return (location, action, quantity) of a product's log."""
    return [(e.location, e.action.value, e.quantity) for e in world.log if e.product_id == product_id]


def errors(world: World) -> list[tuple[int, str, RowReason]]:
    """Return (line, field, reason) of every error."""
    return [(e.line, e.field, e.reason) for e in world.rows["import_errors"].values()]


# --- the job -------------------------------------------------------------------------------------


def test_an_upload_becomes_a_job(world: World) -> None:
    """It is PENDING and counts what was uploaded; a row that was wrong in itself has failed already."""
    job: StockImport = world.do(create(failed_count=1, reason="count", reference="#7"))
    assert (job.state, job.row_count, job.applied_count, job.failed_count) == (ImportState.PENDING, 2, 0, 1)
    assert (job.reason, job.reference, job.started_at, job.ended_at) == ("count", "#7", None, None)


def test_the_same_upload_again_is_the_same_job(world: World) -> None:
    """Whatever try it is: the job as it stands by now. Other rows, or another reason, are ID_REUSED."""
    world.do(create(upload_id="first"))
    world.do(chunk(row(1, "a"), is_last=False))
    again = world.do(create(upload_id="second"))
    assert (again.state, again.upload_id, again.applied_count) == (ImportState.RUNNING, "first", 1)
    for other in (create(rows_hash=b"x"), create(reason="x"), create(reference="x"), create(row_count=3)):
        with pytest.raises(IdReused):
            world.do(other)


def test_an_upload_of_another_length_than_announced(world: World) -> None:
    """One row too few or too many, or no word of the end: nothing is made of it. A used id is said first."""
    for announced_count in (1, 3):
        with pytest.raises(ImportIncomplete):
            world.do(create(announced_count=announced_count))
    with pytest.raises(ImportIncomplete):
        world.do(create(is_closed=False))
    assert not world.rows["imports"]
    world.do(create(announced_count=2, is_closed=False))
    with pytest.raises(IdReused):
        world.do(create(row_count=1, announced_count=2))


# --- chunks --------------------------------------------------------------------------------------


def test_products_are_made_and_totals_set(world: World) -> None:
    """A product without a record gets one, by CREATE; every other level is SET, a new one too."""
    world.stock("old", 3)
    world.do(create(reason="count", reference="#7"))
    job = world.do(chunk(row(1, "new", ("north", 4), ("default", 0)), row(2, "old", ("default", 9))))
    assert entries(world, "new") == [("north", "CREATE", 4), ("default", "SET", 0)]
    assert entries(world, "old") == [("default", "CREATE", 3), ("default", "SET", 9)]
    assert world.level("old").version == 2
    assert {(e.reason, e.reference) for e in world.log[1:]} == {("count", "#7")}
    assert (job.state, job.applied_count, job.ended_at) == (ImportState.SUCCEEDED, 2, world.now)
    world.check()


def test_a_location_that_is_not_named_stays(world: World) -> None:
    """A row says nothing about the levels that it does not name."""
    world.stock("a", 3)
    world.stock("a", 4, "north")
    world.do(create(row_count=1))
    world.do(chunk(row(1, "a", ("default", 9))))
    assert (world.level("a").available, world.level("a", "north").available) == (9, 4)


def test_a_total_that_is_so_already_is_an_entry_all_the_same(world: World) -> None:
    """As a SET by hand that changes nothing is."""
    world.stock("a", 5)
    world.do(create(row_count=1))
    world.do(chunk(row(1, "a")))
    assert world.level("a").version == 2


@pytest.mark.parametrize(("total", "reason"), [(2, RowReason.TOTAL_BELOW_ALLOCATED), (3, None), (4, None)])
def test_a_total_below_what_is_allocated(world: World, total: int, reason: RowReason | None) -> None:
    """It is the row's error; right at it the row is applied and nothing is available."""
    world.stock("a", 5)
    world.hold("r", Line("a", 2))
    world.do(CreateStockTransaction("a", Action.ALLOCATE, 1))
    world.do(create(row_count=1))
    job = world.do(chunk(row(1, "a", ("default", total))))
    assert errors(world) == ([(2, "levels[0].total", reason)] if reason else [])
    assert (job.applied_count, job.failed_count) == ((0, 1) if reason else (1, 0))
    assert world.numbers("a") == ((2, 3) if reason else (total - 3, 3))
    world.check()


def test_a_row_is_applied_whole_or_not_at_all(world: World) -> None:
    """What is wrong with its last level keeps the first from being set, and a product from being made."""
    world.do(create(row_count=3))
    job = world.do(
        chunk(row(1, "a", ("default", 1), ("nowhere", 1)), row(2, "b"), row(3, "c", ("gone", 1), ("x", 1)))
    )
    assert errors(world) == [
        (2, "levels[1].location", RowReason.LOCATION_NOT_FOUND),
        (4, "levels[0].location", RowReason.LOCATION_NOT_FOUND),
    ]
    assert list(world.rows["stocks"]) == ["b"]
    assert (job.state, job.applied_count, job.failed_count) == (ImportState.SUCCEEDED, 1, 2)


def test_errors_past_the_bound_are_counted(world: World) -> None:
    """The first 10,000 are listed, those of the upload included."""
    world.do(create(row_count=IMPORT_ERRORS_MAX + 1, failed_count=IMPORT_ERRORS_MAX - 1))
    job = world.do(chunk(row(1, "a", ("nowhere", 1)), row(2, "b", ("nowhere", 1))))
    assert job.failed_count == IMPORT_ERRORS_MAX + 1
    assert len(errors(world)) == 1


@pytest.mark.parametrize("is_last", [True, False])
def test_a_chunk_that_comes_twice_is_applied_once(world: World, is_last: bool) -> None:
    """Its COMMIT was lost, or another server sends the same: the cursor has gone on, nothing changes."""
    world.do(create(row_count=1 if is_last else 2))
    sent = chunk(row(1, "a"), is_last=is_last)
    first = world.do(sent)
    before = world.snapshot()
    assert world.do(sent) == first
    assert world.batch(sent, sent) == [first, first]
    assert world.snapshot() == before


def test_a_chunk_of_elsewhere_changes_nothing(world: World) -> None:
    """One that does not follow the cursor is left alone, before it and behind it."""
    world.do(create(row_count=3))
    world.do(chunk(row(1, "b"), is_last=False))
    before = world.snapshot()
    for after in ("", "a", "c"):
        assert world.do(chunk(row(2, "d"), after=after)).applied_through == "b"
    assert world.snapshot() == before


def test_an_import_without_rows_ends_at_once(world: World) -> None:
    """Nothing to do is done."""
    world.do(create(row_count=0))
    assert world.do(chunk()).state is ImportState.SUCCEEDED


def test_one_import_at_a_time_runs(world: World) -> None:
    """A second one of the store stays PENDING until the first has ended."""
    world.do(create("first", row_count=2))
    world.do(create("second", row_count=1))
    world.do(chunk(row(1, "a"), is_last=False, import_id="first"))
    waiting = chunk(row(1, "z"), import_id="second")
    assert world.do(waiting).state is ImportState.PENDING
    assert "z" not in world.rows["stocks"]
    verdicts = world.batch(chunk(row(2, "b"), after="a", import_id="first"), waiting)
    assert [job.state for job in verdicts] == [ImportState.SUCCEEDED] * 2


def test_an_import_that_failed(world: World) -> None:
    """What was applied stays, nothing more is; it says why. One that has ended can't fail any more."""
    world.do(create())
    world.do(chunk(row(1, "a"), is_last=False))
    failed = world.do(FailImport("i", "a defect"))
    assert (failed.state, failed.failure, failed.ended_at) == (ImportState.FAILED, "a defect", world.now)
    assert world.do(chunk(row(2, "b"), after="a")) == failed
    assert world.do(FailImport("i", "another")) == failed
    assert list(world.rows["stocks"]) == ["a"]


@pytest.mark.parametrize("command", [chunk(), FailImport("i", "")])
def test_an_import_that_there_is_not(world: World, command: Any) -> None:
    """Nobody can go on with it."""
    with pytest.raises(ImportNotFound):
        world.do(command)


def test_rows_that_are_not_there_are_a_defect(world: World) -> None:
    """An import never ends as if all was well while rows that were uploaded are missing."""
    world.do(create(row_count=3, failed_count=1))
    with pytest.raises(AssertionError, match="2 of 3 rows"):
        world.do(chunk(row(1, "a")))


def test_an_import_gives_way_to_nobody_in_its_batch(world: World) -> None:
    """The queue's order is the serial order: a hold before the chunk counts, one after it finds its units."""
    world.stock("a", 2)
    world.do(create(row_count=1))
    sent = chunk(row(1, "a", ("default", 1)))
    _, job, late = world.batch(ReserveStock("r", (Line("a", 2),)), sent, ReserveStock("s", (Line("a", 1),)))
    assert (job.failed_count, job.applied_count) == (1, 0)
    assert isinstance(late, Exception)
    world.check()


# --- how much a chunk takes ----------------------------------------------------------------------


def test_the_bounds_of_a_chunk() -> None:
    """At most 500 rows and 2,048 levels, whichever comes first; one row in any case."""
    assert len(_chunk([row(n, str(n)) for n in range(CHUNK_ROWS_MAX + 1)])) == CHUNK_ROWS_MAX
    wide = tuple((f"l-{n}", 1) for n in range(CHUNK_LEVELS_MAX // 2))
    assert len(_chunk([row(n, str(n), *wide) for n in range(3)])) == 2
    vast = tuple((f"l-{n}", 1) for n in range(CHUNK_LEVELS_MAX + 1))
    assert len(_chunk([row(1, "a", *vast), row(2, "b")])) == 1
    assert _chunk([]) == ()


def test_a_chunk_counts_by_its_levels() -> None:
    """What a batch may hold is told in lines: a level is one."""
    assert chunk(row(1, "a", ("default", 1), ("north", 2)), row(2, "b")).line_count == 3


def test_the_log_entries_of_an_import_prove_its_levels(world: World) -> None:
    """Replaying the log gives what the import set, whatever was there before."""
    world.stock("a", 7, "north")
    world.do(create(row_count=2))
    world.do(chunk(row(1, "a", ("north", 1), ("default", 2)), row(2, "b", ("north", 0))))
    world.check()
