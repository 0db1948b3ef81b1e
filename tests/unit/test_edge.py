"""The door of every call, on a real channel: a servicer that does whatever the test says stands behind it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]
from structlog.testing import capture_logs

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_client.v1 import stock_pb2
from inventory_server.domain.errors import InsufficientStock, Shortage, StockNotFound
from inventory_server.engine.errors import DatabaseUnavailable, DeadlinePassed
from inventory_server.rpc.edge import (
    CALL_TIMEOUT_S_MAX,
    CALLS_MAX,
    QUIET_S,
    SETTLE_S_MAX,
    STORE_CALLS_MAX,
    Call,
    Edge,
)
from inventory_server.rpc.named import STORE_KEY
from inventory_server.rpc.status import DETAILS_KEY, INTERNAL_MESSAGE

SERVICE = pb.DESCRIPTOR.services_by_name["InventoryService"]
GET_STOCK = f"/{SERVICE.full_name}/GetStock"
RESERVE_STOCK = f"/{SERVICE.full_name}/ReserveStock"

Act = Callable[[Any, Call], Awaitable[Any]]


class Scripted:
    """A servicer whose every method does the same: `act`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.act: Act = self.answer

    def __getattr__(self, name: str) -> Act:
        return self._called

    async def _called(self, request: Any, call: Call) -> Any:
        self.calls.append(call)
        return await self.act(request, call)

    async def answer(self, request: Any, _call: Call) -> Any:
        return pb.GetStockResponse(stock=stock_pb2.Stock(product_id=request.product_id, total=3))

    def raises(self, error: BaseException) -> None:
        async def act(_request: Any, _call: Call) -> Any:
            raise error

        self.act = act


class Door:
    """A served edge, its servicer and a channel to it that takes and gives raw bytes."""

    def __init__(self, edge: Edge, servicer: Scripted, channel: grpc.aio.Channel) -> None:
        self.edge = edge
        self.servicer = servicer
        self.channel = channel

    async def call(
        self,
        request: bytes | Any = b"\x0a\x03tea",
        *,
        method: str = GET_STOCK,
        timeout_s: float | None = 60,
        metadata: tuple[tuple[str, str | bytes], ...] = (),
    ) -> bytes:
        data = request if isinstance(request, bytes) else request.SerializeToString()
        return await self.raw(method)(data, timeout=timeout_s, metadata=metadata)

    def raw(self, method: str) -> grpc.aio.UnaryUnaryMultiCallable[bytes, bytes]:
        return self.channel.unary_unary(method)

    async def refused(self, *args: Any, **kwargs: Any) -> grpc.aio.AioRpcError:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await self.call(*args, **kwargs)
        return caught.value


@contextlib.asynccontextmanager
async def opened(edge: Edge) -> AsyncIterator[Door]:
    servicer = Scripted()
    server = grpc.aio.server()
    edge.add_service(server, servicer, SERVICE)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Door(edge, servicer, channel)
    await server.stop(None)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    async with opened(Edge()) as served:
        yield served


def details(error: grpc.aio.AioRpcError) -> tuple[Any, list[Any]]:
    """Return the ErrorInfo and the other details of an error."""
    trailing = dict(error.trailing_metadata() or ())
    status = status_pb2.Status.FromString(trailing[DETAILS_KEY])
    assert status.code == error.code().value[0]
    assert status.message == error.details()
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    return info, list(status.details[1:])


def violations(error: grpc.aio.AioRpcError) -> list[str]:
    """Return the paths of an INVALID_FIELD."""
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    info, rest = details(error)
    assert info.reason == "INVALID_FIELD"
    broken = error_details_pb2.BadRequest()
    assert rest[0].Unpack(broken)
    return [violation.field for violation in broken.field_violations]


