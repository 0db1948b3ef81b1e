"""Reads: SERIALIZABLE READ ONLY on a pool of their own, so that they never wait behind a batch.

At REPEATABLE READ a read could see an order that never was (docs/data.md, "Reads").
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from enum import StrEnum
from functools import lru_cache
from typing import Any, TypeVar

import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout, TooManyRequests

from inventory_server.db.connection import POINT_LOOKUPS, Call, Row, connection_string, take_service_role
from inventory_server.db.queries import statement
from inventory_server.db.sqlstate import Conflict, ConnectionLost, Unavailable, translate

T = TypeVar("T")

_READ_SETTINGS = {
    **POINT_LOOKUPS,
    "idle_in_transaction_session_timeout": "30s",
}
STATEMENT_TIMEOUT_S = 10
_ATTEMPTS_MAX = 5
_WAITING_MAX = 1_000
# Past it a read is UNAVAILABLE, well before most callers' deadlines.
CONNECTION_WAIT_S = 1.0
CLOSE_WAIT_S = 2.0


class Snapshot(StrEnum):
    """How a read begins."""

    # What a call is answered with.
    SERIALIZABLE = "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY"
    # Many rows: it waits for a snapshot that no writer can put in doubt, is never run again then, and puts no
    # writer in doubt (PostgreSQL manual, "SET TRANSACTION").
    SAFE = "BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE"
    # Rows alone that no open transaction can still change: there is nothing to be guarded.
    SETTLED = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


class ReadTransaction:
    """One snapshot, of a store unless a call says another."""

    def __init__(self, connection: psycopg.AsyncConnection[Row], store_id: str) -> None:
        self._connection = connection
        self._store_id = self._named_store_id = store_id

    @classmethod
    async def begin(
        cls, connection: psycopg.AsyncConnection[Row], store_id: str, snapshot: Snapshot
    ) -> ReadTransaction:
        """Begin a transaction that has named its store: one round trip."""
        await connection.execute(snapshot.value.encode() + b"; " + _naming(store_id), prepare=False)
        return cls(connection, store_id)

    async def fetch(self, calls: Sequence[Call]) -> list[list[Row]]:
        """Run named statements, without their row locks, in one round trip."""
        cursors = []
        async with self._connection.pipeline():
            for name, params in calls:
                asked = {"store_id": self._store_id, **params}
                if asked["store_id"] != self._named_store_id:
                    self._named_store_id = asked["store_id"]
                    await self._connection.execute(_naming(self._named_store_id), prepare=False)
                cursor = self._connection.cursor(binary=True)
                await cursor.execute(statement(name).text, asked)
                cursors.append(cursor)
        return [await cursor.fetchall() for cursor in cursors]


class ReadPool:
    """Connections for reads.

    Args:
        snapshot: how reads begin that do not say it.
        statement_timeout_s: seconds that one statement may take.
    """

    def __init__(
        self,
        database_url: str,
        size_max: int,
        *,
        snapshot: Snapshot = Snapshot.SERIALIZABLE,
        statement_timeout_s: int = STATEMENT_TIMEOUT_S,
    ) -> None:
        settings = {**_READ_SETTINGS, "statement_timeout": f"{statement_timeout_s}s"}
        self._snapshot = snapshot
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pool = AsyncConnectionPool(
            connection_string(database_url, settings, "inventory reads"),
            min_size=1,
            max_size=size_max,
            max_waiting=_WAITING_MAX,
            open=False,
            configure=_configure,
            # Without it the pool hands out connections that a restart of the database has killed.
            check=AsyncConnectionPool.check_connection,
            timeout=CONNECTION_WAIT_S,
            # Short, since the pause between two tries doubles: the next who asks begins anew.
            reconnect_timeout=2,
            kwargs={"autocommit": True},
            name="reads",
        )

    async def open(self) -> None:
        """Start to connect; a database that isn't there is tried again in the background."""
        await self._pool.open(wait=False)

    async def close(self) -> None:
        """Close the connections; reads whose callers are gone end with them."""
        await self._pool.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=CLOSE_WAIT_S)

    async def run(
        self,
        store_id: str,
        read: Callable[[ReadTransaction], Awaitable[T]],
        *,
        deadline_s: float,
        snapshot: Snapshot | None = None,
    ) -> T:
        """Run a read in one snapshot, again where another writer was in its way.

        Args:
            read: touches its transaction only, since it may run several times.
            deadline_s: seconds the caller still waits.
        Raises: Unavailable, Conflict (several times in a row), TimeoutError.
        """
        # In a task of its own: a query that is cancelled midway costs its connection, and callers who give up
        # are many. The task ends by itself, by the statement's timeout at the latest.
        task = asyncio.create_task(self._attempts(store_id, read, snapshot or self._snapshot))
        self._tasks.add(task)
        task.add_done_callback(self._forget)
        async with asyncio.timeout(deadline_s):
            return await asyncio.shield(task)

    def _forget(self, task: asyncio.Task[Any]) -> None:
        """Take note of how a read ended whose caller is gone, so that asyncio does not complain of it."""
        self._tasks.discard(task)
        if not task.cancelled():
            task.exception()

    async def _attempts(
        self, store_id: str, read: Callable[[ReadTransaction], Awaitable[T]], snapshot: Snapshot
    ) -> T:
        attempt = 1
        while True:
            try:
                async with self._transaction(store_id, snapshot) as transaction:
                    return await read(transaction)
            except psycopg.Error as error:
                failure = translate(error)
                if attempt == _ATTEMPTS_MAX or not isinstance(failure, Conflict | ConnectionLost):
                    if isinstance(failure, ConnectionLost):
                        raise Unavailable(str(failure)) from error
                    raise failure from error
                attempt += 1

    @asynccontextmanager
    async def _transaction(self, store_id: str, snapshot: Snapshot) -> AsyncIterator[ReadTransaction]:
        try:
            connection = await self._pool.getconn()
        except (PoolTimeout, PoolClosed, TooManyRequests) as error:
            raise Unavailable(f"no connection for reading: {error}") from error
        try:
            transaction = await ReadTransaction.begin(connection, store_id, snapshot)
            try:
                yield transaction
                await connection.execute("COMMIT")
            except BaseException:
                if not connection.closed:
                    await connection.execute("ROLLBACK")
                raise
        finally:
            await self._pool.putconn(connection)


# As many names as are met again; a call may bring any.
@lru_cache(maxsize=1_024)
def _naming(store_id: str) -> bytes:
    """Return what row-level security goes by, until the transaction ends (docs/decisions/0044)."""
    return b"SET LOCAL inventory.store_id = " + sql.Literal(store_id).as_bytes(None)


async def _configure(connection: psycopg.AsyncConnection[Any]) -> None:
    await take_service_role(connection)
