"""Row-level security: what a statement forgets to say of its store, the database says for it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql
from yoyo import read_migrations
from yoyo.migrations import MigrationList

from inventory_server.db import migrate as migrate_module
from inventory_server.db.connection import EngineConnection
from inventory_server.db.migrate import migrate
from inventory_server.db.queries import Statement, statements
from inventory_server.db.read_pool import ReadPool, ReadTransaction, Snapshot
from inventory_server.db.sqlstate import StatementRefused
from support.polling import WAIT_S, until
from support.rows import ROWS, insert

OURS, THEIRS = "s", "t"
NAMES = "SELECT set_config('inventory.store_id', %s, true)"


@pytest.fixture(scope="module")
def two_stores_url(postgres: Any) -> Iterator[str]:
    """A migrated database in which two stores have the same rows."""
    with psycopg.connect(postgres.database_url("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE two_stores")
        url = postgres.database_url("two_stores")
        migrate(url)
        with psycopg.connect(url) as connection:
            for table, row in ROWS.items():
                for store in (OURS, THEIRS):
                    insert(connection, table, {**row, "store_id": store})
        yield url
        admin.execute("DROP DATABASE two_stores WITH (FORCE)")


@pytest.fixture
def owner(two_stores_url: str) -> Iterator[psycopg.Connection]:
    """A transaction of the owner's, which is rolled back."""
    with psycopg.connect(two_stores_url) as opened:
        yield opened
        opened.rollback()


@pytest.fixture
def service(owner: psycopg.Connection) -> psycopg.Connection:
    """A transaction of the service's that has named its store."""
    owner.execute("SET ROLE inventory_service")
    owner.execute(NAMES, [OURS])
    return owner


def run(connection: psycopg.Connection, text: str, table: str) -> psycopg.Cursor[Any]:
    return connection.execute(sql.SQL(text).format(sql.Identifier(table)))  # type: ignore[arg-type]


def may(connection: psycopg.Connection, table: str, right: str) -> bool:
    row = connection.execute("SELECT has_table_privilege(%s, %s)", [table, right]).fetchone()
    return bool(row and row[0])


# --- each table ----------------------------------------------------------------------------------


def test_every_table_has_the_one_policy(owner: psycopg.Connection) -> None:
    """A table that is added comes with its policy, and none has another; credentials are of no store."""
    guarded = owner.execute(
        "SELECT c.relname, c.relrowsecurity,"
        "   array_agg(p.polname::text || p.polcmd::text || p.polpermissive::text"
        "       || pg_get_expr(p.polqual, p.polrelid)"
        "       || coalesce(pg_get_expr(p.polwithcheck, p.polrelid), ''))"
        " FROM pg_class c LEFT JOIN pg_policy p ON p.polrelid = c.oid"
        " WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace"
        "   AND c.relname NOT LIKE '%yoyo%' AND c.relname <> 'credential' GROUP BY 1, 2"
    ).fetchall()
    assert {name for name, _, _ in guarded} == set(ROWS)
    policies = {tuple(policy) for _, _, policy in guarded}
    assert len(policies) == 1, policies
    assert all(is_on for _, is_on, _ in guarded)


@pytest.mark.parametrize("table", ROWS)
def test_a_read_that_forgets_the_store_sees_its_own(service: psycopg.Connection, table: str) -> None:
    """Without a condition a table has the rows of the store named, and none where no store is named."""
    assert {store for (store,) in run(service, "SELECT store_id FROM {}", table)} == {OURS}
    service.execute(NAMES, [THEIRS])
    assert {store for (store,) in run(service, "SELECT store_id FROM {}", table)} == {THEIRS}
    for nobody in ("", "S", "s ", "%"):
        service.execute(NAMES, [nobody])
        assert run(service, "SELECT store_id FROM {}", table).fetchall() == []


@pytest.mark.parametrize("table", ROWS)
def test_a_change_that_forgets_the_store_changes_its_own(service: psycopg.Connection, table: str) -> None:
    """Without a condition one row of the two is changed, and one deleted, where either is allowed at all."""
    if may(service, table, "UPDATE"):
        assert run(service, "UPDATE {} SET store_id = store_id", table).rowcount == 1
    if may(service, table, "DELETE"):
        assert run(service, "DELETE FROM {}", table).rowcount == 1


