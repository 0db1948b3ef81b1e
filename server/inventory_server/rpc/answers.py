"""What the domain says, as messages. Times are set in place: half the cost of building a Timestamp each."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache

from google.protobuf.timestamp_pb2 import Timestamp

from inventory_client.v1 import (
    cart_pb2,
    checkout_service_pb2,
    error_pb2,
    location_pb2,
    order_pb2,
    payment_pb2,
    reservation_calls_pb2,
    reservation_pb2,
    stock_pb2,
    store_settings_pb2,
)
from inventory_server.domain.decide_order import Cancelled
from inventory_server.domain.errors import Shortage
from inventory_server.domain.location import Location
from inventory_server.domain.order import (
    Cart,
    CartState,
    OrderPaymentState,
    OrderReturn,
    OrderShippingState,
    OrderState,
    OrderView,
    Shipment,
)
from inventory_server.domain.payment import (
    Operation,
    OperationKind,
    OperationState,
    Payment,
    PaymentState,
)
from inventory_server.domain.reservation import (
    ItemReturn,
    Reservation,
    ReservationLine,
    ReservationState,
)
from inventory_server.domain.state import LevelView, StockView
from inventory_server.domain.stock import Action, LogRecord
from inventory_server.domain.store import StoreSettings

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# The domain's names are those of the protos without the prefix; a name without a partner is a KeyError here,
# when the server starts, and not in the middle of an answer.
_ACTIONS = {a: stock_pb2.StockAction.Value(f"STOCK_ACTION_{a}") for a in Action}
_RESERVATION_STATES = {
    s: reservation_pb2.ReservationState.Value(f"RESERVATION_STATE_{s}") for s in ReservationState
}
_CART_STATES = {s: cart_pb2.CartState.Value(f"CART_STATE_{s}") for s in CartState}
_ORDER_STATES = {s: order_pb2.OrderState.Value(f"ORDER_STATE_{s}") for s in OrderState}
_ORDER_PAYMENT_STATES = {
    s: order_pb2.OrderPaymentState.Value(f"ORDER_PAYMENT_STATE_{s}") for s in OrderPaymentState
}
_ORDER_SHIPPING_STATES = {
    s: order_pb2.OrderShippingState.Value(f"ORDER_SHIPPING_STATE_{s}") for s in OrderShippingState
}
_PAYMENT_STATES = {s: payment_pb2.PaymentState.Value(f"PAYMENT_STATE_{s}") for s in PaymentState}
_OPERATION_KINDS = {
    k: payment_pb2.PaymentOperationKind.Value(f"PAYMENT_OPERATION_KIND_{k}") for k in OperationKind
}
_OPERATION_STATES = {
    s: payment_pb2.PaymentOperationState.Value(f"PAYMENT_OPERATION_STATE_{s}") for s in OperationState
}


def _set_time(timestamp: Timestamp, moment: datetime) -> None:
    since = moment - _EPOCH
    timestamp.seconds = since.days * 86_400 + since.seconds
    timestamp.nanos = since.microseconds * 1_000


# --- stock ---------------------------------------------------------------------------------------


def stock(view: StockView) -> stock_pb2.Stock:
    message = stock_pb2.Stock(
        product_id=view.product_id,
        total=view.available + view.allocated,
        available=view.available,
        allocated=view.allocated,
        low_stock_threshold=view.low_stock_threshold,
        etag=view.etag,
        expired_held=view.expired_held,
        levels=map(_level, view.levels),
    )
    _set_time(message.create_time, view.created_at)
    _set_time(message.update_time, view.updated_at)
    return message


def _level(view: LevelView) -> stock_pb2.StockLevel:
    message = stock_pb2.StockLevel(
        location=view.location,
        total=view.level.total,
        available=view.level.available,
        allocated=view.level.allocated,
        hand_allocated=view.level.hand_allocated,
        expired_held=view.expired_held,
        version=view.level.version,
    )
    _set_time(message.update_time, view.updated_at)
    return message


def store_settings(settings: StoreSettings) -> store_settings_pb2.StoreSettings:
    message = store_settings_pb2.StoreSettings(
        defer_inventory_check=settings.defer_inventory_check,
        sell_unmanaged_products=settings.sell_unmanaged_products,
        etag=settings.etag,
    )
    message.default_hold.seconds = settings.default_hold_s
    message.cart_expiry.seconds = settings.cart_expiry_s
    _set_time(message.update_time, settings.updated_at)
    return message


def stock_transaction(record: LogRecord) -> stock_pb2.StockTransaction:
    entry = record.entry
    message = stock_pb2.StockTransaction(
        product_id=entry.product_id,
        location=entry.location,
        version=entry.level.version,
        action=_ACTIONS[entry.action],
        quantity=entry.quantity,
        available_after=entry.level.available,
        allocated_after=entry.level.allocated,
        hand_allocated_after=entry.level.hand_allocated,
        reservation_id=entry.reservation_id or "",
        order_id=entry.order_id or "",
        reason=entry.reason,
        reference=entry.reference,
        actor=entry.actor,
    )
    _set_time(message.create_time, record.created_at)
    return message


def shortage(short: Shortage) -> error_pb2.StockShortage:
    return error_pb2.StockShortage(
        product_id=short.product_id,
        location=short.location or "",
        requested=short.requested,
        available=short.available,
        managed=short.managed,
    )


def location(place: Location, distance_m: int | None = None) -> location_pb2.Location:
    message = location_pb2.Location(
        slug=place.slug,
        name=place.name,
        external_ref=place.external_ref,
        description=place.description,
        address_lines=place.address_lines,
        priority=place.priority,
        disabled=not place.enabled,
        etag=place.etag,
        distance_m=distance_m,
    )
    if place.point is not None:
        message.geolocation.latitude, message.geolocation.longitude = place.point
    _set_time(message.create_time, place.created_at)
    _set_time(message.update_time, place.updated_at)
    return message


# --- reservations --------------------------------------------------------------------------------


def reservation(held: Reservation) -> reservation_pb2.Reservation:
    message = reservation_pb2.Reservation()
    set_reservation(message, held)
    return message


def set_reservation(message: reservation_pb2.Reservation, held: Reservation) -> None:
    """Fill an empty message. What a batch holds differs in little but its id: the rest is made once."""
    message.CopyFrom(
        _unnamed_reservation(
            held.order_id, held.owned_by_order, held.state, held.lines, held.expire_time, held.created_at,
            held.updated_at,
        )
    )  # fmt: skip
    message.reservation_id = held.reservation_id


@lru_cache(16)
def _unnamed_reservation(
    order_id: str | None,
    owned_by_order: bool,
    state: ReservationState,
    lines: tuple[ReservationLine, ...],
    expire_time: datetime | None,
    created_at: datetime,
    updated_at: datetime,
) -> reservation_pb2.Reservation:
    """Return a message to copy, never to give away."""
    message = reservation_pb2.Reservation(
        order_id=order_id or "",
        state=_RESERVATION_STATES[state],
        lines=[_reservation_line(line) for line in lines],
        owned_by_order=owned_by_order,
    )
    # An ended or confirmed hold keeps its time in the database; to callers it runs out no more.
    if expire_time is not None and state is ReservationState.HELD:
        _set_time(message.expire_time, expire_time)
    _set_time(message.create_time, created_at)
    _set_time(message.update_time, updated_at)
    return message


def _reservation_line(line: ReservationLine) -> reservation_pb2.ReservationLine:
    return reservation_pb2.ReservationLine(
        line_number=line.line_number,
        product_id=line.product_id,
        location=line.location,
        reserved=line.reserved,
        open=line.open,
        released=line.released,
        fulfilled=line.fulfilled,
        returned=line.returned,
    )


def item_return(returned: ItemReturn) -> reservation_calls_pb2.ItemReturn:
    message = reservation_calls_pb2.ItemReturn(
        return_id=returned.return_id,
        reservation_id=returned.reservation_id,
        lines=[
            reservation_pb2.LineQuantity(line_number=number, quantity=quantity)
            for number, quantity in returned.lines
        ],
        restocked=returned.restocked,
        location=returned.location or "",
        reason=returned.reason,
        reference=returned.reference,
        actor=returned.actor,
    )
    _set_time(message.create_time, returned.created_at)
    return message


# --- the order flow ------------------------------------------------------------------------------


def cart(basket: Cart) -> cart_pb2.Cart:
    message = cart_pb2.Cart(
        cart_id=basket.cart_id,
        state=_CART_STATES[basket.state],
        currency=basket.currency,
        items=[
            cart_pb2.CartItem(
                product_id=item.product_id,
                quantity=item.quantity,
                unit_price_minor=item.unit_price_minor,
                location=item.location or "",
                track_stock=item.track_stock is not False,
            )
            for item in basket.items
        ],
        total_minor=basket.total_minor,
        order_id=basket.order_id or "",
        defer_inventory_check=basket.defer_inventory_check,
        etag=basket.etag,
    )
    if basket.state is not CartState.CHECKED_OUT:
        _set_time(message.expire_time, basket.expires_at)
    _set_time(message.create_time, basket.created_at)
    _set_time(message.update_time, basket.updated_at)
    return message


def order(view: OrderView) -> order_pb2.Order:
    frozen = view.order
    message = order_pb2.Order(
        order_id=frozen.order_id,
        cart_id=frozen.cart_id,
        state=_ORDER_STATES[view.state],
        payment_state=_ORDER_PAYMENT_STATES[view.payment_state],
        shipping_state=_ORDER_SHIPPING_STATES[view.shipping_state],
        currency=frozen.currency,
        lines=_order_lines(view),
        total_minor=frozen.total_minor,
        balance_minor=view.balance_minor,
        captured_minor=view.captured_minor,
        authorized_minor=view.authorized_minor,
        refunded_minor=view.refunded_minor,
        reservation_id=frozen.reservation_id or "",
        payment_ids=[payment.payment_id for payment in view.payments],
        shipments=[shipment(shipped) for shipped in view.shipments],
        returns=[order_return(returned) for returned in view.returns],
    )
    _set_time(message.create_time, frozen.created_at)
    if frozen.cancelled_at is not None:
        _set_time(message.cancel_time, frozen.cancelled_at)
    return message


def _order_lines(view: OrderView) -> list[order_pb2.OrderLine]:
    """Return the lines with what the last reservation made of them; it has their numbers (holding.hold)."""
    held = {line.line_number: line for line in view.reservation.lines} if view.reservation else {}
    shipped, returned = view.shipped, view.returned
    lines = []
    for line in view.order.lines:
        message = order_pb2.OrderLine(
            line_number=line.line_number,
            product_id=line.product_id,
            quantity=line.quantity,
            unit_price_minor=line.unit_price_minor,
            location=line.location or "",
            fulfilled=shipped[line.line_number],
            track_stock=line.track_stock,
            unmanaged=line.unmanaged,
            returned=returned[line.line_number],
        )
        units = held.get(line.line_number)
        if units is not None:
            message.open = units.open
            if units.open or units.fulfilled:
                message.location = units.location
        lines.append(message)
    return lines


def shipment(shipped: Shipment) -> order_pb2.Shipment:
    message = order_pb2.Shipment(
        shipment_id=shipped.shipment_id,
        order_id=shipped.order_id,
        lines=[
            order_pb2.ShipmentLine(line_number=number, quantity=quantity)
            for number, quantity in shipped.lines
        ],
    )
    _set_time(message.create_time, shipped.created_at)
    return message


def order_return(returned: OrderReturn) -> order_pb2.OrderReturn:
    message = order_pb2.OrderReturn(
        return_id=returned.return_id,
        order_id=returned.order_id,
        lines=[
            reservation_pb2.LineQuantity(line_number=number, quantity=quantity)
            for number, quantity in returned.lines
        ],
        restocked=returned.restocked,
        location=returned.location or "",
        reason=returned.reason,
        reference=returned.reference,
        actor=returned.actor,
    )
    _set_time(message.create_time, returned.created_at)
    return message


def payment(paid: Payment) -> payment_pb2.Payment:
    message = payment_pb2.Payment(
        payment_id=paid.payment_id,
        order_id=paid.order_id,
        state=_PAYMENT_STATES[paid.state],
        amount_minor=paid.amount_minor,
        currency=paid.currency,
        kind=payment_pb2.PAYMENT_KIND_PURCHASE,
        operations=map(_operation, paid.operations),
        authorized_minor=paid.authorized_minor,
        captured_minor=paid.captured_minor,
        refunded_minor=paid.refunded_minor,
        refundable_minor=paid.refundable_minor,
        authorization_lapsed=paid.is_lapsed,
    )
    _set_time(message.create_time, paid.created_at)
    _set_time(message.update_time, max([paid.created_at, *(o.updated_at for o in paid.operations)]))
    if paid.first is not None:
        if paid.first.kind is OperationKind.AUTHORIZE:
            message.kind = payment_pb2.PAYMENT_KIND_AUTHORIZE
        message.operation_id = paid.first.operation_id
        message.gateway_reference = paid.first.gateway_reference
        last = paid.operations[-1]
        message.failure_reason = last.failure_reason or last.resolve_reason
    return message


def _operation(operation: Operation) -> payment_pb2.PaymentOperation:
    message = payment_pb2.PaymentOperation(
        operation_id=operation.operation_id,
        kind=_OPERATION_KINDS[operation.kind],
        state=_OPERATION_STATES[operation.state],
        amount_minor=operation.amount_minor,
        refund_id=operation.refund_id or "",
        gateway_reference=operation.gateway_reference,
        failure_reason=operation.failure_reason,
        authorization_lapsed=operation.lapsed,
        reverses_operation_id=operation.reverses_operation_id or "",
        resolved_by=operation.resolved_by,
        resolve_reason=operation.resolve_reason,
    )
    _set_time(message.create_time, operation.created_at)
    _set_time(message.update_time, operation.updated_at)
    if operation.resolved_at is not None:
        _set_time(message.resolve_time, operation.resolved_at)
    return message


def cancelled(verdict: Cancelled) -> checkout_service_pb2.CancelOrderResponse:
    """Return the order with those of its payments whose money can be moved back, and what got its units."""
    return checkout_service_pb2.CancelOrderResponse(
        order=order(verdict.order),
        target_order=order(verdict.target) if verdict.target else None,
        reversible_payments=[
            payment_pb2.ReversiblePayment(
                payment_id=paid.payment_id,
                voidable_minor=paid.amount_minor if paid.is_voidable else 0,
                refundable_minor=paid.refundable_minor,
            )
            for paid in verdict.order.reversible_payments
        ],
    )
