"""Imports: an upload becomes a job, and the job's rows are applied chunk by chunk."""

from __future__ import annotations

from collections.abc import Sequence

from inventory_server.domain import stock
from inventory_server.domain.commands import content_hash
from inventory_server.domain.errors import (
    IdReused,
    ImportIncomplete,
    ImportNotFound,
    LocationNotFound,
    TotalBelowAllocated,
)
from inventory_server.domain.import_commands import CreateImport, FailImport, ImportChunk
from inventory_server.domain.state import State
from inventory_server.domain.stock import Action, Stock, StockLevel
from inventory_server.domain.stock_import import (
    IMPORT_ERRORS_MAX,
    ImportRow,
    ImportState,
    RowError,
    RowReason,
    StockImport,
)


def create_import(state: State, command: CreateImport, _: str | None) -> StockImport:
    """Make the job, PENDING; the same upload again answers the job as it stands."""
    found = state.imports.get(command.import_id)
    if found is not None:
        if found.content_hash != content_hash(command):
            raise IdReused("import_id", command.import_id)
        return found
    if not command.is_whole:
        if command.announced_count is None:
            raise ImportIncomplete(command.import_id, "its last message did not say that it is")
        raise ImportIncomplete(
            command.import_id, f"{command.row_count} of {command.announced_count} rows came"
        )
    job = StockImport(
        command.import_id, command.upload_id, ImportState.PENDING, command.row_count, 0,
        command.failed_count, "", command.reason, command.reference, state.actor, "",
        content_hash(command), state.now,
    )  # fmt: skip
    state.imports.put(command.import_id, job)
    return job


def import_chunk(state: State, command: ImportChunk, _: str | None) -> StockImport:
    """Apply the rows and move the cursor; change nothing where the cursor is elsewhere.

    So a chunk that is sent twice (its COMMIT was lost, another server has the job too) is applied once.
    A job that waits begins when no other one of its store is RUNNING.
    """
    job = _need_import(state, command.import_id)
    if job.is_ended or job.applied_through != command.after or not _has_its_turn(state, job):
        return job
    failed_count = job.failed_count
    for row in command.rows:
        levels = [state.level(row.product_id, slug) for slug, _ in row.levels]
        error = _error(state, row, levels)
        if error is None:
            _apply(state, job, row, levels)
        else:
            if failed_count < IMPORT_ERRORS_MAX:
                state.import_errors.put((job.upload_id, row.number), error)
            failed_count += 1
    decided_count = job.applied_count + job.failed_count + len(command.rows)
    if command.is_last and decided_count != job.row_count:
        raise AssertionError(f"{decided_count} of {job.row_count} rows were there")
    job = job._replace(
        state=ImportState.SUCCEEDED if command.is_last else ImportState.RUNNING,
        applied_count=decided_count - failed_count,
        failed_count=failed_count,
        applied_through=command.rows[-1].product_id if command.rows else job.applied_through,
        started_at=job.started_at or state.now,
        ended_at=state.now if command.is_last else None,
    )
    state.imports.put(job.import_id, job)
    return job


def fail_import(state: State, command: FailImport, _: str | None) -> StockImport:
    """End a job; one that has ended stays as it is."""
    job = _need_import(state, command.import_id)
    if not job.is_ended:
        job = job._replace(state=ImportState.FAILED, failure=command.failure, ended_at=state.now)
        state.imports.put(job.import_id, job)
    return job


def _need_import(state: State, import_id: str) -> StockImport:
    job = state.imports.get(import_id)
    if job is None:
        raise ImportNotFound(import_id)
    return job


def _has_its_turn(state: State, job: StockImport) -> bool:
    """The load step brings the RUNNING one of the store along."""
    return job.state is ImportState.RUNNING or all(
        other.state is not ImportState.RUNNING for other in state.imports.values()
    )


def _error(state: State, row: ImportRow, levels: Sequence[StockLevel]) -> RowError | None:
    """Return the first thing that keeps a row from being applied; `levels` are as they stand.

    Raises: TotalBelowAllocated where that is not the last word: the chunk is tried again.
    """
    for index, ((slug, total), level) in enumerate(zip(row.levels, levels, strict=True)):
        if state.locations.get(slug) is None:
            field, reason = "location", RowReason.LOCATION_NOT_FOUND
            message = str(LocationNotFound(slug))
        elif total < level.allocated:
            field, reason = "total", RowReason.TOTAL_BELOW_ALLOCATED
            below = TotalBelowAllocated(row.product_id, total, level.allocated)
            if state.more_are_due:
                raise below
            message = str(below)
        else:
            continue
        return RowError(row.number, row.line, row.product_id, f"levels[{index}].{field}", reason, message)
    return None


def _apply(state: State, job: StockImport, row: ImportRow, levels: Sequence[StockLevel]) -> None:
    """Set the totals of a row that nothing is wrong with; a product that is not managed is made first."""
    known = state.managed(row.product_id)
    record = known or Stock(row.product_id, state.now, state.now)
    if row.low_stock_threshold not in (None, record.low_stock_threshold):
        record = record._replace(low_stock_threshold=row.low_stock_threshold, updated_at=state.now)
    if record is not known:
        state.stocks.put(row.product_id, record)
    for index, ((slug, total), level) in enumerate(zip(row.levels, levels, strict=True)):
        if known is None and index == 0:
            action, after = Action.CREATE, stock.increment(level, total)
        else:
            action, after = Action.SET, stock.set_total(level, total)
        state.write_level(
            row.product_id, slug, action, total, after, reason=job.reason, reference=job.reference
        )
