"""InventoryService's calls on locations, and transfers: each decodes, asks engine or reader, and encodes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inventory_client.v1 import location_pb2 as pb
from inventory_client.v1 import transfer_pb2
from inventory_server.domain.errors import LocationNotFound
from inventory_server.domain.limits import DEFAULT_LOCATION
from inventory_server.domain.location import Location, Point, distance_m
from inventory_server.domain.location_commands import (
    CreateLocation,
    DeleteLocation,
    TransferStock,
    UpdateLocation,
)
from inventory_server.rpc import answers, convert, pages
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Engine, StockReader
from inventory_server.rpc.repeat import change_once
from inventory_server.rpc.rules import InvalidFields, Violation

# Farther than anything: where a location without a geolocation stands in a list by distance.
_NOWHERE_M = 2**62


class LocationCalls:
    """A part of InventoryServicer. The .proto says what each call does."""

    _engine: Engine
    _reader: StockReader

    async def create_location(
        self, request: pb.CreateLocationRequest, call: Call
    ) -> pb.CreateLocationResponse:
        return await change_once(
            self._engine, call, _create_location(request), request.request_id, pb.CreateLocationResponse,
            lambda made: pb.CreateLocationResponse(location=answers.location(made)),
        )  # fmt: skip

    async def get_location(self, request: pb.GetLocationRequest, call: Call) -> pb.GetLocationResponse:
        found = await self._reader.locations(call.store_id, deadline_s=call.deadline_s)
        if request.slug not in found:
            raise LocationNotFound(request.slug)
        return pb.GetLocationResponse(location=answers.location(found[request.slug]))

    async def list_locations(self, request: pb.ListLocationsRequest, call: Call) -> pb.ListLocationsResponse:
        near = _point(request.near) if request.HasField("near") else None
        scope = ("ListLocations", call.store_id, repr(near))
        after = pages.position(scope, request.page_token, (0, ""))
        found = await self._reader.locations(call.store_id, deadline_s=call.deadline_s)
        listed = sorted((_away_m(location, near), slug) for slug, location in found.items())
        size = pages.size(request.page_size)
        page, next_token = pages.cut(
            [key for key in listed if key > after][: size + 1], size, scope, lambda key: key
        )
        return pb.ListLocationsResponse(
            locations=[
                answers.location(found[slug], None if near is None or away_m == _NOWHERE_M else away_m)
                for away_m, slug in page
            ],
            next_page_token=next_token,
        )

    async def update_location(
        self, request: pb.UpdateLocationRequest, call: Call
    ) -> pb.UpdateLocationResponse:
        return await change_once(
            self._engine, call, _update_location(request), request.request_id, pb.UpdateLocationResponse,
            lambda changed: pb.UpdateLocationResponse(location=answers.location(changed)),
        )  # fmt: skip

    async def delete_location(
        self, request: pb.DeleteLocationRequest, call: Call
    ) -> pb.DeleteLocationResponse:
        if request.slug == DEFAULT_LOCATION:
            raise InvalidFields([Violation("slug", "must not be `default`, which every store has")])
        return await change_once(
            self._engine, call, DeleteLocation(request.slug, request.etag or None), request.request_id,
            pb.DeleteLocationResponse, lambda _: pb.DeleteLocationResponse(),
        )  # fmt: skip

    async def transfer_stock(
        self, request: transfer_pb2.TransferStockRequest, call: Call
    ) -> transfer_pb2.TransferStockResponse:
        return await change_once(
            self._engine, call, _transfer_stock(request), request.request_id,
            transfer_pb2.TransferStockResponse,
            lambda entries: transfer_pb2.TransferStockResponse(
                transfer_out=answers.stock_transaction(entries[0]),
                transfer_in=answers.stock_transaction(entries[1]),
            ),
        )  # fmt: skip


def _create_location(request: pb.CreateLocationRequest) -> CreateLocation:
    changes = {field: value for decode in _DECODED.values() for field, value in decode(request).items()}
    return CreateLocation(Location(request.slug, **changes))


def _update_location(request: pb.UpdateLocationRequest) -> UpdateLocation:
    """Decode what to change: what the mask names, cleared where it is absent, else all set fields (AIP-134).

    Raises: InvalidFields, for a path that is none of these.
    """
    paths = request.update_mask.paths
    broken = [
        Violation(f"update_mask.paths[{index}]", f"must be one of {', '.join(_DECODED)}")
        for index, path in enumerate(paths)
        if path not in _DECODED
    ]
    if broken:
        raise InvalidFields(broken)
    named = set(paths) or {field.name for field, _ in request.ListFields()}
    changes = [pair for path in _DECODED if path in named for pair in _DECODED[path](request).items()]
    return UpdateLocation(request.slug, tuple(changes), request.etag or None)


def _transfer_stock(request: transfer_pb2.TransferStockRequest) -> TransferStock:
    """Decode a transfer. Raises: InvalidFields, for a target that is the source."""
    source = convert.location_or_default(request.source_location)
    target = convert.location_or_default(request.target_location)
    if source == target:
        raise InvalidFields([Violation("target_location", "must be another than source_location")])
    return TransferStock(
        product_id=request.product_id,
        quantity=request.quantity,
        source=source,
        target=target,
        reason=request.reason,
        reference=request.reference,
        expected_version=request.expected_version if request.HasField("expected_version") else None,
    )


def _address(request: Any) -> dict[str, Any]:
    return {"address_lines": tuple(request.address_lines)}


def _geolocation(request: Any) -> dict[str, Any]:
    if not request.HasField("geolocation"):
        return {"latitude": None, "longitude": None}
    return _point(request.geolocation)._asdict()


# What callers say of a location, by the field of the request, to what Location calls it.
_DECODED: dict[str, Callable[[Any], dict[str, Any]]] = {
    "name": lambda request: {"name": request.name},
    "external_ref": lambda request: {"external_ref": request.external_ref},
    "description": lambda request: {"description": request.description},
    "address_lines": _address,
    "geolocation": _geolocation,
    "priority": lambda request: {"priority": request.priority},
    "disabled": lambda request: {"enabled": not request.disabled},
}


def _point(geolocation: pb.Geolocation) -> Point:
    # -0.0 and 0.0 are one place, and must be one content.
    return Point(geolocation.latitude + 0.0, geolocation.longitude + 0.0)


def _away_m(location: Location, near: Point | None) -> int:
    if near is None:
        return 0
    return _NOWHERE_M if location.point is None else distance_m(near, location.point)
