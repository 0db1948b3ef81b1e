"""InventoryService.BatchReserveStock: many reservations in one call, each with a verdict of its own."""

from __future__ import annotations

from typing import Any

import pytest
from google.rpc import code_pb2, error_details_pb2

from inventory_client import v1
from support.shop import Shop, StagedShop, word


def item(shop: Shop, item_id: str, *lines: Any, **more: Any) -> v1.ReserveStockItem:
    """Return an item whose reservation is called as the item is."""
    asked = {"reservation_id": f"r-{item_id}", **more}
    return v1.ReserveStockItem(item_id=item_id, lines=shop.lines(*lines), **asked)


def batch(shop: Shop, *items: v1.ReserveStockItem) -> list[v1.ReserveStockVerdict]:
    request = v1.BatchReserveStockRequest(items=items)
    return list(shop.inventory.BatchReserveStock(request).verdicts)


def reason(verdict: v1.ReserveStockVerdict) -> str:
    """Return why an item was refused; its reservation's state where it was not."""
    if verdict.WhichOneof("verdict") == "result":
        return word(verdict.result)
    info = error_details_pb2.ErrorInfo()
    return info.reason if any(detail.Unpack(info) for detail in verdict.error.details) else ""


def test_each_has_a_verdict_of_its_own(shop: Shop) -> None:
    """In the order asked for; a refusal among them changes nothing and stops nobody."""
    shop.stock("a", 5)
    verdicts = batch(
        shop,
        item(shop, "1", ("a", 3)),
        item(shop, "2", ("a", 3)),
        item(shop, "3", ("a", 2), order_id="o"),
        item(shop, "4", ("a", 3), reservation_id="r-1"),
        item(shop, "5", ("a", 9), reservation_id="r-1"),
        item(shop, "6", ("ghost", 1)),
    )
    assert [each.item_id for each in verdicts] == ["1", "2", "3", "4", "5", "6"]
    assert [reason(each) for each in verdicts] == [
        "HELD", "INSUFFICIENT_STOCK", "HELD", "HELD", "ID_REUSED", "INSUFFICIENT_STOCK",
    ]  # fmt: skip
    assert verdicts[0].result == shop.reservation("r-1") == verdicts[3].result
    assert shop.numbers("a") == (5, 0, 5)


def test_a_refusal_is_told_as_by_reserve_stock(shop: Shop) -> None:
    """Code, message and details are those of the unary call."""
    shop.stock("a", 1)
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.reserve("r", ("a", 2), ("ghost", 1))
    (verdict,) = batch(shop, item(shop, "1", ("a", 2), ("ghost", 1)))
    assert verdict.error.code == code_pb2.FAILED_PRECONDITION
    assert verdict.error.message == refusal.message
    shortages = []
    for detail in verdict.error.details:
        shortage = v1.StockShortage()
        if detail.Unpack(shortage):
            shortages.append(shortage)
    assert shortages == refusal.shortages


def test_sent_again_it_takes_effect_once(shop: Shop) -> None:
    """The reservation_id of each item makes the whole repeatable: what was refused is decided afresh."""
    shop.stock("a", 3)
    items = [item(shop, str(number), ("a", 2)) for number in range(2)]
    first = batch(shop, *items)
    assert [reason(each) for each in first] == ["HELD", "INSUFFICIENT_STOCK"]
    assert batch(shop, *items) == first
    shop.change("a", "INCREMENT", 1)
    again = batch(shop, *items)
    assert again[0] == first[0]
    assert reason(again[1]) == "HELD"
    assert shop.numbers("a") == (4, 0, 4)


def test_one_batch_is_one_transaction(shop: Shop) -> None:
    """All items reach the queue together: one transaction decides them, in their order."""
    shop.stock("a", 100)
    assert {reason(each) for each in batch(shop, *(item(shop, str(n), ("a", 1)) for n in range(100)))} == {
        "HELD"
    }
    entries = shop.log("a")[1:]
    assert [entry.reservation_id for entry in entries] == [f"r-{n}" for n in range(100)]
    assert len({entry.create_time.ToNanoseconds() for entry in entries}) == 1


