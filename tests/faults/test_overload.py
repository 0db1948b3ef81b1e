"""Fault 33: ten times as many callers as there is room for."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing

import pytest

from inventory_client import v1
from inventory_client.errors import decode_error
from support.faults.calls import Caller
from support.faults.place import WAIT_S, Place
from support.faults.promises import check
from support.faults.used import Used
from support.polling import until

ROOM = 50
CALLS = 10 * ROOM
GROWN_MIB_MAX = 100


def stock(product_id: str) -> v1.CreateStockRequest:
    return v1.CreateStockRequest(product_id=product_id, quantity=1, request_id=product_id)


def batches(caller: Caller) -> int:
    """Return how many transactions the server has committed."""
    told = caller.send("GetServiceStatistics", v1.GetServiceStatisticsRequest())
    count: int = told.totals.batches
    return count


@pytest.mark.fault(33)
def test_ten_times_what_there_is_room_for(place_without_server: Place, tell: Callable[..., None]) -> None:
    """Who finds no room is told so, and to come back, at once; the others' work costs what it does alone."""
    place = place_without_server
    place.start_server(queue_commands_max=ROOM, queue_commands_max_total=ROOM, call_timeout_s=WAIT_S)
    place.build_gate()
    used = Used(place)
    requests = [stock(f"p-{number}") for number in range(CALLS)]
    caller = Caller(lambda: place.server.address)
    with closing(caller), place.database() as database:
        with database.gate_closed() as holder:
            lead = caller.start("CreateStock", stock("lead"), WAIT_S)
            until(lambda: database.blocked(holder), "a batch is under way", WAIT_S)
            calls = [caller.start("CreateStock", request, WAIT_S) for request in requests]
            # Nothing is committed meanwhile, so that who is answered now had not to wait for anybody.
            too_many = CALLS - ROOM
            until(lambda: sum(call.done() for call in calls) >= too_many, "the others are refused", WAIT_S)
            refused = [request for request, call in zip(requests, calls, strict=True) if call.done()]
            told = [decode_error(call.exception()) for call in calls if call.done()]
            waiting = [call for call in calls if not call.done()]
        assert len(refused) == too_many
        assert {error.reason_name for error in told} == {"OVERLOADED"}
        assert all(error.retry_after_s for error in told)
        for call in (lead, *waiting):
            call.result()
        # One transaction for the first, and one for all who had room, however many were refused.
        assert batches(caller) == 2
        assert database.rows("SELECT count(*) FROM stock_level") == [(1 + ROOM,)]
        for request in refused:
            caller.send("CreateStock", request)
        assert used.grown_mib() < GROWN_MIB_MAX
    tell(check(place) | {"refused": len(refused)})
