"""Authorize, capture, void, refund, confirm: what each needs, and what its end does to money and units."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inventory_server.domain.commands import CreateStockTransaction
from inventory_server.domain.errors import (
    AmountExceedsBalance,
    DomainError,
    IdReused,
    InsufficientStock,
    OrderCancelled,
    OrderNotPayable,
    OrderNotShippable,
    PaymentInProgress,
    PaymentNotCapturable,
    PaymentNotFound,
    PaymentNotRefundable,
    PaymentNotVoidable,
)
from inventory_server.domain.limits import OPERATIONS_PER_PAYMENT_MAX
from inventory_server.domain.order import CartItem, OrderPaymentState, OrderState
from inventory_server.domain.order_commands import CancelOrder, ShipOrder
from inventory_server.domain.payment import OperationKind, OperationState, Payment, PaymentState
from inventory_server.domain.reservation import ReservationState
from inventory_server.domain.stock import Action
from support.world import World, begin, further, repeatable

ACCEPTED, DECLINED, FAILED = OperationState.ACCEPTED, OperationState.DECLINED, OperationState.FAILED
ASKS = OperationState.REQUIRES_ACTION
CAPTURE, VOID, REFUND = OperationKind.CAPTURE, OperationKind.VOID, OperationKind.REFUND
CONFIRM, AUTHORIZE = OperationKind.CONFIRM, OperationKind.AUTHORIZE
HELD, FREE = (7, 3), (10, 0)


@pytest.fixture
def world() -> World:
    """10 of `a`; an unpaid order `o` of 3 that costs 300."""
    made = World()
    made.stock("a", 10)
    made.order("o", CartItem("a", 3, 100, None))
    return made


def asks(world: World, amount_minor: int = 300) -> None:
    """Begin a payment `p` that waits for the shopper."""
    world.begin("o", "p", amount_minor)
    world.settle("o", "p", ASKS)


def minors(world: World) -> tuple[int, int, int]:
    """Return the order's (authorized, captured, balance)."""
    view = world.view("o")
    return view.authorized_minor, view.captured_minor, view.balance_minor


# --- authorize and capture -----------------------------------------------------------------------


def test_an_authorization_holds_units_and_balance(world: World) -> None:
    """An open authorization sets its amount aside and keeps the units, but nothing is paid yet."""
    assert world.authorize("o", "p", 200).state is PaymentState.AUTHORIZED
    assert minors(world) == (200, 0, 100)
    assert world.numbers("a") == HELD
    assert world.reservation_of("o").state is ReservationState.COMMITTED
    assert world.view("o").payment_state is OrderPaymentState.PARTIALLY_AUTHORIZED
    world.authorize("o", "q", 100)
    view = world.view("o")
    assert (view.state, view.payment_state) == (OrderState.PROCESSING, OrderPaymentState.AUTHORIZED)
    with pytest.raises(OrderNotShippable):
        world.do(ShipOrder("o", "s"))
    with pytest.raises(AmountExceedsBalance):
        world.begin("o", "r", 1)
    world.check()


def test_the_same_payment_as_another_kind(world: World) -> None:
    """An authorization under the id of a purchase is other content."""
    world.begin("o", "p", 300)
    with pytest.raises(IdReused):
        world.do(begin("o", "p", 300, kind=AUTHORIZE))


def test_a_whole_capture(world: World) -> None:
    """While the capture is in flight nothing changes hands; accepted, the money is taken."""
    world.authorize("o", "p", 300)
    assert world.go_on("p", CAPTURE, "c", 300).state is PaymentState.PROCESSING
    assert minors(world) == (300, 0, 0)
    world.check()
    assert world.settle("o", "p", ACCEPTED, "c").state is PaymentState.CAPTURED
    assert minors(world) == (0, 300, 0)
    world.do(ShipOrder("o", "s"))
    world.check()


def test_a_partial_capture_gives_the_rest_to_the_balance(world: World) -> None:
    """One capture per authorization: what it leaves can be paid by another payment."""
    world.authorize("o", "p", 300)
    world.go_on("p", CAPTURE, "c", 100, ACCEPTED)
    assert minors(world) == (0, 100, 200)
    assert world.view("o").payment_state is OrderPaymentState.PARTIALLY_PAID
    with pytest.raises(PaymentNotCapturable):
        world.go_on("p", CAPTURE, "c2", 1)
    world.pay("o", "q", 200)
    assert world.view("o").is_paid
    world.check()


