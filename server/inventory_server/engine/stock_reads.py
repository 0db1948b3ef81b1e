"""Stock page by page. Quantities are sums, so a filter on them looks at one product after the other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.commands import Wanted
from inventory_server.domain.limits import LEVELS_SHOWN_MAX
from inventory_server.domain.state import LevelView, State, StockView
from inventory_server.domain.stock import StockLevel
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

    def lets_through(self, view: StockView, available: int) -> bool:
        """Whether a product is listed of which so much is available, at the location if one is named."""
        if self.below_threshold and not view.is_below_threshold:
            return False
        return not (self.out_of_stock and available)

    def page(self, after: str, limit: int) -> tuple[str, dict[str, Any]]:
        """Return the statement that brings the products after one, with its parameters.

        Where a location is named its rows say besides what is available there.
        """
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


async def load_sums(
    transaction: ReadTransaction, product_ids: Sequence[str], *, with_locations: bool = False
) -> State:
    """Load what products come to, and what of it is held by holds that are due."""
    wanted = Wanted(sums=set(product_ids), expired_held=True, locations=with_locations)
    calls = load.calls_for(wanted)
    return load.state_from(calls, await transaction.fetch(calls))


async def read_levels(
    transaction: ReadTransaction, views: Sequence[StockView], expired_held: Mapping[str, Mapping[str, int]]
) -> list[StockView]:
    """Return the first of the views with all their levels: as many as have LEVELS_SHOWN_MAX together.

    Args:
        views: by product_id.
        expired_held: units of holds that are due, by product and slug.
    """
    asked = {"products": [view.product_id for view in views], "limit": LEVELS_SHOWN_MAX + 1}
    rows = (await transaction.fetch([("levels_shown", asked)]))[0]
    levels: dict[str, list[LevelView]] = {view.product_id: [] for view in views}
    for product_id, slug, available, allocated, hand_allocated, version, updated_at in rows:
        level = StockLevel(available, allocated, hand_allocated, version)
        held = expired_held.get(product_id, {}).get(slug, 0)
        levels[product_id].append(LevelView(slug, level, updated_at, held))
    if len(rows) > LEVELS_SHOWN_MAX:
        # Of the last one more may be there than came.
        views = [view for view in views if view.product_id < rows[-1][0]]
    return [view._replace(levels=tuple(levels[view.product_id])) for view in views]


async def read_stocks(
    transaction: ReadTransaction, filters: StockFilters, after: str, limit: int, *, with_levels: bool
) -> StockPage:
    """Return at most `limit` records after a product_id.

    Fewer where LOOKED_AT_MAX were looked at, or where more than LEVELS_SHOWN_MAX levels would be shown.
    Raises: LocationNotFound.
    """
    expired_held: dict[str, dict[str, int]] = {}
    page = await _read_sums(transaction, filters, after, limit, expired_held)
    if not with_levels:
        return page
    shown = await read_levels(transaction, page.stocks, expired_held)
    return StockPage(shown, page.last if len(shown) == len(page.stocks) else shown[-1].product_id)


async def _read_sums(
    transaction: ReadTransaction,
    filters: StockFilters,
    after: str,
    limit: int,
    expired_held: dict[str, dict[str, int]],
) -> StockPage:
    """Return the page without levels; `expired_held` is filled."""
    found: list[StockView] = []
    looked_at = 0
    while True:
        rows = (await transaction.fetch([filters.page(after, limit + 1)]))[0]
        names_location = filters.location is not None
        state = await load_sums(transaction, [row[0] for row in rows], with_locations=names_location)
        state.need_location(filters.location)
        expired_held.update(state.expired_held)
        for product_id, *available_there in rows:
            view = state.stock_view(product_id)
            if view is not None and filters.lets_through(view, *(available_there or [view.available])):
                if len(found) == limit:
                    return StockPage(found, found[-1].product_id)
                found.append(view)
        if len(rows) <= limit:
            return StockPage(found, None)
        after = rows[-1][0]
        looked_at += len(rows)
        if looked_at >= LOOKED_AT_MAX:
            return StockPage(found, after)
