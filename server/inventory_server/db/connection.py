"""The engine's connections: one transaction each at a time, in as few round trips as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import datetime
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from inventory_server.db.parameters import column, written
from inventory_server.db.pipeline import Pipeline, Step
from inventory_server.db.queries import Statement, statement
from inventory_server.db.sqlstate import (
    ConnectionLost,
    DatabaseError,
    StatementRefused,
    Unavailable,
    translate,
)

SERVICE_ROLE = "inventory_service"
# For the first statements of a connection; its handshake has connect_timeout.
GREETING_TIMEOUT_S = 5.0

# A call is a statement's name with its parameters; the store is added by the transaction.
Call = tuple[str, dict[str, Any]]
Row = tuple[Any, ...]

_BEGIN: Step = (Statement.of("BEGIN", "BEGIN ISOLATION LEVEL SERIALIZABLE"), ())
_COMMIT: Step = (Statement.of("COMMIT", "COMMIT"), ())
_ROLLBACK: Step = (Statement.of("ROLLBACK", "ROLLBACK"), ())
# What row-level security goes by (docs/decisions/0044). It stays until another is named.
_NAME = Statement.of("name_store", "SELECT set_config('inventory.store_id', %(store_id)s, false)")
# Session locks, since a transaction's own has its snapshot by the time it can lock: it would wait for the one
# before it, and then be aborted by what that one did.
_LOCK = Statement.of("lock_store", "SELECT pg_advisory_lock(hashtextextended(%(store_id)s, 0))")
_UNLOCK = Statement.of("unlock_store", "SELECT pg_advisory_unlock(hashtextextended(%(store_id)s, 0))")
# A backend that is ended while its COMMIT waits for a synchronous standby leaves a transaction that everybody
# sees and no standby has. Whoever finds it there may only read, and a read-only COMMIT waits for nobody; this
# writes behind it, and so returns when all of it has arrived (docs/decisions/0032).
_MARK = "SELECT pg_logical_emit_message(true, 'inventory', 'settled')"
# "cached plan must not change result type", and a prepared statement that is gone: the next connection
# prepares afresh.
_STALE = frozenset({"0A000", "26000"})

_KEEPALIVE = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# A scanned table is locked whole for SSI, so the planner is kept on index scans and nested loops
# (docs/data.md, "Settings").
POINT_LOOKUPS = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    "TimeZone": "UTC",
}
_ENGINE_SETTINGS = {
    **POINT_LOOKUPS,
    # Literals are sent as UTF-8, whatever the database's own encoding is.
    "client_encoding": "UTF8",
    "plan_cache_mode": "force_generic_plan",
    "lock_timeout": "5s",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "30s",
}


def connection_string(database_url: str, settings: dict[str, str], application: str) -> str:
    """Return libpq's connection string with keepalives, session settings and our name."""
    given = str(conninfo_to_dict(database_url).get("options") or "")
    options = " ".join([given, *(f"-c {name}={value}" for name, value in settings.items())]).strip()
    return make_conninfo(database_url, application_name=application, options=options, **_KEEPALIVE)


async def take_service_role(connection: psycopg.AsyncConnection[Any]) -> None:
    """Give up what the login may do beyond the service: no DDL, no change of the log."""
    await connection.execute(f"SET ROLE {SERVICE_ROLE}")


