"""The engine's own way to libpq: what goes and comes is what psycopg's cursors would send and bring."""

from __future__ import annotations

import asyncio
import gc
import os
import socket
import struct
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest
import uvloop
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory_server.db.connection import EngineConnection
from inventory_server.db.parameters import written
from inventory_server.db.pipeline import Pipeline, Row
from inventory_server.db.queries import Statement
from inventory_server.db.sqlstate import ConnectionLost, StatementRefused
from inventory_server.domain.commands import CreateStock
from inventory_server.engine.errors import DatabaseUnavailable
from support.engine import Database, eventually, plus, running_engine
from support.polling import WAIT_S

TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
MOMENTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": TEXTS,
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "double precision": st.floats(allow_nan=False, allow_infinity=False),
    "timestamptz": MOMENTS,
    "bytea": st.binary(),
}


class Trips:
    """A pipeline, and beside it a connection of psycopg's own kind to the same database."""

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self.connection = connection
        self.pid = connection.info.backend_pid
        self.pipeline = Pipeline(connection)

    async def run(self, *texts: str, **params: Any) -> list[list[Row]]:
        statements = [Statement.of(text, text) for text in texts]
        return await self.pipeline.trip(
            [(each, [written(params[name]) for name in each.parameters]) for each in statements]
        )


@pytest.fixture
async def trips(postgres: Any) -> AsyncIterator[Trips]:
    options = "-c TimeZone=UTC -c client_encoding=UTF8"
    connection = await psycopg.AsyncConnection.connect(postgres.url, autocommit=True, options=options)
    made = Trips(connection)
    yield made
    made.pipeline.close()
    await connection.close()


@pytest.fixture
async def engines_own(database: Database) -> AsyncIterator[EngineConnection]:
    connection = await EngineConnection.connect(database.url)
    yield connection
    await connection.close()


# --- values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", VALUES)
async def test_values_are_those_of_the_ordinary_adapter(postgres: Any, trips: Trips, kind: str) -> None:
    """Alone, in an array and as NULL: both ways bring the same, and it is what was sent."""
    text = f"SELECT %(one)s::{kind}, %(many)s::{kind}[], cardinality(%(many)s::{kind}[])"
    loop = asyncio.get_running_loop()

    def check(ordinary: psycopg.Connection[Any]) -> None:
        @given(one=st.none() | VALUES[kind], many=st.lists(st.none() | VALUES[kind], max_size=9))
        @settings(max_examples=50)
        def both_ways(one: Any, many: list[Any]) -> None:
            ours = asyncio.run_coroutine_threadsafe(trips.run(text, one=one, many=many), loop).result(20)
            sent: Any = text
            assert ours == [ordinary.execute(sent, {"one": one, "many": many}, binary=True).fetchall()]
            assert ours == [[(one, many, len(many))]]

        both_ways()

    with psycopg.connect(postgres.url, autocommit=True, options="-c TimeZone=UTC") as ordinary:
        await asyncio.to_thread(check, ordinary)


async def test_a_statement_is_prepared_once(trips: Trips) -> None:
    """Run again it brings other rows, none and many of them, and stands once among those prepared."""
    text = "SELECT n, n::text FROM generate_series(1, %(count)s::int) AS n"
    for count in (2, 0, 3):
        assert await trips.run(text, count=count) == [[(n, str(n)) for n in range(1, count + 1)]]
    prepared = "SELECT count(*) FROM pg_prepared_statements WHERE name LIKE 'SELECT n%'"
    assert await trips.run(prepared) == [[(1,)]]


async def test_more_than_the_socket_takes(trips: Trips) -> None:
    """Megabytes both ways at once, while the far side answers before it has read all of them."""
    text = "SELECT %(values)s::text[]"
    values = ["x" * 1000] * 4000
    results = await trips.run(*[f"{text} -- {n}" for n in range(4)], values=values)
    assert results == [[(values,)]] * 4


