"""Stores: made and listed by the administrator's command line, under the login's own role."""

from __future__ import annotations

import re

import psycopg

from inventory_server.domain.limits import DEFAULT_LOCATION
from inventory_server.operator_error import OperatorError

_STORE_ID = re.compile(r"[\x21-\x7e]{1,128}")


def create_store(database_url: str, store_id: str) -> None:
    """Make a store. Raises: OperatorError for a bad name, one that exists, or a database that fails."""
    if not _STORE_ID.fullmatch(store_id):
        raise OperatorError(f"a store's name has 1 to 128 visible ASCII characters, not {store_id!r}")
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            connection.execute("INSERT INTO store (store_id) VALUES (%s)", (store_id,))
            connection.execute(
                "INSERT INTO location (store_id, slug) VALUES (%s, %s)", (store_id, DEFAULT_LOCATION)
            )
    except psycopg.errors.UniqueViolation as error:
        raise OperatorError(f"store {store_id!r} exists already") from error
    except psycopg.Error as error:
        raise OperatorError(f"cannot make the store: {str(error).strip().splitlines()[0]}") from error


def list_stores(database_url: str) -> list[str]:
    """Return all stores by name. Raises: OperatorError where the database fails."""
    try:
        with psycopg.connect(database_url, connect_timeout=5) as connection:
            return [row[0] for row in connection.execute("SELECT store_id FROM store ORDER BY store_id")]
    except psycopg.Error as error:
        raise OperatorError(f"cannot list the stores: {str(error).strip().splitlines()[0]}") from error
