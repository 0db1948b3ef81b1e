"""Save: from the State that a batch decided to the statements that write it, one for all rows of a kind."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from inventory_server.domain.order import Cart, CartItem
from inventory_server.domain.payment import Operation
from inventory_server.domain.state import State

Call = tuple[str, dict[str, Any]]
Row = tuple[Any, ...]


def calls_for(state: State) -> list[Call]:
    """Return the statements that save what was decided; they need one round trip, COMMIT included."""
    return [
        call
        for call in (
            *_stock(state),
            *_reservations(state),
            *_carts(state),
            *_orders(state),
            *_payments(state),
            _call(
                "insert_answers",
                "method request_id content_hash response",
                [(*key, *answer) for key, answer in state.answers.inserted()],
            ),
        )
        if call is not None
    ]


def _call(name: str, columns: str, rows: Sequence[Row]) -> Call | None:
    """Return a statement with one array a column; None where there is nothing to write."""
    if not rows:
        return None
    return name, {
        column: list(values) for column, values in zip(columns.split(), zip(*rows, strict=True), strict=True)
    }


_LEVEL = "product_id location available allocated hand_allocated version updated_at"
_LOG = (
    "product_id location version action quantity available_after allocated_after hand_allocated_after"
    " reservation_id order_id reason reference request_id created_at"
)


def _stock(state: State) -> Iterable[Call | None]:
    now = state.now
    yield _call("insert_stocks", "product_id created_at", [stock for _, stock in state.stocks.inserted()])
    yield _call("insert_levels", _LEVEL, [(*key, *level, now) for key, level in state.levels.inserted()])
    yield _call("update_levels", _LEVEL, [(*key, *level, now) for key, level in state.levels.updated()])
    yield _call(
        "insert_log",
        _LOG,
        [
            (
                e.product_id, e.location, e.level.version, e.action.value, e.quantity, e.level.available,
                e.level.allocated, e.level.hand_allocated, e.reservation_id, e.order_id, e.reason,
                e.reference, e.request_id, now,
            )
            for e in state.log
        ],
    )  # fmt: skip


def _reservations(state: State) -> Iterable[Call | None]:
    made = [reservation for _, reservation in state.reservations.inserted()]
    moved = [reservation for _, reservation in state.reservations.updated()]
    yield _call(
        "insert_reservations",
        "reservation_id order_id owned_by_order state expire_time content_hash created_at updated_at",
        [
            (
                r.reservation_id, r.order_id, r.owned_by_order, r.state.value, r.expire_time, r.content_hash,
                r.created_at, r.updated_at,
            )
            for r in made
        ],
    )  # fmt: skip
    yield _call(
        "insert_reservation_lines",
        "reservation_id line_number product_id location reserved open released fulfilled named_location",
        [(r.reservation_id, *line) for r in made for line in r.lines],
    )
    yield _call(
        "update_reservations",
        "reservation_id state expire_time updated_at",
        [(r.reservation_id, r.state.value, r.expire_time, r.updated_at) for r in moved],
    )
    yield _call(
        "update_reservation_lines",
        "reservation_id line_number location open released fulfilled",
        [
            (r.reservation_id, ln.line_number, ln.location, ln.open, ln.released, ln.fulfilled)
            for r in moved
            for ln in r.lines
        ],
    )


def _carts(state: State) -> Iterable[Call | None]:
    made = [cart for _, cart in state.carts.inserted()]
    moved = [cart for _, cart in state.carts.updated()]
    yield _call(
        "insert_carts",
        "cart_id currency order_id content_hash created_at updated_at",
        [(c.cart_id, c.currency, c.order_id, c.content_hash, c.created_at, c.updated_at) for c in made],
    )
    yield _call(
        "update_carts", "cart_id order_id updated_at", [(c.cart_id, c.order_id, c.updated_at) for c in moved]
    )
    gone, written = [], []
    for cart in (*made, *moved):
        before = _numbered(state.carts.loaded.get(cart.cart_id))
        after = _numbered(cart)
        gone += [(cart.cart_id, product_id) for product_id in before if product_id not in after]
        written += [
            (cart.cart_id, item.product_id, number, *item[1:])
            for product_id, (number, item) in after.items()
            if before.get(product_id) != (number, item)
        ]
    yield _call("delete_cart_items", "cart_id product_id", gone)
    yield _call(
        "upsert_cart_items", "cart_id product_id position quantity unit_price_minor location", written
    )


def _numbered(cart: Cart | None) -> dict[str, tuple[int, CartItem]]:
    items = cart.items if cart else ()
    return {item.product_id: (number, item) for number, item in enumerate(items, start=1)}


def _orders(state: State) -> Iterable[Call | None]:
    made = [order for _, order in state.orders.inserted()]
    yield _call(
        "insert_orders",
        "order_id cart_id currency total_minor reservation_id content_hash created_at cancelled_at",
        [
            (
                o.order_id, o.cart_id, o.currency, o.total_minor, o.reservation_id, o.content_hash,
                o.created_at, o.cancelled_at,
            )
            for o in made
        ],
    )  # fmt: skip
    yield _call(
        "insert_order_lines",
        "order_id line_number product_id quantity unit_price_minor location",
        [(o.order_id, *line) for o in made for line in o.lines],
    )
    yield _call(
        "update_orders",
        "order_id reservation_id cancelled_at",
        [(o.order_id, o.reservation_id, o.cancelled_at) for _, o in state.orders.updated()],
    )
    shipments = [shipment for _, shipment in state.shipments.inserted()]
    yield _call(
        "insert_shipments",
        "shipment_id order_id content_hash created_at",
        [(s.shipment_id, s.order_id, s.content_hash, s.created_at) for s in shipments],
    )
    yield _call(
        "insert_shipment_lines",
        "shipment_id line_number quantity",
        [(s.shipment_id, *line) for s in shipments for line in s.lines],
    )


def _payments(state: State) -> Iterable[Call | None]:
    made = [payment for _, payment in state.payments.inserted()]
    yield _call(
        "insert_payments",
        "payment_id order_id amount_minor currency payment_method content_hash created_at",
        [
            (
                p.payment_id, p.order_id, p.amount_minor, p.currency, p.payment_method, p.content_hash,
                p.created_at,
            )
            for p in made
        ],
    )  # fmt: skip
    yield _call(
        "insert_operations",
        "operation_id payment_id order_id kind amount_minor state lease_until gateway_reference"
        " failure_reason created_at updated_at",
        [_operation(p.operation) for p in made if p.operation],
    )
    moved = [p.operation for _, p in state.payments.updated() if p.operation]
    yield _call(
        "update_operations",
        "operation_id state lease_until gateway_reference failure_reason updated_at",
        [
            (
                o.operation_id,
                o.state.value,
                o.lease_until,
                o.gateway_reference,
                o.failure_reason,
                o.updated_at,
            )
            for o in moved
        ],
    )


def _operation(o: Operation) -> Row:
    return (
        o.operation_id, o.payment_id, o.order_id, o.kind.value, o.amount_minor, o.state.value, o.lease_until,
        o.gateway_reference, o.failure_reason, o.created_at, o.updated_at,
    )  # fmt: skip
