"""Bounds of what the server does by itself, and of what it keeps in mind: at each, and one past it."""

from __future__ import annotations

import asyncio
import math
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from inventory_client import v1
from inventory_loadtest.plan import _RATE_MAX, synthetic_plan
from inventory_server.domain.limits import PAGE_SIZE_MAX
from inventory_server.domain.payment import Payment
from inventory_server.engine.engine import Engine
from inventory_server.engine.feed import CATCHING_UP_MAX, Feed
from inventory_server.engine.feed_reads import START, FeedReader, Opening, Part, Position
from inventory_server.engine.reads import Reader
from inventory_server.engine.verification import Chunk, Place
from inventory_server.jobs.reconciler import OPERATIONS_PER_RUN_MAX, Reconciler
from inventory_server.jobs.sweeper import PER_ROUND_MAX, ROUNDS_MAX, Sweeper
from inventory_server.jobs.verification import REMEMBERED_MAX, Progress
from inventory_server.payments.processor import ORDERS_KNOWN_MAX, PaymentProcessor
from inventory_server.rpc import pages, reserve_items
from inventory_server.rpc.convert import ITEM_TIMEOUT_S_MAX, item_timeout_s
from inventory_server.rpc.edge import Call
from inventory_server.rpc.rules import InvalidFields
from inventory_server.verify.violation import Violation


class Payments:
    """A Reader of payments `p0`, `p1` ..., each of an order of its own, that counts how often it is asked."""

    def __init__(self) -> None:
        self.asked_count = 0

    async def payment(self, _store_id: str, payment_id: str, *, deadline_s: float) -> Payment:
        self.asked_count += 1
        return Payment(payment_id, f"o of {payment_id}", 1, "EUR", "", (), b"", datetime.now(UTC))


async def test_so_many_orders_of_payments_are_kept_in_mind() -> None:
    """The order of the last payments seen is known without a look; one more, and the first is asked for."""
    reader = Payments()
    processor = PaymentProcessor(
        cast(Engine, None), cast(Reader, reader), None, gateway_timeout_s=1, resolved_poll_interval_s=1
    )

    async def look(number: int) -> int:
        assert await processor.order_of("s", f"p{number}", deadline_s=1) == f"o of p{number}"
        return reader.asked_count

    for number in range(ORDERS_KNOWN_MAX):
        await look(number)
    assert await look(0) == ORDERS_KNOWN_MAX
    await look(ORDERS_KNOWN_MAX)
    assert await look(1) == ORDERS_KNOWN_MAX + 1
    assert await look(0) == ORDERS_KNOWN_MAX + 2


class Doubts:
    """A Reader and a processor: operations in doubt, the oldest first, until they are settled."""

    def __init__(self, count: int) -> None:
        self.left = [("o", "p", f"op {number}") for number in range(count)]

    async def all_stores(self, *, deadline_s: float) -> list[str]:
        return ["s"]

    async def operations_in_doubt(
        self, store_ids: list[str], *, limit: int, deadline_s: float
    ) -> dict[str, list[tuple[str, str, str]]]:
        return {"s": self.left[:limit]}

    async def settle_doubt(self, _store_id: str, *operation: str) -> None:
        self.left.remove(cast(Any, operation))


async def test_so_many_doubts_are_asked_about_in_a_run() -> None:
    """One more waits for the next run."""
    doubts = Doubts(OPERATIONS_PER_RUN_MAX + 1)
    reconciler = Reconciler(cast(Reader, doubts), cast(PaymentProcessor, doubts))
    await reconciler.reconcile()
    assert doubts.left == [("o", "p", f"op {OPERATIONS_PER_RUN_MAX}")]
    await reconciler.reconcile()
    assert not doubts.left


class Behind:
    """A FeedReader of a store whose log is far ahead of who watches from the beginning."""

    def __init__(self) -> None:
        self.end = Position(9, "z", "default", 1)
        self.reading_count = 0
        self.begun = asyncio.Condition()
        self.go_on = asyncio.Event()

    async def opening(self, _store_id: str, _resumed: Position | None) -> Opening:
        return Opening("here", self.end, True)

    async def after(
        self, _store_id: str, position: Position, *, inside: bool
    ) -> tuple[Part | None, float | None]:
        if position != START:
            return None, None  # the store's own tail, and who has caught up
        async with self.begun:
            self.reading_count += 1
            self.begun.notify_all()
        await self.go_on.wait()
        self.reading_count -= 1
        return Part((), self.end), None


