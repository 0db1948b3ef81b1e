"""What the payment gateway simulator will do with an operation: decided before it happens, from a seed.

Pure. Chance is a hash of (seed, order, payment, question), not a generator, so the answer doesn't depend
on which operation arrives first: a run with the same ids replays whatever the interleaving. The operation
id is left out of it on purpose; the server draws a new one in every run.

A test that needs one behaviour steers by `PayOrderRequest.payment_method`: `sim:` and words between commas,
as in `sim:slow-500ms,decline`. Then the rates don't apply. The words:

    accept            the money is taken (what happens without any other word, too)
    decline           the answer is DECLINED
    requires-action   the answer is REQUIRES_ACTION
    pending           the answer is PENDING; 1 s later (`pending-250ms`: 0.25 s later) it is settled
    lost-reply        the work is done, the first delivery fails with UNAVAILABLE
    no-reply          the work is done, the first delivery is never answered
    outage            the first delivery is refused with UNAVAILABLE, unseen (`outage-3`: the first 3)
    down              every delivery is refused, unseen
    duplicate         the operation is delivered twice (see `gateway`)
    slow              0.5 s more before the answer (`slow-2000ms`: 2 s)
    lapsed            the answer is DECLINED, since the authorization has run out (captures and voids)

A word alone is about the purchase or the authorization. What comes after it is steered by the same words
behind `capture-`, `void-`, `refund-` or `confirm-`, as in `sim:capture-lost-reply`; a later operation that no
word is about is accepted.

A word that isn't one of these is declined with a reason that names it: a misspelt test must not pass.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum

from inventory_client import v1

FIRST_KINDS = ("Purchase", "Authorize")
"""What a payment begins with; the other kinds go on with one."""
_LATER_KINDS = ("capture", "void", "refund", "confirm")
STEERING_PREFIX = "sim:"
REFUSALS_MAX = 1_000_000
"""`down`, and an outage rate of 1: more deliveries than any caller makes."""

_WORD = re.compile(r"(?P<name>[a-z]+(?:-[a-z]+)*)(?:-(?P<number>\d{1,6})(?:ms)?)?")
_PENDING_MS = 1_000
_SLOW_MS = 500

_Result = v1.GatewayResult


class Reply(Enum):
    """What becomes of the answer to an operation's first delivery."""

    SENT = "sent"
    LOST = "lost"
    """The call fails with UNAVAILABLE after the work is done."""
    NEVER = "never"
    """The call isn't answered; the caller's deadline ends it."""


@dataclass(frozen=True)
class Rates:
    """How often what goes wrong, and the seed that says when.

    Args:
        latency_ms: milliseconds, >= 0, from the request to the money's move, for every operation.
        decline_rate: share of the operations, 0..1, that are declined.
        lost_reply_rate: share whose first answer is lost; half fail with UNAVAILABLE, half stay silent.
        duplicate_rate: share that are delivered twice.
        outage_rate: share of the deliveries that are refused before they are seen.
        seed: any integer.
    Raises: ValueError for a number out of its range.
    """

    latency_ms: float = 20.0
    decline_rate: float = 0.0
    lost_reply_rate: float = 0.0
    duplicate_rate: float = 0.0
    outage_rate: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.latency_ms <= 600_000:
            raise ValueError(f"latency_ms must be 0 to 600,000, not {self.latency_ms}")
        for name in ("decline_rate", "lost_reply_rate", "duplicate_rate", "outage_rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, not {getattr(self, name)}")


@dataclass(frozen=True)
class Script:
    """What the simulator does with one operation.

    Args:
        result: how it ends: ACCEPTED, DECLINED or REQUIRES_ACTION.
        decline_reason: for people; "" unless DECLINED.
        lapsed: whether it was declined because the authorization has run out.
        delay_s: seconds before the work is done.
        pending_s: seconds between the answer PENDING and the end; 0 = the end is the first answer.
        reply: what becomes of the first answer.
        twice: whether a second delivery follows the first.
        refusals: how many deliveries, from the first, are refused unseen.
    """

    result: v1.GatewayResult.ValueType = _Result.GATEWAY_RESULT_ACCEPTED
    decline_reason: str = ""
    lapsed: bool = False
    delay_s: float = 0.0
    pending_s: float = 0.0
    reply: Reply = Reply.SENT
    twice: bool = False
    refusals: int = 0


