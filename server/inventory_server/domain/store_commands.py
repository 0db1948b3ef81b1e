"""What administrators ask for about a store's settings. See commands.py for what a command is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from inventory_server.domain.commands import Command, Wanted


@dataclass(frozen=True, slots=True)
class UpdateStoreSettings(Command):
    """`changes` are (field of StoreSettings, value); an `etag` of None is not checked."""

    has_request_id: ClassVar[bool] = True

    changes: tuple[tuple[str, Any], ...]
    etag: str | None = None

    def content(self) -> tuple[object, ...]:
        return (self.changes, self.etag)

    def want(self, wanted: Wanted) -> None:
        """Nothing: every batch loads the store's settings."""
