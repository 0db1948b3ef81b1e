"""ExportStock on the wire, and the way round: what was exported can be imported again."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest

import inventory_client
from inventory_client import v1
from inventory_server.db.stores import create_store
from inventory_server.launch import LaunchedProcess
from support.database import Observer
from support.imports import exported, imported, row
from support.shop import Shop


@pytest.fixture
def elsewhere(server: LaunchedProcess, database_url: str, store: str, observer: Observer) -> Iterator[Shop]:
    """Another new store on the shared server."""
    name = f"{store}-2"
    create_store(database_url, name)
    with inventory_client.connect(server.address, store=name, timeout_s=60) as client:
        yield Shop(client, name, observer)


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


def test_the_way_round(shop: Shop, elsewhere: Shop) -> None:
    """An export imported where nothing was gives the same one: all levels, thresholds, zeros; no tombstone.

    Imported where it came from, it changes no total, and brings nothing back.
    """
    for each in (shop, elsewhere):
        each.location("north")
        each.location("south")
    shop.location("gone")
    imported(
        shop,
        row("both", 3, ("north", 4)),
        row("deleted", 5, ("north", 6), low_stock_threshold=1),
        row("empty", ("south", 0), low_stock_threshold=0),
        row("held", 9, ("south", 2), low_stock_threshold=2**43 - 1),
        row("left", ("gone", 0)),
        row("north", ("north", 2**43 - 1)),
        row("reborn", 8, ("south", 8), low_stock_threshold=8),
    )
    shop.reserve("r", ("held", 3))
    shop.change("both", "ALLOCATE", 2, location="north")
    shop.delete("deleted")
    shop.delete("reborn")
    imported(shop, row("reborn", ("south", 1)), import_id="again")
    shop.disable("south")
    shop.delete_location("gone")
    whole = exported(shop)
    assert whole == [
        row("both", 3, ("north", 4)),
        row("empty", ("south", 0), low_stock_threshold=0),
        row("held", 9, ("south", 2), low_stock_threshold=2**43 - 1),
        row("left", 0),
        row("north", ("north", 2**43 - 1)),
        row("reborn", 0, ("south", 1)),
    ]
    assert imported(elsewhere, *whole).applied_count == len(whole)
    assert exported(elsewhere) == whole
    assert imported(shop, *whole, import_id="back").applied_count == len(whole)
    assert exported(shop) == whole
    assert shop.numbers("held") == (11, 8, 3)


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
