"""Fault 12 staged: each kind of conflict, where it can arise, between a server's batch and another writer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager

import grpc
import psycopg
import pytest

from inventory_client import v1
from support.database import holding
from support.engine import Database
from support.faults.calls import Caller
from support.faults.place import WAIT_S, Place
from support.faults.promises import check
from support.polling import until

Tell = Callable[[dict[str, object]], None]

# Both are `default`'s: what another writer makes is whole, so that the laws hold afterwards.
_NEW_LEVEL = "INSERT INTO stock_level VALUES ('default', 'a', 'attic', 9, 0, 0, 1, now())"
_ITS_ENTRY = (
    "INSERT INTO stock_transaction VALUES ('default', 'a', 'attic', 1, 'INCREMENT', 9, 9, 0, 0, NULL, NULL,"
    " '', '', NULL, now())"
)
_LOCK = "SELECT FROM stock_level WHERE product_id = %s FOR UPDATE"
# The batch's side looks for a deadlock once, so long after it began to wait: the circle is closed by then, or
# its lock_timeout of 5 s ends the wait and it is tried again.
_DEADLOCK_TIMEOUT = "4s"
_DEADLOCKS_TRIED_MAX = 20


class Stage:
    """A caller of the server, and a view of the database."""

    def __init__(self, place: Place, caller: Caller, database: Database) -> None:
        self.place = place
        self.caller = caller
        self.database = database

    def plus_one(self, name: str, location: str = "default") -> grpc.Future:
        """Begin to add a unit of `a`."""
        request = v1.CreateStockTransactionRequest(
            product_id="a", action=v1.StockAction.STOCK_ACTION_INCREMENT, quantity=1, location=location,
            request_id=name,
        )  # fmt: skip
        return self.caller.start("CreateStockTransaction", request, WAIT_S)

    def wait_for(self, other: psycopg.Connection) -> None:
        until(lambda: self.database.blocked(other), "the batch waits", WAIT_S)

    def conflicts(self) -> list[str]:
        """Return the SQLSTATEs for which batches were run again so far."""
        lines = map(json.loads, self.place.server.last_errors)
        return [line["sqlstate"] for line in lines if line["event"] == "batch_conflict"]


@contextmanager
def staged(place: Place) -> Iterator[Stage]:
    place.build_gate()
    place.rows(f"ALTER SYSTEM SET deadlock_timeout = '{_DEADLOCK_TIMEOUT}'")
    place.rows("SELECT pg_reload_conf()")
    place.start_server()
    caller = Caller(lambda: place.server.address)
    with closing(caller), place.database() as database:
        for product in "ab":
            made = v1.CreateStockRequest(product_id=product, quantity=100, request_id=product)
            caller.send("CreateStock", made)
        caller.send("CreateLocation", v1.CreateLocationRequest(slug="attic", request_id="attic"))
        yield Stage(place, caller, database)


@pytest.mark.fault(12)
def test_each_kind_of_conflict(place_without_server: Place, tell: Tell) -> None:
    """40001 at read, write and COMMIT, and 40P01: the batch is run again, and its caller told OK, once."""
    steps = {
        at_read: {"40001"},
        # Where the row's index says it before SERIALIZABLE does, it is a unique violation.
        at_write: {"40001", "23505"},
        at_commit: {"40001"},
        in_a_deadlock: {"40P01", "55P03"},
    }
    with staged(place_without_server) as stage:
        for step, sqlstates in steps.items():
            seen = len(stage.conflicts())
            step(stage)
            until(lambda: len(stage.conflicts()) > seen, "the server tells of it", WAIT_S)  # noqa: B023
            assert set(stage.conflicts()[seen:]) <= sqlstates
        assert "40P01" in stage.conflicts()
        # 100 made, one at read and one at COMMIT came to them.
        held = stage.database.one("SELECT count(*) FROM reservation")
        assert stage.database.rows(
            "SELECT product_id, location, available, allocated FROM stock_level ORDER BY 1, 2"
        ) == [("a", "attic", 10, 0), ("a", "default", 102 - held, held), ("b", "default", 100 - held, held)]
        conflicts = len(stage.conflicts())
    tell(check(place_without_server) | {"conflicts": conflicts})


def at_read(stage: Stage) -> None:
    """A level is changed after the batch's snapshot and before it locks it."""
    with stage.database.locked("UPDATE stock_level SET version = version WHERE product_id = 'a'") as other:
        call = stage.plus_one("read")
        stage.wait_for(other)
        other.commit()
        assert call.result(WAIT_S).stock_transaction.available_after == 101


def at_write(stage: Stage) -> None:
    """A level is opened that the batch opens too."""
    with stage.database.locked(_NEW_LEVEL) as other:
        other.execute(_ITS_ENTRY)
        call = stage.plus_one("write", "attic")
        stage.wait_for(other)
        other.commit()
        assert call.result(WAIT_S).stock_transaction.available_after == 10


def at_commit(stage: Stage) -> None:
    """Write skew: the batch reads the record and writes the level, the other the other way round, first."""
    with stage.database.gate_closed() as gate, holding(stage.database.url) as other:
        other.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        other.execute("SELECT available FROM stock_level WHERE product_id = 'a'")
        call = stage.plus_one("commit")
        stage.wait_for(gate)
        other.execute("UPDATE stock SET created_at = created_at WHERE product_id = 'a'")
        other.commit()
        gate.rollback()
        assert call.result(WAIT_S).stock_transaction.available_after == 102


def in_a_deadlock(stage: Stage) -> None:
    """The other has `b` and wants `a`, of which the batch has the one and wants the other."""
    for number in range(_DEADLOCKS_TRIED_MAX):
        request = v1.ReserveStockRequest(
            reservation_id=f"r{number}",
            lines=[v1.LineRequest(product_id=product, quantity=1, location="default") for product in "ab"],
            never_expires=True,
        )
        with stage.database.locked("SET LOCAL deadlock_timeout = '60s'") as other:
            other.execute(_LOCK, ["b"])
            call = stage.caller.start("ReserveStock", request, WAIT_S)
            stage.wait_for(other)
            other.execute(_LOCK, ["a"])
            other.rollback()
            state = call.result(WAIT_S).reservation.state
            assert state == v1.ReservationState.RESERVATION_STATE_HELD
        if "40P01" in stage.conflicts():
            return
