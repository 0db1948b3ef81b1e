"""Contention on one hot product: unary ReserveStock beside raw SQL, in turn, in one run.

    python tools/contention.py [--callers 64] [--seconds 5] [--pairs 5]

Ours: the server as a process, its callers in another, one hot product. Raw SQL: pgbench with as many clients
on the same PostgreSQL with the same settings: one SERIALIZABLE transaction per order that updates the stock
row and inserts a log row, prepared, run again until it succeeds (--max-tries=0). Prints each pair, the
median ratio with its spread, and what was found when the stock was counted afterwards.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import psycopg

import inventory_client
from inventory_client import v1
from inventory_server.db import embedded, migrate
from inventory_server.launch import INVENTORY_COMMAND, UNTIL_STDIN_CLOSES, start_process

RAW_SCHEMA = """
CREATE TABLE raw_stock (product_id int PRIMARY KEY, available bigint NOT NULL, allocated bigint NOT NULL)
    WITH (fillfactor = 50);
CREATE TABLE raw_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, product_id int NOT NULL,
    quantity bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO raw_stock VALUES (1, 1000000000, 0);
"""
RAW_ORDER = """
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE raw_stock SET available = available - 1, allocated = allocated + 1
    WHERE product_id = 1 AND available >= 1;
INSERT INTO raw_log (product_id, quantity) VALUES (1, 1);
COMMIT;
"""
HOT_STOCK = 10**9


def raw_per_s(url: str, script: Path, callers: int, seconds: int) -> float:
    """Return the orders per second that pgbench reports."""
    pgbench = embedded.program("pgbench")
    done = subprocess.run(
        [
            pgbench, "--no-vacuum", "--protocol=prepared", "--max-tries=0", f"--client={callers}", "--jobs=2",
            f"--time={seconds}", f"--file={script}", url,
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    found = re.search(r"tps = ([\d.]+)", done.stdout)
    if found is None:
        raise SystemExit(f"pgbench said no tps:\n{done.stdout}{done.stderr}")
    return float(found.group(1))


def ours(address: str, product_id: str, callers: int, seconds: int) -> dict[str, float]:
    done = subprocess.run(
        [
            sys.executable, "-m", "inventory_loadtest.reserve_load", f"--target={address}",
            f"--product={product_id}", f"--carts={callers}", f"--seconds={seconds}",
        ],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def measure(url: str, address: str, callers: int, seconds: int, pairs: int) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(RAW_SCHEMA)
    with inventory_client.connect(address) as client, tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "order.sql"
        script.write_text(RAW_ORDER)
        product_id = "hot-" + inventory_client.new_id()
        client.inventory.CreateStock(v1.CreateStockRequest(product_id=product_id, quantity=HOT_STOCK))
        acknowledged = int(ours(address, product_id, callers, 1)["reservations"])  # warms up, and counts
        ratios = []
        for pair in range(1, pairs + 1):
            raw = raw_per_s(url, script, callers, seconds)
            mine = ours(address, product_id, callers, seconds)
            acknowledged += int(mine["reservations"])
            ratios.append(mine["per_s"] / raw)
            print(
                f"pair {pair}: ours {mine['per_s']:.0f}/s (p50 {mine['p50_ms']:.1f} ms,"
                f" p99 {mine['p99_ms']:.1f} ms, generator {mine['generator_cpu_share']:.0%} of a core),"
                f" raw SQL {raw:.0f}/s, ratio {ratios[-1]:.1f}"
            )
        stock = client.inventory.GetStock(v1.GetStockRequest(product_id=product_id)).stock
        held = stock.allocated
    print(
        f"ours / raw SQL, {callers} callers, one hot product: median {statistics.median(ratios):.1f}"
        f" (min {min(ratios):.1f}, max {max(ratios):.1f}, {pairs} pairs of {seconds} s);"
        f" total {'kept' if stock.total == HOT_STOCK else 'BROKEN'},"
        f" units held {held}, acknowledged {acknowledged}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Contention on one hot product, beside raw SQL.")
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--pairs", type=int, default=5)
    options = parser.parse_args()
    with embedded.ephemeral({"max_connections": str(options.callers + 50)}) as postgres:
        migrate.migrate(postgres.url)
        with start_process(
            [*INVENTORY_COMMAND, "serve", "--port", "0", "--payment-gateway", "none", UNTIL_STDIN_CLOSES],
            env={**os.environ, "INVENTORY_DATABASE_URL": postgres.url, "INVENTORY_LOG_LEVEL": "error"},
        ) as server:
            measure(postgres.url, server.address, options.callers, options.seconds, options.pairs)


if __name__ == "__main__":
    main()
