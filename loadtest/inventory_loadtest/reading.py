"""Reading the final state of a race through the API, page by page and many calls at once."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self, TypeVar

from inventory_client import AioClient, NotFound, connect_aio, v1
from inventory_loadtest.evidence import FinalState
from inventory_loadtest.gateway_ledger import Taking, takings
from inventory_loadtest.history import RESERVING, Event, Step
from inventory_loadtest.plan import RacePlan

CALLS_AT_ONCE = 32
CALL_TIMEOUT_S = 30.0
PAGE_SIZE = 1_000
SETTLE_S = 60.0
SETTLE_PAUSE_S = 0.5

_Found = TypeVar("_Found")
_PROCESSING = v1.PaymentOperationState.PAYMENT_OPERATION_STATE_PROCESSING
_HELD = v1.ReservationState.RESERVATION_STATE_HELD
_RUNNING = (v1.ImportState.IMPORT_STATE_PENDING, v1.ImportState.IMPORT_STATE_RUNNING)


async def read_final_state(
    target: str,
    plan: RacePlan,
    history: Iterable[Event],
    *,
    store: str | None = None,
    ledger: Path | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> FinalState:
    """Read everything that a race may have changed.

    Args:
        target: the server.
        plan: the race; stock of other products isn't read.
        history: its events. Carts, orders, payments, reservations and imports that a client tried to make
            are read, and the payments that the orders list beyond that.
        store: as for `inventory_client.connect`.
        ledger: the gateway simulator's ledger; None = there is none to be had.
        tell: called with how many reads are done, of how many as far as is known.
    Returns: the state, without feeds. What is in flight is awaited first, 60 s at most: payments, holds
        that run out by themselves, imports.
    Raises: InventoryError where a read fails, NOT_FOUND apart; OSError or ValueError for the ledger.
    """
    ids = _Ids.of(history)
    async with connect_aio(target, store=store, timeout_s=CALL_TIMEOUT_S) as client:
        reader = _Reader(client, tell)
        reader.expect(ids.count + len(plan.stock))
        found_payments = await reader.settled(reader.payment, ids.payments, _is_in_flight)
        found_orders = await reader.all_of(reader.order, ids.orders)
        unheard = {p for order in found_orders.values() for p in order.payment_ids} - ids.payments
        found_payments |= await reader.settled(reader.payment, unheard, _is_in_flight)
        imports = await reader.settled(reader.stock_import, ids.imports, _is_running)
        reservations = await reader.settled(reader.reservation, ids.reservations, _runs_out)
        return FinalState(
            stocks=await reader.stocks(plan),
            log=await reader.all_of(reader.log, plan.stock),
            carts=await reader.all_of(reader.cart, ids.carts),
            orders=found_orders,
            payments=found_payments,
            reservations=reservations,
            imports=imports,
            takings=None if ledger is None else _takings_of(ledger, plan),
        )


def _takings_of(ledger: Path, plan: RacePlan) -> list[Taking]:
    """The ledger's entries about this race; other races may have paid at the same gateway."""
    with ledger.open(encoding="utf-8") as lines:
        return [taking for taking in takings(lines) if taking.order_id.startswith(f"{plan.name}.")]


@dataclass
class _Ids:
    """What somebody tried to make."""

    carts: set[str] = field(default_factory=set)
    orders: set[str] = field(default_factory=set)
    payments: set[str] = field(default_factory=set)
    reservations: set[str] = field(default_factory=set)
    imports: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, history: Iterable[Event]) -> Self:
        ids = cls()
        for event in history:
            if event.step is Step.CREATE_CART:
                ids.carts.add(event.cart_id)
            elif event.step is Step.CHECKOUT:
                ids.orders.add(event.order_id)
            elif event.step is Step.PAY:
                ids.payments.add(event.payment_id)
            elif event.step in RESERVING:
                ids.reservations.add(event.call_id)
            elif event.step is Step.IMPORT:
                ids.imports.add(event.call_id)
        return ids

    @property
    def count(self) -> int:
        return sum(map(len, (self.carts, self.orders, self.payments, self.reservations, self.imports)))


