"""A proxy before PostgreSQL, on the loopback, that fails where the network would: around COMMIT."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from enum import Enum, auto
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

from support.polling import WAIT_S

# The prepared statement that a Bind message names, and the reply's CommandComplete tag.
_COMMIT = b"COMMIT\0"


class Fault(Enum):
    """What happens to the next COMMIT."""

    CUT_BEFORE = auto()  # it never arrives, both sides see the connection end
    CUT_AFTER = auto()  # it is done, the reply is lost with the connection
    BLACK_HOLE_BEFORE = auto()  # it never arrives, and nobody hears a thing
    BLACK_HOLE_AFTER = auto()  # it is done, the reply never arrives, and nobody hears a thing


class Proxy:
    """Forwards bytes between clients and a PostgreSQL. Made by `proxy`."""

    def __init__(self, socket_path: str) -> None:
        self._socket_path = socket_path
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.fault: Fault | None = None
        # New connections end at once: the database is away.
        self.refuses = False
        self.struck = asyncio.Event()

    def arm(self, fault: Fault, *, then_refuse: bool = False) -> None:
        """Let a fault befall the next COMMIT."""
        self.fault, self._then_refuse = fault, then_refuse
        self.struck.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.refuses:
            writer.close()
            return
        up_reader, up_writer = await asyncio.open_unix_connection(self._socket_path)
        self._writers |= {writer, up_writer}
        link = self.link((writer, up_writer))
        pumps = [
            asyncio.create_task(link.pump(reader, up_writer, from_client=True)),
            asyncio.create_task(link.pump(up_reader, writer, from_client=False)),
        ]
        self._tasks.update(pumps)
        await asyncio.wait(pumps)
        self._tasks.difference_update(pumps)
        for one in (writer, up_writer):
            one.close()
            self._writers.discard(one)

    def link(self, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> Link:
        """Return what forwards between these two: the client's, and the database's."""
        return Link(self, writers)

    def strike(self) -> Fault | None:
        """Take the fault that is armed, if one is."""
        fault, self.fault = self.fault, None
        if fault is not None:
            self.refuses = self._then_refuse
            self.struck.set()
        return fault

    async def close(self) -> None:
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


MadeProxy = TypeVar("MadeProxy", bound=Proxy)


class Link:
    """One client's connection."""

    def __init__(self, owner: Proxy, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> None:
        self._owner = owner
        self._writers = writers
        self._fault: Fault | None = None
        self._is_deaf = False

    async def pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool
    ) -> None:
        tail = b""
        with suppress(ConnectionError):
            while data := await reader.read(2**16):
                seen, tail = tail + data, data[-len(_COMMIT) :]
                if _COMMIT in seen:
                    if from_client and self._fault is None:
                        self._fault = self._owner.strike()
                        if self._fault is Fault.CUT_BEFORE:
                            self.cut()
                            return
                        self._is_deaf = self._is_deaf or self._fault is Fault.BLACK_HOLE_BEFORE
                    elif not from_client and self._fault is Fault.CUT_AFTER:
                        self.cut()
                        return
                    elif not from_client and self._fault is Fault.BLACK_HOLE_AFTER:
                        self._is_deaf = True
                if not self._is_deaf:
                    writer.write(data)
                    await writer.drain()
        if not self._is_deaf:
            self.cut()
        elif from_client:
            # Whoever sent into the hole gave up: the far side does not hear of it either.
            self._writers[0].transport.abort()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def proxy(
    database_url: str, make: Callable[[str], MadeProxy] = Proxy
) -> AsyncIterator[tuple[MadeProxy, str]]:
    """Put a proxy before a database that listens on a unix socket; yield it with the URL through it."""
    parts = urlsplit(database_url)
    folder = parse_qs(parts.query)["host"][0]
    made = make(f"{folder}/.s.PGSQL.5432")
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield made, f"postgresql://postgres@127.0.0.1:{port}{parts.path}?sslmode=disable&gssencmode=disable"
    finally:
        server.close()
        await made.close()


@contextmanager
def proxy_in_thread(
    database_url: str, make: Callable[[str], MadeProxy] = Proxy
) -> Iterator[tuple[MadeProxy, str, asyncio.AbstractEventLoop]]:
    """The same beside a test that waits; yield the loop of its thread too."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, name="proxy")
    thread.start()
    through = proxy(database_url, make)
    made, url = asyncio.run_coroutine_threadsafe(through.__aenter__(), loop).result(WAIT_S)
    try:
        yield made, url, loop
    finally:
        asyncio.run_coroutine_threadsafe(through.__aexit__(None, None, None), loop).result(WAIT_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(WAIT_S)
        loop.close()
