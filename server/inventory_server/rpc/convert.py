"""Requests to commands: small functions, and the few rules that field options cannot say.

A request comes here validated by rules.py. What a rule of one field cannot express (two fields together, a
range of a Duration) raises InvalidFields from here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, TypeVar

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from inventory_client.v1 import (
    cart_calls_pb2,
    cart_pb2,
    order_calls_pb2,
    order_pb2,
    payment_calls_pb2,
    payment_pb2,
    reservation_calls_pb2,
    stock_calls_pb2,
    stock_pb2,
)
from inventory_client.v1 import checkout_service_pb2 as checkout
from inventory_client.v1 import inventory_service_pb2 as inventory
from inventory_client.v1.reservation_pb2 import LineQuantity, LineRequest
from inventory_client.v1.reservation_pb2 import ReservationState as ReservationStateName
from inventory_server.domain import commands
from inventory_server.domain.limits import DEFAULT_LOCATION, HOLD_S_MAX, HOLD_S_MIN
from inventory_server.domain.order import (
    CartItem,
    CartState,
    OrderPaymentState,
    OrderShippingState,
    OrderState,
)
from inventory_server.domain.order_commands import CancelOrder, ReturnOrderItems
from inventory_server.domain.payment import OperationKind, OperationState, PaymentState
from inventory_server.domain.payment_commands import ResolvePayment
from inventory_server.domain.reservation import Line, LineUnits, ReservationState, merge, merge_units
from inventory_server.domain.reservation_commands import ExtendReservation, ReturnReservationItems
from inventory_server.domain.stock import Action
from inventory_server.engine.log_reads import LogFilters
from inventory_server.engine.order_reads import CartFilters, OrderFilters
from inventory_server.engine.payment_reads import PaymentFilters
from inventory_server.engine.reservation_reads import ReservationFilters
from inventory_server.engine.stock_reads import StockFilters
from inventory_server.rpc.masks import changed_fields
from inventory_server.rpc.rules import InvalidFields, Violation

S = TypeVar("S", bound=StrEnum)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_1 = datetime(1, 1, 1, tzinfo=UTC)
_LAST = datetime(9999, 12, 31, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_NANOS_PER_S = 1_000_000_000

_HAND_ACTIONS = {
    stock_pb2.STOCK_ACTION_INCREMENT: Action.INCREMENT,
    stock_pb2.STOCK_ACTION_DECREMENT: Action.DECREMENT,
    stock_pb2.STOCK_ACTION_ALLOCATE: Action.ALLOCATE,
    stock_pb2.STOCK_ACTION_DEALLOCATE: Action.DEALLOCATE,
    stock_pb2.STOCK_ACTION_SET: Action.SET,
}
ITEM_TIMEOUT_S_MIN = 0.001
ITEM_TIMEOUT_S_MAX = 300.0
_UPDATE_PATHS = ("quantity", "unit_price_minor", "track_stock", "location")


# --- stock ---------------------------------------------------------------------------------------


def create_stock(request: inventory.CreateStockRequest) -> commands.CreateStock:
    return commands.CreateStock(
        product_id=request.product_id,
        quantity=request.quantity,
        location=location_or_default(request.location),
        low_stock_threshold=request.low_stock_threshold if request.HasField("low_stock_threshold") else None,
    )


def update_stock(request: stock_calls_pb2.UpdateStockRequest) -> commands.UpdateStock:
    """Decode what to change of a record; a threshold that is named and not set is taken away."""
    changed = changed_fields(request, ("low_stock_threshold",))
    return commands.UpdateStock(
        product_id=request.product_id,
        set_low_stock_threshold="low_stock_threshold" in changed,
        low_stock_threshold=request.low_stock_threshold if request.HasField("low_stock_threshold") else None,
        etag=request.etag or None,
    )


def stock_filters(request: inventory.ListStockRequest) -> StockFilters:
    asked = request.filter
    return StockFilters(
        asked.product_id_prefix, asked.below_threshold, asked.location or None, asked.out_of_stock
    )


def shows_levels(view: stock_pb2.StockView.ValueType) -> bool:
    """Return whether levels are asked for; not said = SUMS."""
    return view == stock_pb2.STOCK_VIEW_LEVELS


def create_stock_transaction(
    request: inventory.CreateStockTransactionRequest | stock_calls_pb2.StockTransactionItem, within: str = ""
) -> commands.CreateStockTransaction:
    """Decode an action by hand; `within` is the path of an item, with its dot.

    Raises: InvalidFields, for an action that is not one by hand and for a quantity of 0 (but for SET).
    """
    action = _HAND_ACTIONS.get(request.action)
    broken = []
    if action is None:
        broken.append(
            Violation(f"{within}action", "must be INCREMENT, DECREMENT, ALLOCATE, DEALLOCATE or SET")
        )
    if request.quantity == 0 and action is not Action.SET:
        broken.append(Violation(f"{within}quantity", "must be at least 1; only SET takes 0"))
    if action is None or broken:
        raise InvalidFields(broken)
    return commands.CreateStockTransaction(
        product_id=request.product_id,
        action=action,
        quantity=request.quantity,
        location=location_or_default(request.location),
        reason=request.reason,
        reference=request.reference,
        expected_version=request.expected_version if request.HasField("expected_version") else None,
    )


def log_filters(request: inventory.ListStockTransactionsRequest) -> LogFilters:
    created_from, created_until = _created(request)
    name = stock_pb2.StockAction.Name
    return LogFilters(
        product_id=request.product_id or None,
        location=request.location or None,
        actions=frozenset(Action(name(action).removeprefix("STOCK_ACTION_")) for action in request.actions),
        order_id=request.order_id or None,
        actor=request.actor or None,
        created_from=created_from,
        created_until=created_until,
        newest_first=request.newest_first,
    )


def create_stock_transactions(
    requested: Iterable[stock_calls_pb2.StockTransactionItem],
) -> list[commands.CreateStockTransaction]:
    """Decode the items of a batch. Raises: InvalidFields, for the first that is none."""
    return [create_stock_transaction(item, f"items[{index}].") for index, item in enumerate(requested)]


def location_or_default(slug: str) -> str:
    """Return where an action by hand happens: a location that is not named is `default`."""
    return slug or DEFAULT_LOCATION


# --- reservations --------------------------------------------------------------------------------


def lines(requested: Iterable[LineRequest]) -> tuple[Line, ...]:
    """Decode and merge lines by (product, named location)."""
    return merge(tuple([Line(line.product_id, line.quantity, line.location or None) for line in requested]))


def reserve_stock(
    request: inventory.ReserveStockRequest | reservation_calls_pb2.ReserveStockItem, within: str = ""
) -> commands.ReserveStock:
    """Decode a reservation; `within` is the path of an item, with its dot. Raises: see `_expiry`."""
    return commands.ReserveStock(
        request.reservation_id, lines(request.lines), request.order_id or None, *_expiry(request, within)
    )


def extend_reservation(request: reservation_calls_pb2.ExtendReservationRequest) -> ExtendReservation:
    """Decode an extension. Raises: InvalidFields, where no time is named, and see `_expiry`."""
    if request.WhichOneof("expiry") is None:
        raise InvalidFields([Violation("expiry", "one of ttl, expire_time and never_expires is required")])
    ttl_s, expire_time, never_expires = _expiry(request)
    return ExtendReservation(request.reservation_id, ttl_s, expire_time, never_expires)


def reservation_filters(request: reservation_calls_pb2.ListReservationsRequest) -> ReservationFilters:
    name = ReservationStateName.Name
    states = {ReservationState(name(state).removeprefix("RESERVATION_STATE_")) for state in request.states}
    return ReservationFilters(
        states=tuple(sorted(states)),
        order_id=request.order_id or None,
        product_id=request.product_id or None,
        due_by=moment(request.due_by) if request.HasField("due_by") else None,
    )


def item_timeout_s(
    item: reservation_calls_pb2.ReserveStockItem, unnamed_s: float, most_s: float, within: str = ""
) -> float:
    """Return how long an item's verdict is waited for.

    Args:
        unnamed_s: for an item that doesn't say it, seconds.
        most_s: for one that does, seconds.
    Raises: InvalidFields, for one out of its range.
    """
    if not item.HasField("timeout"):
        return unnamed_s
    timeout_s = item.timeout.seconds + item.timeout.nanos / _NANOS_PER_S
    if not ITEM_TIMEOUT_S_MIN <= timeout_s <= ITEM_TIMEOUT_S_MAX:
        raise InvalidFields([Violation(f"{within}timeout", "must be 1 ms to 300 s")])
    return min(timeout_s, most_s)


def _expiry(
    request: inventory.ReserveStockRequest
    | reservation_calls_pb2.ReserveStockItem
    | reservation_calls_pb2.ExtendReservationRequest,
    within: str = "",
) -> tuple[float | None, datetime | None, bool]:
    """Return (ttl_s, expire_time, never_expires), one of them set at most.

    Raises: InvalidFields, for a ttl out of its range and for never_expires = false.
    """
    expiry = request.WhichOneof("expiry")
    if expiry == "ttl":
        return _ttl_s(request.ttl, within), None, False
    if expiry == "expire_time":
        return None, moment(request.expire_time), False
    if expiry and not request.never_expires:
        raise InvalidFields([Violation(f"{within}never_expires", "must be true where it is set")])
    return None, None, request.never_expires


def units(requested: Iterable[LineQuantity]) -> tuple[LineUnits, ...]:
    """Decode and merge units by the number of their line."""
    return merge_units(LineUnits(line.line_number, line.quantity) for line in requested)


def return_reservation_items(
    request: reservation_calls_pb2.ReturnReservationItemsRequest,
) -> ReturnReservationItems:
    """Decode a return. Raises: InvalidFields, for a location where nothing is restocked."""
    if request.location and not request.restock:
        raise InvalidFields([Violation("location", "must be absent where `restock` is false")])
    return ReturnReservationItems(
        reservation_id=request.reservation_id,
        return_id=request.return_id,
        units=units(request.lines),
        restock=request.restock,
        location=request.location or None,
        reason=request.reason,
        reference=request.reference,
    )


def _ttl_s(ttl: Duration, within: str) -> float:
    nanos = ttl.seconds * _NANOS_PER_S + ttl.nanos
    if not HOLD_S_MIN * _NANOS_PER_S <= nanos <= HOLD_S_MAX * _NANOS_PER_S:
        raise InvalidFields(
            [Violation(f"{within}ttl", f"must be {HOLD_S_MIN} s to {HOLD_S_MAX} s (90 days)")]
        )
    return ttl.seconds + ttl.nanos / _NANOS_PER_S


def moment(timestamp: Timestamp) -> datetime:
    """Return a valid Timestamp's time in UTC, to the microsecond (PostgreSQL's own resolution)."""
    return _EPOCH + timedelta(seconds=timestamp.seconds, microseconds=timestamp.nanos // 1_000)


# --- the order flow ------------------------------------------------------------------------------


def add_cart_items(request: checkout.AddCartItemsRequest) -> commands.AddCartItems:
    return commands.AddCartItems(
        request.cart_id,
        tuple(
            [
                CartItem(
                    item.product_id, item.quantity, item.unit_price_minor, item.location or None,
                    item.track_stock if item.HasField("track_stock") else None,
                )
                for item in request.items
            ]
        ),
    )  # fmt: skip


def create_cart(request: checkout.CreateCartRequest) -> commands.CreateCart:
    defers = request.defer_inventory_check if request.HasField("defer_inventory_check") else None
    return commands.CreateCart(request.cart_id, request.currency, defers)


def update_cart_item(request: checkout.UpdateCartItemRequest) -> commands.UpdateCartItem:
    """Decode what to change of an item: what the mask names, else all set fields (AIP-134).

    Raises: InvalidFields, for a path that is none of these, and for one that is named and not set; a
        location that is named and empty means any.
    """
    paths = request.update_mask.paths
    given = {field.name: value for field, value in request.ListFields()}
    broken = [
        Violation(f"update_mask.paths[{index}]", f"must be one of {', '.join(_UPDATE_PATHS)}")
        for index, path in enumerate(paths)
        if path not in _UPDATE_PATHS
    ]
    broken += [
        Violation(name, "is required, since update_mask names it")
        for name in _UPDATE_PATHS[:-1]
        if name in paths and name not in given
    ]
    if broken:
        raise InvalidFields(broken)
    changed = {name: given.get(name) for name in paths or _UPDATE_PATHS}
    return commands.UpdateCartItem(
        cart_id=request.cart_id,
        product_id=request.product_id,
        quantity=changed.get("quantity"),
        unit_price_minor=changed.get("unit_price_minor"),
        set_location="location" in (paths or given),
        location=changed.get("location"),
        etag=request.etag or None,
        track_stock=changed.get("track_stock"),
    )


def cart_filters(request: cart_calls_pb2.ListCartsRequest) -> CartFilters:
    created_from, created_until = _created(request)
    return CartFilters(
        states=_states(request.states, cart_pb2.CartState.Name, CartState),
        created_from=created_from,
        created_until=created_until,
    )


def order_filters(request: order_calls_pb2.ListOrdersRequest) -> OrderFilters:
    created_from, created_until = _created(request)
    return OrderFilters(
        product_id=request.product_id or None,
        states=_states(request.states, order_pb2.OrderState.Name, OrderState),
        payment_states=_states(request.payment_states, order_pb2.OrderPaymentState.Name, OrderPaymentState),
        shipping_states=_states(
            request.shipping_states, order_pb2.OrderShippingState.Name, OrderShippingState
        ),
        created_from=created_from,
        created_until=created_until,
    )


def cancel_order(request: checkout.CancelOrderRequest, reservation_id: str) -> CancelOrder:
    """Decode it; `reservation_id` holds the target. Raises: InvalidFields, for a target that is itself."""
    if request.target_order_id == request.order_id:
        raise InvalidFields([Violation("target_order_id", "must be another order")])
    return CancelOrder(request.order_id, request.target_order_id or None, reservation_id)


def return_order_items(request: order_calls_pb2.ReturnOrderItemsRequest) -> ReturnOrderItems:
    """Decode a return. Raises: InvalidFields, for a location where nothing is restocked."""
    if request.location and not request.restock:
        raise InvalidFields([Violation("location", "must be absent where `restock` is false")])
    return ReturnOrderItems(
        order_id=request.order_id,
        return_id=request.return_id,
        units=units(request.lines),
        restock=request.restock,
        location=request.location or None,
        reason=request.reason,
        reference=request.reference,
    )


def _states(values: Iterable[Any], name_of: Callable[[Any], str], kind: type[S]) -> frozenset[S]:
    """Return the domain's states for those of a proto, whose names begin with that of their enum."""
    prefix = len(name_of(0)) - len("UNSPECIFIED")
    return frozenset(kind(name_of(value)[prefix:]) for value in values)


