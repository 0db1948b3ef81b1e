"""Connections that say nothing, or that are too many: closed within a bound, by the server's own options."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_server.app import FILES_MAX
from inventory_server.rpc import server as rpc_server
from inventory_server.rpc.server import CONNECTIONS_MAX, build_server
from support.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    Wire,
    call_fields,
    frame,
    grpc_message,
)
from support.polling import WAIT_S, until

GET_STOCK = "/inventory.v1.InventoryService/GetStock"
WATCH_STOCK = "/inventory.v1.InventoryService/WatchStock"


class Waiting:
    """A servicer whose watches never say anything, and whose other methods answer at once."""

    def __init__(self) -> None:
        self.is_watched = asyncio.Event()
        self.is_over = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return self._watch if name == "watch_stock" else self._answer

    async def _answer(self, _request: Any, _call: Any) -> Any:
        return pb.GetStockResponse()

    async def _watch(self, _request: Any, _call: Any) -> AsyncIterator[Any]:
        self.is_watched.set()
        try:
            await asyncio.Event().wait()
            yield
        finally:
            self.is_over.set()


@asynccontextmanager
async def serving(servicer: Waiting) -> AsyncIterator[str]:
    both: Any = servicer
    built = await build_server(both, both, host="127.0.0.1", port=0, reflection=False)
    await built.server.start()
    yield f"127.0.0.1:{built.port}"
    await built.server.stop(None)


async def is_answered(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        ask: Any = channel.unary_unary(GET_STOCK)
        assert await ask(b"\x0a\x01a", timeout=WAIT_S) == b""


async def closed(wire: Wire) -> None:
    await asyncio.to_thread(until, wire.is_closed, "the server closes the connection")


@pytest.mark.fault(32)
@pytest.mark.parametrize(
    "said", [b"", PREFACE[:10], PREFACE], ids=["nothing", "half a greeting", "no settings"]
)
async def test_who_does_not_greet_is_closed(monkeypatch: pytest.MonkeyPatch, said: bytes) -> None:
    """A connection on which HTTP/2 is not begun in time is closed."""
    monkeypatch.setattr(rpc_server, "HANDSHAKE_TIMEOUT_MS", 200)
    async with serving(Waiting()) as address:
        with Wire(address) as wire:
            wire.send(said)
            await closed(wire)
        await is_answered(address)


@pytest.mark.fault(34)
async def test_who_vanished_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers no ping is gone, though no FIN ever came: its connection is closed, and its calls end."""
    monkeypatch.setattr(rpc_server, "KEEPALIVE_INTERVAL_MS", 200)
    monkeypatch.setattr(rpc_server, "KEEPALIVE_TIMEOUT_MS", 200)
    servicer = Waiting()
    async with serving(servicer) as address:
        with Wire(address) as wire:
            wire.greet()
            stream = wire.new_stream()
            asked = frame(DATA, END_STREAM, stream, grpc_message(b""))
            wire.send(frame(HEADERS, END_HEADERS, stream, call_fields(WATCH_STOCK)) + asked)
            await asyncio.wait_for(servicer.is_watched.wait(), WAIT_S)
            await asyncio.wait_for(servicer.is_over.wait(), WAIT_S)
            await closed(wire)
        await is_answered(address)


@pytest.mark.fault(32)
async def test_who_has_no_calls_is_told_to_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection without a call for long is closed; its client connects again and sees nothing of it."""
    monkeypatch.setattr(rpc_server, "CONNECTION_IDLE_MS_MAX", 300)
    async with serving(Waiting()) as address, grpc.aio.insecure_channel(address) as channel:
        ask: Any = channel.unary_unary(GET_STOCK)
        await ask(b"\x0a\x01a", timeout=WAIT_S)
        with Wire(address) as wire:
            wire.greet()
            await closed(wire)
        assert await ask(b"\x0a\x01a", timeout=WAIT_S) == b""


@pytest.mark.fault(32)
async def test_as_many_connections_as_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many are served; one more is closed at once, until one of them has gone."""
    monkeypatch.setattr(rpc_server, "CONNECTIONS_MAX", 2)
    async with serving(Waiting()) as address:
        with Wire(address) as first, Wire(address) as second:
            for wire in (first, second):
                wire.greet()
                await asyncio.to_thread(until, wire.frames, "it is greeted back")
            with Wire(address) as third:
                await closed(third)
            assert not first.is_closed() and not second.is_closed()
        await is_answered(address)
    assert CONNECTIONS_MAX < FILES_MAX
