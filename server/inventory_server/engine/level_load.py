"""Which levels are loaded: all of each product, or in a wide store those that can be touched.

A store is wide with more than FEW_LOCATIONS_MAX locations. There a product may have 1,024 levels, and a batch
loads those that its commands name and, for lines served from anywhere, the first ones that have as much, in
the order of sourcing. What turns out to be lacking is loaded by a second trip, and everything decided again:
see domain/coverage.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from inventory_server.domain.commands import Wanted
from inventory_server.domain.state import LevelSums, State
from inventory_server.domain.stock import StockLevel

Call = tuple[str, dict[str, Any]]
Row = tuple[Any, ...]

# Up to so many locations of a store, or levels of a product, all is loaded.
FEW_LOCATIONS_MAX = 16
# How many locations, by the order of sourcing, are tried for a line; past them all levels of its product are
# looked through.
LOCATIONS_TRIED_MAX = 64
# A product is loaded whole where its lines, times their different quantities, are more.
LINES_TRIED_MAX = 64


def is_wide(state: State) -> bool:
    """Whether the store has many locations."""
    return len(state.locations.loaded) > FEW_LOCATIONS_MAX


def products_of(wanted: Wanted) -> list[str]:
    """Return the products that are named, in whatever way."""
    named = {product_id for product_id, _ in wanted.levels} | {product_id for product_id, _ in wanted.lines}
    return sorted(wanted.products | wanted.sums | named)


def calls_for(wanted: Wanted, *, is_wide: bool) -> list[Call]:
    """Return the statements that bring the records and the levels of what is named, moved and sold."""
    products = {"products": products_of(wanted)}
    touched = {
        "reservations": sorted(wanted.reservations_moved),
        "orders": sorted(wanted.orders),
        "carts_checked": sorted(wanted.carts_checked),
    }
    touches = any(touched.values())
    calls: list[Call] = []
    if touches:
        calls.append(("stocks_touched", {**products, **touched}))
    elif products["products"]:
        calls.append(("stocks", products))
    if not is_wide:
        if touches:
            calls.append(("levels_touched", {**products, **touched}))
        elif products["products"]:
            calls.append(("levels", products))
        return calls
    if wanted.products:
        calls.append(("levels", {"products": sorted(wanted.products)}))
    if wanted.sums:
        calls.append(("level_sums", {"products": sorted(wanted.sums)}))
    if touches or wanted.levels or wanted.lines:
        # A reservation that is asked for again may be due, and its units move.
        touched["reservations"] = sorted(wanted.reservations_moved | wanted.reservations)
        calls.append(("levels_chosen", {**_chosen(wanted), **touched}))
    return calls


def _chosen(wanted: Wanted) -> dict[str, Any]:
    """Return what is asked of levels that are named, and of those that lines may be served from."""
    asked: list[tuple[str, str | None, int | None, int]] = [
        (product_id, slug, None, 1) for product_id, slug in sorted(wanted.levels)
    ]
    asked += [(product_id, None, quantity, count) for (product_id, quantity), count in wanted.lines.items()]
    return {
        **_columns(asked),
        "confirmed": sorted(wanted.reservations_confirmed),
        "few": FEW_LOCATIONS_MAX,
        "tried": LOCATIONS_TRIED_MAX,
        "many": LINES_TRIED_MAX,
    }


def _columns(asked: Sequence[tuple[str, str | None, int | None, int]]) -> dict[str, list[Any]]:
    names = ("products", "locations", "quantities", "lines")
    return {name: [row[index] for row in asked] for index, name in enumerate(names)}


def calls_for_lacking(state: State) -> list[Call]:
    """Return what brings the levels that a decision needed and did not have.

    Products that were lacking before come whole, as do all where locations have changed in between.
    """
    coverage = state.coverage
    calls: list[Call] = []
    lines = coverage.lines_lacking
    whole = {each for each in lines if each in coverage.asked_again or state.locations.has_changed}
    if whole:
        calls.append(("levels", {"products": sorted(whole)}))
    asked: list[tuple[str, str | None, int | None, int]] = [
        (product_id, slug, None, 1) for product_id, slug in sorted(coverage.levels_lacking)
    ]
    asked += [(each, None, *lines[each]) for each in sorted(lines.keys() - whole)]
    if asked:
        calls.append(("levels_left", _columns(asked)))
    return calls


def _levels(state: State, asked: dict[str, Any], rows: Sequence[Row]) -> None:
    for product_id, location, available, allocated, hand_allocated, version, updated_at in rows:
        key = (product_id, location)
        state.levels.load(key, StockLevel(available, allocated, hand_allocated, version))
        state.level_times.load(key, updated_at)


def _whole(state: State, asked: dict[str, Any], rows: Sequence[Row]) -> None:
    _levels(state, asked, rows)
    for product_id in asked["products"]:
        state.coverage.known(product_id, 0, None)


def _level_sums(state: State, _asked: dict[str, Any], rows: Sequence[Row]) -> None:
    state.coverage.is_whole = False
    state.sums.update({row[0]: LevelSums(*row[1:]) for row in rows})


def _chosen_levels(state: State, asked: dict[str, Any], rows: Sequence[Row]) -> None:
    _known(state, asked, rows, state.location_by_rank(LOCATIONS_TRIED_MAX))


def _levels_left(state: State, asked: dict[str, Any], rows: Sequence[Row]) -> None:
    state.coverage.asked_again.update(asked["products"])
    _known(state, asked, rows, None)


def _known(state: State, asked: dict[str, Any], rows: Sequence[Row], horizon: str | None) -> None:
    """Load levels, and note what is known by them.

    Args:
        rows: levels, each with the quantity that it was found for (None = it was named, 0 = its product is
            whole), and whether more were not looked for.
        horizon: where the look for others ended; None = it went through all.
    """
    coverage = state.coverage
    coverage.is_whole = False
    for product_id, slug, quantity in zip(
        asked["products"], asked["locations"], asked["quantities"], strict=True
    ):
        if slug is not None:
            coverage.named(product_id, slug)
        else:
            coverage.known(product_id, quantity, horizon)
    # Those that an order, a cart or a reservation wants are known by what was found.
    found = {(row[0], row[7]): None if row[7] == 0 else horizon for row in rows if row[7] is not None}
    found.update({(row[0], row[7]): row[1] for row in rows if row[8]})
    for (product_id, quantity), last in found.items():
        coverage.known(product_id, quantity, last)
    _levels(state, asked, [row[:7] for row in rows])


FILLERS: dict[str, Callable[[State, dict[str, Any], Sequence[Row]], None]] = {
    "levels": _whole,
    "levels_touched": _levels,
    "levels_kept": _levels,
    "level_sums": _level_sums,
    "levels_chosen": _chosen_levels,
    "levels_left": _levels_left,
}
