"""Every named statement: it fits the schema, gets its parameters, and cannot be planned wrongly."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from inventory_server.access.role import Role
from inventory_server.db.connection import (
    _ENGINE_SETTINGS,
    Call,
    EngineConnection,
    EngineConnections,
    connection_string,
)
from inventory_server.db.credentials import list_credentials
from inventory_server.db.migrate import migrate
from inventory_server.db.queries import statements
from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    Command,
    ConfirmReservation,
    CreateCart,
    CreateStock,
    DeleteCart,
    ForgetAnswers,
    FulfillReservation,
    RemoveCartItem,
    ReserveStock,
    UpdateStock,
)
from inventory_server.domain.errors import InsufficientStock
from inventory_server.domain.location import Location
from inventory_server.domain.location_commands import CreateLocation, DeleteLocation
from inventory_server.domain.order import CartItem
from inventory_server.domain.order_commands import CancelOrder, ReturnOrderItems, ShipOrder
from inventory_server.domain.payment import OperationState, PaymentState
from inventory_server.domain.payment_commands import BeginPayment, SettlePayment
from inventory_server.domain.reservation import Line, LineUnits, ReservationState
from inventory_server.domain.reservation_commands import ReturnReservationItems
from inventory_server.domain.store_commands import UpdateStoreSettings
from inventory_server.engine import level_load
from inventory_server.engine.credentials import CredentialBook
from inventory_server.engine.feed_reads import FeedReader, Position
from inventory_server.engine.log_reads import LogFilters
from inventory_server.engine.order_reads import CartFilters, OrderFilters
from inventory_server.engine.payment_reads import FIRST_KEY, PaymentFilters
from inventory_server.engine.reads import Reader
from inventory_server.engine.reservation_reads import FIRST_KEY as RESERVATION_KEY
from inventory_server.engine.reservation_reads import ReservationFilters
from inventory_server.engine.stock_reads import StockFilters
from inventory_server.engine.verification import LEVELS, ORDERS, RESERVATIONS, Place, Verifier
from support.credentials import grant
from support.engine import Database, plus, running_engine
from support.imports import Desk, desk_on, staged

PARAMETER = re.compile(r"%\((\w+)\)s")

# Statements that may walk a table or an index: the stores and the credentials, which are few and of no store;
# the locations of one, bounded by their limit; imports that have not ended, uploads not cleared away: few.
MAY_WALK = {
    "all_stores": {"store"},
    "credentials_live": {"credential"},
    "locations": {"location"},
    "locations_ranked": {"location"},
    "imports_running": {"import_job"},
    "import_unfinished": {"import_job"},
    "uploads_spent": {"import_upload"},
}


def numbered(text: str) -> str:
    """Return a statement with $1, $2 ... for its named parameters."""
    names = list(dict.fromkeys(PARAMETER.findall(text)))
    return PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", text)


@pytest.fixture(scope="module")
def empty_tables(postgres: Any) -> Iterator[psycopg.Connection]:
    """The engine's own session on a database that was migrated and holds nothing yet."""
    with psycopg.connect(postgres.database_url("postgres"), autocommit=True) as admin:
        admin.execute("CREATE DATABASE planned")
        url = postgres.database_url("planned")
        migrate(url)
        conninfo = connection_string(url, _ENGINE_SETTINGS, "plans")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute("SET ROLE inventory_service")
            yield connection
        admin.execute("DROP DATABASE planned WITH (FORCE)")


def first_key(connection: psycopg.Connection, index: str) -> str:
    """Return an index's first column after the store."""
    row = connection.execute(
        "SELECT array_agg(attname::text ORDER BY attnum) FROM pg_attribute WHERE attrelid = %s::regclass",
        (index,),
    ).fetchone()
    assert row is not None
    return next(column for column in row[0] if column != "store_id")


def walks(connection: psycopg.Connection, text: str) -> set[str]:
    """Return the tables that a statement's generic plan reads without a key beyond the store."""
    explain: Any = f"EXPLAIN (GENERIC_PLAN, FORMAT JSON) {numbered(text)}"
    row = psycopg.ClientCursor(connection).execute(explain).fetchone()
    assert row is not None
    found = set()
    nodes = [row[0][0]["Plan"]]
    while nodes:
        node = nodes.pop()
        nodes += node.get("Plans", [])
        kind = node["Node Type"]
        if not kind.endswith("Scan") or "Relation Name" not in node or kind == "Tid Scan":
            continue
        condition = node.get("Index Cond", "")
        keys = set(re.findall(r"(?:\(|ROW\()(\w+)(?: (?:=|<|>|<=|>=) |, )", condition)) - {"store_id"}
        is_by_key = kind in ("Index Scan", "Index Only Scan") and bool(keys)
        # Where the index goes on after the store with another column, what comes later narrows nothing down.
        if is_by_key:
            is_by_key = first_key(connection, node["Index Name"]) in keys
        if not is_by_key and not (node["Relation Name"] == "store" and "store_id" in condition):
            found.add(node["Relation Name"])
    return found


