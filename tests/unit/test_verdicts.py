"""Verdicts of commands that are sent together: each ends once, is told at once, and is waited for so long."""

from __future__ import annotations

import asyncio

import pytest

from inventory_server.engine.errors import DeadlinePassed
from inventory_server.engine.verdicts import Verdict, verdicts_of

LONG_S = 60.0


async def test_whoever_hears_is_told_there_and_then() -> None:
    """Of a result and of a refusal, as they end; of one that is cancelled nobody is told."""
    heard: list[Verdict] = []
    first, second, third = verdicts_of([LONG_S] * 3, heard.append)
    refusal = KeyError("x")
    second.set_exception(refusal)
    third.cancel()
    first.set_result("held")
    assert heard == [second, first]
    assert (first.outcome, second.outcome) == ("held", refusal)
    assert isinstance(third.outcome, asyncio.CancelledError)


async def test_one_ends_once() -> None:
    """What came first stands: a second outcome is a defect, a cancellation comes too late."""
    (verdict,) = verdicts_of([LONG_S], lambda _: None)
    assert not verdict.done()
    verdict.set_result("held")
    verdict.cancel()
    with pytest.raises(asyncio.InvalidStateError):
        verdict.set_result("again")
    assert verdict.done()
    assert verdict.outcome == "held"


async def test_each_is_waited_for_as_long_as_was_said() -> None:
    """Past its own time one ends as DeadlinePassed; what has ended by then, and what has longer, does not."""
    timed_out = asyncio.Event()
    ended, short, long = verdicts_of([0.001, 0.001, LONG_S], lambda each: each is short and timed_out.set())
    ended.set_result("held")
    async with asyncio.timeout(LONG_S):
        await timed_out.wait()
    assert isinstance(short.outcome, DeadlinePassed)
    assert ended.outcome == "held"
    assert not long.done()


async def test_no_timer_outlives_those_it_is_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once all have ended that are waited for equally long, their timer is gone; before, it is not."""
    timers: list[asyncio.TimerHandle] = []
    loop = asyncio.get_running_loop()
    call_later = loop.call_later
    monkeypatch.setattr(loop, "call_later", lambda *args: timers.append(call_later(*args)) or timers[-1])
    first, second, other = verdicts_of([LONG_S, LONG_S, 2 * LONG_S], lambda _: None)
    assert len(timers) == 2
    first.set_result("held")
    other.cancel()
    assert [timer.cancelled() for timer in timers] == [False, True]
    second.set_exception(KeyError("x"))
    assert [timer.cancelled() for timer in timers] == [True, True]
