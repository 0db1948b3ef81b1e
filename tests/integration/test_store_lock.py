"""The lock that servers take on a store before they begin: it spares aborted batches, and decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from inventory_server.db.connection import EngineConnection
from inventory_server.db.sqlstate import Conflict
from inventory_server.domain.commands import CreateStock
from support.engine import Database, plus, running_engine

HELD = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND granted AND pid = %s"
KEY = "SELECT pg_advisory_lock(hashtextextended(%s, 0))"


@pytest.fixture
async def connection(database: Database) -> AsyncIterator[EngineConnection]:
    made = await EngineConnection.connect(database.url, locks_stores=True, lock_timeout="200ms")
    yield made
    await made.close()


def held(database: Database, connection: EngineConnection) -> int:
    count: int = database.one(HELD, connection.pid)
    return count


async def test_servers_take_turns(database: Database) -> None:
    """Two servers change one product side by side: no batch is aborted, where without the lock many are."""
    async with (
        running_engine(database.url, locks_stores=True) as (one, _),
        running_engine(database.url, locks_stores=True) as (two, _),
    ):
        await one.change(database.store, CreateStock("a", 0), deadline_s=30)

        async def work(number: int) -> None:
            for _ in range(25):
                await (one, two)[number % 2].change(database.store, plus("a"), deadline_s=30)

        await asyncio.gather(*map(work, range(8)))
        told = [await engine.statistics(database.store, deadline_s=5) for engine in (one, two)]
    assert database.level("a") == (200, 0)
    assert [each.store.totals.conflicts for each in told] == [0, 0]


async def test_the_lock_is_held_for_the_transaction(database: Database, connection: EngineConnection) -> None:
    """From before BEGIN until after COMMIT, or ROLLBACK, or a failure of either; never longer."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
    calls = [("store", {})]
    await connection.begin(database.store, calls)
    assert held(database, connection) == 1
    await connection.commit(database.store, [])
    assert held(database, connection) == 0

    await connection.begin(database.store, calls)
    await connection.rollback()
    assert held(database, connection) == 0

    await connection.begin(database.store, calls)
    change = "UPDATE stock_level SET updated_at = now() WHERE store_id = %s RETURNING 1"
    assert database.rows(change, database.store) == [(1,)]
    with pytest.raises(Conflict):
        await connection.commit(database.store, [("levels", {"products": ["a"]})])
    await connection.rollback()
    assert held(database, connection) == 0
    assert connection.is_usable


async def test_a_lock_that_cannot_be_had(database: Database, connection: EngineConnection) -> None:
    """Whoever sits on the lock costs time, never a call: after lock_timeout the batch goes on without."""
    with database.locked(KEY, database.store):
        await connection.begin(database.store, [("store", {})])
        assert held(database, connection) == 0
        await connection.commit(database.store, [])
    await connection.begin(database.store, [("store", {})])
    assert held(database, connection) == 1
    await connection.commit(database.store, [])


async def test_another_store_is_not_waited_for(database: Database, connection: EngineConnection) -> None:
    """A lock is of one store."""
    with database.locked(KEY, "another"):
        await connection.begin(database.store, [("store", {})])
        assert held(database, connection) == 1
        await connection.commit(database.store, [])
