"""What a user would write instead of this service: one SERIALIZABLE transaction per order, run by pgbench.

The reference of `inventory bench`: it updates the stock row and inserts a log row, prepared, and is run again
until it succeeds (`--max-tries=0`), on the same PostgreSQL with the same settings.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

from inventory_server.db import embedded
from inventory_server.operator_error import OperatorError

COLD_PRODUCTS = 10_000
_SECONDS_ENOUGH = 16

SCHEMA = f"""
CREATE TABLE raw_stock (product_id int PRIMARY KEY, available bigint NOT NULL, allocated bigint NOT NULL)
    WITH (fillfactor = 50);
CREATE TABLE raw_log (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, product_id int NOT NULL,
    quantity bigint NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
INSERT INTO raw_stock SELECT n, 1000000000, 0 FROM generate_series(1, {COLD_PRODUCTS}) n;
"""
_ORDER = """
\\set product random(1, {products})
BEGIN ISOLATION LEVEL SERIALIZABLE;
UPDATE raw_stock SET available = available - 1, allocated = allocated + 1
    WHERE product_id = :product AND available >= 1;
INSERT INTO raw_log (product_id, quantity) VALUES (:product, 1);
COMMIT;
"""


class RawOrders(NamedTuple):
    """What pgbench found: orders committed, and how long each took with all its retries."""

    per_s: float
    latencies_s: list[float]


def run(url: str, *, clients: int, seconds: int, products: int = 1, rate: float | None = None) -> RawOrders:
    """Let pgbench's clients place orders, each again and again, for a bounded time.

    Args:
        url: of a database that has SCHEMA.
        clients: connections, 1 and up; the server must allow as many.
        seconds: > 0; where nothing at all is committed within them, it is tried for longer.
        products: any of so many, at most COLD_PRODUCTS; 1 = all want the same.
        rate: for an open loop, orders a second on average; a latency counts from when one was meant to begin.
    Raises: OperatorError with pgbench's own words.
    """
    with tempfile.TemporaryDirectory(prefix="inventory-pgbench-") as folder:
        script = Path(folder) / "order.sql"
        script.write_text(_ORDER.format(products=products))
        done = subprocess.run(
            [
                embedded.program("pgbench"), "--no-vacuum", "--protocol=prepared", "--max-tries=0",
                f"--client={clients}", f"--jobs={min(clients, 2)}", f"--time={seconds}",
                *([f"--rate={rate}"] if rate else []),
                "--log", f"--log-prefix={folder}/log", f"--file={script}", url,
            ],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        found = re.search(r"tps = ([\d.]+)", done.stdout)
        # client, number, microseconds, ...: "pgbench", Per-Transaction Logging.
        lines = [
            line.split() for path in Path(folder).glob("log.*") for line in path.read_text().splitlines()
        ]
    if not lines and done.returncode == 0 and seconds < _SECONDS_ENOUGH:
        # Hundreds that abort each other may commit nothing in a second of a busy machine.
        return run(url, clients=clients, seconds=4 * seconds, products=products, rate=rate)
    if found is None or not lines:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise OperatorError(f"pgbench: {said[-1] if said else f'exit status {done.returncode}'}")
    return RawOrders(float(found.group(1)), [int(line[2]) / 1e6 for line in lines if line[2].isdigit()])
