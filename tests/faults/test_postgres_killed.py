"""Faults 1 and 2: PostgreSQL dies under the server, the whole of it or one backend."""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Callable

import psycopg
import pytest

from inventory_client import v1
from support.engine import GATE
from support.faults.calls import Caller
from support.faults.load import Load
from support.faults.place import WAIT_S, Place, frozen, writers
from support.faults.promises import check
from support.polling import until

Tell = Callable[[dict[str, object]], None]


@pytest.mark.fault(1)
def test_the_postmaster_is_killed(
    shop_place: Place, chance: random.Random, load_factor: int, tell: Tell
) -> None:
    """Killed in mid-load and started again: nothing acknowledged is lost, what was left open is found out."""
    place = shop_place
    with Load(lambda: place.server.address, chance, pays=True) as load:
        for _ in range(2 * load_factor):
            load.goes_on(chance.randint(40, 200))
            place.kill_postgres()
            load.wait_for_doubt()
            place.start_postgres()
            load.goes_on()
    tell(check(place, load) | {"kills": 2 * load_factor})


@pytest.mark.fault(2)
def test_a_backend_is_killed(place: Place, chance: random.Random, load_factor: int, tell: Tell) -> None:
    """In mid-load: PostgreSQL ends all backends and recovers, the server goes on and loses nothing."""
    with Load(lambda: place.server.address, chance) as load:
        for _ in range(2 * load_factor):
            load.goes_on(chance.randint(40, 200))
            ours = place.rows(
                "SELECT pid FROM pg_stat_activity WHERE application_name = 'inventory engine' ORDER BY 1"
            )
            os.kill(int(str(chance.choice(ours)[0])), signal.SIGKILL)
            load.goes_on()
    tell(check(place, load) | {"kills": 2 * load_factor})


@pytest.mark.fault(1)
def test_killed_right_before_a_commit(place_without_server: Place, tell: Tell) -> None:
    """Gone, and its transaction's id becomes that of another who commits: done once all the same."""
    place = place_without_server
    place.build_gate()
    place.start_server()
    caller = Caller(lambda: place.server.address)
    caller.send("CreateStock", v1.CreateStockRequest(product_id="a", quantity=10, request_id="a"))
    with place.database() as database, psycopg.connect(place.postgres.url) as gate, frozen(writers(place)):
        gate.execute("SELECT pg_advisory_xact_lock(%s)", [GATE])
        request = v1.CreateStockTransactionRequest(
            product_id="a", action=v1.StockAction.STOCK_ACTION_INCREMENT, quantity=5, request_id="q"
        )
        call = caller.start("CreateStockTransaction", request, WAIT_S)
        until(lambda: database.blocked(gate), "COMMIT waits", WAIT_S)
        xid = database.one(
            "SELECT backend_xid::text::bigint FROM pg_stat_activity WHERE pid = %s", *database.blocked(gate)
        )
        place.kill_postgres()
        place.close_door()
        gate.close()
    place.start_postgres(opens=False)
    with place.database() as database:
        assert len(database.entries("a")) == 1
        for _ in range(5):
            database.one("SELECT pg_current_xact_id()")
        # Whose it is now, one of these or one of PostgreSQL's own, says nothing; it is not the call's.
        assert database.one("SELECT pg_xact_status(%s::text::xid8)", str(xid)) == "committed"
        place.open_door()
        assert call.result(WAIT_S).stock_transaction.available_after == 15
        assert caller.send("CreateStockTransaction", request).replayed
        assert [quantity for _, _, quantity in database.entries("a")] == [10, 5]
    caller.close()
    tell(check(place))
