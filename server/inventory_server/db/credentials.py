"""Credentials: made, listed and revoked by the administrator's command line, under the login's own role."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from psycopg.rows import namedtuple_row

from inventory_server.access.credential import CREDENTIALS_MAX, Kind
from inventory_server.access.role import Role
from inventory_server.db.stores import list_stores
from inventory_server.operator_error import OperatorError

_IS_LIVE = "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now())"


class Listed(NamedTuple):
    """A credential as an administrator sees it; nothing of a token."""

    credential_id: str
    name: str
    kind: str
    identity: str
    role: str
    stores: list[str] | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    used_at: datetime | None


def create_credential(
    database_url: str,
    *,
    credential_id: str,
    name: str,
    kind: Kind,
    identity: str,
    role: Role,
    stores: Sequence[str] | None,
    expires_days: int | None = None,
    calls_per_s_max: int | None = None,
    calls_max: int | None = None,
) -> None:
    """Let somebody call.

    Args:
        identity: of a token its hash.
        stores: None = all, also those that are made later.
        expires_days: from now; None = never.
    Raises: OperatorError: a store that is not there, an identity that another has, CREDENTIALS_MAX live
        credentials, or a database that fails.
    """
    if missing := sorted(set(stores or ()) - set(list_stores(database_url))):
        raise OperatorError(f"there is no store {missing[0]!r}; see: inventory store list")
    with _connected(database_url, "make the credential") as connection:
        # One after the other, so that the count holds.
        connection.execute("LOCK TABLE credential IN SHARE ROW EXCLUSIVE MODE")
        (count,) = _one(connection, f"SELECT count(*) FROM credential WHERE {_IS_LIVE}")
        if count >= CREDENTIALS_MAX:
            raise OperatorError(f"there are {CREDENTIALS_MAX} credentials; revoke one that is not needed")
        try:
            connection.execute(
                "INSERT INTO credential (credential_id, name, kind, identity, role, stores, expires_at,"
                " calls_per_s_max, calls_max)"
                " VALUES (%s, %s, %s, %s, %s, %s, now() + make_interval(days => %s), %s, %s)",
                (credential_id, name, kind, identity, role, None if stores is None else list(stores),
                 expires_days, calls_per_s_max, calls_max),
            )  # fmt: skip
        except psycopg.errors.UniqueViolation as error:
            raise OperatorError(f"another credential has {identity!r}; revoke that one first") from error
        except psycopg.errors.CheckViolation as error:
            raise OperatorError(f"the database refuses it: {error.diag.constraint_name}") from error


def list_credentials(database_url: str) -> list[Listed]:
    """Return all, those revoked too, the oldest first. Raises: OperatorError where the database fails."""
    with _connected(database_url, "list the credentials") as connection:
        cursor = connection.cursor(row_factory=namedtuple_row)
        rows = cursor.execute(
            f"SELECT {', '.join(Listed._fields)} FROM credential ORDER BY credential_id"
        ).fetchall()
        return [Listed(*row) for row in rows]


def revoke_credential(database_url: str, credential_id: str) -> None:
    """Let somebody call no more. Raises: OperatorError where nobody has the id, or the database fails."""
    with _connected(database_url, "revoke the credential") as connection:
        revoked = connection.execute(
            "UPDATE credential SET revoked_at = COALESCE(revoked_at, now()) WHERE credential_id = %s",
            (credential_id,),
        )
        if not revoked.rowcount:
            raise OperatorError(f"there is no credential {credential_id!r}; see: inventory tokens list")


@contextmanager
def _connected(database_url: str, what: str) -> Iterator[psycopg.Connection[Any]]:
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            yield connection
    except psycopg.Error as error:
        raise OperatorError(f"cannot {what}: {str(error).strip().splitlines()[0]}") from error


def _one(connection: psycopg.Connection[Any], query: Any) -> Any:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row