async def test_a_valid_call_is_answered(door: Door) -> None:
    """A good request reaches the servicer decoded, and its answer comes back."""
    answer = pb.GetStockResponse.FromString(await door.call())
    assert (answer.stock.product_id, answer.stock.total) == ("tea", 3)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"\x0a\x7ftea", id="truncated"),
        pytest.param(b"\x0a\x02\xff\xfe", id="not utf-8"),
        pytest.param(b"\xff" * 64, id="noise"),
        pytest.param(b"\x0b" * 5_000, id="groups without end"),
        pytest.param(b"\x0a" + b"\xff" * 10, id="overlong length"),
    ],
)
async def test_bytes_that_are_no_message_are_the_callers_fault(door: Door, data: bytes) -> None:
    """Malformed bytes answer INVALID_FIELD, never INTERNAL, and reach no servicer."""
    error = await door.refused(data)
    assert violations(error) == [""]
    assert "inventory.v1.GetStockRequest" in (error.details() or "")
    assert not door.servicer.calls


async def test_broken_rules_are_all_named(door: Door) -> None:
    """Every broken field is listed with its path; the store's counts as one."""
    request = pb.ReserveStockRequest(lines=[{"product_id": "tea"}, {"quantity": -1}])  # type: ignore[list-item]
    error = await door.refused(request, method=RESERVE_STOCK, metadata=(("x-inventory-store", "a b"),))
    assert violations(error) == [
        "x-inventory-store",
        "reservation_id",
        "lines[0].quantity",
        "lines[1].product_id",
        "lines[1].quantity",
    ]
    assert not door.servicer.calls


@pytest.mark.parametrize(
    ("metadata", "store_id"),
    [
        ((), "default"),
        ((("x-inventory-store", "north"),), "north"),
        ((("x-inventory-store", "~" * 128),), "~" * 128),
    ],
)
async def test_the_store_comes_from_the_metadata(door: Door, metadata: Any, store_id: str) -> None:
    """x-inventory-store names the store; without it, it is `default`."""
    await door.call(metadata=metadata)
    assert door.servicer.calls[0].store_id == store_id


@pytest.mark.parametrize(
    "values",
    [[""], ["a b"], ["~" * 129], ["north", "south"], ["north", "north"]],
)
async def test_a_store_that_cannot_be_is_refused(door: Door, values: list[str]) -> None:
    """A malformed store, and one named twice, answer INVALID_FIELD at x-inventory-store."""
    error = await door.refused(metadata=tuple(("x-inventory-store", value) for value in values))
    assert violations(error) == ["x-inventory-store"]


async def test_the_callers_deadline_is_passed_on(door: Door) -> None:
    """The servicer learns how long the caller still waits, 300 s at most; without one the server's own."""
    await door.call(timeout_s=200)
    await door.call(timeout_s=None)
    await door.call(timeout_s=10**6)
    with_deadline, without, absurd = (call.deadline_s for call in door.servicer.calls)
    assert 100 < with_deadline < 210  # the wire's timeout is rounded up
    assert without == door.edge.call_timeout_s
    assert absurd == CALL_TIMEOUT_S_MAX


async def test_a_call_without_a_deadline_ends_at_the_servers() -> None:
    """A servicer that never answers is cancelled at the server's own deadline: DEADLINE_EXCEEDED."""
    cancelled = asyncio.Event()

    async def never(_request: Any, _call: Call) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with opened(Edge(call_timeout_s=0.05)) as door:
        door.servicer.act = never
        error = await door.refused(timeout_s=None)
        assert error.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert DETAILS_KEY not in dict(error.trailing_metadata() or ())
        assert cancelled.is_set()
        assert door.edge.calls_inside == 0


async def test_a_timeout_of_the_inside_is_no_deadline(door: Door) -> None:
    """A TimeoutError that is not the call's own deadline is a defect."""
    door.servicer.raises(TimeoutError("the inside"))
    assert (await door.refused()).code() is grpc.StatusCode.INTERNAL


