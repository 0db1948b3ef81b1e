"""Imports: a job that sets the totals of many products, row by row; a row is applied whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

IMPORT_ROWS_MAX = 1_000_000
ROW_LEVELS_MAX = 1_024
# What one chunk applies: little enough that the carts of its batch hardly notice, and two of the widest rows.
CHUNK_ROWS_MAX = 500
CHUNK_LEVELS_MAX = 2 * ROW_LEVELS_MAX
# Errors of one import that are listed; the others are counted.
IMPORT_ERRORS_MAX = 10_000


class ImportState(StrEnum):
    """How far an import is."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"


class RowReason(StrEnum):
    """Why a row was not applied."""

    INVALID_FIELD = "INVALID_FIELD"
    LOCATION_NOT_FOUND = "LOCATION_NOT_FOUND"
    TOTAL_BELOW_ALLOCATED = "TOTAL_BELOW_ALLOCATED"


class ImportRow(NamedTuple):
    """A product and the totals it is to have, by location; a threshold of None leaves it as it is.

    `number` counts the upload's rows from 1; `line` is where the caller has it. Tuples, since there are many.
    """

    number: int
    line: int
    product_id: str
    levels: tuple[tuple[str, int], ...]
    low_stock_threshold: int | None = None


class RowError(NamedTuple):
    """A row that was not applied, and the first thing wrong with it; `field` is the path within the row."""

    number: int
    line: int
    product_id: str
    field: str
    reason: RowReason
    message: str


class Batch(NamedTuple):
    """Rows of an upload as they came together, with what is wrong in itself in its place.

    `content` is what was sent, encoded: however an upload is cut into batches, all of it is the same.
    """

    items: Sequence[ImportRow | RowError]
    content: bytes
    is_last: bool = False


class StockImport(NamedTuple):
    """The job. `applied_through` is its cursor: the product of the last row that was decided."""

    import_id: str
    upload_id: str
    state: ImportState
    row_count: int
    applied_count: int
    failed_count: int
    applied_through: str
    reason: str
    reference: str
    actor: str
    failure: str
    content_hash: bytes
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None

    @property
    def is_ended(self) -> bool:
        return self.state in (ImportState.SUCCEEDED, ImportState.FAILED)
