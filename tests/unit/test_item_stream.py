"""Items on a stream: read while there is room, answered as they are decided, ended when all are."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

import pytest

from inventory_server.engine.verdicts import Verdict, refused, verdicts_of
from inventory_server.rpc import item_stream
from inventory_server.rpc.item_stream import verdicts

WAIT_S = 60.0


class Caller:
    """Sends messages when the test says so; an item is a word, and is decided when the test says so."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[list[str] | Exception | None] = asyncio.Queue()
        self.items: dict[str, Verdict] = {}
        self.read_count = 0

    def send(self, *words: str) -> None:
        self.queue.put_nowait(list(words))

    def close(self, error: Exception | None = None) -> None:
        self.queue.put_nowait(error)

    async def messages(self) -> AsyncIterator[list[str]]:
        while True:
            message = await self.queue.get()
            if message is None:
                return
            if isinstance(message, Exception):
                raise message
            self.read_count += 1
            yield message

    async def begin(self, message: list[str], heard: Callable[[Verdict], None]) -> list[Verdict]:
        made = verdicts_of([WAIT_S] * len(message), heard)
        self.items.update(zip(message, made, strict=True))
        return made

    def decide(self, *words: str) -> None:
        for word in words:
            self.items[word].set_result(word)

    def verdicts(self) -> Any:
        return verdicts(self.messages(), self.begin)


@pytest.fixture
async def caller() -> Caller:
    return Caller()


async def taken_in() -> None:
    """Let everything that can go on do so."""
    for _ in range(20):
        await asyncio.sleep(0)


def words(items: list[Verdict]) -> list[str]:
    return [item.outcome for item in items]


async def test_items_are_answered_as_they_are_decided(caller: Caller) -> None:
    """Whatever was decided at once comes at once, in the order decided, while more is read."""
    async with aclosing(caller.verdicts()) as stream:
        caller.send("a", "b", "c")
        waiting = asyncio.create_task(anext(stream))
        await taken_in()
        caller.decide("c", "a")
        assert words(await waiting) == ["c", "a"]
        caller.send("d")
        waiting = asyncio.create_task(anext(stream))
        await taken_in()
        caller.decide("d", "b")
        assert words(await waiting) == ["d", "b"]


async def test_it_ends_when_all_is_answered(caller: Caller) -> None:
    """The caller's side is closed: what is on its way is still answered, then the stream ends."""
    async with aclosing(caller.verdicts()) as stream:
        caller.send("a", "b")
        caller.close()
        waiting = asyncio.create_task(anext(stream))
        await taken_in()
        caller.decide("a")
        assert words(await waiting) == ["a"]
        waiting = asyncio.create_task(anext(stream))
        await taken_in()
        assert not waiting.done()
        caller.decide("b")
        assert words(await waiting) == ["b"]
        with pytest.raises(StopAsyncIteration):
            await anext(stream)


async def test_a_stream_of_nothing(caller: Caller) -> None:
    """No message at all: nothing is answered, and it ends."""
    caller.close()
    assert [each async for each in caller.verdicts()] == []


async def test_no_more_is_read_than_there_is_room_for(
    caller: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the bound reading stops, until verdicts were sent on: decided alone makes no room."""
    monkeypatch.setattr(item_stream, "IN_FLIGHT_MAX", 3)
    async with aclosing(caller.verdicts()) as stream:
        for word in "abcdef":
            caller.send(word)
        waiting = asyncio.create_task(anext(stream))
        await taken_in()
        assert caller.read_count == 3
        caller.decide("a", "b")
        assert words(await waiting) == ["a", "b"]
        await taken_in()
        assert caller.read_count == 3  # its caller has not taken them yet
        waiting = asyncio.create_task(anext(stream))
        await taken_in()
        assert caller.read_count == 5
        caller.decide("c")
        assert words(await waiting) == ["c"]


async def test_a_broken_message_ends_it_when_all_before_is_answered(caller: Caller) -> None:
    """What is wrong with the stream is said last: no verdict gets lost by it."""
    async with aclosing(caller.verdicts()) as stream:
        caller.send("a")
        caller.close(ValueError("broken"))
        waiting = asyncio.create_task(anext(stream))
        await taken_in()
        caller.decide("a")
        assert words(await waiting) == ["a"]
        with pytest.raises(ValueError, match="broken"):
            await anext(stream)


async def test_one_that_is_refused_at_once() -> None:
    """An item may be decided before it is begun."""
    caller = Caller()

    async def begin(_message: list[str], heard: Callable[[Verdict], None]) -> list[Verdict]:
        return [refused(KeyError("x"), heard)]

    caller.send("a")
    caller.close()
    found = [each async for each in verdicts(caller.messages(), begin)]
    assert [repr(item.outcome) for (item,) in found] == ["KeyError('x')"]


async def test_whoever_goes_away_cancels_what_waits(caller: Caller) -> None:
    """Closed early, what is not decided yet is cancelled, and nothing is read any more."""
    stream = caller.verdicts()
    caller.send("a", "b")
    waiting = asyncio.create_task(anext(stream))
    await taken_in()
    caller.decide("a")
    await waiting
    await stream.aclose()
    assert isinstance(caller.items["b"].outcome, asyncio.CancelledError)
    caller.send("c")
    await taken_in()
    assert caller.read_count == 1
