"""BatchCreateStockTransactions: many changes in one call, each by itself."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

import inventory_client
from inventory_client import v1
from support.shop import Shop, StagedShop

Together = Callable[[], AbstractContextManager[None]]


def item(item_id: str, product_id: str, action: str, quantity: int, **more: Any) -> v1.StockTransactionItem:
    return v1.StockTransactionItem(
        item_id=item_id,
        product_id=product_id,
        action=v1.StockAction.Value(f"STOCK_ACTION_{action}"),
        quantity=quantity,
        **more,
    )


def batch(*items: v1.StockTransactionItem, request_id: str = "") -> v1.BatchCreateStockTransactionsRequest:
    return v1.BatchCreateStockTransactionsRequest(items=items, request_id=request_id)


def told(verdicts: Any) -> list[tuple[str, object, bool]]:
    """Return (item, units available after it or the reason of its refusal, replayed)."""
    return [
        (
            verdict.item_id,
            verdict.result.available_after
            if verdict.HasField("result")
            else inventory_client.error_of(verdict.error).reason_name,
            verdict.replayed,
        )
        for verdict in verdicts
    ]


def test_each_item_has_its_own_verdict(shop: Shop) -> None:
    """In order, each on what those before it left; one that is refused changes nothing and stops nobody."""
    shop.stock("a", 5)
    answer = shop.inventory.BatchCreateStockTransactions(
        batch(
            item("1", "a", "DECREMENT", 4, reason="sold", reference="#1"),
            item("2", "a", "DECREMENT", 4),
            item("3", "ghost", "INCREMENT", 1),
            item("4", "a", "SET", 9, expected_version=1),
            item("5", "a", "SET", 9, expected_version=2),
            item("6", "a", "INCREMENT", 1, location="elsewhere"),
        )
    )
    assert told(answer.verdicts) == [
        ("1", 1, False),
        ("2", "INSUFFICIENT_STOCK", False),
        ("3", "STOCK_NOT_FOUND", False),
        ("4", "ETAG_MISMATCH", False),
        ("5", 9, False),
        ("6", "LOCATION_NOT_FOUND", False),
    ]
    first = answer.verdicts[0].result
    assert (first.version, first.reason, first.reference) == (2, "sold", "#1")
    assert first == shop.log("a")[1]
    assert shop.actions("a") == [("DECREMENT", 4), ("SET", 9)]


def test_an_items_error_is_that_of_a_call(shop: Shop) -> None:
    """Code, message and details are those that a call of its own would have been refused with."""
    shop.stock("a", 5)
    verdict = shop.inventory.BatchCreateStockTransactions(batch(item("1", "a", "DECREMENT", 6))).verdicts[0]
    of_item = inventory_client.error_of(verdict.error)
    with pytest.raises(inventory_client.InsufficientStock) as refused:
        shop.change("a", "DECREMENT", 6)
    assert type(of_item) is inventory_client.InsufficientStock
    for name in ("code", "message", "metadata", "shortages", "shortage_count", "retry_after_s"):
        assert getattr(of_item, name) == getattr(refused.value, name)


def test_a_repeat_answers_item_by_item(shop: Shop) -> None:
    """What was made is answered as before, what was refused is decided afresh, other content is ID_REUSED."""
    shop.stock("a", 1)
    asked = (item("1", "a", "DECREMENT", 1), item("2", "a", "DECREMENT", 1))
    made = shop.inventory.BatchCreateStockTransactions(batch(*asked, request_id="mine"))
    assert told(made.verdicts) == [("1", 0, False), ("2", "INSUFFICIENT_STOCK", False)]
    shop.change("a", "INCREMENT", 5)
    again = shop.inventory.BatchCreateStockTransactions(batch(*asked, request_id="mine"))
    assert told(again.verdicts) == [("1", 0, True), ("2", 4, False)]
    assert again.verdicts[0].result == made.verdicts[0].result
    other = batch(item("1", "a", "DECREMENT", 2), item("2", "a", "DECREMENT", 1), request_id="mine")
    verdicts = shop.inventory.BatchCreateStockTransactions(other).verdicts
    assert told(verdicts) == [("1", "ID_REUSED", False), ("2", 4, True)]
    reused = inventory_client.error_of(verdicts[0].error)
    assert reused.message == "item '1' of request_id 'mine' was used before with other content"
    assert reused.metadata == {"field": "request_id", "id": "mine", "item_id": "1"}
    assert shop.numbers("a") == (4, 4, 0)
    # Neither another call's items nor a call of one change are meant by it.
    afresh = shop.inventory.BatchCreateStockTransactions(batch(*asked, request_id="mine-2"))
    assert told(afresh.verdicts) == [("1", 3, False), ("2", 2, False)]
    assert not shop.inventory.CreateStockTransaction(
        shop.change_request("a", "DECREMENT", 1, request_id="mine")
    ).replayed


@pytest.mark.parametrize("count", [1000, 1001])
def test_how_many_items(shop: Shop, count: int) -> None:
    """1 to 1,000 items: all in one call; one more, or none, refuses the call."""
    shop.stock("a", 0)
    request = batch(*(item(str(number), "a", "INCREMENT", 1) for number in range(count)))
    if count > 1000:
        for wrong in (request, batch()):
            with shop.refused("INVALID_FIELD") as refusal:
                shop.inventory.BatchCreateStockTransactions(wrong)
            assert refusal.fields == ["items"]
        return
    answer = shop.inventory.BatchCreateStockTransactions(request)
    assert told(answer.verdicts) == [(str(number), number + 1, False) for number in range(count)]
    assert len(shop.log("a")) == 1 + count


def test_a_broken_item_refuses_the_call(shop: Shop) -> None:
    """What is wrong with the request itself is said by its path, and no item of it is decided."""
    shop.stock("a", 5)
    fine = item("1", "a", "INCREMENT", 1)
    for wrong, path in (
        (item("1", "a", "SET", 5), "items[1].item_id"),
        (item("2", "a", "INCREMENT", 0), "items[1].quantity"),
        (item("2", "a", "RESERVE", 1), "items[1].action"),
        (item("2", "a", "SET", 5, expected_version=-1), "items[1].expected_version"),
    ):
        with shop.refused("INVALID_FIELD") as refusal:
            shop.inventory.BatchCreateStockTransactions(batch(fine, wrong))
        assert refusal.fields == [path]


def test_items_after_a_conflict(staged: StagedShop, together: Together) -> None:
    """The verdicts are the same where another writer undid the first run; nothing is done twice."""
    staged.stock("a", 5)
    with together():
        call = staged.inventory.BatchCreateStockTransactions.future(
            batch(*(item(str(number), "a", "DECREMENT", 2) for number in range(4)))
        )
    assert told(call.result().verdicts) == [
        ("0", 3, False),
        ("1", 1, False),
        ("2", "INSUFFICIENT_STOCK", False),
        ("3", "INSUFFICIENT_STOCK", False),
    ]
    assert staged.actions("a") == [("DECREMENT", 2)] * 2


def test_expected_version_opens_a_level_once(shop: Shop) -> None:
    """0 means a level that was never opened; a record's own first level is at 1 after CREATE."""
    shop.stock("a", 5)
    assert shop.change("a", "SET", 7, expected_version=1).version == 2
    with shop.refused("ETAG_MISMATCH"):
        shop.change("a", "SET", 7, expected_version=0)


def test_expected_version_lets_one_of_many_through(staged: StagedShop, together: Together) -> None:
    """Of two who read the same version the first changes it, and the second is told to read again."""
    staged.stock("a", 5)
    with together():
        calls = []
        for total in (7, 8):
            request = staged.change_request("a", "SET", total, expected_version=1)
            calls.append(staged.inventory.CreateStockTransaction.future(request))
            staged.settle_in()
    assert [staged.reason_of(call) for call in calls] == ["OK", "ETAG_MISMATCH"]
    assert staged.numbers("a") == (7, 7, 0)
