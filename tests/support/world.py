"""A store as the pure rules see it, batch after batch, and the laws that it must keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    Command,
    CreateCart,
    CreateStock,
    ReserveStock,
)
from inventory_server.domain.decide import Request, decide
from inventory_server.domain.limits import DEFAULT_LOCATION, QUANTITY_MAX
from inventory_server.domain.location import Location
from inventory_server.domain.order import Cart, CartItem, OrderView
from inventory_server.domain.payment import OperationKind, OperationState
from inventory_server.domain.payment_commands import (
    BeginCapture,
    BeginConfirm,
    BeginPayment,
    BeginRefund,
    BeginVoid,
    SettlePayment,
)
from inventory_server.domain.reservation import Line, Reservation, ReservationState
from inventory_server.domain.state import State
from inventory_server.domain.stock import Action, LogEntry, StockLevel
from inventory_server.domain.store import StoreSettings

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
DEFAULT = (Location(DEFAULT_LOCATION),)
TABLES = (
    "stocks", "levels", "reservations", "item_returns", "carts", "orders", "payments", "shipments",
    "order_returns", "answers", "locations", "imports", "import_errors", "level_times",
)  # fmt: skip


class World:
    """Rows that one batch hands to the next, and a clock that moves when a test says so."""

    def __init__(self, locations: Sequence[Location] = DEFAULT) -> None:
        self.now = BEGINNING
        self.settings = StoreSettings()
        self.rows: dict[str, dict[Any, Any]] = {name: {} for name in TABLES}
        self.rows["locations"] = {location.slug: location for location in locations}
        self.log: list[LogEntry] = []

    def state(self) -> State:
        """Return what a batch that begins now would have loaded."""
        state = State(now=self.now, settings=self.settings)
        for name, rows in self.rows.items():
            table = getattr(state, name)
            for key, row in rows.items():
                table.load(key, replace(row, seen_at=self.now) if isinstance(row, Cart) else row)
        return state

    def keep(self, state: State) -> None:
        """Take over what a batch would have saved."""
        for name, rows in self.rows.items():
            rows.update(dict(getattr(state, name).written()))
            for key in getattr(state, name).deleted():
                del rows[key]
        self.settings = state.settings
        self.log += state.log

    def batch(self, *requests: Request | Command) -> list[Any]:
        """Decide one batch and keep it. Returns: verdicts, refusals among them."""
        state = self.state()
        verdicts = decide(state, [r if isinstance(r, Request) else Request(r) for r in requests])
        self.keep(state)
        return verdicts

    def do(self, request: Request | Command) -> Any:
        """Decide one command. Raises: the DomainError that refused it."""
        verdict = self.batch(request)[0]
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    def snapshot(self) -> tuple[dict[str, dict[Any, Any]], list[LogEntry]]:
        return {name: dict(rows) for name, rows in self.rows.items()}, list(self.log)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # --- short ways to a state -------------------------------------------------------------------

    def stock(self, product_id: str, quantity: int, location: str = DEFAULT_LOCATION) -> None:
        """Give a product its units; a further location of a product is opened as SET will do it."""
        if product_id not in self.rows["stocks"]:
            self.do(CreateStock(product_id, quantity, location))
        else:
            level = StockLevel(quantity, 0, 0, 1)
            self.rows["levels"][product_id, location] = level
            self.log.append(LogEntry(product_id, location, Action.CREATE, quantity, level))

    def level(self, product_id: str, location: str = DEFAULT_LOCATION) -> StockLevel:
        found: StockLevel = self.rows["levels"].get((product_id, location), StockLevel())
        return found

    def numbers(self, product_id: str) -> tuple[int, int]:
        """Return (available, allocated) at `default`."""
        return self.level(product_id)[:2]

    def hold(self, reservation_id: str, *lines: Line, ttl_s: float | None = None) -> Reservation:
        held: Reservation = self.do(ReserveStock(reservation_id, lines, ttl_s=ttl_s))
        return held

    def order(self, order_id: str, *items: CartItem) -> OrderView:
        """Make an unpaid order through a cart of its own."""
        self.do(CreateCart(f"cart of {order_id}", "EUR"))
        self.do(AddCartItems(f"cart of {order_id}", items))
        view: OrderView = self.do(Checkout(f"cart of {order_id}", order_id))
        return view

    def begin(self, order_id: str, payment_id: str, amount_minor: int) -> Any:
        return self.do(begin(order_id, payment_id, amount_minor))

    def settle(
        self, order_id: str, payment_id: str, outcome: OperationState, operation_id: str = "", **said: Any
    ) -> Any:
        """Record the gateway's word; of the payment's first operation, if none is named."""
        named = operation_id or f"op of {payment_id}"
        return self.do(
            SettlePayment(order_id, payment_id, named, outcome, **{"lease_s": 12.0, **said})
        ).payment

    def authorize(self, order_id: str, payment_id: str, amount_minor: int) -> Any:
        self.do(begin(order_id, payment_id, amount_minor, kind=OperationKind.AUTHORIZE))
        return self.settle(order_id, payment_id, OperationState.ACCEPTED)

    def go_on(
        self,
        payment_id: str,
        kind: OperationKind,
        operation_id: str,
        amount_minor: int = 0,
        outcome: OperationState | None = None,
        **said: Any,
    ) -> Any:
        """Begin a further operation of a payment and, where an outcome is given, record it."""
        known = self.rows["payments"].get(payment_id)
        order_id = known.order_id if known else None
        begun = self.do(further(kind, order_id, payment_id, operation_id, amount_minor)).payment
        return self.settle(order_id, payment_id, outcome, operation_id, **said) if outcome else begun

    def pay(self, order_id: str, payment_id: str, amount_minor: int) -> Any:
        self.begin(order_id, payment_id, amount_minor)
        return self.settle(order_id, payment_id, OperationState.ACCEPTED)

    def view(self, order_id: str) -> OrderView:
        return self.state().order_view(order_id)

    def reservation_of(self, order_id: str) -> Reservation:
        found = self.view(order_id).reservation
        assert found is not None
        return found

    # --- the laws --------------------------------------------------------------------------------

    def check(self) -> None:
        """Assert every law of docs/concepts.md, "What always holds"."""
        self._check_log()
        self._check_records()
        self._check_held()
        self._check_orders()

    def _check_log(self) -> None:
        replayed: dict[tuple[str, str], StockLevel] = {}
        for entry in self.log:
            key = (entry.product_id, entry.location)
            replayed[key] = replay(replayed.get(key, StockLevel()), entry.action, entry.quantity)
            assert replayed[key] == entry.level, (replayed[key], entry)
        assert replayed == self.rows["levels"]
        for level in replayed.values():
            assert level.available >= 0 and level.total <= QUANTITY_MAX
            assert 0 <= level.hand_allocated <= level.allocated

    def _check_records(self) -> None:
        """A life of a record begins with CREATE and ends with DELETE at every level; nothing is left then."""
        last: dict[tuple[str, str], Action] = {}
        ended: set[str] = set()
        for entry in self.log:
            if entry.product_id in ended or (entry.product_id not in {key[0] for key in last}):
                assert entry.action in (Action.CREATE, Action.DELETE), entry
            if entry.action is Action.DELETE:
                ended.add(entry.product_id)
            elif entry.action is Action.CREATE:
                ended.discard(entry.product_id)
            last[entry.product_id, entry.location] = entry.action
        for product_id, record in self.rows["stocks"].items():
            assert (record.deleted_at is not None) == (product_id in ended)
            if record.deleted_at is not None:
                levels = {key: level for key, level in self.rows["levels"].items() if key[0] == product_id}
                assert {level[:3] for level in levels.values()} == {(0, 0, 0)}
                assert {last[key] for key in levels} == {Action.DELETE}

    def _check_held(self) -> None:
        held: dict[tuple[str, str], int] = defaultdict(int)
        for reservation in self.rows["reservations"].values():
            for line in reservation.lines:
                assert min(line.open, line.released, line.fulfilled) >= 0
                assert line.reserved == line.open + line.released + line.fulfilled, line
                assert 0 <= line.returned <= line.fulfilled, line
                held[line.product_id, line.location] += line.open
            open_units = sum(line.open for line in reservation.lines)
            assert bool(open_units) == reservation.is_live, reservation
            has_left = any(line.fulfilled for line in reservation.lines)
            assert has_left <= (reservation.state in (ReservationState.COMMITTED, ReservationState.CLOSED))
            assert has_left >= (reservation.state is ReservationState.CLOSED), reservation
        self._check_returns()
        for key, level in self.rows["levels"].items():
            assert level.allocated == level.hand_allocated + held.pop(key, 0)
        assert not any(held.values())

    def _check_returns(self) -> None:
        returned: dict[tuple[str, int], int] = defaultdict(int)
        for item_return in self.rows["item_returns"].values():
            for line_number, quantity in item_return.lines:
                returned[item_return.reservation_id, line_number] += quantity
        callers_own = (r for r in self.rows["reservations"].values() if not r.owned_by_order)
        for reservation in callers_own:
            for line in reservation.lines:
                assert line.returned == returned.pop((reservation.reservation_id, line.line_number), 0)
        assert not returned

    def _check_orders(self) -> None:
        live = [r.order_id for r in self.rows["reservations"].values() if r.owned_by_order and r.is_live]
        assert len(live) == len(set(live))
        for order_id in self.rows["orders"]:
            view = self.view(order_id)
            taken_minor = view.captured_minor + view.authorized_minor + view.in_flight_minor
            assert taken_minor <= view.order.total_minor
            for payment in view.payments:
                assert 0 <= payment.refundable_minor <= payment.captured_minor <= payment.amount_minor
                assert sum(o.is_in_flight for o in payment.operations) <= 1
            counts = any(p.counts for p in view.payments)
            held = view.reservation
            holds = held is not None and held.is_live
            # A hold from before the payments has its own time, and outlives those that took nothing.
            by_clock = holds and held is not None and held.expire_time is not None
            if by_clock and held is not None:
                assert held.expiry_suspended == counts, view
            shipped, returned = view.shipped, view.returned
            is_kept = view.order.cancelled_at is None and any(
                line.track_stock and not line.unmanaged and shipped[line.line_number] < line.quantity
                for line in view.order.lines
            )
            assert holds == ((counts and is_kept) or by_clock), view
            assert view.is_paid or not view.is_shipped
            for line in view.order.lines:
                assert returned[line.line_number] <= shipped[line.line_number] <= line.quantity
            for units in held.lines if held is not None else ():
                assert units.fulfilled == shipped[units.line_number]
                assert units.returned == returned[units.line_number]


def replay(level: StockLevel, action: Action, quantity: int) -> StockLevel:
    """Return the level after an entry, by the table of docs/concepts.md alone."""
    available, allocated, by_hand = {
        Action.CREATE: (1, 0, 0),
        Action.INCREMENT: (1, 0, 0),
        Action.DECREMENT: (-1, 0, 0),
        Action.ALLOCATE: (-1, 1, 1),
        Action.DEALLOCATE: (1, -1, -1),
        Action.SET: (0, 0, 0),
        Action.RESERVE: (-1, 1, 0),
        Action.RELEASE: (1, -1, 0),
        Action.EXPIRE: (1, -1, 0),
        Action.FULFILL: (0, -1, 0),
        Action.RETURN: (1, 0, 0),
        Action.DELETE: (-1, 0, 0),
        Action.TRANSFER_OUT: (-1, 0, 0),
        Action.TRANSFER_IN: (1, 0, 0),
    }[action]
    if action is Action.SET:
        level = level._replace(available=quantity - level.allocated)
    return StockLevel(
        level.available + available * quantity,
        level.allocated + allocated * quantity,
        level.hand_allocated + by_hand * quantity,
        level.version + 1,
    )


def begin(
    order_id: str,
    payment_id: str,
    amount_minor: int,
    *,
    lease_s: float = 12.0,
    has_gateway: bool = True,
    kind: OperationKind = OperationKind.PURCHASE,
) -> BeginPayment:
    """Return a payment's first transaction, with ids as the server would choose them."""
    return BeginPayment(
        order_id=order_id,
        payment_id=payment_id,
        amount_minor=amount_minor,
        payment_method="card",
        operation_id=f"op of {payment_id}",
        reservation_id=f"hold for {payment_id}",
        lease_s=lease_s,
        has_gateway=has_gateway,
        kind=kind,
    )


def further(
    kind: OperationKind, order_id: str | None, payment_id: str, operation_id: str, amount_minor: int = 0
) -> BeginCapture | BeginVoid | BeginRefund | BeginConfirm:
    """Return the first transaction of an operation that goes on with a payment; refunds are named by it."""
    if kind is OperationKind.CAPTURE:
        return BeginCapture(order_id, payment_id, operation_id, 12.0, amount_minor=amount_minor)
    if kind is OperationKind.VOID:
        return BeginVoid(order_id, payment_id, operation_id, 12.0)
    if kind is OperationKind.REFUND:
        return BeginRefund(
            order_id, payment_id, operation_id, 12.0, refund_id=operation_id, amount_minor=amount_minor
        )
    return BeginConfirm(order_id, payment_id, operation_id, 12.0, reservation_id=f"hold for {operation_id}")


def repeatable(command: Command, request_id: str) -> Request:
    """Return a request whose answer is stored: the verdict's own words stand for its encoding."""
    return Request(command, request_id, lambda verdict: repr(verdict).encode())
