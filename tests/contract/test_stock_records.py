"""UpdateStock, DeleteStock, CreateStock over a tombstone, and the filters of ListStock."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from support.shop import Shop, StagedShop, word

QUANTITY_MAX = 2**43 - 1


def listed(shop: Shop, page_size: int = 0, token: str = "", **filters: Any) -> tuple[list[str], str]:
    request = v1.ListStockRequest(filter=v1.StockFilter(**filters), page_size=page_size, page_token=token)
    page = shop.inventory.ListStock(request)
    return [stock.product_id for stock in page.stocks], page.next_page_token


# --- the threshold -------------------------------------------------------------------------------


@pytest.mark.parametrize("threshold", [0, QUANTITY_MAX])
def test_a_threshold_is_made_and_shown(shop: Shop, threshold: int) -> None:
    """0 to 2^43-1, when the record is made or later; absent means that there is none."""
    made = shop.stock("a", 5, low_stock_threshold=threshold)
    assert made == shop.get("a")
    assert made.low_stock_threshold == threshold and made.HasField("low_stock_threshold")
    assert not shop.stock("b", 5).HasField("low_stock_threshold")
    assert shop.update("b", low_stock_threshold=threshold) == shop.get("b")
    assert shop.get("b").low_stock_threshold == threshold


def test_what_an_update_changes(shop: Shop) -> None:
    """What the mask names, else what is set; named and not set takes it away; other paths are refused."""
    made = shop.stock("a", 5, low_stock_threshold=3)
    assert shop.update("a") == made
    changed = shop.update("a", "low_stock_threshold", low_stock_threshold=4)
    assert (changed.low_stock_threshold, changed.create_time) == (4, made.create_time)
    assert changed.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()
    assert not shop.update("a", "low_stock_threshold").HasField("low_stock_threshold")
    with shop.refused("INVALID_FIELD") as refusal:
        shop.update("a", "low_stock_threshold", "available")
    assert refusal.fields == ["update_mask.paths[1]"]


def test_an_update_to_what_there_is(shop: Shop) -> None:
    """It is no change: the time and the etag stay, and the request_id is free for a call that is one."""
    made = shop.stock("a", 5, low_stock_threshold=3)
    assert shop.update("a", low_stock_threshold=3, request_id="mine") == made
    assert shop.update("a", low_stock_threshold=4, request_id="mine").low_stock_threshold == 4
    bare = shop.stock("b", 5)
    assert shop.update("b", "low_stock_threshold") == bare


def test_an_etag_lets_nobody_overwrite(shop: Shop) -> None:
    """An update or deletion with the etag of what was read goes through once; the quantities belong to it."""
    read = shop.stock("a", 5)
    assert shop.update("a", low_stock_threshold=3, etag=read.etag).etag != read.etag
    with shop.refused("ETAG_MISMATCH"):
        shop.update("a", low_stock_threshold=4, etag=read.etag)
    read = shop.get("a")
    shop.change("a", "INCREMENT", 1)
    with shop.refused("ETAG_MISMATCH"):
        shop.delete("a", etag=read.etag)
    assert not shop.delete("a", etag=shop.get("a").etag).replayed


# --- deletion ------------------------------------------------------------------------------------


def test_a_deleted_product_is_not_there(shop: Shop) -> None:
    """Unmanaged is not 0: no read shows it, and what needs it is STOCK_NOT_FOUND; its log stays."""
    shop.stocks(a=5, b=1)
    shop.delete("a")
    for call in (
        lambda: shop.get("a"),
        lambda: shop.change("a", "INCREMENT", 1),
        lambda: shop.delete("a"),
        lambda: shop.update("a", low_stock_threshold=1),
    ):
        with shop.refused("STOCK_NOT_FOUND"):
            call()
    many = shop.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=["a", "b"]))
    assert ([stock.product_id for stock in many.stocks], list(many.missing_product_ids)) == (["b"], ["a"])
    assert listed(shop) == (["b"], "")
    (entry,) = shop.log("a")[1:]
    assert (word(entry, "action"), entry.quantity, entry.version) == ("DELETE", 5, 2)
    assert (entry.available_after, entry.allocated_after) == (0, 0)


def test_a_product_is_made_again(shop: Shop) -> None:
    """A new record, whose log goes on where the old one's ended."""
    old = shop.stock("a", 5, low_stock_threshold=2)
    shop.delete("a")
    new = shop.stock("a", 3)
    assert new.create_time.ToNanoseconds() > old.create_time.ToNanoseconds()
    assert (new.total, new.HasField("low_stock_threshold")) == (3, False)
    assert [(word(e, "action"), e.version) for e in shop.log("a")] == [
        ("CREATE", 1),
        ("DELETE", 2),
        ("CREATE", 3),
    ]
    assert shop.change("a", "INCREMENT", 1, expected_version=3).version == 4


