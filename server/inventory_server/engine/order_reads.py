"""Carts and orders page by page. Their states are derived, so a filter looks at one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.commands import Wanted
from inventory_server.domain.order import (
    Cart,
    CartState,
    OrderPaymentState,
    OrderShippingState,
    OrderState,
    OrderView,
)
from inventory_server.domain.state import State
from inventory_server.engine import load

# How many carts and items, or orders and what they consist of, one call looks at: a page fits into a message.
LOOKED_AT_MAX = 10_000
CHUNK = 1_000

Key = tuple[datetime, str]

FIRST_KEY: Key = (datetime(1, 1, 1, tzinfo=UTC), "")
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)

T = TypeVar("T")


class CartFilters(NamedTuple):
    """None, and no states, = all. Both times are included."""

    states: frozenset[CartState] = frozenset()
    created_from: datetime | None = None
    created_until: datetime | None = None

    def lets_through(self, cart: Cart) -> bool:
        return not self.states or cart.state in self.states


class OrderFilters(NamedTuple):
    """None, and no states, = all. Both times are included."""

    product_id: str | None = None
    states: frozenset[OrderState] = frozenset()
    payment_states: frozenset[OrderPaymentState] = frozenset()
    shipping_states: frozenset[OrderShippingState] = frozenset()
    created_from: datetime | None = None
    created_until: datetime | None = None

    def lets_through(self, view: OrderView) -> bool:
        return (
            (not self.states or view.state in self.states)
            and (not self.payment_states or view.payment_state in self.payment_states)
            and (not self.shipping_states or view.shipping_state in self.shipping_states)
        )


class Page(NamedTuple, Generic[T]):
    """Rows by (created_at, id); `last` is the key to go on after, None = there are no more."""

    rows: list[T]
    last: Key | None


async def read_carts(
    transaction: ReadTransaction, filters: CartFilters, after: Key, limit: int
) -> Page[Cart]:
    """Return at most `limit` carts after a key; fewer, though there are more, past LOOKED_AT_MAX."""

    def seen(state: State) -> list[Cart]:
        return [cart for cart in state.carts.values() if filters.lets_through(cart)]

    page = ("cart_page", _asked(filters, after))
    return await _walk(transaction, page, lambda ids: Wanted(carts=ids), seen, _cart_key, limit)


async def read_orders(
    transaction: ReadTransaction, filters: OrderFilters, after: Key, limit: int
) -> Page[OrderView]:
    """Return at most `limit` orders after a key; fewer, though there are more, past LOOKED_AT_MAX."""

    def seen(state: State) -> list[OrderView]:
        return [view for view in state.order_views() if filters.lets_through(view)]

    asked = _asked(filters, after)
    page = ("order_page", asked)
    if filters.product_id is not None:
        page = ("orders_of_product_page", {**asked, "product_id": filters.product_id})
    return await _walk(transaction, page, lambda ids: Wanted(orders_seen=ids), seen, _order_key, limit)


async def _walk(
    transaction: ReadTransaction,
    page: tuple[str, dict[str, Any]],
    want: Callable[[set[str]], Wanted],
    seen: Callable[[State], list[T]],
    key: Callable[[T], Key],
    limit: int,
) -> Page[T]:
    """Look at chunk after chunk until a page is full, the rows end, or enough was looked at."""
    name, asked = page
    found: list[T] = []
    room, size = LOOKED_AT_MAX, limit
    while True:
        keys = (await transaction.fetch([(name, {**asked, "limit": size})]))[0]
        chunk, room = _within(keys, room)
        if chunk:
            calls = load.calls_for(want({row[0] for row in chunk}))
            state = load.state_from(calls, await transaction.fetch(calls))
            found += sorted(seen(state), key=key)
            if len(found) >= limit:
                found = found[:limit]
                return Page(found, key(found[-1]))
            asked = {**asked, "after_time": chunk[-1][1], "after_id": chunk[-1][0]}
        if len(chunk) == len(keys) < size:
            return Page(found, None)
        if len(chunk) < len(keys) or room <= 0:
            return Page(found, (asked["after_time"], asked["after_id"]))
        size = CHUNK  # a filter that lets few through must not cost a round trip each


def _within(keys: Sequence[tuple[Any, ...]], room: int) -> tuple[Sequence[tuple[Any, ...]], int]:
    """Return as many of the keys as there is room for, what they stand for counted, and the room left.

    The first of a page has room, whatever it stands for: one order fits into a message.
    """
    for index, (_, _, count) in enumerate(keys):
        if count > room and (index or room < LOOKED_AT_MAX):
            return keys[:index], 0
        room -= count
    return keys, room


def _asked(filters: CartFilters | OrderFilters, after: Key) -> dict[str, Any]:
    return {
        "after_time": max(after[0], filters.created_from or after[0]),
        # A key before the first time asked for is no key: the id counts only at its own moment.
        "after_id": after[1] if filters.created_from is None or after[0] >= filters.created_from else "",
        "until": filters.created_until or _END_OF_TIME,
    }


def _cart_key(cart: Cart) -> Key:
    return cart.created_at, cart.cart_id


def _order_key(view: OrderView) -> Key:
    return view.order.created_at, view.order.order_id
