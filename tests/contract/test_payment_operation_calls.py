"""CapturePayment, VoidPayment, RefundPayment, ConfirmPayment and ResolvePayment, on their own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import inventory_client
from inventory_client import v1
from inventory_server.db.embedded import EmbeddedPostgres
from support.shop import AUTHORIZE, Shop, StagedShop, word
from support.sites import serving_on, started


def kinds_and_states(payment: v1.Payment) -> list[tuple[str, str]]:
    return [(word(o, "kind"), word(o)) for o in payment.operations]


# --- each by itself --------------------------------------------------------------------------------


def test_authorize_and_capture(shop: Shop) -> None:
    """The money is set aside, then taken: the order is authorized, then paid, its units held all along."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    held = shop.authorize("o", "p", 200)
    assert (word(held), held.authorized_minor, held.captured_minor) == ("AUTHORIZED", 200, 0)
    assert held.kind == AUTHORIZE
    order = shop.get_order("o")
    assert (word(order), word(order, "payment_state"), order.balance_minor) == ("PROCESSING", "AUTHORIZED", 0)
    with shop.refused("ORDER_NOT_SHIPPABLE"):
        shop.ship("o", "s")

    taken = shop.capture("p", 200)
    assert (word(taken), taken.authorized_minor, taken.captured_minor) == ("CAPTURED", 0, 200)
    assert kinds_and_states(taken) == [("AUTHORIZE", "ACCEPTED"), ("CAPTURE", "ACCEPTED")]
    assert word(shop.get_order("o"), "payment_state") == "PAID"
    assert shop.actions("a") == [("RESERVE", 2)]
    shop.ship("o", "s")
    assert shop.payment("p") == taken


def test_a_part_is_captured(shop: Shop) -> None:
    """The rest goes back to the balance, where another payment takes it."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    shop.authorize("o", "p", 200)
    with shop.refused("AMOUNT_EXCEEDS_BALANCE") as refusal:
        shop.capture("p", 201)
    assert refusal.metadata == {"amount_minor": "201", "authorized_minor": "200"}
    assert shop.capture("p", 80).captured_minor == 80
    order = shop.get_order("o")
    assert (word(order, "payment_state"), order.balance_minor) == ("PARTIALLY_PAID", 120)
    with shop.refused("PAYMENT_NOT_CAPTURABLE"):
        shop.capture("p", 1)
    shop.pay("o", "q", 120)
    assert word(shop.get_order("o"), "payment_state") == "PAID"


def test_void(shop: Shop) -> None:
    """Called off: the balance is whole again and the units are free."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    shop.authorize("o", "p", 150)
    assert word(shop.get_order("o"), "payment_state") == "PARTIALLY_AUTHORIZED"
    assert word(shop.void("p")) == "VOIDED"
    assert shop.actions("a") == [("RESERVE", 2), ("RELEASE", 2)]
    order = shop.get_order("o")
    assert (word(order, "payment_state"), order.balance_minor) == ("UNPAID", 200)


def test_refunds(shop: Shop) -> None:
    """In parts up to the whole; no unit moves, and the answer says how many stay held."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 2))
    request = v1.RefundPaymentRequest(payment_id="pay-o", refund_id="f-1", amount_minor=50)
    answer = shop.checkout.RefundPayment(request)
    payment = answer.payment
    assert (word(payment), payment.refunded_minor, payment.refundable_minor) == (
        "PARTIALLY_REFUNDED",
        50,
        150,
    )
    assert (payment.operations[-1].refund_id, answer.units_held) == ("f-1", 2)
    with shop.refused("AMOUNT_EXCEEDS_BALANCE"):
        shop.refund("pay-o", "f-2", 151)
    assert word(shop.refund("pay-o", "f-2", 150)) == "REFUNDED"
    order = shop.get_order("o")
    assert (word(order, "payment_state"), order.refunded_minor, order.balance_minor) == ("REFUNDED", 200, 0)
    with shop.refused("PAYMENT_NOT_REFUNDABLE"):
        shop.refund("pay-o", "f-3", 1)
    assert shop.actions("a") == [("RESERVE", 2)]
    before = shop.observer.written(shop.store)
    assert shop.checkout.RefundPayment(request).payment == shop.payment("pay-o")
    request.amount_minor = 49
    with shop.refused("ID_REUSED") as refusal:
        shop.checkout.RefundPayment(request)
    assert refusal.metadata == {"field": "refund_id", "id": "f-1"}
    assert shop.observer.written(shop.store) == before


@pytest.mark.parametrize(("kind", "state"), [("pay", "CAPTURED"), ("authorize", "AUTHORIZED")])
def test_confirm(shop: Shop, kind: str, state: str) -> None:
    """REQUIRES_ACTION holds nothing; confirmed, it allocates again and comes about."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    asked = getattr(shop, kind)("o", "p", 200, "requires-action")
    assert (word(asked), shop.numbers("a")) == ("REQUIRES_ACTION", (5, 5, 0))
    assert shop.get_order("o").balance_minor == 200
    confirmed = shop.confirm_payment("p")
    assert (word(confirmed), shop.numbers("a")) == (state, (5, 3, 2))
    assert shop.actions("a") == [("RESERVE", 2), ("RELEASE", 2), ("RESERVE", 2)]
    with shop.refused("ORDER_NOT_PAYABLE"):
        shop.confirm_payment("p")


