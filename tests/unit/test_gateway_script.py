"""The payment gateway simulator's script: decided by seed and ids alone."""

from __future__ import annotations

import pytest

from inventory_client import v1
from inventory_loadtest.gateway_script import REFUSALS_MAX, Rates, Reply, script_of

R = v1.GatewayResult


def purchase(number: int = 1, method: str = "") -> v1.PurchaseRequest:
    return v1.PurchaseRequest(
        operation_id=f"op-{number}",
        order_id=f"order-{number}",
        payment_id=f"pay-{number}",
        amount_minor=100,
        currency="EUR",
        payment_method=method,
    )


def test_a_script_depends_on_seed_and_ids_alone() -> None:
    """The same order, payment and seed give the same script, under another operation id too."""
    rates = Rates(decline_rate=0.5, lost_reply_rate=0.5, duplicate_rate=0.5, outage_rate=0.5)
    for number in range(50):
        again = purchase(number)
        again.operation_id = "another"
        assert script_of(purchase(number), rates) == script_of(again, rates)
    other_seed = Rates(decline_rate=0.5, lost_reply_rate=0.5, duplicate_rate=0.5, outage_rate=0.5, seed=2)
    assert any(script_of(purchase(n), rates) != script_of(purchase(n), other_seed) for n in range(50))


def test_rates_are_shares() -> None:
    """Of 2,000 operations about the share asked for is declined, lost, doubled, refused."""
    rates = Rates(decline_rate=0.1, lost_reply_rate=0.2, duplicate_rate=0.3, outage_rate=0.4)
    scripts = [script_of(purchase(n), rates) for n in range(2000)]
    assert 140 < sum(s.result == R.GATEWAY_RESULT_DECLINED for s in scripts) < 260
    assert 320 < sum(s.reply is not Reply.SENT for s in scripts) < 480
    assert 140 < sum(s.reply is Reply.NEVER for s in scripts) < 260
    assert 500 < sum(s.twice for s in scripts) < 700
    assert 700 < sum(s.refusals > 0 for s in scripts) < 900
    assert 250 < sum(s.refusals > 1 for s in scripts) < 400


def test_no_rate_means_no_fault() -> None:
    """With all rates 0 every operation is accepted, once, after the latency."""
    for number in range(200):
        script = script_of(purchase(number), Rates(latency_ms=5))
        assert script.result == R.GATEWAY_RESULT_ACCEPTED
        assert (script.reply, script.twice, script.refusals) == (Reply.SENT, False, 0)
        assert (script.delay_s, script.pending_s) == (0.005, 0.0)


def test_a_rate_of_one_means_always() -> None:
    """An outage rate of 1 refuses every delivery."""
    assert script_of(purchase(), Rates(outage_rate=1)).refusals == REFUSALS_MAX


@pytest.mark.parametrize(
    ("words", "field", "value"),
    [
        ("accept", "result", R.GATEWAY_RESULT_ACCEPTED),
        ("decline", "result", R.GATEWAY_RESULT_DECLINED),
        ("requires-action", "result", R.GATEWAY_RESULT_REQUIRES_ACTION),
        ("pending", "pending_s", 1.0),
        ("pending-250ms", "pending_s", 0.25),
        ("lost-reply", "reply", Reply.LOST),
        ("no-reply", "reply", Reply.NEVER),
        ("outage", "refusals", 1),
        ("outage-3", "refusals", 3),
        ("down", "refusals", REFUSALS_MAX),
        ("duplicate", "twice", True),
        ("slow", "delay_s", 0.52),
        ("slow-500ms", "delay_s", 0.52),
        ("slow-2000ms, decline", "delay_s", 2.02),
    ],
)
def test_words_of_the_payment_method(words: str, field: str, value: object) -> None:
    """Every steering word does what it says, whatever the rates are."""
    rates = Rates(latency_ms=20, decline_rate=1, lost_reply_rate=1, duplicate_rate=1, outage_rate=1)
    assert getattr(script_of(purchase(method=f"sim:{words}"), rates), field) == value


def test_an_unknown_word_is_declined() -> None:
    """A misspelt word is an answer that names it."""
    script = script_of(purchase(method="sim:declin"), Rates())
    assert script.result == R.GATEWAY_RESULT_DECLINED
    assert "'declin'" in script.decline_reason


@pytest.mark.parametrize("wrong", [{"latency_ms": -1}, {"decline_rate": 1.1}, {"outage_rate": -0.1}])
def test_rates_out_of_range(wrong: dict[str, float]) -> None:
    """A rate that is no share and a negative latency are refused."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rates(**wrong)  # type: ignore[arg-type]
