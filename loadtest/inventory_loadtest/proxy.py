"""A proxy on the loopback that fails where the network would: around a COMMIT of PostgreSQL, or anywhere."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from enum import Enum, auto
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

# The prepared statement that a Bind message names, and the reply's CommandComplete tag.
_COMMIT = b"COMMIT\0"

Connect = Callable[[], Awaitable[tuple[asyncio.StreamReader, asyncio.StreamWriter]]]


class Fault(Enum):
    """What happens to the next COMMIT."""

    CUT_BEFORE = auto()  # it never arrives, both sides see the connection end
    CUT_AFTER = auto()  # it is done, the reply is lost with the connection
    BLACK_HOLE_BEFORE = auto()  # it never arrives, and nobody hears a thing
    BLACK_HOLE_AFTER = auto()  # it is done, the reply never arrives, and nobody hears a thing


class Proxy:
    """Forwards bytes between clients and a server. Made by `proxy`, or put to `listening`."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._then_refuse = False
        self.fault: Fault | None = None
        # New connections end at once: the server is away.
        self.refuses = False
        self.struck = asyncio.Event()

    def arm(self, fault: Fault, *, then_refuse: bool = False) -> None:
        """Let a fault befall the next COMMIT."""
        self.fault, self._then_refuse = fault, then_refuse
        self.struck.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.refuses:
                raise ConnectionRefusedError
            up_reader, up_writer = await self._connect()
        except OSError:
            writer.transport.abort()
            return
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
        """Return what forwards between these two: the client's, and the server's."""
        return Link(self, writers)

    def strike(self) -> Fault | None:
        """Take the fault that is armed, if one is."""
        fault, self.fault = self.fault, None
        if fault is not None:
            self.refuses = self._then_refuse
            self.struck.set()
        return fault

    def cut(self) -> None:
        """End every connection; both sides see it."""
        for writer in self._writers:
            writer.transport.abort()

    async def close(self) -> None:
        self.cut()
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
    database_url: str,
    make: Callable[[Connect], MadeProxy] = Proxy,  # type: ignore[assignment]
) -> AsyncIterator[tuple[MadeProxy, str]]:
    """Put a proxy before a database that listens on a unix socket; yield it with the URL through it."""
    parts = urlsplit(database_url)
    folder = parse_qs(parts.query)["host"][0]
    made = make(lambda: asyncio.open_unix_connection(f"{folder}/.s.PGSQL.5432"))
    async with listening(made) as port:
        yield made, f"postgresql://postgres@127.0.0.1:{port}{parts.path}?sslmode=disable&gssencmode=disable"


@asynccontextmanager
async def listening(made: Proxy) -> AsyncIterator[int]:
    """Let a proxy listen on a port of 127.0.0.1, which is yielded."""
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await made.close()