def test_confirm_is_declined(shop: Shop) -> None:
    """The end of the payment; its units go back."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    shop.pay("o", "p", 200, "requires-action,confirm-decline")
    assert word(shop.confirm_payment("p")) == "DECLINED"
    assert shop.numbers("a") == (5, 5, 0)


def test_confirm_short_of_stock(staged: StagedShop) -> None:
    """Somebody has the units: voided at the gateway, Confirm never called, and the answer says why."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    staged.begun("o", "p", 200, "REQUIRES_ACTION")
    staged.reserve("r", ("a", 1))
    request = v1.ConfirmPaymentRequest(payment_id="p", request_id="mine")
    call = staged.checkout.ConfirmPayment.future(request)
    visit = staged.at_gateway()
    assert visit.kind == "Void"
    visit.accept()
    payment = call.result().payment
    assert (word(payment), payment.failure_reason) == ("VOIDED", "There is not enough stock available.")
    again = staged.checkout.ConfirmPayment(request)
    assert (again.payment, again.replayed) == (payment, True)
    assert staged.asked == [("Purchase", "p"), ("Void", "p")]
    assert staged.numbers("a") == (2, 1, 1)


def test_confirm_takes_the_units_of_holds_that_are_due(staged: StagedShop) -> None:
    """A hold that has run out is no shortage, though no sweeper came by."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    staged.begun("o", "p", 200, "REQUIRES_ACTION")
    staged.reserve_until_soon("late", ("a", 2))
    staged.wait_until_due(("a", 2))
    call, visit = staged.up_to_gateway("Confirm", "p")
    visit.accept()
    assert word(call.result().payment) == "CAPTURED"
    assert word(staged.reservation("late")) == "EXPIRED"


def test_resolve(staged: StagedShop) -> None:
    """Who, when and why stand with the operation; a second word changes nothing."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.leave_it_pending()
    assert word(call.result().payment) == "PROCESSING"
    request = staged.resolve_request("p", "ACCEPTED")
    actor = (("x-inventory-actor", "ann"),)
    payment = staged.checkout.ResolvePayment(request, metadata=actor).payment
    (operation,) = payment.operations
    assert (word(payment), operation.resolved_by, operation.resolve_reason) == (
        "CAPTURED",
        "ann",
        "seen on their page",
    )
    assert operation.HasField("resolve_time")
    before = staged.observer.written(staged.store)
    assert staged.resolve("p", "DECLINED") == payment
    assert staged.observer.written(staged.store) == before
    request = v1.ResolvePaymentRequest(
        payment_id="p", operation_id="ghost", outcome=request.outcome, reason="x"
    )
    with staged.refused("PAYMENT_NOT_FOUND"):
        staged.checkout.ResolvePayment(request)


