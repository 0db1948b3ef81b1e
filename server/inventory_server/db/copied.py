"""The reference of an import: COPY of as many rows into the same tables, in one transaction."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import psycopg

POLL_S = 0.05


def run(url: str, store: str, rows: Sequence[tuple[str, int]]) -> float:
    """COPY products with a total each into stock, stock_level and stock_transaction.

    Args:
        store: one that has no stock.
        rows: (product, total).
    Returns: the seconds of COPY and COMMIT; the texts are made before.
    """
    stock = "".join(f"{store}\t{name}\tnow\tnow\n" for name, _ in rows)
    level = "".join(f"{store}\t{name}\tdefault\t{total}\t0\t0\t1\tnow\n" for name, total in rows)
    entry = "".join(
        f"{store}\t{name}\tdefault\t1\tCREATE\t{total}\t{total}\t0\t0\tnow\n" for name, total in rows
    )
    copies = (
        ("stock (store_id, product_id, created_at, updated_at)", stock),
        (
            "stock_level (store_id, product_id, location, available, allocated, hand_allocated, version,"
            " updated_at)",
            level,
        ),
        (
            "stock_transaction (store_id, product_id, location, version, action, quantity,"
            " available_after, allocated_after, hand_allocated_after, created_at)",
            entry,
        ),
    )
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        begun = time.perf_counter()
        for table, text in copies:
            with cursor.copy(f"COPY {table} FROM STDIN".encode()) as copy:
                copy.write(text)
        connection.commit()
        return time.perf_counter() - begun


def wait_for_clearing(url: str) -> None:
    """Wait until what imports had staged is dropped: that would run beside COPY, and slow it down."""
    with psycopg.connect(url, autocommit=True) as connection:
        left: Any = True
        while left:
            time.sleep(POLL_S)
            ((left,),) = connection.execute("SELECT count(*) FROM import_upload").fetchall()
