"""Fault 8 once more: who fails over is Patroni, by itself; the server only knows both addresses."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest

from support.faults.load import WORKERS, Load
from support.faults.patroni import DATABASE, PlaceUnderPatroni, missing, placed_under_patroni
from support.faults.promises import check

Tell = Callable[[dict[str, object]], None]


@pytest.fixture
def patroni_place() -> Iterator[PlaceUnderPatroni]:
    """A primary and a synchronous standby under Patroni, and a server that knows both by one URL."""
    with placed_under_patroni() as place:
        place.rows("CREATE ROLE app LOGIN IN ROLE inventory_service")
        place.start_server(place.nodes.url_of(DATABASE, "app"))
        yield place


@pytest.mark.fault(8, full=True)
@pytest.mark.skipif(bool(missing()), reason=f"not installed: {missing()}")
def test_patroni_fails_over_under_load(
    patroni_place: PlaceUnderPatroni, chance: random.Random, tell: Tell
) -> None:
    """SIGKILL of the primary and its Patroni: the standby is promoted, nothing acknowledged is lost."""
    place = patroni_place
    with Load(lambda: place.server.address, chance, pays=True) as load:
        load.goes_on(chance.randint(40, 200))
        primary = place.nodes.primary()
        killed_at = time.monotonic()
        primary.kill()
        load.wait_for_doubt()
        # One answer to each worker may have been under way.
        load.goes_on(WORKERS + 1)
        first_new_ok_s = time.monotonic() - killed_at
        load.goes_on()
    assert place.nodes.primary_now() is not primary
    tell(check(place, load) | {"first_new_ok_s": first_new_ok_s})
