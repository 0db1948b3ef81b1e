"""The schema: made from zero, once; what it refuses, by name; and what the service's role may not do."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from yoyo import read_migrations
from yoyo.migrations import MigrationList

from inventory_server.db import migrate as migrate_module
from inventory_server.db.migrate import _LOCK_KEY, latest_version, migrate
from inventory_server.operator_error import OperatorError
from support.polling import until
from support.rows import ROWS as ROWS_OF_STORES
from support.rows import TIME, insert

OVER = 2**43

ROWS: dict[str, dict[str, Any]] = {
    **ROWS_OF_STORES,
    "credential": {
        "credential_id": "c", "name": "shop", "kind": "CERTIFICATE", "identity": "spiffe://shop/orders",
        "role": "seller", "stores": ["s"],
    },
}  # fmt: skip
# What ROWS' operation is followed by, for the laws that two of them can break.
FURTHER_OPERATIONS: list[dict[str, Any]] = [
    {"operation_id": "op-void", "kind": "VOID", "state": "ACCEPTED"},
    {"operation_id": "op-refund", "kind": "REFUND", "state": "ACCEPTED", "refund_id": "f"},
]

# A constraint -> the table, and what makes its valid row break it. The primary keys are added below.
BREAKS: list[tuple[str, str, dict[str, Any]]] = [
    ("store_default_hold_range", "store", {"default_hold_s": 0}),
    ("store_default_hold_range", "store", {"default_hold_s": 90 * 86_400 + 1}),
    ("store_cart_expiry_range", "store", {"cart_expiry_s": 0}),
    ("store_cart_expiry_range", "store", {"cart_expiry_s": 90 * 86_400 + 1}),
    ("location_slug_format", "location", {"slug": "a.b"}),
    ("location_slug_format", "location", {"slug": "x" * 129}),
    ("location_slug_format", "location", {"slug": ""}),
    ("location_priority_range", "location", {"priority": 1_000_001}),
    ("location_priority_range", "location", {"priority": -1_000_001}),
    ("location_address_lines_limit", "location", {"address_lines": ["x"] * 9}),
    ("location_geolocation_range", "location", {"latitude": 1}),
    ("location_geolocation_range", "location", {"latitude": 90.1, "longitude": 0}),
    ("location_geolocation_range", "location", {"latitude": 0, "longitude": -180.1}),
    ("stock_low_stock_threshold_range", "stock", {"low_stock_threshold": -1}),
    ("stock_low_stock_threshold_range", "stock", {"low_stock_threshold": OVER}),
    ("stock_level_available_floor", "stock_level", {"available": -1}),
    ("stock_level_allocated_floor", "stock_level", {"allocated": -1, "hand_allocated": -1}),
    ("stock_level_hand_allocated_range", "stock_level", {"hand_allocated": 4}),
    ("stock_level_hand_allocated_range", "stock_level", {"hand_allocated": -1}),
    ("stock_level_total_limit", "stock_level", {"available": OVER - 3}),
    ("stock_level_version_floor", "stock_level", {"version": 0}),
    ("stock_transaction_floors", "stock_transaction", {"version": 0}),
    ("stock_transaction_floors", "stock_transaction", {"quantity": -1}),
    ("stock_transaction_floors", "stock_transaction", {"available_after": -1}),
    ("stock_transaction_floors", "stock_transaction", {"allocated_after": -1, "hand_allocated_after": -1}),
    ("stock_transaction_floors", "stock_transaction", {"hand_allocated_after": 2}),
    ("stock_transaction_delete_empties", "stock_transaction", {"action": "DELETE"}),
    ("reservation_state_known", "reservation", {"state": "HOLD"}),
    ("reservation_one_live_per_order", "reservation", {"reservation_id": "r2", "state": "COMMITTED"}),
    (
        "reservation_line_floors",
        "reservation_line",
        {"reserved": 0, "open": 0, "released": 0, "fulfilled": 0},
    ),
    ("reservation_line_floors", "reservation_line", {"open": -1, "released": 6}),
    ("reservation_line_floors", "reservation_line", {"released": -1, "open": 6}),
    ("reservation_line_floors", "reservation_line", {"fulfilled": -1, "open": 5}),
    ("reservation_line_sum", "reservation_line", {"open": 4}),
    ("reservation_line_returned_range", "reservation_line", {"returned": -1}),
    ("reservation_line_returned_range", "reservation_line", {"returned": 2}),
    ("item_return_location_restocked", "item_return", {"restocked": False}),
    ("item_return_line_quantity_floor", "item_return_line", {"quantity": 0}),
    ("cart_item_quantity_range", "cart_item", {"quantity": 0}),
    ("cart_item_quantity_range", "cart_item", {"quantity": OVER}),
    ("cart_item_price_range", "cart_item", {"unit_price_minor": -1}),
    ("cart_item_price_range", "cart_item", {"unit_price_minor": 2**53}),
    ("sales_order_total_range", "sales_order", {"total_minor": -1}),
    ("sales_order_total_range", "sales_order", {"total_minor": 2**53}),
    ("sales_order_one_per_cart", "sales_order", {"order_id": "o2"}),
    ("order_line_quantity_floor", "order_line", {"quantity": 0}),
    ("order_return_location_restocked", "order_return", {"restocked": False}),
    ("order_return_line_quantity_floor", "order_return_line", {"quantity": 0}),
    ("order_line_unmanaged_tracked", "order_line", {"track_stock": False, "unmanaged": True}),
    ("payment_amount_floor", "payment", {"amount_minor": -1}),
    ("payment_operation_amount_floor", "payment_operation", {"amount_minor": 0}),
    ("payment_operation_kind_known", "payment_operation", {"kind": "GIFT"}),
    ("payment_operation_refund_named", "payment_operation", {"kind": "REFUND"}),
    ("payment_operation_refund_named", "payment_operation", {"refund_id": "f"}),
    ("payment_operation_refund_named", "payment_operation", {"reverses_operation_id": "op"}),
    (
        "payment_operation_refund_named",
        "payment_operation",
        {"kind": "REFUND", "refund_id": "f", "reverses_operation_id": "op"},
    ),
    ("payment_operation_lapsed_known", "payment_operation", {"lapsed": True}),
    ("payment_operation_resolved_whole", "payment_operation", {"resolved_at": TIME}),
    ("payment_operation_resolved_whole", "payment_operation", {"state": "DECLINED", "poll_until": TIME}),
    ("payment_operation_resolved_whole", "payment_operation", {"resolve_reason": "seen"}),
    ("payment_operation_one_in_flight", "payment_operation", {"operation_id": "op-3"}),
    (
        "payment_operation_one_accepted",
        "payment_operation",
        {"operation_id": "op-3", "kind": "VOID", "state": "ACCEPTED"},
    ),
    (
        "payment_operation_refund",
        "payment_operation",
        {"operation_id": "op-3", "payment_id": "p2", "kind": "REFUND", "refund_id": "f"},
    ),
    ("reservation_suspended_in_order", "reservation", {"reservation_id": "r2", "expiry_suspended": True}),
    (
        "reservation_suspended_in_order",
        "reservation",
        {
            "reservation_id": "r2",
            "expiry_suspended": True,
            "expire_time": TIME,
            "state": "EXPIRED",
        },
    ),
    ("payment_operation_state_known", "payment_operation", {"state": "LOST"}),
    ("shipment_line_quantity_floor", "shipment_line", {"quantity": 0}),
    ("import_row_number_range", "import_row", {"product_id": "b", "row_number": 0}),
    ("import_row_number_range", "import_row", {"product_id": "b", "row_number": 1_000_001}),
    ("import_row_level_count_range", "import_row", {"product_id": "b", "levels": "[]"}),
    ("import_row_level_count_range", "import_row", {"product_id": "b", "levels": f"[{'1,' * 1_024}1]"}),
    ("import_job_state_known", "import_job", {"state": "DONE"}),
    ("import_job_row_limit", "import_job", {"row_count": 1_000_001}),
    ("import_job_counts", "import_job", {"applied_count": -1}),
    ("import_job_counts", "import_job", {"failed_count": -1}),
    ("import_job_counts", "import_job", {"failed_count": 2}),
    ("import_job_by_upload", "import_job", {"import_id": "i2", "state": "PENDING"}),
    ("import_job_one_running", "import_job", {"import_id": "i2", "upload_id": "u2"}),
    ("credential_name_format", "credential", {"name": ""}),
    ("credential_name_format", "credential", {"name": "x" * 129}),
    ("credential_name_format", "credential", {"name": "a b"}),
    ("credential_kind_known", "credential", {"kind": "PASSWORD"}),
    ("credential_identity_format", "credential", {"kind": "TOKEN", "identity": "inventory_abc"}),
    ("credential_identity_format", "credential", {"identity": ""}),
    ("credential_identity_format", "credential", {"identity": "x" * 1_025}),
    ("credential_role_known", "credential", {"role": "owner"}),
    ("credential_stores_named", "credential", {"stores": []}),
    ("credential_calls_floor", "credential", {"calls_per_s_max": 0}),
    ("credential_calls_floor", "credential", {"calls_max": 0}),
    ("credential_identity", "credential", {"credential_id": "c2"}),
    *[(f"{table}_pkey", table, dict[str, Any]()) for table in ROWS],
]
# What stands right at a limit is accepted.
AT_THE_LIMIT: list[tuple[str, dict[str, Any]]] = [
    ("store", {"store_id": "s2", "default_hold_s": 1, "cart_expiry_s": 90 * 86_400}),
    ("credential", {"credential_id": "c2", "name": "x" * 128, "kind": "TOKEN", "identity": "0f" * 32}),
    ("credential", {"credential_id": "c2", "identity": "x" * 1_024, "stores": None, "calls_max": 1}),
    ("credential", {"credential_id": "c2", "revoked_at": TIME}),
    ("credential", {"credential_id": "c2", "kind": "SUBJECT"}),
    ("location", {"slug": "b", "address_lines": ["x"] * 8, "latitude": -90, "longitude": 180}),
    ("location", {"slug": "Z-9_" * 32, "priority": -1_000_000}),
    ("stock", {"product_id": "b", "low_stock_threshold": OVER - 1}),
    ("stock_level", {"product_id": "b", "available": OVER - 4}),
    ("stock_level", {"product_id": "b", "available": 0, "allocated": 0, "hand_allocated": 0}),
    ("stock_level", {"product_id": "b", "hand_allocated": 3}),
    ("stock_transaction", {"version": 2, "quantity": 0}),
    ("reservation", {"reservation_id": "r2", "state": "RELEASED"}),
    ("reservation", {"reservation_id": "r2", "owned_by_order": False}),
    ("reservation", {"reservation_id": "r2", "order_id": "o2"}),
    ("reservation_line", {"line_number": 2, "returned": 1}),
    ("item_return", {"return_id": "t2", "restocked": False, "location": None}),
    ("cart_item", {"product_id": "b", "quantity": OVER - 1, "unit_price_minor": 2**53 - 1}),
    ("sales_order", {"order_id": "o2", "cart_id": "c2", "total_minor": 2**53 - 1}),
    ("payment_operation", {"operation_id": "op-3", "payment_id": "p2"}),
    ("import_row", {"product_id": "b", "row_number": 1_000_000, "levels": f"[{'1,' * 1_023}1]"}),
    ("import_job", {"import_id": "i2", "upload_id": "u2", "state": "PENDING", "row_count": 1_000_000}),
    (
        "payment_operation",
        {
            "operation_id": "op-3",
            "kind": "VOID",
            "state": "ACCEPTED",
            "lapsed": True,
            "reverses_operation_id": "op",
        },
    ),
    (
        "payment_operation",
        {"operation_id": "op-3", "kind": "REFUND", "state": "ACCEPTED", "refund_id": "f2"},
    ),
    (
        "payment_operation",
        {
            "operation_id": "op-3",
            "state": "FAILED",
            "resolved_at": TIME,
            "resolve_reason": "seen",
            "poll_until": TIME,
        },
    ),
    (
        "reservation",
        {"reservation_id": "r2", "order_id": "o2", "expiry_suspended": True, "expire_time": TIME},
    ),
]


@pytest.fixture(scope="module")
def migrated_url(postgres: Any) -> Iterator[str]:
    """A migrated database with one valid row in each table."""
    with psycopg.connect(postgres.database_url("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE migrated")
        url = postgres.database_url("migrated")
        migrate(url)
        with psycopg.connect(url) as connection:
            for table, row in ROWS.items():
                insert(connection, table, row)
            for further in FURTHER_OPERATIONS:
                insert(connection, "payment_operation", {**ROWS["payment_operation"], **further})
        yield url
        admin.execute("DROP DATABASE migrated WITH (FORCE)")


@pytest.fixture
def connection(migrated_url: str) -> Iterator[psycopg.Connection]:
    """A transaction that is rolled back."""
    with psycopg.connect(migrated_url) as opened:
        yield opened
        opened.rollback()


# --- migrating -----------------------------------------------------------------------------------


def test_from_zero_once(empty_database_url: str) -> None:
    """An empty database gets every migration, a second run none; the store `default` is there."""
    applied = migrate(empty_database_url)
    assert applied[-1] == latest_version() and applied == sorted(applied)
    assert migrate(empty_database_url) == []
    with psycopg.connect(empty_database_url) as opened:
        assert opened.execute("SELECT store_id FROM store").fetchall() == [("default",)]


def test_two_at_once(empty_database_url: str) -> None:
    """Of several that migrate at once one does it, and the others find it done."""
    with ThreadPoolExecutor(3) as pool:
        applied = list(pool.map(lambda _: migrate(empty_database_url), range(3)))
    assert sorted(map(bool, applied)) == [False, False, True]


def test_who_comes_second_waits(empty_database_url: str) -> None:
    """While somebody migrates, another waits."""
    done = threading.Event()

    def second() -> None:
        migrate(empty_database_url)
        done.set()

    with psycopg.connect(empty_database_url, autocommit=True) as first, ThreadPoolExecutor(1) as pool:
        first.execute("SELECT pg_advisory_lock(%s)", [_LOCK_KEY])
        waiting = pool.submit(second)
        until(
            lambda: first.execute(
                "SELECT 1 FROM pg_stat_activity WHERE pg_backend_pid() = ANY(pg_blocking_pids(pid))"
            ).fetchone(),
            "the second waits",
        )
        assert not done.is_set()
        assert first.execute("SELECT to_regclass('stock')").fetchone() == (None,)
        first.execute("SELECT pg_advisory_unlock(%s)", [_LOCK_KEY])
        waiting.result(60)
        assert first.execute("SELECT to_regclass('stock')").fetchone() == ("stock",)


def test_a_migration_that_fails_leaves_nothing(empty_database_url: str) -> None:
    """A migration that cannot be finished is one line, and nothing of it stays."""
    with psycopg.connect(empty_database_url, autocommit=True) as opened:
        opened.execute("CREATE TABLE shipment_line (mine int)")
        with pytest.raises(OperatorError, match="cannot migrate the database: relation") as caught:
            migrate(empty_database_url)
        assert "\n" not in str(caught.value)
        assert opened.execute("SELECT to_regclass('stock')").fetchone() == (None,)
        opened.execute("DROP TABLE shipment_line")
        assert migrate(empty_database_url)


def test_what_was_in_flight_gets_the_time_of_its_payment(
    empty_database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list goes by the payment's time, also for what was begun before the column was there."""

    def before_it(folder: str) -> MigrationList:
        return read_migrations(folder).filter(lambda migration: migration.id < "0010")

    with monkeypatch.context() as older:
        older.setattr(migrate_module, "read_migrations", before_it)
        assert migrate(empty_database_url)[-1].startswith("0009")
    late = {**ROWS["payment_operation"], "created_at": "2026-02-01T00:00:00Z"}
    with psycopg.connect(empty_database_url) as opened:
        for table, row in (("payment", ROWS["payment"]), ("payment_operation", late)):
            insert(opened, table, row)
    migrate(empty_database_url)
    with psycopg.connect(empty_database_url) as opened:
        # A server of the version before does not name the column.
        insert(opened, "payment_operation", {**late, "payment_id": "p2", "operation_id": "op-2"})
        times = dict(
            opened.execute(
                "SELECT payment_id, payment_created_at = CASE payment_id WHEN 'p' THEN %s ELSE now() END"
                " FROM payment_operation",
                [TIME],
            ).fetchall()
        )
    assert times == {"p": True, "p2": True}


