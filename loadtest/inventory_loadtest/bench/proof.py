"""The stock that a bench begins with, and what must hold of it at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator

from inventory_client import Client, new_id, v1
from inventory_loadtest.bench.suite import COLD, COLD_PRODUCTS, HOT, BenchError

# More than all loads together can ask for.
HOT_STOCK = 10**12
COLD_STOCK = 10**9
_MESSAGE_ROWS = 1_000
_PAGE_SIZE = 1_000


def stock(client: Client) -> None:
    """Import the products of the loads. Raises: InventoryError; BenchError where one isn't taken."""
    import_id = new_id()
    client.inventory.ImportStock(_messages(import_id), timeout=60)
    while True:
        job = client.inventory.GetImport(v1.GetImportRequest(import_id=import_id)).stock_import
        if job.HasField("end_time"):
            break
        time.sleep(0.05)
    if job.applied_count != COLD_PRODUCTS + 1:
        raise BenchError(f"the import of the products ended as {v1.ImportState.Name(job.state)}")


def _messages(import_id: str) -> Iterator[v1.ImportStockRequest]:
    totals = {HOT: HOT_STOCK, **{f"{COLD}-{number}": COLD_STOCK for number in range(COLD_PRODUCTS)}}
    rows = [
        v1.StockRow(product_id=name, levels=[v1.LevelTotal(location="default", total=total)])
        for name, total in totals.items()
    ]
    yield v1.ImportStockRequest(header=v1.ImportHeader(import_id=import_id, row_count=len(rows)))
    for begin in range(0, len(rows), _MESSAGE_ROWS):
        yield v1.ImportStockRequest(rows=rows[begin : begin + _MESSAGE_ROWS])


def hot_units(client: Client) -> int:
    """Count the units of the hot product that are allocated."""
    return client.inventory.GetStock(v1.GetStockRequest(product_id=HOT)).stock.allocated


def allocated_units(client: Client) -> int:
    """Count the units that are allocated, over all products."""
    total, token = 0, ""
    while True:
        page = client.inventory.ListStock(
            v1.ListStockRequest(page_size=_PAGE_SIZE, page_token=token), timeout=30
        )
        total += sum(each.allocated for each in page.stocks)
        token = page.next_page_token
        if not token:
            return total


def violations(client: Client) -> list[str]:
    """Let the server verify the whole store; return what doesn't hold, in words."""
    found, token = [], ""
    while True:
        page = client.inventory.VerifyStock(v1.VerifyStockRequest(page_token=token), timeout=60)
        found += [f"{each.law}: {each.description}" for each in page.violations]
        token = page.next_page_token
        if not token:
            return found
