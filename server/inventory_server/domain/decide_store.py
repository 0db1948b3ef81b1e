"""The settings of a store."""

from __future__ import annotations

from inventory_server.domain.errors import EtagMismatch
from inventory_server.domain.state import State
from inventory_server.domain.store import SettingsChange
from inventory_server.domain.store_commands import UpdateStoreSettings


def update_store_settings(
    state: State, command: UpdateStoreSettings, _request_id: str | None
) -> SettingsChange:
    """Change what is named; the commands after it in the batch go by it already."""
    before = state.settings
    if command.etag not in (None, before.etag):
        raise EtagMismatch("etag", before.etag)
    after = before._replace(**dict(command.changes))
    if after != before:
        after = after._replace(updated_at=state.now)
        state.settings = after
    return SettingsChange(before, after)