def script_of(kind: str, order_id: str, payment_id: str, payment_method: str, rates: Rates) -> Script:
    """Decide what happens to an operation.

    Args:
        kind: the method that it came by, as `Purchase`.
        payment_method: that of the payment's purchase or authorization.
        rates: what chance there is, where the payment method doesn't steer.
    Returns: the same script for the same arguments, always.
    """
    is_first = kind in FIRST_KINDS
    if payment_method.startswith(STEERING_PREFIX):
        return _steered(payment_method.removeprefix(STEERING_PREFIX), "" if is_first else kind.lower(), rates)
    chance = _Chance(f"{rates.seed}|{order_id}|{payment_id}" + ("" if is_first else f"|{kind}"))
    script = Script(delay_s=rates.latency_ms / 1000, twice=chance.of("duplicate") < rates.duplicate_rate)
    if chance.of("decline") < rates.decline_rate:
        script = _declined(script, "declined by chance")
    if chance.of("lost") < rates.lost_reply_rate:
        script = replace(script, reply=Reply.LOST if chance.of("silence") < 0.5 else Reply.NEVER)
    refusals = 0
    while refusals < REFUSALS_MAX and chance.of(f"outage {refusals}") < rates.outage_rate:
        # A rate of 1 would draw a million times for what is known after one.
        refusals = REFUSALS_MAX if rates.outage_rate == 1 else refusals + 1
    return replace(script, refusals=refusals)


class _Chance:
    """Numbers in [0, 1) that depend on a key and a question alone."""

    def __init__(self, key: str) -> None:
        self._key = key

    def of(self, question: str) -> float:
        digest = hashlib.blake2b(f"{self._key}|{question}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") / 2**64


def _steered(words: str, kind: str, rates: Rates) -> Script:
    """Obey the words about a later kind, or for "" those about the first operation."""
    script = Script(delay_s=rates.latency_ms / 1000)
    for word in map(str.strip, words.split(",")):
        about = next((later for later in _LATER_KINDS if word.startswith(f"{later}-")), "")
        if about == kind:
            script = _obey(script, word.removeprefix(f"{about}-"))
    return script


def _obey(script: Script, word: str) -> Script:
    found = _WORD.fullmatch(word)
    if found is None or found["name"] not in _WORDS:
        return _declined(script, f"the simulator does not know the word {word[:100]!r}")
    number = int(found["number"]) if found["number"] else None
    return _WORDS[found["name"]](script, number)


def _declined(script: Script, reason: str) -> Script:
    return replace(script, result=_Result.GATEWAY_RESULT_DECLINED, decline_reason=reason)


# What a word makes of the script; the number is that of `slow-500ms`, None where there is none.
_WORDS: Mapping[str, Callable[[Script, int | None], Script]] = {
    "accept": lambda script, _: script,
    "decline": lambda script, _: _declined(script, "declined as the payment method asked"),
    "requires-action": lambda script, _: replace(script, result=_Result.GATEWAY_RESULT_REQUIRES_ACTION),
    "lapsed": lambda script, _: replace(_declined(script, "the authorization has run out"), lapsed=True),
    "pending": lambda script, ms: replace(script, pending_s=(_PENDING_MS if ms is None else ms) / 1000),
    "lost-reply": lambda script, _: replace(script, reply=Reply.LOST),
    "no-reply": lambda script, _: replace(script, reply=Reply.NEVER),
    "outage": lambda script, count: replace(script, refusals=1 if count is None else count),
    "down": lambda script, _: replace(script, refusals=REFUSALS_MAX),
    "duplicate": lambda script, _: replace(script, twice=True),
    "slow": lambda script, ms: replace(
        script, delay_s=script.delay_s + (_SLOW_MS if ms is None else ms) / 1000
    ),
}
