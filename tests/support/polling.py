"""Waiting for what happens by itself, with a bound: never a sleep that hopes."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

WAIT_S = 20.0


def until(look: Callable[[], T], what: str, wait_s: float = WAIT_S) -> T:
    """Look again and again until there is something true to see; return it."""
    end = time.monotonic() + wait_s
    while True:
        seen = look()
        if seen:
            return seen
        assert time.monotonic() < end, f"not within {wait_s} s: {what}"
        time.sleep(0.01)
