"""InventoryService.ReserveStockStream: reservations on one stream, each with a verdict of its own."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from typing import Any

import pytest
from google.rpc import code_pb2, error_details_pb2

import inventory_client
from inventory_client import v1
from support.polling import WAIT_S
from support.shop import Shop, StagedShop, word


def item(shop: Shop, item_id: str, *lines: Any, **more: Any) -> v1.ReserveStockItem:
    asked = {"reservation_id": f"r-{item_id}", **more}
    return v1.ReserveStockItem(item_id=item_id, lines=shop.lines(*lines), **asked)


def reason(verdict: v1.ReserveStockVerdict) -> str:
    if verdict.WhichOneof("verdict") == "result":
        return word(verdict.result)
    info = error_details_pb2.ErrorInfo()
    return info.reason if any(detail.Unpack(info) for detail in verdict.error.details) else ""


def message(*items: v1.ReserveStockItem) -> v1.ReserveStockStreamRequest:
    return v1.ReserveStockStreamRequest(items=items)


def stream(shop: Shop, *messages: v1.ReserveStockStreamRequest, **options: Any) -> dict[str, str]:
    """Send messages, close, and return each item's verdict in a word."""
    answers = shop.inventory.ReserveStockStream(iter(messages), timeout=WAIT_S, **options)
    return {each.item_id: reason(each) for answer in answers for each in answer.verdicts}


class Open:
    """A stream that stays open until it is closed."""

    def __init__(self, shop: Shop) -> None:
        self._messages: queue.Queue[v1.ReserveStockStreamRequest | None] = queue.Queue()
        self.call = shop.inventory.ReserveStockStream(self._sent(), timeout=WAIT_S)

    def _sent(self) -> Iterator[v1.ReserveStockStreamRequest]:
        while (sent := self._messages.get()) is not None:
            yield sent

    def send(self, *items: v1.ReserveStockItem) -> None:
        self._messages.put(message(*items))

    def close(self) -> None:
        self._messages.put(None)


def test_each_has_a_verdict_of_its_own(shop: Shop) -> None:
    """Every item is answered by its name, refusals among them; the stream itself ends OK."""
    shop.stock("a", 5)
    verdicts = stream(
        shop,
        message(item(shop, "1", ("a", 3)), item(shop, "2", ("a", 3))),
        message(item(shop, "3", ("a", 2)), item(shop, "4", ("a", 4), reservation_id="r-1")),
    )
    assert verdicts == {"1": "HELD", "2": "INSUFFICIENT_STOCK", "3": "HELD", "4": "ID_REUSED"}
    assert shop.numbers("a") == (5, 0, 5)


def test_a_stream_of_nothing(shop: Shop) -> None:
    """Closed at once it ends OK; a message without items ends it as the caller's mistake."""
    assert stream(shop) == {}
    with shop.refused("INVALID_FIELD") as refusal:
        stream(shop, message())
    assert refusal.fields == ["items"]


def test_verdicts_come_while_it_is_open(shop: Shop) -> None:
    """An answer does not wait for the caller to close its side."""
    shop.stock("a", 5)
    opened = Open(shop)
    for number in range(3):
        opened.send(item(shop, str(number), ("a", 1)))
        (verdict,) = next(opened.call).verdicts
        assert (verdict.item_id, reason(verdict)) == (str(number), "HELD")
        assert verdict.result == shop.reservation(f"r-{number}")
    opened.close()
    assert list(opened.call) == []


def test_one_message_is_one_transaction(shop: Shop) -> None:
    """All items of a message reach the queue together: one transaction decides them, in their order."""
    shop.stock("a", 100)
    verdicts = stream(shop, message(*(item(shop, str(number), ("a", 1)) for number in range(100))))
    assert verdicts == {str(number): "HELD" for number in range(100)}
    entries = shop.log("a")[1:]
    assert [entry.reservation_id for entry in entries] == [f"r-{number}" for number in range(100)]
    assert len({entry.create_time.ToNanoseconds() for entry in entries}) == 1


def test_an_item_that_breaks_a_rule_is_answered_by_itself(shop: Shop) -> None:
    """INVALID_FIELD with the path within the item; the others are decided, and the stream goes on."""
    shop.stock("a", 9)
    bad_ttl, bad_timeout = item(shop, "ttl", ("a", 1)), item(shop, "timeout", ("a", 1))
    bad_ttl.ttl.nanos = 1
    bad_timeout.timeout.nanos = 999_999
    verdicts: dict[str, v1.ReserveStockVerdict] = {}
    sent = [
        message(item(shop, "1", ("a", 1)), item(shop, "none", ("a", 0)), bad_ttl, bad_timeout),
        message(item(shop, "2", ("a", 1))),
        message(item(shop, "lines"), item(shop, "id", ("a", 1), reservation_id="not an id")),
    ]
    for answer in shop.inventory.ReserveStockStream(iter(sent), timeout=WAIT_S):
        verdicts.update({each.item_id: each for each in answer.verdicts})
    assert {name: reason(each) for name, each in verdicts.items()} == {
        "1": "HELD", "2": "HELD", "none": "INVALID_FIELD", "ttl": "INVALID_FIELD",
        "timeout": "INVALID_FIELD", "lines": "INVALID_FIELD", "id": "INVALID_FIELD",
    }  # fmt: skip
    paths = {}
    for name, each in verdicts.items():
        for detail in each.error.details:
            bad = error_details_pb2.BadRequest()
            if detail.Unpack(bad):
                paths[name] = [found.field for found in bad.field_violations]
    assert paths == {
        "none": ["lines[0].quantity"], "ttl": ["ttl"], "timeout": ["timeout"], "lines": ["lines"],
        "id": ["reservation_id"],
    }  # fmt: skip


