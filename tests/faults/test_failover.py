"""Fault 8: PostgreSQL dies for good, and its synchronous standby takes its place."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator

import pytest

from inventory_client import v1
from support.faults.calls import Caller
from support.faults.load import WORKERS, Load
from support.faults.place import WAIT_S, Place, placed
from support.faults.promises import check
from support.faults.standby import BarePostgres, fail_over, standby_of
from support.polling import until

Tell = Callable[[dict[str, object]], None]


@pytest.fixture
def pair() -> Iterator[tuple[Place, BarePostgres]]:
    """A PostgreSQL whose COMMITs wait for its standby, and a server that knows both by one URL."""
    with placed("simulator") as place:
        standby = standby_of(place)
        try:
            place.rows("CREATE ROLE app LOGIN IN ROLE inventory_service")
            both = f"postgresql://app@/inventory?host={place.door},{standby.run_dir}"
            place.start_server(f"{both}&target_session_attrs=read-write")
            yield place, standby
        finally:
            standby.stop()


@pytest.mark.fault(8)
def test_a_failover_under_load(pair: tuple[Place, BarePostgres], chance: random.Random, tell: Tell) -> None:
    """SIGKILL of the primary, promotion: the server goes on by itself, nothing acknowledged is lost."""
    place, standby = pair
    with Load(lambda: place.server.address, chance, pays=True) as load:
        load.goes_on(chance.randint(40, 200))
        killed_at = time.monotonic()
        place.kill_postgres()
        load.wait_for_doubt()
        fail_over(place, standby)
        # One answer to each worker may have been under way.
        load.goes_on(WORKERS + 1)
        first_new_ok_s = time.monotonic() - killed_at
        load.goes_on()
    tell(check(place, load) | {"first_new_ok_s": first_new_ok_s})


@pytest.mark.fault(8, full=True)
@pytest.mark.parametrize("method", ["CreateStockTransaction", "DeleteCart"])
def test_no_answer_before_the_standby_has_it(
    pair: tuple[Place, BarePostgres], method: str, tell: Tell
) -> None:
    """The standby hears nothing: nobody is told OK before it has the change, however often he asks."""
    place, standby = pair
    caller = Caller(lambda: place.server.address)
    caller.send("CreateStock", v1.CreateStockRequest(product_id="a", quantity=10, request_id="a"))
    caller.send("CreateCart", v1.CreateCartRequest(cart_id="c", currency="EUR"))
    request = {
        "CreateStockTransaction": v1.CreateStockTransactionRequest(
            product_id="a", action=v1.StockAction.STOCK_ACTION_INCREMENT, quantity=5, request_id="q"
        ),
        "DeleteCart": v1.DeleteCartRequest(cart_id="c", request_id="q"),
    }[method]
    standby.freeze()
    # The server gives the connection up, ends its backend, and could find what it did; so could a repeat.
    for timeout_s in (20, 5):
        call = caller.start(method, request, timeout_s)
        until(call.done, "the call ends", WAIT_S)
        assert call.code().name in ("UNAVAILABLE", "DEADLINE_EXCEEDED")
    assert "connection_lost" in "".join(place.server.last_errors)
    place.kill_postgres()
    standby.thaw()
    fail_over(place, standby)
    caller.send(method, request)
    assert caller.send(method, request).replayed
    with place.database() as database:
        assert database.level("a") == ((15, 0) if method == "CreateStockTransaction" else (10, 0))
    caller.close()
    tell(check(place))
