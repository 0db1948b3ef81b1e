"""Verdicts to messages: every field and every state has its place on the wire."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from google.protobuf.timestamp_pb2 import Timestamp
from hypothesis import given
from hypothesis import strategies as st

from inventory_client.v1 import (
    cart_pb2,
    error_pb2,
    order_pb2,
    payment_pb2,
    reservation_pb2,
    stock_pb2,
)
from inventory_server.domain.errors import Shortage
from inventory_server.domain.order import (
    Cart,
    CartItem,
    OrderLine,
    OrderView,
    SalesOrder,
    Shipment,
    UnitSums,
)
from inventory_server.domain.payment import Operation, OperationKind, OperationState, Payment, PaymentSums
from inventory_server.domain.reservation import LineUnits, Reservation, ReservationLine, ReservationState
from inventory_server.domain.state import StockView
from inventory_server.domain.stock import Action, LogEntry, LogRecord, StockLevel
from inventory_server.rpc import answers, convert

MADE_AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
CHANGED_AT = MADE_AT + timedelta(seconds=1)
MADE = Timestamp(seconds=1_767_323_045, nanos=678_901_000)
CHANGED = Timestamp(seconds=1_767_323_046, nanos=678_901_000)


# --- stock ---------------------------------------------------------------------------------------


def test_stock_is_told_with_its_sum() -> None:
    """total = available + allocated, both times, the etag; a threshold where there is one."""
    view = StockView("tea", 7, 3, MADE_AT, CHANGED_AT)
    told = stock_pb2.Stock(
        product_id="tea",
        total=10,
        available=7,
        allocated=3,
        create_time=MADE,
        update_time=CHANGED,
        etag=view.etag,
    )
    assert answers.stock(view) == told
    low = view._replace(low_stock_threshold=0)
    told.low_stock_threshold, told.etag = 0, low.etag
    assert answers.stock(low) == told


@pytest.mark.parametrize("action", Action)
def test_a_log_entry_is_told_whole(action: Action) -> None:
    """Every action of the log has its name on the wire; what an entry lacks is empty."""
    entry = LogEntry("tea", "north", action, 2, StockLevel(7, 3, 1, 9), "r-1", "o-1", "why", "ref", "rq")
    assert answers.stock_transaction(LogRecord(entry, MADE_AT)) == stock_pb2.StockTransaction(
        product_id="tea",
        location="north",
        version=9,
        action=stock_pb2.StockAction.Value(f"STOCK_ACTION_{action}"),
        quantity=2,
        available_after=7,
        allocated_after=3,
        hand_allocated_after=1,
        reservation_id="r-1",
        order_id="o-1",
        reason="why",
        reference="ref",
        create_time=MADE,
    )
    bare = answers.stock_transaction(LogRecord(entry._replace(reservation_id=None, order_id=None), MADE_AT))
    assert (bare.reservation_id, bare.order_id) == ("", "")


# --- reservations --------------------------------------------------------------------------------


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)))
def test_times_survive_the_way_there_and_back(moment: datetime) -> None:
    """To the microsecond, before 1970 too; the nanoseconds below it are cut."""
    told = answers.stock(StockView("tea", 0, 0, moment, moment)).create_time
    assert told.ToDatetime(tzinfo=UTC) == moment
    told.nanos += 999
    assert convert.moment(told) == moment


@pytest.mark.parametrize("state", ReservationState)
def test_a_reservation_is_told_whole(state: ReservationState) -> None:
    """Every state has its name on the wire; a hold's end is told while it is held, and only then."""
    line = ReservationLine(1, "tea", "north", 6, 1, 2, 3, named_location=None)
    held = Reservation("r-1", "o-1", True, state, (line,), CHANGED_AT, b"", MADE_AT, CHANGED_AT)
    expected = reservation_pb2.Reservation(
        reservation_id="r-1",
        order_id="o-1",
        state=reservation_pb2.ReservationState.Value(f"RESERVATION_STATE_{state}"),
        lines=[
            reservation_pb2.ReservationLine(
                line_number=1,
                product_id="tea",
                location="north",
                reserved=6,
                open=1,
                released=2,
                fulfilled=3,
            )
        ],
        owned_by_order=True,
        create_time=MADE,
        update_time=CHANGED,
    )
    if state is ReservationState.HELD:
        expected.expire_time.CopyFrom(CHANGED)
    assert answers.reservation(held) == expected


def test_a_hold_without_an_end_has_none() -> None:
    """never_expires: no expire_time, though HELD; no order: an empty order_id."""
    held = Reservation("r-1", None, False, ReservationState.HELD, (), None, b"", MADE_AT, MADE_AT)
    told = answers.reservation(held)
    assert not told.HasField("expire_time")
    assert told.order_id == ""


