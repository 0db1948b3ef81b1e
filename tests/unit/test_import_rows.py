"""Rows of an upload, decoded: a bad row is an error of its own, and what was sent is told by its content."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from inventory_server.domain.stock_import import ImportRow, RowError
from inventory_server.rpc import import_rows
from inventory_server.rpc.import_rows import read_batch


def row(product_id: str, *levels: tuple[str, int], **more: Any) -> v1.StockRow:
    totals = [v1.LevelTotal(location=location, total=total) for location, total in levels]
    return v1.StockRow(product_id=product_id, levels=totals, **more)


def request(*rows: v1.StockRow, **more: Any) -> v1.ImportStockRequest:
    return v1.ImportStockRequest(rows=rows, **more)


GOOD = row("a", ("default", 1), ("north", 0), low_stock_threshold=0)
TWICE = row("b", ("north", 1), ("north", 2))


def test_rows_are_numbered_from_the_first_on() -> None:
    """The line is the caller's, else the number; a bad row stands in its place."""
    items = read_batch(request(GOOD, TWICE, row("c", ("default", 3), line=70)), 11).items
    assert [(item.number, item.line, type(item)) for item in items] == [
        (11, 11, ImportRow),
        (12, 12, RowError),
        (13, 70, ImportRow),
    ]
    assert items[0] == ImportRow(11, 11, "a", (("default", 1), ("north", 0)), 0)


def test_the_content_is_the_same_however_it_was_cut() -> None:
    """Of messages with one row or many, with a header and without, and of one that is the last."""
    rows = [GOOD, TWICE, row("c", ("default", 3), line=70)]
    whole = read_batch(request(*rows), 1).content
    header = v1.ImportHeader(import_id="i")
    cut = [request(*rows[:1], header=header), request(), request(*rows[1:], is_last=True)]
    assert b"".join(read_batch(message, 1).content for message in cut) == whole


def test_the_content_depends_on_no_wording(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a bad row is told may change without making another upload of it."""
    before = read_batch(request(TWICE), 1)
    monkeypatch.setattr(import_rows, "_TWICE", "another wording")
    after = read_batch(request(TWICE), 1)
    assert before.items != after.items
    assert before.content == after.content


@pytest.mark.parametrize(
    "other",
    [
        row("b", ("north", 1), ("north", 3)),
        row("b", ("north", 1), ("north", 2), low_stock_threshold=0),
        row("b", ("north", 2), ("north", 1)),
        row("b", ("north", 1), ("north", 2), line=1),
    ],
)
def test_every_field_of_a_row_is_content(other: v1.StockRow) -> None:
    """Also where the row is as wrong as before: another total, order, threshold or line is another upload."""
    assert read_batch(request(other), 1).content != read_batch(request(TWICE), 1).content
