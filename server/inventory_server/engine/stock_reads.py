"""Stock page by page. Quantities are sums, so a filter on them looks at one product after the other."""

from __future__ import annotations

from typing import NamedTuple

from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.commands import Wanted
from inventory_server.domain.state import StockView
from inventory_server.engine import load

# How many records one call looks at: a page may be short where most of them are filtered out, or deleted.
LOOKED_AT_MAX = 4_000

# Ids are visible ASCII: this is above all that begin alike.
_ABOVE = "\x7f"


class StockFilters(NamedTuple):
    """What all of these let through."""

    product_id_prefix: str = ""
    below_threshold: bool = False

    def lets_through(self, view: StockView) -> bool:
        return view.is_below_threshold or not self.below_threshold


class StockPage(NamedTuple):
    """Stock by product_id; `last` is the product to go on after, None = there are no more."""

    stocks: list[StockView]
    last: str | None


async def read_stocks(
    transaction: ReadTransaction, filters: StockFilters, after: str, limit: int
) -> StockPage:
    """Return at most `limit` records after a product_id; fewer where LOOKED_AT_MAX were looked at."""
    found: list[StockView] = []
    looked_at = 0
    statement = "stock_with_threshold_page" if filters.below_threshold else "stock_page"
    while True:
        asked = {
            "after": after,
            "first": filters.product_id_prefix,
            "until": filters.product_id_prefix + _ABOVE,
            "limit": limit + 1,
        }
        product_ids = [row[0] for row in (await transaction.fetch([(statement, asked)]))[0]]
        calls = load.calls_for(Wanted(products=set(product_ids)))
        state = load.state_from(calls, await transaction.fetch(calls))
        for product_id in product_ids:
            view = state.stock_view(product_id)
            if view is not None and filters.lets_through(view):
                if len(found) == limit:
                    return StockPage(found, found[-1].product_id)
                found.append(view)
        if len(product_ids) <= limit:
            return StockPage(found, None)
        after = product_ids[-1]
        looked_at += len(product_ids)
        if looked_at >= LOOKED_AT_MAX:
            return StockPage(found, after)