@pytest.mark.parametrize("outcome", [DECLINED, FAILED])
def test_a_failed_capture_keeps_the_stock(world: World, outcome: OperationState) -> None:
    """Declined or never sent: still authorized, the units stay, and it may be tried again."""
    world.authorize("o", "p", 300)
    assert world.go_on("p", CAPTURE, "c", 300, outcome).state is PaymentState.AUTHORIZED
    assert (minors(world), world.numbers("a")) == ((300, 0, 0), HELD)
    assert world.go_on("p", CAPTURE, "c2", 300, ACCEPTED).state is PaymentState.CAPTURED
    world.check()


def test_a_lapsed_authorization(world: World) -> None:
    """It is captured no more and leaves the balance; the units stay until it is voided or cancelled."""
    world.authorize("o", "p", 300)
    lapsed = world.go_on("p", CAPTURE, "c", 300, DECLINED, lapsed=True)
    assert (lapsed.state, lapsed.is_lapsed) == (PaymentState.AUTHORIZED, True)
    assert (minors(world), world.numbers("a")) == ((0, 0, 300), HELD)
    with pytest.raises(PaymentNotCapturable, match="lapsed"):
        world.go_on("p", CAPTURE, "c2", 300)
    world.pay("o", "q", 300)
    assert world.go_on("p", VOID, "v", outcome=ACCEPTED).state is PaymentState.VOIDED
    assert world.numbers("a") == HELD and world.view("o").is_paid
    world.check()


@pytest.mark.parametrize("by", ["void", "cancel"])
def test_void_or_cancel_frees_what_has_lapsed(world: World, by: str) -> None:
    """A void that is declined because the authorization has run out has nothing left to call off."""
    world.authorize("o", "p", 300)
    world.go_on("p", CAPTURE, "c", 300, DECLINED, lapsed=True)
    if by == "void":
        assert world.go_on("p", VOID, "v", 0, DECLINED, lapsed=True).state is PaymentState.VOIDED
    else:
        world.do(CancelOrder("o"))
    assert world.numbers("a") == FREE
    world.check()


@pytest.mark.parametrize(("amount_minor", "refusal"), [(301, AmountExceedsBalance), (300, None), (1, None)])
def test_no_more_is_captured_than_authorized(
    world: World, amount_minor: int, refusal: type[DomainError] | None
) -> None:
    """The whole or any part, and one minor unit more is refused with both numbers."""
    world.authorize("o", "p", 300)
    if refusal is None:
        assert world.go_on("p", CAPTURE, "c", amount_minor).state is PaymentState.PROCESSING
        return
    with pytest.raises(refusal, match="301 is more than the 300 left to capture"):
        world.go_on("p", CAPTURE, "c", amount_minor)


# --- void ----------------------------------------------------------------------------------------


def test_a_void_counts_until_it_is_definite(world: World) -> None:
    """In flight the authorization is still open; accepted, the last that counts is gone and units go back."""
    world.authorize("o", "p", 300)
    world.go_on("p", VOID, "v")
    assert (minors(world), world.numbers("a")) == ((300, 0, 0), HELD)
    assert world.settle("o", "p", ACCEPTED, "v").state is PaymentState.VOIDED
    assert (minors(world), world.numbers("a")) == ((0, 0, 300), FREE)
    assert world.reservation_of("o").state is ReservationState.RELEASED
    world.check()


def test_a_void_releases_only_as_the_last(world: World) -> None:
    """While another payment counts, the units stay with it."""
    world.authorize("o", "p", 200)
    world.pay("o", "q", 100)
    world.go_on("p", VOID, "v", outcome=ACCEPTED)
    assert world.numbers("a") == HELD
    world.check()


@pytest.mark.parametrize("outcome", [DECLINED, FAILED])
def test_a_void_that_is_refused_changes_nothing(world: World, outcome: OperationState) -> None:
    """Still authorized, still held; it may be tried again."""
    world.authorize("o", "p", 300)
    assert world.go_on("p", VOID, "v", outcome=outcome).state is PaymentState.AUTHORIZED
    assert world.numbers("a") == HELD
    assert world.go_on("p", VOID, "v2", outcome=ACCEPTED).state is PaymentState.VOIDED


