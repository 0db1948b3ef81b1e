"""Faults 1 and 6: SIGKILL of the server in mid-import, or of PostgreSQL between an upload and its job."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest

import inventory_client
from inventory_client import v1
from inventory_server.db.migrate import migrate
from inventory_server.domain.stock_import import CHUNK_ROWS_MAX
from inventory_server.launch import INVENTORY_COMMAND, UNTIL_STDIN_CLOSES, LaunchedProcess, start_process
from support.database import Observer, holding
from support.engine import GATE
from support.faults.place import WAIT_S, Place, frozen, writers
from support.imports import messages, row
from support.polling import until

ROWS = 5_000


def serve(database_url: str) -> LaunchedProcess:
    options = ["--port", "0", "--payment-gateway", "none", UNTIL_STDIN_CLOSES]
    env = {**os.environ, "INVENTORY_DATABASE_URL": database_url, "INVENTORY_IMPORT_INTERVAL_S": "0.1"}
    return start_process([*INVENTORY_COMMAND, "serve", *options], env=env)


def product(number: int) -> str:
    return f"p-{number:04}"


@contextmanager
def taken(database_url: str, product_id: str) -> Iterator[psycopg.Connection]:
    """Hold a product's key, so that the chunk that has it waits; after the block it was never there."""
    with holding(database_url) as holder:
        holder.execute(
            "INSERT INTO stock (store_id, product_id, created_at, updated_at)"
            " VALUES ('default', %s, now(), now())",
            (product_id,),
        )
        yield holder
        holder.rollback()


@pytest.mark.fault(6)
def test_a_server_killed_in_an_import(empty_database_url: str) -> None:
    """Killed three times on its way: the next server goes on at the cursor, each row is applied once."""
    migrate(empty_database_url)
    rows = [row(product(number), number) for number in range(ROWS)]
    # What a chunk that waits has done is given up with its server, or committed behind its back.
    for killed_at in (0, 2 * CHUNK_ROWS_MAX, 5 * CHUNK_ROWS_MAX):
        with (
            closing(Observer(empty_database_url)) as observer,
            taken(empty_database_url, product(killed_at)) as holder,
            serve(empty_database_url) as server,
            inventory_client.connect(server.address, timeout_s=60) as client,
        ):
            if not killed_at:  # later the server goes on by itself: who came then would wait behind the chunk
                client.inventory.ImportStock(messages(rows, row_count=ROWS), timeout=60)
            observer.wait_for_one_blocked_by(holder)
            assert job(client).applied_count == killed_at
            server.process.kill()
            assert server.stop() == -signal.SIGKILL
    with (
        serve(empty_database_url) as server,
        inventory_client.connect(server.address, timeout_s=60) as client,
    ):
        client.inventory.ImportStock(messages(rows, row_count=ROWS), timeout=60)
        until(lambda: job(client).end_time.seconds, "the import ends", wait_s=60)
        assert (job(client).applied_count, job(client).failed_count) == (ROWS, 0)
    with psycopg.connect(empty_database_url) as connection:
        counted = connection.execute(
            "SELECT count(*), count(DISTINCT product_id), max(version), sum(quantity) FROM stock_transaction"
        ).fetchone()
    assert counted == (ROWS, ROWS, 1, sum(range(ROWS)))


@pytest.mark.fault(1)
def test_postgresql_killed_between_an_upload_and_its_job(place_without_server: Place) -> None:
    """The job that the server makes of it after all, when PostgreSQL is back, has all of its rows."""
    place = place_without_server
    place.build_gate()
    place.start_server()
    rows = [row(product(number), number) for number in range(3)]
    with inventory_client.connect(place.server.address, timeout_s=60) as client:
        with (
            place.database() as database,
            psycopg.connect(place.postgres.url) as gate,
            frozen(writers(place)),
        ):
            gate.execute("SELECT pg_advisory_xact_lock(%s)", [GATE])
            upload = client.inventory.ImportStock.future(messages(rows, row_count=3), timeout=WAIT_S)
            until(lambda: database.blocked(gate), "the job's COMMIT waits", WAIT_S)
            place.kill_postgres()
            gate.close()
        place.start_postgres()
        assert upload.result(WAIT_S).stock_import.row_count == 3
        until(lambda: job(client).end_time.seconds, "the import ends", WAIT_S)
        assert (job(client).applied_count, job(client).failure) == (3, "")


def job(client: inventory_client.Client) -> v1.StockImport:
    return client.inventory.GetImport(v1.GetImportRequest(import_id="i"), timeout=20).stock_import
