"""Staging: rows of uploads, written beside the engine's queue, since an upload's rows are nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import islice
from operator import attrgetter
from typing import Any

from inventory_server.db.connection import Call, EngineConnections, Row
from inventory_server.db.sqlstate import Conflict, ConnectionLost, Unavailable
from inventory_server.domain.stock_import import ImportRow, RowError, RowReason
from inventory_server.engine import save
from inventory_server.engine.errors import DatabaseUnavailable, TransactionConflict

# Two uploads meet on a page of an index now and then.
ATTEMPTS_MAX = 10
# What one transaction deletes: a long one would hold up those who read the log in commit order.
ROWS_DROPPED_MAX = 5_000


class ImportStaging:
    """Each method is one short transaction or several; all raise DatabaseUnavailable, TransactionConflict.

    A COMMIT whose outcome is unknown is not looked into: the upload breaks off, and its rows are dropped.
    """

    def __init__(self, connections: EngineConnections) -> None:
        self._connections = connections

    async def begin(self, store_id: str, upload_id: str) -> None:
        """Note that an upload has begun, so that its remains are found if it breaks off."""
        await self._run(store_id, [("begin_upload", {"upload_id": upload_id})])

    async def add(
        self,
        store_id: str,
        upload_id: str,
        rows: Sequence[ImportRow],
        errors: Sequence[RowError],
        *,
        errors_max: int,
    ) -> int:
        """Stage rows, and note what is wrong with others.

        Args:
            errors_max: how many of this call's errors are kept, the rest is only counted.
        Returns: how many rows are errors: those given, and those whose product this upload holds already.
        """
        # In the order of the index, whose pages cost most; the first row of a product stays the first.
        staged = _arrays(upload_id, sorted(rows, key=attrgetter("product_id")))
        count = 0

        def note(results: list[list[Row]]) -> list[Call]:
            nonlocal count
            taken = {number for (number,) in results[0]} if rows else set()
            seconds = [_second(row) for row in rows if row.number not in taken]
            wrong = sorted([*errors, *seconds])
            count = len(wrong)
            kept = [(upload_id, error) for error in islice(wrong, max(0, errors_max))]
            return save.to_calls([save.import_errors(kept)])

        first: list[Call] = [("stage_rows", staged)] if rows else []
        await self._run(store_id, first, note)
        return count

    async def drop(self, store_id: str, upload_id: str) -> None:
        """Forget an upload: its rows, and its errors where it became no import."""
        upload = {"upload_id": upload_id}
        is_left = True

        def look(results: list[list[Row]]) -> list[Call]:
            nonlocal is_left
            is_left = bool(results[1][0][0])
            return [] if is_left else [("drop_errors_of_no_import", upload), ("drop_upload", upload)]

        while is_left:
            first: list[Call] = [
                ("drop_staged_rows", {**upload, "limit": ROWS_DROPPED_MAX}),
                ("rows_are_staged", upload),
            ]
            await self._run(store_id, first, look)

    async def _run(
        self,
        store_id: str,
        first: Sequence[Call],
        then: Callable[[list[list[Row]]], list[Call]] = lambda _: [],
    ) -> None:
        """Run calls, and those that follow from their results, in one transaction; again on a conflict."""
        for _ in range(ATTEMPTS_MAX):
            try:
                async with self._connections.borrow() as connection:
                    results = await connection.begin(store_id, first)
                    await connection.commit(store_id, then(results))
                    return
            except Conflict:
                continue
            except (ConnectionLost, Unavailable) as error:
                raise DatabaseUnavailable(str(error)) from error
        raise TransactionConflict


def _arrays(upload_id: str, rows: Sequence[ImportRow]) -> dict[str, Any]:
    return {
        "upload_id": upload_id,
        "product_id": [row.product_id for row in rows],
        "row_number": [row.number for row in rows],
        "line": [row.line for row in rows],
        "levels": [_json(row.levels) for row in rows],
        "low_stock_threshold": [row.low_stock_threshold for row in rows],
    }


def _json(levels: Sequence[tuple[str, int]]) -> str:
    """Return [[location, total], ...]: a slug needs no escapes, and the library takes five times as long."""
    return "[" + ",".join([f'["{slug}",{total}]' for slug, total in levels]) + "]"


def _second(row: ImportRow) -> RowError:
    return RowError(
        row.number, row.line, row.product_id, "product_id", RowReason.INVALID_FIELD,
        "an earlier row of this import has the same product",
    )  # fmt: skip
