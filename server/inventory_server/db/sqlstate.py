"""What a database error means to the engine: one table over SQLSTATEs.

Source: PostgreSQL manual, Appendix A; section 13.5 for what to run again.
"""

from __future__ import annotations

import psycopg


class DatabaseError(Exception):
    """The database refused or failed; the subclass says what to do."""

    def __init__(self, message: str, *, sqlstate: str | None = None, constraint: str | None = None) -> None:
        super().__init__(message)
        self.sqlstate = sqlstate
        self.constraint = constraint


class Conflict(DatabaseError):
    """Another writer was in the way: run the whole transaction again."""


class Unavailable(DatabaseError):
    """The database cannot serve now: starting, full, read-only, out of connections, not there."""


class ConnectionLost(DatabaseError):
    """The connection died under the transaction; whether it was committed is unknown if COMMIT was sent."""


class StatementRefused(DatabaseError):
    """The statement itself is the trouble: running it again would fail again."""


_CONFLICTS = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected
        "55P03",  # lock_not_available: lock_timeout
        "23505",  # unique_violation: another writer made the row since our snapshot; the re-run loads it
    }
)
_UNAVAILABLE = frozenset(
    {
        "0A000",  # feature_not_supported: a standby refuses SERIALIZABLE so
        "25006",  # read_only_sql_transaction: a standby
        "53100",  # disk_full
        "53200",  # out_of_memory
        "53300",  # too_many_connections
        "57014",  # query_canceled: statement_timeout
        "57P03",  # cannot_connect_now: starting up
        "58030",  # io_error
    }
)
_LOST = frozenset(
    {
        "25P03",  # idle_in_transaction_session_timeout
        "26000",  # invalid_sql_statement_name: somebody threw away what this connection had prepared
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P05",  # idle_session_timeout
    }
)


def translate(error: psycopg.Error) -> DatabaseError:
    """Return what an error of the driver means.

    An error without SQLSTATE comes from the connection, unless the driver refused a value (DataError: a NUL
    in a text, say), which is the statement's own trouble.
    """
    sqlstate = error.sqlstate
    kind = _kind(sqlstate)
    if sqlstate is None and isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        kind = ConnectionLost
    lines = str(error).strip().splitlines()
    return kind(
        lines[0] if lines else type(error).__name__, sqlstate=sqlstate, constraint=error.diag.constraint_name
    )


def _kind(sqlstate: str | None) -> type[DatabaseError]:
    if sqlstate in _CONFLICTS:
        return Conflict
    if sqlstate in _UNAVAILABLE:
        return Unavailable
    if sqlstate in _LOST or (sqlstate or "").startswith("08"):
        return ConnectionLost
    return StatementRefused
