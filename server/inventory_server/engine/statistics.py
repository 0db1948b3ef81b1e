"""What the engine did, by store: since it began, and by the second. Counted after COMMIT, in this process."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

from inventory_server.engine.facts import Facts

SECONDS_KEPT = 60
# The greatest batch size of each bucket; the last is the bound of a batch.
BATCH_SIZES = tuple(2**power for power in range(11))


@dataclass(slots=True)
class Counts:
    """Batches committed and the commands in them, and what became of those.

    `conflicts`: runs that another writer aborted; `retries`: runs after a batch's first, for any reason.
    """

    batches: int = 0
    commands: int = 0
    conflicts: int = 0
    retries: int = 0
    orders_paid: int = 0
    sold_out: int = 0
    declined: int = 0


class Second(NamedTuple):
    """A whole second of the server's clock, in seconds since 1970."""

    time_s: int
    counts: Counts


@dataclass(slots=True)
class StoreStatistics:
    """One store's counters; the hot path adds to two Counts a batch."""

    clock: Callable[[], float] = time.time
    totals: Counts = field(default_factory=Counts)
    # How many batches were of at most BATCH_SIZES[n] commands and more than BATCH_SIZES[n - 1].
    batch_sizes: list[int] = field(default_factory=lambda: [0] * len(BATCH_SIZES))
    _seconds: deque[Second] = field(default_factory=lambda: deque(maxlen=SECONDS_KEPT + 1))

    def committed(self, commands: int, facts: Facts) -> None:
        """A batch is durable."""
        for counts in (self.totals, self._now()):
            counts.batches += 1
            counts.commands += commands
            counts.orders_paid += facts.orders_paid
            counts.sold_out += facts.sold_out
            counts.declined += facts.declined
        self.batch_sizes[max(commands - 1, 0).bit_length()] += 1

    def conflicted(self) -> None:
        """Another writer aborted a run of a batch."""
        for counts in (self.totals, self._now()):
            counts.conflicts += 1

    def retried(self) -> None:
        """A batch runs again."""
        for counts in (self.totals, self._now()):
            counts.retries += 1

    def last_seconds(self) -> list[Second]:
        """Return the last SECONDS_KEPT seconds that are over, the oldest first; quiet ones too."""
        now = int(self.clock())
        counted = {second.time_s: second.counts for second in self._seconds}
        return [Second(time_s, counted.get(time_s) or Counts()) for time_s in range(now - SECONDS_KEPT, now)]

    def _now(self) -> Counts:
        time_s = int(self.clock())
        if not self._seconds or self._seconds[-1].time_s != time_s:
            self._seconds.append(Second(time_s, Counts()))
        return self._seconds[-1].counts
