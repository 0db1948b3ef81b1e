"""The server as it is put together: its address, health, reflection and limits, on a real channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # type: ignore[import-untyped]

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_server.operator_error import OperatorError
from inventory_server.rpc import server as rpc_server
from inventory_server.rpc.address import AddressRefused
from inventory_server.rpc.server import MESSAGE_BYTES_MAX, METADATA_BYTES_MAX, Built, build_server
from support.engine import eventually

SERVICES = ("inventory.v1.InventoryService", "inventory.v1.CheckoutService")
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING
SERVICE_UNKNOWN = health_pb2.HealthCheckResponse.SERVICE_UNKNOWN


class Anything:
    """A servicer whose every method answers with an empty message, once it may leave."""

    def __init__(self) -> None:
        self.count = 0
        self.came, self.leave = asyncio.Event(), asyncio.Event()
        self.leave.set()

    def __getattr__(self, name: str) -> Any:
        return self._act

    async def _act(self, _request: Any, _call: Any) -> Any:
        self.count += 1
        self.came.set()
        await self.leave.wait()
        return pb.GetStockResponse()


async def build(servicer: Any = None, **changed: Any) -> Built:
    arguments: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "reflection": True, **changed}
    servicer = servicer or Anything()
    return await build_server(servicer, servicer, **arguments)


@pytest.fixture
async def built() -> AsyncIterator[Built]:
    made = await build()
    await made.server.start()
    yield made
    await made.server.stop(None)


@pytest.fixture
async def channel(built: Built) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{built.port}") as opened:
        yield opened


def check(channel: grpc.aio.Channel, service: str = "") -> Any:
    ask: Any = channel.unary_unary(
        "/grpc.health.v1.Health/Check",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return ask(health_pb2.HealthCheckRequest(service=service), timeout=60)


def watch(channel: grpc.aio.Channel, service: str = "") -> Any:
    ask: Any = channel.unary_stream(
        "/grpc.health.v1.Health/Watch",
        request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
        response_deserializer=health_pb2.HealthCheckResponse.FromString,
    )
    return ask(health_pb2.HealthCheckRequest(service=service), timeout=60)


# --- address -------------------------------------------------------------------------------------


async def test_a_port_in_use_is_one_line() -> None:
    """A port that another server has is an error for the operator that names it, not a traceback."""
    first = await build()
    with pytest.raises(AddressRefused, match=f"^cannot listen on 127.0.0.1:{first.port}: .*$") as caught:
        await build(port=first.port)
    assert isinstance(caught.value, OperatorError)
    await first.server.stop(None)


async def test_a_port_can_be_shared_when_asked() -> None:
    """With reuse_port several servers listen on one port."""
    first = await build(reuse_port=True)
    second = await build(reuse_port=True, port=first.port)
    assert second.port == first.port
    for made in (first, second):
        await made.server.stop(None)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "[::]", "192.168.1.1", "example.com", "", "*"])
async def test_only_the_loopback_is_listened_on(host: str) -> None:
    """Without TLS and authentication any other address is refused at start."""
    with pytest.raises(AddressRefused, match="not on the loopback"):
        await build(host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.0.0.2"])
async def test_every_loopback_address_is_good(host: str) -> None:
    """An address or name of the loopback is bound, to a free port where none is named."""
    made = await build(host=host)
    assert made.port > 0
    await made.server.stop(None)


# --- health --------------------------------------------------------------------------------------


async def test_health_follows_what_it_is_told(built: Built, channel: grpc.aio.Channel) -> None:
    """NOT_SERVING at first; then as set, for the whole and each service; once closed, no for good."""
    for service in ("", *SERVICES):
        assert (await check(channel, service)).status == NOT_SERVING
    await built.health.set_serving(True)
    for service in ("", *SERVICES):
        assert (await check(channel, service)).status == SERVING
    await built.health.close()
    await built.health.set_serving(True)
    assert (await check(channel)).status == NOT_SERVING


async def test_health_knows_its_services(channel: grpc.aio.Channel) -> None:
    """An unknown service is NOT_FOUND to Check, SERVICE_UNKNOWN to Watch."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await check(channel, "nobody")
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    watching = watch(channel, "nobody")
    assert (await watching.read()).status == SERVICE_UNKNOWN
    watching.cancel()


@pytest.mark.parametrize("method", ["Check", "Watch"])
async def test_health_of_bytes_that_are_no_message(channel: grpc.aio.Channel, method: str) -> None:
    """Malformed bytes are the caller's fault, without a word of the inside."""
    call: Any = getattr(channel, "unary_unary" if method == "Check" else "unary_stream")
    answer = call(f"/grpc.health.v1.Health/{method}")(b"\x0a\x7fx", timeout=60)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await (answer if method == "Check" else answer.read())
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "google" not in (caught.value.details() or "")


