"""The stock that a bench begins with, and what must hold of it at the end."""

from __future__ import annotations

from inventory_client import Client, v1
from inventory_loadtest.bench.imports import import_stock
from inventory_loadtest.bench.suite import COLD, COLD_PRODUCTS, HOT

# More than all loads together can ask for.
HOT_STOCK = 10**12
COLD_STOCK = 10**9
_PAGE_SIZE = 1_000


def stock(client: Client) -> None:
    """Import the products of the loads. Raises: InventoryError; BenchError where one isn't taken."""
    cold = [(f"{COLD}-{number}", COLD_STOCK) for number in range(COLD_PRODUCTS)]
    import_stock(client, [(HOT, HOT_STOCK), *cold])


def allocated_units(client: Client, product: str | None = None) -> int:
    """Count the units that are allocated, of one product or of all."""
    if product is not None:
        return client.inventory.GetStock(v1.GetStockRequest(product_id=product)).stock.allocated
    total, token = 0, ""
    while True:
        page = client.inventory.ListStock(v1.ListStockRequest(page_size=_PAGE_SIZE, page_token=token))
        total += sum(each.allocated for each in page.stocks)
        token = page.next_page_token
        if not token:
            return total


def violations(client: Client, product: str | None = None) -> list[str]:
    """Let the server verify a product or the whole store; return what doesn't hold, in words."""
    found, token = [], ""
    wanted = [product] if product is not None else []
    while True:
        page = client.inventory.VerifyStock(v1.VerifyStockRequest(product_ids=wanted, page_token=token))
        found += [f"{each.law}: {each.description}" for each in page.violations]
        token = page.next_page_token
        if not token:
            return found