def test_the_length_of_a_reason(staged: StagedShop) -> None:
    """512 bytes are kept, 513 are refused."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.leave_it_pending()
    call.result()
    request = staged.resolve_request("p", "FAILED", "x" * 513)
    with staged.refused("INVALID_FIELD") as refusal:
        staged.checkout.ResolvePayment(request)
    assert refusal.fields == ["reason"]
    request.reason = "x" * 512
    payment = staged.checkout.ResolvePayment(request).payment
    assert (payment.operations[0].resolve_reason, payment.failure_reason) == (request.reason,) * 2


def test_what_the_gateway_is_told_of_later_operations(staged: StagedShop) -> None:
    """Each names what it goes on with, by our id and by the gateway's reference, and what it is about."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    first = staged.begun("o", "p", 200, "AUTHORIZED").operations[0]
    call, visit = staged.up_to_gateway("Capture", "p", 150)
    visit.accept()
    capture = call.result().payment.operations[1]
    told: dict[str, Any] = {
        "store_id": staged.store, "order_id": "o", "payment_id": "p", "amount_minor": 150, "currency": "EUR",
    }  # fmt: skip
    assert visit.request == v1.CaptureRequest(
        operation_id=capture.operation_id,
        target_operation_id=first.operation_id,
        target_reference="ref-p",
        **told,
    )
    call, visit = staged.up_to_gateway("Refund", "p", 40)
    visit.accept()
    refund = call.result().payment.operations[2]
    told["amount_minor"] = 40
    assert visit.request == v1.RefundRequest(
        operation_id=refund.operation_id,
        target_operation_id=capture.operation_id,
        target_reference="ref-p",
        **told,
    )


# --- doubt, kind by kind ---------------------------------------------------------------------------

# a later operation's words, how it is begun, the payment's end
DOUBTS = [
    ("capture-lost-reply", "capture", "CAPTURED"),
    ("capture-outage", "capture", "CAPTURED"),
    ("capture-slow-1500ms,capture-decline", "capture", "AUTHORIZED"),
    ("capture-duplicate,capture-no-reply", "capture", "CAPTURED"),
    ("void-pending-600ms", "void", "VOIDED"),
    ("void-lost-reply", "void", "VOIDED"),
    ("refund-lost-reply", "refund", "REFUNDED"),
    ("refund-outage", "refund", "REFUNDED"),
    ("requires-action,confirm-lost-reply", "confirm", "CAPTURED"),
    ("requires-action,confirm-slow-1500ms,confirm-decline", "confirm", "DECLINED"),
]


@pytest.mark.parametrize(("how", "kind", "end"), DOUBTS, ids=[how for how, _, _ in DOUBTS])
def test_the_reconciler_finds_out(hasty: Shop, ledger: Path, how: str, kind: str, end: str) -> None:
    """Every kind may be left in doubt: PROCESSING until the gateway's word, and money moves once."""
    hasty.stock("a", 2)
    hasty.order("o", ("a", 2))
    if kind in ("capture", "void"):
        hasty.authorize("o", "p", 200, how)
    else:
        hasty.pay("o", "p", 200, how)
    # So little patience may leave the first in doubt too, where the machine is busy.
    begun = {"refund": "CAPTURED", "confirm": "REQUIRES_ACTION"}.get(kind, "AUTHORIZED")
    hasty.wait_for_payment("p", begun)
    request = {
        "capture": lambda: hasty.checkout.CapturePayment.future(
            v1.CapturePaymentRequest(payment_id="p", amount_minor=200)
        ),
        "void": lambda: hasty.checkout.VoidPayment.future(v1.VoidPaymentRequest(payment_id="p")),
        "refund": lambda: hasty.checkout.RefundPayment.future(
            v1.RefundPaymentRequest(payment_id="p", refund_id="f", amount_minor=200)
        ),
        "confirm": lambda: hasty.checkout.ConfirmPayment.future(v1.ConfirmPaymentRequest(payment_id="p")),
    }[kind]()
    assert hasty.reason_of(request) in ("OK", "DEADLINE_EXCEEDED")
    payment = hasty.wait_for_payment("p", end)
    assert hasty.numbers("a") == ((2, 2, 0) if end in ("VOIDED", "DECLINED") else (2, 0, 2))
    settled = [
        line
        for line in ledger.read_text().splitlines()
        if f'"{payment.operations[-1].operation_id}"' in line and '"settled"' in line
    ]
    assert len(settled) == 1


# --- without a gateway, and by hand ----------------------------------------------------------------


