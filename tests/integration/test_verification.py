"""The verification on a real database: silent over what the service does, and over nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from inventory_server.db.migrate import migrate
from inventory_server.db.read_pool import ReadTransaction
from inventory_server.db.stores import create_store
from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    Command,
    ConfirmReservation,
    CreateCart,
    CreateStock,
    CreateStockTransaction,
    FulfillReservation,
    ReleaseReservation,
    ReserveStock,
)
from inventory_server.domain.order import CartItem
from inventory_server.domain.order_commands import CancelOrder, ShipOrder
from inventory_server.domain.payment import OperationState
from inventory_server.domain.payment_commands import BeginPayment, SettlePayment
from inventory_server.domain.reservation import Line
from inventory_server.domain.stock import Action
from inventory_server.engine import verification
from inventory_server.engine.engine import Engine
from inventory_server.engine.verification import FIRST, Chunk, Verifier
from inventory_server.verify.violation import Violation
from support.engine import Database, minus, plus, running_engine

WAIT_S = 20.0

# What makes each law fail: as the owner of the tables, with every constraint gone.
_LEVEL = "UPDATE stock_level SET {} WHERE store_id = %s AND product_id = 'a'"
_ENTRY = "UPDATE stock_transaction SET {} WHERE store_id = %s AND product_id = 'a' AND version = 2"
_RESERVATION = "UPDATE reservation SET {} WHERE store_id = %s AND reservation_id = '{}'"
_LINE = "UPDATE reservation_line SET {} WHERE store_id = %s AND reservation_id = '{}'"
_ORDER = "UPDATE sales_order SET {} WHERE store_id = %s AND order_id = '{}'"
_OPERATION = "UPDATE payment_operation SET {} WHERE store_id = %s AND payment_id = '{}'"
_ANOTHER_OPERATION = (
    "INSERT INTO payment_operation (store_id, operation_id, payment_id, order_id, kind, amount_minor, state,"
    " lease_until, gateway_reference, failure_reason, created_at, updated_at, refund_id)"
    " SELECT store_id, '{0}', payment_id, order_id, '{1}', {2}, '{3}', now(), '', '', now(), now(), '{0}'"
    " FROM payment WHERE store_id = %s AND payment_id = 'p-paid'"
)
CORRUPTIONS: list[tuple[str, set[str]]] = [
    (_LEVEL.format("available = -1"), {"level-floors", "log-ends-at-level"}),
    (_LEVEL.format("allocated = -1"), {"level-floors", "allocation-explained", "log-ends-at-level"}),
    (_LEVEL.format("available = 8796093022207"), {"level-floors", "log-ends-at-level"}),
    (
        _LEVEL.format("hand_allocated = allocated + 1"),
        {"level-floors", "allocation-explained", "log-ends-at-level"},
    ),
    (_LEVEL.format("available = available + 1"), {"log-ends-at-level"}),
    (_LEVEL.format("version = version + 1"), {"log-ends-at-level"}),
    (_LEVEL.format("version = version - 1"), {"log-ends-at-level"}),
    (
        _LEVEL.format("available = available - 1, allocated = allocated + 1"),
        {"allocation-explained", "log-ends-at-level"},
    ),
    ("DELETE FROM stock_level WHERE store_id = %s AND product_id = 'a'", {"log-ends-at-level"}),
    ("DELETE FROM stock WHERE store_id = %s AND product_id = 'a'", {"level-managed"}),
    ("UPDATE stock SET deleted_at = now() WHERE store_id = %s AND product_id = 'a'", {"deleted-empty"}),
    (_ENTRY.format("quantity = quantity + 1"), {"log-replays"}),
    (_ENTRY.format("action = 'DECREMENT'"), {"log-replays"}),
    (_ENTRY.format("action = 'NEVER'"), {"log-replays"}),
    (_ENTRY.format("available_after = available_after + 1"), {"log-replays"}),
    (_ENTRY.format("allocated_after = allocated_after + 1"), {"log-replays"}),
    (_ENTRY.format("hand_allocated_after = hand_allocated_after + 1"), {"log-replays"}),
    (_ENTRY.format("version = 9999"), {"log-gapless"}),
    (
        "DELETE FROM stock_transaction WHERE store_id = %s AND version = 2 AND product_id = 'a'",
        {"log-gapless"},
    ),
    (
        "DELETE FROM stock_transaction WHERE store_id = %s AND product_id = 'a'",
        {"log-ends-at-level"},
    ),
    (
        "UPDATE stock_transaction SET quantity = quantity - 1000, available_after = available_after - 1000"
        " WHERE store_id = %s AND product_id = 'c' AND version = 1",
        {"log-floors", "log-ends-at-level"},
    ),
    (_LINE.format("reserved = reserved + 1", "held"), {"line-units"}),
    (_LINE.format("returned = fulfilled + 1", "fulfilled"), {"line-units"}),
    (_LINE.format("released = -1, open = open + 1", "held"), {"line-units", "allocation-explained"}),
    (_LINE.format("open = open + 1, reserved = reserved + 1", "held"), {"allocation-explained"}),
    (_LINE.format("open = 0, released = reserved", "held"), {"reservation-state", "allocation-explained"}),
    (_RESERVATION.format("state = 'RELEASED'", "held"), {"reservation-state", "allocation-explained"}),
    (_RESERVATION.format("state = 'COMMITTED'", "fulfilled"), {"reservation-state"}),
    (_RESERVATION.format("state = 'CLOSED'", "released"), {"reservation-state"}),
    (_RESERVATION.format("state = 'RELEASED'", "fulfilled"), {"reservation-state"}),
    (
        "DELETE FROM reservation_line WHERE store_id = %s AND reservation_id = 'released'",
        {"reservation-state"},
    ),
    (
        _RESERVATION.format("owned_by_order = true, order_id = 'paid'", "held"),
        {"one-live-reservation"},
    ),
    (_ORDER.format("total_minor = total_minor + 1", "paid"), {"order-total"}),
    (
        "UPDATE order_line SET quantity = quantity + 1 WHERE store_id = %s AND order_id = 'paid'",
        {"order-total", "paid-units-kept"},
    ),
    (_ORDER.format("reservation_id = NULL", "paid"), {"paid-units-kept", "one-live-reservation"}),
    (_ORDER.format("cancelled_at = now()", "paid"), {"unpaid-units-free"}),
    (_OPERATION.format("state = 'DECLINED'", "p-paid"), {"unpaid-units-free"}),
    (
        "UPDATE payment SET amount_minor = 999 WHERE store_id = %s AND payment_id = 'p-paid'",
        {"money-within-total"},
    ),
    (_ANOTHER_OPERATION.format("x1", "REFUND", 31, "ACCEPTED"), {"refunds-within-captured"}),
    (_ANOTHER_OPERATION.format("x2", "REFUND", 31, "PROCESSING"), {"refunds-within-captured"}),
    (
        _ANOTHER_OPERATION.format("x3", "CAPTURE", 1, "ACCEPTED"),
        {"captured-within-payment", "money-within-total"},
    ),
    (
        _ANOTHER_OPERATION.format("x4", "REFUND", 1, "PROCESSING")
        + "; "
        + _ANOTHER_OPERATION.format("x5", "VOID", 1, "PROCESSING"),
        {"one-operation-in-flight"},
    ),
    ("DELETE FROM shipment_line WHERE store_id = %s", {"shipped-is-fulfilled"}),
    (
        "UPDATE shipment_line SET quantity = quantity + 1 WHERE store_id = %s",
        {"shipped-is-fulfilled"},
    ),
]
LAWS = {
    "level-floors", "allocation-explained", "level-managed", "deleted-empty", "log-gapless", "log-replays",
    "log-floors", "log-ends-at-level", "line-units", "reservation-state", "one-live-reservation",
    "order-total", "money-within-total", "refunds-within-captured", "captured-within-payment",
    "one-operation-in-flight", "paid-units-kept", "unpaid-units-free", "shipped-is-fulfilled",
}  # fmt: skip


@pytest.fixture(scope="module")
def lawless_url(postgres: Any) -> str:
    """A database without a single CHECK or UNIQUE, where anything can be written."""
    with psycopg.connect(postgres.database_url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE lawless")
    url: str = postgres.database_url("lawless")
    migrate(url)
    with psycopg.connect(url, autocommit=True) as connection:
        checks = connection.execute(
            "SELECT format('ALTER TABLE %s DROP CONSTRAINT %I', conrelid::regclass, conname)"
            " FROM pg_constraint WHERE contype = 'c' AND connamespace = 'public'::regnamespace"
        ).fetchall()
        uniques = connection.execute(
            "SELECT format('DROP INDEX %s', indexrelid::regclass) FROM pg_index"
            " JOIN pg_class ON pg_class.oid = indrelid WHERE indisunique AND NOT indisprimary"
            " AND relnamespace = 'public'::regnamespace"
        ).fetchall()
        for (statement,) in [*checks, *uniques]:
            connection.execute(statement)
    return url


@pytest.fixture
def lawless(lawless_url: str) -> Iterator[Database]:
    store = f"test-{uuid.uuid4().hex}"
    create_store(lawless_url, store)
    with Database(lawless_url, store) as opened:
        yield opened


async def live(engine: Engine, store: str) -> None:
    """Do something of every kind."""

    async def do(*commands: Command) -> None:
        for command in commands:
            await engine.change(store, command, deadline_s=WAIT_S)

    await do(CreateStock("a", 50), plus("a"), minus("a"), CreateStock("b", 50), CreateStock("c", 500))
    await do(
        CreateStockTransaction("a", Action.ALLOCATE, 3), CreateStockTransaction("a", Action.DEALLOCATE, 1)
    )
    await do(CreateStockTransaction("b", Action.SET, 60))
    for name in ("held", "committed", "released", "fulfilled"):
        await do(ReserveStock(name, (Line("a", 2), Line("b", 1))))
    await do(ConfirmReservation("committed"), ReleaseReservation("released"), FulfillReservation("fulfilled"))
    for order in ("unpaid", "declined", "paid", "shipped", "cancelled", "in-flight"):
        cart = f"c-{order}"
        await do(
            CreateCart(cart, "EUR"), AddCartItems(cart, (CartItem("a", 2, 15, None),)), Checkout(cart, order)
        )
    for order in ("declined", "paid", "shipped", "cancelled", "in-flight"):
        await do(BeginPayment(order, f"p-{order}", 30, "card", f"op-{order}", f"hold-{order}", 9.0))
    await do(SettlePayment("declined", "p-declined", "op-declined", OperationState.DECLINED))
    for order in ("paid", "shipped", "cancelled"):
        await do(SettlePayment(order, f"p-{order}", f"op-{order}", OperationState.ACCEPTED))
    await do(ShipOrder("shipped", "s"), CancelOrder("cancelled"))


async def verified(verifier: Verifier, store: str, product_ids: tuple[str, ...] = ()) -> list[Chunk]:
    """Verify to the end; return the chunks."""
    chunks = []
    place = FIRST
    while True:
        chunk = await verifier.chunk(store, place, product_ids=product_ids, deadline_s=WAIT_S)
        chunks.append(chunk)
        if chunk.next_place is None:
            return chunks
        place = chunk.next_place


def violations(chunks: list[Chunk]) -> list[Violation]:
    return [violation for chunk in chunks for violation in chunk.violations]


async def test_a_life_breaks_no_law(lawless: Database) -> None:
    """Whatever the service does, every law holds afterwards; all of it was looked at."""
    async with running_engine(lawless.url) as (engine, reader):
        await live(engine, lawless.store)
        chunks = await verified(Verifier(reader), lawless.store)
    assert violations(chunks) == []
    assert sum(chunk.levels for chunk in chunks) == 3
    assert sum(chunk.entries for chunk in chunks) == lawless.one(
        "SELECT count(*) FROM stock_transaction WHERE store_id = %s", lawless.store
    )
    assert sum(chunk.reservations for chunk in chunks) == 9
    assert sum(chunk.orders for chunk in chunks) == 6


def test_every_law_is_made_to_fail() -> None:
    """A law that cannot fail is a defect: each is named by a corruption below."""
    assert set[str]().union(*(laws for _, laws in CORRUPTIONS)) == LAWS


async def test_every_law_fails_where_it_is_broken(lawless: Database) -> None:
    """Each corruption of a sound store is reported, under its laws and no other; mended, it is silent."""
    async with running_engine(lawless.url) as (engine, reader):
        await live(engine, lawless.store)
        verifier = Verifier(reader)
        for statement, laws in CORRUPTIONS:
            backups = _backed_up(lawless)
            for part in statement.split("; "):
                lawless.connection.execute(part, (lawless.store,))
            found = violations(await verified(verifier, lawless.store))
            assert {violation.law for violation in found} == laws, (statement, found)
            assert all(violation.description for violation in found)
            _put_back(lawless, backups)
        assert violations(await verified(verifier, lawless.store)) == []


_TABLES = (
    "stock", "stock_level", "stock_transaction", "reservation", "reservation_line", "sales_order",
    "order_line", "payment", "payment_operation", "shipment_line",
)  # fmt: skip


def _backed_up(database: Database) -> dict[str, list[str]]:
    return {
        table: [
            row[0]
            for row in database.rows(f"SELECT t::text FROM {table} t WHERE store_id = %s", database.store)
        ]
        for table in _TABLES
    }


def _put_back(database: Database, backups: dict[str, list[str]]) -> None:
    for table, rows in backups.items():
        database.connection.execute(f"DELETE FROM {table} WHERE store_id = %s", (database.store,))
        database.connection.execute(
            f"INSERT INTO {table} SELECT (r::{table}).* FROM unnest(%s::text[]) AS r", (rows,)
        )


@pytest.mark.parametrize(("levels_max", "entries_max"), [(500, 4_000), (2, 4_000), (500, 3), (1, 1)])
async def test_chunks_of_any_size_find_the_same(
    lawless: Database, monkeypatch: pytest.MonkeyPatch, levels_max: int, entries_max: int
) -> None:
    """A log that goes over several chunks is replayed without a seam; nothing is left out or doubled."""
    monkeypatch.setattr(verification, "LEVELS_MAX", levels_max)
    monkeypatch.setattr(verification, "ENTRIES_MAX", entries_max)
    monkeypatch.setattr(verification, "RESERVATIONS_MAX", levels_max)
    monkeypatch.setattr(verification, "ORDERS_MAX", levels_max)
    async with running_engine(lawless.url) as (engine, reader):
        await live(engine, lawless.store)
        verifier = Verifier(reader)
        for _, last_laws in (("", set[str]()), ("corrupt", {"log-replays"})):
            if last_laws:
                lawless.connection.execute(_ENTRY.format("quantity = quantity + 1"), (lawless.store,))
            chunks = await verified(verifier, lawless.store)
            assert [v.law for v in violations(chunks)] == sorted(last_laws)
            assert sum(chunk.orders for chunk in chunks) == 6
            named = await verified(verifier, lawless.store, ("a", "nothing"))
            assert [v.law for v in violations(named)] == sorted(last_laws)
            other = await verified(verifier, lawless.store, ("b", "c"))
            assert violations(other) == []
            assert sum(chunk.orders + chunk.reservations for chunk in other) == 0


async def test_what_is_held_is_summed_once(lawless: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many chunks a product's log has, the sum over all its open lines is made in the first."""
    monkeypatch.setattr(verification, "ENTRIES_MAX", 2)
    summed: list[str] = []
    fetch = ReadTransaction.fetch

    async def told(self: ReadTransaction, calls: Any) -> Any:
        for name, params in calls:
            summed.extend(params["products"] if name == "verify_held" else ())
        return await fetch(self, calls)

    monkeypatch.setattr(ReadTransaction, "fetch", told)
    async with running_engine(lawless.url) as (engine, reader):
        await engine.change(lawless.store, CreateStock("a", 20), deadline_s=20)
        for _ in range(6):
            await engine.change(lawless.store, minus("a"), deadline_s=20)
        chunks = await verified(Verifier(reader), lawless.store)
    assert sum(chunk.levels > 0 for chunk in chunks) > 2
    assert summed == ["a"]


async def test_an_empty_store(lawless: Database) -> None:
    """Nothing to look at, nothing to report."""
    async with running_engine(lawless.url) as (_, reader):
        chunks = await verified(Verifier(reader), lawless.store)
    assert violations(chunks) == []
