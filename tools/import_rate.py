"""How fast ImportStock is beside COPY into the same tables, and what it costs the server in memory.

    python tools/import_rate.py                      five pairs of 100,000 rows
    python tools/import_rate.py --rows 1000000 --pairs 1

Each pair is one import through gRPC, from its first message to SUCCEEDED, and one COPY of as many rows into
stock, stock_level and stock_transaction in one transaction, on the same database, into stores of their own.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg

import inventory_client
from inventory_client import v1
from inventory_server.db import embedded
from inventory_server.db.migrate import migrate
from inventory_server.db.stores import create_store
from inventory_server.launch import INVENTORY_COMMAND, UNTIL_STDIN_CLOSES, start_process

GOAL = 0.3
MESSAGE_ROWS = 1_000
POLL_S = 0.05


def product(number: int, count: int) -> str:
    """Ids in no order: a file's products seldom come sorted."""
    return f"sku-{number * 7_919 % count:07}"


def messages(count: int) -> Iterator[v1.ImportStockRequest]:
    yield v1.ImportStockRequest(header=v1.ImportHeader(import_id="rate", row_count=count))
    for begin in range(0, count, MESSAGE_ROWS):
        yield v1.ImportStockRequest(
            rows=[
                v1.StockRow(
                    product_id=product(number, count),
                    levels=[v1.LevelTotal(location="default", total=number)],
                )
                for number in range(begin, min(count, begin + MESSAGE_ROWS))
            ]
        )


def run_import(address: str, store: str, count: int) -> tuple[float, float]:
    """Import; return the seconds of the upload and of all of it."""
    with inventory_client.connect(address, store=store, timeout_s=60) as client:
        begun = time.perf_counter()
        client.inventory.ImportStock(messages(count))
        uploaded_s = time.perf_counter() - begun
        request = v1.GetImportRequest(import_id="rate")
        while True:
            job = client.inventory.GetImport(request).stock_import
            if job.HasField("end_time"):
                break
            time.sleep(POLL_S)
        assert job.applied_count == count, job
        return uploaded_s, time.perf_counter() - begun


def wait_for_clearing(url: str, store: str) -> None:
    """Wait until what was staged is dropped: that would run beside COPY, and slow it down."""
    with psycopg.connect(url, autocommit=True) as connection:
        left: Any = True
        while left:
            time.sleep(POLL_S)
            asked = "SELECT count(*) FROM import_upload WHERE store_id = %s"
            ((left,),) = connection.execute(asked, (store,)).fetchall()


def run_copy(url: str, store: str, count: int) -> float:
    """COPY as many rows of the same tables, their text made before; return the seconds."""
    levels = [(product(number, count), number) for number in range(count)]
    stock = "".join(f"{store}\t{name}\tnow\tnow\n" for name, _ in levels)
    level = "".join(f"{store}\t{name}\tdefault\t{total}\t0\t0\t1\tnow\n" for name, total in levels)
    entry = "".join(
        f"{store}\t{name}\tdefault\t1\tCREATE\t{total}\t{total}\t0\t0\tnow\n" for name, total in levels
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
            statement: Any = f"COPY {table} FROM STDIN"
            with cursor.copy(statement) as copy:
                copy.write(text)
        connection.commit()
        return time.perf_counter() - begun


def resident_mb(pid: int, what: str = "VmRSS") -> float:
    """Return a process's resident memory, or its peak (VmHWM), in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith(what)]
    return int(line.split()[1]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--pairs", type=int, default=5)
    asked = parser.parse_args()
    argv = [*INVENTORY_COMMAND, "serve", "--port", "0", "--payment-gateway", "none", UNTIL_STDIN_CLOSES]
    with embedded.ephemeral() as postgres:
        migrate(postgres.url)
        environment = {**os.environ, "INVENTORY_DATABASE_URL": postgres.url}
        with start_process(argv, env=environment) as server:
            ratios = []
            print(
                f"{asked.rows:,} rows; server {resident_mb(server.pid):.0f} MB; load {os.getloadavg()[0]:.1f}"
            )
            for number in range(asked.pairs):
                stores = f"import-{number}", f"copy-{number}"
                for store in stores:
                    create_store(postgres.url, store)
                uploaded_s, import_s = run_import(server.address, stores[0], asked.rows)
                wait_for_clearing(postgres.url, stores[0])
                copy_s = run_copy(postgres.url, stores[1], asked.rows)
                ratios.append(copy_s / import_s)
                print(
                    f"import {asked.rows / import_s:,.0f} rows/s (upload {uploaded_s:.1f} s of"
                    f" {import_s:.1f} s), COPY {asked.rows / copy_s:,.0f} rows/s, ratio {ratios[-1]:.2f},"
                    f" server {resident_mb(server.pid):.0f} MB (peak {resident_mb(server.pid, 'VmHWM'):.0f})"
                )
    median = statistics.median(ratios)
    print(f"import / COPY: {median:.2f} ({min(ratios):.2f} to {max(ratios):.2f}), goal >= {GOAL}")


if __name__ == "__main__":
    main()
