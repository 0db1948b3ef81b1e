"""Calls with a stream, through the door and the client's channels: a service with one of each kind."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from structlog.testing import capture_logs

import inventory_client
from inventory_client.calls import CallDefaults
from inventory_client.channel import AioChannel, SyncChannel
from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_client.v1 import stock_pb2
from inventory_server.domain.errors import StockNotFound
from inventory_server.rpc import edge as edge_module
from inventory_server.rpc.edge import Call, Edge

KINDS = {"Down": (False, True), "Up": (True, False), "Both": (True, True)}


def _service() -> Any:
    """Describe a service whose methods take GetStock's request and give its answer."""
    file = descriptor_pb2.FileDescriptorProto(
        name="streams_of_a_test.proto", package="test", dependency=[pb.DESCRIPTOR.name], syntax="proto3"
    )
    service = file.service.add(name="Streams")
    for name, (takes, gives) in KINDS.items():
        service.method.add(
            name=name,
            input_type=".inventory.v1.GetStockRequest",
            output_type=".inventory.v1.GetStockResponse",
            client_streaming=takes,
            server_streaming=gives,
        )
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName("test.Streams")


SERVICE = _service()


def ask(product_id: str) -> pb.GetStockRequest:
    return pb.GetStockRequest(product_id=product_id)


def answer(product_id: str, total: int = 0) -> pb.GetStockResponse:
    return pb.GetStockResponse(stock=stock_pb2.Stock(product_id=product_id, total=total))


class Servicer:
    """Answers a word with itself; `ghost` is no stock, `defect` a defect, `wait` never ends."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.closed = asyncio.Event()

    async def down(self, request: Any, call: Call) -> AsyncIterator[pb.GetStockResponse]:
        self.calls.append(call)
        try:
            for number in range(3):
                yield self._answer(request.product_id, number)
            if request.product_id == "wait":
                await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def up(self, requests: AsyncIterator[Any], call: Call) -> pb.GetStockResponse:
        self.calls.append(call)
        words = [request.product_id async for request in requests]
        return self._answer("".join(words), len(words))

    async def both(self, requests: AsyncIterator[Any], call: Call) -> AsyncIterator[pb.GetStockResponse]:
        self.calls.append(call)
        async for request in requests:
            yield self._answer(request.product_id, 1)

    def _answer(self, word: str, number: int) -> pb.GetStockResponse:
        if word == "ghost":
            raise StockNotFound(word)
        if word == "defect":
            raise RuntimeError("a secret")
        return answer(word, number)


class Served:
    def __init__(self, servicer: Servicer, edge: Edge, address: str, channel: grpc.aio.Channel) -> None:
        self.servicer, self.edge, self.address = servicer, edge, address
        self.channel = AioChannel(channel, CallDefaults("north", 60.0, "ann"))

    def call(self, name: str, given: Any, **options: Any) -> Any:
        return method(self.channel, name)(given, **options)

    async def all(self, name: str, *words: str, **options: Any) -> list[int]:
        given: Any = iter([ask(word) for word in words]) if KINDS[name][0] else ask(words[0])
        call = self.call(name, given, **options)
        answers = [found async for found in call] if KINDS[name][1] else [await call]
        return [found.stock.total for found in answers]


def method(channel: Any, name: str) -> Any:
    kind = {"Down": "unary_stream", "Up": "stream_unary", "Both": "stream_stream"}[name]
    return getattr(channel, kind)(
        f"/{SERVICE.full_name}/{name}",
        request_serializer=pb.GetStockRequest.SerializeToString,
        response_deserializer=pb.GetStockResponse.FromString,
    )


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    servicer, edge = Servicer(), Edge()
    server = grpc.aio.server()
    edge.add_service(server, servicer, SERVICE)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    address = f"127.0.0.1:{port}"
    async with grpc.aio.insecure_channel(address) as channel:
        yield Served(servicer, edge, address, channel)
    await server.stop(None)
    assert edge.calls_inside == 0


async def test_each_kind_of_stream_is_answered(served: Served) -> None:
    """Down, up and both ways; the store and the actor come along, and no deadline where none was named."""
    assert await served.all("Down", "tea") == [0, 1, 2]
    assert await served.all("Up", "t", "e", "a") == [3]
    assert await served.all("Both", "t", "e") == [1, 1]
    assert {(c.store_id, c.actor, c.deadline_s) for c in served.servicer.calls} == {
        ("north", "ann", math.inf)
    }


@pytest.mark.parametrize("name", KINDS)
async def test_a_broken_message_ends_the_stream(served: Served, name: str) -> None:
    """Every message is checked by the rules of its fields; the path is within the message."""
    words = ("tea", "not an id") if KINDS[name][0] else ("not an id",)
    with pytest.raises(inventory_client.InvalidField) as refused:
        await served.all(name, *words)
    assert [field for field, _ in refused.value.field_violations] == ["product_id"]


@pytest.mark.parametrize("name", KINDS)
async def test_refusals_and_defects_in_a_stream(served: Served, name: str) -> None:
    """The error table holds for streams too, and a defect shows its id alone."""
    with pytest.raises(inventory_client.StockNotFound):
        await served.all(name, "ghost")
    with capture_logs() as logged, pytest.raises(inventory_client.Internal) as refused:
        await served.all(name, "defect")
    assert "secret" not in str(refused.value)
    assert [line["event"] for line in logged] == ["call_failed"]


async def test_bad_metadata_of_a_stream(served: Served) -> None:
    """A store or an actor that is no id is refused before anything is read."""
    for key in ("x-inventory-store", "x-inventory-actor"):
        with pytest.raises(inventory_client.InvalidField) as refused:
            await served.all("Up", "tea", metadata=((key, "not an id"),))
        assert [field for field, _ in refused.value.field_violations] == [key]


async def test_a_streams_deadline(served: Served) -> None:
    """A deadline that the caller names ends the stream."""
    for timeout_s in (0.2, 1, 5):  # the first may be over before it is in
        with pytest.raises(inventory_client.DeadlineExceeded):
            await served.all("Down", "wait", timeout=timeout_s)
        if served.servicer.calls:
            break
    async with asyncio.timeout(60):
        await served.servicer.closed.wait()


@pytest.mark.parametrize("name", KINDS)
async def test_a_streams_deadline_is_its_own(
    served: Served, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long it is, it is not cut to what a call may take: a watch goes on for days."""
    monkeypatch.setattr(edge_module, "CALL_TIMEOUT_S_MAX", 0.0)
    await served.all(name, "tea", timeout=30 * 24 * 3600)
    assert served.servicer.calls[0].deadline_s > 29 * 24 * 3600
    assert served.servicer.calls[0].item_deadline_s == served.edge.call_timeout_s


