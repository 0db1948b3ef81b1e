"""Two PostgreSQLs that Patroni looks after, with one etcd: it says which is the primary, and fails over.

Both are Debian's packages `patroni` and `etcd-server`; the PostgreSQL is the embedded one's.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg

from inventory_server.db import embedded
from inventory_server.db.embedded_account import Account, account_of, binaries, clean_environment
from inventory_server.launch import gateway_simulator
from support.faults.place import WAIT_S, Place
from support.polling import until

PROGRAMS = ("patroni", "etcd")
DATABASE = "inventory"
_DATABASES = ("all", "replication")
# Seconds: for how long a primary is one without renewing it, and how often Patroni looks.
_TTL_S, _LOOP_S, _RETRY_S = 10, 1, 3
# What has not ended by then is killed: a Patroni may wait for a PostgreSQL that never began.
_STOP_S = 60
# Below those that the kernel gives to whoever connects somewhere: nobody takes one by accident.
_PORTS = range(20_000, 30_000)


def missing() -> str:
    """Return what is to be installed, "" if all is there."""
    return " and ".join(name for name in PROGRAMS if shutil.which(name) is None)


def _free_port() -> int:
    while True:
        port = random.choice(_PORTS)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


class _Kept:
    """A process under the unprivileged account. It ends with us.

    Args:
        ending: the signal that ends it, without SIG.
    """

    def __init__(self, account: Account, folder: Path, log: str, ending: str, *command: str | Path) -> None:
        kept = ("/bin/sh", "-c", embedded._KEEPER, "keeper", ending, folder / "nothing", *command)
        with (folder / log).open("ab") as written:
            self._keeper = subprocess.Popen(
                account.command(*kept),
                stdin=subprocess.PIPE, stdout=written, stderr=written, cwd="/", umask=0o077,
                env=clean_environment(), start_new_session=True,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process itself: the first child of who keeps it."""
        keeper = self._keeper.pid
        children = Path(f"/proc/{keeper}/task/{keeper}/children")
        return int(until(lambda: children.read_text().split(), "the process has begun", WAIT_S)[0])

    def end(self) -> None:
        """Send the signal, once."""
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()

    def stop(self) -> None:
        self.end()
        try:
            self._keeper.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            os.kill(self.pid, signal.SIGKILL)
            self._keeper.wait(WAIT_S)


