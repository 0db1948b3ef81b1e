"""Rows of imports and exports, decoded and encoded. A row that breaks a rule is an error of its own."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from inventory_client.v1 import stock_import_pb2 as pb
from inventory_server.domain.stock_import import ImportRow, RowError, RowReason
from inventory_server.rpc.rules import Violation, is_id, validator

_violations = validator(pb.StockRow.DESCRIPTOR)
_TWICE = "must stand in the row once"


def read_rows(rows: Iterable[pb.StockRow], first_number: int) -> list[ImportRow | RowError]:
    """Decode rows of an upload, numbered from `first_number` on."""
    return [_read(row, number) for number, row in enumerate(rows, start=first_number)]


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
