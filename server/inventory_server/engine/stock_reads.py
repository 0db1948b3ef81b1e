"""Stock page by page. Quantities are sums, so a filter on them looks at one product after the other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.commands import Wanted
from inventory_server.domain.limits import LEVELS_SHOWN_MAX
from inventory_server.domain.state import State, StockView
from inventory_server.engine import load

# How many records one call looks at: a page may be short where most of them are filtered out, or deleted.
LOOKED_AT_MAX = 4_000

# Ids are visible ASCII: this is above all that begin alike.
_ABOVE = "\x7f"


class StockFilters(NamedTuple):
    """What all of these let through."""

    product_id_prefix: str = ""
    below_threshold: bool = False
    location: str | None = None
    out_of_stock: bool = False

    def lets_through(self, state: State, view: StockView) -> bool:
        if self.below_threshold and not view.is_below_threshold:
            return False
        if not self.out_of_stock:
            return True
        if self.location is None:
            return not view.available
        return not state.level(view.product_id, self.location).available

    def page(self, after: str, limit: int) -> tuple[str, dict[str, Any]]:
        """Return the statement that brings the products after one, with its parameters."""
        asked = {
            "after": after,
            "first": self.product_id_prefix,
            "until": self.product_id_prefix + _ABOVE,
            "limit": limit,
        }
        if self.location is not None:
            return "stock_at_location_page", {**asked, "location": self.location}
        return "stock_with_threshold_page" if self.below_threshold else "stock_page", asked


class StockPage(NamedTuple):
    """Stock by product_id; `last` is the product to go on after, None = there are no more."""

    stocks: list[StockView]
    last: str | None


async def load_shown(transaction: ReadTransaction, product_ids: Sequence[str]) -> State:
    """Load what is shown of products: their stock, and what of it is held by holds that are due."""
    calls = load.calls_for(Wanted(products=set(product_ids), expired_held=True))
    return load.state_from(calls, await transaction.fetch(calls))


async def read_stocks(
    transaction: ReadTransaction, filters: StockFilters, after: str, limit: int, *, with_levels: bool
) -> StockPage:
    """Return at most `limit` records after a product_id.

    Fewer where LOOKED_AT_MAX were looked at, or where more than LEVELS_SHOWN_MAX levels would be shown.
    Raises: LocationNotFound.
    """
    found: list[StockView] = []
    looked_at = levels_shown = 0
    while True:
        page = (await transaction.fetch([filters.page(after, limit + 1)]))[0]
        product_ids = [row[0] for row in page]
        state = await load_shown(transaction, product_ids)
        state.need_location(filters.location)
        for product_id in product_ids:
            view = state.stock_view(product_id, with_levels=with_levels)
            if view is not None and filters.lets_through(state, view):
                levels_shown += len(view.levels)
                if len(found) == limit or levels_shown > LEVELS_SHOWN_MAX:
                    return StockPage(found, found[-1].product_id)
                found.append(view)
        if len(product_ids) <= limit:
            return StockPage(found, None)
        after = product_ids[-1]
        looked_at += len(product_ids)
        if looked_at >= LOOKED_AT_MAX:
            return StockPage(found, after)
