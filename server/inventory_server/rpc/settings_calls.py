"""InventoryService's calls on a store's settings: decode, ask the engine or the reader, encode."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from inventory_client.v1 import store_settings_pb2 as pb
from inventory_server.domain.limits import CART_EXPIRY_S_MAX, CART_EXPIRY_S_MIN, HOLD_S_MAX, HOLD_S_MIN
from inventory_server.domain.store import StoreSettings
from inventory_server.domain.store_commands import UpdateStoreSettings
from inventory_server.rpc import answers
from inventory_server.rpc.edge import Call
from inventory_server.rpc.masks import changed_fields
from inventory_server.rpc.ports import Engine, StockReader
from inventory_server.rpc.repeat import change_once
from inventory_server.rpc.rules import InvalidFields, Violation

_FLAGS = ("defer_inventory_check", "sell_unmanaged_products")
# Field of the request -> what the domain calls it, and its range in seconds.
_DURATIONS = {
    "default_hold": ("default_hold_s", HOLD_S_MIN, HOLD_S_MAX),
    "cart_expiry": ("cart_expiry_s", CART_EXPIRY_S_MIN, CART_EXPIRY_S_MAX),
}
_UNSET = StoreSettings()._asdict()


class SettingsCalls:
    """A part of InventoryServicer. The .proto says what each call does."""

    _engine: Engine
    _reader: StockReader

    async def get_store_settings(
        self, _request: pb.GetStoreSettingsRequest, call: Call
    ) -> pb.GetStoreSettingsResponse:
        settings = await self._reader.settings(call.store_id, deadline_s=call.deadline_s)
        return pb.GetStoreSettingsResponse(settings=answers.store_settings(settings))

    async def update_store_settings(
        self, request: pb.UpdateStoreSettingsRequest, call: Call
    ) -> pb.UpdateStoreSettingsResponse:
        return await change_once(
            self._engine, call, _update(request), request.request_id, pb.UpdateStoreSettingsResponse,
            lambda change: pb.UpdateStoreSettingsResponse(settings=answers.store_settings(change.after)),
        )  # fmt: skip


def _update(request: pb.UpdateStoreSettingsRequest) -> UpdateStoreSettings:
    """Decode what to change. Raises: InvalidFields, for a path that is none, or a duration out of range."""
    changed = changed_fields(request, (*_FLAGS, *_DURATIONS))
    given = {field.name: value for field, value in request.ListFields()}
    changes = [(name, given.get(name, _UNSET[name])) for name in _FLAGS if name in changed]
    for name, (field, least_s, most_s) in _DURATIONS.items():
        if name in changed:
            value = _whole_s(name, given[name], least_s, most_s) if name in given else _UNSET[field]
            changes.append((field, value))
    return UpdateStoreSettings(tuple(changes), request.etag or None)


def _whole_s(name: str, duration: Duration, least_s: int, most_s: int) -> int:
    if duration.nanos or not least_s <= duration.seconds <= most_s:
        raise InvalidFields([Violation(name, f"must be whole seconds, {least_s} s to {most_s} s (90 days)")])
    return duration.seconds
