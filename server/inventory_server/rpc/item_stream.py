"""Items on a stream: as many on their way as may be, each answered when it is decided, whatever the order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

M = TypeVar("M")
V = TypeVar("V")

# Items of one stream that wait for their verdict, or whose verdict waits for its caller, before more are
# read: HTTP/2's flow control then stops the caller.
IN_FLIGHT_MAX = 1_000


def refused(refusal: Exception) -> asyncio.Future[Any]:
    """Return an item that is decided already."""
    item: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    item.set_exception(refusal)
    return item


async def verdicts(
    messages: AsyncIterator[M], begin: Callable[[M], Awaitable[Sequence[asyncio.Future[V]]]]
) -> AsyncGenerator[list[asyncio.Future[V]]]:
    """Yield items as they are decided, as many at a time as there are.

    Args:
        messages: the caller's. The next one is read while fewer than IN_FLIGHT_MAX items are on their way, so
            that there are less than that and one message's more.
        begin: sets out a message's items; returns a future for each.
    Raises: what `messages` or `begin` raised, once all that was begun before is answered.
    Effects: closed early, it cancels what is on its way.
    """
    waiting: set[asyncio.Future[V]] = set()
    decided: list[asyncio.Future[V]] = []
    unsent: list[asyncio.Future[V]] = []
    news, room = asyncio.Event(), asyncio.Event()

    def settle(item: asyncio.Future[V]) -> None:
        waiting.discard(item)
        decided.append(item)
        news.set()

    async def read() -> None:
        async for message in messages:
            for item in await begin(message):
                waiting.add(item)
                item.add_done_callback(settle)
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
        for item in (*decided, *unsent):
            item.exception()  # else asyncio logs that nobody looked at it
        await asyncio.wait([reader])
