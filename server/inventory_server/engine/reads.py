"""Reads: the same load as a batch's, without its locks, on a snapshot of their own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from inventory_server.db.read_pool import ReadPool, ReadTransaction, Snapshot
from inventory_server.db.sqlstate import Conflict, Unavailable
from inventory_server.domain.commands import Wanted
from inventory_server.domain.errors import (
    CartNotFound,
    InvalidValue,
    PaymentNotFound,
    ReservationNotFound,
    Shortage,
    StockTransactionNotFound,
    StoreNotFound,
)
from inventory_server.domain.limits import EXPIRED_CART_KEPT_S, LEVELS_SHOWN_MAX
from inventory_server.domain.location import Location
from inventory_server.domain.order import Cart, OrderView
from inventory_server.domain.payment import Payment
from inventory_server.domain.reservation import Line, Reservation
from inventory_server.domain.sourcing import source
from inventory_server.domain.state import State, StockView
from inventory_server.domain.stock import LogRecord
from inventory_server.domain.store import StoreSettings
from inventory_server.engine import load
from inventory_server.engine.errors import DatabaseUnavailable, DeadlinePassed, TransactionConflict
from inventory_server.engine.level_load import is_wide
from inventory_server.engine.load import Row
from inventory_server.engine.log_reads import LogFilters, LogKey, LogPage, log_record, read_log
from inventory_server.engine.order_reads import (
    CartFilters,
    Key,
    OrderFilters,
    Page,
    read_carts,
    read_orders,
)
from inventory_server.engine.payment_reads import PaymentFilters, PaymentKey, PaymentPage, read_payments
from inventory_server.engine.reservation_reads import (
    ReservationFilters,
    ReservationKey,
    ReservationPage,
    read_reservations,
)
from inventory_server.engine.stock_reads import (
    StockFilters,
    StockPage,
    load_sums,
    read_levels,
    read_stocks,
)

T = TypeVar("T")

# Of a store's operations that are asked about after an administrator's word: for a number to be alarmed by.
REVERSALS_LOOKED_FOR_MAX = 1_000


class Reader:
    """Every method answers from one SERIALIZABLE snapshot.

    All take `deadline_s`, the seconds the caller still waits, and raise StoreNotFound, DatabaseUnavailable,
    TransactionConflict and DeadlinePassed beside what they say.
    """

    def __init__(self, pool: ReadPool) -> None:
        self._pool = pool
        # Stores are never deleted, so one that was found stays known.
        self._known_stores: set[str] = set()
        # Stores that had few locations when they were last looked at: see engine/level_load.py.
        self._narrow_stores: set[str] = set()

    async def need_store(self, store_id: str, *, deadline_s: float) -> None:
        """Raises: StoreNotFound."""
        if store_id not in self._known_stores:
            await self.run(store_id, _nothing, deadline_s=deadline_s)

    async def stocks(
        self, store_id: str, product_ids: Sequence[str], *, with_levels: bool, deadline_s: float
    ) -> dict[str, StockView]:
        """Return the stock of those products that have a record.

        Raises: InvalidValue, for more than LEVELS_SHOWN_MAX levels.
        """

        async def read(transaction: ReadTransaction) -> list[StockView]:
            state = await load_sums(transaction, product_ids)
            found = [view for each in sorted(product_ids) if (view := state.stock_view(each)) is not None]
            if not with_levels:
                return found
            shown = await read_levels(transaction, found, state.expired_held)
            if len(shown) < len(found):
                raise InvalidValue("product_ids", f"have more than {LEVELS_SHOWN_MAX} levels; ask for fewer")
            return shown

        views = await self.run(store_id, read, deadline_s=deadline_s)
        return {view.product_id: view for view in views}

    async def list_stock(
        self,
        store_id: str,
        filters: StockFilters,
        *,
        after: str,
        limit: int,
        with_levels: bool,
        deadline_s: float,
    ) -> StockPage:
        """Return stock after a product_id, by product_id: see engine/stock_reads.py."""

        async def read(transaction: ReadTransaction) -> StockPage:
            return await read_stocks(transaction, filters, after, limit, with_levels=with_levels)

        return await self.run(store_id, read, deadline_s=deadline_s)

    async def settings(self, store_id: str, *, deadline_s: float) -> StoreSettings:
        return (await self._load(store_id, Wanted(locations=False), deadline_s)).settings

    async def stock_transaction(
        self, store_id: str, product_id: str, location: str, version: int, *, deadline_s: float
    ) -> LogRecord:
        """Raises: StockTransactionNotFound."""
        asked = {"product_id": product_id, "location": location, "version": version}

        async def read(transaction: ReadTransaction) -> list[Row]:
            return (await transaction.fetch([("stock_transaction", asked)]))[0]

        rows = await self.run(store_id, read, deadline_s=deadline_s)
        if not rows:
            raise StockTransactionNotFound(f"{product_id} {location} {version}")
        return log_record(rows[0])

    async def list_stock_transactions(
        self, store_id: str, filters: LogFilters, *, after: LogKey | None, limit: int, deadline_s: float
    ) -> LogPage:
        """Return log entries after a key, None = from the beginning: see engine/log_reads.py."""

        async def read(transaction: ReadTransaction) -> LogPage:
            return await read_log(transaction, filters, after, limit)

        return await self.run(store_id, read, deadline_s=deadline_s)

    async def locations(self, store_id: str, *, deadline_s: float) -> dict[str, Location]:
        """Return all locations by slug."""
        state = await self._load(store_id, Wanted(locations_described=True), deadline_s)
        return dict(state.locations.items())

    async def shortages(
        self, store_id: str, lines: tuple[Line, ...], *, deadline_s: float
    ) -> tuple[Shortage, ...]:
        """Return every line that could not be had now; units of holds that are due count as free.

        Raises: LocationNotFound.
        """
        wanted = Wanted(expired_held=True)
        for line in lines:
            wanted.want_line(*line)

        def sourced(state: State) -> tuple[Shortage, ...]:
            for line in lines:
                state.need_location(line.location)
            return source(state, lines, state.expired_held)[1]

        async def read(transaction: ReadTransaction) -> tuple[State, tuple[Shortage, ...]]:
            calls = load.calls_for(wanted, is_wide=store_id not in self._narrow_stores)
            return await load.decided(transaction.fetch, calls, await transaction.fetch(calls), sourced)

        state, shortages = await self.run(store_id, read, deadline_s=deadline_s)
        if is_wide(state):
            self._narrow_stores.discard(store_id)
        else:
            self._narrow_stores.add(store_id)
        return shortages

    async def reservation(self, store_id: str, reservation_id: str, *, deadline_s: float) -> Reservation:
        """Raises: ReservationNotFound."""
        wanted = Wanted(reservations={reservation_id}, locations=False)
        state = await self._load(store_id, wanted, deadline_s)
        reservation = state.reservations.get(reservation_id)
        if reservation is None:
            raise ReservationNotFound(reservation_id)
        return reservation

    async def list_reservations(
        self,
        store_id: str,
        filters: ReservationFilters,
        *,
        after: ReservationKey,
        limit: int,
        deadline_s: float,
    ) -> ReservationPage:
        """Return reservations after a key: see engine/reservation_reads.py."""

        async def read(transaction: ReadTransaction) -> ReservationPage:
            return await read_reservations(transaction, filters, after, limit)

        return await self.run(store_id, read, deadline_s=deadline_s)

    async def cart(self, store_id: str, cart_id: str, *, deadline_s: float) -> Cart:
        """Raises: CartNotFound."""
        state = await self._load(store_id, Wanted(carts={cart_id}, locations=False), deadline_s)
        cart = state.carts.get(cart_id)
        if cart is None:
            raise CartNotFound(cart_id)
        return cart

    async def order(self, store_id: str, order_id: str, *, deadline_s: float) -> OrderView:
        """Raises: OrderNotFound."""
        wanted = Wanted(orders_seen={order_id}, locations=False)
        return (await self._load(store_id, wanted, deadline_s)).order_view(order_id)

    async def list_carts(
        self, store_id: str, filters: CartFilters, *, after: Key, limit: int, deadline_s: float
    ) -> Page[Cart]:
        """Return carts after a key, the oldest first: see engine/order_reads.py."""

        async def read(transaction: ReadTransaction) -> Page[Cart]:
            return await read_carts(transaction, filters, after, limit)

        return await self.run(store_id, read, deadline_s=deadline_s)

    async def list_orders(
        self, store_id: str, filters: OrderFilters, *, after: Key, limit: int, deadline_s: float
    ) -> Page[OrderView]:
        """Return orders after a key, the oldest first: see engine/order_reads.py."""

        async def read(transaction: ReadTransaction) -> Page[OrderView]:
            return await read_orders(transaction, filters, after, limit)

        return await self.run(store_id, read, deadline_s=deadline_s)

    async def payment(self, store_id: str, payment_id: str, *, deadline_s: float) -> Payment:
        """Raises: PaymentNotFound."""
        state = await self._load(store_id, Wanted(payments={payment_id}, locations=False), deadline_s)
        payment = state.payments.get(payment_id)
        if payment is None:
            raise PaymentNotFound(payment_id)
        return payment

    async def all_stores(self, *, deadline_s: float) -> list[str]:
        """Return every store, for the jobs that look after each."""

        async def read(transaction: ReadTransaction) -> list[str]:
            return [row[0] for row in (await transaction.fetch([("all_stores", {})]))[0]]

        return await self.run(None, read, deadline_s=deadline_s)

    async def due_reservations(
        self, store_ids: Sequence[str], *, limit: int, deadline_s: float
    ) -> dict[str, list[str]]:
        """Return by store the holds that are due, the oldest first, at most `limit` of each store."""
        rows = await self._of_stores("due_of_store", store_ids, limit, deadline_s)
        return {store_id: [row[0] for row in due] for store_id, due in rows.items()}

    async def expired_carts(
        self, store_ids: Sequence[str], *, limit: int, deadline_s: float
    ) -> dict[str, list[str]]:
        """Return by store the carts to be removed, the oldest first, at most `limit` of each store."""
        rows = await self._of_stores(
            "expired_carts_of_store", store_ids, limit, deadline_s, kept_s=EXPIRED_CART_KEPT_S
        )
        return {store_id: [row[0] for row in expired] for store_id, expired in rows.items()}

    async def stores_with_old_answers(
        self, store_ids: Sequence[str], *, retention_h: int, deadline_s: float
    ) -> list[str]:
        """Return the stores that keep what a request id older than the retention was answered with."""
        rows = await self._of_stores("old_answer_of_store", store_ids, 1, deadline_s, kept_h=retention_h)
        return list(rows)

    async def list_payments(
        self, store_id: str, filters: PaymentFilters, *, after: PaymentKey, limit: int, deadline_s: float
    ) -> PaymentPage:
        """Return payments after a key, the oldest first: see engine/payment_reads.py."""

        async def read(transaction: ReadTransaction) -> PaymentPage:
            return await read_payments(transaction, filters, after, limit)

        return await self.run(store_id, read, deadline_s=deadline_s)

    async def operations_in_doubt(
        self, store_ids: Sequence[str], *, limit: int, deadline_s: float
    ) -> dict[str, list[tuple[str, str, str]]]:
        """Return by store (order, payment, operation) of those whose lease has run out.

        First those in doubt, the oldest first, then those that an administrator has ended and the gateway is
        still asked about; at most `limit` of either.
        """
        found: dict[str, list[tuple[str, str, str]]] = {}
        for statement in ("operations_in_doubt", "operations_resolved"):
            rows = await self._of_stores(statement, store_ids, limit, deadline_s)
            for store_id, doubts in rows.items():
                found.setdefault(store_id, []).extend((row[0], row[1], row[2]) for row in doubts)
        return found

    async def oldest_doubt_age_s(self, store_ids: Sequence[str], *, deadline_s: float) -> dict[str, float]:
        """Return by store the seconds since the oldest operation in flight or in doubt was begun.

        A store without one is left out. What is merely in flight is younger than the gateway's deadline.
        """
        rows = await self._of_stores("oldest_doubt", store_ids, 1, deadline_s)
        return {store_id: float(oldest[0][0]) for store_id, oldest in rows.items()}

    async def open_reversals(self, store_ids: Sequence[str], *, deadline_s: float) -> dict[str, int]:
        """Return by store how many operations were accepted against an administrator's word and not undone.

        A store without one is left out; REVERSALS_LOOKED_FOR_MAX operations are looked at.
        """
        rows = await self._of_stores("reversals_open", store_ids, REVERSALS_LOOKED_FOR_MAX, deadline_s)
        return {store_id: len(found) for store_id, found in rows.items()}

    async def _of_stores(
        self, statement: str, store_ids: Sequence[str], limit: int, deadline_s: float, **asked: Any
    ) -> dict[str, list[Row]]:
        """Ask the same of every store in one round trip; each statement still names one store."""

        async def read(transaction: ReadTransaction) -> list[list[Row]]:
            return await transaction.fetch(
                [(statement, {"store_id": store_id, "limit": limit, **asked}) for store_id in store_ids]
            )

        found = await self.run(None, read, deadline_s=deadline_s)
        return {store_id: rows for store_id, rows in zip(store_ids, found, strict=True) if rows}

    async def _load(self, store_id: str, wanted: Wanted, deadline_s: float) -> State:
        async def read(transaction: ReadTransaction) -> State:
            return await _load(transaction, wanted)

        return await self.run(store_id, read, deadline_s=deadline_s)

    async def run(
        self,
        store_id: str | None,
        read: Callable[[ReadTransaction], Awaitable[T]],
        *,
        deadline_s: float,
        snapshot: Snapshot | None = None,
    ) -> T:
        """Run a read of a store, or of none, in one snapshot; it may run several times."""

        async def checked(transaction: ReadTransaction) -> T:
            if store_id is not None and store_id not in self._known_stores:
                if not (await transaction.fetch([("store_exists", {})]))[0][0][0]:
                    raise StoreNotFound(store_id)
                self._known_stores.add(store_id)
            return await read(transaction)

        try:
            return await self._pool.run(store_id or "", checked, deadline_s=deadline_s, snapshot=snapshot)
        except TimeoutError as error:
            raise DeadlinePassed from error
        except Unavailable as error:
            raise DatabaseUnavailable(str(error)) from error
        except Conflict as error:
            raise TransactionConflict(str(error)) from error


async def _nothing(_transaction: ReadTransaction) -> None:
    return None


async def _load(transaction: ReadTransaction, wanted: Wanted) -> State:
    calls = load.calls_for(wanted)
    return load.state_from(calls, await transaction.fetch(calls))
