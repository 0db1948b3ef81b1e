"""The rows of "Interleavings" about an order that holds units by a clock when it is paid."""

from __future__ import annotations

import pytest

from support.interleavings import Together
from support.polling import until
from support.shop import StagedShop, word

LONG_S, SOON_S = 3600.0, 0.4


def held_order(staged: StagedShop, expires_in_s: float) -> str:
    """2 of `a`, and an unpaid order `o` to which a cancelled one left both; return its hold.

    Such a hold lives for 24 h, which are made to be over by then.
    """
    staged.stock("a", 2)
    for order_id in ("cancelled", "o"):
        staged.order(order_id, ("a", 2))
    staged.cancel_for("cancelled", "o")
    hold = staged.get_order("o").reservation_id
    staged.observer.runs_out(staged.store, hold, expires_in_s)
    return hold


def wait_until_due(staged: StagedShop, hold: str) -> None:
    """Wait until the hold's time is over; read in the database, whose clock it is."""
    until(lambda: staged.observer.is_past(staged.store, hold), "the hold's time is over")


# --- expiry x pay ----------------------------------------------------------------------------------


@pytest.mark.fault(18)
def test_expiry_x_pay_transaction_1_suspends_the_expiry(staged: StagedShop) -> None:
    """In flight, the time passes and nobody gets the units; accepted, they are the customer's."""
    hold = held_order(staged, SOON_S)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    wait_until_due(staged, hold)
    assert word(staged.reservation(hold)) == "HELD"
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("r", ("a", 1))
    visit.accept()
    assert word(call.result().payment) == "CAPTURED"
    assert word(staged.reservation(hold)) == "COMMITTED"
    assert staged.actions("a") == [("RESERVE", 2)]


@pytest.mark.fault(18)
@pytest.mark.parametrize("first", ["pay", "take"])
def test_expiry_x_pay_due_at_that_instant(staged: StagedShop, together: Together, first: str) -> None:
    """As expired: who is first has the units. The payment allocates them afresh, or is refused."""
    hold = held_order(staged, 0.0)
    wait_until_due(staged, hold)
    with together():
        for step in (first, "take" if first == "pay" else "pay"):
            if step == "pay":
                paid = staged.start_paying("o", "p", 200)
            else:
                taken = staged.inventory.ReserveStock.future(staged.reserve_request("r", ("a", 1)))
            staged.settle_in()
    if first == "pay":
        assert staged.reason_of(taken) == "INSUFFICIENT_STOCK"
        staged.at_gateway().accept()
        assert word(paid.result().payment) == "CAPTURED"
        assert staged.get_order("o").reservation_id != hold
    else:
        assert staged.reason_of(taken) == "OK"
        assert staged.reason_of(paid) == "INSUFFICIENT_STOCK"
        assert staged.asked == []
    assert word(staged.reservation(hold)) == "EXPIRED"


# --- decline of a once-held order ------------------------------------------------------------------


def test_decline_of_a_once_held_order_back_to_held(staged: StagedShop) -> None:
    """Not due: the hold goes on, and a new try finds the units there."""
    hold = held_order(staged, LONG_S)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.decline()
    assert word(call.result().payment) == "DECLINED"
    assert word(staged.reservation(hold)) == "HELD"
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("r", ("a", 1))
    staged.begun("o", "q", 200, "CAPTURED")
    assert staged.actions("a") == [("RESERVE", 2)]


def test_decline_of_a_once_held_order_else_expired(staged: StagedShop) -> None:
    """Due meanwhile: EXPIRED with the decline, and the units are free."""
    hold = held_order(staged, SOON_S)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    wait_until_due(staged, hold)
    visit.decline()
    assert word(call.result().payment) == "DECLINED"
    assert staged.actions("a") == [("RESERVE", 2), ("EXPIRE", 2)]
    assert word(staged.reservation(hold)) == "EXPIRED"


@pytest.mark.parametrize("first", ["decline", "take"])
def test_decline_of_a_once_held_order_x_take(staged: StagedShop, together: Together, first: str) -> None:
    """Due meanwhile, and somebody wants the units: before the decline he is refused, after it he has them."""
    hold = held_order(staged, SOON_S)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.lose_the_reply()
    call.result()
    wait_until_due(staged, hold)
    request = staged.resolve_request("p", "DECLINED")
    with together():
        for step in (first, "take" if first == "decline" else "decline"):
            if step == "decline":
                declined = staged.checkout.ResolvePayment.future(request)
            else:
                taken = staged.inventory.ReserveStock.future(staged.reserve_request("r", ("a", 1)))
            staged.settle_in()
    assert word(declined.result().payment) == "DECLINED"
    assert staged.reason_of(taken) == ("OK" if first == "decline" else "INSUFFICIENT_STOCK")
    assert word(staged.reservation(hold)) == "EXPIRED"
