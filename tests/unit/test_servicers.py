"""The servicers on an engine and readers that answer what the test says: repeats, pages, reads of many."""

from __future__ import annotations

import ast
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from inventory_client.v1 import checkout_service_pb2 as checkout
from inventory_client.v1 import inventory_service_pb2 as inventory
from inventory_server.domain.commands import Command, ConfirmReservation, CreateStock, ReleaseReservation
from inventory_server.domain.decide import Replay
from inventory_server.domain.errors import StockNotFound
from inventory_server.domain.payment import Payment
from inventory_server.domain.reservation import Reservation, ReservationState
from inventory_server.domain.state import StockView
from inventory_server.domain.stock import Action, LogEntry, LogRecord, StockLevel
from inventory_server.engine.log_reads import LogFilters, LogKey, LogPage, key_of
from inventory_server.engine.stock_reads import StockFilters, StockPage
from inventory_server.rpc import (
    cart_calls,
    checkout_service,
    inventory_service,
    order_calls,
    payment_calls,
    stock_calls,
)
from inventory_server.rpc.checkout_service import CheckoutServicer
from inventory_server.rpc.edge import Call
from inventory_server.rpc.inventory_service import InventoryServicer
from inventory_server.rpc.rules import InvalidFields

NOW = datetime(2026, 1, 2, tzinfo=UTC)
CALL = Call("north", 3.0, "ann")


def view(product_id: str) -> StockView:
    return StockView(product_id, 1, 0, NOW, NOW)


class FakeEngine:
    """Gives every command one verdict, and stores answers by request_id as the real one does."""

    def __init__(self, verdict: Any) -> None:
        self.verdict = verdict
        self.stored: dict[str, bytes] = {}
        self.seen: list[tuple[str, Command, float]] = []

    async def change(
        self,
        store_id: str,
        command: Command,
        *,
        deadline_s: float,
        request_id: str | None = None,
        encode: Callable[[Any], bytes] | None = None,
        actor: str = "",
    ) -> Any:
        self.seen.append((store_id, command, deadline_s))
        if request_id is not None and encode is not None:
            if request_id in self.stored:
                return Replay(self.stored[request_id])
            if not isinstance(self.verdict, Replay):
                self.stored[request_id] = encode(self.verdict)
        return self.verdict


class FakeReader:
    """Has the products p-0 to p-249, and as many entries of each one's log."""

    def __init__(self) -> None:
        self.products = sorted(f"p-{number}" for number in range(250))
        self.limits: list[int] = []

    async def stocks(
        self, _store_id: str, product_ids: Sequence[str], *, with_levels: bool, deadline_s: float
    ) -> dict[str, StockView]:
        return {product_id: view(product_id) for product_id in product_ids if product_id in self.products}

    async def list_stock(
        self,
        _store_id: str,
        _filters: StockFilters,
        *,
        after: str,
        limit: int,
        with_levels: bool,
        deadline_s: float,
    ) -> StockPage:
        self.limits.append(limit)
        rest = [view(product_id) for product_id in self.products if product_id > after]
        return StockPage(rest[:limit], rest[limit - 1].product_id if len(rest) > limit else None)

    async def list_stock_transactions(
        self, _store_id: str, filters: LogFilters, *, after: LogKey | None, limit: int, deadline_s: float
    ) -> LogPage:
        records = [
            LogRecord(
                LogEntry(filters.product_id or "", location, Action.SET, 1, StockLevel(1, 0, 0, version)), NOW
            )
            for location in ("north", "south")
            for version in range(1, 126)
        ]
        rest = [record for record in records if after is None or key_of(record) > after]
        return LogPage(rest[:limit], key_of(rest[limit - 1]) if len(rest) > limit else None)


def stock_service(engine: Any = None, reader: Any = None) -> InventoryServicer:
    any_reader: Any = reader or FakeReader()
    unasked: Any = None
    return InventoryServicer(
        engine or FakeEngine(None), any_reader, unasked, unasked, unasked, unasked, unasked
    )


async def test_a_repeated_request_id_is_answered_as_before() -> None:
    """The stored answer comes again, marked `replayed`, though the verdict would be another by now."""
    engine = FakeEngine(view("tea"))
    service = stock_service(engine)
    request = inventory.CreateStockRequest(product_id="tea", quantity=1, request_id="rq-1")
    first = await service.create_stock(request, CALL)
    assert (first.stock.available, first.replayed) == (1, False)
    engine.verdict = None
    again = await service.create_stock(request, CALL)
    assert again == inventory.CreateStockResponse(stock=first.stock, replayed=True)
    assert engine.seen == [("north", CreateStock("tea", 1), 3.0)] * 2


async def test_an_answer_of_ones_own_is_no_replay() -> None:
    """A call that lost its COMMIT's reply and finds its own answer did not come twice."""
    stored = inventory.CreateStockResponse().SerializeToString()
    service = stock_service(FakeEngine(Replay(stored, is_own=True)))
    request = inventory.CreateStockRequest(product_id="tea", quantity=1, request_id="rq-1")
    assert (await service.create_stock(request, CALL)).replayed is False


