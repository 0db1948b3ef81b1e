"""AioClient.reserve_session and reserve_many: many reservations at the price of few calls, none lost."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

import inventory_client
from inventory_client import AioClient, v1
from inventory_client.reserving import (
    ITEM_BYTES_MAX,
    ITEM_TIMEOUT_S_MAX,
    ITEMS_MAX,
    LINES_MAX,
    MESSAGE_BYTES_MAX,
    parts,
)
from inventory_server.launch import LaunchedProcess
from support.shop import Shop


def asking(reservation_id: str, product_id: str = "a", quantity: int = 1) -> v1.ReserveStockRequest:
    line = v1.LineRequest(product_id=product_id, quantity=quantity)
    return v1.ReserveStockRequest(reservation_id=reservation_id, lines=[line])


@pytest.fixture
async def aio(server: LaunchedProcess, store: str) -> AsyncIterator[AioClient]:
    async with inventory_client.connect_aio(server.address, store=store, timeout_s=60) as client:
        yield client


def stock_of(shop: Shop) -> tuple[int, int]:
    """Units of product `a`: (available, allocated)."""
    stock = shop.inventory.GetStock(v1.GetStockRequest(product_id="a")).stock
    return stock.available, stock.allocated


async def told(asked: object) -> str:
    """What became of a call, in a word."""
    try:
        answer = await asked  # type: ignore[misc]
    except inventory_client.InventoryError as error:
        return error.reason_name or error.code.name
    return answer.reservation_id  # type: ignore[no-any-return]


async def test_each_caller_is_told_what_a_call_would_have(shop: Shop, aio: AioClient) -> None:
    """Of callers in one session each gets its own answer: a reservation, a shortage, a wrong field."""
    shop.stock("a", 2)
    async with aio.reserve_session() as session:
        first, again, wrong, short, other = await asyncio.gather(
            session.reserve(asking("r-1")),
            session.reserve(asking("r-1")),
            session.reserve(asking("r-2", quantity=0)),
            session.reserve(asking("r-3", quantity=3)),
            session.reserve(asking("r-4", "nothing")),
            return_exceptions=True,
        )
    assert isinstance(first, v1.Reservation) and isinstance(again, v1.Reservation)
    assert first == again and first.state == v1.ReservationState.RESERVATION_STATE_HELD
    assert isinstance(wrong, inventory_client.InvalidField)
    assert [field for field, _ in wrong.field_violations] == ["lines[0].quantity"]
    assert isinstance(short, inventory_client.InsufficientStock)
    assert [(each.requested, each.available) for each in short.shortages] == [(3, 1)]
    assert isinstance(other, inventory_client.InsufficientStock) and not other.shortages[0].managed
    assert stock_of(shop) == (1, 1)


async def test_what_is_asked_at_once_goes_together(shop: Shop, aio: AioClient) -> None:
    """More callers than one message holds race for fewer units: each unit has one owner, in few batches."""
    stocked, callers = 700, ITEMS_MAX + 200
    shop.stock("a", stocked)
    before = shop.inventory.GetServiceStatistics(v1.GetServiceStatisticsRequest()).totals
    async with aio.reserve_session() as session:
        answers = await asyncio.gather(*(told(session.reserve(asking(f"r-{n}"))) for n in range(callers)))
    after = shop.inventory.GetServiceStatistics(v1.GetServiceStatisticsRequest()).totals
    assert answers.count("INSUFFICIENT_STOCK") == callers - stocked
    assert len({answer for answer in answers if answer.startswith("r-")}) == stocked
    assert stock_of(shop) == (0, stocked)
    assert after.commands - before.commands == callers
    assert after.batches - before.batches < callers / 50


async def test_a_stream_that_breaks_is_opened_again(shop: Shop, server: LaunchedProcess) -> None:
    """Cut while verdicts are on their way: every caller is answered, every effect is there once."""
    shop.stock("a", 1_000)
    async with (
        Cuttable.before(server.address) as door,
        inventory_client.connect_aio(door.address, store=shop.store, timeout_s=60) as client,
        client.reserve_session() as session,
    ):
        asked = [asyncio.create_task(session.reserve(asking("r-0")))]
        await asyncio.wait(asked)
        for cut in range(3):
            with shop.observer.level_locked(shop.store, "a") as holder:
                asked += [asyncio.create_task(session.reserve(asking(f"r-{cut}-{n}"))) for n in range(20)]
                # They are sent; nobody can be answered.
                await asyncio.to_thread(shop.observer.wait_for_one_blocked_by, holder)
                door.cut()
        answers = await asyncio.gather(*asked)
    assert len({answer.reservation_id for answer in answers}) == 61
    assert stock_of(shop) == (939, 61)


async def test_a_deadline_is_the_callers_own(shop: Shop, aio: AioClient) -> None:
    """Who waits no longer is told so, or goes away; the others of the session are answered."""
    shop.stock("a", 10)
    async with aio.reserve_session() as session:
        with shop.observer.level_locked(shop.store, "a"):
            late = asyncio.create_task(told(session.reserve(asking("r-late"), timeout_s=0.2)))
            gone = asyncio.create_task(session.reserve(asking("r-gone")))
            patient = asyncio.create_task(told(session.reserve(asking("r-patient"))))
            assert await late == "DEADLINE_EXCEEDED"
            gone.cancel()
            with suppress(asyncio.CancelledError):
                await gone
        assert await patient == "r-patient"
        # The same id finds out what became of it.
        assert await told(session.reserve(asking("r-late"))) == "r-late"


@pytest.mark.parametrize("timeout_s", [ITEM_TIMEOUT_S_MAX, ITEM_TIMEOUT_S_MAX + 60])
async def test_a_caller_with_more_time_than_an_item_may_have(
    shop: Shop, aio: AioClient, timeout_s: float
) -> None:
    """The item asks for as much as the server takes, and isn't refused for what its caller would wait."""
    shop.stock("a", 1)
    async with aio.reserve_session() as session:
        assert await told(session.reserve(asking("r"), timeout_s=timeout_s)) == "r"