async def test_watchers_are_told_and_let_go(built: Built, channel: grpc.aio.Channel) -> None:
    """A watcher hears every change once, and does not hold a stopping server for its grace time."""
    watching = watch(channel)
    assert (await watching.read()).status == NOT_SERVING
    await built.health.set_serving(True)
    await built.health.set_serving(True)
    assert (await watching.read()).status == SERVING
    await built.health.close()
    assert (await watching.read()).status == NOT_SERVING
    assert await watching.read() is grpc.aio.EOF
    watching = watch(channel)
    assert (await watching.read()).status == NOT_SERVING
    assert await watching.read() is grpc.aio.EOF
    async with asyncio.timeout(60):
        await built.server.stop(3600)


# --- reflection and limits -----------------------------------------------------------------------


async def services_of(made: Built) -> set[str]:
    """Ask reflection which services there are."""
    async with grpc.aio.insecure_channel(f"127.0.0.1:{made.port}") as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [reflection_pb2.ServerReflectionRequest(list_services="")]
        async for answer in stub.ServerReflectionInfo(iter(asked), timeout=60):
            return {service.name for service in answer.list_services_response.service}
    return set()


async def test_reflection_is_a_switch(built: Built) -> None:
    """With reflection a generic client finds the services and health; without it, there is no such method."""
    assert {*SERVICES, "grpc.health.v1.Health"} <= await services_of(built)
    silent = await build(reflection=False)
    await silent.server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{silent.port}") as channel:
        # Nothing is sent: what comes after the refusal would be a failure of the channel's own.
        call = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(timeout=60)
        assert await call.code() is grpc.StatusCode.UNIMPLEMENTED
    await silent.server.stop(None)


@pytest.mark.fault(27)
@pytest.mark.parametrize(
    ("extra_bytes", "code"),
    [(0, grpc.StatusCode.INVALID_ARGUMENT), (1, grpc.StatusCode.RESOURCE_EXHAUSTED)],
)
async def test_the_greatest_message(
    channel: grpc.aio.Channel, extra_bytes: int, code: grpc.StatusCode
) -> None:
    """A message of 4 MiB is read (and then judged); one byte more is refused unread."""
    ask: Any = channel.unary_unary(f"/{SERVICES[0]}/GetStock")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask(b"\xff" * (MESSAGE_BYTES_MAX + extra_bytes), timeout=60)
    assert caught.value.code() is code


@pytest.mark.fault(27)
@pytest.mark.parametrize(("value_bytes", "is_taken"), [(1_000, True), (METADATA_BYTES_MAX + 1, False)])
async def test_the_greatest_metadata(channel: grpc.aio.Channel, value_bytes: int, is_taken: bool) -> None:
    """Metadata past their limit are refused by the transport."""
    ask: Any = channel.unary_unary(f"/{SERVICES[0]}/GetStock")
    called = ask(b"\x0a\x01p", timeout=60, metadata=(("x-long", "v" * value_bytes),))
    if is_taken:
        await called
        return
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await called
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_as_many_calls_as_a_connection_carries(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many calls are in at once; one more on the same connection waits outside until one is out."""
    monkeypatch.setattr(rpc_server, "STREAMS_PER_CONNECTION_MAX", 2)
    servicer = Anything()
    built = await build(servicer)
    await built.server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{built.port}") as channel:
        ask: Any = channel.unary_unary(f"/{SERVICES[0]}/GetStock")
        await ask(b"\x0a\x01p", timeout=60)  # the client has heard of the limit now
        servicer.leave.clear()
        inside = [asyncio.ensure_future(ask(b"\x0a\x01p", timeout=60)) for _ in range(2)]
        await eventually(lambda: servicer.count == 3, "both are in")
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(b"\x0a\x01p", timeout=0.3)
        assert (caught.value.code(), servicer.count) == (grpc.StatusCode.DEADLINE_EXCEEDED, 3)
        waiting = asyncio.ensure_future(ask(b"\x0a\x01p", timeout=60))
        servicer.leave.set()
        assert await asyncio.gather(*inside, waiting) == [b""] * 3
    await built.server.stop(None)


async def test_a_stopping_server_finishes_what_it_began() -> None:
    """stop(grace) lets a call in flight end well, and takes no new one."""
    servicer = Anything()
    servicer.leave.clear()
    built = await build(servicer)
    await built.server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{built.port}") as channel:
        ask: Any = channel.unary_unary(f"/{SERVICES[0]}/GetStock")
        begun = asyncio.ensure_future(ask(b"\x0a\x01p", timeout=60))
        await servicer.came.wait()
        stopping = asyncio.ensure_future(built.server.stop(60))
        await asyncio.sleep(0.05)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(b"\x0a\x01p", timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        servicer.leave.set()
        assert await begun == b""
        await stopping
