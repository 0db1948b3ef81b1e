"""What became of a soak's calls: counted as they end, and once more when their shift was judged."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from inventory_loadtest.evidence import FinalState, Violation
from inventory_loadtest.history import Event, Outcome
from inventory_loadtest.laws_acknowledged import what_is_missing

LOST = ("acknowledged-found", "effects-once")
"""The laws that an acknowledged call which isn't there breaks."""


@dataclass
class Tally:
    """Counts of calls. Those of ended calls are current, the others are of judged shifts.

    Attributes:
        acknowledged: calls that were answered OK.
        acknowledged_by: the same, by step.
        refused: by reason.
        left_open: calls with an attempt that nobody answered: UNAVAILABLE, DEADLINE_EXCEEDED, CANCELLED.
        left_open_for: why, the last reason of each.
        resolved: how a call that was left open was found out.
        shifts: that were judged.
        violations: what was found.
    """

    acknowledged: int = 0
    acknowledged_by: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    left_open: int = 0
    left_open_for: Counter[str] = field(default_factory=Counter)
    resolved: Counter[str] = field(default_factory=Counter)
    shifts: int = 0
    violations: list[Violation] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def count(self, event: Event) -> None:
        """Take a call that has ended into account; from any thread."""
        with self._lock:
            if event.ok:
                self.acknowledged += 1
                self.acknowledged_by[event.step] += 1
            elif event.outcome is Outcome.REFUSED:
                self.refused[event.reason] += 1
            if event.left_open:
                self.left_open += 1
                self.left_open_for[event.repeated_for or event.reason] += 1

    def judged(self, events: Iterable[Event], state: FinalState, violations: Iterable[Violation]) -> None:
        """Take a judged shift into account: how those of its calls were resolved that were left open."""
        with self._lock:
            self.shifts += 1
            self.violations += violations
            for event in events:
                if event.left_open:
                    self.resolved[_how(event, state)] += 1

    @property
    def lost(self) -> int:
        """Calls that were acknowledged, and are not there as they were told."""
        return sum(violation.law in LOST for violation in self.violations)


def _how(event: Event, state: FinalState) -> str:
    if event.ok:
        return "sent again: OK"
    if event.outcome is Outcome.REFUSED:
        return "sent again: refused"
    is_there = not what_is_missing(event, state)
    return "never answered: found done" if is_there else "never answered: found not done"
