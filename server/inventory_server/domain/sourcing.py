"""Where lines are served from: one rule for cart, checkout, CheckAvailability, ReserveStock and payment.

A line that names a location is served there; one that doesn't, by the first enabled location (by priority,
then slug) that has the whole quantity. A line is never split. Lines that name a location are decided first.
"""

from __future__ import annotations

from collections.abc import Sequence

from inventory_server.domain.errors import Shortage
from inventory_server.domain.reservation import Line
from inventory_server.domain.state import State


def source(
    state: State, lines: Sequence[Line], also_free: dict[str, dict[str, int]] | None = None
) -> tuple[list[str], tuple[Shortage, ...]]:
    """Find a location for every line, counting the lines together.

    Args:
        state: with the stocks and levels of every product named.
        lines: merged by (product, named location); a location that does not exist counts as a shortage.
        also_free: units by product and location that are free although the levels do not show it yet.
    Returns: a slug per line (in the order given) and no shortage; or the shortages, in the order given.
    """
    taken: dict[tuple[str, str], int] = {}
    found: list[str] = [""] * len(lines)
    shortages: dict[int, Shortage] = {}
    order: Sequence[int] = range(len(lines))
    if len(lines) > 1:  # most have one
        # sorted() is stable: named locations first, otherwise the order given
        order = sorted(order, key=lambda i: lines[i].location is None)
    for index in order:
        product_id, quantity, named = lines[index]
        managed = state.managed(product_id) is not None
        most = 0
        if managed:
            for slug in state.serving(product_id) if named is None else _named(state, named):
                key = (product_id, slug)
                free = state.level(product_id, slug).available - taken.get(key, 0)
                if also_free:
                    free += also_free.get(product_id, {}).get(slug, 0)
                if free >= quantity:
                    taken[key] = taken.get(key, 0) + quantity
                    found[index] = slug
                    break
                most = max(most, free)
            if named is None:
                state.need_first(product_id, quantity, found[index] or None)
        if not found[index]:
            shortages[index] = Shortage(product_id, named, quantity, most, managed)
    return found, tuple(shortages[index] for index in sorted(shortages)) if shortages else ()


def _named(state: State, slug: str) -> Sequence[str]:
    return (slug,) if state.is_serving(slug) else ()
