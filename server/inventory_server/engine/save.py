"""Save: from the State that a batch decided to the statements that write it, one for all rows of a kind."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from typing import Any

from inventory_server.domain.location import Location
from inventory_server.domain.order import Cart, CartItem, OrderLine, SalesOrder
from inventory_server.domain.payment import Operation, Payment
from inventory_server.domain.reservation import Reservation
from inventory_server.domain.state import State
from inventory_server.domain.stock_import import RowError

# How many stored answers one transaction deletes, so that it stays short; the rest of a batch goes with it.
ANSWERS_FORGOTTEN_MAX = 1_000

Call = tuple[str, dict[str, Any]]
Row = tuple[Any, ...]


def calls_for(state: State) -> list[Call]:
    """Return the statements that save what was decided; they need one round trip, COMMIT included."""
    calls = to_calls(
        (
            *_stock(state),
            _log(state),
            *_reservations(state),
            *_item_returns(state),
            *_carts(state),
            *_orders(state),
            *_payments(state),
            *_imports(state),
            _answers(state),
        )
    )
    # One by one: unnest flattens an array of address lines. At most a handful come at once.
    calls += [("put_location", _location(location)) for _, location in state.locations.written()]
    if gone := state.locations.deleted():
        calls.append(("delete_locations", {"slug": gone}))
    if state.settings_written is not None:
        calls.append(("update_settings", state.settings_written._asdict()))
    if state.answers_forgotten_before is not None:
        calls.append(
            ("forget_answers", {"before": state.answers_forgotten_before, "limit": ANSWERS_FORGOTTEN_MAX})
        )
    return calls


def calls_ahead(state: State) -> list[Call]:
    """Return the statements that save what is final before all is decided, and take it as saved.

    An entry of the log never changes; a reservation may, and is put again then; levels change to the end.
    """
    calls = to_calls((_log(state), *_reservations(state)))
    state.log_saved_count = len(state.log)
    state.reservations.take_as_saved()
    return calls


# A statement's name, its columns and the rows to write.
Save = tuple[str, str, Sequence[Row]]


def to_calls(saves: Sequence[Save]) -> list[Call]:
    """Return the calls that write rows; none for a statement without any."""
    return [(name, _arrays(columns, rows)) for name, columns, rows in saves if rows]


def _arrays(columns: str, rows: Sequence[Row]) -> dict[str, list[Any]]:
    """Return one array a column, which is what unnest takes."""
    return {
        column: list(values) for column, values in zip(columns.split(), zip(*rows, strict=True), strict=True)
    }


def _stock(state: State) -> tuple[Save, ...]:
    stock_columns = "product_id created_at updated_at low_stock_threshold deleted_at"
    level_columns = "product_id location available allocated hand_allocated version"
    return (
        ("insert_stocks", stock_columns, [stock for _, stock in state.stocks.inserted()]),
        ("put_stocks", stock_columns, [stock for _, stock in state.stocks.updated()]),
        ("insert_levels", level_columns, [(*key, *level) for key, level in state.levels.inserted()]),
        ("put_levels", level_columns, [(*key, *level) for key, level in state.levels.updated()]),
    )


def _log(state: State) -> Save:
    return (
        "insert_log",
        "product_id location version action quantity available_after allocated_after"
        " hand_allocated_after reservation_id order_id reason reference request_id actor",
        [
            (
                e.product_id, e.location, e.level.version, e.action.value, e.quantity, e.level.available,
                e.level.allocated, e.level.hand_allocated, e.reservation_id, e.order_id, e.reason,
                e.reference, e.request_id, e.actor,
            )
            for e in islice(state.log, state.log_saved_count, None)
        ],
    )  # fmt: skip


def _location(location: Location) -> dict[str, Any]:
    return {**location._asdict(), "address_lines": list(location.address_lines)}


def _reservations(state: State) -> tuple[Save, ...]:
    return (
        # First those that end: an order has one live reservation at most, also for an instant.
        *_reservation_rows(
            "put_reservations", "put_reservation_lines", [held for _, held in state.reservations.updated()]
        ),
        *_reservation_rows(
            "insert_reservations",
            "insert_reservation_lines",
            [held for _, held in state.reservations.inserted()],
        ),
    )


def _item_returns(state: State) -> tuple[Save, Save]:
    returns = [item_return for _, item_return in state.item_returns.inserted()]
    return (
        (
            "insert_item_returns",
            "return_id reservation_id restocked location reason reference actor content_hash created_at",
            [
                (
                    r.return_id, r.reservation_id, r.restocked, r.location, r.reason, r.reference, r.actor,
                    r.content_hash, r.created_at,
                )
                for r in returns
            ],
        ),
        (
            "insert_item_return_lines",
            "return_id line_number quantity",
            [(r.return_id, *line) for r in returns for line in r.lines],
        ),
    )  # fmt: skip


def _reservation_rows(heads: str, lines: str, reservations: Sequence[Reservation]) -> tuple[Save, Save]:
    """Return what the two statements of these names write."""
    return (
        (
            heads,
            "reservation_id order_id owned_by_order state expire_time content_hash created_at updated_at"
            " expiry_suspended",
            [
                (
                    r.reservation_id, r.order_id, r.owned_by_order, r.state.value, r.expire_time,
                    r.content_hash, r.created_at, r.updated_at, r.expiry_suspended,
                )
                for r in reservations
            ],
        ),
        (
            lines,
            "reservation_id line_number product_id location reserved open released fulfilled returned"
            " named_location",
            [(r.reservation_id, *line) for r in reservations for line in r.lines],
        ),
    )  # fmt: skip


def _carts(state: State) -> tuple[Save, ...]:
    written = [cart for _, cart in state.carts.written()]
    gone, items = [], []
    # One that was deleted and made again in this batch is another one.
    deleted = set(state.carts.deleted())
    for cart in written:
        known = state.carts.loaded.get(cart.cart_id)
        if known is not None and known.created_at != cart.created_at:
            deleted.add(cart.cart_id)
            known = None
        before = _numbered(known)
        after = _numbered(cart)
        gone += [(cart.cart_id, product_id) for product_id in before if product_id not in after]
        items += [
            (cart.cart_id, product_id, number, *item[1:])
            for product_id, (number, item) in after.items()
            if before.get(product_id) != (number, item)
        ]
    return (
        ("delete_items_of_carts", "cart_id", [(cart_id,) for cart_id in sorted(deleted)]),
        ("delete_carts", "cart_id", [(cart_id,) for cart_id in sorted(deleted)]),
        (
            "put_carts",
            "cart_id currency order_id content_hash created_at updated_at expires_at defer_inventory_check",
            [
                (
                    c.cart_id, c.currency, c.order_id, c.content_hash, c.created_at, c.updated_at,
                    c.expires_at, c.defer_inventory_check,
                )
                for c in written
            ],
        ),
        ("delete_cart_items", "cart_id product_id", gone),
        (
            "put_cart_items",
            "cart_id product_id position quantity unit_price_minor location track_stock",
            items,
        ),
    )  # fmt: skip


def _numbered(cart: Cart | None) -> dict[str, tuple[int, CartItem]]:
    items = cart.items if cart else ()
    return {item.product_id: (number, item) for number, item in enumerate(items, start=1)}


def _orders(state: State) -> tuple[Save, ...]:
    written = [order for _, order in state.orders.written()]
    shipments = [shipment for _, shipment in state.shipments.inserted()]
    returns = [order_return for _, order_return in state.order_returns.inserted()]
    return (
        (
            "put_orders",
            "order_id cart_id currency total_minor reservation_id content_hash created_at cancelled_at",
            [
                (
                    o.order_id, o.cart_id, o.currency, o.total_minor, o.reservation_id, o.content_hash,
                    o.created_at, o.cancelled_at,
                )
                for o in written
            ],
        ),
        (
            "put_order_lines",
            "order_id created_at line_number product_id quantity unit_price_minor location"
            " track_stock unmanaged",
            [
                (order.order_id, order.created_at, *line)
                for order in written
                for line in _changed_lines(state.orders.loaded.get(order.order_id), order)
            ],
        ),
        (
            "insert_shipments",
            "shipment_id order_id content_hash created_at",
            [(s.shipment_id, s.order_id, s.content_hash, s.created_at) for s in shipments],
        ),
        (
            "insert_shipment_lines",
            "shipment_id line_number quantity",
            [(shipment.shipment_id, *line) for shipment in shipments for line in shipment.lines],
        ),
        (
            "insert_order_returns",
            "return_id order_id restocked location reason reference actor content_hash created_at",
            [
                (
                    r.return_id, r.order_id, r.restocked, r.location, r.reason, r.reference, r.actor,
                    r.content_hash, r.created_at,
                )
                for r in returns
            ],
        ),
        (
            "insert_order_return_lines",
            "return_id line_number quantity",
            [(r.return_id, *line) for r in returns for line in r.lines],
        ),
    )  # fmt: skip


def _changed_lines(before: SalesOrder | None, after: SalesOrder) -> Sequence[OrderLine]:
    """Return the lines of an order that the database does not have so."""
    known = set(before.lines) if before else set()
    return [line for line in after.lines if line not in known]


def _payments(state: State) -> tuple[Save, ...]:
    return (
        (
            "insert_payments",
            "payment_id order_id amount_minor currency payment_method content_hash created_at",
            [
                (
                    p.payment_id, p.order_id, p.amount_minor, p.currency, p.payment_method, p.content_hash,
                    p.created_at,
                )
                for _, p in state.payments.inserted()
            ],
        ),
        (
            "put_operations",
            "operation_id payment_id order_id kind amount_minor state lease_until gateway_reference"
            " failure_reason created_at payment_created_at updated_at lapsed refund_id content_hash"
            " reverses_operation_id resolved_at resolved_by resolve_reason poll_until",
            [
                (
                    o.operation_id, o.payment_id, o.order_id, o.kind.value, o.amount_minor, o.state.value,
                    o.lease_until, o.gateway_reference, o.failure_reason, o.created_at, p.created_at,
                    o.updated_at, o.lapsed, o.refund_id, o.content_hash, o.reverses_operation_id,
                    o.resolved_at, o.resolved_by, o.resolve_reason, o.poll_until,
                )
                for payment_id, p in state.payments.written()
                for o in _changed(state.payments.loaded.get(payment_id), p)
            ],
        ),
    )  # fmt: skip


def _changed(before: Payment | None, after: Payment) -> Sequence[Operation]:
    """Return the operations of a payment that the database does not have so."""
    known = set(before.operations) if before else set()
    return [operation for operation in after.operations if operation not in known]


def _imports(state: State) -> tuple[Save, ...]:
    return (
        (
            "put_imports",
            "import_id upload_id state row_count applied_count failed_count applied_through reason reference"
            " actor failure content_hash created_at started_at ended_at",
            [(job.import_id, job.upload_id, job.state.value, *job[3:]) for _, job in state.imports.written()],
        ),
        import_errors([(upload_id, error) for (upload_id, _), error in state.import_errors.inserted()]),
    )


def import_errors(errors: Sequence[tuple[str, RowError]]) -> Save:
    """Return what writes the errors of uploads."""
    rows = [
        (upload_id, e.number, e.line, e.product_id, e.field, e.reason.value, e.message)
        for upload_id, e in errors
    ]
    return "insert_import_errors", "upload_id row_number line product_id field reason message", rows


def _answers(state: State) -> Save:
    rows = [(*key, *answer) for key, answer in state.answers.inserted()]
    return "insert_answers", "method request_id content_hash response", rows
