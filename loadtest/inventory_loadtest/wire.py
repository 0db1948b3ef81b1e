"""A proxy in a thread of its own, for those who hurt a server from outside its event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import TypeVar

from inventory_loadtest.proxy import Connect, Fault, MadeProxy, Proxy, listening, proxy

WAIT_S = 180.0

_Entered = TypeVar("_Entered")


class Wire:
    """A connection's way through a proxy, which can be hurt. Made by `database_wire` and `wire_to`.

    Attributes:
        url: of the database, through the proxy; "" for another server.
        address: HOST:PORT, through the proxy; "" for a database.
    """

    def __init__(
        self, between: Proxy, loop: asyncio.AbstractEventLoop, *, url: str = "", address: str = ""
    ) -> None:
        self._between = between
        self._loop = loop
        self.url = url
        self.address = address

    def strike(self, fault: Fault, wait_s: float = WAIT_S) -> None:
        """Let a fault befall the next COMMIT, and wait until it has. Raises: TimeoutError."""
        self._loop.call_soon_threadsafe(self._between.arm, fault)
        asyncio.run_coroutine_threadsafe(self._struck(), self._loop).result(wait_s)

    def cut(self, *, then_refuse: bool = False) -> None:
        """End every connection. Args: then_refuse: new ones end at once, until `mend`."""
        self._between.refuses = then_refuse
        self._loop.call_soon_threadsafe(self._between.cut)

    def mend(self) -> None:
        """Let new connections through again."""
        self._between.refuses = False

    async def _struck(self) -> None:
        await self._between.struck.wait()


@contextmanager
def database_wire(database_url: str) -> Iterator[Wire]:
    """Put a wire before a database that listens on a unix socket."""
    with proxy_in_thread(database_url, Proxy) as (between, url, loop):
        yield Wire(between, loop, url=url)


@contextmanager
def wire_to(address: str) -> Iterator[Wire]:
    """Put a wire before a server at HOST:PORT."""
    host, _, port = address.rpartition(":")
    with _in_a_thread() as loop:
        between = Proxy(lambda: asyncio.open_connection(host, int(port)))
        with _entered(listening(between), loop) as own_port:
            yield Wire(between, loop, address=f"127.0.0.1:{own_port}")


@contextmanager
def proxy_in_thread(
    database_url: str,
    make: Callable[[Connect], MadeProxy] = Proxy,  # type: ignore[assignment]
) -> Iterator[tuple[MadeProxy, str, asyncio.AbstractEventLoop]]:
    """Put a proxy before a database, beside whoever waits; yield the loop of its thread too."""
    with _in_a_thread() as loop, _entered(proxy(database_url, make), loop) as (between, url):
        yield between, url, loop


@contextmanager
def _in_a_thread() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()
    try:
        yield loop
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()


@contextmanager
def _entered(
    through: AbstractAsyncContextManager[_Entered], loop: asyncio.AbstractEventLoop
) -> Iterator[_Entered]:
    """A block within an asynchronous one of another thread's loop."""

    async def enter() -> _Entered:
        return await through.__aenter__()

    async def leave() -> None:
        await through.__aexit__(None, None, None)

    entered = asyncio.run_coroutine_threadsafe(enter(), loop).result(WAIT_S)
    try:
        yield entered
    finally:
        asyncio.run_coroutine_threadsafe(leave(), loop).result(WAIT_S)
