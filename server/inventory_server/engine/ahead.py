"""A large batch is decided in parts, and each is sent while the next one is decided: neither side waits.

What is sent can't be taken back but with the transaction. So nothing is, once a command is short of units
that a hold which is due may have, nor where a decision may turn out to need more levels
(docs/decisions/0034-sent-while-the-rest-is-decided.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from inventory_server.domain.decide import Request, decide
from inventory_server.domain.errors import InsufficientStock, StockInUse, TotalBelowAllocated
from inventory_server.domain.state import State
from inventory_server.engine import save

# How many requests one part has: more statements cost more than what is gained by an earlier beginning.
PART = 256
# Refusals that units of due holds could have spared.
SHORT = (InsufficientStock, StockInUse, TotalBelowAllocated)


def decide_in_parts(
    state: State, requests: Sequence[Request], send: Callable[[list[save.Call]], None]
) -> tuple[list[object], bool]:
    """Decide as `decide` does, and send what is final.

    Returns: the verdicts, and whether anything was sent.
    Raises: what `send` raises.
    """
    verdicts: list[object] = []
    is_sent = False
    may_send = state.coverage.is_whole
    for begin in range(0, len(requests), PART):
        part = decide(state, requests[begin : begin + PART])
        verdicts += part
        may_send = may_send and not any(isinstance(verdict, SHORT) for verdict in part)
        if may_send and begin + PART < len(requests):
            send(save.calls_ahead(state))
            is_sent = True
    return verdicts, is_sent
