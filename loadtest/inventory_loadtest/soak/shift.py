"""A shift: some seconds of a soak on products of their own, which is judged when all its calls have ended."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from inventory_loadtest.history import Event
from inventory_loadtest.plan import Line, RacePlan

PRODUCTS = 8
UNITS = 60
"""Of each product: so many that some are sold out before the shift is over."""
LOCATION = "annex"
"""Beside the one that every store has."""
_LINES_AT_MOST = 3
_UNITS_AT_MOST = 3
_PRICE_MINOR_AT_MOST = 5_000


class Shift:
    """What is done in some seconds, and what came of it as its callers saw it.

    Args:
        number: from 1; ids begin with `soak-N.`.
        tell: gets every event too.
    """

    def __init__(self, number: int, tell: Callable[[Event], None]) -> None:
        self._tell = tell
        self.number = number
        self.name = f"soak-{number}"
        self.products = [f"{self.name}.product-{n}" for n in range(1, PRODUCTS + 1)]
        self.plan = RacePlan(self.name, dict.fromkeys(self.products, UNITS), (), gun=False)
        self.events: list[Event] = []
        self._lock = threading.Lock()
        self._working = 0
        self._is_closed = False

    def record(self, event: Event) -> None:
        """Keep an event; from any thread."""
        self._tell(event)
        with self._lock:
            self.events.append(event)

    @contextmanager
    def work(self) -> Iterator[bool]:
        """Do something in the block that belongs to the shift; whether it still takes anybody."""
        with self._lock:
            takes = not self._is_closed
            self._working += takes
        try:
            yield takes
        finally:
            with self._lock:
                self._working -= takes

    def close(self) -> None:
        """Take nobody any more."""
        with self._lock:
            self._is_closed = True

    @property
    def is_over(self) -> bool:
        """Whether it is closed, and all that was begun has ended."""
        with self._lock:
            return self._is_closed and not self._working

    def lines(self, chance: random.Random) -> tuple[Line, ...]:
        """What somebody wants: a few products, the first ones oftener, a few units of each."""
        wanted = dict.fromkeys(
            min(chance.randrange(PRODUCTS), chance.randrange(PRODUCTS))
            for _ in range(chance.randint(1, _LINES_AT_MOST))
        )
        return tuple(
            Line(
                self.products[n],
                chance.randint(1, _UNITS_AT_MOST),
                chance.randint(1, _PRICE_MINOR_AT_MOST),
            )
            for n in wanted
        )