def forms(name: str) -> set[str]:
    """Return every text in which a statement is run."""
    found = statements()[name]
    return {found.text, found.locking, *([found.of_one.text] if found.of_one else ())}


@pytest.mark.parametrize("name", sorted(statements()))
def test_every_statement_fits_the_schema(empty_tables: psycopg.Connection, name: str) -> None:
    """Each statement, with and without its locks, for one row and for many, can be prepared as the role."""
    for text in forms(name):
        result = empty_tables.pgconn.prepare(b"", numbered(text).encode())
        assert result.status == psycopg.pq.ExecStatus.COMMAND_OK, result.error_message.decode()


@pytest.mark.parametrize("name", sorted(statements()))
def test_no_plan_walks_a_store(empty_tables: psycopg.Connection, name: str) -> None:
    """Planned once, while the tables are empty, and kept for ever: each plan goes by more than the store."""
    for text in forms(name):
        assert walks(empty_tables, text) == MAY_WALK.get(name, set())


@pytest.mark.parametrize(
    ("text", "walked"),
    [
        ("SELECT * FROM stock WHERE store_id = %(store_id)s", {"stock"}),
        ("SELECT * FROM stock_level WHERE available = 0", {"stock_level"}),
        (
            "SELECT * FROM reservation r JOIN reservation_line l USING (store_id, reservation_id)"
            " WHERE store_id = %(store_id)s AND l.product_id = ANY(%(products)s)",
            None,
        ),
        ("DELETE FROM cart_item WHERE store_id = %(store_id)s AND position = 1", {"cart_item"}),
    ],
)
def test_a_plan_that_walks_is_found(
    empty_tables: psycopg.Connection, text: str, walked: set[str] | None
) -> None:
    """The judge of the plans sees a walk where there is one."""
    found = walks_as_owner(empty_tables, text)
    assert found if walked is None else found == walked


def walks_as_owner(connection: psycopg.Connection, text: str) -> set[str]:
    connection.execute("RESET ROLE")
    try:
        return walks(connection, text)
    finally:
        connection.execute("SET ROLE inventory_service")


Do = Callable[..., Awaitable[Any]]


async def life_of_a_location(do: Do) -> None:
    await do(CreateLocation(Location("brief", address_lines=("1 Quay", "Port"))))
    await do(DeleteLocation("brief"))


async def life_of_a_reservation(do: Do, reader: Reader, store: str) -> None:
    await do(ReserveStock("r", (Line("a", 1),)))
    await do(ConfirmReservation("r"), "q3")
    await do(FulfillReservation("r"), "q7")
    await do(ReturnReservationItems("r", "t", (LineUnits(1, 1),), restock=True))
    held = (ReservationState.HELD,)
    for filters in (
        ReservationFilters(),
        ReservationFilters(held),
        ReservationFilters(order_id="o"),
        ReservationFilters(due_by=datetime(2026, 1, 1, tzinfo=UTC)),
    ):
        await reader.list_reservations(store, filters, after=RESERVATION_KEY, limit=9, deadline_s=20)


async def sell_out_in_a_wide_store(do: Do) -> None:
    for reservation_id in ("w1", "w2"):  # how the store is, the engine learns by the first
        with pytest.raises(InsufficientStock):
            await do(ReserveStock(reservation_id, (Line("a", 99),)))


async def life_of_a_cart(do: Do) -> None:
    await do(CreateCart("gone", "EUR"))
    await do(DeleteCart("gone"), "q8")
    await do(CreateCart("c", "EUR"))
    await do(AddCartItems("c", (CartItem("a", 2, 5, None), CartItem("b", 1, 5, None))), "q5")
    await do(RemoveCartItem("c", "b"), "q6")


async def read_the_order_flow(reader: Reader, store: str) -> None:
    await reader.expired_carts([store], limit=9, deadline_s=20)
    await reader.stores_with_old_answers([store], retention_h=24, deadline_s=20)
    processing = frozenset({PaymentState.PROCESSING})
    for payments in (PaymentFilters(), PaymentFilters("o"), PaymentFilters(states=processing)):
        await reader.list_payments(store, payments, after=FIRST_KEY, limit=9, deadline_s=20)
    await reader.order(store, "o", deadline_s=20)
    for orders in (OrderFilters(), OrderFilters("a")):
        await reader.list_orders(store, orders, after=FIRST_KEY, limit=9, deadline_s=20)
    await reader.list_carts(store, CartFilters(), after=FIRST_KEY, limit=9, deadline_s=20)


