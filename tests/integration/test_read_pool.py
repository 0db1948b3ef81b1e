"""Reads: what is run again, how often, and how many may wait for a connection."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest
from psycopg_pool import TooManyRequests

from inventory_server.db import read_pool
from inventory_server.db.read_pool import ReadPool, ReadTransaction
from inventory_server.db.sqlstate import Conflict, Unavailable
from support.engine import Database, eventually


@asynccontextmanager
async def opened(database_url: str) -> AsyncIterator[ReadPool]:
    """A pool of one connection."""
    pool = ReadPool(database_url, 1)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


async def store_exists(transaction: ReadTransaction) -> bool:
    return bool((await transaction.fetch([("store_exists", {})]))[0][0][0])


@pytest.mark.parametrize("conflicts", [read_pool._ATTEMPTS_MAX - 1, read_pool._ATTEMPTS_MAX])
async def test_a_read_in_a_writers_way_is_run_again(database: Database, conflicts: int) -> None:
    """So often, and then its caller is told; each time from its beginning."""
    attempts = 0

    async def read(transaction: ReadTransaction) -> bool:
        nonlocal attempts
        attempts += 1
        if attempts <= conflicts:
            raise psycopg.errors.SerializationFailure("made by the test")
        return await store_exists(transaction)

    async with opened(database.url) as pool:
        if conflicts < read_pool._ATTEMPTS_MAX:
            assert await pool.run(database.store, read, deadline_s=20)
        else:
            with pytest.raises(Conflict):
                await pool.run(database.store, read, deadline_s=20)
    assert attempts == read_pool._ATTEMPTS_MAX


async def test_as_many_as_may_wait_for_a_connection(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many wait and are answered; one more is told at once that there is none."""
    monkeypatch.setattr(read_pool, "_WAITING_MAX", 1)
    monkeypatch.setattr(read_pool, "CONNECTION_WAIT_S", 20.0)
    inside, leave = asyncio.Event(), asyncio.Event()

    async def stay(transaction: ReadTransaction) -> bool:
        inside.set()
        await leave.wait()
        return await store_exists(transaction)

    async with opened(database.url) as pool:
        first = asyncio.create_task(pool.run(database.store, stay, deadline_s=20))
        await inside.wait()
        second = asyncio.create_task(pool.run(database.store, store_exists, deadline_s=20))
        await eventually(lambda: pool._pool.get_stats().get("requests_waiting") == 1, "one waits")
        with pytest.raises(Unavailable) as told:
            await pool.run(database.store, store_exists, deadline_s=20)
        assert isinstance(told.value.__cause__, TooManyRequests)
        leave.set()
        assert await asyncio.gather(first, second) == [True, True]
