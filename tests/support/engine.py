"""The engine on a real database, without gRPC: what its tests build, hold back and look at."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg

from inventory_server.db.connection import EngineConnections
from inventory_server.db.migrate import migrate
from inventory_server.db.read_pool import ReadPool
from inventory_server.domain.commands import Command, CreateStockTransaction
from inventory_server.domain.stock import Action, StockLevel
from inventory_server.engine.batcher import BatchLimits
from inventory_server.engine.engine import Engine
from inventory_server.engine.reads import Reader
from support.database import holding
from support.polling import WAIT_S
from support.world import replay

GATE = 4711

# What a test makes the database do, told by the reason of a stock transaction or the order_id of a hold:
# "gate" holds COMMIT back by an advisory lock; "P0001" and "40001" raise that, "40001:2" the first 2 times.
_SABOTAGE = f"""
CREATE SEQUENCE tries;
CREATE FUNCTION sabotage() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    sign text := coalesce(nullif(NEW.reason, ''), NEW.order_id);
BEGIN
    IF sign ~ '^[0-9A-Z]{{5}}$' THEN
        PERFORM nextval('tries');
        RAISE EXCEPTION 'made by the test' USING ERRCODE = sign;
    ELSIF sign ~ '^[0-9A-Z]{{5}}:' AND nextval('tries') <= split_part(sign, ':', 2)::int THEN
        RAISE EXCEPTION 'made by the test' USING ERRCODE = split_part(sign, ':', 1);
    END IF;
    RETURN NEW;
END $$;
CREATE TRIGGER sabotage BEFORE INSERT ON stock_transaction FOR EACH ROW EXECUTE FUNCTION sabotage();
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock({GATE});
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON stock_transaction DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW WHEN (NEW.reason = 'gate' OR NEW.order_id = 'gate') EXECUTE FUNCTION gate();
"""


def sabotaged(database_url: str) -> str:
    """Migrate a database and teach it to fail on order."""
    migrate(database_url)
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute(_SABOTAGE)
    return database_url


@asynccontextmanager
async def running_engine(
    database_url: str,
    *,
    reads_url: str | None = None,
    commands_max: int = 1024,
    lines_max: int = 10_000,
    attempts_max: int = 10,
    linger_s_max: float = 0.0,
    queue_commands_max: int = 10_000,
    queue_commands_max_total: int = 20_000,
    on_logged: Callable[[str], None] = lambda _: None,
    locks_stores: bool = False,
) -> AsyncIterator[tuple[Engine, Reader]]:
    """Run an engine with its reader. `reads_url`: where reads go, if not where batches go."""
    pool = ReadPool(reads_url or database_url, 4)
    await pool.open()
    reader = Reader(pool)
    engine = Engine(
        EngineConnections(database_url, 4, locks_stores=locks_stores),
        reader,
        BatchLimits(commands_max, lines_max, attempts_max, linger_s_max),
        queue_commands_max=queue_commands_max,
        queue_commands_max_total=queue_commands_max_total,
        on_logged=on_logged,
    )
    try:
        yield engine, reader
    finally:
        await engine.drain(5.0)
        await pool.close()


def plus(product_id: str, quantity: int = 1, reason: str = "") -> CreateStockTransaction:
    return CreateStockTransaction(product_id, Action.INCREMENT, quantity, reason=reason)


def minus(product_id: str, quantity: int = 1, reason: str = "") -> CreateStockTransaction:
    return CreateStockTransaction(product_id, Action.DECREMENT, quantity, reason=reason)


def start(engine: Engine, store: str, command: Command, deadline_s: float = WAIT_S) -> asyncio.Task[Any]:
    """Send a command in a task of its own."""
    return asyncio.create_task(engine.change(store, command, deadline_s=deadline_s))


async def eventually(look: Callable[[], object], what: str, wait_s: float = WAIT_S) -> None:
    """Look again and again until it is so, while the engine's task goes on."""
    loop = asyncio.get_running_loop()
    end = loop.time() + wait_s
    while not look():
        assert loop.time() < end, f"not within {wait_s} s: {what}"
        await asyncio.sleep(0.005)


class Database:
    """A superuser's view of one store. Close it."""

    def __init__(self, database_url: str, store: str = "default") -> None:
        self.url = database_url
        self.store = store
        self.connection = psycopg.connect(database_url, autocommit=True)

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def rows(self, query: str, *params: object) -> list[tuple[Any, ...]]:
        return self.connection.execute(query, params).fetchall()

    def one(self, query: str, *params: object) -> Any:
        return self.rows(query, *params)[0][0]

    def level(self, product_id: str) -> tuple[int, int]:
        """Return (available, allocated) at `default`."""
        found = self.rows(
            "SELECT available, allocated FROM stock_level WHERE store_id = %s AND product_id = %s",
            self.store,
            product_id,
        )
        return found[0] if found else (0, 0)

    def entries(self, product_id: str) -> list[tuple[int, str, int]]:
        """Return (version, action, quantity) of a product's log, in order."""
        return self.rows(
            "SELECT version, action, quantity FROM stock_transaction"
            " WHERE store_id = %s AND product_id = %s ORDER BY version",
            self.store,
            product_id,
        )

    @contextmanager
    def locked(self, query: str, *params: object) -> Iterator[psycopg.Connection]:
        """Hold the locks that a query takes until the block ends; then it is rolled back."""
        with holding(self.url) as holder:
            holder.execute(query, params)
            yield holder
            holder.rollback()

    def level_locked(self, product_id: str) -> Any:
        """Hold a level's row, so that whoever loads it waits."""
        return self.locked(
            "SELECT FROM stock_level WHERE store_id = %s AND product_id = %s FOR UPDATE",
            self.store,
            product_id,
        )

    def gate_closed(self) -> Any:
        """Hold back every COMMIT that goes through the gate."""
        return self.locked("SELECT pg_advisory_xact_lock(%s)", GATE)

    def blocked(self, holder: psycopg.Connection) -> list[int]:
        """Return the backends that wait for a lock of `holder`."""
        found = self.rows(
            "SELECT pid FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))",
            holder.info.backend_pid,
        )
        return [row[0] for row in found]

    def check(self) -> None:
        """Assert the laws of the log and of the levels, from the rows alone."""
        levels: dict[tuple[str, str], tuple[int, ...]] = {}
        logged = self.rows(
            "SELECT product_id, location, version, action, quantity, available_after, allocated_after,"
            " hand_allocated_after FROM stock_transaction WHERE store_id = %s"
            " ORDER BY product_id, location, version",
            self.store,
        )
        for product_id, location, version, action, quantity, *after in logged:
            key = (product_id, location)
            before = StockLevel(*levels.get(key, ()))
            levels[key] = replay(before, Action(action), quantity)
            assert levels[key] == (*after, version), (key, version)
        stored = self.rows(
            "SELECT product_id, location, available, allocated, hand_allocated, version FROM stock_level"
            " WHERE store_id = %s",
            self.store,
        )
        assert {(row[0], row[1]): row[2:] for row in stored} == levels
        held = self.rows(
            "SELECT l.product_id, l.location, sum(l.open)::bigint FROM reservation_line l"
            " JOIN reservation r USING (store_id, reservation_id)"
            " WHERE store_id = %s AND r.state IN ('HELD', 'COMMITTED') GROUP BY 1, 2",
            self.store,
        )
        open_units = {(product_id, location): units for product_id, location, units in held}
        for key, (_, allocated, hand_allocated, _) in levels.items():
            assert allocated == hand_allocated + open_units.get(key, 0), key