def test_what_waits_for_the_shopper_is_voided_too(world: World) -> None:
    """It holds nothing, so calling it off holds and releases nothing."""
    asks(world)
    entries = len(world.log)
    world.go_on("p", VOID, "v")
    assert world.view("o").balance_minor == 300
    world.check()
    assert world.settle("o", "p", ACCEPTED, "v").state is PaymentState.VOIDED
    assert len(world.log) == entries


# --- refund --------------------------------------------------------------------------------------


def test_refunds_move_no_unit_and_reopen_no_balance(world: World) -> None:
    """Parts up to the whole: partially refunded, refunded; the units stay until the order is cancelled."""
    world.pay("o", "p", 300)
    entries = len(world.log)
    assert world.go_on("p", REFUND, "f1", 100, ACCEPTED).state is PaymentState.PARTIALLY_REFUNDED
    assert world.view("o").payment_state is OrderPaymentState.PARTIALLY_REFUNDED
    assert world.go_on("p", REFUND, "f2", 200, ACCEPTED).state is PaymentState.REFUNDED
    view = world.view("o")
    assert (view.payment_state, view.refunded_minor) == (OrderPaymentState.REFUNDED, 300)
    assert (minors(world), world.numbers("a"), len(world.log)) == ((0, 300, 0), HELD, entries)
    with pytest.raises(OrderNotShippable, match="refunded"):
        world.do(ShipOrder("o", "s"))
    world.do(CancelOrder("o"))
    assert world.numbers("a") == FREE
    world.check()


def test_a_part_refunded_ships(world: World) -> None:
    """Captured = total is what shipping needs; a part given back is a matter of price."""
    world.pay("o", "p", 300)
    world.go_on("p", REFUND, "f", 299, ACCEPTED)
    world.do(ShipOrder("o", "s"))
    assert world.go_on("p", REFUND, "f2", 1, ACCEPTED).state is PaymentState.REFUNDED
    world.check()


def test_no_more_is_refunded_than_captured(world: World) -> None:
    """Of each payment at most what it took, refunds in flight too."""
    world.pay("o", "p", 300)
    world.go_on("p", REFUND, "f1", 200, ACCEPTED)
    with pytest.raises(AmountExceedsBalance, match="101 is more than the 100 left to refund"):
        world.go_on("p", REFUND, "f2", 101)
    assert world.go_on("p", REFUND, "f2", 100).refundable_minor == 0
    with pytest.raises(PaymentInProgress):
        world.go_on("p", REFUND, "f3", 1)
    world.settle("o", "p", DECLINED, "f2")
    world.go_on("p", REFUND, "f3", 100, ACCEPTED)
    with pytest.raises(PaymentNotRefundable):
        world.go_on("p", REFUND, "f4", 1)
    world.check()


def test_a_refund_is_told_by_its_id(world: World) -> None:
    """The same id and content again: the payment as it stands; other content, also elsewhere: ID_REUSED."""
    world.pay("o", "p", 200)
    world.pay("o", "q", 100)
    world.go_on("p", REFUND, "f", 50, ACCEPTED)
    before = world.snapshot()
    again = world.do(replace(further(REFUND, "o", "p", "f", 50), operation_id="other"))
    assert (again.payment.refunded_minor, again.is_ours) == (50, False)
    for command in (further(REFUND, "o", "p", "f", 51), further(REFUND, "o", "q", "f", 50)):
        with pytest.raises(IdReused):
            world.do(command)
    assert world.snapshot() == before


# --- confirm -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [OperationKind.PURCHASE, AUTHORIZE])
def test_the_shopper_acts_and_it_is_confirmed(world: World, kind: OperationKind) -> None:
    """REQUIRES_ACTION released; the confirmation allocates again and ends as the first would have."""
    world.do(begin("o", "p", 300, kind=kind))
    assert world.settle("o", "p", ASKS).state is PaymentState.REQUIRES_ACTION
    assert (world.numbers("a"), minors(world)) == (FREE, (0, 0, 300))
    assert world.go_on("p", CONFIRM, "k").state is PaymentState.PROCESSING
    assert (world.numbers("a"), world.view("o").balance_minor) == (HELD, 0)
    world.check()
    confirmed = world.settle("o", "p", ACCEPTED, "k")
    assert confirmed.state == ("CAPTURED" if kind is OperationKind.PURCHASE else "AUTHORIZED")
    assert world.reservation_of("o").state is ReservationState.COMMITTED
    world.check()


