"""Locations: made, changed, and deleted when nothing is kept there."""

from __future__ import annotations

from inventory_server.domain.errors import (
    EtagMismatch,
    LocationExists,
    LocationNotEmpty,
    LocationNotFound,
    QuantityOverflow,
)
from inventory_server.domain.limits import LOCATIONS_MAX
from inventory_server.domain.location import Location
from inventory_server.domain.location_commands import CreateLocation, DeleteLocation, UpdateLocation
from inventory_server.domain.state import State


def create_location(state: State, command: CreateLocation, _request_id: str | None) -> Location:
    slug = command.location.slug
    if state.locations.get(slug) is not None:
        raise LocationExists(slug)
    if sum(1 for _ in state.locations.items()) >= LOCATIONS_MAX:
        raise QuantityOverflow("the number of the store's locations", LOCATIONS_MAX)
    made = command.location._replace(created_at=state.now, updated_at=state.now)
    state.locations.put(slug, made)
    return made


def update_location(state: State, command: UpdateLocation, _request_id: str | None) -> Location:
    location = _existing(state, command.slug, command.etag)
    changed = location._replace(**dict(command.changes))
    if changed == location:
        return location
    changed = changed._replace(updated_at=state.now)
    state.locations.put(command.slug, changed)
    return changed


def delete_location(state: State, command: DeleteLocation, _request_id: str | None) -> None:
    """Delete a location that keeps nothing; its levels stay, since their versions go on if it comes again."""
    location = _existing(state, command.slug, command.etag)
    kept = [level for (_, slug), level in state.levels.items() if slug == location.slug and level.total]
    if kept:
        raise LocationNotEmpty(location.slug)
    state.locations.delete(location.slug)


def _existing(state: State, slug: str, etag: str | None) -> Location:
    location = state.locations.get(slug)
    if location is None:
        raise LocationNotFound(slug)
    if etag is not None and etag != location.etag:
        raise EtagMismatch("etag", location.etag)
    return location
