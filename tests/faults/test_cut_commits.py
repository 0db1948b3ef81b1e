"""Faults 3 to 5: the real server's connections die around COMMIT while it is under load."""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Callable

import pytest

from inventory_loadtest.proxy import Fault, proxy
from inventory_loadtest.wire import database_wire
from inventory_server.db.connection import EngineConnection
from support.faults.load import Load
from support.faults.place import Place
from support.faults.promises import check

Tell = Callable[..., None]


@pytest.mark.fault(3, 4)
def test_commits_that_are_cut_under_load(
    shop_place: Place, chance: random.Random, load_factor: int, tell: Tell
) -> None:
    """Again and again, before and after it was sent: each call takes effect once, and is told so."""
    place = shop_place
    cuts = 10 * load_factor
    with database_wire(place.url) as wire:
        place.start_server(wire.url)
        with Load(lambda: place.server.address, chance, pays=True) as load:
            for _ in range(cuts):
                wire.strike(chance.choice([Fault.CUT_BEFORE, Fault.CUT_AFTER]))
                load.goes_on(20)
        tell(check(place, load) | {"cuts": cuts})
        place.server.stop()


@pytest.mark.fault(5, full=True)
@pytest.mark.parametrize("fault", [Fault.BLACK_HOLE_BEFORE, Fault.BLACK_HOLE_AFTER])
def test_a_commit_that_is_never_heard_of(
    shop_place: Place, chance: random.Random, fault: Fault, tell: Tell
) -> None:
    """Nobody says a word, to either side: given up after a bound; who sends again is told the truth."""
    place = shop_place
    with database_wire(place.url) as wire:
        place.start_server(wire.url)
        with Load(lambda: place.server.address, chance, pays=True) as load:
            wire.strike(fault)
            load.wait_for_doubt()
            load.goes_on()
        tell(check(place, load))
        place.server.stop()


@pytest.mark.fault(5)
async def test_a_host_that_is_gone_is_noticed(place: Place) -> None:
    """The kernel gives up what is not acknowledged within 15 s, and asks after a silent host."""
    async with proxy(place.url) as (_, url):
        connection = await EngineConnection.connect(url)
        with socket.socket(fileno=os.dup(connection._connection.fileno())) as ours:
            found = [
                ours.getsockopt(socket.IPPROTO_TCP, option)
                for option in (socket.TCP_USER_TIMEOUT, socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL)
            ]
        await connection.close()
    assert found == [15_000, 10, 5]
