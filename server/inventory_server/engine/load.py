"""Load: from the keys that a batch or a read wants to the State that it is decided on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, TypeVar

from inventory_server.domain.commands import Wanted
from inventory_server.domain.location import Location
from inventory_server.domain.order import (
    Cart,
    CartItem,
    OrderLine,
    OrderReturn,
    SalesOrder,
    Shipment,
)
from inventory_server.domain.payment import Operation, OperationKind, OperationState, Payment
from inventory_server.domain.reservation import (
    ItemReturn,
    LineUnits,
    Reservation,
    ReservationLine,
    ReservationState,
)
from inventory_server.domain.state import State, StoredAnswer
from inventory_server.domain.stock import Stock
from inventory_server.domain.stock_import import ImportState, StockImport
from inventory_server.domain.store import StoreSettings
from inventory_server.engine import level_load

# As many levels of a location that keep something: more than one batch could have emptied.
LEVELS_KEPT_MAX = 10_001

Call = tuple[str, dict[str, Any]]
Row = tuple[Any, ...]
T = TypeVar("T")


def calls_for(wanted: Wanted, *, is_wide: bool = True) -> list[Call]:
    """Return the statements that fetch what is wanted; they need one round trip.

    Args:
        is_wide: whether to look for the levels that can be touched, or to load all of each product: see
            engine/level_load.py.

    Rows that decide are locked in one order (orders, carts, reservations, then levels by key), so that two
    writers wait for each other instead of deadlocking.
    """
    calls: list[Call] = [("store", {})]
    if wanted.locations:
        calls.append(("locations" if wanted.locations_described else "locations_ranked", {}))
    if wanted.answers:
        methods, request_ids = zip(*sorted(wanted.answers), strict=True)
        calls.append(("answers", {"methods": list(methods), "request_ids": list(request_ids)}))
    orders = sorted(wanted.orders | wanted.orders_seen)
    for name, parameter, keys in (
        ("orders", "orders", orders),
        ("carts", "carts", wanted.carts),
        ("reservations_of_orders", "orders", orders),
        ("reservations", "reservations", wanted.reservations),
        ("item_returns", "item_returns", wanted.item_returns),
    ):
        if keys:
            calls.append((name, {parameter: sorted(keys)}))
    calls += _calls_beside_orders(wanted, orders)
    if wanted.imports:
        calls += [("imports", {"imports": sorted(wanted.imports)}), ("imports_running", {})]
    calls += level_load.calls_for(wanted, is_wide=is_wide)
    if wanted.locations_emptied:
        slugs = {"locations": sorted(wanted.locations_emptied), "limit": LEVELS_KEPT_MAX}
        calls.append(("levels_kept", slugs))
    if wanted.expired_held:
        calls.append(("expired_held", {"products": level_load.products_of(wanted)}))
    return calls


def _calls_beside_orders(wanted: Wanted, orders: list[str]) -> list[Call]:
    """Return what fetches the payments, shipments and returns that are named, and those of the orders."""
    calls: list[Call] = []
    if orders or wanted.payments or wanted.refunds:
        asked = {"orders": orders, "payments": sorted(wanted.payments), "refunds": sorted(wanted.refunds)}
        calls.append(("payments", asked))
    if orders or wanted.shipments:
        calls.append(("shipments", {"orders": orders, "shipments": sorted(wanted.shipments)}))
    if orders or wanted.order_returns:
        calls.append(("order_returns", {"orders": orders, "order_returns": sorted(wanted.order_returns)}))
    return calls


def fill(state: State, calls: Sequence[Call], results: Sequence[Sequence[Row]]) -> State:
    """Put the rows into the state."""
    for (name, asked), rows in zip(calls, results, strict=True):
        if name in _FILLERS:
            _FILLERS[name](state, rows)
        elif name in level_load.FILLERS:
            level_load.FILLERS[name](state, asked, rows)
    return state


def state_from(calls: Sequence[Call], results: Sequence[Sequence[Row]]) -> State:
    """Return a State of the rows that `calls_for` brought; the store with its clock comes first."""
    now, *settings = results[0][0]
    return fill(State(now=now, settings=StoreSettings(*settings)), calls, results)


async def decided(
    fetch: Callable[[list[Call]], Awaitable[list[list[Row]]]],
    calls: list[Call],
    results: list[list[Row]],
    decide: Callable[[State], T],
) -> tuple[State, T]:
    """Decide on what was loaded, again with the levels that turn out to be needed besides.

    Args:
        calls, results: what was loaded; they grow by what is loaded here.
        decide: changes its state alone, since it may run several times.
    """
    while True:
        state = state_from(calls, results)
        verdict = decide(state)
        lacking = level_load.calls_for_lacking(state)
        if not lacking:
            return state, verdict
        results += await fetch(lacking)
        calls += lacking


def _locations(state: State, rows: Sequence[Row]) -> None:
    for slug, enabled, priority, name, external_ref, description, address_lines, *rest in rows:
        state.locations.load(
            slug,
            Location(slug, enabled, priority, name, external_ref, description, tuple(address_lines), *rest),
        )


def _locations_ranked(state: State, rows: Sequence[Row]) -> None:
    for row in rows:
        state.locations.load(row[0], Location(*row))


def _answers(state: State, rows: Sequence[Row]) -> None:
    for method, request_id, content_hash, response in rows:
        state.answers.load((method, request_id), StoredAnswer(content_hash, response))


def _stocks(state: State, rows: Sequence[Row]) -> None:
    for row in rows:
        state.stocks.load(row[0], Stock(*row))


def _expired_held(state: State, rows: Sequence[Row]) -> None:
    for product_id, location, units in rows:
        state.expired_held.setdefault(product_id, {})[location] = units
        state.levels.open(product_id, location)


def _reservations(state: State, rows: Sequence[Row]) -> None:
    for reservation_id, group in groupby(rows, key=itemgetter(0)):
        lines = list(group)
        _, order_id, owned_by_order, life, expire_time, content_hash, created_at, updated_at = lines[0][:8]
        expiry_suspended = lines[0][8]
        reservation = Reservation(
            reservation_id, order_id, owned_by_order, ReservationState(life),
            tuple(ReservationLine(*line[9:]) for line in lines),
            expire_time, content_hash, created_at, updated_at, expiry_suspended,
        )  # fmt: skip
        state.reservations.load(reservation_id, reservation)


def _item_returns(state: State, rows: Sequence[Row]) -> None:
    for return_id, group in groupby(rows, key=itemgetter(0)):
        lines = list(group)
        _, reservation_id, *rest = lines[0][:9]
        units = tuple(LineUnits(*line[9:]) for line in lines)
        state.item_returns.load(return_id, ItemReturn(return_id, reservation_id, units, *rest))


def _carts(state: State, rows: Sequence[Row]) -> None:
    for cart_id, group in groupby(rows, key=itemgetter(0)):
        lines = list(group)
        _, currency, order_id, content_hash, created_at, updated_at, expires_at, defers = lines[0][:8]
        items = tuple(CartItem(*line[8:]) for line in lines if line[8] is not None)
        cart = Cart(
            cart_id, currency, items, order_id, content_hash, created_at, updated_at, expires_at, state.now,
            defers,
        )  # fmt: skip
        state.carts.load(cart_id, cart)


def _orders(state: State, rows: Sequence[Row]) -> None:
    for order_id, group in groupby(rows, key=itemgetter(0)):
        lines = list(group)
        _, cart_id, currency, total_minor, reservation_id, content_hash, created_at, cancelled_at = lines[0][
            :8
        ]
        order = SalesOrder(
            order_id, cart_id, currency, tuple(OrderLine(*line[8:]) for line in lines), total_minor,
            reservation_id, content_hash, created_at, cancelled_at,
        )  # fmt: skip
        state.orders.load(order_id, order)


def _payments(state: State, rows: Sequence[Row]) -> None:
    for payment_id, group in groupby(rows, key=itemgetter(0)):
        lines = list(group)
        _, order_id, amount_minor, currency, method, content_hash, created_at = lines[0][:7]
        operations = tuple(
            Operation(line[7], payment_id, order_id, OperationKind(line[8]), line[9],
                      OperationState(line[10]), *line[11:])
            for line in lines
            if line[7] is not None
        )  # fmt: skip
        state.payments.load(
            payment_id,
            Payment(
                payment_id, order_id, amount_minor, currency, method, operations, content_hash, created_at
            ),
        )


def _shipments(state: State, rows: Sequence[Row]) -> None:
    for shipment_id, group in groupby(rows, key=itemgetter(0)):
        lines = list(group)
        _, order_id, content_hash, created_at = lines[0][:4]
        state.shipments.load(
            shipment_id,
            Shipment(
                shipment_id, order_id, tuple(LineUnits(*line[4:]) for line in lines), content_hash,
                created_at,
            ),
        )  # fmt: skip


def stock_import(row: Row) -> StockImport:
    """Return the import of a row, with the columns of the statement `imports`."""
    return StockImport(row[0], row[1], ImportState(row[2]), *row[3:])


def _imports(state: State, rows: Sequence[Row]) -> None:
    for row in rows:
        state.imports.load(row[0], stock_import(row))


def _order_returns(state: State, rows: Sequence[Row]) -> None:
    for return_id, group in groupby(rows, key=itemgetter(0)):
        lines = list(group)
        _, order_id, *rest = lines[0][:9]
        units = tuple(LineUnits(*line[9:]) for line in lines)
        state.order_returns.load(return_id, OrderReturn(return_id, order_id, units, *rest))


_FILLERS: dict[str, Callable[[State, Sequence[Row]], None]] = {
    "locations": _locations,
    "locations_ranked": _locations_ranked,
    "answers": _answers,
    "stocks": _stocks,
    "stocks_touched": _stocks,
    "expired_held": _expired_held,
    "reservations": _reservations,
    "reservations_of_orders": _reservations,
    "item_returns": _item_returns,
    "carts": _carts,
    "orders": _orders,
    "payments": _payments,
    "shipments": _shipments,
    "order_returns": _order_returns,
    "imports": _imports,
    "imports_running": _imports,
}