@pytest.mark.parametrize(
    ("outcome", "state"),
    [
        (DECLINED, PaymentState.DECLINED),
        (FAILED, PaymentState.REQUIRES_ACTION),
        (ASKS, PaymentState.REQUIRES_ACTION),
    ],
)
def test_a_confirmation_that_takes_nothing_releases(
    world: World, outcome: OperationState, state: PaymentState
) -> None:
    """Declined is the end; never sent, or asked for more, it waits for the shopper as before."""
    asks(world)
    assert world.go_on("p", CONFIRM, "k", outcome=outcome).state is state
    assert (world.numbers("a"), world.view("o").balance_minor) == (FREE, 300)
    if state is PaymentState.REQUIRES_ACTION:
        assert world.go_on("p", CONFIRM, "k2", outcome=ACCEPTED).state is PaymentState.CAPTURED
    world.check()


def test_short_of_stock_it_is_voided(world: World) -> None:
    """The units are gone: refused at first, so that due holds are looked for; then called off."""
    asks(world)
    world.do(CreateStockTransaction("a", Action.SET, 2))
    before = world.snapshot()
    confirm = further(CONFIRM, "o", "p", "k")
    with pytest.raises(InsufficientStock):
        world.do(confirm)
    assert world.snapshot() == before
    begun = world.do(replace(confirm, or_void=True))
    assert (begun.operation.kind, begun.is_ours) == (VOID, True)
    world.check()
    voided = world.settle("o", "p", ACCEPTED, "k")
    assert voided.state is PaymentState.VOIDED
    assert voided.operations[-1].failure_reason == "There is not enough stock available."


def test_a_confirmation_needs_its_place_in_the_balance(world: World) -> None:
    """What was paid meanwhile is not paid twice."""
    asks(world)
    world.begin("o", "q", 200)
    with pytest.raises(PaymentInProgress):
        world.go_on("p", CONFIRM, "k")
    world.settle("o", "q", ACCEPTED)
    with pytest.raises(AmountExceedsBalance):
        world.go_on("p", CONFIRM, "k")


# --- what each refuses ---------------------------------------------------------------------------

FURTHER = [CAPTURE, VOID, REFUND, CONFIRM]


def _states(world: World, state: PaymentState) -> None:
    """Bring the payment `p` into a state."""
    if state is PaymentState.REQUIRES_ACTION:
        asks(world)
    elif state in (PaymentState.AUTHORIZED, PaymentState.VOIDED):
        world.authorize("o", "p", 300)
        if state is PaymentState.VOIDED:
            world.go_on("p", VOID, "v", outcome=ACCEPTED)
    elif state in (PaymentState.DECLINED, PaymentState.FAILED):
        world.begin("o", "p", 300)
        world.settle("o", "p", OperationState(state.value))
    else:
        world.pay("o", "p", 300)
        if state is not PaymentState.CAPTURED:
            part = 100 if state is PaymentState.PARTIALLY_REFUNDED else 300
            world.go_on("p", REFUND, "f", part, ACCEPTED)
    assert world.rows["payments"]["p"].state is state


ALLOWED = {
    PaymentState.REQUIRES_ACTION: {VOID, CONFIRM},
    PaymentState.AUTHORIZED: {CAPTURE, VOID},
    PaymentState.CAPTURED: {REFUND},
    PaymentState.PARTIALLY_REFUNDED: {REFUND},
    PaymentState.DECLINED: set(),
    PaymentState.FAILED: set(),
    PaymentState.VOIDED: set(),
    PaymentState.REFUNDED: set(),
}
REFUSALS = {
    CAPTURE: PaymentNotCapturable,
    VOID: PaymentNotVoidable,
    REFUND: PaymentNotRefundable,
    CONFIRM: OrderNotPayable,
}


@pytest.mark.parametrize("kind", FURTHER)
@pytest.mark.parametrize("state", ALLOWED)
def test_what_a_state_allows(world: World, state: PaymentState, kind: OperationKind) -> None:
    """Each operation has the states it goes on from; from every other it is refused, for its own reason."""
    _states(world, state)
    if kind in ALLOWED[state]:
        assert world.go_on("p", kind, "next", 1).state is PaymentState.PROCESSING
        world.check()
        return
    before = world.snapshot()
    with pytest.raises(REFUSALS[kind]):
        world.go_on("p", kind, "next", 1)
    assert world.snapshot() == before