def _created(request: Message) -> tuple[datetime | None, datetime | None]:
    """Return from when and until when. Raises: InvalidFields, where no time is both."""
    first, last = _optional_moment(request, "created_from"), _optional_moment(request, "created_until")
    if first is not None and last is not None and last < first:
        raise InvalidFields([Violation("created_until", "must not be before `created_from`")])
    return first, last


def _optional_moment(request: Message, field: str) -> datetime | None:
    return moment(getattr(request, field)) if request.HasField(field) else None


# --- payments ------------------------------------------------------------------------------------


def payment_kind(kind: payment_pb2.PaymentKind.ValueType) -> OperationKind:
    """Return what a payment begins with; not said = PURCHASE."""
    is_held = kind == payment_pb2.PAYMENT_KIND_AUTHORIZE
    return OperationKind.AUTHORIZE if is_held else OperationKind.PURCHASE


def payment_filters(request: payment_calls_pb2.ListPaymentsRequest) -> PaymentFilters:
    created_from, created_until = _created(request)
    name = payment_pb2.PaymentState.Name
    states = (PaymentState(name(state).removeprefix("PAYMENT_STATE_")) for state in request.states)
    return PaymentFilters(
        order_id=request.order_id or None,
        states=frozenset(states),
        created_from=created_from,
        created_until=created_until,
    )


def resolve_payment(request: payment_calls_pb2.ResolvePaymentRequest, order_id: str | None) -> ResolvePayment:
    name = payment_calls_pb2.ResolvedOutcome.Name(request.outcome)
    outcome = OperationState(name.removeprefix("RESOLVED_OUTCOME_"))
    return ResolvePayment(order_id, request.payment_id, request.operation_id, outcome, request.reason)


def micros(time: datetime) -> int:
    """Return a time as microseconds since the year 1: a part of a page's position."""
    return (time - _YEAR_1) // _MICROSECOND


def of_micros(micros_since_year_1: int) -> datetime:
    """Undo `micros`; what is past the year 9999, which only a forged token names, is its end."""
    return _YEAR_1 + min(micros_since_year_1 * _MICROSECOND, _LAST - _YEAR_1)
