"""Fault 7: SIGTERM under load."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from support.faults.load import Load
from support.faults.place import WAIT_S, Place
from support.faults.promises import check
from support.polling import until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@contextmanager
def watched_health(address: str) -> Iterator[list[int]]:
    """Watch a server's health; yield what it said, which is whole after the block."""
    said: list[int] = []
    with grpc.insecure_channel(address) as channel:
        watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
        thread = threading.Thread(target=lambda: said.extend(answer.status for answer in watch))
        thread.start()
        yield said
        thread.join(WAIT_S)
        assert not thread.is_alive()


@pytest.mark.fault(7)
def test_stopped_and_started_under_load(
    shop_place: Place, chance: random.Random, load_factor: int, tell: Callable[..., None]
) -> None:
    """Health says no, the exit status is 0; what was in flight is answered, or done once by the next."""
    place = shop_place
    with Load(lambda: place.server.address, chance, pays=True) as load:
        for _ in range(load_factor):
            load.goes_on(chance.randint(40, 200))
            with watched_health(place.server.address) as said:
                until(lambda: said[-1:] == [SERVING], "it serves", WAIT_S)
                assert place.server.stop(WAIT_S) == 0
            # Where the machine is busy the database may have been away for a moment in between.
            assert (said[0], said[-1]) == (SERVING, NOT_SERVING)
            place.start_server()
            load.goes_on()
    tell(check(place, load) | {"stops": load_factor})