async def test_a_caller_that_goes_away_cancels_its_call(door: Door) -> None:
    """Cancellation reaches the servicer, logs nothing, and the door forgets the call."""
    inside, cancelled = asyncio.Event(), asyncio.Event()

    async def wait(_request: Any, _call: Call) -> None:
        inside.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.set()
            raise

    door.servicer.act = wait
    with capture_logs() as logs:
        sent = door.raw(GET_STOCK)(b"\x0a\x03tea", timeout=60)
        await inside.wait()
        sent.cancel()
        await asyncio.wait_for(cancelled.wait(), 60)
        with pytest.raises(asyncio.CancelledError):
            await sent
    assert door.edge.calls_inside == 0
    assert logs == []
    door.servicer.act = door.servicer.answer
    assert await door.call()


async def test_a_refusal_comes_with_its_details(door: Door) -> None:
    """A domain error becomes its row of the table: code, fixed text, reason, numbers, shortages."""
    door.servicer.raises(InsufficientStock((Shortage("tea", None, 5, 2, managed=True),)))
    error = await door.refused()
    assert error.code() is grpc.StatusCode.FAILED_PRECONDITION
    assert error.details() == InsufficientStock.message
    info, rest = details(error)
    assert (info.reason, info.domain) == ("INSUFFICIENT_STOCK", "inventory-service")
    assert dict(info.metadata) == {"shortage_count": "1"}
    assert [packed.type_url for packed in rest] == ["type.googleapis.com/inventory.v1.StockShortage"]


async def test_unavailable_says_when_to_come_back(door: Door) -> None:
    """UNAVAILABLE carries a RetryInfo, and nothing that the exception said of the database."""
    door.servicer.raises(DatabaseUnavailable("host=10.0.0.1 password=secret"))
    error = await door.refused()
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "secret" not in repr(error)
    info, rest = details(error)
    retry = error_details_pb2.RetryInfo()
    assert info.reason == "DATABASE_UNAVAILABLE"
    assert rest[0].Unpack(retry)
    assert retry.retry_delay.ToMilliseconds() > 0


async def test_other_refusals_are_mapped(door: Door) -> None:
    """NOT_FOUND names the id; a passed deadline is DEADLINE_EXCEEDED without a reason."""
    door.servicer.raises(StockNotFound("tea"))
    info, _ = details(await door.refused())
    assert (info.reason, dict(info.metadata)) == ("STOCK_NOT_FOUND", {"product_id": "tea"})
    door.servicer.raises(DeadlinePassed())
    assert (await door.refused()).code() is grpc.StatusCode.DEADLINE_EXCEEDED


@pytest.mark.parametrize("act", ["raises", "answers nonsense"])
async def test_a_defect_shows_nothing_of_the_inside(door: Door, act: str) -> None:
    """INTERNAL has a fixed text and an error_id; the log has the same id, the method and the traceback."""
    if act == "raises":
        door.servicer.raises(ZeroDivisionError("select secret from table"))
    else:
        door.servicer.act = lambda _request, _call: asyncio.sleep(0, "no message")
    with capture_logs() as logs:
        error = await door.refused()
    assert error.code() is grpc.StatusCode.INTERNAL
    assert error.details() == INTERNAL_MESSAGE
    assert "secret" not in repr(error)
    info, _ = details(error)
    assert info.reason == "INTERNAL"
    (logged,) = logs
    assert logged["error_id"] == info.metadata["error_id"]
    assert logged["method"] == "inventory.v1.InventoryService.GetStock"
    assert isinstance(logged["exc_info"], ZeroDivisionError if act == "raises" else AttributeError)
    door.servicer.act = door.servicer.answer
    assert await door.call()


async def test_the_door_holds_so_many_at_once() -> None:
    """At calls_max a call is taken; one past it is OVERLOADED at once, until somebody leaves."""
    came, leave = asyncio.Semaphore(0), asyncio.Event()

    async def wait(_request: Any, _call: Call) -> Any:
        came.release()
        await leave.wait()
        return pb.GetStockResponse()

    async with opened(Edge(calls_max=2)) as door:
        door.servicer.act = wait
        inside = [asyncio.ensure_future(door.call()) for _ in range(2)]
        await came.acquire()
        await came.acquire()
        info, _ = details(await door.refused())
        assert info.reason == "OVERLOADED"
        leave.set()
        assert len(await asyncio.gather(*inside)) == 2
        await door.call()


