"""ListStockTransactions: its filters, both orders, and pages of each."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from inventory_client import v1
from support.shop import Shop, word

Seen = tuple[str, str, int]


def page(shop: Shop, page_size: int = 0, token: str = "", **asked: Any) -> tuple[list[Seen], str]:
    found = shop.inventory.ListStockTransactions(
        v1.ListStockTransactionsRequest(page_size=page_size, page_token=token, **asked)
    )
    return [
        (e.product_id, word(e, "action"), e.quantity) for e in found.stock_transactions
    ], found.next_page_token


def whole(shop: Shop, page_size: int = 0, **asked: Any) -> list[Seen]:
    """Return the list page by page."""
    seen, token = page(shop, page_size, **asked)
    while token:
        more, token = page(shop, page_size, token, **asked)
        seen += more
    return seen


def history(shop: Shop) -> list[Seen]:
    """Two products, an order, a reservation and an actor, one change after the other; return them."""
    shop.stocks(a=9, b=9)
    shop.inventory.CreateStockTransaction(
        shop.change_request("a", "DECREMENT", 1), metadata=(("x-inventory-actor", "ann"),)
    )
    shop.reserve("r", ("b", 2), order_id="o")
    shop.reserve("r-2", ("a", 3), order_id="o")
    shop.release("r")
    shop.inventory.CreateStockTransaction(
        shop.change_request("b", "SET", 5), metadata=(("x-inventory-actor", "ann"),)
    )
    return [
        ("a", "CREATE", 9),
        ("b", "CREATE", 9),
        ("a", "DECREMENT", 1),
        ("b", "RESERVE", 2),
        ("a", "RESERVE", 3),
        ("b", "RELEASE", 2),
        ("b", "SET", 5),
    ]


FILTERS: dict[str, tuple[dict[str, Any], list[int]]] = {
    "all": ({}, [0, 1, 2, 3, 4, 5, 6]),
    "product": ({"product_id": "b"}, [1, 3, 5, 6]),
    "order": ({"order_id": "o"}, [3, 4, 5]),
    "order of a product": ({"order_id": "o", "product_id": "b"}, [3, 5]),
    "actor": ({"actor": "ann"}, [2, 6]),
    "actor and product": ({"actor": "ann", "product_id": "b"}, [6]),
    "actions": (
        {"actions": [v1.StockAction.STOCK_ACTION_SET, v1.StockAction.STOCK_ACTION_CREATE]},
        [0, 1, 6],
    ),
    "action of a product": ({"actions": [v1.StockAction.STOCK_ACTION_CREATE], "product_id": "a"}, [0]),
    "location": ({"location": "default"}, [0, 1, 2, 3, 4, 5, 6]),
    "elsewhere": ({"location": "elsewhere"}, []),
    "nobody": ({"actor": "bob"}, []),
    "no order": ({"order_id": "o-2"}, []),
}


def test_each_filter_in_both_orders(shop: Shop) -> None:
    """What all set filters let through, from either end, on pages of every size, each entry once."""
    entries = history(shop)
    for asked, expected in FILTERS.values():
        told = [entries[number] for number in expected]
        for size in (0, 1, 2, 3):
            assert whole(shop, size, **asked) == told
            assert whole(shop, size, newest_first=True, **asked) == told[::-1]


def test_a_time_range(shop: Shop) -> None:
    """From a moment to a moment, both included, alone and beside another filter."""
    entries = history(shop)
    times = [
        entry.create_time
        for entry in sorted([*shop.log("a"), *shop.log("b")], key=lambda e: e.create_time.ToNanoseconds())
    ]
    between = {"created_from": times[2], "created_until": times[4]}
    assert whole(shop, **between) == entries[2:5]
    assert whole(shop, newest_first=True, **between) == entries[4:1:-1]
    assert whole(shop, product_id="b", **between) == entries[3:4]
    assert whole(shop, order_id="o", **between) == entries[3:5]
    assert whole(shop, actor="ann", created_from=times[3]) == entries[6:]
    late = Timestamp(seconds=times[6].seconds + 1)
    assert whole(shop, created_from=late) == []


def test_the_log_of_a_location_that_is_gone(shop: Shop) -> None:
    """A location that was deleted keeps its entries; one that never was has none."""
    shop.stock("a", 0)
    shop.location("north")
    for units in (1, 0):
        shop.change("a", "SET", units, location="north")
    shop.delete_location("north")
    assert whole(shop, location="north") == [("a", "SET", 1), ("a", "SET", 0)]
    assert whole(shop, location="elsewhere") == []


@pytest.mark.parametrize("newest_first", [False, True])
def test_what_was_written_at_one_moment_is_split_by_pages(shop: Shop, newest_first: bool) -> None:
    """A batch's entries have one time: they come by product and location, each on one page."""
    names = [f"p-{number}" for number in range(7)]
    shop.stocks(**dict.fromkeys(names, 5))
    shop.reserve("r", *[(name, 1) for name in names], order_id="o")
    told = [(name, "RESERVE", 1) for name in names][:: -1 if newest_first else 1]
    for size in (1, 2, 3, 6, 7, 8):
        assert whole(shop, size, order_id="o", newest_first=newest_first) == told
        listed = whole(shop, size, newest_first=newest_first)
        assert sorted(listed) == sorted([*told, *((name, "CREATE", 5) for name in names)])


@pytest.mark.parametrize("newest_first", [False, True])
def test_levels_of_one_product(shop: Shop, newest_first: bool) -> None:
    """By location, then version; a location alone of them where it is named."""
    shop.location("far")
    shop.stock("a", 5)
    shop.change("a", "INCREMENT", 1, location="far")
    shop.change("a", "INCREMENT", 2)
    shop.change("a", "INCREMENT", 3, location="far")
    step = -1 if newest_first else 1
    told = [("a", "CREATE", 5), *[("a", "INCREMENT", n) for n in (2, 1, 3)]]
    for size in (1, 2, 3, 4):
        assert whole(shop, size, product_id="a", newest_first=newest_first) == told[::step]
        for location, part in (("default", told[:2]), ("far", told[2:])):
            asked = {"product_id": "a", "location": location, "newest_first": newest_first}
            assert whole(shop, size, **asked) == part[::step]


def test_a_change_between_two_pages(shop: Shop) -> None:
    """Oldest first, what is written meanwhile comes at the end; newest first, it is not shown."""
    entries = history(shop)
    oldest, on = page(shop, 2)
    newest, back = page(shop, 2, newest_first=True)
    shop.change("a", "INCREMENT", 4)
    added = ("a", "INCREMENT", 4)
    assert (oldest, page(shop, 100, on)) == (entries[:2], ([*entries[2:], added], ""))
    assert (newest, page(shop, 100, back, newest_first=True)) == (entries[:4:-1], (entries[4::-1], ""))


def test_a_token_is_good_for_its_filters(shop: Shop) -> None:
    """A page_token under other filters, or in the other order, is refused."""
    history(shop)
    _, token = page(shop, 1)
    for asked in (*(asked for asked, _ in FILTERS.values() if asked), {"newest_first": True}):
        with shop.refused("INVALID_FIELD") as refusal:
            page(shop, 1, token, **asked)
        assert refusal.fields == ["page_token"]
    _, token = page(shop, 1, product_id="b")
    with shop.refused("INVALID_FIELD"):
        page(shop, 1, token, product_id="a")
