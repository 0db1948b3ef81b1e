"""Requests that never come to their end, on a real channel: how many, and for how long, is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_server.rpc.edge import STREAMS_MAX, Edge
from inventory_server.rpc.health import Health
from inventory_server.rpc.unread import UNREAD_MAX, UNREAD_TIMEOUT_S, Unread
from support.engine import eventually
from support.refusals import Refusal

SERVICE = pb.DESCRIPTOR.services_by_name["InventoryService"]
GET_STOCK = f"/{SERVICE.full_name}/GetStock"
# A single answer, a stream of answers, and the health, whose handlers are its own.
EACH_KIND = pytest.mark.parametrize(
    "path", [GET_STOCK, f"/{SERVICE.full_name}/ExportStock", "/grpc.health.v1.Health/Check"]
)


class Anything:
    """A servicer whose every method answers with an empty message; `came` counts the calls."""

    def __init__(self) -> None:
        self.came = 0
        self.leave = asyncio.Event()
        self.leave.set()

    def __getattr__(self, name: str) -> Any:
        return self._act

    async def _act(self, _request: Any, _call: Any) -> Any:
        self.came += 1
        await self.leave.wait()
        return pb.GetStockResponse()


class Door:
    """A served edge and a channel, on which a call is opened and its request is sent when a test says so."""

    def __init__(self, edge: Edge, unread: Unread, servicer: Anything, channel: grpc.aio.Channel) -> None:
        self.edge, self.unread, self.servicer = edge, unread, servicer
        self._channel = channel

    def begin(self, path: str = GET_STOCK) -> Any:
        return self._channel.stream_unary(path)(timeout=60)

    async def open(self, path: str = GET_STOCK) -> Any:
        """Open a call without its request, and wait until the server waits for that."""
        before = self.unread.count
        call = self.begin(path)
        await eventually(lambda: self.unread.count > before, "the server waits for the request")
        return call


@asynccontextmanager
async def opened(**bounds: Any) -> AsyncIterator[Door]:
    unread, servicer = Unread(**bounds), Anything()
    edge = Edge(unread=unread, streams_max=2)
    server = grpc.aio.server()
    edge.add_service(server, servicer, SERVICE)
    Health((SERVICE.full_name,), unread).add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield Door(edge, unread, servicer, channel)
    await server.stop(None)
    assert not unread._waiting and not unread._given_up


async def refusal_of(call: Any) -> Refusal:
    refusal = Refusal()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    refusal.read(caught.value)
    return refusal


@EACH_KIND
async def test_a_request_that_does_not_come(path: str) -> None:
    """DEADLINE_EXCEEDED, although its caller would wait for ever; the next call is answered."""
    async with opened(timeout_s=0.05) as door:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await door.begin(path)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert (caught.value.details() or "").startswith("The deadline passed")
        assert door.servicer.came == 0
        call = await door.open()
        await call.write(b"\x0a\x01a")
        await call.done_writing()
        assert await call == b""
    assert UNREAD_TIMEOUT_S < 60


async def test_the_oldest_makes_room() -> None:
    """As many as there may be wait; with one more the oldest is OVERLOADED, and the others are answered."""
    async with opened(unread_max=2) as door:
        first, second = await door.open(), await door.open()
        third = door.begin()
        assert (await refusal_of(first)).reason == "OVERLOADED"
        for call in (second, third):
            await call.write(b"\x0a\x01a")
            await call.done_writing()
            assert await call == b""
    assert UNREAD_MAX > 1


@EACH_KIND
async def test_a_call_without_a_request(path: str) -> None:
    """INVALID_FIELD, and at once: before, it was never answered."""
    async with opened() as door:
        call = door.begin(path)
        await call.done_writing()
        refusal = await refusal_of(call)
        assert (refusal.reason, refusal.fields) == ("INVALID_FIELD", [""])


async def test_who_goes_away_before_the_request_is_forgotten() -> None:
    """A caller who cancels is waited for no more."""
    async with opened() as door:
        call = await door.open()
        call.cancel()
        await eventually(lambda: door.unread.count == 0, "nobody is waited for")


async def test_so_many_streams_are_taken() -> None:
    """At streams_max a caller's stream is taken; one past it is OVERLOADED, and other calls go on."""
    async with opened() as door:
        door.servicer.leave.clear()
        path = f"/{SERVICE.full_name}/ImportStock"
        held = [door.begin(path) for _ in range(2)]
        await eventually(lambda: door.servicer.came == 2, "both are in")
        assert (await refusal_of(door.begin(path))).reason == "OVERLOADED"
        other = asyncio.ensure_future(door._channel.unary_unary(GET_STOCK)(b"\x0a\x01a", timeout=60))
        await eventually(lambda: door.servicer.came == 3, "a call without a stream is in")
        door.servicer.leave.set()
        assert [*await asyncio.gather(*held), await other] == [b""] * 3
        assert door.edge.streams_inside == 0
    assert STREAMS_MAX > 1_000
