"""Where a bench takes place: a database of its own, bench servers on it, and raw SQL beside them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

import inventory_client
from inventory_client import v1
from inventory_loadtest.bench import pressure, proof, suite
from inventory_loadtest.bench.display import bars
from inventory_loadtest.bench.imports import Rows, import_stock
from inventory_loadtest.bench.sample import Sample
from inventory_server.access import credential
from inventory_server.access.role import Role
from inventory_server.bench_server import COMMAND
from inventory_server.db import copied, credentials, embedded, measured, migrate, raw_sql, stores
from inventory_server.domain.limits import DEFAULT_STORE
from inventory_server.launch import LaunchedProcess, start_process
from inventory_server.uuid7 import uuid7

CONNECTIONS_MAX = 400
SLOW_COMMIT_US = 10_000


@dataclass(frozen=True)
class Place:
    """A database with a server on it, both our own."""

    url: str
    server: LaunchedProcess

    @property
    def load(self) -> suite.Load:
        return suite.Load(self.server.address)

    def raw(self, *, clients: int, seconds: int, products: int, rate: float | None = None) -> Sample:
        found = raw_sql.run(self.url, clients=clients, seconds=seconds, products=products, rate=rate)
        took_s = len(found.latencies_s) / found.per_s
        return Sample.of(len(found.latencies_s), took_s, found.latencies_s)

    def open_store(self, store: str) -> None:
        """Make a store that has the hot product."""
        stores.create_store(self.url, store)
        with inventory_client.connect(self.server.address, store=store) as client:
            import_stock(client, [(suite.HOT, proof.HOT_STOCK)])

    def copy(self, store: str, rows: Rows) -> Sample:
        """COPY products with a total each into the tables of a new store."""
        stores.create_store(self.url, store)
        took_s = copied.run(self.url, store, rows)
        return Sample.of(len(rows), took_s, [took_s])

    def settled(self, store: str) -> None:
        """Make a store for an import, once nothing is left to clear of the last one."""
        copied.wait_for_clearing(self.url)
        stores.create_store(self.url, store)

    def settings(self) -> dict[str, str]:
        """The settings that decide what a commit costs, as the server's own transactions have them."""
        line = v1.CreateStockTransactionRequest(
            product_id=suite.HOT, action=v1.StockAction.STOCK_ACTION_INCREMENT, quantity=1
        )
        with inventory_client.connect(self.server.address, timeout_s=30) as client:
            return measured.settings(self.url, lambda: client.inventory.CreateStockTransaction(line))

    def peak_mb(self) -> float:
        """The server's largest resident size so far, in MB (proc_pid_status(5), VmHWM)."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


@contextmanager
def bench_place(
    console: Console, fill: Callable[[str], Iterator[int]] | None = None, fill_count: int = 0
) -> Iterator[Place]:
    """A fresh database with the products that the loads want, and a bench server on it.

    Args:
        fill: writes further rows to the database with a URL, and tells how many there are.
        fill_count: how many they will be.
    """
    with embedded.ephemeral({"max_connections": str(CONNECTIONS_MAX)}) as postgres:
        with console.status("starting PostgreSQL and the server"):
            migrate.migrate(postgres.url)
            measured.execute(postgres.url, raw_sql.SCHEMA)
        if fill is not None:
            with bars(console) as shown:
                task = shown.add_task("growing", total=fill_count, now="")
                for count in fill(postgres.url):
                    shown.update(task, completed=count)
        with console.status("starting the server"):
            server = bench_server(postgres.url)
        with server:
            with inventory_client.connect(server.address, timeout_s=30) as client:
                proof.stock(client)
            yield Place(postgres.url, server)


@contextmanager
def narrow_server(url: str) -> Iterator[suite.Load]:
    """Start a bench server that its generator can ask OVERLOAD times as much as it can do.

    A transaction for each command, and a disk that takes its time: as many calls as an ordinary one can do in
    memory would keep the two processors busy that ask and answer here.
    """
    slow = measured.with_settings(url, commit_delay=SLOW_COMMIT_US, commit_siblings=0)
    with bench_server(slow, **pressure.NARROW) as server:
        yield suite.Load(server.address)


@contextmanager
def guarded_server(url: str) -> Iterator[suite.Load]:
    """Start a bench server that tells its callers apart, and give the callers a token."""
    token = credential.new_token()
    credentials.create_credential(
        url, credential_id=str(uuid7()), name="bench", kind=credential.Kind.TOKEN,
        identity=credential.token_hash(token), role=Role.SELLER, stores=[DEFAULT_STORE],
        calls_per_s_max=1_000_000,
    )  # fmt: skip
    with bench_server(url, authentication=1) as server:
        yield suite.Load(server.address, token)


def bench_server(url: str, **settings: int) -> LaunchedProcess:
    """Start a bench server on a database. Args: settings: further ones of the server, by name."""
    ours = {
        "database_url": url,
        "port": 0,
        "log_level": "error",
        "gateway_args": "--latency-ms 0",
        **settings,
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("INVENTORY_")}
    set_ = {f"INVENTORY_{name.upper()}": str(value) for name, value in ours.items()}
    return start_process(COMMAND, env=others | set_)
