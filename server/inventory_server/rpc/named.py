"""What a call's metadata name beside its request: the store, the actor, the credential."""

from __future__ import annotations

from typing import Any, NamedTuple

from inventory_server.rpc.rules import ID_DESCRIPTION, Violation, is_id

STORE_KEY = "x-inventory-store"
ACTOR_KEY = "x-inventory-actor"
AUTHORIZATION_KEY = "authorization"
_KEYS = frozenset({STORE_KEY, ACTOR_KEY, AUTHORIZATION_KEY})


class Named(NamedTuple):
    """Attributes: store_id and authorization are None where not named, actor ""; `broken` what is wrong."""

    store_id: str | None
    actor: str
    authorization: str | None
    broken: list[Violation]


def named_in(metadata: Any) -> Named:
    """Read a call's metadata; the authorization, which is the guard's to judge, as it is, once."""
    store_id: str | None = None
    actor = ""
    authorization: str | None = None
    broken = []
    seen = set()
    for key, value in metadata:
        if key not in _KEYS:
            continue
        if key == AUTHORIZATION_KEY:
            # Two are none: which of them was meant nobody can say.
            authorization = "" if key in seen else value
        elif key in seen:
            broken.append(Violation(key, "must be named once"))
        elif not is_id(value):
            broken.append(Violation(key, ID_DESCRIPTION))
        elif key == STORE_KEY:
            store_id = value
        else:
            actor = value
        seen.add(key)
    return Named(store_id, actor, authorization, broken)
