"""Batch RPCs: what their items share. Each item is a command of its own, with a verdict of its own."""

from __future__ import annotations

from collections.abc import Iterable

from google.rpc import status_pb2  # type: ignore[import-untyped]

from inventory_server.domain.errors import IdReused, ItemIdReused
from inventory_server.rpc import status
from inventory_server.rpc.edge import log_defect
from inventory_server.rpc.rules import ID_DESCRIPTION, VIOLATIONS_MAX, InvalidFields, Violation, is_id


def need_ids(item_ids: Iterable[str], items: str = "items") -> None:
    """Raise InvalidFields for every item that has no usable name; `items` is their field."""
    broken = [
        Violation(f"{items}[{index}].item_id", ID_DESCRIPTION)
        for index, item_id in enumerate(item_ids)
        if not is_id(item_id)
    ]
    if broken:
        raise InvalidFields(broken[:VIOLATIONS_MAX])


def need_different_ids(item_ids: Iterable[str], items: str = "items") -> None:
    """Raise InvalidFields for every item whose item_id an earlier one has; `items` is their field."""
    seen: set[str] = set()
    broken = []
    for index, item_id in enumerate(item_ids):
        if item_id in seen:
            broken.append(Violation(f"{items}[{index}].item_id", "must differ from the other items'"))
        seen.add(item_id)
    if broken:
        raise InvalidFields(broken)


def request_id_of(request_id: str, item_id: str) -> str:
    """Return what names an item of a call for ever. No id holds a space, so no two pairs are one text."""
    return f"{request_id} {item_id}"


def named(verdict: Exception, request_id: str, item_id: str) -> Exception:
    """Return an item's verdict in the caller's names: what request_id_of joins is nobody's id."""
    is_of_join = isinstance(verdict, IdReused) and verdict.field == "request_id"
    return ItemIdReused(request_id, item_id) if is_of_join else verdict


def error(method: str, verdict: Exception) -> status_pb2.Status:
    """Return what an item is told that was refused; a defect is logged under an id, as with any call."""
    return status.status_of(verdict) or status.internal_status(log_defect(method, verdict))