def _is_in_flight(payment: v1.Payment) -> bool:
    return any(operation.state == _PROCESSING for operation in payment.operations)


def _runs_out(reservation: v1.Reservation) -> bool:
    return reservation.state == _HELD and reservation.HasField("expire_time")


def _is_running(stock_import: v1.StockImport) -> bool:
    return stock_import.state in _RUNNING


class _Reader:
    """One client's reads: bounded in number, counted."""

    def __init__(self, client: AioClient, tell: Callable[[int, int], None]) -> None:
        self._client = client
        self._tell = tell
        self._done = 0
        self._total = 0
        self._doors = asyncio.Semaphore(CALLS_AT_ONCE)

    def expect(self, count: int) -> None:
        self._total += count

    async def all_of(self, read: Callable[[str], Awaitable[_Found]], ids: Iterable[str]) -> dict[str, _Found]:
        """Read each; those that the server doesn't know are left out."""
        found: dict[str, _Found] = {}

        async def one(key: str) -> None:
            async with self._doors:
                with contextlib.suppress(NotFound):
                    found[key] = await read(key)
            self._done += 1
            self._tell(self._done, max(self._done, self._total))

        async with asyncio.TaskGroup() as group:
            for key in ids:
                group.create_task(one(key))
        return dict(sorted(found.items()))

    async def settled(
        self,
        read: Callable[[str], Awaitable[_Found]],
        ids: Iterable[str],
        is_open: Callable[[_Found], bool],
    ) -> dict[str, _Found]:
        """Read each until none is open any more, or for as long as that is worth waiting for."""
        give_up_s = time.monotonic() + SETTLE_S
        found = await self.all_of(read, ids)
        while time.monotonic() < give_up_s:
            still_open = [key for key, each in found.items() if is_open(each)]
            if not still_open:
                break
            await asyncio.sleep(SETTLE_PAUSE_S)
            self.expect(len(still_open))
            found |= await self.all_of(read, still_open)
        return found

    async def cart(self, cart_id: str) -> v1.Cart:
        return (await self._client.checkout.GetCart(v1.GetCartRequest(cart_id=cart_id))).cart

    async def order(self, order_id: str) -> v1.Order:
        return (await self._client.checkout.GetOrder(v1.GetOrderRequest(order_id=order_id))).order

    async def payment(self, payment_id: str) -> v1.Payment:
        return (await self._client.checkout.GetPayment(v1.GetPaymentRequest(payment_id=payment_id))).payment

    async def reservation(self, reservation_id: str) -> v1.Reservation:
        request = v1.GetReservationRequest(reservation_id=reservation_id)
        return (await self._client.inventory.GetReservation(request)).reservation

    async def stock_import(self, import_id: str) -> v1.StockImport:
        request = v1.GetImportRequest(import_id=import_id)
        return (await self._client.inventory.GetImport(request)).stock_import

    async def log(self, product_id: str) -> list[v1.StockTransaction]:
        """All entries of one product."""
        entries: list[v1.StockTransaction] = []
        token = ""
        while True:
            page = await self._client.inventory.ListStockTransactions(
                v1.ListStockTransactionsRequest(product_id=product_id, page_size=PAGE_SIZE, page_token=token)
            )
            entries.extend(page.stock_transactions)
            token = page.next_page_token
            if not token:
                return entries

    async def stocks(self, plan: RacePlan) -> dict[str, v1.Stock]:
        """The race's products out of the list of the whole store."""
        found: dict[str, v1.Stock] = {}
        token = ""
        while True:
            page = await self._client.inventory.ListStock(
                v1.ListStockRequest(page_size=PAGE_SIZE, page_token=token)
            )
            found.update((s.product_id, s) for s in page.stocks if s.product_id in plan.stock)
            token = page.next_page_token
            if not token:
                return found
