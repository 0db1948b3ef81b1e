"""How far a race is: what the process that runs the carts tells the one that shows it, line by line."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from inventory_loadtest.history import Event, Outcome, Step


@dataclass
class Progress:
    """Counts; all but `in_doubt` only grow.

    Args:
        stocked: products that have their units.
        filled: carts that were answered when they were filled.
        filled_not: those of them that were turned away.
        checked_out: carts that were answered when they checked out.
        checked_out_not: those of them that were turned away.
        fired: whether paying has begun.
        paying: payments that were answered, declines and refusals too.
        paid: payments that were captured.
        in_doubt: payments that are in flight or in doubt now.
        done: carts at the end of their walk.
        broken: carts that a defect of the load generator ended.
        cpu_s: seconds of processor time that the load generator has used.
    """

    stocked: int = 0
    filled: int = 0
    filled_not: int = 0
    checked_out: int = 0
    checked_out_not: int = 0
    fired: bool = False
    paying: int = 0
    paid: int = 0
    in_doubt: int = 0
    done: int = 0
    broken: int = 0
    cpu_s: float = 0.0

    def count(self, event: Event) -> None:
        """Take an event into account."""
        self.stocked += event.step is Step.CREATE_STOCK and event.ok
        self.filled += event.step is Step.ADD_ITEMS
        self.filled_not += event.step is Step.ADD_ITEMS and not event.ok
        self.checked_out += event.step is Step.CHECKOUT
        self.checked_out_not += event.step is Step.CHECKOUT and not event.ok
        self.paying += event.step is Step.PAY
        self.paid += event.state == "CAPTURED"
        open_now = event.state in ("", "PROCESSING") and event.outcome is not Outcome.REFUSED
        if event.step is Step.PAY:
            self.in_doubt += open_now
        elif event.step is Step.POLL:
            self.in_doubt -= not open_now

    def to_json(self) -> str:
        """One line, without its end."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Progress:
        """Read what `to_json` wrote."""
        return cls(**json.loads(line))
