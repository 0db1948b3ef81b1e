"""Waiting for what happens by itself, with a bound: never a sleep that hopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")

# Long after which a test that has hung is ended; none may fail because the machine is busy.
WAIT_S = 60.0
# Deadlines to try one after the other, where one must pass, but not before something is under way.
DEADLINES_S = (0.3, 2.0, 10.0, 60.0)


def until(look: Callable[[], T], what: str, wait_s: float = WAIT_S) -> T:
    """Look again and again until there is something true to see; return it."""
    end = time.monotonic() + wait_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"not within {wait_s} s: {what}"
        time.sleep(0.01)


def under_way(send: Callable[[float | None], Any], is_there: Callable[[], object], deadline: bool) -> Any:
    """Send a call until it is where the test wants it; return the call.

    Args:
        send: begins the call, with a deadline or with none.
        deadline: it has one, longer each time that it was over too soon.
    """
    for deadline_s in DEADLINES_S[1:] if deadline else (None,):
        call = send(deadline_s)
        until(lambda: is_there() or call.done(), "the call is under way")  # noqa: B023
        if is_there():
            break
    return call
