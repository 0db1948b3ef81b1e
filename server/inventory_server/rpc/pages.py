"""Opaque page tokens (AIP-158): the position after which the next page begins, and what it is a page of.

A position is a key, so pages stay stable under concurrent writes: nothing is skipped, nothing comes twice.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from hashlib import blake2b
from typing import Any, TypeVar

from google.protobuf.message import Message

from inventory_server.domain.limits import PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX
from inventory_server.rpc import convert
from inventory_server.rpc.rules import InvalidFields, Violation, is_id

T = TypeVar("T")

_DIGEST_BYTES = 8
FOREIGN_DESCRIPTION = "must be a next_page_token of the same method, store and filters"
_FOREIGN = Violation("page_token", FOREIGN_DESCRIPTION)


def size(page_size: int) -> int:
    """Return how many a page holds: 0 = the default, more than the bound is lowered to it."""
    return min(page_size or PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)


def list_scope(store_id: str, request: Message) -> tuple[str, ...]:
    """Return the scope of a list's tokens: its request without what may differ from page to page."""
    filters = type(request)()
    filters.CopyFrom(request)
    for field in ("page_size", "page_token"):
        filters.ClearField(field)
    return type(request).DESCRIPTOR.name, store_id, filters.SerializeToString(deterministic=True).hex()


def token(scope: Sequence[str], position: Sequence[str | int]) -> str:
    """Make the token of the page that begins after `position`.

    Args:
        scope: method, store and every filter: a token of another scope is refused.
        position: the last key of this page.
    """
    payload = json.dumps(position, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(_digest(scope, payload) + payload).rstrip(b"=").decode()


def position(scope: Sequence[str], page_token: str, first: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the position that a token holds; `first` for the empty token.

    The digest is no secret: who forges one can name a position, which shows nothing that a list doesn't. It
    tells a token of another method, store or filter, and a damaged one.
    Raises: InvalidFields at `page_token`.
    """
    if not page_token:
        return first
    found = read(scope, page_token)
    if not isinstance(found, list) or len(found) != len(first) or not all(map(_is_key, found, first)):
        raise InvalidFields([_FOREIGN])
    return tuple(found)


def moment_token(scope: Sequence[str], last: tuple[datetime, str] | None) -> str:
    """Make the token of the page that begins after a (time, id); "" where there is none."""
    return "" if last is None else token(scope, (convert.micros(last[0]), last[1]))


def moment_position(scope: Sequence[str], page_token: str) -> tuple[datetime, str]:
    """Return the (time, id) that a token holds; before all of them for the empty token.

    Raises: InvalidFields at `page_token`.
    """
    time_us, key = position(scope, page_token, (0, ""))
    return convert.of_micros(time_us), key


def read(scope: Sequence[str], opaque: str) -> object:
    """Return what a token of this scope holds, whatever it is; None for any other text."""
    try:
        raw = base64.b64decode(opaque + "=" * (-len(opaque) % 4), altchars=b"-_", validate=True)
        digest, payload = raw[:_DIGEST_BYTES], raw[_DIGEST_BYTES:]
        return json.loads(payload) if digest == _digest(scope, payload) else None
    except (ValueError, RecursionError):  # binascii.Error and JSONDecodeError are ValueErrors
        return None


def cut(
    rows: list[T], page_size: int, scope: Sequence[str], key: Callable[[T], Sequence[str | int]]
) -> tuple[list[T], str]:
    """Split rows, read with a limit of page_size + 1, into the page and the token of the next one."""
    if len(rows) <= page_size:
        return rows, ""
    page = rows[:page_size]
    return page, token(scope, key(page[-1]))


def _is_key(found: object, first: object) -> bool:
    """Whether a part of a position is of its kind: a forged one must not reach the database as it likes."""
    if isinstance(first, int):
        return type(found) is int and 0 <= found < 2**63
    return isinstance(found, str) and is_id(found) is not None


def _digest(scope: Sequence[str], payload: bytes) -> bytes:
    digest = blake2b(json.dumps(scope).encode(), digest_size=_DIGEST_BYTES)
    digest.update(b"\0" + payload)
    return digest.digest()
