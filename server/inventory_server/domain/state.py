"""What a batch knows: the rows that were loaded, overlaid by what its commands decided.

A command drafts; the draft is kept when the command succeeds and dropped when it is refused, so each command
is all or nothing although its batch is one transaction.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from inventory_server.domain.coverage import Coverage, LevelKey
from inventory_server.domain.errors import LocationNotFound, OrderNotFound
from inventory_server.domain.etag import etag
from inventory_server.domain.location import Location
from inventory_server.domain.order import (
    Cart,
    OrderReturn,
    OrderStanding,
    OrderView,
    SalesOrder,
    Shipment,
    UnitSums,
)
from inventory_server.domain.payment import PaymentSums
from inventory_server.domain.reservation import ItemReturn, Reservation
from inventory_server.domain.stock import Action, LogEntry, Stock, StockLevel
from inventory_server.domain.stock_import import RowError, StockImport
from inventory_server.domain.store import StoreSettings
from inventory_server.domain.tables import Levels, Movements, Payments, Table

_NOTHING = StockLevel()
_LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)

_NOTHING = StockLevel()


class LevelView(NamedTuple):
    """A level as it is shown; `expired_held` is the part of what is allocated whose hold is due."""

    location: str
    level: StockLevel
    updated_at: datetime
    expired_held: int


class LevelSums(NamedTuple):
    """What the levels of a product come to, and when the last of them was changed."""

    available: int
    allocated: int
    updated_at: datetime


class StockView(NamedTuple):
    """A product's numbers, summed over its locations; `levels` only where they were asked for."""

    product_id: str
    available: int
    allocated: int
    created_at: datetime
    updated_at: datetime
    low_stock_threshold: int | None = None
    expired_held: int = 0
    levels: tuple[LevelView, ...] = ()

    @property
    def total(self) -> int:
        return self.available + self.allocated

    @property
    def is_below_threshold(self) -> bool:
        """A product without a threshold is never below it."""
        return self.low_stock_threshold is not None and self.available < self.low_stock_threshold

    @property
    def etag(self) -> str:
        return etag(
            self.product_id, self.available, self.allocated, self.created_at, self.updated_at,
            self.low_stock_threshold,
        )  # fmt: skip


class StoredAnswer(NamedTuple):
    """What a request_id was answered with."""

    content_hash: bytes
    response: bytes


