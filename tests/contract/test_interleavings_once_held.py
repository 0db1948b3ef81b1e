"""The rows of "Interleavings" about an order that holds units by a clock when it is paid."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest

from support.polling import until
from support.shop import StagedShop, word

Together = Callable[[], AbstractContextManager[None]]
LONG_S, SOON_S = 3600.0, 0.4


def held_order(staged: StagedShop, expires_in_s: float) -> None:
    """2 of `a`, and an unpaid order `o` of both that holds them until then."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    staged.reserve("early", ("a", 2), order_id="o")
    staged.observer.hold_for_order(staged.store, "early", "o", expires_in_s)


def is_due(staged: StagedShop) -> bool:
    """Whether the hold's time is over; read in the database, whose clock it is."""
    return staged.observer.is_past(staged.store, "early")


# --- expiry x pay ----------------------------------------------------------------------------------


def test_expiry_x_pay_transaction_1_suspends_the_expiry(staged: StagedShop) -> None:
    """In flight, the time passes and nobody gets the units; accepted, they are the customer's."""
    held_order(staged, SOON_S)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    until(lambda: is_due(staged), "the hold's time is over")
    assert word(staged.reservation("early")) == "HELD"
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("r", ("a", 1))
    visit.accept()
    assert word(call.result().payment) == "CAPTURED"
    assert word(staged.reservation("early")) == "COMMITTED"
    assert staged.actions("a") == [("RESERVE", 2)]


@pytest.mark.parametrize("first", ["pay", "take"])
def test_expiry_x_pay_due_at_that_instant(staged: StagedShop, together: Together, first: str) -> None:
    """As expired: who is first has the units. The payment allocates them afresh, or is refused."""
    held_order(staged, 0.0)
    until(lambda: is_due(staged), "the hold's time is over")
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
        assert staged.get_order("o").reservation_id != "early"
    else:
        assert staged.reason_of(taken) == "OK"
        assert staged.reason_of(paid) == "INSUFFICIENT_STOCK"
        assert staged.asked == []
    assert word(staged.reservation("early")) == "EXPIRED"


# --- decline of a once-held order ------------------------------------------------------------------


def test_decline_of_a_once_held_order_back_to_held(staged: StagedShop) -> None:
    """Not due: the hold goes on, and a new try finds the units there."""
    held_order(staged, LONG_S)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.decline()
    assert word(call.result().payment) == "DECLINED"
    assert word(staged.reservation("early")) == "HELD"
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("r", ("a", 1))
    staged.begun("o", "q", 200, "CAPTURED")
    assert staged.actions("a") == [("RESERVE", 2)]


def test_decline_of_a_once_held_order_else_expired(staged: StagedShop) -> None:
    """Due meanwhile: EXPIRED with the decline, and the units are free."""
    held_order(staged, SOON_S)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    until(lambda: is_due(staged), "the hold's time is over")
    visit.decline()
    assert word(call.result().payment) == "DECLINED"
    assert staged.actions("a") == [("RESERVE", 2), ("EXPIRE", 2)]
    assert word(staged.reservation("early")) == "EXPIRED"


@pytest.mark.parametrize("first", ["decline", "take"])
def test_decline_of_a_once_held_order_x_take(staged: StagedShop, together: Together, first: str) -> None:
    """Due meanwhile, and somebody wants the units: before the decline he is refused, after it he has them."""
    held_order(staged, SOON_S)
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.lose_the_reply()
    call.result()
    until(lambda: is_due(staged), "the hold's time is over")
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
    assert word(staged.reservation("early")) == "EXPIRED"
