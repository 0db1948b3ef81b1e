"""The table "Interleavings" of the product, row by row: each test is named after its row.

`staged` holds payments at the gateway and batches at the database, so each order of arrival is made, not
hoped for.
"""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from support.shop import Shop, StagedShop, word

BOTH = ("A", "B")


def other(payment_id: str) -> str:
    return "B" if payment_id == "A" else "A"


def pay_both(staged: StagedShop, first: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Begin to pay 200 by A and by B, 100 each, `first` first; return the calls and the visits."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    calls, visits = {}, {}
    for payment_id in (first, other(first)):
        calls[payment_id], visits[payment_id] = staged.pay_up_to_gateway("o", payment_id, 100)
    assert staged.actions("a") == [("RESERVE", 2)]
    return calls, visits


# --- pay A and B at once, A declines first ---------------------------------------------------------


@pytest.mark.parametrize("first", BOTH)
def test_pay_a_and_b_at_once_a_declines_first_b_accepted(staged: StagedShop, first: str) -> None:
    """A's decline releases nothing while B is in flight; B accepted: held."""
    calls, visits = pay_both(staged, first)
    visits["A"].decline()
    assert word(calls["A"].result().payment) == "DECLINED"
    assert staged.numbers("a") == (2, 0, 2)
    visits["B"].accept()
    assert word(calls["B"].result().payment) == "CAPTURED"
    assert staged.actions("a") == [("RESERVE", 2)]
    assert word(staged.reservation(staged.get_order("o").reservation_id)) == "COMMITTED"


@pytest.mark.parametrize("first", BOTH)
def test_pay_a_and_b_at_once_a_declines_first_b_declines_too(staged: StagedShop, first: str) -> None:
    """The last decline releases, once."""
    calls, visits = pay_both(staged, first)
    for payment_id in BOTH:
        assert staged.numbers("a") == (2, 0, 2)
        visits[payment_id].decline()
        assert word(calls[payment_id].result().payment) == "DECLINED"
    assert staged.actions("a") == [("RESERVE", 2), ("RELEASE", 2)]


@pytest.mark.parametrize("first", BOTH)
def test_pay_a_and_b_at_once_b_accepted_first_a_declines(staged: StagedShop, first: str) -> None:
    """Once B is captured, A's decline releases nothing."""
    calls, visits = pay_both(staged, first)
    visits["B"].accept()
    calls["B"].result()
    visits["A"].decline()
    assert word(calls["A"].result().payment) == "DECLINED"
    assert staged.actions("a") == [("RESERVE", 2)]
    assert staged.get_order("o").captured_minor == 100


@pytest.mark.parametrize("first", BOTH)
@pytest.mark.parametrize("b_accepted", [True, False])
def test_pay_a_and_b_at_once_both_answers_in_one_batch(
    staged: StagedShop, first: str, b_accepted: bool
) -> None:
    """Both verdicts are recorded in one transaction: it is as if one had come after the other."""
    calls, visits = pay_both(staged, first)
    with staged.batch_held():
        visits["A"].decline()
        (visits["B"].accept if b_accepted else visits["B"].decline)()
    assert word(calls["A"].result().payment) == "DECLINED"
    assert word(calls["B"].result().payment) == ("CAPTURED" if b_accepted else "DECLINED")
    assert staged.numbers("a") == ((2, 0, 2) if b_accepted else (2, 2, 0))
    assert len(staged.actions("a")) == (1 if b_accepted else 2)


@pytest.mark.parametrize("first", BOTH)
def test_pay_a_and_b_at_once_in_one_batch(staged: StagedShop, first: str) -> None:
    """Two payments of the whole total arrive together: the first takes it, the second is in its way."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    with staged.batch_held():
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


# --- same payment_id -------------------------------------------------------------------------------


@pytest.mark.parametrize("in_one_batch", [False, True])
def test_same_payment_id_50_times(staged: StagedShop, in_one_batch: bool) -> None:
    """One operation; the 49 others get its current state at once, while the gateway still thinks."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    if in_one_batch:
        with staged.batch_held():
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


# --- half paid, never the rest ---------------------------------------------------------------------


def test_half_paid_never_the_rest(staged: StagedShop) -> None:
    """Held, whoever else wants the units and whatever became of further tries, until it is cancelled."""
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
    staged.cancel("o")
    assert staged.numbers("a") == (2, 2, 0)
    assert staged.reserve("r", ("a", 2)).lines[0].open == 2


# --- outcome unknown x cancel / ship ---------------------------------------------------------------


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


@pytest.mark.parametrize("first", ["cancel", "pay"])
def test_cancel_x_pay_in_one_batch(staged: StagedShop, first: str) -> None:
    """Cancel first: pay is refused and nothing is held. Pay first: cancel waits for its outcome."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    calls = {}
    with staged.batch_held():
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


# --- cancel x ship ---------------------------------------------------------------------------------


@pytest.mark.parametrize("in_one_batch", [False, True])
@pytest.mark.parametrize("first", ["cancel", "ship"])
def test_cancel_x_ship(shop: Shop, first: str, in_one_batch: bool) -> None:
    """Batch order decides: the first wins, the second is refused, no unit is both released and shipped."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 2))
    requests: dict[str, Any] = {
        "cancel": lambda: shop.checkout.CancelOrder.future(v1.CancelOrderRequest(order_id="o")),
        "ship": lambda: shop.checkout.ShipOrder.future(v1.ShipOrderRequest(order_id="o", shipment_id="s")),
    }
    second = "ship" if first == "cancel" else "cancel"
    if in_one_batch:
        with shop.batch_held():
            won = requests[first]()
            shop.settle_in()
            lost = requests[second]()
    else:
        won = requests[first]()
        won.result()
        lost = requests[second]()
    assert shop.reason_of(won) == "OK"
    assert shop.reason_of(lost) == ("ORDER_CANCELLED" if first == "cancel" else "ORDER_NOT_CANCELLABLE")
    assert shop.numbers("a") == ((5, 5, 0) if first == "cancel" else (3, 3, 0))
    assert shop.actions("a") == [("RESERVE", 2), ("RELEASE" if first == "cancel" else "FULFILL", 2)]
    assert word(shop.get_order("o")) == ("CANCELLED" if first == "cancel" else "COMPLETE")


# --- expiry x pay, confirm -------------------------------------------------------------------------


def test_expiry_x_pay(staged: StagedShop) -> None:
    """A due hold of somebody else gives its units to the order that is paid, though no sweeper came."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    staged.reserve_until_soon("late", ("a", 2))
    staged.wait_until_due(("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.accept()
    assert word(call.result().payment) == "CAPTURED"
    assert word(staged.reservation("late")) == "EXPIRED"
    assert staged.actions("a") == [("RESERVE", 2), ("EXPIRE", 2), ("RESERVE", 2)]
    with staged.refused("RESERVATION_EXPIRED"):
        staged.confirm("late")


@pytest.mark.parametrize("first", ["confirm", "take"])
def test_expiry_x_confirm(staged: StagedShop, first: str) -> None:
    """A due hold and somebody who needs its units arrive together: whoever is first has them, exactly one."""
    staged.stock("a", 2)
    staged.reserve_until_soon("late", ("a", 2))
    staged.wait_until_due(("a", 2))
    confirm = v1.ConfirmReservationRequest(reservation_id="late")
    with staged.batch_held():
        calls: dict[str, Any] = {}
        for name in (first, "take" if first == "confirm" else "confirm"):
            if name == "confirm":
                calls[name] = staged.inventory.ConfirmReservation.future(confirm)
            else:
                calls[name] = staged.inventory.ReserveStock.future(staged.reserve_request("r", ("a", 2)))
            staged.settle_in()
    assert staged.reason_of(calls[first]) == "OK"
    assert staged.reason_of(calls["take" if first == "confirm" else "confirm"]) == (
        "INSUFFICIENT_STOCK" if first == "confirm" else "RESERVATION_EXPIRED"
    )
    assert word(staged.reservation("late")) == ("COMMITTED" if first == "confirm" else "EXPIRED")
    assert staged.numbers("a") == (2, 0, 2)


# --- release before its reserve arrives ------------------------------------------------------------


@pytest.mark.parametrize("in_one_batch", [False, True])
def test_release_before_its_reserve_arrives(staged: StagedShop, in_one_batch: bool) -> None:
    """NOT_FOUND; the late hold stands, and dies by its expiry."""
    staged.stock("a", 2)
    release = v1.ReleaseReservationRequest(reservation_id="r")
    request = staged.reserve_request("r", ("a", 2))
    request.ttl.seconds = 1
    if in_one_batch:
        with staged.batch_held():
            released = staged.inventory.ReleaseReservation.future(release)
            staged.settle_in()
            reserved = staged.inventory.ReserveStock.future(request)
    else:
        released = staged.inventory.ReleaseReservation.future(release)
        assert staged.reason_of(released) == "RESERVATION_NOT_FOUND"
        reserved = staged.inventory.ReserveStock.future(request)
    assert staged.reason_of(released) == "RESERVATION_NOT_FOUND"
    assert word(reserved.result().reservation) == "HELD"
    staged.wait_until_due(("a", 2))
    staged.reserve("next", ("a", 2))
    assert word(staged.reservation("r")) == "EXPIRED"


@pytest.mark.parametrize("in_one_batch", [False, True])
def test_release_then_a_late_repeat_of_its_reserve(staged: StagedShop, in_one_batch: bool) -> None:
    """A retry that arrives after the release never holds again."""
    staged.stock("a", 2)
    request = staged.reserve_request("r", ("a", 2))
    release = v1.ReleaseReservationRequest(reservation_id="r")
    staged.inventory.ReserveStock(request)
    if in_one_batch:
        with staged.batch_held():
            released = staged.inventory.ReleaseReservation.future(release)
            staged.settle_in()
            repeat = staged.inventory.ReserveStock.future(request)
        assert staged.reason_of(released) == "OK"
    else:
        staged.release("r")
        repeat = staged.inventory.ReserveStock.future(request)
    assert staged.reason_of(repeat) == "RESERVATION_NOT_ACTIVE"
    assert staged.numbers("a") == (2, 2, 0)


# --- set below allocated ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["set", "reserve"])
def test_set_below_allocated(staged: StagedShop, first: str) -> None:
    """A count below what is allocated is refused; equal is fine (available 0). Whoever is first counts."""
    staged.stock("a", 5)
    with staged.batch_held():
        calls: dict[str, Any] = {}
        for name in (first, "reserve" if first == "set" else "set"):
            if name == "set":
                calls[name] = staged.inventory.CreateStockTransaction.future(
                    staged.change_request("a", "SET", 2)
                )
            else:
                calls[name] = staged.inventory.ReserveStock.future(staged.reserve_request("r", ("a", 3)))
            staged.settle_in()
    assert staged.reason_of(calls[first]) == "OK"
    assert staged.reason_of(calls["reserve" if first == "set" else "set"]) == (
        "INSUFFICIENT_STOCK" if first == "set" else "TOTAL_BELOW_ALLOCATED"
    )
    assert staged.numbers("a") == ((2, 2, 0) if first == "set" else (5, 2, 3))
    if first == "reserve":
        assert staged.change("a", "SET", 3).available_after == 0
