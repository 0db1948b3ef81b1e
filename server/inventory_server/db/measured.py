"""What a measurement must know of the database that it runs on."""

from __future__ import annotations

from typing import Any

import psycopg

# As they are inside a transaction like the engine's: a role or a database can have settings of its own.
_SETTINGS = (
    "fsync", "synchronous_commit", "full_page_writes", "transaction_isolation", "wal_level", "shared_buffers",
    "max_connections", "max_pred_locks_per_transaction", "jit", "server_version",
)  # fmt: skip


def execute(url: str, script: str) -> None:
    """Run a script of statements in one transaction, as the login's own role."""
    with psycopg.connect(url) as connection:
        connection.execute(script.encode())


def settings(url: str) -> dict[str, str]:
    """Return the settings that decide what a commit costs, as read inside a SERIALIZABLE transaction."""
    with psycopg.connect(url) as connection:
        connection.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
        return {
            name: str(value)
            for name in _SETTINGS
            for (value,) in connection.execute("SELECT current_setting(%s)", [name]).fetchall()
        }


def tables(url: str) -> dict[str, dict[str, Any]]:
    """Return for each table its size with indexes, its updates, and how many of them were HOT."""
    query = """
        SELECT relname, pg_total_relation_size(relid) / 1024, pg_indexes_size(relid) / 1024,
               n_tup_upd, n_tup_hot_upd, n_dead_tup
        FROM pg_stat_user_tables WHERE n_tup_ins > 0 ORDER BY 2 DESC, 1
    """
    names = ("size_kib", "indexes_kib", "updates", "hot_updates", "dead_rows")
    with psycopg.connect(url) as connection:
        rows = connection.execute(query.encode()).fetchall()
    return {row[0]: dict(zip(names, map(int, row[1:]), strict=True)) for row in rows}
