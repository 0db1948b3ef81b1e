"""Update masks (AIP-134): which fields of a request say what to change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from inventory_server.rpc.rules import InvalidFields, Violation


def changed_fields(request: Any, allowed: Sequence[str]) -> frozenset[str]:
    """Return the fields to change: those that `update_mask` names, else all that are set.

    Args:
        request: has an `update_mask`, and the allowed fields, each with presence.
    Raises: InvalidFields for a path that is not allowed.
    """
    paths = request.update_mask.paths
    broken = [
        Violation(f"update_mask.paths[{index}]", f"must be one of {', '.join(allowed)}")
        for index, path in enumerate(paths)
        if path not in allowed
    ]
    if broken:
        raise InvalidFields(broken)
    return frozenset(paths) or frozenset(name for name in allowed if request.HasField(name))
