"""Whom the service logs in as: what that login may, and what is said of one that may more."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import grpc
import psycopg
import pytest

from inventory_client import v1
from inventory_server.db.check import DatabaseUnfit, check
from inventory_server.db.connection import EngineConnections
from inventory_server.db.embedded import EmbeddedPostgres
from inventory_server.db.migrate import migrate
from inventory_server.db.queries import statements
from inventory_server.db.stores import create_store
from inventory_server.launch import INVENTORY_COMMAND, UNTIL_STDIN_CLOSES, start_process
from inventory_server.operator_error import OperatorError
from support.polling import WAIT_S
from support.rows import ROWS
from support.sites import serving_on


@pytest.fixture
def login(postgres: EmbeddedPostgres, database_url: str) -> Iterator[psycopg.Connection]:
    """A session of the embedded database's service login."""
    assert database_url
    with psycopg.connect(postgres.service_url, autocommit=True) as opened:
        yield opened


# --- what it may not -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER ROLE inventory_server SUPERUSER",
        "ALTER ROLE inventory_service BYPASSRLS",
        "GRANT postgres TO inventory_server",
        "ALTER SYSTEM SET fsync = off",
        "CREATE TABLE mine (a int)",
        "CREATE TEMPORARY TABLE stock (a int)",
        "CREATE SCHEMA mine",
        "CREATE LANGUAGE mine HANDLER plpgsql_call_handler",
        "UPDATE stock_transaction SET quantity = 1",
        "DELETE FROM stock_transaction",
        "TRUNCATE stock_transaction",
        "ALTER TABLE stock DISABLE ROW LEVEL SECURITY",
        "DROP TABLE stock",
        "SELECT * FROM pg_authid",
        "SELECT * FROM pg_shadow",
        "SELECT * FROM pg_user_mapping",
        "SELECT pg_read_file('/etc/passwd')",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_import('/etc/passwd')",
        "SELECT * FROM pg_hba_file_rules",
        "COPY stock TO '/tmp/stock'",
        "COPY (SELECT 1) TO PROGRAM 'true'",
    ],
)
def test_the_login_may_not(login: psycopg.Connection, statement: str) -> None:
    """Not even what has given up the service's role again reads secrets, changes the schema or the log."""
    login.execute("SET ROLE inventory_service")
    login.execute("RESET ROLE")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        login.execute(statement.encode())


def test_the_login_ends_nobodys_session(login: psycopg.Connection, postgres: EmbeddedPostgres) -> None:
    """What another login runs is neither seen nor ended."""
    with psycopg.connect(postgres.url) as other:
        pid = other.info.backend_pid
        assert login.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", [pid]).fetchall() == [
            ("<insufficient privilege>",)
        ]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            login.execute("SELECT pg_terminate_backend(%s)", [pid])


@pytest.mark.parametrize("database", ["postgres", "template1"])
def test_other_databases_are_closed(postgres: EmbeddedPostgres, database: str) -> None:
    """It comes into the one database alone."""
    url = postgres.service_url.replace("/inventory?", f"/{database}?")
    with pytest.raises(psycopg.OperationalError, match="permission denied for database"):
        psycopg.connect(url)


def test_the_role_has_what_the_statements_need(database_url: str) -> None:
    """The rights on each table are those that a named statement uses: none is lacking, none is left over."""
    used = {table: {"SELECT"} for table in (*ROWS, "credential", "store_name")}
    for found in statements().values():
        for right, table in re.findall(r"(INSERT INTO|UPDATE|DELETE FROM) ([a-z_]+)\b", found.text):
            if table in used:
                used[table].add(right.split()[0])
        target = re.search(r"INSERT INTO ([a-z_]+)\b.*DO UPDATE", found.text, re.DOTALL)
        locked = re.search(r"FROM ([a-z_]+)\b", found.text) if "FOR UPDATE" in found.locking else None
        for match in (target, locked):
            if match and match[1] in ROWS:
                used[match[1]].add("UPDATE")
    with psycopg.connect(database_url) as owner:
        granted = owner.execute(
            "SELECT relname::text, array_agg(DISTINCT privilege_type) FROM ("
            " SELECT relname, (aclexplode(relacl)).* FROM pg_class"
            "   WHERE relnamespace = 'public'::regnamespace"
            " UNION SELECT relname, (aclexplode(attacl)).* FROM pg_attribute"
            "   JOIN pg_class ON pg_class.oid = attrelid"
            ") AS rights WHERE grantee = 'inventory_service'::regrole AND relname NOT LIKE '%yoyo%'"
            " GROUP BY 1"
        ).fetchall()
    assert {table: set(rights) for table, rights in granted} == used


# --- too mighty a login --------------------------------------------------------------------------


