"""ExportStock on the wire, and the way round: what was exported can be imported again."""

from __future__ import annotations

import grpc

from inventory_client import v1
from support.imports import exported, imported, row
from support.shop import Shop


def test_an_empty_store(shop: Shop) -> None:
    """One message without a row, that says of which moment."""
    (message,) = shop.inventory.ExportStock(v1.ExportStockRequest())
    assert (len(message.rows), message.row_count) == (0, 0)
    assert message.HasField("snapshot_time")


def test_every_product_once_with_its_totals(shop: Shop) -> None:
    """By product_id, over several messages; what is allocated is part of the total."""
    imported(shop, *[row(f"p-{number:04}", number) for number in range(1_001)])
    shop.reserve("r", ("p-0007", 3))
    answers = list(shop.inventory.ExportStock(v1.ExportStockRequest()))
    assert [len(answer.rows) for answer in answers] == [1_000, 1]
    assert {answer.row_count for answer in answers} == {1_001}
    assert [found for answer in answers for found in answer.rows] == [
        row(f"p-{number:04}", number) for number in range(1_001)
    ]


def test_an_export_shows_one_moment(shop: Shop) -> None:
    """What is changed after its first message is not in it, however slowly it is read."""
    imported(shop, *[row(f"p-{number:04}", 1) for number in range(1_001)])
    call = shop.inventory.ExportStock(v1.ExportStockRequest())
    first = next(call)
    shop.change("p-1000", "SET", 9)
    shop.stock("p-9999", 1)
    last = next(call)
    assert [found.levels[0].total for found in last.rows] == [1]
    assert first.snapshot_time == last.snapshot_time
    assert next(call, None) is None
    assert [found.levels[0].total for found in exported(shop)[-2:]] == [9, 1]


def test_a_reader_that_goes_away(shop: Shop) -> None:
    """It leaves its place to the next: more than may be inside at once come one after the other."""
    shop.stock("a", 1)
    for _ in range(20):
        call = shop.inventory.ExportStock(v1.ExportStockRequest())
        next(call)
        call.cancel()
    assert exported(shop) == [row("a", 1)]


def test_a_deadline_that_is_too_near(shop: Shop) -> None:
    """DEADLINE_EXCEEDED, as with any other call."""
    call = shop.inventory.ExportStock(v1.ExportStockRequest(), timeout=0.0001)
    error = None
    try:
        list(call)
    except Exception as raised:
        error = raised
    assert getattr(error, "code", None) is grpc.StatusCode.DEADLINE_EXCEEDED