@pytest.mark.parametrize("item_id", ["", "a b", "x" * 129])
def test_an_item_without_a_usable_name_ends_the_stream(shop: Shop, item_id: str) -> None:
    """It can't be answered: the stream ends by INVALID_FIELD, after all that was sent before is answered."""
    shop.stock("a", 5)
    sent = [message(item(shop, "1", ("a", 1))), message(v1.ReserveStockItem(item_id=item_id))]
    answers = shop.inventory.ReserveStockStream(iter(sent), timeout=WAIT_S)
    (verdict,) = next(answers).verdicts
    assert reason(verdict) == "HELD"
    with pytest.raises(inventory_client.InvalidField) as caught:
        next(answers)
    assert [field for field, _ in caught.value.field_violations] == ["items[0].item_id"]
    assert shop.numbers("a") == (5, 4, 1)


def test_the_limits_of_a_message(shop: Shop) -> None:
    """1,000 items and 10,000 lines are taken; one more ends the stream."""
    shop.stock("a", 5000)
    items = [item(shop, str(number), ("a", 1)) for number in range(1001)]
    assert set(stream(shop, message(*items[:1000])).values()) == {"HELD"}
    with shop.refused("INVALID_FIELD") as refusal:
        stream(shop, message(*items))
    assert refusal.fields == ["items"]
    wide = [item(shop, f"w{number}", *[("a", 1)] * 1000, reservation_id="wide") for number in range(10)]
    assert set(stream(shop, message(*wide)).values()) == {"HELD"}
    with shop.refused("INVALID_FIELD"):
        stream(shop, message(*wide, item(shop, "more", ("a", 1))))


def test_an_unknown_store(shop: Shop) -> None:
    """The stream's status is about the stream: a store that nobody made."""
    with shop.refused("STORE_NOT_FOUND"):
        stream(shop, message(item(shop, "1", ("a", 1))), metadata=(("x-inventory-store", "nowhere"),))


def test_an_item_that_waits_too_long(staged: StagedShop) -> None:
    """An item's timeout is its own: DEADLINE_EXCEEDED in its verdict, not begun any more; others go on."""
    staged.stock("a", 5)
    hurried = item(staged, "hurried", ("a", 1))
    hurried.timeout.FromMilliseconds(20)
    opened = Open(staged)
    with staged.batch_held():
        opened.send(hurried, item(staged, "patient", ("a", 1)))
        (late,) = next(opened.call).verdicts
        assert (late.item_id, late.error.code) == ("hurried", code_pb2.DEADLINE_EXCEEDED)
    (done,) = next(opened.call).verdicts
    assert (done.item_id, reason(done)) == ("patient", "HELD")
    opened.close()
    assert list(opened.call) == []
    with staged.refused("RESERVATION_NOT_FOUND"):
        staged.reservation("r-hurried")


def test_whoever_goes_away_leaves_nothing_waiting(staged: StagedShop) -> None:
    """A cancelled stream's items are not begun any more: only what was decided before stands."""
    staged.stock("a", 5)
    opened = Open(staged)
    opened.send(item(staged, "1", ("a", 1)))
    next(opened.call)
    with staged.batch_held():
        opened.send(item(staged, "2", ("a", 1)))
        staged.settle_in()
        opened.call.cancel()
        staged.settle_in()
    opened.close()
    staged.reserve("after", ("a", 1))
    assert staged.numbers("a") == (5, 3, 2)
    with pytest.raises(inventory_client.ReservationNotFound):
        staged.reservation("r-2")


def test_more_than_may_be_on_its_way(shop: Shop) -> None:
    """5,000 items in small messages: never more than the bound wait, and each is answered once."""
    shop.stock("a", 4_990)
    sent = (
        message(*(item(shop, f"{first + number}", ("a", 1)) for number in range(50)))
        for first in range(0, 5_000, 50)
    )
    seen: list[v1.ReserveStockVerdict] = []
    for answer in shop.inventory.ReserveStockStream(sent, timeout=WAIT_S):
        assert 1 <= len(answer.verdicts) <= 1_050
        seen += answer.verdicts
    assert len(seen) == len({each.item_id for each in seen}) == 5_000
    assert sum(reason(each) == "HELD" for each in seen) == 4_990
    assert sum(reason(each) == "INSUFFICIENT_STOCK" for each in seen) == 10
    assert shop.numbers("a") == (4_990, 0, 4_990)


def test_sent_again_on_another_stream(shop: Shop) -> None:
    """A broken stream's items can all be sent again: each takes effect once."""
    shop.stock("a", 9)
    sent = message(*(item(shop, str(number), ("a", 1)) for number in range(5)))
    assert stream(shop, sent) == stream(shop, sent, sent) == {str(number): "HELD" for number in range(5)}
    assert shop.numbers("a") == (9, 4, 5)