async def test_a_store_takes_not_all_the_places() -> None:
    """At store_calls_max a store's call is taken; one past it is OVERLOADED, another store's is answered."""
    came, leave = asyncio.Semaphore(0), asyncio.Event()
    assert STORE_CALLS_MAX < CALLS_MAX

    async def wait(_request: Any, call: Call) -> Any:
        came.release()
        if call.store_id == "flooded":
            await leave.wait()
        return pb.GetStockResponse()

    flooded = ((STORE_KEY, "flooded"),)
    async with opened(Edge(store_calls_max=2)) as door:
        door.servicer.act = wait
        inside = [asyncio.ensure_future(door.call(metadata=flooded)) for _ in range(2)]
        await came.acquire()
        await came.acquire()
        info, _ = details(await door.refused(metadata=flooded))
        assert info.reason == "OVERLOADED"
        await door.call(metadata=((STORE_KEY, "quiet"),))
        leave.set()
        await asyncio.gather(*inside)
        await door.call(metadata=flooded)
        assert not door.edge._inside_by_store, "who has left is forgotten"


async def test_two_stores_take_not_all_the_places() -> None:
    """Two that are flooded together are refused before the door is full: a third's call is answered."""
    came, leave = asyncio.Semaphore(0), asyncio.Event()

    async def wait(_request: Any, call: Call) -> Any:
        came.release()
        if call.store_id != "quiet":
            await leave.wait()
        return pb.GetStockResponse()

    async with opened(Edge(calls_max=40, store_calls_max=30)) as door:
        door.servicer.act = wait
        inside = []
        for store, room in (("first", 30), ("second", 8)):
            flooded = ((STORE_KEY, store),)
            inside += [asyncio.ensure_future(door.call(metadata=flooded)) for _ in range(room)]
            for _ in range(room):
                await came.acquire()
            info, _ = details(await door.refused(metadata=flooded))
            assert info.reason == "OVERLOADED"
        await door.call(metadata=((STORE_KEY, "quiet"),))
        leave.set()
        await asyncio.gather(*inside)


async def test_a_draining_door_lets_go_of_those_inside_and_refuses_the_rest(door: Door) -> None:
    """Who is inside is answered, who comes is OVERLOADED, who comes again for ever holds nothing up."""
    came, leave = asyncio.Event(), asyncio.Event()

    async def wait(request: Any, call: Call) -> Any:
        came.set()
        await leave.wait()
        return await door.servicer.answer(request, call)

    door.servicer.act = wait
    inside = asyncio.ensure_future(door.call())
    await came.wait()
    draining = asyncio.ensure_future(door.edge.drain(3600))
    reasons = set()
    async with asyncio.timeout(60):
        while not draining.done():  # one after the other, never quiet for QUIET_S
            info, _ = details(await door.refused())
            reasons.add(info.reason)
            leave.set()
    assert reasons == {"OVERLOADED"}
    assert await inside
    assert 0 < QUIET_S < SETTLE_S_MAX


async def test_an_unknown_method_is_unimplemented(door: Door) -> None:
    """What the protos do not name answers UNIMPLEMENTED."""
    error = await door.refused(method=f"/{SERVICE.full_name}/Nonsense")
    assert error.code() is grpc.StatusCode.UNIMPLEMENTED


def test_a_method_without_a_servicer_stops_the_start() -> None:
    """A method of the protos that nobody serves is found when the service is added, not when it is called."""
    with pytest.raises(TypeError, match="CreateStock needs a method create_stock"):
        Edge().add_service(None, object(), SERVICE)  # type: ignore[arg-type]
