"""A look into the database beside the API: whether anything was written, and a batch that is made to wait."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import psycopg
from psycopg import sql

from support.polling import until

GATE = "gate"


def holding(database_url: str) -> psycopg.Connection:
    """Open a connection that keeps its locks as long as a test takes: the cluster's own bound is 30 s."""
    return psycopg.connect(database_url, options="-c idle_in_transaction_session_timeout=0")


class Observer:
    """Sees every row of every table. Close it."""

    def __init__(self, database_url: str) -> None:
        self._database_url = database_url
        self._connection = psycopg.connect(database_url, autocommit=True)
        tables = self._connection.execute(
            "SELECT table_name FROM information_schema.columns"
            " WHERE column_name = 'store_id' AND table_schema = 'public' ORDER BY 1"
        ).fetchall()
        assert len(tables) >= 12, "the tables are not where this looks for them"
        self._rows = sql.SQL(" UNION ALL ").join(
            sql.SQL("SELECT {name}, md5(string_agg(row, E'\\n' ORDER BY row)) FROM (SELECT"
                    " (to_jsonb(r) - 'lease_until')::text AS row FROM {table} r"
                    " WHERE store_id = %(store)s) AS rows").format(
                name=sql.Literal(table), table=sql.Identifier(table)
            )
            for (table,) in tables
        )  # fmt: skip

    def written(self, store: str) -> dict[str, str | None]:
        """Return a digest of the store's rows by table: equal while nothing is written.

        A payment's lease is left out: whoever asks the gateway about one in doubt moves it, at any time.
        """
        return dict(self._connection.execute(self._rows, {"store": store}).fetchall())

    def is_staged(self, store: str, import_id: str) -> bool:
        """Whether the upload of an import is still there: it goes some time after the import's end."""
        found = self._connection.execute(
            "SELECT EXISTS (SELECT FROM import_upload JOIN import_job USING (store_id, upload_id)"
            " WHERE store_id = %s AND import_id = %s)",
            (store, import_id),
        ).fetchone()
        return bool(found and found[0])

    def wait_until_settled(self, store: str) -> None:
        """Wait until a watch that begins now begins behind all that is committed.

        A transaction open anywhere in the cluster, autovacuum's too, lets it begin a little earlier.
        """

        def is_settled() -> bool:
            row = self._connection.execute(
                "SELECT NOT EXISTS (SELECT FROM stock_transaction"
                " WHERE store_id = %s AND xid >= pg_snapshot_xmin(pg_current_snapshot()))",
                (store,),
            ).fetchone()
            return bool(row and row[0])

        until(is_settled, "what is committed is settled")

    def change_rows(self, store: str, table: str, **values: object) -> None:
        """Set columns of all of a store's rows of a table, behind the server's back."""
        assignments = sql.SQL(", ").join(
            sql.SQL("{} = {}").format(sql.Identifier(column), sql.Placeholder(column)) for column in values
        )
        self._connection.execute(
            sql.SQL("UPDATE {} SET {} WHERE store_id = %(store)s").format(sql.Identifier(table), assignments),
            {"store": store, **values},
        )

    def add_locations(self, store: str, slugs: Sequence[str]) -> None:
        """Give a store many locations at once."""
        self._connection.execute(
            "INSERT INTO location (store_id, slug) SELECT %s, unnest(%s::text[])", (store, list(slugs))
        )

    def runs_out(self, store: str, reservation_id: str, in_s: float) -> None:
        """Move the end of a hold to so many seconds from now, as if most of its time were over."""
        moved = self._connection.execute(
            "UPDATE reservation SET expire_time = now() + make_interval(secs => %s)"
            " WHERE store_id = %s AND reservation_id = %s AND state = 'HELD'",
            (in_s, store, reservation_id),
        )
        assert moved.rowcount == 1

    def cart_runs_out(self, store: str, cart_id: str) -> None:
        """End a cart's time now."""
        moved = self._connection.execute(
            "UPDATE cart SET expires_at = now() WHERE store_id = %s AND cart_id = %s", (store, cart_id)
        )
        assert moved.rowcount == 1

    def is_past(self, store: str, reservation_id: str) -> bool:
        """Whether a hold's time is over, by the database's clock."""
        row = self._connection.execute(
            "SELECT expire_time <= clock_timestamp() FROM reservation"
            " WHERE store_id = %s AND reservation_id = %s",
            (store, reservation_id),
        ).fetchone()
        return bool(row and row[0])

    def copy_rows(self, store: str, table: str, count: int, *columns: str) -> None:
        """Copy a store's rows of a table so many times, for reads alone; the columns tell them apart."""
        told_apart = sql.SQL(", ").join(
            sql.SQL("{}, {} || to_char(n, '-FM0000')").format(sql.Literal(name), sql.Identifier(name))
            for name in columns
        )
        self._connection.execute(
            sql.SQL(
                "INSERT INTO {table} SELECT (jsonb_populate_record(t, jsonb_build_object({told_apart}))).*"
                " FROM {table} t, generate_series(1, %s) AS n WHERE store_id = %s"
            ).format(table=sql.Identifier(table), told_apart=told_apart),
            (count, store),
        )

    def add_levels(self, store: str, product_ids: Sequence[str], slugs: Sequence[str]) -> None:
        """Give products an empty level at many locations, for reads alone: no log proves them."""
        self._connection.execute(
            "INSERT INTO stock_level SELECT %s, product_id, slug, 0, 0, 0, 1, now()"
            " FROM unnest(%s::text[]) AS product_id, unnest(%s::text[]) AS slug",
            (store, list(product_ids), list(slugs)),
        )

    @contextmanager
    def level_locked(self, store: str, product_id: str) -> Iterator[psycopg.Connection]:
        """Hold a level's row, so that whoever loads it waits."""
        with holding(self._database_url) as holder:
            locked = holder.execute(
                "SELECT FROM stock_level WHERE store_id = %s AND product_id = %s FOR UPDATE",
                (store, product_id),
            )
            assert locked.rowcount == 1
            yield holder
            holder.rollback()

    @contextmanager
    def level_rewritten(self, store: str, product_id: str) -> Iterator[psycopg.Connection]:
        """Hold a level's row at `default`; after the block wait for who loads it, then change it: 40001.

        Nothing of it differs afterwards, but whoever waited has lost his snapshot and must run again.
        """
        with holding(self._database_url) as holder:
            rewritten = holder.execute(
                "UPDATE stock_level SET version = version"
                " WHERE store_id = %s AND product_id = %s AND location = 'default'",
                (store, product_id),
            )
            assert rewritten.rowcount == 1
            yield holder
            self.wait_for_one_blocked_by(holder)
            holder.commit()

    def is_blocking(self, holder: psycopg.Connection) -> bool:
        """Whether a backend waits for a lock of `holder`."""
        row = self._connection.execute(
            "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE %s = ANY(pg_blocking_pids(pid)))",
            (holder.info.backend_pid,),
        ).fetchone()
        return bool(row and row[0])

    def wait_for_one_blocked_by(self, holder: psycopg.Connection) -> None:
        """Wait until a backend waits for a lock of `holder`."""
        until(lambda: self.is_blocking(holder), "a batch waits for the lock")

    def close(self) -> None:
        self._connection.close()
