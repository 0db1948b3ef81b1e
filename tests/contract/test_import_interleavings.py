"""The rows of the table "Interleavings" that imports are part of: each test is named after its row.

`batch_held` stops the store's batches, so that each order of arrival is made, not hoped for.
"""

from __future__ import annotations

import psycopg
import pytest

from inventory_client import v1
from support.imports import errors, exported, imported, row, wait_for_import
from support.shop import Shop, word


@pytest.mark.parametrize(("total", "is_applied"), [(2, False), (3, True), (4, True)])
def test_import_below_allocated(shop: Shop, total: int, is_applied: bool) -> None:
    """Import below allocated: the row is refused, and the rest applied; equal is fine, available 0."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 3))
    imported(shop, row("a", total), row("b", 1))
    assert errors(shop) == ([] if is_applied else [(1, "levels[0].total", "TOTAL_BELOW_ALLOCATED")])
    assert shop.numbers("a") == ((total, total - 3, 3) if is_applied else (5, 2, 3))
    assert shop.numbers("b") == (1, 1, 0)


@pytest.mark.parametrize(("total", "reason"), [(2, "TOTAL_BELOW_ALLOCATED"), (3, None)])
def test_set_below_allocated(shop: Shop, total: int, reason: str | None) -> None:
    """Set below allocated: the call is refused; equal is fine, available 0."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 3))
    if reason:
        with shop.refused(reason):
            shop.change("a", "SET", total)
    else:
        shop.change("a", "SET", total)
        assert shop.numbers("a") == (3, 0, 3)


def test_import_below_allocated_the_hold_comes_first(shop: Shop) -> None:
    """A hold that is decided before the chunk counts: the row is refused, the hold stands."""
    shop.stock("a", 5)
    with shop.batch_held():
        held = shop.inventory.ReserveStock.future(shop.reserve_request("r", ("a", 3)))
        shop.settle_in()
        uploading = shop.inventory.ImportStock.future(iter(upload_of(row("a", 1))))
        shop.settle_in()
    assert word(held.result().reservation) == "HELD"
    uploading.result()
    assert wait_for_import(shop).failed_count == 1
    assert shop.numbers("a") == (5, 2, 3)


def test_import_below_allocated_the_import_comes_first(shop: Shop) -> None:
    """A chunk that is decided before the hold counts: the total is set, and the hold is short of it."""
    shop.stock("a", 5)
    imported(shop, row("a", 1))
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.reserve("r", ("a", 3))
    (short,) = refusal.shortages
    assert (short.requested, short.available) == (3, 1)
    assert shop.numbers("a") == (1, 1, 0)


def test_import_while_a_cart_pays(shop: Shop) -> None:
    """A paid order keeps its units, whatever an import counts; what is shipped leaves the new total."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 2))
    imported(shop, row("a", 1), row("b", 7))
    assert errors(shop) == [(1, "levels[0].total", "TOTAL_BELOW_ALLOCATED")]
    imported(shop, row("a", 2), import_id="j")
    assert shop.numbers("a") == (2, 0, 2)
    shop.ship("o", "h")
    assert shop.numbers("a") == (0, 0, 0)


def test_delete_location_before_the_import_row(shop: Shop, database_url: str) -> None:
    """A location that is gone when the row is applied is the row's error, though the upload came first."""
    with psycopg.connect(database_url, autocommit=True) as administrator:
        administrator.execute("INSERT INTO location (store_id, slug) VALUES (%s, 'north')", (shop.store,))
        with shop.batch_held():
            uploading = shop.inventory.ImportStock.future(
                iter(upload_of(row("a", ("north", 1)), row("b", 2)))
            )
            shop.settle_in()
            administrator.execute(
                "DELETE FROM location WHERE store_id = %s AND slug = 'north'", (shop.store,)
            )
    uploading.result()
    assert wait_for_import(shop).applied_count == 1
    assert errors(shop) == [(1, "levels[0].location", "LOCATION_NOT_FOUND")]
    assert shop.numbers("b") == (2, 2, 0)


def test_delete_location_after_the_import_row(shop: Shop, database_url: str) -> None:
    """What was imported there came first; an export leaves a location that is gone out."""
    with psycopg.connect(database_url, autocommit=True) as administrator:
        administrator.execute("INSERT INTO location (store_id, slug) VALUES (%s, 'north')", (shop.store,))
        imported(shop, row("a", ("north", 0), ("default", 3)), row("b", ("north", 0)))
        assert errors(shop) == []
        assert exported(shop) == [row("a", 3, ("north", 0)), row("b", ("north", 0))]
        administrator.execute("DELETE FROM location WHERE store_id = %s AND slug = 'north'", (shop.store,))
    assert exported(shop) == [row("a", 3), row("b", 0)]


def upload_of(*rows: v1.StockRow) -> list[v1.ImportStockRequest]:
    header = v1.ImportHeader(import_id="i")
    return [v1.ImportStockRequest(header=header, rows=rows, is_last=True)]