@pytest.mark.parametrize("table", ROWS)
def test_no_row_is_written_for_another_store(service: psycopg.Connection, table: str) -> None:
    """A row of another store is neither inserted nor put over what is there; none of ours is moved there."""
    row = {**ROWS[table], "store_id": THEIRS}
    tries = [lambda: insert(service, table, row)]
    if may(service, table, "UPDATE"):
        tries.append(lambda: run(service, "UPDATE {} SET store_id = 't'", table) and None)
    for attempt in tries:
        with pytest.raises(psycopg.errors.InsufficientPrivilege), service.transaction():
            attempt()


def test_what_is_there_is_not_found_by_its_key(service: psycopg.Connection) -> None:
    """Who puts another store's row is told that he may not, whether or not it is there."""
    for product in ("a", "nothing"):
        with (
            pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"),
            service.transaction(),
        ):
            service.execute(
                "INSERT INTO stock (store_id, product_id, created_at) VALUES ('t', %s, now())"
                " ON CONFLICT ON CONSTRAINT stock_pkey DO UPDATE SET updated_at = now()",
                [product],
            )


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE stock DISABLE ROW LEVEL SECURITY",
        "DROP POLICY of_the_store_named ON stock",
        "ALTER POLICY of_the_store_named ON stock USING (true)",
        "CREATE POLICY mine ON stock USING (true)",
        "ALTER TABLE stock OWNER TO inventory_service",
        "ALTER ROLE inventory_service BYPASSRLS",
    ],
)
def test_the_service_cannot_take_the_wall_down(service: psycopg.Connection, statement: str) -> None:
    """The policies are the owner's."""
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute(statement.encode())


def test_row_security_turned_off_shows_nothing(service: psycopg.Connection) -> None:
    """The setting that everybody may change makes an error of what would have been filtered."""
    service.execute("SET LOCAL row_security = off")
    with pytest.raises(psycopg.errors.InsufficientPrivilege, match="row-level security"):
        service.execute("SELECT * FROM stock")


def test_of_other_stores_the_name_alone_is_seen(service: psycopg.Connection) -> None:
    """The jobs learn which stores there are; a store's settings are its own."""
    assert service.execute("SELECT * FROM store_name ORDER BY 1").fetchall() == [("default",), ("s",), ("t",)]
    assert service.execute("SELECT store_id FROM store").fetchall() == [(OURS,)]
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        service.execute("DELETE FROM store_name")


# --- the service's own transactions --------------------------------------------------------------


@pytest.fixture
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named statements that bind no store."""
    for name, text in (
        ("forgetful", "SELECT store_id FROM stock"),
        ("mistaken", "UPDATE stock SET low_stock_threshold = 1 WHERE product_id = 'a'"),
        ("misled", "INSERT INTO stock (store_id, product_id, created_at) VALUES ('t', 'b', now())"),
        ("failing", "SELECT 1 / (SELECT 0)"),
    ):
        monkeypatch.setitem(statements(), name, Statement.of(name, text))


@pytest.mark.usefixtures("forgetful")
async def test_a_batch_is_within_its_store(two_stores_url: str, owner: psycopg.Connection) -> None:
    """In the engine's transaction a statement that forgets its store keeps to that store's rows."""
    connection = await EngineConnection.connect(two_stores_url)
    try:
        for store in (OURS, THEIRS, OURS):
            assert (await connection.begin(store, [("forgetful", {})]))[0] == [(store,)]
            await connection.rollback()
        await connection.begin(OURS, [])
        await connection.commit(OURS, [("mistaken", {})])
        changed = owner.execute("SELECT store_id FROM stock WHERE low_stock_threshold = 1").fetchall()
        assert changed == [(OURS,)]
        await connection.begin(OURS, [])
        with pytest.raises(StatementRefused, match="row-level security"):
            await connection.commit(OURS, [("misled", {})])
        await connection.rollback()
        assert (await connection.begin(THEIRS, [("forgetful", {})]))[0] == [(THEIRS,)]
        await connection.rollback()
    finally:
        await connection.close()


@pytest.mark.usefixtures("forgetful")
@pytest.mark.parametrize("snapshot", Snapshot)
async def test_a_read_is_within_its_store(two_stores_url: str, snapshot: Snapshot) -> None:
    """So does a read; one that asks the same of several stores has each store's answer from its own rows."""
    pool = ReadPool(two_stores_url, 1, snapshot=snapshot)
    await pool.open()

    async def alone(transaction: ReadTransaction) -> list[list[Any]]:
        return await transaction.fetch([("forgetful", {}), ("all_stores", {})])

    async def by_turns(transaction: ReadTransaction) -> list[list[Any]]:
        return await transaction.fetch(
            [("forgetful", {"store_id": each}) for each in (OURS, THEIRS, OURS, "")]
        )

    try:
        for store in (OURS, THEIRS, "it's \\ named"):
            found, stores = await pool.run(store, alone, deadline_s=WAIT_S)
            assert found == ([(store,)] if store in (OURS, THEIRS) else [])
            assert ("t",) in stores
        for _ in range(3):  # no plan that was kept remembers a store
            found = await pool.run("", by_turns, deadline_s=WAIT_S)
            assert found == [[(OURS,)], [(THEIRS,)], [(OURS,)], []]
    finally:
        await pool.close()