def test_what_is_due_expires_first(staged: StagedShop) -> None:
    """A hold that ran out is no use: it expires in the same transaction, also where that is refused."""
    staged.stocks(a=5, b=5)
    staged.reserve_until_soon("late", ("a", 2), ("b", 1))
    staged.wait_until_due(("a", 5))
    staged.delete("a")
    assert staged.actions("a") == [("RESERVE", 2), ("EXPIRE", 2), ("DELETE", 5)]
    assert (word(staged.reservation("late")), staged.numbers("b")) == ("EXPIRED", (5, 5, 0))
    staged.reserve_until_soon("later", ("b", 1))
    staged.change("b", "ALLOCATE", 1)
    staged.wait_until_due(("b", 4))
    request = v1.DeleteStockRequest(product_id="b")
    assert staged.reason_of(staged.inventory.DeleteStock.future(request)) == "STOCK_IN_USE"
    assert word(staged.reservation("later")) == "EXPIRED"
    assert staged.numbers("b") == (5, 4, 1)


def test_more_due_holds_than_a_batch_ends(staged: StagedShop) -> None:
    """However many holds have run out, the deletion waits for them and is not refused."""
    staged.stock("a", 80)
    soon = [staged.reserve_request(f"r-{number}", ("a", 1)) for number in range(80)]
    for request in soon:
        request.ttl.FromSeconds(1)
    calls = [staged.inventory.ReserveStock.future(request) for request in soon]
    assert {staged.reason_of(call) for call in calls} == {"OK"}
    staged.wait_until_due(("a", 80))
    staged.delete("a")
    assert staged.actions("a")[-1] == ("DELETE", 80)
    assert staged.actions("a").count(("EXPIRE", 1)) == 80


# --- filters -------------------------------------------------------------------------------------


def test_a_prefix(shop: Shop) -> None:
    """Only products whose id begins so, in byte order, whatever stands around them."""
    shop.stocks(**dict.fromkeys(("te", "tea", "tea-1", "tea~", "teb", "TEA"), 1))
    assert listed(shop, product_id_prefix="tea") == (["tea", "tea-1", "tea~"], "")
    assert listed(shop, product_id_prefix="x") == ([], "")
    page, token = listed(shop, 2, product_id_prefix="tea")
    shop.stocks(**{"tea-0": 1, "tea-2": 1})
    assert (page, listed(shop, 2, token, product_id_prefix="tea")) == (
        ["tea", "tea-1"],
        (["tea-2", "tea~"], ""),
    )


def test_below_the_threshold(shop: Shop) -> None:
    """Fewer available than the threshold says; allocated units are not available; no threshold, never low."""
    for product_id, quantity, threshold in (("a", 3, 3), ("b", 2, 3), ("c", 0, 1), ("d", 9, 3)):
        shop.stock(product_id, quantity, low_stock_threshold=threshold)
    shop.stock("none", 0)
    assert listed(shop, below_threshold=True) == (["b", "c"], "")
    shop.reserve("r", ("d", 7))
    assert listed(shop, below_threshold=True) == (["b", "c", "d"], "")
    assert listed(shop, below_threshold=True, product_id_prefix="c") == (["c"], "")
    shop.delete("c")
    page, token = listed(shop, 1, below_threshold=True)
    assert (page, listed(shop, 1, token, below_threshold=True)) == (["b"], (["d"], ""))


def test_a_token_is_good_for_its_filter(shop: Shop) -> None:
    """A page_token under another filter is refused."""
    shop.stocks(a=1, b=1)
    _, token = listed(shop, 1)
    for filters in ({"product_id_prefix": "a"}, {"below_threshold": True}):
        with shop.refused("INVALID_FIELD") as refusal:
            listed(shop, 1, token, **filters)
        assert refusal.fields == ["page_token"]


def test_tombstones_fill_no_page(shop: Shop) -> None:
    """A page is as long as it may be, however many deleted records lie between."""
    names = [f"p-{number:02}" for number in range(12)]
    shop.stocks(**dict.fromkeys(names, 1))
    for name in names[1:11]:
        shop.delete(name)
    page, token = listed(shop, 1)
    assert (page, listed(shop, 1, token)) == ([names[0]], ([names[11]], ""))