async def test_a_caller_who_waits_for_ever(shop: Shop, aio: AioClient) -> None:
    """It is answered as the others of its session are."""
    shop.stock("a", 2)
    async with aio.reserve_session() as session:
        assert await told(session.reserve(asking("r-patient"), timeout_s=math.inf)) == "r-patient"
        assert await told(session.reserve(asking("r-other"))) == "r-other"


async def test_what_no_message_may_hold(shop: Shop, aio: AioClient) -> None:
    """Who asks more than a message may hold is told what a call would have; nobody else is disturbed."""
    shop.stock("a", 1)
    line = v1.LineRequest(product_id="a", quantity=1)
    wide = v1.ReserveStockRequest(reservation_id="wide", lines=[line] * (LINES_MAX + 1))
    async with aio.reserve_session() as session:
        with shop.observer.level_locked(shop.store, "a") as holder:
            waiting = asyncio.create_task(told(session.reserve(asking("r"))))
            await asyncio.to_thread(shop.observer.wait_for_one_blocked_by, holder)
            assert await told(session.reserve(asking("x" * 5 * 2**20))) == "RESOURCE_EXHAUSTED"
            assert await told(session.reserve(wide)) == "INVALID_FIELD"
            # At the limit of one, and together above that of a message.
            long = [
                asking("x" * (ITEM_BYTES_MAX - 100)) for _ in range(MESSAGE_BYTES_MAX // ITEM_BYTES_MAX * 2)
            ]
            answers = await asyncio.gather(*(told(session.reserve(each)) for each in long))
            assert set(answers) == {"INVALID_FIELD"}
        assert await waiting == "r"


async def test_a_session_in_another_loop(shop: Shop, aio: AioClient) -> None:
    """It says so, instead of letting its caller wait for an answer that its own loop has."""
    shop.stock("a", 1)
    async with aio.reserve_session() as session:

        def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="another event loop"):
                asyncio.run(session.reserve(asking("r-elsewhere")))

        await asyncio.to_thread(elsewhere)
        assert await told(session.reserve(asking("r"))) == "r"


