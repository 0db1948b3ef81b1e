"""Lists in pages: ListStock and ListStockTransactions."""

from __future__ import annotations

import pytest

from inventory_client import v1
from support.shop import Shop


def stock_page(shop: Shop, page_size: int = 0, token: str = "") -> tuple[list[str], str]:
    page = shop.inventory.ListStock(v1.ListStockRequest(page_size=page_size, page_token=token))
    return [stock.product_id for stock in page.stocks], page.next_page_token


def log_page(shop: Shop, page_size: int = 0, token: str = "", product_id: str = "p") -> tuple[list[int], str]:
    page = shop.inventory.ListStockTransactions(
        v1.ListStockTransactionsRequest(product_id=product_id, page_size=page_size, page_token=token)
    )
    return [entry.version for entry in page.stock_transactions], page.next_page_token


def fill(shop: Shop, count: int) -> list[str]:
    """Make so many products at once; return them in byte order."""
    names = [f"p-{number:04}" for number in range(count)]
    calls = [
        shop.inventory.CreateStock.future(v1.CreateStockRequest(product_id=name, quantity=1))
        for name in names
    ]
    assert [shop.reason_of(call) for call in calls] == ["OK"] * count
    return names


def test_stock_is_listed_by_product_in_byte_order(shop: Shop) -> None:
    """Capitals before small letters, whatever the database's locale; sums with each."""
    for product_id in ("b", "A", "a", "~", "!", "B"):
        shop.stock(product_id, 1)
    assert stock_page(shop)[0] == ["!", "A", "B", "a", "b", "~"]


@pytest.mark.parametrize(
    ("page_size", "pages"), [(1, [1, 1, 1, 1]), (2, [2, 2]), (3, [3, 1]), (4, [4]), (5, [4])]
)
def test_pages_have_everything_once(shop: Shop, page_size: int, pages: list[int]) -> None:
    """Every record is on exactly one page; only the last page has no token, full or not."""
    names = fill(shop, 4)
    seen, counts, token = [], [], ""
    while True:
        page, token = stock_page(shop, page_size, token)
        seen += page
        counts.append(len(page))
        if not token:
            break
    assert (seen, counts) == (names, pages)


def test_a_change_between_two_pages(shop: Shop) -> None:
    """Pages go on after the last key seen: what came before it is not shown again, what comes after is."""
    for product_id in ("b", "d", "f", "h"):
        shop.stock(product_id, 1)
    first, token = stock_page(shop, 2)
    for product_id in ("a", "c", "e", "z"):
        shop.stock(product_id, 1)
    shop.change("b", "INCREMENT", 1)
    assert first == ["b", "d"]
    assert stock_page(shop, 100, token) == (["e", "f", "h", "z"], "")


def test_an_empty_log(shop: Shop) -> None:
    """A product without entries has an empty log, and is no error."""
    assert log_page(shop, product_id="ghost") == ([], "")


def test_the_log_is_paged_oldest_first(shop: Shop) -> None:
    """Entries come by version, each once; what is written meanwhile comes at the end."""
    shop.stock("p", 5)
    for _ in range(3):
        shop.change("p", "INCREMENT", 1)
    first, token = log_page(shop, 2)
    shop.change("p", "INCREMENT", 1)
    second, token = log_page(shop, 2, token)
    assert (first, second) == ([1, 2], [3, 4])
    assert log_page(shop, 2, token) == ([5], "")


def test_a_token_belongs_to_its_list(shop: Shop, hasty: Shop) -> None:
    """A token of another method, product or store, a damaged and an overlong one are refused."""
    fill(shop, 2)
    shop.stock("p", 0)
    shop.change("p", "INCREMENT", 1)
    of_stock, of_log = stock_page(shop, 1)[1], log_page(shop, 1)[1]
    assert stock_page(shop, 1, of_stock)[0]
    assert log_page(shop, 1, of_log)[0]
    for wrong in (of_log, of_stock[:-1], of_stock + "A", "x", "=", "%", "A" * 1024, "A" * 1025, "\u00e9"):
        with shop.refused("INVALID_FIELD") as refusal:
            stock_page(shop, 1, wrong)
        assert refusal.fields == ["page_token"]
    with shop.refused("INVALID_FIELD"):
        log_page(shop, 1, of_stock)
    with shop.refused("INVALID_FIELD"):
        log_page(shop, 1, of_log, product_id="p-0000")
    with hasty.refused("INVALID_FIELD"):
        stock_page(hasty, 1, of_stock)
