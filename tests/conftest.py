"""What tests share: a real PostgreSQL, the real server as a process of its own, a store for each test.

With pytest-xdist every worker has its own, made when its first test asks for it (about a second for the
database, another for the server). Tests that need a database or a server in another state start their own
with `inventory_server.db.embedded.ephemeral` and `support.sites`.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator

import psycopg
import pytest
from hypothesis import settings

import inventory_client
from inventory_server.db import embedded
from inventory_server.db.migrate import migrate
from inventory_server.db.stores import create_store
from inventory_server.launch import LaunchedProcess
from support.sites import serving_on

pytest_plugins = ["support.faults.plugin"]

# A machine that others use may pause us anywhere: no example is wrong for the time it took.
settings.register_profile("any machine", deadline=None)
settings.load_profile("any machine")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--clients",
        choices=["found", "all"],
        default="found",
        help="clients in other languages: those whose tools are found, or all, so that a missing tool fails",
    )


@pytest.fixture(scope="session", autouse=True)
def _no_settings_from_outside() -> None:
    """A developer's INVENTORY_DATABASE_URL must not be tested on."""
    for name in [name for name in os.environ if name.startswith("INVENTORY_")]:
        del os.environ[name]


@pytest.fixture(scope="session")
def postgres() -> Iterator[embedded.EmbeddedPostgres]:
    """A PostgreSQL with the settings of the embedded one; its database `inventory` is empty."""
    with embedded.ephemeral() as started:
        yield started


@pytest.fixture(scope="session")
def database_url(postgres: embedded.EmbeddedPostgres) -> str:
    """The URL of the migrated database that `server` serves; share it by using a store of your own."""
    migrate(postgres.url)
    return postgres.url


@pytest.fixture
def empty_database_url(postgres: embedded.EmbeddedPostgres) -> Iterator[str]:
    """The URL of a database without a single table, for one test."""
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.database_url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres.database_url(name)
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(scope="session")
def server(database_url: str) -> Iterator[LaunchedProcess]:
    """The real server as a process of its own, with the payment gateway simulator; see its `address`."""
    with serving_on(database_url) as started:
        yield started


@pytest.fixture
def store(database_url: str) -> str:
    """The name of a new store, which nobody else uses."""
    name = f"test-{uuid.uuid4().hex}"
    create_store(database_url, name)
    return name


@pytest.fixture
def client(server: LaunchedProcess, store: str) -> Iterator[inventory_client.Client]:
    """A client of `server`, in `store`."""
    with inventory_client.connect(server.address, store=store, timeout_s=60) as connected:
        yield connected
