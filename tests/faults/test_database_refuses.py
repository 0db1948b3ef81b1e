"""Faults 9 and 10: PostgreSQL is there and says no, to a session or to a statement."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from inventory_client import v1
from inventory_client.errors import decode_error
from support.faults.calls import Caller
from support.faults.place import WAIT_S, Place, placed
from support.faults.promises import check
from support.faults.standby import BarePostgres
from support.polling import until

Tell = Callable[..., None]
OURS = "usename = 'app' AND datname = 'inventory'"


@pytest.fixture
def app_place() -> Iterator[Place]:
    """A server whose login is no superuser."""
    with placed() as place:
        place.rows("CREATE ROLE app LOGIN IN ROLE inventory_service")
        place.start_server(place.url.replace("postgres@", "app@"))
        yield place


@contextmanager
def calling(place: Place) -> Iterator[Caller]:
    caller = Caller(lambda: place.server.address)
    caller.send("CreateStock", v1.CreateStockRequest(product_id="a", quantity=10, request_id="a"))
    yield caller
    caller.close()


def plus(request_id: str) -> v1.CreateStockTransactionRequest:
    return v1.CreateStockTransactionRequest(
        product_id="a", action=v1.StockAction.STOCK_ACTION_INCREMENT, quantity=1, request_id=request_id
    )


def reason_of(caller: Caller, method: str, request: object) -> str:
    """Return why a call is refused, once."""
    call = caller.start(method, request, 20)
    error = call.exception()
    return decode_error(error).reason_name if error else "OK"


def end_sessions(place: Place) -> None:
    """End all sessions of the server, so that its next ones begin as the database now has them begin."""
    ended = place.rows(f"SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE {OURS}")
    assert (True,) in ended


@pytest.mark.fault(9)
def test_sessions_that_were_ended_while_they_were_idle(app_place: Place, tell: Tell) -> None:
    """57P01: every pooled connection is dead, and neither a write nor a read is told of it."""
    with calling(app_place) as caller:
        for number in range(5):
            end_sessions(app_place)
            assert reason_of(caller, "CreateStockTransaction", plus(f"q{number}")) == "OK"
            assert reason_of(caller, "GetStock", v1.GetStockRequest(product_id="a")) == "OK"
    tell(check(app_place))


@pytest.mark.fault(9)
def test_too_many_connections(app_place: Place, tell: Tell) -> None:
    """53300: UNAVAILABLE and NOT_SERVING, and by itself all is well when there is room again."""
    place = app_place
    with calling(place) as caller:
        place.rows("ALTER ROLE app CONNECTION LIMIT 0")
        end_sessions(place)
        assert reason_of(caller, "CreateStockTransaction", plus("q")) == "DATABASE_UNAVAILABLE"
        assert reason_of(caller, "GetStock", v1.GetStockRequest(product_id="a")) == "DATABASE_UNAVAILABLE"
        place.wait_until_not_serving()
        place.rows("ALTER ROLE app CONNECTION LIMIT -1")
        caller.send("CreateStockTransaction", plus("q"))
    tell(check(place))


@pytest.mark.fault(9)
def test_a_database_that_takes_no_writes(app_place: Place, tell: Tell) -> None:
    """25006: writes are UNAVAILABLE and change nothing, reads go on."""
    place = app_place
    with calling(place) as caller:
        place.rows("ALTER ROLE app SET default_transaction_read_only = on")
        end_sessions(place)
        assert reason_of(caller, "CreateStockTransaction", plus("q")) == "DATABASE_UNAVAILABLE"
        assert caller.send("GetStock", v1.GetStockRequest(product_id="a")).stock.total == 10
        place.rows("ALTER ROLE app RESET default_transaction_read_only")
        end_sessions(place)
        caller.send("CreateStockTransaction", plus("q"))
    tell(check(place))


@pytest.mark.fault(9)
def test_a_database_that_is_starting_up(app_place: Place, tell: Tell) -> None:
    """57P03, for as long as it takes: UNAVAILABLE and NOT_SERVING, and then it serves by itself."""
    place = app_place
    with calling(place) as caller:
        place.kill_postgres()
        cluster = place.folder / "data" / "postgresql"
        (cluster / "standby.signal").touch()
        starting = BarePostgres(cluster, {"hot_standby": "off"})
        try:
            place.door.unlink()
            place.door.symlink_to(starting.run_dir)
            starting.wait_until_refusing("Hot standby mode is disabled")
            assert reason_of(caller, "CreateStockTransaction", plus("q")) == "DATABASE_UNAVAILABLE"
            place.wait_until_not_serving()
        finally:
            starting.stop()
        (cluster / "standby.signal").unlink()
        place.start_postgres()
        caller.send("CreateStockTransaction", plus("q"))
    tell(check(place))


@pytest.mark.fault(10)
def test_a_statement_that_is_cancelled(place: Place, tell: Tell) -> None:
    """57014, as statement_timeout raises it: UNAVAILABLE, nothing was changed, the connection goes on."""
    with calling(place) as caller, place.database() as database:
        with database.level_locked("a") as holder:
            call = caller.start("CreateStockTransaction", plus("q"), WAIT_S)
            until(lambda: database.blocked(holder), "the load waits", WAIT_S)
            (pid,) = database.blocked(holder)
            assert database.one("SELECT pg_cancel_backend(%s)", pid)
            error = call.exception()
        assert decode_error(error).reason_name == "DATABASE_UNAVAILABLE"
        assert database.level("a") == (10, 0)
        caller.send("CreateStockTransaction", plus("q"))
        assert database.level("a") == (11, 0)
    tell(check(place))


@pytest.mark.fault(10, full=True)
def test_a_lock_that_is_not_given_up(place: Place, tell: Tell) -> None:
    """55P03, lock_timeout: the batch is run again, and whoever waits long enough is answered."""
    with calling(place) as caller, place.database() as database:
        with database.level_locked("a"):
            call = caller.start("CreateStockTransaction", plus("q"), WAIT_S)
            until(lambda: "55P03" in "".join(place.server.last_errors), "lock_timeout is over", WAIT_S)
        assert call.result().stock_transaction.available_after == 11
    tell(check(place))


@pytest.mark.fault(10, full=True)
def test_a_server_that_stood_still_in_a_transaction(place: Place, tell: Tell) -> None:
    """25P03, idle in transaction: the backend ends and frees its locks; what was begun is done once."""
    with calling(place) as caller, place.database() as database:
        with database.level_locked("a") as holder:
            call = caller.start("CreateStockTransaction", plus("q"), 3 * WAIT_S)
            until(lambda: database.blocked(holder), "the load waits", WAIT_S)
            (pid,) = database.blocked(holder)
            os.kill(place.server.pid, signal.SIGSTOP)
        gone = "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE pid = %s)"
        try:
            until(lambda: database.one(gone, pid), "its backend is ended", 2 * WAIT_S)
        finally:
            os.kill(place.server.pid, signal.SIGCONT)
        assert call.result().stock_transaction.available_after == 11
        assert len(database.entries("a")) == 2
    tell(check(place))
