"""Reads of imports: what the pages show, and what the importer has to do."""

from __future__ import annotations

import json
from collections.abc import Sequence

from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.errors import ImportNotFound
from inventory_server.domain.stock_import import ImportRow, RowError, RowReason, StockImport
from inventory_server.engine import load
from inventory_server.engine.load import Row
from inventory_server.engine.reads import Reader


class ImportReader(Reader):
    """See Reader: one snapshot each, `deadline_s`, and the same errors."""

    async def find_import(self, store_id: str, import_id: str, *, deadline_s: float) -> StockImport | None:
        """Return an import; None where there is none."""

        async def read(transaction: ReadTransaction) -> list[Row]:
            return (await transaction.fetch([("imports", {"imports": [import_id]})]))[0]

        rows = await self.run(store_id, read, deadline_s=deadline_s)
        return load.stock_import(rows[0]) if rows else None

    async def stock_import(self, store_id: str, import_id: str, *, deadline_s: float) -> StockImport:
        """Raises: ImportNotFound."""
        found = await self.find_import(store_id, import_id, deadline_s=deadline_s)
        if found is None:
            raise ImportNotFound(import_id)
        return found

    async def list_imports(
        self, store_id: str, *, before_upload_id: str, limit: int, deadline_s: float
    ) -> list[StockImport]:
        """Return at most `limit` imports whose uploads began before one, the newest first."""
        asked = {"before": before_upload_id, "limit": limit}

        async def read(transaction: ReadTransaction) -> list[Row]:
            return (await transaction.fetch([("import_page", asked)]))[0]

        return [load.stock_import(row) for row in await self.run(store_id, read, deadline_s=deadline_s)]

    async def list_import_errors(
        self, store_id: str, import_id: str, *, after_number: int, limit: int, deadline_s: float
    ) -> list[RowError]:
        """Return at most `limit` errors of rows after one, in their order. Raises: ImportNotFound."""

        async def read(transaction: ReadTransaction) -> list[Row]:
            found = (await transaction.fetch([("imports", {"imports": [import_id]})]))[0]
            if not found:
                raise ImportNotFound(import_id)
            upload_id = load.stock_import(found[0]).upload_id
            asked = {"upload_id": upload_id, "after": after_number, "limit": limit}
            return (await transaction.fetch([("import_error_page", asked)]))[0]

        rows = await self.run(store_id, read, deadline_s=deadline_s)
        return [
            RowError(number, line, product_id, field, RowReason(reason), message)
            for number, line, product_id, field, reason, message in rows
        ]

    async def staged_rows(
        self,
        store_id: str,
        upload_id: str,
        *,
        after_product_id: str,
        rows_max: int,
        levels_max: int,
        deadline_s: float,
    ) -> list[ImportRow]:
        """Return staged rows after a product_id, by product_id: one chunk, and the row that follows it.

        Args:
            rows_max, levels_max: what a chunk takes at most; as many levels as the widest row has, or more.
        """
        asked = {
            "upload_id": upload_id,
            "after": after_product_id,
            "limit": rows_max + 1,
            "levels_max": levels_max,
        }

        async def read(transaction: ReadTransaction) -> list[Row]:
            return (await transaction.fetch([("staged_rows", asked)]))[0]

        rows = await self.run(store_id, read, deadline_s=deadline_s)
        # All of them decoded at once: one by one it takes the driver ten times as long.
        all_levels = json.loads(f"[{','.join(row[3] for row in rows)}]")
        return [
            ImportRow(number, line, product_id, tuple([(slug, total) for slug, total in levels]), threshold)
            for (number, line, product_id, _, threshold), levels in zip(rows, all_levels, strict=True)
        ]

    async def unfinished_imports(self, store_ids: Sequence[str], *, deadline_s: float) -> dict[str, str]:
        """Return by store the import whose turn it is: the oldest that has not ended."""
        found = await self._of_stores("import_unfinished", store_ids, 1, deadline_s)
        return {store_id: rows[0][0] for store_id, rows in found.items()}

    async def spent_uploads(
        self, store_ids: Sequence[str], *, limit: int, deadline_s: float
    ) -> dict[str, list[str]]:
        """Return by store the uploads whose rows nobody needs any more, at most `limit` of each store."""
        found = await self._of_stores("uploads_spent", store_ids, limit, deadline_s)
        return {store_id: [row[0] for row in rows] for store_id, rows in found.items()}
