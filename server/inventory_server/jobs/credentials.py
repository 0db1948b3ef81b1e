"""Reads the credentials again and again: what a revocation waits for."""

from __future__ import annotations

import time

from inventory_server.access.directory import Directory
from inventory_server.engine.credentials import CredentialBook

DEADLINE_S = 5.0
USED_INTERVAL_S = 60.0


class CredentialWatch:
    def __init__(self, book: CredentialBook, directory: Directory) -> None:
        self._book = book
        self._directory = directory
        self._noted_at = time.monotonic()

    async def look(self) -> None:
        """Read who may call; once a minute note who did."""
        self._directory.replace(await self._book.live(deadline_s=DEADLINE_S))
        if time.monotonic() - self._noted_at < USED_INTERVAL_S:
            return
        self._noted_at = time.monotonic()
        if used := self._directory.take_used():
            await self._book.note_used(used)
