"""Rows of imports and exports, decoded and encoded. A row that breaks a rule is an error of its own."""

from __future__ import annotations

from collections.abc import Sequence

from inventory_client.v1 import stock_import_pb2 as pb
from inventory_server.domain.stock_import import Batch, ImportRow, RowError, RowReason
from inventory_server.rpc.rules import Violation, is_id, validator

_violations = validator(pb.StockRow.DESCRIPTOR)
_TWICE = "must stand in the row once"


def read_batch(request: pb.ImportStockRequest, first_number: int) -> Batch:
    """Decode a message's rows, numbered from `first_number` on."""
    items = [_read(row, number) for number, row in enumerate(request.rows, start=first_number)]
    # A message of nothing but rows: those of two, one behind the other, are those of one with all of them.
    content = pb.ImportStockRequest(rows=request.rows).SerializeToString(deterministic=True)
    return Batch(items, content, request.is_last)


def _read(row: pb.StockRow, number: int) -> ImportRow | RowError:
    line = row.line if row.line > 0 else number
    levels = tuple([(level.location, level.total) for level in row.levels])
    broken = _violations(row) or _repeated(levels)
    if broken:
        product_id = row.product_id if is_id(row.product_id) else ""
        field, description = broken[0]
        return RowError(number, line, product_id, field, RowReason.INVALID_FIELD, description)
    threshold = row.low_stock_threshold if row.HasField("low_stock_threshold") else None
    return ImportRow(number, line, row.product_id, levels, threshold)


def _repeated(levels: Sequence[tuple[str, int]]) -> list[Violation]:
    if len(levels) == 1:
        return []
    seen: set[str] = set()
    for index, (location, _) in enumerate(levels):
        if location in seen:
            return [Violation(f"levels[{index}].location", _TWICE)]
        seen.add(location)
    return []
