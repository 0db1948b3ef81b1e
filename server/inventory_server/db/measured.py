"""What a measurement must know of the database that it runs on."""

from __future__ import annotations

from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

# As they are inside a transaction like the engine's: a role or a database can have settings of its own.
_SETTINGS = (
    "fsync", "synchronous_commit", "full_page_writes", "transaction_isolation", "wal_level", "shared_buffers",
    "max_connections", "max_pred_locks_per_transaction", "jit", "server_version",
)  # fmt: skip


def execute(url: str, script: str) -> None:
    """Run a script of statements in one transaction, as the login's own role."""
    with psycopg.connect(url) as connection:
        connection.execute(script.encode())


def with_settings(url: str, **settings: int) -> str:
    """Return a URL whose connections begin with settings of their own; some are a superuser's alone."""
    return make_conninfo(url, options=" ".join(f"-c {name}={value}" for name, value in settings.items()))


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
    """Return for each table that has rows its sizes, and what PostgreSQL has counted by now: it is late."""
    query = """
        SELECT relname, pg_total_relation_size(relid) / 1024, pg_relation_size(relid) / 1024,
               pg_indexes_size(relid) / 1024, n_tup_ins, n_tup_upd, n_tup_hot_upd, n_dead_tup,
               autovacuum_count
        FROM pg_stat_user_tables WHERE pg_relation_size(relid) > 0 ORDER BY 2 DESC, 1
    """
    names = (
        "size_kib", "heap_kib", "indexes_kib", "inserts", "updates", "hot_updates", "dead_rows",
        "autovacuums",
    )  # fmt: skip
    with psycopg.connect(url) as connection:
        rows = connection.execute(query.encode()).fetchall()
    return {row[0]: dict(zip(names, map(int, row[1:]), strict=True)) for row in rows}
