"""What a measurement must know of the database that it runs on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

_SETTINGS = (
    "fsync", "synchronous_commit", "full_page_writes", "transaction_isolation", "wal_level", "shared_buffers",
    "max_connections", "max_pred_locks_per_transaction", "jit", "server_version",
)  # fmt: skip
_GROWING = ("stock", "stock_level", "stock_transaction", "reservation", "reservation_line")
# A trigger runs inside the transaction that writes, and sees what its connection has set.
_LOOK = """
CREATE TABLE seen_settings (name text, value text);
CREATE FUNCTION see_settings() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    INSERT INTO public.seen_settings SELECT name, current_setting(name) FROM unnest(TG_ARGV::text[]) name;
    RETURN NULL;
END $$;
CREATE TRIGGER see_settings AFTER INSERT ON stock_transaction
    FOR EACH STATEMENT EXECUTE FUNCTION see_settings({names});
"""
_LOOK_NO_MORE = "DROP FUNCTION IF EXISTS see_settings() CASCADE; DROP TABLE IF EXISTS seen_settings"


def execute(url: str, script: str) -> None:
    """Run a script of statements in one transaction, as the login's own role."""
    with psycopg.connect(url) as connection:
        connection.execute(script.encode())


def with_settings(url: str, **settings: int | str) -> str:
    """Return a URL whose connections begin with settings of their own; some are a superuser's alone."""
    return make_conninfo(url, options=" ".join(f"-c {name}={value}" for name, value in settings.items()))


def settings(url: str, write: Callable[[], object]) -> dict[str, str]:
    """Return the settings that decide what a commit costs, as read inside the transaction of another.

    Args:
        write: lets the server that is measured write to the log of stock, once.
    Effects: a trigger on the log while it does so. A connection of ours would tell of itself alone.
    """
    execute(url, _LOOK.replace("{names}", ", ".join(f"'{name}'" for name in _SETTINGS)))
    try:
        write()
        with psycopg.connect(url) as connection:
            return dict(connection.execute("SELECT name, value FROM seen_settings").fetchall())
    finally:
        execute(url, _LOOK_NO_MORE)


def rows(url: str) -> dict[str, int]:
    """Count the rows of the tables that grow, by reading them: PostgreSQL's own counts are guesses."""
    with psycopg.connect(url) as connection:
        return {
            name: count
            for name in _GROWING
            for (count,) in connection.execute(f"SELECT count(*) FROM {name}".encode()).fetchall()
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
