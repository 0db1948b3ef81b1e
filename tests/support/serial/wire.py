"""A wire to PostgreSQL on which every transaction may begin at another isolation level than it asks for.

The server is as it is for everybody: it says SERIALIZABLE, and the wire says something else to the database.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

from inventory_loadtest.proxy import Connect, Link, Proxy

_ASKED = b"ISOLATION LEVEL SERIALIZABLE"
# The messages that bring SQL: Query and Parse (PostgreSQL manual, "Message Formats").
_WITH_SQL = b"QP"
# What Bind says of the engine's prepared COMMIT: its portal has no name.
_COMMIT = b"\0COMMIT\0"


class IsolationWire(Proxy):
    """Forwards messages; see `inventory_loadtest.proxy.proxy`.

    Args:
        level: the isolation level that transactions begin at, such as REPEATABLE READ.
        delay_s: so long every tenth COMMIT of a batch is held back, by chance, so that others begin and end
            meanwhile.
    """

    def __init__(self, connect: Connect, *, level: str, chance: random.Random, delay_s: float) -> None:
        super().__init__(connect)
        self.wanted = b"ISOLATION LEVEL " + level.encode()
        self.chance = chance
        self.delay_s = delay_s

    def link(self, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]) -> Link:
        return _Link(self, writers)


class _Link(Link):
    def __init__(
        self, owner: IsolationWire, writers: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    ) -> None:
        super().__init__(owner, writers)
        self._wire = owner

    async def pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, from_client: bool
    ) -> None:
        if not from_client:
            await super().pump(reader, writer, from_client=False)
            return
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            # The first message has no type.
            kind = b""
            while True:
                length = await reader.readexactly(4)
                body = await reader.readexactly(int.from_bytes(length, "big") - 4)
                if kind and kind in _WITH_SQL:
                    body = body.replace(_ASKED, self._wire.wanted)
                elif kind == b"B" and body.startswith(_COMMIT):
                    await asyncio.sleep(self._wire.delay_s if self._wire.chance.random() < 0.1 else 0)
                writer.write(kind + (len(body) + 4).to_bytes(4, "big") + body)
                await writer.drain()
                kind = await reader.readexactly(1)
        self.cut()
