"""A database that fails and waits on order, with a store of its own for each test."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest

from inventory_server.db import connection, embedded, read_pool
from inventory_server.db.stores import create_store
from inventory_server.engine import batcher, feed_reads
from support.engine import Database, sabotaged


@pytest.fixture(autouse=True)
def _nobody_is_in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lock that a test holds and a connection that is made may take as long as the machine likes."""
    monkeypatch.setattr(read_pool, "CONNECTION_WAIT_S", 60.0)
    monkeypatch.setattr(feed_reads, "READ_TIMEOUT_S", 60.0)
    monkeypatch.setitem(connection._ENGINE_SETTINGS, "lock_timeout", "60s")
    monkeypatch.setitem(connection._ENGINE_SETTINGS, "statement_timeout", "60s")
    monkeypatch.setattr(batcher, "BATCH_TIMEOUT_S", 60.0)


@pytest.fixture(scope="session")
def sabotaged_url(postgres: embedded.EmbeddedPostgres) -> str:
    """The URL of a migrated database that does as `support.engine` says."""
    with psycopg.connect(postgres.database_url("postgres"), autocommit=True) as connection:
        connection.execute("CREATE DATABASE sabotaged")
    return sabotaged(postgres.database_url("sabotaged"))


@pytest.fixture
def database(sabotaged_url: str) -> Iterator[Database]:
    """A look into it, at a store that nobody else uses."""
    store = f"test-{uuid.uuid4().hex}"
    create_store(sabotaged_url, store)
    with Database(sabotaged_url, store) as opened:
        opened.rows("SELECT setval('tries', 1, false)")
        yield opened
        opened.check()
