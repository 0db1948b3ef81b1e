"""Fault 32: connections that hold what they can, and frames without end. Others go on being served."""

from __future__ import annotations

import random
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import repeat

import pytest

from inventory_client import v1
from inventory_server.rpc.unread import UNREAD_MAX
from support.faults.calls import Caller
from support.faults.load import Load
from support.faults.place import WAIT_S, Place
from support.faults.promises import check
from support.faults.used import Used
from support.frames import (
    ACK,
    CANCEL,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    FRAME_BYTES_MAX,
    HEADERS,
    PING,
    PREFACE,
    PRIORITY,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Wire,
    call_fields,
    fields,
    frame,
    grpc_message,
)
from support.polling import until

Tell = Callable[..., None]
Flood = Callable[[Wire], Iterator[bytes]]

IDLE = 1_000
SILENT = 20
OVER = 100
AT_ONCE = 500
# What each flood sends, where its server takes it, and what all of them may leave in memory.
FLOOD_BYTES = 2**20
GROWN_MIB_MAX = 400
GET_STOCK = "/inventory.v1.InventoryService/GetStock"
RESERVE_STREAM = "/inventory.v1.InventoryService/ReserveStockStream"


# --- floods --------------------------------------------------------------------------------------


def same(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> Flood:
    """Return what sends one frame again and again."""
    return lambda _wire: repeat(frame(kind, flags, stream, payload) * AT_ONCE)


def calls_that_are_reset(wire: Wire) -> Iterator[bytes]:
    while True:
        yield b"".join(
            frame(HEADERS, END_HEADERS, stream, call_fields(GET_STOCK))
            + frame(RST_STREAM, 0, stream, CANCEL.to_bytes(4, "big"))
            for stream in (wire.new_stream() for _ in range(AT_ONCE))
        )


def calls_that_stay(wire: Wire) -> Iterator[bytes]:
    while True:
        yield b"".join(
            frame(HEADERS, END_HEADERS, wire.new_stream(), call_fields(RESERVE_STREAM))
            for _ in range(AT_ONCE)
        )


def empty_data(wire: Wire) -> Iterator[bytes]:
    stream = wire.new_stream()
    yield frame(HEADERS, END_HEADERS, stream, call_fields(GET_STOCK))
    yield from repeat(frame(DATA, 0, stream) * AT_ONCE)


def metadata_past_the_limit(wire: Wire) -> Iterator[bytes]:
    more = fields([("x-a", "v" * 1_000)] * 15)
    while True:
        stream = wire.new_stream()
        yield frame(HEADERS, 0, stream, call_fields(GET_STOCK))
        yield frame(CONTINUATION, 0, stream, more) * 2 + frame(CONTINUATION, END_HEADERS, stream)


def metadata_without_end(wire: Wire) -> Iterator[bytes]:
    stream = wire.new_stream()
    yield frame(HEADERS, 0, stream, call_fields(GET_STOCK))
    yield from repeat(frame(CONTINUATION, 0, stream, fields([("x-a", "v" * 1_000)] * 15)) * 10)


def a_message_without_end(wire: Wire) -> Iterator[bytes]:
    stream = wire.new_stream()
    yield frame(HEADERS, END_HEADERS, stream, call_fields(RESERVE_STREAM))
    yield frame(DATA, 0, stream, b"\0\xff\xff\xff\xff")
    yield from repeat(frame(DATA, 0, stream, b"x" * FRAME_BYTES_MAX))


FLOODS: dict[str, Flood] = {
    "pings": same(PING, payload=b"12345678"),
    "settings": same(SETTINGS, payload=b"\0\3\0\0\0\x64"),
    "acknowledgements": same(SETTINGS, ACK),
    "windows": same(WINDOW_UPDATE, payload=b"\0\0\0\1"),
    "priorities": same(PRIORITY, stream=1, payload=bytes(5)),
    "frames of no kind": same(0x77, payload=b"x" * 1_000),
    "calls that are reset": calls_that_are_reset,
    "calls that stay": calls_that_stay,
    "empty data": empty_data,
    "metadata past the limit": metadata_past_the_limit,
    "metadata without end": metadata_without_end,
    "a message without end": a_message_without_end,
}


@pytest.mark.fault(32)
def test_floods_of_frames(place: Place, chance: random.Random, load_factor: int, tell: Tell) -> None:
    """Others are answered, memory stays within a bound, and what a flood held is free when it is over."""
    used = Used(place)
    sent = 0
    with Load(lambda: place.server.address, chance, workers=2) as load:
        for flood in FLOODS.values():
            with Wire(place.server.address) as wire:
                wire.greet()
                taken = drown(wire, flood(wire), FLOOD_BYTES * load_factor)
                assert taken
                sent += taken
                load.goes_on()
    used.wait_until_as_before()
    grown_mib = used.grown_mib()
    assert grown_mib < GROWN_MIB_MAX
    tell(check(place, load) | {"MiB sent": sent >> 20, "MiB grown": grown_mib})


def drown(wire: Wire, flood: Iterator[bytes], bytes_max: int) -> int:
    """Send until it is enough, or nothing more is taken. Returns: how many bytes were."""
    sent = 0
    for data in flood:
        if sent >= bytes_max or wire.is_closed() or not wire.send(data, wait_s=2.0):
            break
        sent += len(data)
    return sent


# --- connections ---------------------------------------------------------------------------------


@pytest.mark.fault(32)
def test_connections_that_say_nothing_of_use(place: Place, chance: random.Random, tell: Tell) -> None:
    """Silent, half greeted, or not HTTP/2 at all: closed by itself, and others are served meanwhile."""
    used = Used(place)
    silent = [b"", PREFACE[:10], PREFACE, PREFACE + frame(SETTINGS)[:5]]
    nonsense = [
        chance.randbytes(4_096),
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00",
    ]
    with Load(lambda: place.server.address, chance, workers=2) as load, ExitStack() as wires:
        for said in (*silent, *nonsense) * SILENT:
            wires.enter_context(Wire(place.server.address)).send(said)
        load.goes_on()
        until(lambda: used.connections() <= 3, "all but those of the load are closed", WAIT_S)
        load.goes_on()
    tell(check(place, load))


@pytest.mark.fault(32)
def test_a_thousand_idle_connections(place: Place, chance: random.Random, tell: Tell) -> None:
    """They stay, and are in nobody's way; when their callers have gone, so have they."""
    used = Used(place)
    with Load(lambda: place.server.address, chance, workers=2) as load, many_files(), ExitStack() as wires:
        for _ in range(IDLE):
            wires.enter_context(Wire(place.server.address)).greet()
        until(lambda: used.connections() >= IDLE, "all are connected", WAIT_S)
        load.goes_on()
        newcomer = Caller(lambda: place.server.address)
        newcomer.send("ListStock", v1.ListStockRequest())
        newcomer.close()
        grown_mib = used.grown_mib()
    used.wait_until_as_before()
    assert grown_mib < GROWN_MIB_MAX
    tell(check(place, load) | {"MiB grown": grown_mib})


@contextmanager
def many_files() -> Iterator[None]:
    """Let this process have the connections' other ends open too."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(2 * IDLE, hard)), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.fault(32)
def test_requests_that_do_not_end(place: Place, chance: random.Random, tell: Tell) -> None:
    """One more than there may be, and the oldest is refused: others' requests, which end, are answered."""
    with Load(lambda: place.server.address, chance, workers=2) as load, Wire(place.server.address) as wire:
        wire.greet()
        begun = grpc_message(bytes(2**20))[:100]
        for stream in (wire.new_stream() for _ in range(UNREAD_MAX + OVER)):
            wire.send(
                frame(HEADERS, END_HEADERS, stream, call_fields(GET_STOCK)) + frame(DATA, 0, stream, begun)
            )
        ended: set[int] = set()

        def look() -> bool:
            ended.update(f.stream for f in wire.frames() if f.kind == HEADERS and f.flags & END_STREAM)
            return len(ended) >= OVER

        until(look, "those that are too many are refused", WAIT_S)
        assert min(ended) == 1
        load.goes_on()
    tell(check(place, load) | {"refused": len(ended)})
