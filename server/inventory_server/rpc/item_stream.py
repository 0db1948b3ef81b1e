"""Items on a stream: as many on their way as may be, each answered when it is decided, whatever the order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import TypeVar

from inventory_server.engine.verdicts import Verdict

M = TypeVar("M")

# Items of one stream that wait for their verdict, or whose verdict waits for its caller, before more are
# read: HTTP/2's flow control then stops the caller.
IN_FLIGHT_MAX = 1_000


async def verdicts(
    messages: AsyncIterator[M], begin: Callable[[M, Callable[[Verdict], None]], Awaitable[Sequence[Verdict]]]
) -> AsyncGenerator[list[Verdict]]:
    """Yield items as they are decided, as many at a time as there are.

    Args:
        messages: the caller's. The next one is read while fewer than IN_FLIGHT_MAX items are on their way, so
            that there are less than that and one message's more.
        begin: sets out a message's items; returns a verdict for each, of which it tells the function that it
            is given when it has ended.
    Raises: what `messages` or `begin` raised, once all that was begun before is answered.
    Effects: closed early, it cancels what is on its way.
    """
    waiting: set[Verdict] = set()
    decided: list[Verdict] = []
    unsent: list[Verdict] = []
    news, room = asyncio.Event(), asyncio.Event()

    def settle(item: Verdict) -> None:
        waiting.discard(item)
        decided.append(item)
        news.set()

    async def read() -> None:
        async for message in messages:
            waiting.update([item for item in await begin(message, settle) if not item.done()])
            while len(waiting) + len(decided) + len(unsent) >= IN_FLIGHT_MAX:
                room.clear()
                await room.wait()

    reader = asyncio.create_task(read())
    reader.add_done_callback(lambda _: news.set())
    try:
        while decided or waiting or not reader.done():
            news.clear()
            if not decided:
                await news.wait()
                continue
            unsent, decided = decided, []
            yield unsent
            unsent = []
            room.set()
        await reader
    finally:
        reader.cancel()
        for item in waiting.copy():
            item.cancel()
        await asyncio.wait([reader])