def test_a_reservation_that_was_told_is_its_receivers() -> None:
    """Those of a batch are copies: what becomes of one changes no other, though all but the id is one."""
    line = ReservationLine(1, "tea", "north", 6, 6)
    held = Reservation("r-1", None, False, ReservationState.HELD, (line,), CHANGED_AT, b"", MADE_AT, MADE_AT)
    first = answers.reservation(held)
    first.lines[0].open = 0
    first.order_id = "o-1"
    second = answers.reservation(held._replace(reservation_id="r-2"))
    assert (second.reservation_id, second.order_id, second.lines[0].open) == ("r-2", "", 6)
    # What differs beside the id is told of each.
    assert answers.reservation(held._replace(order_id="o-2")).order_id == "o-2"
    assert answers.reservation(held._replace(lines=(line._replace(open=5),))).lines[0].open == 5


def test_a_shortage_without_a_location_has_an_empty_one() -> None:
    """None = any location = empty on the wire."""
    assert answers.shortage(Shortage("tea", None, 5, 2, managed=False)) == error_pb2.StockShortage(
        product_id="tea", requested=5, available=2
    )


# --- carts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("order_id", "seen_after_days", "state"),
    [(None, 6, "OPEN"), (None, 7, "EXPIRED"), ("o-1", 6, "CHECKED_OUT"), ("o-1", 7, "CHECKED_OUT")],
)
def test_a_cart_is_told_whole(order_id: str | None, seen_after_days: int, state: str) -> None:
    """With its sum; CHECKED_OUT once it has an order, else EXPIRED from its time on."""
    items = (CartItem("tea", 2, 150, None), CartItem("cake", 1, 7, "north", False))
    expires_at, seen_at = CHANGED_AT + timedelta(days=7), CHANGED_AT + timedelta(days=seen_after_days)
    cart = Cart("c-1", "EUR", items, order_id, b"", MADE_AT, CHANGED_AT, expires_at, seen_at, True)
    told = answers.cart(cart)
    assert told.HasField("expire_time") == (order_id is None)
    assert told.etag == cart.etag
    told.ClearField("expire_time")
    told.ClearField("etag")
    assert told == cart_pb2.Cart(
        cart_id="c-1",
        state=cart_pb2.CartState.Value(f"CART_STATE_{state}"),
        currency="EUR",
        items=[
            cart_pb2.CartItem(product_id="tea", quantity=2, unit_price_minor=150, track_stock=True),
            cart_pb2.CartItem(product_id="cake", quantity=1, unit_price_minor=7, location="north"),
        ],
        total_minor=307,
        order_id=order_id or "",
        defer_inventory_check=True,
        create_time=MADE,
        update_time=CHANGED,
    )


# --- orders and payments -------------------------------------------------------------------------


def payment(state: OperationState | None, amount_minor: int = 300) -> Payment:
    operation = state and Operation(
        "op-1", "p-1", "o-1", OperationKind.PURCHASE, amount_minor, state, MADE_AT, "ref", "why", MADE_AT,
        CHANGED_AT,
    )  # fmt: skip
    return Payment(
        "p-1", "o-1", amount_minor, "EUR", "token", (operation,) if operation else (), b"", MADE_AT
    )


def order_view(
    state: ReservationState | None = None,
    *,
    payments: tuple[Payment, ...] = (),
    shipments: tuple[Shipment, ...] = (),
    cancelled_at: datetime | None = None,
) -> OrderView:
    is_open = state in (ReservationState.HELD, ReservationState.COMMITTED)
    is_shipped = state is ReservationState.CLOSED
    line = ReservationLine(1, "tea", "south", 2, 2 * is_open, 2 * (not is_open), 2 * is_shipped)
    reservation = state and Reservation("r-1", "o-1", True, state, (line,), None, b"", MADE_AT, CHANGED_AT)
    order = SalesOrder(
        "o-1", "c-1", "EUR", (OrderLine(1, "tea", 2, 150, None),), 300, "r-1" if state else None, b"",
        MADE_AT, cancelled_at,
    )  # fmt: skip
    money, sent = PaymentSums(), UnitSums()
    for payment in payments:
        money = money.changed(None, payment)
    for shipment in shipments:
        sent = sent.changed(None, shipment)
    return OrderView(order, reservation or None, money, sent, UnitSums(), payments, shipments, ())


def test_an_unpaid_order_is_told_as_it_was_frozen() -> None:
    """Nothing held, nothing paid: the cart's location, the whole balance."""
    assert answers.order(order_view()) == order_pb2.Order(
        order_id="o-1",
        cart_id="c-1",
        state=order_pb2.ORDER_STATE_INCOMPLETE,
        payment_state=order_pb2.ORDER_PAYMENT_STATE_UNPAID,
        shipping_state=order_pb2.ORDER_SHIPPING_STATE_UNFULFILLED,
        currency="EUR",
        lines=[
            order_pb2.OrderLine(
                line_number=1, product_id="tea", quantity=2, unit_price_minor=150, track_stock=True
            )
        ],
        total_minor=300,
        balance_minor=300,
        create_time=MADE,
    )