async def test_a_store_that_is_not_there(server: LaunchedProcess) -> None:
    """What is wrong with the stream is told to everybody on it, and a later caller is told anew."""
    async with (
        inventory_client.connect_aio(server.address, store="nowhere", timeout_s=60) as client,
        client.reserve_session() as session,
    ):
        for _ in range(2):
            answers = await asyncio.gather(*(told(session.reserve(asking(f"r-{n}"))) for n in range(3)))
            assert answers == ["STORE_NOT_FOUND"] * 3


async def test_a_session_that_is_closed(shop: Shop, aio: AioClient) -> None:
    """A close leaves nobody waiting, and nobody comes in after it; the client's close is the session's."""
    shop.stock("a", 1)
    session, other = aio.reserve_session(), aio.reserve_session()
    with shop.observer.level_locked(shop.store, "a") as holder:
        waiting = asyncio.create_task(told(session.reserve(asking("r"))))
        await asyncio.to_thread(shop.observer.wait_for_one_blocked_by, holder)
        await session.close()
        assert await waiting == "UNAVAILABLE"
    await session.close()
    await aio.close()
    for closed in (session, other):
        with pytest.raises(ValueError, match="closed"):
            await closed.reserve(asking("r"))


async def test_many_in_few_calls(shop: Shop, aio: AioClient) -> None:
    """A list of any length has an answer for each of its own, in order: sync and aio say the same."""
    stocked, wanted = 900, ITEMS_MAX + 1
    shop.stock("a", stocked)
    requests = [asking(f"r-{n}") for n in range(wanted)]
    answers = shop.client.reserve_many(requests)
    assert [
        answer.reservation_id if isinstance(answer, v1.Reservation) else answer.reason_name
        for answer in answers
    ] == [f"r-{n}" for n in range(stocked)] + ["INSUFFICIENT_STOCK"] * (wanted - stocked)
    repeated = await aio.reserve_many(requests)
    assert [type(answer) for answer in repeated] == [type(answer) for answer in answers]
    assert repeated[:stocked] == answers[:stocked]
    assert stock_of(shop) == (0, stocked)


def test_a_call_that_fails_gives_its_error_to_all_in_it(server: LaunchedProcess) -> None:
    """Of many calls each stands for itself; an error is returned, never raised, so that none is lost."""
    with inventory_client.connect(server.address, store="nowhere", timeout_s=60) as client:
        answers = client.reserve_many([asking("r-1"), asking("r-2")])
    assert [type(answer) for answer in answers] == [inventory_client.StoreNotFound] * 2
    assert client.reserve_many([]) == []


@pytest.mark.parametrize(
    ("requests", "line_count", "expected"),
    [
        (0, 1, []),
        (ITEMS_MAX, 1, [ITEMS_MAX]),
        (ITEMS_MAX + 1, 1, [ITEMS_MAX, 1]),
        (LINES_MAX // 1_000, 1_000, [10]),
        (LINES_MAX // 1_000 + 1, 1_000, [10, 1]),
    ],
)
def test_parts_are_what_the_server_takes(requests: int, line_count: int, expected: list[int]) -> None:
    """A message has at most ITEMS_MAX reservations and LINES_MAX lines; nothing is cut that fits."""
    line = v1.LineRequest(product_id="a", quantity=1)
    request = v1.ReserveStockRequest(reservation_id="r", lines=[line] * line_count)
    assert [len(part) for part in parts([request] * requests)] == expected


class Cuttable:
    """A way to a server whose connections can be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._writers: set[asyncio.StreamWriter] = set()
        self.address = ""

    @classmethod
    def before(cls, address: str) -> Cuttable:
        host, _, port = address.rpartition(":")
        return cls(host, int(port))

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._host, self._port)
        self._writers |= {writer, up_writer}
        await asyncio.gather(_pump(reader, up_writer), _pump(up_reader, writer))
        self._writers -= {writer, up_writer}

    async def __aenter__(self) -> Cuttable:
        self._server = await asyncio.start_server(self._take, "127.0.0.1", 0)
        self.address = f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self.cut()
        self._server.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()
