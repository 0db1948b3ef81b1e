"""Calls whose request has not come to its end: how many there are, and how long they may take, has a bound.

gRPC keeps what has come of a request in memory until it is whole: up to 4 MiB a call, and a connection has
thousands of calls. Left to itself it calls a handler only then, so that no bound of ours would hold before.
So every method takes a stream as far as gRPC knows, and the one request of most is read here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from inventory_server.engine.errors import DeadlinePassed, Overloaded
from inventory_server.rpc import status
from inventory_server.rpc.rules import InvalidFields, Violation

T = TypeVar("T")
Context = grpc.aio.ServicerContext[bytes, bytes]

# One more, and the oldest is refused, so that who dribbles is not in the way of who doesn't. An honest
# request comes with its call: measured, 70 waited of 4,096 that were sent at once.
UNREAD_MAX = 256
# At most twice as long may a request take: it is looked so often who was there at the last look.
UNREAD_TIMEOUT_S = 10.0

_NO_REQUEST = Violation("", "a call has one request, and there was none")


class Unread:
    """The calls of one server that wait for their request.

    Args:
        unread_max: of them at once.
        timeout_s: between two looks at them.
    """

    def __init__(self, *, unread_max: int = UNREAD_MAX, timeout_s: float = UNREAD_TIMEOUT_S) -> None:
        self.unread_max = unread_max
        self.timeout_s = timeout_s
        # By age, each with the number of looks before it.
        self._waiting: dict[asyncio.Task[Any], int] = {}
        self._given_up: dict[asyncio.Task[Any], Exception] = {}
        self._looks = 0
        self._next_look: asyncio.TimerHandle | None = None

    @property
    def count(self) -> int:
        """How many wait."""
        return len(self._waiting)

    def reading(
        self, handle: Callable[[bytes, Context], Awaitable[T]]
    ) -> Callable[[Any, Context], Awaitable[T]]:
        """Return what reads the one request of a call and then handles it.

        The caller is told DEADLINE_EXCEEDED or OVERLOADED where it does not come, INVALID_FIELD where there
        is none.
        """

        async def read_first(_given: object, context: Context) -> T:
            try:
                data = await self._read(context)
            except (DeadlinePassed, Overloaded, InvalidFields) as error:
                refusal = status.refusal(error)
                assert refusal is not None
                return await context.abort(*refusal)
            return await handle(data, context)

        return read_first

    async def _read(self, context: Context) -> bytes:
        task = asyncio.current_task()
        assert task is not None
        self._waiting[task] = self._looks
        if len(self._waiting) > self.unread_max:
            self._give_up(next(iter(self._waiting)), Overloaded())
        if self._next_look is None:
            self._look_later()
        try:
            data = await context.read()
        except asyncio.CancelledError:
            given_up = self._given_up.pop(task, None)
            if given_up is None:
                raise
            task.uncancel()
            raise given_up from None
        finally:
            self._waiting.pop(task, None)
        if isinstance(data, bytes):
            return data
        raise InvalidFields([_NO_REQUEST])

    def _look_later(self) -> None:
        self._next_look = asyncio.get_running_loop().call_later(self.timeout_s, self._look)

    def _look(self) -> None:
        """Give up those that were there at the last look; look again as long as any wait."""
        for task, looks in list(self._waiting.items()):
            if looks < self._looks:
                self._give_up(task, DeadlinePassed())
        self._looks += 1
        self._next_look = None
        if self._waiting:
            self._look_later()

    def _give_up(self, task: asyncio.Task[Any], why: Exception) -> None:
        del self._waiting[task]
        self._given_up[task] = why
        task.cancel()