async def test_so_many_watches_catch_up_at_once() -> None:
    """The next one waits until another has read, so that other reads keep their connections."""
    reader = Behind()
    feed = Feed(cast(FeedReader, reader), watchers_max=9, poll_interval_s=1, heartbeat_s=0.01)

    async def catch_up() -> None:
        async for _, part in feed.watch("s", None, from_beginning=True):
            if part.last == reader.end:
                return

    watches = [asyncio.create_task(catch_up()) for _ in range(CATCHING_UP_MAX + 1)]
    async with asyncio.timeout(60):
        async with reader.begun:
            await reader.begun.wait_for(lambda: reader.reading_count == CATCHING_UP_MAX)
        for _ in range(100):
            await asyncio.sleep(0)
        assert (feed.watcher_count, reader.reading_count) == (len(watches), CATCHING_UP_MAX)
        reader.go_on.set()
        await asyncio.gather(*watches)


async def test_a_sweep_ends_however_much_is_due() -> None:
    """So many rounds, each of so many holds; the rest is the next sweep's."""
    ended = []

    async def change(_store_id: str, command: object, *, deadline_s: float) -> None:
        ended.append(command)

    async def stores(*_args: object, **_asked: object) -> list[str]:
        return ["s"]

    async def due(*_args: object, limit: int, **_asked: object) -> dict[str, list[str]]:
        return {"s": [f"r{number}" for number in range(limit)]}

    async def none(*_args: object, **_asked: object) -> dict[str, list[str]]:
        return {}

    reader = SimpleNamespace(
        all_stores=stores, due_reservations=due, expired_carts=none, stores_with_old_answers=none
    )
    engine = SimpleNamespace(change=change)
    await Sweeper(cast(Engine, engine), cast(Reader, reader), request_log_retention_h=24).sweep()
    assert len(ended) == ROUNDS_MAX * PER_ROUND_MAX


def test_so_many_violations_are_remembered() -> None:
    """Past them one is told again each time it is found; the number that the metric shows stands still."""
    progress = Progress()
    many = [Violation("log-gapless", f"{number}") for number in range(REMEMBERED_MAX + 1)]
    assert progress.take(Chunk(many, Place("orders"))) == many
    assert progress.violation_count == REMEMBERED_MAX
    assert progress.take(Chunk(many, Place("orders"))) == many[-1:]


def test_a_page_is_no_larger() -> None:
    """The largest is given, one more is lowered to it."""
    assert [pages.size(asked) for asked in (PAGE_SIZE_MAX, PAGE_SIZE_MAX + 1)] == [PAGE_SIZE_MAX] * 2


def test_an_item_is_waited_for_no_longer() -> None:
    """At the limit its timeout counts; a microsecond past it is refused."""
    item = v1.ReserveStockItem()
    item.timeout.seconds = int(ITEM_TIMEOUT_S_MAX)
    assert item_timeout_s(item, 5, math.inf) == ITEM_TIMEOUT_S_MAX
    item.timeout.nanos = 1000
    with pytest.raises(InvalidFields):
        item_timeout_s(item, 5, math.inf)


def test_whose_time_an_item_of_a_stream_has() -> None:
    """What it says counts, though one that says nothing has less; no more than its stream has."""
    line = v1.LineRequest(product_id="a", quantity=1)
    silent = v1.ReserveStockItem(item_id="silent", reservation_id="r", lines=[line])
    patient = v1.ReserveStockItem(item_id="patient", reservation_id="r", lines=[line])
    patient.timeout.seconds = 60
    for left_s, expected in ((math.inf, [5, 60]), (20, [5, 20]), (2, [2, 2])):
        call = Call("store", left_s, item_deadline_s=min(5, left_s))
        asked: list[Any] = reserve_items.each_of([silent, patient], call)
        assert [timeout_s for _, timeout_s in asked] == expected


def test_carts_arrive_no_faster() -> None:
    """At the limit a race is planned; past it none is."""
    assert synthetic_plan("r", carts=2, stock=1, carts_per_s=_RATE_MAX).carts
    with pytest.raises(ValueError, match="carts_per_s"):
        synthetic_plan("r", carts=2, stock=1, carts_per_s=_RATE_MAX + 1)