@dataclass(slots=True)
class State:
    """One store as one batch sees it.

    `now` is the transaction's database time, `settings` as the command at hand sees them, `actor` who sent
    it, `locations` all there are.
    `more_are_due`: besides the holds that this batch expires more are due, so that no shortage is final yet.
    """

    now: datetime
    settings: StoreSettings = field(default_factory=StoreSettings)
    actor: str = ""
    more_are_due: bool = False
    locations: Table[str, Location] = field(default_factory=Table)
    stocks: Table[str, Stock] = field(default_factory=Table)
    levels: Levels = field(default_factory=Levels)
    coverage: Coverage = field(default_factory=Coverage)
    level_times: Table[LevelKey, datetime] = field(default_factory=Table)
    # As the database has them, of products whose levels need not all be loaded.
    sums: dict[str, LevelSums] = field(default_factory=dict)
    # Units of holds that are due, by product and slug; known to reads alone.
    expired_held: dict[str, dict[str, int]] = field(default_factory=dict)
    reservations: Table[str, Reservation] = field(default_factory=Table)
    item_returns: Table[str, ItemReturn] = field(default_factory=Table)
    carts: Table[str, Cart] = field(default_factory=Table)
    orders: Table[str, SalesOrder] = field(default_factory=Table)
    payments: Payments = field(default_factory=Payments)
    shipments: Movements[Shipment] = field(default_factory=Movements)
    order_returns: Movements[OrderReturn] = field(default_factory=Movements)
    answers: Table[tuple[str, str], StoredAnswer] = field(default_factory=Table)
    imports: Table[str, StockImport] = field(default_factory=Table)
    # By upload and row number; only ever made.
    import_errors: Table[tuple[str, int], RowError] = field(default_factory=Table)
    log: list[LogEntry] = field(default_factory=list)
    # How many of its entries are on their way to the database already.
    log_saved_count: int = 0
    answers_forgotten_before: datetime | None = None
    _log_kept: int = 0
    _settings_loaded: StoreSettings = field(init=False)
    _settings_kept: StoreSettings = field(init=False)
    _tables: tuple[Table[Any, Any], ...] = field(init=False, compare=False)
    _ranks: dict[str, tuple[int, str]] | None = None
    _serving: dict[str, tuple[int, list[str]]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._settings_loaded = self._settings_kept = self.settings
        self._tables = (
            self.levels,
            self.level_times,
            self.reservations,
            self.item_returns,
            self.stocks,
            self.carts,
            self.orders,
            self.payments,
            self.shipments,
            self.order_returns,
            self.locations,
            self.imports,
            self.import_errors,
        )

    @property
    def is_drafted(self) -> bool:
        """Whether the command at hand has changed anything."""
        if self.settings is not self._settings_kept:
            return True
        return any(table.draft for table in self._tables)

    def keep(self) -> None:
        """The command at hand succeeded: what it drafted stands."""
        if self.locations.draft:
            self._ranks = None
            self._serving.clear()
        for table in self._tables:
            if table.draft:
                table.keep()
        self._settings_kept = self.settings
        self._log_kept = len(self.log)

    def drop(self) -> None:
        """The command at hand was refused: nothing of it stays."""
        if self.locations.is_drafted:
            self._ranks = None
            self._serving.clear()
        for table in self._tables:
            table.drop()
        self.settings = self._settings_kept
        del self.log[self._log_kept :]

    @property
    def settings_written(self) -> StoreSettings | None:
        """The settings, where the database does not have them so."""
        return None if self._settings_kept == self._settings_loaded else self._settings_kept

    # --- reading ---------------------------------------------------------------------------------

    def level(self, product_id: str, location: str) -> StockLevel:
        """Return a level; one that was never opened has nothing."""
        level = self.levels.get((product_id, location))
        if level is None:
            self.coverage.need_level(product_id, location)
            return _NOTHING
        return level

    def need_location(self, slug: str | None) -> None:
        """Raise LocationNotFound for a slug that no location has; None names none."""
        if slug is not None and self.locations.get(slug) is None:
            raise LocationNotFound(slug)

    @property
    def _enabled(self) -> dict[str, tuple[int, str]]:
        """The enabled locations: each slug with what it is sorted by where lines are served."""
        if self._ranks is None or self.locations.is_drafted:
            self._ranks = {each.slug: each.rank for each in self.locations.values() if each.enabled}
        return self._ranks

    def is_serving(self, slug: str) -> bool:
        """Whether lines may be served from a location: it is there and enabled."""
        return slug in self._enabled

    def serving(self, product_id: str) -> list[str]:
        """Return where lines of a product may be served from, by priority, then slug.

        Only locations where the product has a level: a store may have 1,024, and most keep few of them all.
        """
        opened, seen = self.levels.opened(product_id), self._serving.get(product_id)
        # Levels are opened and never closed, so as many are the same.
        if seen is None or seen[0] != len(opened) or self.locations.is_drafted:
            enabled = self._enabled
            slugs = sorted((slug for slug in opened if slug in enabled), key=enabled.__getitem__)
            seen = self._serving[product_id] = (len(opened), slugs)
        return seen[1]

    def need_first(self, product_id: str, quantity: int, slug: str | None) -> None:
        """Note that more levels are needed, unless the first location with a quantity is `slug` for sure.

        Args:
            slug: where a line is served from by what was loaded; None = nowhere.
        """
        coverage = self.coverage
        if coverage.knows_all(product_id):
            return
        # With other locations, or another order of them, what was loaded need not be the first. A refusal
        # tells the most that one location has, which is known when it was asked for.
        if not self.locations.has_changed and (slug is not None or product_id in coverage.asked_again):
            enabled = self._enabled
            for last in coverage.reaches(product_id, quantity):
                if last is None or (slug is not None and enabled[slug] <= enabled[last]):
                    return
        coverage.need_line(product_id, quantity)

    def location_by_rank(self, number: int) -> str | None:
        """Return the number-th location, from 1 on, in the order of sourcing; None past the last."""
        if len(self._enabled) < number:
            return None
        return sorted(self._enabled, key=self._enabled.__getitem__)[number - 1]

    def managed(self, product_id: str) -> Stock | None:
        """Return a product's record, unless there is none or it is deleted: unmanaged is not zero."""
        stock = self.stocks.get(product_id)
        return stock if stock is not None and stock.deleted_at is None else None

    def opened_levels(self, product_id: str) -> list[tuple[str, StockLevel]]:
        """Return (slug, level) of every level that the product ever had, a tombstone's too, by slug."""
        levels = [(slug, self.level(product_id, slug)) for slug in sorted(self.levels.opened(product_id))]
        return [(slug, level) for slug, level in levels if level.version]

    def stock_view(self, product_id: str) -> StockView | None:
        """Return a product's numbers without its levels; None where it is not managed."""
        stock = self.managed(product_id)
        if stock is None:
            return None
        sums = self.level_sums(product_id)
        return StockView(
            product_id,
            sums.available,
            sums.allocated,
            stock.created_at,
            max(stock.updated_at, sums.updated_at),
            stock.low_stock_threshold,
            sum(self.expired_held.get(product_id, {}).values()),
        )

    def level_sums(self, product_id: str) -> LevelSums:
        """Return what a product's levels come to, as the command at hand sees them.

        They are those loaded as sums with what was changed since, else those of the levels, all loaded.
        """
        loaded = self.sums.get(product_id)
        available, allocated, updated_at = loaded or LevelSums(0, 0, _LONG_AGO)
        for slug in self.levels.opened(product_id):
            key = (product_id, slug)
            level = self.level(*key)
            before = self.levels.loaded.get(key, _NOTHING) if loaded else _NOTHING
            if level is not before:
                available += level.available - before.available
                allocated += level.allocated - before.allocated
                updated_at = max(updated_at, self.level_times.get(key) or updated_at)
        return LevelSums(available, allocated, updated_at)

    def standing(self, order_id: str) -> OrderStanding:
        """Return an order with what its states are derived from. Raises: OrderNotFound."""
        return OrderStanding(*self._standing(order_id))

    def order_view(self, order_id: str) -> OrderView:
        """Return an order with all that is shown of it. Raises: OrderNotFound."""
        return OrderView(
            *self._standing(order_id),
            payments=self.payments.of_order(order_id),
            shipments=self.shipments.of_order(order_id),
            returns=self.order_returns.of_order(order_id),
        )

    def _standing(
        self, order_id: str
    ) -> tuple[SalesOrder, Reservation | None, PaymentSums, UnitSums, UnitSums]:
        order = self.orders.get(order_id)
        if order is None:
            raise OrderNotFound(order_id)
        return (
            order,
            self.reservations.get(order.reservation_id) if order.reservation_id else None,
            self.payments.sums_of(order_id),
            self.shipments.sums_of(order_id),
            self.order_returns.sums_of(order_id),
        )

    def order_views(self) -> list[OrderView]:
        """Return every order as order_view does, in the order loaded."""
        return [self.order_view(order_id) for order_id, _ in self.orders.items()]

    # --- writing ---------------------------------------------------------------------------------

    def forget_answers(self, retention_h: int) -> None:
        self.answers_forgotten_before = self.now - timedelta(hours=retention_h)

    def write_level(
        self,
        product_id: str,
        location: str,
        action: Action,
        quantity: int,
        level: StockLevel,
        *,
        reservation: Reservation | None = None,
        reason: str = "",
        reference: str = "",
        request_id: str | None = None,
    ) -> LogEntry:
        """Draft a level and the log entry that proves it: neither is ever written without the other."""
        entry = LogEntry(
            product_id, location, action, quantity, level,
            reservation.reservation_id if reservation else None,
            reservation.order_id if reservation else None,
            reason, reference, request_id, self.actor,
        )  # fmt: skip
        key = (product_id, location)
        self.levels.put(key, level)
        if self.level_times.get(key) is not self.now:
            self.level_times.put(key, self.now)
        self.log.append(entry)
        return entry
