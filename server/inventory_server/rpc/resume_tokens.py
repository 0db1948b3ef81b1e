"""Opaque resume tokens of WatchStock: a place in the feed of one store of one database.

The digest is no secret, as that of page tokens: who forges one can name a place, which shows nothing that a
watch from the beginning doesn't. Whether the place is there is asked of the database.
"""

from __future__ import annotations

from inventory_server.engine.feed import ResumePoint
from inventory_server.engine.feed_reads import Position
from inventory_server.rpc import pages
from inventory_server.rpc.rules import InvalidFields, Violation

_SCOPE = ("WatchStock",)
_SHAPE = (str, str, int, str, str, int)
_FOREIGN = Violation("resume_token", "must be a resume_token of WatchStock")


def token(point: ResumePoint) -> str:
    return pages.token(_SCOPE, (point.origin, point.store_id, *point.position))


def point(resume_token: str) -> ResumePoint:
    """Return what a token holds. Raises: InvalidFields at `resume_token`."""
    found = pages.read(_SCOPE, resume_token)
    if not isinstance(found, list) or tuple(map(type, found)) != _SHAPE or not all(map(_is_sound, found)):
        raise InvalidFields([_FOREIGN])
    origin, store_id, *position = found
    return ResumePoint(origin, store_id, Position(*position))


def _is_sound(part: str | int) -> bool:
    """Whether a part can be asked of the database at all."""
    return 0 <= part < 2**63 if isinstance(part, int) else part.isascii() and "\0" not in part
