"""Migrations: numbered SQL, forward only, run by yoyo under an advisory lock."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files

import psycopg
from psycopg.conninfo import conninfo_to_dict
from yoyo import read_migrations
from yoyo.backends import get_backend_class
from yoyo.connections import DatabaseURI

from inventory_server.operator_error import OperatorError

# Any number that nobody else takes: it stands for "the schema of the inventory service".
_LOCK_KEY = 0x1_4E_56_4E_54


def migrate(database_url: str) -> list[str]:
    """Bring the schema up to date. Returns: the ids of the migrations that were applied now.

    Two at once wait for each other. Raises: OperatorError with what the database said, in one line.
    """
    try:
        with (
            _locked(database_url) as connection,
            as_file(files("inventory_server.db") / "migrations") as folder,
        ):
            logging.getLogger("yoyo").setLevel(logging.WARNING)  # a line a step helps nobody
            backend = get_backend_class("postgresql+psycopg")(_yoyo_uri(database_url), "_yoyo_migration")
            try:
                backend.init_database()
                pending = backend.to_apply(read_migrations(str(folder)))
                applied = [migration.id for migration in pending]
                backend.apply_migrations(pending)
            finally:
                backend.connection.close()
            # So that a login of the service's own can tell whether the schema is the one it needs.
            connection.execute("GRANT SELECT ON _yoyo_migration TO inventory_service")
    except psycopg.Error as error:
        raise OperatorError(f"cannot migrate the database: {_first_line(error)}") from error
    return applied


def latest_version() -> str:
    """Return the id of the newest migration that this server knows."""
    folder = files("inventory_server.db") / "migrations"
    return max(file.name.removesuffix(".sql") for file in folder.iterdir() if file.name.endswith(".sql"))


@contextmanager
def _locked(database_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(database_url, autocommit=True, connect_timeout=5) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (_LOCK_KEY,))
        yield connection  # the lock goes with the connection, however it ends


def _yoyo_uri(database_url: str) -> DatabaseURI:
    parameters = {k: str(v) for k, v in conninfo_to_dict(database_url).items() if v is not None}
    database = parameters.pop("dbname", "")
    return DatabaseURI("postgresql+psycopg", None, None, None, None, database, parameters)


def _first_line(error: psycopg.Error) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
