"""The judge of a race, or of a shift of a soak: holds what clients wrote and the final state against laws.

It shares no code with the server, and believes nothing that the server says about itself: the level must
follow from the log, the orders' units from the log, the money from the gateway's books, and all of it must
contain what clients were told.
"""

from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from inventory_loadtest import laws_acknowledged, laws_effects, laws_money, laws_orders, laws_stock
from inventory_loadtest.evidence import FinalState, Violation
from inventory_loadtest.history import Event


@dataclass(frozen=True)
class Law:
    """Something that holds, always.

    Args:
        text: what holds, in a sentence.
        violations: finds where it doesn't.
    """

    text: str
    violations: Callable[[Sequence[Event], FinalState], Iterable[Violation]]


def _of_state(law: Callable[[FinalState], Iterable[Violation]]) -> Law:
    return Law(_text(law), lambda _, state: law(state))


def _of_both(law: Callable[[Sequence[Event], FinalState], Iterable[Violation]]) -> Law:
    return Law(_text(law), law)


def _text(law: Callable[..., object]) -> str:
    return (inspect.getdoc(law) or "").partition("\n\n")[0].replace("\n", " ")


LAWS: dict[str, Law] = {
    "stock-sums": _of_state(laws_stock.stock_sums),
    "log-gapless": _of_state(laws_stock.log_gapless),
    "log-replays": _of_state(laws_stock.log_replays),
    "feeds-agree": _of_state(laws_stock.feeds_agree),
    "allocation-explained": _of_state(laws_orders.allocation_explained),
    "holds-match-log": _of_state(laws_orders.holds_match_log),
    "one-live-reservation": _of_state(laws_orders.one_live_reservation),
    "no-leaked-allocation": _of_both(laws_orders.no_leaked_allocation),
    "paid-units-kept": _of_state(laws_orders.paid_units_kept),
    "never-oversold": _of_both(laws_orders.never_oversold),
    "order-amounts": _of_state(laws_money.order_amounts),
    "no-double-payment": _of_state(laws_money.no_double_payment),
    "gateway-agrees": _of_state(laws_money.gateway_agrees),
    "payments-belong": _of_state(laws_money.payments_belong),
    "acknowledged-found": _of_both(laws_acknowledged.acknowledged_found),
    "refused-without-trace": _of_both(laws_acknowledged.refused_without_trace),
    "effects-once": _of_both(laws_effects.effects_once),
    "no-false-refusal": _of_both(laws_acknowledged.no_false_refusal),
}
"""Every law, by the name that its violations bear."""


def judge(history: Sequence[Event], state: FinalState) -> list[Violation]:
    """Find every law that does not hold.

    Args:
        history: all events of the race, in any order.
        state: read after the last event, when no payment was in flight any more. A payment still PROCESSING
            breaks no law: its units are held, whatever comes of it.
    Returns: the violations, law by law; empty = everything holds.
    """
    return list(itertools.chain.from_iterable(law.violations(history, state) for law in LAWS.values()))