def test_a_shipped_order_is_told_whole() -> None:
    """Paid and shipped: who served it, what was captured, its payments and shipments."""
    shipment = Shipment("s-1", "o-1", (LineUnits(1, 2),), b"", CHANGED_AT)
    view = order_view(
        ReservationState.CLOSED, payments=(payment(OperationState.ACCEPTED),), shipments=(shipment,)
    )
    told = answers.order(view)
    assert told.state == order_pb2.ORDER_STATE_COMPLETE
    assert told.payment_state == order_pb2.ORDER_PAYMENT_STATE_PAID
    assert told.shipping_state == order_pb2.ORDER_SHIPPING_STATE_FULFILLED
    assert (told.captured_minor, told.balance_minor, list(told.payment_ids)) == (300, 0, ["p-1"])
    assert told.reservation_id == "r-1"
    (line,) = told.lines
    assert (line.location, line.open, line.fulfilled) == ("south", 0, 2)
    assert list(told.shipments) == [
        order_pb2.Shipment(
            shipment_id="s-1",
            order_id="o-1",
            lines=[order_pb2.ShipmentLine(line_number=1, quantity=2)],
            create_time=CHANGED,
        )
    ]


@pytest.mark.parametrize(
    ("state", "location", "open_count"),
    [
        (ReservationState.HELD, "south", 2),
        (ReservationState.COMMITTED, "south", 2),
        (ReservationState.RELEASED, "", 0),
    ],
)
def test_a_line_names_who_serves_it(state: ReservationState, location: str, open_count: int) -> None:
    """While units are held, their location; once they were given back, the one the cart named again."""
    (line,) = answers.order(order_view(state)).lines
    assert (line.location, line.open) == (location, open_count)


def test_a_cancelled_order_says_when() -> None:
    """CANCELLED, with the time."""
    told = answers.order(order_view(ReservationState.RELEASED, cancelled_at=CHANGED_AT))
    assert told.state == order_pb2.ORDER_STATE_CANCELLED
    assert told.cancel_time == CHANGED


@pytest.mark.parametrize("state", OperationState)
def test_a_payment_is_told_whole(state: OperationState) -> None:
    """Its state is derived from its operation; ACCEPTED is CAPTURED. The operation is told whole too."""
    name = "CAPTURED" if state is OperationState.ACCEPTED else state
    taken_minor = 300 if state is OperationState.ACCEPTED else 0
    operation = payment_pb2.PaymentOperation(
        operation_id="op-1",
        kind=payment_pb2.PAYMENT_OPERATION_KIND_PURCHASE,
        state=payment_pb2.PaymentOperationState.Value(f"PAYMENT_OPERATION_STATE_{state}"),
        amount_minor=300,
        gateway_reference="ref",
        failure_reason="why",
        create_time=MADE,
        update_time=CHANGED,
    )
    assert answers.payment(payment(state)) == payment_pb2.Payment(
        payment_id="p-1",
        order_id="o-1",
        state=payment_pb2.PaymentState.Value(f"PAYMENT_STATE_{name}"),
        amount_minor=300,
        currency="EUR",
        operation_id="op-1",
        gateway_reference="ref",
        failure_reason="why",
        create_time=MADE,
        update_time=CHANGED,
        kind=payment_pb2.PAYMENT_KIND_PURCHASE,
        operations=[operation],
        captured_minor=taken_minor,
        refundable_minor=taken_minor,
    )


def test_what_an_operation_says_beyond_that() -> None:
    """The refund's id, the lapse, what is undone, and the administrator's word reach the caller."""
    first = Operation(
        "op-1", "p-1", "o-1", OperationKind.AUTHORIZE, 300, OperationState.DECLINED, MADE_AT, "", "", MADE_AT,
        CHANGED_AT, resolved_at=CHANGED_AT, resolved_by="ann", resolve_reason="seen on their page",
    )  # fmt: skip
    void = replace(
        first, operation_id="op-2", kind=OperationKind.VOID, reverses_operation_id="op-1", lapsed=True,
        resolved_at=None, resolved_by="", resolve_reason="",
    )  # fmt: skip
    told = answers.payment(Payment("p-1", "o-1", 300, "EUR", "", (first, void), b"", MADE_AT))
    assert (told.kind, told.state) == (
        payment_pb2.PAYMENT_KIND_AUTHORIZE,
        payment_pb2.PAYMENT_STATE_DECLINED,
    )
    resolved, reversal = told.operations
    assert (resolved.resolve_time, resolved.resolved_by, resolved.resolve_reason) == (
        CHANGED,
        "ann",
        "seen on their page",
    )
    assert (reversal.reverses_operation_id, reversal.authorization_lapsed) == ("op-1", True)
    assert not reversal.HasField("resolve_time")


def test_a_payment_of_nothing_has_no_operation() -> None:
    """An order that costs nothing is captured without a gateway."""
    assert answers.payment(payment(None, 0)) == payment_pb2.Payment(
        payment_id="p-1",
        order_id="o-1",
        state=payment_pb2.PAYMENT_STATE_CAPTURED,
        currency="EUR",
        create_time=MADE,
        update_time=MADE,
        kind=payment_pb2.PAYMENT_KIND_PURCHASE,
    )
