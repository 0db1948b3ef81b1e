"""Credentials for a test's own callers."""

from __future__ import annotations

import time
import uuid
from collections.abc import Sequence
from typing import Any

from inventory_server.access.audit import Audit
from inventory_server.access.credential import Credential, Kind, new_token, token_hash
from inventory_server.access.directory import Directory, Limits
from inventory_server.access.role import Role
from inventory_server.db.credentials import create_credential
from inventory_server.rpc.guard import Guard


def grant(database_url: str, name: str, role: Role, stores: Sequence[str] | None, **given: Any) -> str:
    """Make a token in a database; the server hears of it a moment later."""
    token = new_token()
    create_credential(
        database_url, credential_id=uuid.uuid4().hex, name=name, kind=Kind.TOKEN,
        identity=token_hash(token), role=role, stores=stores, **given,
    )  # fmt: skip
    return token


class Keys:
    """A guard of a test's own, whose credentials stand in memory alone."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.told: list[str] = []
        self.directory = Directory(limits)
        self.audit = Audit(self.told.extend)
        self.guard = Guard(self.directory, self.audit)
        self._credentials: dict[str, Credential] = {}
        self.directory.replace([])

    def token(
        self, role: Role = Role.ADMIN, *, stores: Sequence[str] | None = ("default",), **given: Any
    ) -> str:
        """Let a token in, and return it."""
        token = new_token()
        self.add(Kind.TOKEN, token_hash(token), role, stores, **given)
        return token

    def add(
        self, kind: Kind, identity: str, role: Role, stores: Sequence[str] | None = ("default",), **given: Any
    ) -> None:
        known = None if stores is None else frozenset(stores)
        name = given.pop("name", f"a-{role}")
        self._credentials[identity] = Credential(identity[:8], name, kind, identity, role, known, **given)
        self.directory.replace(self._credentials.values())

    def revoke(self, token: str) -> None:
        del self._credentials[token_hash(token)]
        self.directory.replace(self._credentials.values())

    def expired(self) -> str:
        return self.token(expires_at=time.time() - 1)


def bearing(token: str, *further: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Return the metadata of a call with a token."""
    return (("authorization", f"Bearer {token}"), *further)