# --- what the schema refuses ---------------------------------------------------------------------


@pytest.mark.parametrize(("constraint", "table", "change"), BREAKS)
def test_each_constraint_by_its_name(
    connection: psycopg.Connection, constraint: str, table: str, change: dict[str, Any]
) -> None:
    """A row that breaks a law is refused by the database too, and the error names the constraint."""
    with pytest.raises(psycopg.IntegrityError) as caught:
        insert(connection, table, {**ROWS[table], **change})
    assert caught.value.diag.constraint_name == constraint


@pytest.mark.parametrize(("table", "change"), AT_THE_LIMIT)
def test_what_stands_at_a_limit_is_accepted(
    connection: psycopg.Connection, table: str, change: dict[str, Any]
) -> None:
    """The constraints forbid what the laws forbid, and nothing more."""
    insert(connection, table, {**ROWS[table], **change})


def test_every_constraint_is_named_here(connection: psycopg.Connection) -> None:
    """A constraint or unique index that is added comes with the row that breaks it."""
    rows = connection.execute(
        "SELECT conname FROM pg_constraint WHERE connamespace = 'public'::regnamespace"
        " AND contype IN ('p', 'u', 'c', 'f', 'x') AND conrelid::regclass::text NOT LIKE '%yoyo%'"
        " UNION SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " WHERE i.indisunique AND c.relnamespace = 'public'::regnamespace"
        " AND i.indrelid::regclass::text NOT LIKE '%yoyo%'"
    ).fetchall()
    assert {row[0] for row in rows} == {constraint for constraint, _, _ in BREAKS}