async def test_a_trip_that_cannot_be_sent(trips: Trips) -> None:
    """It fails with the connection's error, and leaves nothing behind that is logged as never heard."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    with socket.socket(fileno=os.dup(trips.connection.fileno())) as ours:
        ours.shutdown(socket.SHUT_RDWR)
    step = Statement.of("one", "SELECT 1"), ()
    with pytest.raises(psycopg.OperationalError):
        await trips.pipeline.trip([step], before=step, after=step)  # its second Sync finds out
    gc.collect()
    assert told == []


@pytest.mark.parametrize("text", ["a\0b", "\ud800"])
async def test_a_text_that_cannot_be(engines_own: EngineConnection, database: Database, text: str) -> None:
    """It is refused before anything is sent: never cut short, and the transaction goes on."""
    await engines_own.begin(database.store, [("store", {})])
    for value in (text, [text]):
        with pytest.raises(StatementRefused):
            await engines_own.fetch(database.store, [("stocks", {"products": value})])
    assert await engines_own.fetch(database.store, [("stocks", {"products": ["a"]})]) == [[]]
    await engines_own.commit(database.store, [])


# --- failures ------------------------------------------------------------------------------------


async def test_what_stands_after_a_failure_is_not_run(trips: Trips) -> None:
    """The first error is raised; what follows is neither run nor taken for prepared: it can be sent again."""
    with pytest.raises(psycopg.errors.DivisionByZero):
        await trips.run("BEGIN", "SELECT 1", "SELECT 1 / 0", "SELECT 2")
    with pytest.raises(psycopg.errors.InFailedSqlTransaction):
        await trips.run("SELECT 1")
    assert await trips.run("ROLLBACK", "SELECT 1", "SELECT 2") == [[], [(1,)], [(2,)]]
    with pytest.raises(psycopg.errors.SyntaxError):
        await trips.run("SELECT 3", "SELEC")
    assert await trips.run("SELECT 3") == [[(3,)]]


async def test_a_notice_is_no_result(trips: Trips) -> None:
    """What a statement says beside its result changes nothing."""
    assert await trips.run("DO $$ BEGIN RAISE WARNING 'look'; END $$", "SELECT 1") == [[], [(1,)]]


async def test_a_trip_that_is_cancelled_closes_its_connection(trips: Trips, database: Database) -> None:
    """Its results must not be taken for those of the next trip."""
    trip = asyncio.create_task(trips.run("SELECT pg_sleep(30)"))
    await eventually(
        lambda: (
            database.one("SELECT wait_event FROM pg_stat_activity WHERE pid = %s", trips.pid) == "PgSleep"
        ),
        "it sleeps",
    )
    trip.cancel()
    with pytest.raises(asyncio.CancelledError):
        await trip
    assert not trips.pipeline.is_open
    with pytest.raises(psycopg.InterfaceError):
        await trips.run("SELECT 1")
    assert database.one("SELECT pg_terminate_backend(%s)", trips.pid)


async def test_two_trips_at_once(trips: Trips) -> None:
    """The second is a defect of the caller's and says so; the first is not disturbed."""
    first = asyncio.create_task(trips.run("SELECT 1, pg_sleep(0.05)::text"))
    await asyncio.sleep(0)
    with pytest.raises(psycopg.InterfaceError):
        await trips.run("SELECT 2")
    assert await first == [[(1, "")]]


async def test_the_backends_last_words(engines_own: EngineConnection, database: Database) -> None:
    """A backend that is ended in mid-trip: the connection is lost, and the SQLSTATE says why."""
    with database.locked("SELECT") as holder:
        holder.execute("LOCK stock_level")
        trip = asyncio.create_task(engines_own.begin(database.store, [("levels", {"products": ["a"]})]))
        await eventually(lambda: database.blocked(holder), "the load waits")
        assert database.one("SELECT pg_terminate_backend(%s)", engines_own.pid)
        with pytest.raises(ConnectionLost) as raised:
            await trip
    assert raised.value.sqlstate == "57P01"
    assert not engines_own.is_usable


async def test_a_connection_that_dies_while_it_is_idle(
    engines_own: EngineConnection, database: Database
) -> None:
    """It is known before anybody wants it."""
    assert database.one("SELECT pg_terminate_backend(%s)", engines_own.pid)
    await eventually(lambda: not engines_own.is_usable, "the end is seen")
    await engines_own.rollback()


async def test_prepared_statements_that_were_thrown_away(
    engines_own: EngineConnection, database: Database
) -> None:
    """A pooler that discards them costs the connection, and the batch is run again on another."""
    await engines_own.begin(database.store, [("store", {})])
    await engines_own.commit(database.store, [])
    discard = Statement.of("discard", "DEALLOCATE ALL")
    await engines_own._pipeline.trip([(discard, ())])
    with pytest.raises(ConnectionLost):
        await engines_own.begin(database.store, [("store", {})])
    assert not engines_own.is_usable


@pytest.mark.fault(13)
async def test_a_plan_that_a_migration_made_stale(database: Database) -> None:
    """A column's type changes under a running server: one UNAVAILABLE, and the next connection knows it."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 10), deadline_s=20)
        change = "ALTER TABLE store ALTER COLUMN default_hold_s TYPE integer"
        database.connection.execute(change)
        try:
            with pytest.raises(DatabaseUnavailable):
                await engine.change(database.store, plus("a"), deadline_s=20)
            assert (await engine.change(database.store, plus("a"), deadline_s=20)).entry.level.available == 11
        finally:
            database.connection.execute(change.replace("integer", "bigint"))


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_reset_behind_its_last_words(new_loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    """Something came and then the connection was reset: both are noticed, on the server's loop too."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(_last_words())


async def _last_words() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        address = (
            f"host=127.0.0.1 port={listening.getsockname()[1]} user=x sslmode=disable gssencmode=disable"
        )
        connecting = asyncio.create_task(psycopg.AsyncConnection.connect(address, autocommit=True))
        backend, _ = await asyncio.to_thread(listening.accept)
        await asyncio.to_thread(backend.recv, 8192)
        # Let in, and ready for a query (PostgreSQL manual, "Message Formats").
        backend.sendall(b"R\0\0\0\x08\0\0\0\0" + b"Z\0\0\0\x05I")
        connection = await connecting
        pipeline = Pipeline(connection)
        trip = asyncio.create_task(pipeline.trip([(Statement.of("one", "SELECT 1"), ())]))
        await asyncio.sleep(0)
        backend.recv(8192)
        # The loop hears of both at once: it does not run in between.
        words = b"SFATAL\0VFATAL\0C57P01\0Mthe end\0\0"
        backend.sendall(b"E" + struct.pack("!i", len(words) + 4) + words)
        backend.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        backend.close()
        with pytest.raises(psycopg.errors.AdminShutdown, match="the end"):
            await asyncio.wait_for(trip, WAIT_S)
        assert not pipeline.is_open
        await connection.close()
