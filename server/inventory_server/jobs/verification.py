"""The continuous verification: proves the invariants of every store, a chunk at a time, without end.

It goes behind waiting carts: a chunk is small, its snapshot puts no writer in doubt, and a pause follows
each. A violation is one line in the log, and stands in a metric until a whole round did not find it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

import structlog

from inventory_server.engine.reads import Reader
from inventory_server.engine.verification import FIRST, Chunk, Place, Verifier
from inventory_server.verify.violation import Violation

log = structlog.get_logger(__name__)

DEADLINE_S = 5.0
# Violations of one store that are remembered, so that each is told once.
REMEMBERED_MAX = 10_000


@dataclass(slots=True)
class Progress:
    """How far the verification of one store is."""

    place: Place = FIRST
    rounds: int = 0
    # Rows looked at, by kind, over all rounds.
    looked_at: Counter[str] = field(default_factory=Counter)
    # Violations of the last whole round, and of this one so far.
    known: set[Violation] = field(default_factory=set)
    found: set[Violation] = field(default_factory=set)

    @property
    def violation_count(self) -> int:
        """What is known to be wrong: a violation is gone when a whole round did not find it."""
        return len(self.known | self.found)

    def take(self, chunk: Chunk) -> list[Violation]:
        """Go on by a chunk. Returns: its violations that were not told yet."""
        new = [v for v in chunk.violations if v not in self.known and v not in self.found]
        self.found.update(chunk.violations[: REMEMBERED_MAX - len(self.found)])
        self.looked_at.update(
            levels=chunk.levels,
            entries=chunk.entries,
            reservations=chunk.reservations,
            orders=chunk.orders,
        )
        self.place = chunk.next_place or FIRST
        if chunk.next_place is None:
            self.rounds += 1
            self.known, self.found = self.found, set()
        return new


class ContinuousVerification:
    """`progress`: by store, for the metrics."""

    def __init__(self, reader: Reader, verifier: Verifier) -> None:
        self._reader = reader
        self._verifier = verifier
        self._turn = ""
        self.progress: dict[str, Progress] = {}

    async def verify_next(self) -> None:
        """Verify one chunk of the next store, by name."""
        store_ids = await self._reader.all_stores(deadline_s=DEADLINE_S)
        store_id = next((name for name in store_ids if name > self._turn), store_ids[0])
        self._turn = store_id
        progress = self.progress.setdefault(store_id, Progress())
        chunk = await self._verifier.chunk(store_id, progress.place, deadline_s=DEADLINE_S)
        for violation in progress.take(chunk):
            told = {name: value for name, value in violation._asdict().items() if value}
            log.error("invariant_violated", store=store_id, **told)