def test_every_key_begins_with_the_store(connection: psycopg.Connection) -> None:
    """The store comes first in every index, so that stores can be spread; credentials are of no store."""
    rows = connection.execute(
        "SELECT c.relname, a.attname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
        " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[0]"
        " WHERE c.relnamespace = 'public'::regnamespace AND i.indrelid::regclass::text NOT LIKE '%yoyo%'"
        " AND i.indrelid <> 'credential'::regclass"
    ).fetchall()
    assert len(rows) > len(ROWS)
    assert {first for _, first in rows} == {"store_id"}


# --- the service's role --------------------------------------------------------------------------

FORBIDDEN = [
    "UPDATE stock_transaction SET quantity = 1",
    "UPDATE stock_transaction SET quantity = 1 WHERE false",
    "DELETE FROM stock_transaction",
    "TRUNCATE stock_transaction",
    "INSERT INTO stock_transaction (store_id, product_id, location, version, action, quantity,"
    " available_after, allocated_after, hand_allocated_after, created_at) VALUES"
    " ('s', 'a', 'default', 1, 'SET', 1, 1, 0, 0, now()) ON CONFLICT ON CONSTRAINT stock_transaction_pkey"
    " DO UPDATE SET quantity = 1",
    "UPDATE order_line SET quantity = 1",
    "UPDATE payment SET amount_minor = 1",
    "UPDATE shipment SET order_id = ''",
    "UPDATE shipment_line SET quantity = 1",
    "UPDATE item_return SET restocked = true",
    "UPDATE item_return_line SET quantity = 1",
    "UPDATE request_log SET response = ''",
    "INSERT INTO credential (credential_id, name, kind, identity, role) VALUES ('x', 'x', 'CERTIFICATE', 'x',"
    " 'admin')",
    "UPDATE credential SET role = 'admin'",
    "UPDATE credential SET revoked_at = NULL",
    "DELETE FROM credential",
    "INSERT INTO store VALUES ('x')",
    "UPDATE store SET store_id = 'x'",
    *[
        f"DELETE FROM {table}"
        for table in (
            "store",
            "stock",
            "stock_level",
            "reservation",
            "item_return",
            "item_return_line",
            "sales_order",
            "order_line",
            "payment",
            "payment_operation",
            "shipment",
            "shipment_line",
            "order_return",
            "order_return_line",
        )
    ],
    "CREATE TABLE mine (a int)",
    "CREATE SCHEMA mine",
    "CREATE VIEW mine AS SELECT 1",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE INDEX mine ON stock (product_id)",
    "CREATE TRIGGER mine BEFORE INSERT ON stock EXECUTE FUNCTION suppress_redundant_updates_trigger()",
    "ALTER TABLE stock ADD COLUMN mine int",
    "ALTER TABLE stock_level DROP CONSTRAINT stock_level_available_floor",
    "ALTER TABLE stock_transaction OWNER TO inventory_service",
    "DROP TABLE stock_transaction",
    "DROP INDEX reservation_one_live_per_order",
    "TRUNCATE stock_level",
    "GRANT UPDATE ON stock_transaction TO inventory_service",
    "CREATE ROLE mine",
    "SET session_replication_role = replica",
    "COPY stock_transaction TO PROGRAM 'true'",
]


@pytest.mark.parametrize("statement", FORBIDDEN)
def test_the_services_role_may_not(connection: psycopg.Connection, statement: str) -> None:
    """The role that the server runs as can change neither the log nor the schema, nor delete what counts."""
    connection.execute("SET ROLE inventory_service")
    text: Any = statement
    try:
        connection.execute(text)
    except psycopg.errors.InsufficientPrivilege:
        return
    # GRANT of a right that one does not have is a warning only: what matters is that nothing was granted.
    row = connection.execute(
        "SELECT has_table_privilege('inventory_service', 'stock_transaction', 'UPDATE')"
    ).fetchone()
    assert statement.startswith("GRANT") and row == (False,)


def test_the_services_role_owns_nothing(connection: psycopg.Connection) -> None:
    """It is no login, no superuser, and no table is its own."""
    role = connection.execute(
        "SELECT rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolbypassrls FROM pg_roles"
        " WHERE rolname = 'inventory_service'"
    ).fetchone()
    assert role == (False,) * 5
    owned = connection.execute(
        "SELECT relname FROM pg_class WHERE relowner = 'inventory_service'::regrole"
    ).fetchall()
    assert owned == []
