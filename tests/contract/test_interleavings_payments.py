"""The rows of "Interleavings" about beginning a payment, each test named after its row.

`together` decides what is sent in one batch, in order, and again after another writer's change has undone the
first run by 40001: the verdicts are the same.
"""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from support.interleavings import Steps, Together
from support.shop import AUTHORIZE, StagedShop, word

PURCHASE = v1.PaymentKind.PAYMENT_KIND_PURCHASE
KINDS = pytest.mark.parametrize("kind", [PURCHASE, AUTHORIZE], ids=["purchase", "authorize"])


def other(payment_id: str) -> str:
    return "B" if payment_id == "A" else "A"


def pay_both(
    staged: StagedShop, first: str, kind: v1.PaymentKind.ValueType = PURCHASE
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Begin to pay 200 by A and by B, 100 each, `first` first; return the calls and the visits."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    calls, visits = {}, {}
    for payment_id in (first, other(first)):
        calls[payment_id], visits[payment_id] = staged.pay_up_to_gateway("o", payment_id, 100, kind=kind)
    assert staged.actions("a") == [("RESERVE", 2)]
    return calls, visits


# --- pay A and B at once, A declines first ---------------------------------------------------------


@pytest.mark.fault(15)
@KINDS
@pytest.mark.parametrize("first", ["A", "B"])
def test_pay_a_and_b_at_once_a_declines_first_b_accepted(
    staged: StagedShop, first: str, kind: v1.PaymentKind.ValueType
) -> None:
    """A's decline releases nothing while B is in flight; B accepted, or authorized: held."""
    calls, visits = pay_both(staged, first, kind)
    visits["A"].decline()
    assert word(calls["A"].result().payment) == "DECLINED"
    assert staged.numbers("a") == (2, 0, 2)
    visits["B"].accept()
    assert word(calls["B"].result().payment) == ("AUTHORIZED" if kind == AUTHORIZE else "CAPTURED")
    assert staged.actions("a") == [("RESERVE", 2)]
    assert word(staged.reservation(staged.get_order("o").reservation_id)) == "COMMITTED"


@pytest.mark.fault(15)
@pytest.mark.parametrize("first", ["A", "B"])
def test_pay_a_and_b_at_once_a_declines_first_b_declines_too(staged: StagedShop, first: str) -> None:
    """The last decline releases, once."""
    calls, visits = pay_both(staged, first)
    for payment_id in ("A", "B"):
        assert staged.numbers("a") == (2, 0, 2)
        visits[payment_id].decline()
        assert word(calls[payment_id].result().payment) == "DECLINED"
    assert staged.actions("a") == [("RESERVE", 2), ("RELEASE", 2)]


@pytest.mark.parametrize("first", ["A", "B"])
def test_pay_a_and_b_at_once_b_accepted_first_a_declines(staged: StagedShop, first: str) -> None:
    """Once B is captured, A's decline releases nothing."""
    calls, visits = pay_both(staged, first)
    visits["B"].accept()
    calls["B"].result()
    visits["A"].decline()
    assert word(calls["A"].result().payment) == "DECLINED"
    assert staged.actions("a") == [("RESERVE", 2)]
    assert staged.get_order("o").captured_minor == 100


@pytest.mark.parametrize("first", ["A", "B"])
@pytest.mark.parametrize("b_accepted", [True, False])
def test_pay_a_and_b_at_once_both_answers_in_one_batch(
    staged: StagedShop, together: Together, first: str, b_accepted: bool
) -> None:
    """Both verdicts are recorded in one transaction: it is as if one had come after the other."""
    calls, visits = pay_both(staged, first)
    with together():
        visits["A"].decline()
        (visits["B"].accept if b_accepted else visits["B"].decline)()
    assert word(calls["A"].result().payment) == "DECLINED"
    assert word(calls["B"].result().payment) == ("CAPTURED" if b_accepted else "DECLINED")
    assert staged.numbers("a") == ((2, 0, 2) if b_accepted else (2, 2, 0))
    assert len(staged.actions("a")) == (1 if b_accepted else 2)


@pytest.mark.parametrize("first", ["A", "B"])
def test_pay_a_and_b_at_once_in_one_batch(staged: StagedShop, together: Together, first: str) -> None:
    """Two payments of the whole total arrive together: the first takes it, the second is in its way."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    with together():
        winner = staged.start_paying("o", first, 200)
        staged.settle_in()
        loser = staged.start_paying("o", other(first), 200)
    assert staged.reason_of(loser) == "PAYMENT_IN_PROGRESS"
    staged.at_gateway().accept()
    assert winner.result().payment.payment_id == first
    assert staged.purchases == [first]
    assert staged.actions("a") == [("RESERVE", 2)]


# --- A declines (released), B arrives later --------------------------------------------------------


def test_a_declines_b_arrives_later_and_allocates_afresh(staged: StagedShop) -> None:
    """After the release B takes the units again, under a reservation of its own."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "A", 200)
    visit.decline()
    call.result()
    first = staged.get_order("o").reservation_id
    call, visit = staged.pay_up_to_gateway("o", "B", 200)
    visit.accept()
    assert word(call.result().payment) == "CAPTURED"
    assert staged.actions("a") == [("RESERVE", 2), ("RELEASE", 2), ("RESERVE", 2)]
    second = staged.get_order("o").reservation_id
    assert (word(staged.reservation(first)), word(staged.reservation(second))) == ("RELEASED", "COMMITTED")


def test_a_declines_b_arrives_later_and_is_refused(staged: StagedShop) -> None:
    """Somebody else took the units after the release: B is refused and the gateway not called."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "A", 200)
    visit.decline()
    call.result()
    staged.reserve("r", ("a", 1))
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.pay("o", "B", 200)
    assert staged.purchases == ["A"]


@pytest.mark.parametrize("first", ["decline", "B"])
def test_a_declines_b_arrives_in_the_same_batch(staged: StagedShop, together: Together, first: str) -> None:
    """The decline first: released, and B allocates afresh. B first: it finds the units held."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "A", 100)
    visit.lose_the_reply()
    call.result()
    request = staged.resolve_request("A", "DECLINED")
    with together():
        for step in (first, "B" if first == "decline" else "decline"):
            if step == "decline":
                declined = staged.checkout.ResolvePayment.future(request)
            else:
                paid = staged.start_paying("o", "B", 100)
            staged.settle_in()
    assert word(declined.result().payment) == "DECLINED"
    staged.at_gateway().accept()
    assert word(paid.result().payment) == "CAPTURED"
    afresh = [("RELEASE", 2), ("RESERVE", 2)] if first == "decline" else []
    assert staged.actions("a") == [("RESERVE", 2), *afresh]


# --- same payment_id -------------------------------------------------------------------------------


@pytest.mark.fault(17)
@pytest.mark.parametrize("in_one_batch", [False, True])
def test_same_payment_id_50_times(staged: StagedShop, together: Together, in_one_batch: bool) -> None:
    """One operation; the 49 others get its current state at once, while the gateway still thinks."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    if in_one_batch:
        with together():
            calls = [staged.start_paying("o", "p", 200) for _ in range(50)]
    else:
        calls = [staged.start_paying("o", "p", 200) for _ in range(50)]
    visit = staged.at_gateway()
    waiting = [call for call in calls if not call.done()]
    while len(waiting) > 1:
        staged.settle_in()
        waiting = [call for call in waiting if not call.done()]
    assert len(waiting) == 1
    early = [call.result().payment for call in calls if call is not waiting[0]]
    assert [word(payment) for payment in early] == ["PROCESSING"] * 49
    visit.accept()
    assert word(waiting[0].result().payment) == "CAPTURED"
    late = [staged.start_paying("o", "p", 200) for _ in range(50)]
    assert {word(call.result().payment) for call in late} == {"CAPTURED"}
    assert staged.purchases == ["p"]
    assert staged.actions("a") == [("RESERVE", 2)]
    assert staged.get_order("o").captured_minor == 200


def test_same_payment_id_after_declined(staged: StagedShop) -> None:
    """Declined again, at once and without the gateway; a new try is a new id."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.decline()
    declined = call.result().payment
    before = staged.observer.written(staged.store)
    assert staged.pay("o", "p", 200) == declined
    assert staged.observer.written(staged.store) == before
    assert staged.purchases == ["p"]
    call, visit = staged.pay_up_to_gateway("o", "p-2", 200)
    visit.accept()
    assert word(call.result().payment) == "CAPTURED"


@pytest.mark.parametrize("first", ["decline", "again"])
def test_same_payment_id_after_declined_in_one_batch(
    staged: StagedShop, together: Together, first: str
) -> None:
    """The decline first: declined again. The repeat first: it is in flight still. No second call for it."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.lose_the_reply()
    call.result()
    declined = staged.resolve_request("p", "DECLINED")
    calls = together.sent(
        first,
        {
            "decline": lambda: staged.checkout.ResolvePayment.future(declined),
            "again": lambda: staged.start_paying("o", "p", 200),
        },
    )
    assert word(calls["decline"].result().payment) == "DECLINED"
    assert word(calls["again"].result().payment) == ("DECLINED" if first == "decline" else "PROCESSING")
    assert (staged.purchases, staged.actions("a")) == (["p"], [("RESERVE", 2), ("RELEASE", 2)])


# --- half paid, never the rest ---------------------------------------------------------------------


def test_half_paid_never_the_rest(staged: StagedShop) -> None:
    """Held, whoever else wants the units and whatever became of further tries; listed by age; cancelled."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "half", 100)
    visit.accept()
    call.result()
    call, visit = staged.pay_up_to_gateway("o", "rest", 100)
    visit.decline()
    call.result()
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("r", ("a", 1))
    with staged.refused("ORDER_NOT_SHIPPABLE"):
        staged.ship("o", "s")
    assert staged.numbers("a") == (2, 0, 2)
    captured = v1.PaymentState.PAYMENT_STATE_CAPTURED
    assert [p.payment_id for p in staged.list_payments(states=[captured])] == ["half"]
    staged.cancel("o")
    assert staged.numbers("a") == (2, 2, 0)
    assert staged.reserve("r", ("a", 2)).lines[0].open == 2
    call, visit = staged.up_to_gateway("Refund", "half", 100)
    visit.accept()
    assert word(call.result().payment) == "REFUNDED"
    assert staged.numbers("a") == (2, 0, 2)


# --- outcome unknown x cancel / ship ---------------------------------------------------------------


@pytest.mark.fault(16)
@pytest.mark.parametrize("is_lost", [False, True])
@pytest.mark.parametrize("call_name", ["cancel", "ship"])
def test_outcome_unknown_x_cancel_or_ship(staged: StagedShop, call_name: str, is_lost: bool) -> None:
    """While a payment is in flight or in doubt the order is neither cancelled nor shipped."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    if is_lost:
        visit.lose_the_reply()
        assert word(call.result().payment) == "PROCESSING"
    with staged.refused("PAYMENT_IN_PROGRESS") as refusal:
        if call_name == "cancel":
            staged.cancel("o")
        else:
            staged.ship("o", "s")
    assert refusal.metadata == {"order_id": "o"}
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("r", ("a", 1))
    assert staged.numbers("a") == (2, 0, 2)
    if not is_lost:
        visit.accept()
        call.result()
        assert word(staged.cancel("o")) == "CANCELLED"


def test_outcome_unknown_x_cancel_of_a_half_paid_order(staged: StagedShop) -> None:
    """That another payment is captured does not make the one in doubt forgotten."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "p-1", 100)
    visit.accept()
    call.result()
    call, visit = staged.pay_up_to_gateway("o", "p-2", 100)
    visit.lose_the_reply()
    call.result()
    with staged.refused("PAYMENT_IN_PROGRESS"):
        staged.cancel("o")


@pytest.mark.fault(16)
@pytest.mark.parametrize("first", ["cancel", "pay"])
def test_cancel_x_pay_in_one_batch(staged: StagedShop, together: Together, first: str) -> None:
    """Cancel first: pay is refused and nothing is held. Pay first: cancel waits for its outcome."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    calls = {}
    with together():
        for name in (first, "pay" if first == "cancel" else "cancel"):
            if name == "pay":
                calls[name] = staged.start_paying("o", "p", 200)
            else:
                calls[name] = staged.checkout.CancelOrder.future(v1.CancelOrderRequest(order_id="o"))
            staged.settle_in()
    if first == "cancel":
        assert staged.reason_of(calls["cancel"]) == "OK"
        assert staged.reason_of(calls["pay"]) == "ORDER_CANCELLED"
        assert (staged.actions("a"), staged.purchases) == ([], [])
    else:
        assert staged.reason_of(calls["cancel"]) == "PAYMENT_IN_PROGRESS"
        staged.at_gateway().accept()
        assert word(calls["pay"].result().payment) == "CAPTURED"
        assert staged.numbers("a") == (2, 0, 2)


@pytest.mark.parametrize("outcome", ["ACCEPTED", "DECLINED"])
@pytest.mark.parametrize("move", ["cancel", "reallocate", "ship"])
@pytest.mark.parametrize("first", ["outcome", "move"])
def test_outcome_unknown_x_cancel_reallocate_ship(
    staged: StagedShop, together: Together, first: str, move: str, outcome: str
) -> None:
    """Before the outcome PAYMENT_IN_PROGRESS, after it what the outcome allows."""
    staged.stock("a", 2)
    for order_id in ("o", "target"):
        staged.order(order_id, ("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.lose_the_reply()
    call.result()
    request = staged.resolve_request("p", outcome)
    moves: Steps = {
        "cancel": lambda: staged.checkout.CancelOrder.future(staged.cancel_request("o")),
        "reallocate": lambda: staged.checkout.CancelOrder.future(staged.cancel_request("o", "target")),
        "ship": lambda: staged.checkout.ShipOrder.future(staged.ship_request("o", "s")),
    }
    told = together.told(
        first,
        {"outcome": lambda: staged.checkout.ResolvePayment.future(request), "move": moves[move]},
    )
    if first == "move":
        assert told == {"outcome": "OK", "move": "PAYMENT_IN_PROGRESS"}
        assert staged.numbers("a") == ((2, 0, 2) if outcome == "ACCEPTED" else (2, 2, 0))
        return
    unpaid = move == "ship" and outcome == "DECLINED"
    assert told == {"outcome": "OK", "move": "ORDER_NOT_SHIPPABLE" if unpaid else "OK"}
    shipped = (0, 0, 0) if outcome == "ACCEPTED" else (2, 2, 0)
    moved = {"cancel": (2, 2, 0), "reallocate": (2, 0, 2), "ship": shipped}
    assert staged.numbers("a") == moved[move]
