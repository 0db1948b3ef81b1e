"""The rows of "Interleavings" about what comes after a payment was begun, each test named after its row.

`together` decides what is sent in one batch, in order, and again after another writer's change has undone the
first run by 40001: the verdicts are the same.
"""

from __future__ import annotations

import pytest

from inventory_client import v1
from support.interleavings import Steps, Together
from support.polling import until
from support.shop import StagedShop, word


def order_of_2(staged: StagedShop) -> None:
    """2 of `a`, and an unpaid order of both that costs 200."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))


# --- void unknown ----------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["ACCEPTED", "DECLINED"])
@pytest.mark.parametrize("is_last", [True, False])
def test_void_unknown(staged: StagedShop, end: str, is_last: bool) -> None:
    """It counts until it is definite; then it releases if it was the last."""
    order_of_2(staged)
    staged.begun("o", "p", 100, "AUTHORIZED")
    if not is_last:
        staged.begun("o", "q", 100, "CAPTURED")
    call, visit = staged.up_to_gateway("Void", "p")
    visit.lose_the_reply()
    payment = call.result().payment
    assert word(payment) == "PROCESSING"
    with staged.refused("PAYMENT_IN_PROGRESS"):
        staged.cancel("o")
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("r", ("a", 1))
    staged.gateway_says(payment.operations[-1].operation_id, end)
    staged.wait_for_payment("p", "VOIDED" if end == "ACCEPTED" else "AUTHORIZED")
    is_freed = is_last and end == "ACCEPTED"
    assert staged.numbers("a") == ((2, 2, 0) if is_freed else (2, 0, 2))
    assert staged.asked.count(("Void", "p")) == 1


@pytest.mark.parametrize("first", ["outcome", "take"])
def test_void_unknown_x_take(staged: StagedShop, together: Together, first: str) -> None:
    """The outcome first: the units are free for whoever wants them. Before it he is refused."""
    order_of_2(staged)
    staged.begun("o", "p", 200, "AUTHORIZED")
    call, visit = staged.up_to_gateway("Void", "p")
    visit.lose_the_reply()
    call.result()
    outcome = staged.resolve_request("p", "ACCEPTED")
    wanted = staged.reserve_request("r", ("a", 1))
    told = together.told(
        first,
        {
            "outcome": lambda: staged.checkout.ResolvePayment.future(outcome),
            "take": lambda: staged.inventory.ReserveStock.future(wanted),
        },
    )
    assert told == {"outcome": "OK", "take": "OK" if first == "outcome" else "INSUFFICIENT_STOCK"}
    assert word(staged.payment("p")) == "VOIDED"
    assert staged.numbers("a") == ((2, 1, 1) if first == "outcome" else (2, 2, 0))


# --- capture x void at once ------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["Capture", "Void"])
def test_capture_x_void_at_once(staged: StagedShop, together: Together, first: str) -> None:
    """The first takes the slot, the second is PAYMENT_IN_PROGRESS and the gateway not called for it."""
    order_of_2(staged)
    staged.begun("o", "p", 200, "AUTHORIZED")
    second = "Void" if first == "Capture" else "Capture"
    calls = together.sent(
        first, {name: lambda n=name: staged.start(n, "p", 200) for name in ("Capture", "Void")}
    )
    assert staged.reason_of(calls[second]) == "PAYMENT_IN_PROGRESS"
    staged.at_gateway().accept()
    assert word(calls[first].result().payment) == ("CAPTURED" if first == "Capture" else "VOIDED")
    assert staged.asked == [("Authorize", "p"), (first, "p")]
    assert staged.numbers("a") == ((2, 0, 2) if first == "Capture" else (2, 2, 0))


def test_50_captures_at_once(staged: StagedShop, together: Together) -> None:
    """One request_id is one capture: the 49 others get the payment as it stands, at once."""
    order_of_2(staged)
    staged.begun("o", "p", 200, "AUTHORIZED")
    request = v1.CapturePaymentRequest(payment_id="p", amount_minor=200, request_id="mine")
    with together():
        calls = [staged.checkout.CapturePayment.future(request) for _ in range(50)]
    visit = staged.at_gateway()
    until(lambda: sum(not call.done() for call in calls) == 1, "49 are answered")
    early = [call.result() for call in calls if call.done()]
    assert {(word(answer.payment), answer.replayed) for answer in early} == {("PROCESSING", True)}
    visit.accept()
    (late,) = [call.result() for call in calls if not call.done() or not call.result().replayed]
    assert (word(late.payment), late.replayed) == ("CAPTURED", False)
    again = staged.checkout.CapturePayment(request)
    assert (word(again.payment), again.replayed) == ("CAPTURED", True)
    assert staged.asked == [("Authorize", "p"), ("Capture", "p")]


# --- capture declined, unknown, lapsed -------------------------------------------------------------


@pytest.mark.parametrize("freed_by", ["void", "cancel"])
@pytest.mark.parametrize("end", ["declined", "unknown", "lapsed"])
def test_capture_declined_unknown_lapsed(staged: StagedShop, end: str, freed_by: str) -> None:
    """Authorized, or in flight while unknown: the stock stays; void or cancel frees it."""
    order_of_2(staged)
    staged.begun("o", "p", 200, "AUTHORIZED")
    call, visit = staged.up_to_gateway("Capture", "p", 200)
    {"declined": visit.decline, "unknown": visit.lose_the_reply, "lapsed": visit.lapse}[end]()
    payment = call.result().payment
    assert word(payment) == ("PROCESSING" if end == "unknown" else "AUTHORIZED")
    assert payment.authorization_lapsed is (end == "lapsed")
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("r", ("a", 1))
    if end == "unknown":
        with staged.refused("PAYMENT_IN_PROGRESS"):
            staged.void("p")
        staged.resolve("p", "DECLINED")
    assert staged.get_order("o").balance_minor == (200 if end == "lapsed" else 0)
    if freed_by == "void":
        call, visit = staged.up_to_gateway("Void", "p")
        (visit.lapse if end == "lapsed" else visit.accept)()
        assert word(call.result().payment) == "VOIDED"
    else:
        staged.cancel("o")
    assert staged.numbers("a") == (2, 2, 0)


@pytest.mark.parametrize("first", ["outcome", "Void"])
def test_capture_declined_unknown_lapsed_x_void(staged: StagedShop, together: Together, first: str) -> None:
    """The decline first: authorized again, and the void goes on. Before it the void is in its way."""
    order_of_2(staged)
    staged.begun("o", "p", 200, "AUTHORIZED")
    call, visit = staged.up_to_gateway("Capture", "p", 200)
    visit.lose_the_reply()
    call.result()
    outcome = staged.resolve_request("p", "DECLINED")
    told = together.told(
        first,
        {
            "outcome": lambda: staged.checkout.ResolvePayment.future(outcome),
            "Void": lambda: staged.start("Void", "p"),
        },
        is_paid=first == "outcome",
    )
    assert told == {"outcome": "OK", "Void": "OK" if first == "outcome" else "PAYMENT_IN_PROGRESS"}
    assert word(staged.payment("p")) == ("VOIDED" if first == "outcome" else "AUTHORIZED")
    assert staged.numbers("a") == ((2, 2, 0) if first == "outcome" else (2, 0, 2))


# --- cancel x authorized ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["cancel", "capture"])
def test_cancel_x_authorized(staged: StagedShop, together: Together, first: str) -> None:
    """Cancel wins: released, later capture refused, the answer lists what is voidable and refundable.

    A capture that was first is in flight, and cancelling waits for its outcome.
    """
    order_of_2(staged)
    staged.begun("o", "held", 120, "AUTHORIZED")
    staged.begun("o", "taken", 80, "CAPTURED")
    steps: Steps = {
        "cancel": lambda: staged.checkout.CancelOrder.future(v1.CancelOrderRequest(order_id="o")),
        "capture": lambda: staged.start("Capture", "held", 120),
    }
    cancelled, captured = together.sent(first, steps).values()
    if first == "capture":
        assert staged.reason_of(cancelled) == "PAYMENT_IN_PROGRESS"
        staged.at_gateway().accept()
        assert word(captured.result().payment) == "CAPTURED"
        assert staged.numbers("a") == (2, 0, 2)
        return
    assert staged.reason_of(captured) == "ORDER_CANCELLED"
    listed = cancelled.result().reversible_payments
    assert [(p.payment_id, p.voidable_minor, p.refundable_minor) for p in listed] == [
        ("held", 120, 0),
        ("taken", 0, 80),
    ]
    assert staged.numbers("a") == (2, 2, 0)
    for kind, payment_id, state in (("Void", "held", "VOIDED"), ("Refund", "taken", "REFUNDED")):
        call, visit = staged.up_to_gateway(kind, payment_id, 80)
        visit.accept()
        assert word(call.result().payment) == state
    assert staged.actions("a") == [("RESERVE", 2), ("RELEASE", 2)]


# --- refund in flight x ship -----------------------------------------------------------------------


@pytest.mark.parametrize("first", ["refund", "ship"])
@pytest.mark.parametrize("part", ["whole", "part"])
def test_refund_in_flight_x_ship(staged: StagedShop, together: Together, first: str, part: str) -> None:
    """A refund in flight keeps the goods in the house; after a full refund they stay there, too."""
    order_of_2(staged)
    staged.begun("o", "p", 200, "CAPTURED")
    amount_minor = 200 if part == "whole" else 50
    ship = v1.ShipOrderRequest(order_id="o", shipment_id="s")
    steps: Steps = {
        "refund": lambda: staged.start("Refund", "p", amount_minor),
        "ship": lambda: staged.checkout.ShipOrder.future(ship),
    }
    refunded, shipped = together.sent(first, steps).values()
    assert staged.reason_of(shipped) == ("PAYMENT_IN_PROGRESS" if first == "refund" else "OK")
    staged.at_gateway().accept()
    answer = refunded.result()
    assert word(answer.payment) == ("REFUNDED" if part == "whole" else "PARTIALLY_REFUNDED")
    assert answer.units_held == (2 if first == "refund" else 0)
    if first == "ship":
        assert staged.numbers("a") == (0, 0, 0)
    elif part == "part":
        staged.ship("o", "s")
    else:
        with staged.refused("ORDER_NOT_SHIPPABLE"):
            staged.ship("o", "s")
        assert staged.numbers("a") == (2, 0, 2)


# --- refund + cancel -------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["refund", "cancel"])
def test_refund_and_cancel(staged: StagedShop, together: Together, first: str) -> None:
    """The refund moves no unit, cancelling frees them once; a cancellation after it waits for its outcome."""
    order_of_2(staged)
    staged.begun("o", "p", 200, "CAPTURED")
    steps: Steps = {
        "refund": lambda: staged.start("Refund", "p", 200),
        "cancel": lambda: staged.checkout.CancelOrder.future(v1.CancelOrderRequest(order_id="o")),
    }
    refunded, cancelled = together.sent(first, steps).values()
    assert staged.reason_of(cancelled) == ("PAYMENT_IN_PROGRESS" if first == "refund" else "OK")
    staged.at_gateway().accept()
    answer = refunded.result()
    assert (word(answer.payment), answer.units_held) == ("REFUNDED", 2 if first == "refund" else 0)
    if first == "refund":
        assert staged.numbers("a") == (2, 0, 2)
        staged.cancel("o")
    assert staged.actions("a") == [("RESERVE", 2), ("RELEASE", 2)]


# --- ResolvePayment(failed), the gateway accepts later ---------------------------------------------

# what is begun; what it is undone by; the state after the administrator's word, and the units then
STORIES = [
    ("Purchase", "Refund", "FAILED", (2, 2, 0)),
    ("Authorize", "Void", "FAILED", (2, 2, 0)),
    ("Capture", "Refund", "AUTHORIZED", (2, 0, 2)),
    ("Confirm", "Refund", "FAILED", (2, 2, 0)),
]


@pytest.mark.parametrize("told", ["by its late answer", "when asked"])
@pytest.mark.parametrize(("kind", "undone_by", "state", "numbers"), STORIES, ids=[s[0] for s in STORIES])
def test_resolved_failed_the_gateway_accepts_later(
    staged: StagedShop,
    kind: str,
    undone_by: str,
    state: str,
    numbers: tuple[int, int, int],
    told: str,
) -> None:
    """An automatic void or refund of what was moved; state and units stay as the administrator left them."""
    order_of_2(staged)
    if kind in ("Capture", "Confirm"):
        staged.begun("o", "p", 200, "AUTHORIZED" if kind == "Capture" else "REQUIRES_ACTION")
        call, visit = staged.up_to_gateway(kind, "p", 200)
    else:
        kinds = {
            "Purchase": v1.PaymentKind.PAYMENT_KIND_PURCHASE,
            "Authorize": v1.PaymentKind.PAYMENT_KIND_AUTHORIZE,
        }
        call, visit = staged.pay_up_to_gateway("o", "p", 200, kind=kinds[kind])
    resolved = staged.resolve("p", "FAILED")
    assert (word(resolved), staged.numbers("a")) == (state, numbers)
    assert resolved.operations[-1].resolve_reason == "seen on their page"
    if told == "when asked":
        visit.lose_the_reply()
        staged.gateway_says(resolved.operations[-1].operation_id, "ACCEPTED")
    else:
        visit.accept()
    undoing = staged.at_gateway()
    assert (undoing.kind, undoing.request.amount_minor) == (undone_by, 200)
    assert word(staged.payment("p")) == "PROCESSING"
    undoing.accept()
    payment = staged.wait_for_payment("p", state)
    reversal = payment.operations[-1]
    assert reversal.reverses_operation_id == resolved.operations[-1].operation_id
    assert (payment.captured_minor, payment.refunded_minor) == (0, 0)
    assert staged.numbers("a") == numbers
    assert payment.authorization_lapsed is (kind == "Capture")
    call.cancel()


def test_what_people_have_moved_back_is_settled(staged: StagedShop) -> None:
    """The gateway refuses to give back what it took too late: who did it by hand says so, and it is over."""
    order_of_2(staged)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    taken = staged.resolve("p", "FAILED").operations[0].operation_id
    visit.accept()
    staged.at_gateway().decline()
    refused = staged.wait_for_payment("p", "FAILED").operations[-1]
    assert (word(refused), refused.reverses_operation_id) == ("DECLINED", taken)
    settled = staged.resolve("p", "ACCEPTED")
    assert (word(settled), word(settled.operations[-1])) == ("FAILED", "ACCEPTED")
    assert settled.operations[-1].resolve_reason == "seen on their page"
    assert (settled.captured_minor, settled.refunded_minor) == (0, 0)
    assert staged.numbers("a") == (2, 2, 0)
    call.cancel()


@pytest.mark.parametrize("first", ["resolve", "pay"])
def test_resolved_failed_x_another_payment(staged: StagedShop, together: Together, first: str) -> None:
    """Resolved first: the balance is free for another. Paid first: what is stuck is in the way."""
    order_of_2(staged)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.lose_the_reply()
    call.result()
    request = staged.resolve_request("p", "FAILED")
    steps: Steps = {
        "resolve": lambda: staged.checkout.ResolvePayment.future(request),
        "pay": lambda: staged.start_paying("o", "q", 200),
    }
    resolved, paid = together.sent(first, steps).values()
    assert word(resolved.result().payment) == "FAILED"
    if first == "pay":
        assert staged.reason_of(paid) == "PAYMENT_IN_PROGRESS"
        assert staged.numbers("a") == (2, 2, 0)
        return
    staged.at_gateway().accept()
    assert word(paid.result().payment) == "CAPTURED"
    staged.gateway_says(request.operation_id, "ACCEPTED")
    staged.at_gateway().accept()
    staged.wait_for_payment("p", "FAILED")
    order = staged.get_order("o")
    assert (order.captured_minor, order.balance_minor) == (200, 0)
    assert staged.asked == [("Purchase", "p"), ("Purchase", "q"), ("Refund", "p")]
