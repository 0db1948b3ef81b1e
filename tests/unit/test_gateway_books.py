"""The simulator's own books: what a gateway refuses whatever its script says, and what money moved."""

from __future__ import annotations

import pytest

from inventory_client import v1
from inventory_loadtest.gateway_books import Account
from inventory_loadtest.gateway_ledger import OperationRequest
from inventory_loadtest.gateway_script import Script

R = v1.GatewayResult
ASKS = Script(result=R.GATEWAY_RESULT_REQUIRES_ACTION)
DECLINES = Script(result=R.GATEWAY_RESULT_DECLINED, decline_reason="no")
LAPSED = Script(result=R.GATEWAY_RESULT_DECLINED, decline_reason="it has run out", lapsed=True)
ACCEPTED, DECLINED = "ACCEPTED", "DECLINED"


def do(account: Account, request: OperationRequest, script: Script | None = None) -> tuple[str, int]:
    """Bring an operation to its end; return (how it ended, money taken)."""
    outcome, taken_minor = account.end(request, script or Script())
    return R.Name(outcome.result).removeprefix("GATEWAY_RESULT_"), taken_minor


def begun(kind: str, script: Script | None = None) -> Account:
    account = Account()
    request = getattr(v1, f"{kind}Request")(amount_minor=100)
    account.begin(request)
    do(account, request, script)
    return account


def capture(amount_minor: int) -> v1.CaptureRequest:
    return v1.CaptureRequest(amount_minor=amount_minor)


def refund(amount_minor: int) -> v1.RefundRequest:
    return v1.RefundRequest(amount_minor=amount_minor)


def test_a_purchase_is_refunded_up_to_what_it_took() -> None:
    """In parts, and not a minor unit beyond."""
    account = begun("Purchase")
    assert do(account, refund(60)) == (ACCEPTED, -60)
    assert do(account, refund(41)) == (DECLINED, 0)
    assert do(account, refund(40)) == (ACCEPTED, -40)
    assert do(account, refund(1)) == (DECLINED, 0)


def test_an_authorization_takes_nothing_until_it_is_captured_once() -> None:
    """One capture of at most the whole; what is left of it is let go."""
    account = begun("Authorize")
    assert account.taken_minor == 0
    assert do(account, capture(101)) == (DECLINED, 0)
    assert do(account, capture(70)) == (ACCEPTED, 70)
    assert do(account, capture(1)) == (DECLINED, 0)
    assert do(account, v1.VoidRequest(amount_minor=100)) == (DECLINED, 0)
    assert do(account, refund(70)) == (ACCEPTED, -70)


def test_a_void_lets_go() -> None:
    """After it nothing is captured; a second has nothing to let go."""
    account = begun("Authorize")
    void = v1.VoidRequest(amount_minor=100)
    assert do(account, void) == (ACCEPTED, 0)
    assert do(account, capture(1)) == (DECLINED, 0)
    assert do(account, void) == (DECLINED, 0)


def test_an_authorization_that_has_lapsed() -> None:
    """It says so, and so does every refusal after it."""
    account = begun("Authorize")
    assert account.end(capture(100), LAPSED)[0].authorization_lapsed
    outcome, _ = account.end(v1.VoidRequest(amount_minor=100), Script())
    assert (outcome.result, outcome.authorization_lapsed) == (R.GATEWAY_RESULT_DECLINED, True)


@pytest.mark.parametrize(("kind", "taken_minor"), [("Purchase", 100), ("Authorize", 0)])
def test_confirm_alone_moves_money_after_the_shopper(kind: str, taken_minor: int) -> None:
    """It needs something that waits; then it ends as the first would have."""
    confirm = v1.ConfirmRequest(amount_minor=100)
    assert do(begun(kind), confirm) == (DECLINED, 0)
    account = begun(kind, ASKS)
    assert account.taken_minor == 0
    assert do(account, confirm) == (ACCEPTED, taken_minor)
    assert do(account, confirm) == (DECLINED, 0)
    if kind == "Authorize":
        assert do(account, capture(100)) == (ACCEPTED, 100)


def test_what_is_declined_moves_nothing() -> None:
    """Whatever kind it is, the books are as before."""
    account = begun("Authorize")
    assert do(account, capture(100), DECLINES) == (DECLINED, 0)
    assert do(account, v1.VoidRequest(amount_minor=100), DECLINES) == (DECLINED, 0)
    assert do(account, capture(100)) == (ACCEPTED, 100)
    assert do(account, refund(100), DECLINES) == (DECLINED, 0)
    assert (account.taken_minor, account.given_back_minor) == (100, 0)
