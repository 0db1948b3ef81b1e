"""The payment gateway simulator's script: decided by seed and ids alone."""

from __future__ import annotations

import pytest

from inventory_client import v1
from inventory_loadtest.gateway_script import REFUSALS_MAX, Rates, Reply, Script, script_of

R = v1.GatewayResult


def script(number: int, rates: Rates, method: str = "", kind: str = "Purchase") -> Script:
    return script_of(kind, f"order-{number}", f"pay-{number}", method, rates)


def test_a_script_depends_on_seed_and_ids_alone() -> None:
    """The same order, payment, kind and seed give the same script; another seed or kind gives others."""
    rates = Rates(decline_rate=0.5, lost_reply_rate=0.5, duplicate_rate=0.5, outage_rate=0.5)
    other_seed = Rates(decline_rate=0.5, lost_reply_rate=0.5, duplicate_rate=0.5, outage_rate=0.5, seed=2)
    scripts = [script(n, rates) for n in range(50)]
    assert scripts == [script(n, rates) for n in range(50)]
    assert scripts == [script(n, rates, kind="Authorize") for n in range(50)]
    assert scripts != [script(n, other_seed) for n in range(50)]
    assert scripts != [script(n, rates, kind="Capture") for n in range(50)]


def test_rates_are_shares() -> None:
    """Of 2,000 operations about the share asked for is declined, lost, doubled, refused."""
    rates = Rates(decline_rate=0.1, lost_reply_rate=0.2, duplicate_rate=0.3, outage_rate=0.4)
    scripts = [script(n, rates) for n in range(2000)]
    assert 140 < sum(s.result == R.GATEWAY_RESULT_DECLINED for s in scripts) < 260
    assert 320 < sum(s.reply is not Reply.SENT for s in scripts) < 480
    assert 140 < sum(s.reply is Reply.NEVER for s in scripts) < 260
    assert 500 < sum(s.twice for s in scripts) < 700
    assert 700 < sum(s.refusals > 0 for s in scripts) < 900
    assert 250 < sum(s.refusals > 1 for s in scripts) < 400


def test_no_rate_means_no_fault() -> None:
    """With all rates 0 every operation is accepted, once, after the latency."""
    for number in range(200):
        done = script(number, Rates(latency_ms=5))
        assert done.result == R.GATEWAY_RESULT_ACCEPTED
        assert (done.reply, done.twice, done.refusals) == (Reply.SENT, False, 0)
        assert (done.delay_s, done.pending_s) == (0.005, 0.0)


def test_a_rate_of_one_means_always() -> None:
    """An outage rate of 1 refuses every delivery."""
    assert script(1, Rates(outage_rate=1)).refusals == REFUSALS_MAX


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
    assert getattr(script(1, rates, f"sim:{words}"), field) == value


def test_words_about_what_comes_later() -> None:
    """A word behind the name of a later kind is about that kind alone; one without about the first."""
    method = "sim:slow-2000ms,capture-lapsed,void-lost-reply,refund-decline"
    kinds = ("Purchase", "Capture", "Void", "Refund", "Confirm")
    first, capture, void, refund, confirm = (script(1, Rates(), method, kind) for kind in kinds)
    assert (first.delay_s, first.result) == (2.02, R.GATEWAY_RESULT_ACCEPTED)
    assert (capture.result, capture.lapsed, capture.delay_s) == (R.GATEWAY_RESULT_DECLINED, True, 0.02)
    assert (void.result, void.reply) == (R.GATEWAY_RESULT_ACCEPTED, Reply.LOST)
    assert (refund.result, refund.lapsed) == (R.GATEWAY_RESULT_DECLINED, False)
    assert confirm == script(1, Rates(), "sim:accept", "Confirm")


def test_an_unknown_word_is_declined() -> None:
    """A misspelt word is an answer that names it."""
    for word in ("declin", "captur-decline"):
        misspelt = script(1, Rates(), f"sim:{word}")
        assert misspelt.result == R.GATEWAY_RESULT_DECLINED
        assert repr(word) in misspelt.decline_reason


@pytest.mark.parametrize("wrong", [{"latency_ms": -1}, {"decline_rate": 1.1}, {"outage_rate": -0.1}])
def test_rates_out_of_range(wrong: dict[str, float]) -> None:
    """A rate that is no share and a negative latency are refused."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Rates(**wrong)  # type: ignore[arg-type]
