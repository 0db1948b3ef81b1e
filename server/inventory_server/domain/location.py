"""Where units are kept. A slug names a location for ever; the rest of it may change."""

from __future__ import annotations

from datetime import UTC, datetime
from math import asin, cos, radians, sin, sqrt
from typing import NamedTuple

from inventory_server.domain.etag import etag

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
# The mean radius of the Earth, by the International Union of Geodesy and Geophysics.
EARTH_RADIUS_M = 6_371_008.8


class Point(NamedTuple):
    """A place on the Earth, in degrees of WGS 84."""

    latitude: float
    longitude: float


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

    @property
    def rank(self) -> tuple[int, str]:
        """What locations are sorted by where lines are served."""
        return (self.priority, self.slug)

    @property
    def etag(self) -> str:
        return etag(*self)

    @property
    def point(self) -> Point | None:
        if self.latitude is None or self.longitude is None:
            return None
        return Point(self.latitude, self.longitude)


def distance_m(one: Point, other: Point) -> int:
    """Return the way between two points along the Earth as a sphere, in whole metres.

    The haversine formula, at most 0.6% from the way along the ellipsoid (R. W. Sinnott, "Virtues of the
    Haversine", Sky and Telescope 68, 1984).
    """
    lower, upper = radians(one.latitude), radians(other.latitude)
    across = sin(radians(other.longitude - one.longitude) / 2) ** 2
    chord = sin((upper - lower) / 2) ** 2 + cos(lower) * cos(upper) * across
    # Rounding may take opposite points a hair past 1.
    return round(2 * EARTH_RADIUS_M * asin(sqrt(min(1.0, chord))))