class EngineConnection:
    """One backend. Raises DatabaseError subclasses; after ConnectionLost it is of no more use.

    `locks_stores`: a transaction waits until no other server is in one of the same store. Where that can't be
    had, it goes on without: SERIALIZABLE decides, the lock only spares the batches that would be aborted.
    """

    def __init__(
        self,
        connection: psycopg.AsyncConnection[Any],
        pid: int,
        backend_start: datetime,
        *,
        locks_stores: bool = False,
    ) -> None:
        self._connection = connection
        self._locks_stores = locks_stores
        self._locked_store: str | None = None
        # As it was committed: a rollback takes a name back as well.
        self._named_store: str | None = None
        self._pipeline = Pipeline(connection)
        self.pid = pid
        self.backend_start = backend_start

    @classmethod
    async def connect(
        cls, database_url: str, *, locks_stores: bool = False, **settings: str
    ) -> EngineConnection:
        """Open a connection as the service's role, with PostgreSQL's settings. Raises: Unavailable."""
        conninfo = connection_string(database_url, {**_ENGINE_SETTINGS, **settings}, "inventory engine")
        try:
            connection = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
        except psycopg.Error as error:
            raise _unavailable(error) from error
        try:
            async with asyncio.timeout(GREETING_TIMEOUT_S):
                cursor = await connection.execute(
                    "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
                )
                row = await cursor.fetchone()
                await take_service_role(connection)
        except TimeoutError as error:
            await connection.close()
            raise Unavailable("the database took the connection and then said nothing") from error
        except psycopg.Error as error:
            await connection.close()
            raise _unavailable(error) from error
        if row is None:
            raise Unavailable("pg_stat_activity does not show our own backend")
        return cls(connection, row[0], row[1], locks_stores=locks_stores)

    @property
    def is_usable(self) -> bool:
        return self._pipeline.is_open

    async def begin(self, store_id: str, calls: Sequence[Call]) -> list[list[Row]]:
        """Begin a SERIALIZABLE transaction of a store and run the calls in it: one round trip."""
        before = None
        if self._locks_stores:
            self._locked_store = store_id
            before = _store_step(_LOCK, store_id)
        first = [_BEGIN]
        if self._named_store != store_id:
            self._named_store = None
            first.append(_store_step(_NAME, store_id))
        return (await self._trip(store_id, calls, first=first, before=before))[len(first) :]

    async def fetch(self, store_id: str, calls: Sequence[Call]) -> list[list[Row]]:
        """Run further calls of the open transaction: one round trip."""
        return await self._trip(store_id, calls)

    def send_ahead(self, store_id: str, calls: Sequence[Call]) -> None:
        """Send calls of the open transaction that the next trip ends; they run at once."""
        steps = [_step(name, params, store_id) for name, params in calls]
        try:
            self._pipeline.send_ahead(steps)
        except psycopg.Error as error:
            raise ConnectionLost(str(error)) from error

    async def commit(self, store_id: str, calls: Sequence[Call]) -> None:
        """Run the last calls and COMMIT: one round trip.

        COMMIT itself can raise 40001, so whoever retries has it inside the loop (test_conflict_at_commit).
        """
        await self._trip(store_id, calls, last=[_COMMIT], after=self._unlock())
        self._locked_store = None
        self._named_store = store_id

    async def rollback(self) -> None:
        """End a transaction that is open or failed; on a dead connection nothing.

        Where something was sent ahead and not ended by a trip the connection is closed: what it did may have
        failed, and then it would not hear of a ROLLBACK.
        """
        if self._pipeline.is_ahead:
            self._pipeline.close()
        if self.is_usable:
            with suppress(psycopg.Error):
                await self._pipeline.trip([_ROLLBACK], after=self._unlock())
            self._locked_store = None

    async def close(self) -> None:
        self._pipeline.close()
        with suppress(psycopg.Error):
            await self._connection.close()

    def cut(self) -> None:
        """Listen no more, whatever became of the socket: a trip that waits ends as ConnectionLost now."""
        self._pipeline.close()

    def _unlock(self) -> Step | None:
        return None if self._locked_store is None else _store_step(_UNLOCK, self._locked_store)

    async def _trip(
        self,
        store_id: str,
        calls: Sequence[Call],
        *,
        first: Sequence[Step] = (),
        last: Sequence[Step] = (),
        before: Step | None = None,
        after: Step | None = None,
    ) -> list[list[Row]]:
        steps = [*first, *(_step(name, params, store_id) for name, params in calls), *last]
        try:
            return await self._pipeline.trip(steps, before=before, after=after)
        except psycopg.Error as error:
            failure = translate(error)
            if error.sqlstate in _STALE:
                self._pipeline.close()
            elif not self.is_usable and not isinstance(failure, ConnectionLost):
                failure = ConnectionLost(str(failure), sqlstate=failure.sqlstate)
            raise failure from error


def _store_step(found: Statement, store_id: str) -> Step:
    return found, [written(store_id)]


def _step(name: str, params: dict[str, Any], store_id: str) -> Step:
    """Write a call's parameters, before anything is sent. Raises: StatementRefused."""
    found = statement(name)
    write: Callable[[Any], bytes | None] = written
    if found.of_one is not None:
        if all(len(values) == 1 for values in params.values()):
            found, params = found.of_one, {key: value for key, (value,) in params.items()}
        else:
            write = column
    try:
        store = written(store_id)
        values = [store if key == "store_id" else write(params[key]) for key in found.parameters]
    except ValueError as error:
        raise StatementRefused(f"{name}: {error}") from error
    return found, values


class EngineConnections:
    """At most `count_max` connections, shared by the batchers of all stores; made when first needed."""

    def __init__(self, database_url: str, count_max: int, *, locks_stores: bool = False) -> None:
        self._database_url = database_url
        self._locks_stores = locks_stores
        self._slots = asyncio.Semaphore(count_max)
        self._idle: list[EngineConnection] = []

    @asynccontextmanager
    async def borrow(self) -> AsyncIterator[EngineConnection]:
        """Lend a connection; one that comes back dead is dropped. Raises: Unavailable."""
        async with self._slots:
            connection = None
            while self._idle and connection is None:
                candidate = self._idle.pop()
                if candidate.is_usable:
                    connection = candidate
                else:
                    await candidate.close()
            if connection is None:
                connection = await EngineConnection.connect(
                    self._database_url, locks_stores=self._locks_stores
                )
            try:
                yield connection
            except BaseException:
                await connection.rollback()
                raise
            finally:
                if connection.is_usable:
                    self._idle.append(connection)
                else:
                    await connection.close()

    async def lay_to_rest(self, lost: EngineConnection, timeout_s: float) -> None:
        """End the backend behind a lost connection, so that what it did is settled either way, and durable.

        Its pid alone could by now be another's, so its start time is compared too. Done under the login's
        own role: the service's may not end the login's backends. Raises: Unavailable where it still runs, or
        what was committed is not yet where it has to be.
        """
        await lost.close()
        conninfo = connection_string(self._database_url, {}, "inventory rescue")
        try:
            async with asyncio.timeout(timeout_s):
                rescuer = await psycopg.AsyncConnection.connect(conninfo, autocommit=True)
                async with rescuer:
                    cursor = await rescuer.execute(
                        "SELECT pg_terminate_backend(pid, %s::bigint) FROM pg_stat_activity"
                        " WHERE pid = %s AND backend_start = %s",
                        (max(1, int(timeout_s * 1000)), lost.pid, lost.backend_start),
                    )
                    row = await cursor.fetchone()
                    await rescuer.execute(_MARK)
        except (psycopg.Error, TimeoutError) as error:
            raise Unavailable(f"the old backend could not be ended: {error}") from error
        if row is not None and not row[0]:
            raise Unavailable("the old backend could not be ended in time")

    async def close(self) -> None:
        while self._idle:
            await self._idle.pop().close()


def _unavailable(error: psycopg.Error) -> DatabaseError:
    return Unavailable(str(translate(error)), sqlstate=error.sqlstate)