@pytest.mark.parametrize(
    ("method", "command", "kind"),
    [
        ("confirm_reservation", ConfirmReservation, "ConfirmReservation"),
        ("release_reservation", ReleaseReservation, "ReleaseReservation"),
    ],
)
async def test_reservations_are_moved(method: str, command: type[Any], kind: str) -> None:
    """Each move is its own command and answers with its own message."""
    held = Reservation("r-1", None, False, ReservationState.COMMITTED, (), None, b"", NOW, NOW)
    engine = FakeEngine(held)
    request = getattr(inventory, f"{kind}Request")(reservation_id="r-1", request_id="rq-1")
    response = await getattr(stock_service(engine), method)(request, CALL)
    assert type(response) is getattr(inventory, f"{kind}Response")
    assert response.reservation.reservation_id == "r-1"
    assert engine.seen[0][1] == command("r-1")


async def test_one_product_that_is_not_there_is_an_error() -> None:
    """GetStock of an unmanaged product: STOCK_NOT_FOUND, which is not 0."""
    with pytest.raises(StockNotFound):
        await stock_service().get_stock(inventory.GetStockRequest(product_id="tea"), CALL)


async def test_of_many_products_those_missing_are_listed() -> None:
    """BatchGetStock answers in the order asked for, each product once, and lists what it lacks."""
    request = inventory.BatchGetStockRequest(product_ids=["p-9", "tea", "p-1", "p-9", "cake", "tea"])
    response = await stock_service().batch_get_stock(request, CALL)
    assert [stock.product_id for stock in response.stocks] == ["p-9", "p-1"]
    assert list(response.missing_product_ids) == ["tea", "cake"]


@pytest.mark.parametrize(("page_size", "sizes"), [(0, [100, 100, 50]), (249, [249, 1]), (250, [250])])
async def test_pages_hold_everything_once(page_size: int, sizes: list[int]) -> None:
    """Page after page gives every product once, and no empty page ends the list."""
    reader = FakeReader()
    service = stock_service(reader=reader)
    seen: list[str] = []
    token = ""
    for size in sizes:
        request = inventory.ListStockRequest(page_size=page_size, page_token=token)
        response = await service.list_stock(request, CALL)
        assert len(response.stocks) == size
        seen += [stock.product_id for stock in response.stocks]
        token = response.next_page_token
    assert token == ""
    assert seen == reader.products


async def test_a_page_is_never_above_the_bound() -> None:
    """1,001 asked for are 1,000."""
    reader = FakeReader()
    for page_size in (1_000, 1_001, 2**31 - 1):
        await stock_service(reader=reader).list_stock(inventory.ListStockRequest(page_size=page_size), CALL)
    assert reader.limits == [1_000] * 3


async def test_a_log_is_read_on_over_locations() -> None:
    """A page may end in the middle of a location; the next goes on behind it."""
    service = stock_service()
    seen: list[tuple[str, int]] = []
    token = ""
    while True:
        request = inventory.ListStockTransactionsRequest(product_id="p-1", page_size=60, page_token=token)
        response = await service.list_stock_transactions(request, CALL)
        seen += [(entry.location, entry.version) for entry in response.stock_transactions]
        token = response.next_page_token
        if not token:
            break
    assert seen == [(location, version) for location in ("north", "south") for version in range(1, 126)]


async def test_a_token_is_good_for_its_own_list() -> None:
    """The token of another product's log, of another store, and of ListStock are refused."""
    service = stock_service()
    listed = await service.list_stock(inventory.ListStockRequest(page_size=1), CALL)
    logged = await service.list_stock_transactions(
        inventory.ListStockTransactionsRequest(product_id="p-1", page_size=1), CALL
    )
    foreign = [
        (service.list_stock, inventory.ListStockRequest(page_token=listed.next_page_token), Call("south", 3)),
        (service.list_stock, inventory.ListStockRequest(page_token=logged.next_page_token), CALL),
        (
            service.list_stock_transactions,
            inventory.ListStockTransactionsRequest(product_id="p-2", page_token=logged.next_page_token),
            CALL,
        ),
    ]
    for method, request, call in foreign:
        ask: Any = method
        with pytest.raises(InvalidFields):
            await ask(request, call)


async def test_a_payment_is_handed_over_whole() -> None:
    """PayOrder passes everything on, and answers OK with whatever state the payment is in."""
    seen: dict[str, Any] = {}

    class FakePayments:
        async def pay(self, store_id: str, **asked: Any) -> Payment:
            seen.update(asked, store_id=store_id)
            return Payment("p-1", "o-1", 5, "EUR", "token", (), b"", NOW)

    any_engine: Any = FakeEngine(None)
    any_reader: Any = FakeReader()
    any_payments: Any = FakePayments()
    service = CheckoutServicer(any_engine, any_reader, any_payments)
    request = checkout.PayOrderRequest(
        order_id="o-1", payment_id="p-1", amount_minor=5, payment_method="token"
    )
    response = await service.pay_order(request, CALL)
    assert response.payment.payment_id == "p-1"
    assert seen == {
        "store_id": "north",
        "order_id": "o-1",
        "payment_id": "p-1",
        "amount_minor": 5,
        "actor": "ann",
        "payment_method": "token",
        "kind": "PURCHASE",
        "deadline_s": 3.0,
    }


@pytest.mark.parametrize(
    "module", [inventory_service, stock_calls, checkout_service, cart_calls, order_calls, payment_calls]
)
def test_servicer_methods_are_short_and_try_nothing(module: Any) -> None:
    """At most 15 lines a method, and no `try`: errors are mapped once, at the edge."""
    tree = ast.parse(Path(module.__file__).read_text())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.Try)]
    for node in ast.walk(tree):
        if isinstance(node, ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < 15, node.name