async def import_and_export(desk: Desk, store: str) -> None:
    await desk.upload(store, "i", staged("a", "a", "z"))
    await desk.run(store, "i")
    await desk.reader.list_imports(store, before_upload_id="~", limit=9, deadline_s=20)
    await desk.reader.list_import_errors(store, "i", after_number=0, limit=9, deadline_s=20)
    async with desk.exporter.export(store, deadline_s=20):
        pass


async def test_every_statement_gets_its_parameters(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One life of a store runs every statement there is, each with exactly the parameters that it names."""
    ran: dict[str, set[str]] = {}

    def watched(owner: type, method: str, place: int) -> None:
        original = getattr(owner, method)

        async def watch(*args: Any, **kwargs: Any) -> Any:
            calls: list[Call] = args[place]
            for name, params in calls:
                named = set(params) - {"store_id"}  # the transaction's own, or a job's
                assert ran.setdefault(name, named) == named
            return await original(*args, **kwargs)

        monkeypatch.setattr(owner, method, watch)

    watched(EngineConnection, "_trip", 2)
    watched(ReadTransaction, "fetch", 1)

    async with running_engine(database.url) as (engine, reader):

        async def do(command: Command, request_id: str | None = None) -> Any:
            return await engine.change(
                database.store, command, deadline_s=20, request_id=request_id, encode=lambda _: b"x"
            )

        await do(CreateStock("a", 9), "q1")
        await do(plus("a"), "q2")
        await do(UpdateStock("a", set_low_stock_threshold=True, low_stock_threshold=1), "q3")
        await life_of_a_location(do)
        await life_of_a_reservation(do, reader, database.store)
        await do(CreateStock("b", 1), "q4")
        await life_of_a_cart(do)
        await do(Checkout("c", "o"))
        await do(BeginPayment("o", "p", 10, "card", "op", "hold", 9.0))
        await do(SettlePayment("o", "p", "op", OperationState.ACCEPTED))
        await do(ShipOrder("o", "s"))
        await do(ReturnOrderItems("o", "t", (LineUnits(1, 1),), restock=True))
        with pytest.raises(InsufficientStock):
            await do(ReserveStock("r2", (Line("a", 99),)))
        await do(ForgetAnswers(24))
        for filters in (StockFilters(), StockFilters(below_threshold=True), StockFilters(location="default")):
            await reader.list_stock(
                database.store, filters, after="", limit=9, with_levels=True, deadline_s=20
            )
        await do(UpdateStoreSettings((("default_hold_s", 60),)))
        await know_the_callers(reader, database.url)
        await read_the_log(reader, database.store)
        for phase in (LEVELS, RESERVATIONS, ORDERS):
            await Verifier(reader).chunk(database.store, Place(phase), deadline_s=20)
        await reader.shortages(database.store, (Line("a", 1),), deadline_s=20)
        await reader.due_reservations([database.store], limit=9, deadline_s=20)
        await reader.operations_in_doubt([database.store], limit=9, deadline_s=20)
        await reader.oldest_doubt_age_s([database.store], deadline_s=20)
        await reader.open_reversals([database.store], deadline_s=20)
        await read_the_order_flow(reader, database.store)
        assert database.store in await reader.all_stores(deadline_s=20)
        with pytest.raises(Exception, match="shipped whole"):
            await do(CancelOrder("o"))
        monkeypatch.setattr(level_load, "FEW_LOCATIONS_MAX", 0)
        await sell_out_in_a_wide_store(do)
        async with desk_on(engine, database.url) as desk:
            await import_and_export(desk, database.store)
    named = {
        name: set(PARAMETER.findall(found.locking)) - {"store_id"} for name, found in statements().items()
    }
    assert ran == named


async def know_the_callers(reader: Reader, database_url: str) -> None:
    grant(database_url, "shop", Role.SELLER, ["default"], calls_max=7)
    connections = EngineConnections(database_url, 1)
    book = CredentialBook(reader, connections)
    (shop,) = [each for each in await book.live(deadline_s=20) if each.calls_max == 7]
    assert (shop.name, shop.role, shop.stores) == ("shop", Role.SELLER, frozenset({"default"}))
    await book.note_used([shop.credential_id])
    await connections.close()
    (listed,) = [each for each in list_credentials(database_url) if each.credential_id == shop.credential_id]
    assert listed.used_at is not None


async def read_the_log(reader: Reader, store: str) -> None:
    await reader.stock_transaction(store, "a", "default", 1, deadline_s=20)
    for chosen in (LogFilters("a"), LogFilters(), LogFilters(order_id="o"), LogFilters(actor="ann")):
        for newest in (False, True):
            asked = chosen._replace(newest_first=newest)
            await reader.list_stock_transactions(store, asked, after=None, limit=9, deadline_s=20)
    feed = FeedReader(reader)
    end = (await feed.opening(store, Position(1, "a", "default", 1))).end
    assert await feed.after(store, end, inside=True) == (None, None)