@pytest.mark.usefixtures("forgetful")
async def test_a_name_is_taken_back_with_its_transaction(two_stores_url: str) -> None:
    """A connection keeps a name that was committed; whatever ends a batch, the next is in its own store."""
    connection = await EngineConnection.connect(two_stores_url)
    try:
        for store, is_committed in (
            (OURS, True), (THEIRS, False), (OURS, False), (THEIRS, True), (OURS, True), (OURS, False),
        ):  # fmt: skip
            assert (await connection.begin(store, [("forgetful", {})]))[0] == [(store,)]
            if is_committed:
                await connection.commit(store, [])
            else:
                with pytest.raises(StatementRefused, match="division"):
                    await connection.commit(store, [("failing", {})])
                await connection.rollback()
    finally:
        await connection.close()


# --- the migration -------------------------------------------------------------------------------


def migrated_before_it(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def before_it(folder: str) -> MigrationList:
        return read_migrations(folder).filter(lambda migration: migration.id < "0017")

    with monkeypatch.context() as older:
        older.setattr(migrate_module, "read_migrations", before_it)
        assert migrate(url)


def test_rows_that_were_there_belong_to_their_stores(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall is drawn through a database in use, and every row is on its store's side."""
    migrated_before_it(empty_database_url, monkeypatch)
    with psycopg.connect(empty_database_url) as opened:
        for table, row in ROWS.items():
            insert(opened, table, row)
    assert migrate(empty_database_url)[0].startswith("0017")
    with psycopg.connect(empty_database_url) as opened:
        opened.execute("SET ROLE inventory_service")
        opened.execute(NAMES, [OURS])
        for table in ROWS:
            assert run(opened, "SELECT store_id FROM {}", table).fetchall() == [(OURS,)]


def test_a_batch_under_way_is_let_through(empty_database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The migration waits for a batch that was there before, which needs more tables: neither is aborted."""
    migrated_before_it(empty_database_url, monkeypatch)
    with (
        psycopg.connect(empty_database_url) as batch,
        psycopg.connect(empty_database_url, autocommit=True) as observer,
        ThreadPoolExecutor(1) as pool,
    ):
        batch.execute("SET ROLE inventory_service")
        batch.execute("SELECT now() FROM store")
        migrating = pool.submit(migrate, empty_database_url)
        until(
            lambda: (
                observer.execute(
                    "SELECT FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid))",
                    [batch.info.backend_pid],
                ).fetchone()
                is not None
            ),
            "the migration waits",
        )
        for table in reversed(ROWS):
            if may(batch, table, "INSERT"):
                insert(batch, table, ROWS[table])
        batch.commit()
        assert migrating.result(WAIT_S)[0].startswith("0017")
