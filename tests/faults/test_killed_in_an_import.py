"""Fault 6: SIGKILL of the server in mid-import, and a new server after it."""

from __future__ import annotations

import os
import signal

import psycopg

import inventory_client
from inventory_client import v1
from inventory_server.db.migrate import migrate
from inventory_server.launch import INVENTORY_COMMAND, UNTIL_STDIN_CLOSES, LaunchedProcess, start_process
from support.imports import messages, row
from support.polling import until

ROWS = 5_000


def serve(database_url: str) -> LaunchedProcess:
    options = ["--port", "0", "--payment-gateway", "none", UNTIL_STDIN_CLOSES]
    env = {**os.environ, "INVENTORY_DATABASE_URL": database_url, "INVENTORY_IMPORT_INTERVAL_S": "0.1"}
    return start_process([*INVENTORY_COMMAND, "serve", *options], env=env)


def test_a_server_killed_in_an_import(empty_database_url: str) -> None:
    """Killed three times on its way: the next server goes on at the cursor, each row is applied once."""
    migrate(empty_database_url)
    rows = [row(f"p-{number:04}", number) for number in range(ROWS)]
    for killed_at in (1, 1_000, 2_000, None):
        with serve(empty_database_url) as server, inventory_client.connect(server.address) as client:
            # The same upload again each time, as a caller would who heard of no end.
            client.inventory.ImportStock(messages(rows, row_count=ROWS))
            job = until(lambda: far_enough(client, killed_at or ROWS), f"{killed_at} rows are applied")  # noqa: B023
            if killed_at:
                assert job.applied_count < ROWS
                server.process.kill()
                assert server.stop() == -signal.SIGKILL
    assert (job.applied_count, job.failed_count) == (ROWS, 0)
    with psycopg.connect(empty_database_url) as connection:
        counted = connection.execute(
            "SELECT count(*), count(DISTINCT product_id), max(version), sum(quantity) FROM stock_transaction"
        ).fetchone()
    assert counted == (ROWS, ROWS, 1, sum(range(ROWS)))


def far_enough(client: inventory_client.Client, applied_count: int) -> v1.StockImport | None:
    job = client.inventory.GetImport(v1.GetImportRequest(import_id="i")).stock_import
    return job if job.applied_count >= applied_count else None
