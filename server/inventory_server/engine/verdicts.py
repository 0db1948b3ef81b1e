"""Verdicts of commands that are sent together: futures at a fraction of their price.

A future tells of its end in a turn of the event loop of its own, and each would need a timer. The end of one
of these is told at once, and those that are waited for equally long have a timer together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from inventory_server.engine.errors import DeadlinePassed

_WAITING = object()


class _Together:
    """Those that are waited for equally long: how many of them wait, and who hears of each."""

    __slots__ = ("heard", "timer", "waiting_count")

    def __init__(self, heard: Callable[[Verdict], None]) -> None:
        self.heard = heard
        self.waiting_count = 0
        self.timer: asyncio.TimerHandle | None = None


class Verdict:
    """What becomes of a command: its `outcome` is what its handler returned, or the exception that it raised.

    It ends once. Cancelled before its command is taken into a batch, the command is not begun; after that
    it goes on, and nobody hears of it.
    """

    __slots__ = ("_together", "outcome")

    def __init__(self, together: _Together) -> None:
        self._together = together
        self.outcome: Any = _WAITING
        together.waiting_count += 1

    def done(self) -> bool:
        return self.outcome is not _WAITING

    def set_result(self, outcome: Any) -> None:
        """End it, and tell who hears of it. Raises: InvalidStateError where it has ended."""
        self._end(outcome)
        self._together.heard(self)

    set_exception = set_result

    def cancel(self) -> None:
        """End it, unless it has ended, and tell nobody."""
        if not self.done():
            self._end(asyncio.CancelledError())

    def _end(self, outcome: Any) -> None:
        if self.outcome is not _WAITING:
            raise asyncio.InvalidStateError("the verdict has ended")
        self.outcome = outcome
        together = self._together
        together.waiting_count -= 1
        if not together.waiting_count and together.timer is not None:
            together.timer.cancel()


def verdicts_of(times_s: Iterable[float], heard: Callable[[Verdict], None]) -> list[Verdict]:
    """Return a verdict for each number of seconds, past which it ends as DeadlinePassed.

    Args:
        heard: told of each that ends, there and then; not of those that are cancelled.
    """
    loop = asyncio.get_running_loop()
    groups: dict[float, _Together] = {}
    members: dict[float, list[Verdict]] = {}
    verdicts = []
    for each_s in times_s:
        if each_s not in groups:
            groups[each_s], members[each_s] = _Together(heard), []
        verdict = Verdict(groups[each_s])
        members[each_s].append(verdict)
        verdicts.append(verdict)
    for each_s, together in groups.items():
        together.timer = loop.call_later(each_s, _pass_deadline, members[each_s])
    return verdicts


def refused(refusal: Exception, heard: Callable[[Verdict], None]) -> Verdict:
    """Return one that has ended, and tell of it."""
    verdict = Verdict(_Together(heard))
    verdict.set_result(refusal)
    return verdict


def _pass_deadline(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        if not verdict.done():
            verdict.set_result(DeadlinePassed())
