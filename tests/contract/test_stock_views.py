"""InventoryService: stock by location, and the filters of ListStock by location and by what is left."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from support.shop import Shop, StagedShop

LEVELS = v1.StockView.STOCK_VIEW_LEVELS
LEVELS_SHOWN_MAX = 16_384


def seen(shop: Shop, product_id: str, view: v1.StockView.ValueType = LEVELS) -> v1.Stock:
    return shop.inventory.GetStock(v1.GetStockRequest(product_id=product_id, view=view)).stock


def listed(shop: Shop, page_size: int = 0, **asked: Any) -> list[str]:
    """Return the products that a filter lets through, page by page."""
    found: list[str] = []
    token = ""
    while True:
        page = shop.inventory.ListStock(
            v1.ListStockRequest(page_size=page_size, page_token=token, filter=v1.StockFilter(**asked))
        )
        found += [stock.product_id for stock in page.stocks]
        token = page.next_page_token
        if not token:
            return found


@pytest.fixture
def at_two(shop: Shop) -> Shop:
    """`a` at `default` and `north`, `b` at `north` alone, `c` at `default` alone and sold out there."""
    shop.location("north")
    shop.stocks(a=5, c=2)
    shop.change("a", "INCREMENT", 4, location="north")
    shop.change("a", "ALLOCATE", 1, location="north")
    shop.inventory.CreateStock(v1.CreateStockRequest(product_id="b", quantity=3, location="north"))
    shop.reserve("r", ("c", 2))
    return shop


@pytest.mark.parametrize("view", [v1.StockView.STOCK_VIEW_UNSPECIFIED, v1.StockView.STOCK_VIEW_SUMS])
def test_sums_show_no_levels(at_two: Shop, view: v1.StockView.ValueType) -> None:
    """Not asked for, levels are not shown; the sums are the same in every view."""
    stock = seen(at_two, "a", view)
    assert not stock.levels
    assert (stock.total, stock.available, stock.allocated) == (9, 8, 1)
    with_levels = seen(at_two, "a")
    del with_levels.levels[:]
    assert with_levels == stock


def test_levels_by_slug(at_two: Shop) -> None:
    """One for each location where there is a level, with its version and time; they add up to the sums."""
    north, default = seen(at_two, "a").levels[1], seen(at_two, "a").levels[0]
    assert (default.location, default.total, default.available, default.version) == ("default", 5, 5, 1)
    assert (north.location, north.total, north.available, north.allocated) == ("north", 4, 3, 1)
    assert (north.hand_allocated, north.version) == (1, 2)
    last = at_two.log("a")[-1]
    assert north.update_time == last.create_time
    at_two.change("a", "INCREMENT", 1, location="north", expected_version=north.version)


def test_every_read_shows_levels(at_two: Shop) -> None:
    """GetStock, BatchGetStock and ListStock tell the same."""
    one = seen(at_two, "a")
    batch = at_two.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=["a"], view=LEVELS))
    page = at_two.inventory.ListStock(v1.ListStockRequest(view=LEVELS, page_size=1))
    assert list(batch.stocks) == list(page.stocks) == [one]


def test_a_deleted_locations_level_is_not_shown(at_two: Shop) -> None:
    """It keeps nothing; where the location is made again it is there again, with its version."""
    at_two.change("b", "SET", 0, location="north")
    at_two.change("a", "DEALLOCATE", 1, location="north")
    at_two.change("a", "SET", 0, location="north")
    at_two.delete_location("north")
    assert [level.location for level in seen(at_two, "a").levels] == ["default"]
    at_two.location("north")
    assert [(level.location, level.version) for level in seen(at_two, "a").levels] == [
        ("default", 1),
        ("north", 4),
    ]


def test_expired_holds_by_level(staged: StagedShop) -> None:
    """Units held past their time stand in the numbers as stored, and are told at their level and in sum."""
    staged.location("north", priority=1)
    staged.stock("a", 2)
    staged.change("a", "INCREMENT", 5, location="north")
    staged.reserve_until_soon("late", ("a", 5))
    staged.wait_until_due(("a", 5))
    stock = seen(staged, "a")
    assert (stock.available, stock.allocated, stock.expired_held) == (2, 5, 5)
    assert [(level.allocated, level.expired_held) for level in stock.levels] == [(0, 0), (5, 5)]


def test_by_location(at_two: Shop) -> None:
    """Products that have a level there, be it empty; also by prefix; page by page."""
    at_two.change("b", "SET", 0, location="north")
    for size in (1, 2, 3):
        assert listed(at_two, size, location="north") == ["a", "b"]
        assert listed(at_two, size, location="default") == ["a", "c"]
    assert listed(at_two, location="north", product_id_prefix="b") == ["b"]
    with at_two.refused("LOCATION_NOT_FOUND") as refusal:
        listed(at_two, location="elsewhere")
    assert refusal.metadata == {"location": "elsewhere"}


def test_out_of_stock(at_two: Shop) -> None:
    """Nothing available, though units are held; at the location named, or anywhere."""
    assert listed(at_two, out_of_stock=True) == ["c"]
    at_two.change("a", "SET", 1, location="north")
    assert listed(at_two, out_of_stock=True, location="north") == ["a"]
    at_two.transfer("a", 5, "default", "north")
    assert listed(at_two, 1, out_of_stock=True, location="default") == ["a", "c"]
    assert listed(at_two, out_of_stock=True, location="north") == []


def test_a_page_token_belongs_to_its_filter(at_two: Shop) -> None:
    """A token of another location's list is refused."""
    first = at_two.inventory.ListStock(
        v1.ListStockRequest(page_size=1, filter=v1.StockFilter(location="north"))
    )
    for other in ({"location": "default"}, {"location": "north", "out_of_stock": True}, {}):
        with at_two.refused("INVALID_FIELD") as refusal:
            at_two.inventory.ListStock(
                v1.ListStockRequest(page_token=first.next_page_token, filter=v1.StockFilter(**other))  # type: ignore[arg-type]
            )
        assert refusal.fields == ["page_token"]


def test_an_answer_holds_so_many_levels(shop: Shop) -> None:
    """16,384 levels are shown at once; past it a batch is refused and a page is short, with a token."""
    slugs = [f"l-{number:04}" for number in range(1_023)]
    shop.observer.add_locations(shop.store, slugs)
    products = [f"p-{number:02}" for number in range(17)]
    for product_id in products:
        shop.stock(product_id, 1)
    shop.observer.add_levels(shop.store, products, slugs)
    batch = shop.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=products[:16], view=LEVELS))
    assert sum(len(stock.levels) for stock in batch.stocks) == LEVELS_SHOWN_MAX
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=products, view=LEVELS))
    assert refusal.fields == ["product_ids"]
    page = shop.inventory.ListStock(v1.ListStockRequest(view=LEVELS))
    assert [stock.product_id for stock in page.stocks] == products[:16]
    rest = shop.inventory.ListStock(v1.ListStockRequest(view=LEVELS, page_token=page.next_page_token))
    assert [stock.product_id for stock in rest.stocks] == products[16:]
    assert not rest.next_page_token