async def test_a_caller_who_goes_away_closes_the_stream(served: Served) -> None:
    """What a stream holds is let go when its caller is gone."""
    call = served.call("Down", ask("wait"))
    assert (await call.read()).stock.total == 0
    call.cancel()
    async with asyncio.timeout(60):
        await served.servicer.closed.wait()


async def test_calls_inside_are_bounded_for_streams_too(served: Served) -> None:
    """One stream past the bound is OVERLOADED at once."""
    served.edge.calls_max = 0
    with pytest.raises(inventory_client.Overloaded):
        await served.all("Down", "tea")


async def test_the_sync_channel_streams_too(served: Served) -> None:
    """Threads get the same: answers, and errors of ours."""

    def words(*all_of: str) -> Iterator[pb.GetStockRequest]:
        return iter([ask(word) for word in all_of])

    def talk() -> list[int]:
        with grpc.insecure_channel(served.address) as bare:
            channel = SyncChannel(bare, CallDefaults("north", 60.0))
            totals = [found.stock.total for found in method(channel, "Down")(ask("tea"))]
            totals.append(method(channel, "Up")(words("t", "e")).stock.total)
            totals += [found.stock.total for found in method(channel, "Both")(words("t", "e"))]
            with pytest.raises(inventory_client.StockNotFound):
                list(method(channel, "Down")(ask("ghost")))
            with pytest.raises(inventory_client.StockNotFound):
                method(channel, "Up")(words("ghost"))
            return totals

    assert await asyncio.to_thread(talk) == [0, 1, 2, 2, 1, 1]