def test_1000_items_and_one_more(shop: Shop) -> None:
    """1,000 items are decided; 1,001 and none are refused."""
    shop.stock("a", 999)
    items = [item(shop, str(number), ("a", 1)) for number in range(1001)]
    verdicts = batch(shop, *items[:1000])
    assert [reason(each) for each in verdicts] == ["HELD"] * 999 + ["INSUFFICIENT_STOCK"]
    for wrong in (items, []):
        with shop.refused("INVALID_FIELD") as refusal:
            batch(shop, *wrong)
        assert refusal.fields == ["items"]


def test_10000_lines_and_one_more(shop: Shop) -> None:
    """The items of a call have 10,000 lines together, not one more; the longest answer still fits."""
    names = [f"{number:04}{'x' * 124}" for number in range(1000)]
    calls = [
        shop.inventory.CreateStock.future(v1.CreateStockRequest(product_id=name, quantity=9))
        for name in names
    ]
    assert {shop.reason_of(call) for call in calls} == {"OK"}
    lines = [(name, 1) for name in names]
    items = [item(shop, str(number), *lines) for number in range(10)]
    with shop.refused("INVALID_FIELD") as refusal:
        batch(shop, *items, item(shop, "more", (names[0], 1)))
    assert refusal.fields == ["items"]
    verdicts = batch(shop, *items)
    assert [reason(each) for each in verdicts] == ["HELD"] * 9 + ["INSUFFICIENT_STOCK"]


def test_what_refuses_the_whole_call(shop: Shop) -> None:
    """A rule broken by one item, or an item_id named twice: by its path, and nothing is written."""
    shop.stock("a", 5)
    good = item(shop, "1", ("a", 1))
    bad_ttl, bad_timeout = item(shop, "2", ("a", 1)), item(shop, "2", ("a", 1))
    bad_ttl.ttl.nanos = 1
    bad_timeout.timeout.seconds = 301
    for wrong, path in (
        (item(shop, "1", ("a", 1)), "items[1].item_id"),
        (item(shop, "2", ("a", 0)), "items[1].lines[0].quantity"),
        (item(shop, "2"), "items[1].lines"),
        (item(shop, "2", ("a", 1), never_expires=False), "items[1].never_expires"),
        (bad_ttl, "items[1].ttl"),
        (bad_timeout, "items[1].timeout"),
    ):
        with shop.refused("INVALID_FIELD") as refusal:
            batch(shop, good, wrong)
        assert refusal.fields == [path]


def test_an_item_that_waits_too_long(staged: StagedShop) -> None:
    """Its own timeout passes while the others wait on: DEADLINE_EXCEEDED, and it is not begun any more."""
    staged.stock("a", 5)
    hurried = item(staged, "hurried", ("a", 1))
    hurried.timeout.FromMilliseconds(50)
    request = v1.BatchReserveStockRequest(items=[hurried, item(staged, "patient", ("a", 1))])
    with staged.batch_held():
        call = staged.inventory.BatchReserveStock.future(request)
        staged.settle_in()
        with pytest.raises(Exception, match=r"(?i)deadline"):
            staged.inventory.ReserveStock(staged.reserve_request("later", ("a", 1)), timeout=0.2)
    late, done = call.result().verdicts
    assert (late.error.code, reason(done)) == (code_pb2.DEADLINE_EXCEEDED, "HELD")
    with staged.refused("RESERVATION_NOT_FOUND"):
        staged.reservation("r-hurried")


def test_an_unknown_store(shop: Shop) -> None:
    """What is wrong with the call as a whole is the call's own error."""
    request = v1.BatchReserveStockRequest(items=[item(shop, "1", ("a", 1))])
    with shop.refused("STORE_NOT_FOUND"):
        shop.inventory.BatchReserveStock(request, metadata=(("x-inventory-store", "nowhere"),))
