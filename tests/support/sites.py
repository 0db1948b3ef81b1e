"""Servers of a test's own, with settings of their own, on databases of their own."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import psycopg

import inventory_client
from inventory_server.db.embedded import EmbeddedPostgres
from inventory_server.db.migrate import migrate
from inventory_server.db.stores import create_store
from inventory_server.launch import INVENTORY_COMMAND, UNTIL_STDIN_CLOSES, LaunchedProcess, start_process
from support.database import Observer
from support.shop import Shop

# A gateway that is busy is none that is not there, nor one whose reply is lost; a call that is slow is none
# that is given up.
PATIENT = {"gateway_connect_timeout_s": 60, "gateway_timeout_s": 60, "call_timeout_s": 60}


class Site(NamedTuple):
    """A server on a database that nobody else uses: the reconcilers of two servers would share the work."""

    address: str
    database_url: str
    observer: Observer

    @contextmanager
    def new_store(self) -> Iterator[tuple[inventory_client.Client, str]]:
        store = f"test-{uuid.uuid4().hex}"
        create_store(self.database_url, store)
        with inventory_client.connect(self.address, store=store, timeout_s=60) as client:
            yield client, store

    @contextmanager
    def shop(self) -> Iterator[Shop]:
        with self.new_store() as (client, store):
            yield Shop(client, store, self.observer)


@contextmanager
def started(postgres: EmbeddedPostgres, **settings: object) -> Iterator[Site]:
    """Start a server with settings of its own, by their names."""
    name = f"site_{uuid.uuid4().hex}"
    with psycopg.connect(postgres.database_url("postgres"), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    url = postgres.database_url(name)
    migrate(url)
    observer = Observer(url)
    try:
        with serving_on(url, **settings) as server:
            yield Site(server.address, url, observer)
    finally:
        observer.close()


def serving_on(database_url: str, *, port: str = "0", **settings: object) -> LaunchedProcess:
    """Start a server, or one more, on a database; a context manager that stops it.

    It has all the time that a busy machine needs unless a setting says otherwise.
    """
    given = {f"INVENTORY_{key.upper()}": str(value) for key, value in {**PATIENT, **settings}.items()}
    env = {**os.environ, "INVENTORY_DATABASE_URL": database_url, **given}
    return start_process([*INVENTORY_COMMAND, "serve", "--port", port, UNTIL_STDIN_CLOSES], env=env)
