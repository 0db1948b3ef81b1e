"""The outcome of a race: who paid, who was left disappointed, how fast, and what the checker found."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from inventory_client import v1
from inventory_loadtest.checker import judge
from inventory_loadtest.evidence import FinalState, Violation
from inventory_loadtest.history import Event, Outcome, Step
from inventory_loadtest.laws_orders import paid_and_stocked
from inventory_loadtest.plan import RacePlan

_State = v1.PaymentState


class Fate(StrEnum):
    """What became of a cart; each has exactly one."""

    PAID = "paid"
    """Captured in full: the units are the customer's."""
    PARTLY_PAID = "partly paid"
    """The first part was captured, the second wasn't; the units are held all the same."""
    SOLD_OUT = "sold out"
    """Refused for want of stock, at whichever step: disappointed, and nobody's failure."""
    DECLINED = "declined"
    """The gateway said no; the units went back."""
    IN_DOUBT = "in doubt"
    """A payment is in flight still; the units are held."""
    ERROR = "error"
    """Anything else."""


@dataclass(frozen=True)
class RaceResult:
    """Everything that is known of a race after its end. The figures follow from the evidence.

    Args:
        plan: what was to be done.
        history: what clients saw.
        state: what the API and the gateway's books showed afterwards.
        broken: carts that ended by a defect of the load generator.
        generator_cpu_share: the load generator's own use of one core, 0..1 or a little more.
        checked_s: seconds that reading and judging took.
        violations: what the checker found.
    """

    plan: RacePlan
    history: Sequence[Event]
    state: FinalState
    broken: int = 0
    generator_cpu_share: float = 0.0
    checked_s: float = 0.0
    violations: list[Violation] = field(init=False)
    fates: dict[str, Fate] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "violations", judge(self.history, self.state))
        object.__setattr__(self, "fates", fates_of(self.plan, self.history, self.state))

    @property
    def ok(self) -> bool:
        """Whether every law holds."""
        return not self.violations

    def figures(self) -> dict[str, Any]:
        """The figures by name, as `--json` writes them; what each means stands in docs/race.md.

        Latencies are of PayOrder, from the first attempt to the last answer, the gateway's time included;
        None where nobody paid.
        """
        fates = Counter(self.fates.values())
        paying = [event for event in self.history if event.step is Step.PAY]
        captured = [event for event in paying if event.state == "CAPTURED"]
        paying_s = _span_s(paying)
        latencies_ms = sorted((event.ended_s - event.started_s) * 1000 for event in paying)
        oversold = [
            max(0, paid - stocked) for paid, stocked in paid_and_stocked(self.history, self.state).values()
        ]
        return {
            "carts": len(self.plan.carts),
            "products": len(self.plan.stock),
            "orders_paid": fates[Fate.PAID],
            "orders_partly_paid": fates[Fate.PARTLY_PAID],
            "orders_sold_out": fates[Fate.SOLD_OUT],
            "orders_declined": fates[Fate.DECLINED],
            "orders_in_doubt": fates[Fate.IN_DOUBT],
            "errors": fates[Fate.ERROR],
            "sold_out_at": dict(Counter(str(event.step) for event in self.history if event.sold_out)),
            "units_wanted": sum(sum(cart.units().values()) for cart in self.plan.carts),
            "units_stocked": sum(self.plan.stock.values()),
            "units_allocated": sum(stock.allocated for stock in self.state.stocks.values()),
            "units_oversold": sum(oversold),
            "acknowledged_missing": sum(v.law == "acknowledged-found" for v in self.violations),
            "violations": len(self.violations),
            "gateway_books_read": self.state.takings is not None,
            "duration_s": round(_span_s(e for e in self.history if e.step is not Step.CREATE_STOCK), 3),
            "paying_s": round(paying_s, 3),
            "payments_per_s": _rate(len(captured), paying_s),
            "pay_answers_per_s": _rate(len(paying), paying_s),
            "p50_ms": percentile(latencies_ms, 50),
            "p99_ms": percentile(latencies_ms, 99),
            "calls": len(self.history),
            "calls_repeated": sum(event.attempts - 1 for event in self.history),
            "calls_repeated_for": dict(Counter(e.repeated_for for e in self.history if e.repeated_for)),
            "calls_unknown": sum(event.outcome is Outcome.UNKNOWN for event in self.history),
            "carts_broken": self.broken,
            "generator_cpu_share": round(self.generator_cpu_share, 2),
            "checked_s": round(self.checked_s, 3),
        }


def fates_of(plan: RacePlan, history: Iterable[Event], state: FinalState) -> dict[str, Fate]:
    """Say what became of every cart of a plan, by its id.

    The final state has the first word, since a call whose answer was lost may have happened; where it has
    none, the last that the client was told.
    """
    last: dict[str, Event] = {}
    for event in history:
        if event.cart_id and event.step is not Step.POLL:
            last[event.cart_id] = event
    return {cart.cart_id: _fate(cart.order_id, last.get(cart.cart_id), state) for cart in plan.carts}


def _fate(order_id: str, last: Event | None, state: FinalState) -> Fate:
    payments = {payment.state for payment in state.payments_by_order.get(order_id, ())}
    order = state.orders.get(order_id)
    if order is not None and _State.PAYMENT_STATE_CAPTURED in payments:
        whole = state.captured_minor(order_id) >= order.total_minor
        return Fate.PAID if whole else Fate.PARTLY_PAID
    if _State.PAYMENT_STATE_PROCESSING in payments:
        return Fate.IN_DOUBT
    if last is not None and last.sold_out:
        return Fate.SOLD_OUT
    if payments & {_State.PAYMENT_STATE_DECLINED, _State.PAYMENT_STATE_REQUIRES_ACTION}:
        return Fate.DECLINED
    return Fate.ERROR


def complaints(history: Iterable[Event]) -> Mapping[str, int]:
    """What went wrong that is neither success nor sold out, by step and reason, with how often."""
    return Counter(
        f"{event.step}: {event.reason} ({event.message})" if event.reason else f"{event.step}: {event.state}"
        for event in history
        if (not event.ok and not event.sold_out) or event.state == "FAILED"
    )


def percentile(ordered: Sequence[float], percent: int) -> float | None:
    """The value that `percent` of 100 are at or below, by linear interpolation; None of nothing."""
    if not ordered:
        return None
    if len(ordered) == 1:
        return round(ordered[0], 2)
    return round(statistics.quantiles(ordered, n=100, method="inclusive")[percent - 1], 2)


def _span_s(events: Iterable[Event]) -> float:
    times = [(event.started_s, event.ended_s) for event in events]
    return max(end for _, end in times) - min(start for start, _ in times) if times else 0.0


def _rate(count: int, seconds: float) -> float:
    return round(count / seconds, 1) if seconds else 0.0