@contextmanager
def login_on(url: str, options: str, *then: str) -> Iterator[str]:
    """Yield the URL of a login made so; {login} in what is run then is its name."""
    name = f"login_{uuid.uuid4().hex}"
    with psycopg.connect(url, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {name} LOGIN {options} IN ROLE inventory_service".encode())
        for statement in then:
            admin.execute(statement.format(login=name).encode())
        yield url.replace("postgres@", f"{name}@")
        admin.execute(
            f"REASSIGN OWNED BY {name} TO postgres; DROP OWNED BY {name}; DROP ROLE {name}".encode()
        )


@pytest.fixture
def migrated(empty_database_url: str) -> str:
    migrate(empty_database_url)
    return empty_database_url


@pytest.mark.parametrize(
    ("options", "then", "said"),
    [
        ("SUPERUSER", (), "is a superuser"),
        ("BYPASSRLS", (), "sees every store"),
        ("CREATEROLE", (), "makes roles"),
        ("REPLICATION", (), "reads the write-ahead log"),
        ("", ("ALTER TABLE stock_transaction OWNER TO {login}",), "owns the tables"),
        ("", ("GRANT CREATE ON SCHEMA public TO {login}",), "can make tables"),
        ("", ("GRANT DELETE ON stock_transaction TO {login}",), "can change the log"),
        ("", ("GRANT pg_read_all_data TO {login}",), "belongs to a role of PostgreSQL"),
        ("", ("GRANT pg_execute_server_program TO {login}",), "belongs to a role of PostgreSQL"),
    ],
)
async def test_a_mighty_login_is_told_of(
    migrated: str, options: str, then: tuple[str, ...], said: str
) -> None:
    """Whatever a login can do that the service never does is a warning, or where that is set a refusal."""
    with login_on(migrated, options, *then) as url:
        (warning,) = await check(url)
        assert said in warning and "docs/settings.md" in warning
        with pytest.raises(DatabaseUnfit, match=said):
            await check(url, refuses_mighty=True)


async def test_the_service_login_is_not_mighty(migrated: str, postgres: EmbeddedPostgres) -> None:
    """A login that was made as docs/settings.md says is what the service needs; so is the embedded one's."""
    migrate(postgres.url)
    assert await check(postgres.service_url, refuses_mighty=True) == []
    with login_on(migrated, "") as url:
        assert await check(url, refuses_mighty=True) == []


async def test_the_administrators_recipe(postgres: EmbeddedPostgres) -> None:
    """What docs/settings.md tells an administrator to run: the owner migrates, the service's login serves."""
    number = uuid.uuid4().hex
    page = (Path(__file__).parents[2] / "docs" / "settings.md").read_text()
    recipe = re.sub(r"--.*", "", page.partition("```sql\n")[2].partition("```")[0])
    recipe = re.sub(
        r"CREATE ROLE inventory_service .*", "", recipe
    )  # it belongs to the cluster, and is there
    for name in ("inventory_owner", "inventory_server", "DATABASE inventory"):
        recipe = re.sub(rf"{name}\b", f"{name}_{number}", recipe)
    with psycopg.connect(postgres.database_url("postgres"), autocommit=True) as admin:
        for statement in filter(str.strip, recipe.split(";")):
            admin.execute(statement.encode())
    url = postgres.database_url(f"inventory_{number}")
    owner_url = url.replace("postgres@", f"inventory_owner_{number}@")
    service_url = owner_url.replace("inventory_owner_", "inventory_server_")
    assert migrate(owner_url)
    assert await check(service_url, refuses_mighty=True) == []
    create_store(owner_url, "made")
    connections = EngineConnections(service_url, 1)
    async with connections.borrow() as connection:
        assert (await connection.begin("made", [("store_exists", {})]))[0] == [(True,)]
        await connection.rollback()
    await connections.close()
    with pytest.raises(OperatorError, match="permission denied"):
        create_store(service_url, "another")


# --- the service under it ------------------------------------------------------------------------


def create_stock(address: str) -> v1.CreateStockResponse:
    with grpc.insecure_channel(address) as channel:
        request = v1.CreateStockRequest(product_id=f"a-{uuid.uuid4().hex}", quantity=1, request_id="q")
        return v1.InventoryServiceStub(channel).CreateStock(request, timeout=WAIT_S, wait_for_ready=True)


def logins(owner_url: str) -> set[tuple[str, str]]:
    with psycopg.connect(owner_url) as owner:
        return set(
            owner.execute(
                "SELECT DISTINCT split_part(application_name, ' ', 2), usename FROM pg_stat_activity"
                " WHERE application_name LIKE 'inventory %' AND datname = current_database()"
            ).fetchall()
        )


def test_the_embedded_database_is_served_by_the_login() -> None:
    """Nobody sets anything up: the schema is the owner's, every connection of the server its login's."""
    argv = [*INVENTORY_COMMAND, "serve", "--ephemeral", "--port", "0", UNTIL_STDIN_CLOSES]
    with start_process(argv) as server:
        assert create_stock(server.address).stock.total == 1
        (owner_url,) = (
            found[1]
            for line in server.last_errors
            if (found := re.search(r'owner_database": ?"([^"]+)"', line))
        )
        assert logins(owner_url) == {("engine", "inventory_server"), ("reads", "inventory_server")}


def test_two_urls(empty_database_url: str) -> None:
    """A server with the owner's URL beside its own migrates as the one and serves as the other."""
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        name = f"login_{uuid.uuid4().hex}"
        admin.execute(f"CREATE ROLE {name} LOGIN IN ROLE inventory_service".encode())
    url = empty_database_url.replace("postgres@", f"{name}@")
    with serving_on(
        url, owner_database_url=empty_database_url, migrate=True, refuse_mighty_login=True
    ) as server:
        assert create_stock(server.address).stock.total == 1
        assert {user for _, user in logins(empty_database_url)} == {name}
    with psycopg.connect(empty_database_url, autocommit=True) as admin:
        admin.execute(f"DROP ROLE {name}".encode())


async def test_the_login_lays_its_own_to_rest(postgres: EmbeddedPostgres, database_url: str) -> None:
    """A backend whose COMMIT was lost is ended by the same login, and what it did is waited for."""
    connections = EngineConnections(postgres.service_url, 1)
    async with connections.borrow() as lost:
        await lost.begin("default", [])
        await connections.lay_to_rest(lost, WAIT_S)
        with psycopg.connect(database_url) as owner:
            assert owner.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [lost.pid]).fetchall() == []
    await connections.close()
