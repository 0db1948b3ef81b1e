"""Where units are kept. A slug names a location for ever; the rest of it may change."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Location(NamedTuple):
    """A disabled one allocates nothing new. Lines are served by the lowest `priority`, then slug."""

    slug: str
    enabled: bool = True
    priority: int = 0
    name: str = ""
    external_ref: str = ""
    description: str = ""
    address_lines: tuple[str, ...] = ()
    latitude: float | None = None
    longitude: float | None = None
    created_at: datetime = _LONG_AGO
    updated_at: datetime = _LONG_AGO
