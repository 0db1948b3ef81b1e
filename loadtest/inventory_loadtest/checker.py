"""The judge of a race: holds the history that clients wrote and the final state against the laws.

It shares no code with the server, and believes nothing that the server says about itself: the level must
follow from the log, the orders' units from the log, the money from the gateway's books, and all of it must
contain what clients were told.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence

from inventory_loadtest import laws_acknowledged, laws_money, laws_orders, laws_stock
from inventory_loadtest.evidence import FinalState, Violation
from inventory_loadtest.history import Event

_Law = Callable[[Sequence[Event], FinalState], Iterator[Violation]]

LAWS: dict[str, _Law] = {
    "stock-sums": lambda _, state: laws_stock.stock_sums(state),
    "log-gapless": lambda _, state: laws_stock.log_gapless(state),
    "log-replays": lambda _, state: laws_stock.log_replays(state),
    "allocation-explained": lambda _, state: laws_orders.allocation_explained(state),
    "holds-match-log": lambda _, state: laws_orders.holds_match_log(state),
    "one-live-reservation": lambda _, state: laws_orders.one_live_reservation(state),
    "no-leaked-allocation": lambda _, state: laws_orders.no_leaked_allocation(state),
    "paid-units-kept": lambda _, state: laws_orders.paid_units_kept(state),
    "never-oversold": laws_orders.never_oversold,
    "order-amounts": lambda _, state: laws_money.order_amounts(state),
    "no-double-payment": lambda _, state: laws_money.no_double_payment(state),
    "gateway-agrees": lambda _, state: laws_money.gateway_agrees(state),
    "payments-belong": lambda _, state: laws_money.payments_belong(state),
    "acknowledged-found": laws_acknowledged.acknowledged_found,
    "refused-without-trace": laws_acknowledged.refused_without_trace,
    "no-false-refusal": laws_acknowledged.no_false_refusal,
}
"""Every law, by the name that its violations bear; the functions' first lines say what each has."""


def judge(history: Sequence[Event], state: FinalState) -> list[Violation]:
    """Find every law that does not hold.

    Args:
        history: all events of the race, in any order.
        state: read after the last event, when no payment was in flight any more. A payment still PROCESSING
            breaks no law: its units are held, whatever comes of it.
    Returns: the violations, law by law; empty = everything holds.
    """
    return list(itertools.chain.from_iterable(law(history, state) for law in LAWS.values()))