def test_payments_by_hand(postgres: EmbeddedPostgres) -> None:
    """With the gateway `manual` every operation waits for an administrator's word, which is all it needs."""
    with started(postgres, payment_gateway="manual", reconcile_interval_s=0.1) as site, site.shop() as shop:
        shop.stock("a", 5)
        shop.order("o", ("a", 2))
        assert word(shop.authorize("o", "p", 200)) == "PROCESSING"
        assert shop.numbers("a") == (5, 3, 2)
        assert word(shop.resolve("p", "ACCEPTED")) == "AUTHORIZED"
        assert word(shop.capture("p", 200)) == "PROCESSING"
        assert word(shop.resolve("p", "ACCEPTED")) == "CAPTURED"
        shop.refund("p", "f", 200)
        assert word(shop.resolve("p", "FAILED")) == "CAPTURED"
        shop.ship("o", "s")
        states = [word(o) for o in shop.payment("p").operations]
        assert states == ["ACCEPTED", "ACCEPTED", "FAILED"]
        shop.order("o2", ("a", 3))
        shop.pay("o2", "q", 300)
        assert word(shop.resolve("q", "DECLINED")) == "DECLINED"
        assert shop.numbers("a") == (3, 3, 0)
        shop.authorize("o2", "r", 300)
        shop.resolve("r", "ACCEPTED")
        shop.void("r")
        # What another server has begun waits for the same word.
        with (
            serving_on(site.database_url, payment_gateway="manual") as other,
            inventory_client.connect(other.address, store=shop.store, timeout_s=60) as client,
        ):
            assert word(Shop(client, shop.store, site.observer).resolve("r", "ACCEPTED")) == "VOIDED"
        assert shop.numbers("a") == (3, 3, 0)


def test_what_was_begun_before_the_gateway_went(postgres: EmbeddedPostgres) -> None:
    """A server without a gateway begins no operation, but an administrator may still end one."""
    with started(postgres, payment_gateway="none") as site, site.shop() as shop:
        shop.stock("a", 5)
        shop.order("o", ("a", 1, 0))
        shop.pay("o", "p", 0)
        with shop.refused("ORDER_NOT_PAYABLE") as refusal:
            shop.refund("p", "f", 1)
        assert refusal.metadata == {"order_id": "o"}


# --- which reason comes first ----------------------------------------------------------------------


def test_precedence(staged: StagedShop) -> None:
    """Invalid, ID_REUSED, not found, ORDER_CANCELLED, in flight, the payment's state, the amount."""
    staged.stock("a", 9)
    for order_id in ("o", "cancelled"):
        staged.order(order_id, ("a", 2))
    staged.begun("cancelled", "late", 100, "AUTHORIZED")
    staged.cancel("cancelled")
    staged.begun("o", "p", 100, "AUTHORIZED")
    call, visit = staged.pay_up_to_gateway("o", "busy", 50, kind=AUTHORIZE)
    staged.begun("o", "taken", 50, "CAPTURED")
    used = staged.checkout.CapturePayment.future(
        v1.CapturePaymentRequest(payment_id="p", amount_minor=10, request_id="used")
    )
    staged.at_gateway().accept()
    used.result()
    for reason, payment_id, amount_minor, request_id in (
        ("INVALID_FIELD", "ghost", 0, "used"),
        ("ID_REUSED", "ghost", 999, "used"),
        ("PAYMENT_NOT_FOUND", "ghost", 999, "fresh"),
        ("ORDER_CANCELLED", "late", 999, "fresh"),
        ("PAYMENT_IN_PROGRESS", "busy", 999, "fresh"),
        ("PAYMENT_NOT_CAPTURABLE", "taken", 999, "fresh"),
    ):
        with staged.refused(reason):
            staged.capture(payment_id, amount_minor, request_id)
    for reason, payment_id, refund_id, amount_minor in (
        ("INVALID_FIELD", "ghost", "f", 0),
        ("PAYMENT_NOT_FOUND", "ghost", "f", 999),
        ("PAYMENT_IN_PROGRESS", "busy", "f", 999),
        ("PAYMENT_NOT_REFUNDABLE", "late", "f", 999),
        ("AMOUNT_EXCEEDS_BALANCE", "taken", "f", 51),
    ):
        with staged.refused(reason):
            staged.refund(payment_id, refund_id, amount_minor)
    for move in (staged.void, staged.confirm_payment):
        with staged.refused("PAYMENT_NOT_FOUND"):
            move("ghost")
        with staged.refused("PAYMENT_IN_PROGRESS"):
            move("busy")
    visit.accept()
    call.result()