@pytest.mark.parametrize("kind", FURTHER)
def test_so_many_operations_of_a_payment_and_no_more(world: World, kind: OperationKind) -> None:
    """At the limit the last begins; past it each kind is refused for its own reason, which says so."""
    starting = {CONFIRM: PaymentState.REQUIRES_ACTION, REFUND: PaymentState.CAPTURED}
    _states(world, starting.get(kind, PaymentState.AUTHORIZED))
    payment = world.rows["payments"]["p"]
    # Declined: they moved nothing, and the payment is as it was.
    past = replace(payment.operations[0], kind=CAPTURE, state=DECLINED)
    others = range(OPERATIONS_PER_PAYMENT_MAX - 1 - len(payment.operations))
    declined = tuple(replace(past, operation_id=f"op {number}") for number in others)
    world.rows["payments"]["p"] = replace(payment, operations=(*payment.operations, *declined))
    world.go_on("p", kind, "last", 1, FAILED if kind is CONFIRM else DECLINED)
    before = world.snapshot()
    with pytest.raises(REFUSALS[kind], match="it has 1000 operations, and no more are begun"):
        world.go_on("p", kind, "one more", 1)
    assert world.snapshot() == before
    world.check()


@pytest.mark.parametrize("kind", FURTHER)
@pytest.mark.parametrize("in_flight", [None, *FURTHER])
def test_one_operation_in_flight(world: World, in_flight: OperationKind | None, kind: OperationKind) -> None:
    """While one is in flight, the first or a later, every other is PAYMENT_IN_PROGRESS."""
    if in_flight is None:
        world.begin("o", "p", 300)
    else:
        starting = {CONFIRM: PaymentState.REQUIRES_ACTION, REFUND: PaymentState.CAPTURED}
        _states(world, starting.get(in_flight, PaymentState.AUTHORIZED))
        world.go_on("p", in_flight, "first", 1)
    with pytest.raises(PaymentInProgress):
        world.go_on("p", kind, "second", 1)
    with pytest.raises(PaymentInProgress):
        world.do(CancelOrder("o"))
    with pytest.raises(PaymentInProgress):
        world.do(ShipOrder("o", "s"))


@pytest.mark.parametrize("kind", FURTHER)
def test_a_cancelled_order(world: World, kind: OperationKind) -> None:
    """Capture and confirm are refused; void and refund stay allowed, and move no unit."""
    state = {CONFIRM: PaymentState.REQUIRES_ACTION, REFUND: PaymentState.CAPTURED}.get(
        kind, PaymentState.AUTHORIZED
    )
    _states(world, state)
    world.do(CancelOrder("o"))
    if kind in (CAPTURE, CONFIRM):
        with pytest.raises(OrderCancelled):
            world.go_on("p", kind, "next", 1)
        return
    entries = len(world.log)
    ended = world.go_on("p", kind, "next", 300, ACCEPTED)
    assert ended.state == ("VOIDED" if kind is VOID else "REFUNDED")
    assert len(world.log) == entries and world.numbers("a") == FREE
    world.check()


@pytest.mark.parametrize("kind", FURTHER)
def test_an_unknown_payment_and_no_gateway(world: World, kind: OperationKind) -> None:
    """What is not there is not found; without a gateway nothing is begun."""
    with pytest.raises(PaymentNotFound):
        world.go_on("ghost", kind, "next", 1)
    world.authorize("o", "p", 300)
    with pytest.raises(OrderNotPayable, match="no payment gateway"):
        world.do(replace(further(kind, "o", "p", "next", 1), has_gateway=False))


def test_a_request_id_stands_for_one_operation(world: World) -> None:
    """Repeated, a request_id begins nothing; a batch run again finds what it began."""
    world.authorize("o", "p", 300)
    capture = repeatable(further(CAPTURE, "o", "p", "c", 300), "rq")
    first, again = world.batch(capture, capture)
    assert first.is_ours and not isinstance(again, Payment | Exception)
    assert len(world.rows["payments"]["p"].operations) == 2


def test_what_is_voidable_and_refundable(world: World) -> None:
    """The order lists the payments that can be moved back, and those alone."""
    world.authorize("o", "p", 100)
    world.pay("o", "q", 150)
    world.go_on("q", REFUND, "f", 50, ACCEPTED)
    world.begin("o", "r", 50)
    world.settle("o", "r", DECLINED)
    view = world.do(CancelOrder("o")).order
    found = [(p.payment_id, p.is_voidable, p.refundable_minor) for p in view.reversible_payments]
    assert found == [("p", True, 0), ("q", False, 100)]
