"""What the servicers need of the engine, the reads and the payments; service.py hands in the real ones."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence, Set
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from typing import Any, Protocol, TypeVar

from inventory_server.domain.commands import Command
from inventory_server.domain.decide import Request
from inventory_server.domain.errors import Shortage
from inventory_server.domain.location import Location
from inventory_server.domain.order import Cart, OrderView
from inventory_server.domain.payment import OperationKind, Payment
from inventory_server.domain.reservation import Line, Reservation
from inventory_server.domain.state import StockView
from inventory_server.domain.stock import LogRecord
from inventory_server.domain.stock_import import Batch, RowError, StockImport
from inventory_server.domain.store import StoreSettings
from inventory_server.engine.engine import Statistics
from inventory_server.engine.feed import ResumePoint
from inventory_server.engine.feed_reads import Part
from inventory_server.engine.log_reads import LogFilters, LogKey, LogPage
from inventory_server.engine.order_reads import CartFilters, Key, OrderFilters, Page
from inventory_server.engine.payment_reads import PaymentFilters, PaymentKey, PaymentPage
from inventory_server.engine.reservation_reads import ReservationFilters, ReservationKey, ReservationPage
from inventory_server.engine.stock_reads import StockFilters, StockPage
from inventory_server.engine.verdicts import Verdict
from inventory_server.engine.verification import Chunk, Place

T = TypeVar("T")


class Engine(Protocol):
    """Changes: see engine/engine.py."""

    async def change(
        self,
        store_id: str,
        command: Command,
        *,
        deadline_s: float,
        request_id: str | None = None,
        encode: Callable[[Any], bytes] | None = None,
        actor: str = "",
    ) -> Any: ...

    async def change_many(
        self, store_id: str, requests: Sequence[Request], *, deadline_s: float
    ) -> list[Any]: ...

    async def change_each(
        self, store_id: str, requests: Sequence[tuple[Request, float]], *, deadline_s: float
    ) -> list[Any]: ...

    async def submit(
        self,
        store_id: str,
        requests: Sequence[tuple[Request, float]],
        heard: Callable[[Verdict], None],
        *,
        deadline_s: float,
    ) -> list[Verdict]: ...

    async def statistics(self, store_id: str, *, deadline_s: float) -> Statistics: ...


class Verifier(Protocol):
    """The invariants, chunk by chunk: see engine/verification.py."""

    async def chunk(
        self, store_id: str, place: Place, *, product_ids: Sequence[str] = (), deadline_s: float
    ) -> Chunk: ...


class StockReader(Protocol):
    """Reads of stock, its log and reservations: see engine/reads.py."""

    async def stocks(
        self, store_id: str, product_ids: Sequence[str], *, with_levels: bool, deadline_s: float
    ) -> dict[str, StockView]: ...

    async def list_stock(
        self,
        store_id: str,
        filters: StockFilters,
        *,
        after: str,
        limit: int,
        with_levels: bool,
        deadline_s: float,
    ) -> StockPage: ...

    async def settings(self, store_id: str, *, deadline_s: float) -> StoreSettings: ...

    async def stock_transaction(
        self, store_id: str, product_id: str, location: str, version: int, *, deadline_s: float
    ) -> LogRecord: ...

    async def list_stock_transactions(
        self, store_id: str, filters: LogFilters, *, after: LogKey | None, limit: int, deadline_s: float
    ) -> LogPage: ...

    async def locations(self, store_id: str, *, deadline_s: float) -> dict[str, Location]: ...

    async def shortages(
        self, store_id: str, lines: tuple[Line, ...], *, deadline_s: float
    ) -> tuple[Shortage, ...]: ...

    async def reservation(self, store_id: str, reservation_id: str, *, deadline_s: float) -> Reservation: ...

    async def list_reservations(
        self,
        store_id: str,
        filters: ReservationFilters,
        *,
        after: ReservationKey,
        limit: int,
        deadline_s: float,
    ) -> ReservationPage: ...


class Feed(Protocol):
    """The log as it grows: see engine/feed.py."""

    def watch(
        self,
        store_id: str,
        start: ResumePoint | None,
        *,
        from_beginning: bool = False,
        product_ids: Set[str] = frozenset(),
    ) -> AsyncGenerator[tuple[ResumePoint, Part]]: ...


class OrderReader(Protocol):
    """Reads of carts, orders and payments: see engine/reads.py."""

    async def list_carts(
        self, store_id: str, filters: CartFilters, *, after: Key, limit: int, deadline_s: float
    ) -> Page[Cart]: ...

    async def list_orders(
        self, store_id: str, filters: OrderFilters, *, after: Key, limit: int, deadline_s: float
    ) -> Page[OrderView]: ...

    async def cart(self, store_id: str, cart_id: str, *, deadline_s: float) -> Cart: ...

    async def order(self, store_id: str, order_id: str, *, deadline_s: float) -> OrderView: ...

    async def payment(self, store_id: str, payment_id: str, *, deadline_s: float) -> Payment: ...

    async def list_payments(
        self, store_id: str, filters: PaymentFilters, *, after: PaymentKey, limit: int, deadline_s: float
    ) -> PaymentPage: ...


class Payments(Protocol):
    """Both transactions of an operation and the gateway's call between: see payments/processor.py.

    The bool says whether an earlier call with this request_id began the operation.
    """

    async def pay(
        self,
        store_id: str,
        *,
        order_id: str,
        payment_id: str,
        amount_minor: int,
        payment_method: str,
        kind: OperationKind,
        deadline_s: float,
        actor: str = "",
    ) -> Payment: ...

    async def capture(
        self, store_id: str, payment_id: str, amount_minor: int, *, request_id: str, deadline_s: float
    ) -> tuple[Payment, bool]: ...

    async def void(
        self, store_id: str, payment_id: str, *, request_id: str, deadline_s: float
    ) -> tuple[Payment, bool]: ...

    async def confirm(
        self, store_id: str, payment_id: str, *, request_id: str, deadline_s: float, actor: str
    ) -> tuple[Payment, bool]: ...

    async def refund(
        self, store_id: str, payment_id: str, refund_id: str, amount_minor: int, *, deadline_s: float
    ) -> Payment: ...

    async def order_of(self, store_id: str, payment_id: str, *, deadline_s: float) -> str | None: ...


class Imports(Protocol):
    """Uploads: see engine/imports.py."""

    def begun(self, messages: AsyncIterator[T]) -> AbstractAsyncContextManager[T | None]: ...

    async def upload(
        self,
        store_id: str,
        *,
        import_id: str,
        announced_count: int | None,
        reason: str,
        reference: str,
        actor: str,
        batches: AsyncIterator[Batch],
    ) -> StockImport: ...


class ImportReader(Protocol):
    """Reads of imports: see engine/import_reads.py."""

    async def stock_import(self, store_id: str, import_id: str, *, deadline_s: float) -> StockImport: ...

    async def list_imports(
        self, store_id: str, *, before_upload_id: str, limit: int, deadline_s: float
    ) -> list[StockImport]: ...

    async def list_import_errors(
        self, store_id: str, import_id: str, *, after_number: int, limit: int, deadline_s: float
    ) -> list[RowError]: ...


class ExportRow(Protocol):
    """A product with its totals by location: see engine/export.py."""

    @property
    def product_id(self) -> str: ...

    @property
    def levels(self) -> Sequence[tuple[str, int]]: ...

    @property
    def low_stock_threshold(self) -> int | None: ...


class Spool(Protocol):
    """The rows of one export: see engine/export.py."""

    row_count: int
    snapshot_time: datetime

    def pages(self) -> AsyncIterator[Sequence[ExportRow]]: ...


class Exporter(Protocol):
    """Exports: see engine/export.py."""

    def export(self, store_id: str, *, deadline_s: float) -> AbstractAsyncContextManager[Spool]: ...