class Node:
    """A PostgreSQL and its Patroni."""

    def __init__(self, name: str, folder: Path, account: Account, etcd_port: int) -> None:
        self.name = name
        self.port = _free_port()
        self._cluster = folder / name
        self._rest = f"127.0.0.1:{_free_port()}"
        sockets = folder / f"{name}-socket"
        for made in (self._cluster, sockets):
            made.mkdir(mode=0o700)
            account.own(made)
        config = folder / f"{name}.json"
        config.write_text(json.dumps(self._config(account, sockets, etcd_port)))
        account.own(config)
        patroni = shutil.which("patroni")
        assert patroni is not None
        self._patroni = _Kept(account, folder, f"{name}.log", "TERM", patroni, config)

    def _config(self, account: Account, sockets: Path, etcd_port: int) -> dict[str, object]:
        # Patroni has its own word for these.
        settings = {
            name: value
            for name, value in embedded.SETTINGS.items()
            if name not in ("listen_addresses", "cluster_name")
        }
        address = f"127.0.0.1:{self.port}"
        trusted = ["local all all trust", *(f"host {what} all 127.0.0.1/32 trust" for what in _DATABASES)]
        return {
            "scope": "inventory",
            "name": self.name,
            "etcd3": {"host": f"127.0.0.1:{etcd_port}"},
            "restapi": {"listen": self._rest, "connect_address": self._rest},
            "bootstrap": {
                "dcs": {
                    "ttl": _TTL_S, "loop_wait": _LOOP_S, "retry_timeout": _RETRY_S,
                    "synchronous_mode": True,
                    "postgresql": {"use_pg_rewind": False, "parameters": settings},
                },
                "initdb": [
                    {"encoding": "UTF8"}, {"locale-provider": "builtin"}, {"builtin-locale": "C.UTF-8"},
                    {"locale": "C"},
                ],
            },
            "postgresql": {
                "listen": address, "connect_address": address,
                "data_dir": str(self._cluster), "bin_dir": str(binaries(account)),
                "pgpass": str(sockets / "pgpass"), "pg_hba": trusted,
                "parameters": {"unix_socket_directories": str(sockets)},
                "authentication": {
                    "superuser": {"username": "postgres"}, "replication": {"username": "replicator"},
                },
            },
            "watchdog": {"mode": "off"},
        }  # fmt: skip

    def says(self, what: str) -> bool:
        """Whether its Patroni calls it so: `primary`, `replica`, `synchronous`."""
        try:
            with urllib.request.urlopen(f"http://{self._rest}/{what}", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def kill(self) -> None:
        """SIGKILL Patroni and the postmaster, so that neither comes back."""
        os.kill(self._patroni.pid, signal.SIGKILL)
        os.kill(int((self._cluster / "postmaster.pid").read_text().split()[0]), signal.SIGKILL)

    def end(self) -> None:
        """Begin to stop: a primary waits for its standby, which may well be gone first."""
        self._patroni.end()

    def stop(self) -> None:
        self._patroni.stop()


class Nodes:
    """Both, as `Place.postgres`. Made by `placed_under_patroni`."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes

    def url_of(self, database: str, user: str = "postgres") -> str:
        """Return the URL that leads to the primary, whichever that is."""
        hosts = ",".join(f"127.0.0.1:{node.port}" for node in self._nodes)
        return f"postgresql://{user}@{hosts}/{database}?target_session_attrs=read-write"

    @property
    def url(self) -> str:
        return self.url_of(DATABASE)

    def primary_now(self) -> Node | None:
        return next((node for node in self._nodes if node.says("primary")), None)

    def primary(self) -> Node:
        """Return the one that is the primary, when the other follows it in step."""

        def look() -> Node | None:
            # Who answers is who looks after PostgreSQL, and is not kept from it by questions.
            time.sleep(_LOOP_S)
            follows = any(node.says("synchronous") for node in self._nodes)
            return self.primary_now() if follows else None

        found = until(look, "Patroni has a primary and a synchronous standby", WAIT_S)
        assert found is not None
        return found

    def stop(self) -> None:
        for node in self._nodes:
            node.end()
        for node in self._nodes:
            node.stop()


class PlaceUnderPatroni(Place):
    """A place whose PostgreSQLs are started already, and are nobody else's to start."""

    def __init__(self, folder: Path, gateway: str, nodes: Nodes) -> None:
        self.nodes = nodes
        super().__init__(folder, gateway, {})

    @property
    def url(self) -> str:
        return self.nodes.url

    def start_postgres(self, *, opens: bool = True) -> None:
        self.postgres = self.nodes  # type: ignore[assignment]


@contextmanager
def placed_under_patroni() -> Iterator[PlaceUnderPatroni]:
    """Start etcd, both nodes and the gateway simulator; the test starts servers."""
    with ExitStack() as stack:
        account = account_of(None)
        folder = Path(embedded._run_dir(account))
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o755)
        etcd_port = _free_port()
        stack.callback(_start_etcd(account, folder, etcd_port).stop)
        nodes = Nodes([Node(name, folder, account, etcd_port) for name in ("one", "two")])
        stack.callback(nodes.stop)
        nodes.primary()
        with psycopg.connect(nodes.url_of("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        gateway = stack.enter_context(gateway_simulator(["--latency-ms", "5"])).address
        place = PlaceUnderPatroni(folder, gateway, nodes)
        stack.callback(place.stop)
        yield place


def _start_etcd(account: Account, folder: Path, port: int) -> _Kept:
    etcd = shutil.which("etcd")
    assert etcd is not None
    data, peers = folder / "etcd", f"http://127.0.0.1:{_free_port()}"
    data.mkdir(mode=0o700)
    account.own(data)
    clients = f"http://127.0.0.1:{port}"
    return _Kept(
        account, folder, "etcd.log", "KILL", etcd, "--name=etcd", f"--data-dir={data}",
        f"--listen-client-urls={clients}", f"--advertise-client-urls={clients}",
        f"--listen-peer-urls={peers}", f"--initial-advertise-peer-urls={peers}",
        f"--initial-cluster=etcd={peers}",
    )  # fmt: skip
