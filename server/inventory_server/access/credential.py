"""A credential: by what a caller is known, and what he may then.

A token has 256 bits of chance, so that a fast hash keeps it: nobody guesses it from its SHA-256, and a slow
one, which passwords need, would cost every call a hundred times what all the rest of it does.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property

from inventory_server.access.errors import StoreRequired
from inventory_server.access.role import Role
from inventory_server.domain.errors import StoreNotFound

# Tells a token of ours from others where it lies about, to people and to programs that look for secrets.
TOKEN_PREFIX = "inventory_"
TOKEN_BYTES = 32
# Live ones: every server keeps them in memory, and reads them again every second.
CREDENTIALS_MAX = 1_000


class Kind(StrEnum):
    """By what a caller is known."""

    TOKEN = "TOKEN"
    CERTIFICATE = "CERTIFICATE"
    SUBJECT = "SUBJECT"


@dataclass(frozen=True)
class Credential:
    """What is known of a caller.

    Attributes:
        name: the actor in the log; several credentials may share it, as two tokens do while one replaces
            the other.
        identity: of a token its hash, of a certificate one of its alternative names, of an identity
            provider's tokens their `sub`.
        stores: None = all.
        expires_at: seconds since 1970, None = never.
        calls_per_s_max, calls_max: None = the server's own limits; each server process counts its own.
    """

    credential_id: str
    name: str
    kind: Kind
    identity: str
    role: Role
    stores: frozenset[str] | None = None
    expires_at: float | None = None
    calls_per_s_max: int | None = None
    calls_max: int | None = None

    @cached_property
    def told(self) -> str:
        """Who it is, as the audit log has it: a piece of a JSON object."""
        return f'"actor": {json.dumps(self.name)}, "credential_id": {json.dumps(self.credential_id)}'

    def store(self, named: str | None) -> str:
        """Return the store of a call that names this one, or none.

        Raises: StoreRequired; StoreNotFound for a store of others, as for one that is not there.
        """
        if named is not None:
            if self.stores is not None and named not in self.stores:
                raise StoreNotFound(named)
            return named
        if self.stores is None or len(self.stores) > 1:
            raise StoreRequired
        (only,) = self.stores
        return only


def new_token() -> str:
    """Make a token: TOKEN_PREFIX and 43 characters of base64url."""
    return TOKEN_PREFIX + secrets.token_urlsafe(TOKEN_BYTES)


def token_hash(token: str) -> str:
    """Return what is kept of a token: its SHA-256 in 64 hexadecimal digits."""
    return hashlib.sha256(token.encode()).hexdigest()
