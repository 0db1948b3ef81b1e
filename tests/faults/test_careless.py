"""Fault 34: callers who go away, give no time, or read nothing. What they held is let go."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import ExitStack, closing

import grpc
import pytest

from inventory_client import v1
from inventory_client.errors import decode_error
from inventory_server.db.stores import create_store
from support.faults.calls import Caller
from support.faults.load import Load
from support.faults.place import WAIT_S, Place
from support.faults.promises import check
from support.faults.used import Used
from support.frames import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PREFACE,
    SETTINGS,
    Wire,
    call_fields,
    frame,
    grpc_message,
)
from support.polling import until

STORE = "careless"
CALLS = 200
WATCHES = 4
# No room for a single byte of an answer: SETTINGS_INITIAL_WINDOW_SIZE.
NO_WINDOW = frame(SETTINGS, payload=b"\0\4" + bytes(4))
SERVICE = "/inventory.v1.InventoryService"


@pytest.mark.fault(34)
def test_callers_who_do_not_wait(place: Place, chance: random.Random, tell: Callable[..., None]) -> None:
    """Cancelled, or with 1 ms: each takes effect once when it is sent again, and nobody else is hurt."""
    create_store(place.postgres.url, STORE)
    used = Used(place)
    caller = Caller(lambda: place.server.address, STORE)
    with Load(lambda: place.server.address, chance, workers=2) as load, closing(caller):
        caller.send("CreateStock", v1.CreateStockRequest(product_id="a", quantity=CALLS, request_id="a"))
        requests = [hold(f"r-{number}") for number in range(CALLS)]
        for number, request in enumerate(requests):
            call = caller.start("ReserveStock", request, 0.001 if number % 2 else WAIT_S)
            if number % 2 == 0:
                call.cancel()
        for request in requests:
            caller.send("ReserveStock", request)
        told = caller.send("GetStock", v1.GetStockRequest(product_id="a")).stock
        load.goes_on()
    assert (told.available, told.allocated) == (0, CALLS)
    used.wait_until_as_before()
    nothing_is_held(place)
    tell(check(place, load))


def hold(reservation_id: str) -> v1.ReserveStockRequest:
    line = v1.LineRequest(product_id="a", quantity=1)
    return v1.ReserveStockRequest(reservation_id=reservation_id, lines=[line], never_expires=True)


@pytest.mark.fault(34)
def test_callers_who_read_nothing(
    place_without_server: Place, chance: random.Random, tell: Callable[..., None]
) -> None:
    """The places of watches, exports and sessions that nobody reads are free again, their snapshots too."""
    place = place_without_server
    place.start_server(stream_write_timeout_s=0.5, watchers_max=WATCHES)
    used = Used(place)
    asked = {"WatchStock": v1.WatchStockRequest(from_beginning=True), "ExportStock": v1.ExportStockRequest()}
    item = v1.ReserveStockItem(item_id="i", lines=[v1.LineRequest(product_id="nothing", quantity=1)])
    session = v1.ReserveStockStreamRequest(items=[item])
    with Load(lambda: place.server.address, chance, workers=2) as load, ExitStack() as wires:
        for method, request in {**asked, "ReserveStockStream": session}.items():
            wire = wires.enter_context(Wire(place.server.address))
            wire.send(PREFACE + NO_WINDOW + frame(SETTINGS, ACK))
            for stream in (wire.new_stream() for _ in range(WATCHES)):
                opened = frame(HEADERS, END_HEADERS, stream, call_fields(f"{SERVICE}/{method}"))
                message = grpc_message(request.SerializeToString())
                wire.send(opened + frame(DATA, END_STREAM, stream, message))
            wait_until_answering(wire)
        load.goes_on()
        others = Caller(lambda: place.server.address)
        with closing(others):
            for method, request in asked.items():
                until(lambda: is_let_in(others, method, request), f"a place for {method}", WAIT_S)  # noqa: B023
    used.wait_until_as_before()
    nothing_is_held(place)
    tell(check(place, load))


def wait_until_answering(wire: Wire) -> None:
    """Wait until all calls have begun to be answered: what is refused has no head that another follows."""
    begun: set[int] = set()

    def look() -> bool:
        begun.update(f.stream for f in wire.frames() if f.kind == HEADERS and not f.flags & END_STREAM)
        return len(begun) == WATCHES

    until(look, "each has an answer that it does not read", WAIT_S)


def is_let_in(caller: Caller, method: str, request: object) -> bool:
    """Whether a call is answered by a stream's first message."""
    call = caller.listen(method, request)
    try:
        return next(call) is not None
    except grpc.RpcError as error:
        assert decode_error(error).reason_name == "OVERLOADED"
        return False
    finally:
        call.cancel()


def nothing_is_held(place: Place) -> None:
    """Wait until no session of the database is in the midst of anything."""
    busy = (
        "SELECT FROM pg_stat_activity WHERE backend_type = 'client backend' AND state <> 'idle'"
        " AND pid <> pg_backend_pid()"
    )
    until(lambda: not place.rows(busy), "every session is idle", WAIT_S)
