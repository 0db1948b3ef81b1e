"""A PostgreSQL, a payment gateway and a server, each a process of its own that a test may hurt."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import grpc
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inventory_server.db import embedded
from inventory_server.db.migrate import migrate
from inventory_server.launch import (
    INVENTORY_COMMAND,
    UNTIL_STDIN_CLOSES,
    LaunchedProcess,
    gateway_simulator,
    start_process,
)
from support.engine import GATE, Database
from support.polling import until
from support.sites import reserved_address

# For what a starved machine may take long for: a start, a recovery.
WAIT_S = 180.0
HEALTH_S = 60.0

# Beside what a test says. Jobs look often, so that what they do shows soon.
_SETTINGS = {
    "reconcile_interval_s": 0.1,
    "import_interval_s": 0.1,
    "sweep_interval_s": 0.2,
    "gateway_connect_timeout_s": 60,
}

_GATE = f"""
CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock_shared({GATE});
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER gate AFTER INSERT ON stock_transaction DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION gate();
CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE ON payment_operation DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION gate();
CREATE CONSTRAINT TRIGGER gate AFTER INSERT OR UPDATE ON import_job DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION gate();
"""


class Place:
    """Made by `placed`, which ends whatever still runs.

    `door`: a link to the folder of the socket that PostgreSQL has now; the server knows this way alone.
    """

    def __init__(self, folder: Path, gateway: str, postgres_settings: Mapping[str, str]) -> None:
        self.folder = folder
        self.gateway = gateway
        self.door = folder / "door"
        # Whoever holds a lock for a test holds it for as long as the machine takes.
        self._postgres_settings = {"idle_in_transaction_session_timeout": "0", **postgres_settings}
        self.servers: list[LaunchedProcess] = []
        # The ports of servers that are dead: their callers must not come to one of another test.
        self._ports = ExitStack()
        self.start_postgres()
        migrate(self.url)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/inventory?host={self.door}"

    @property
    def server(self) -> LaunchedProcess:
        return self.servers[-1]

    # --- the database ------------------------------------------------------------------------------

    def start_postgres(self, *, opens: bool = True) -> None:
        """Start PostgreSQL on its folder. `opens`: whoever knocks at the door gets there."""
        self.postgres = embedded.start(self.folder / "data", self._postgres_settings)
        if opens:
            self.open_door()

    def open_door(self) -> None:
        self.door.unlink(missing_ok=True)
        self.door.symlink_to(self.postgres.run_dir)

    def close_door(self) -> None:
        """Nobody gets to PostgreSQL any more, whether it runs or not; who is inside stays."""
        self.door.unlink()

    def kill_postgres(self) -> None:
        """SIGKILL the postmaster; on return its children are gone too."""
        os.kill(self.postgres.pid, signal.SIGKILL)
        self.postgres.stop()

    def database(self, store: str = "default") -> Database:
        """Return a superuser's view, past the door. Close it."""
        return Database(self.postgres.url, store)

    def build_gate(self) -> None:
        """From now on `gate_closed` of a Database can hold back the COMMIT of what changes stock or money."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            connection.execute(_GATE)

    def wait_for_idle_backends(self) -> None:
        """Wait until no batch runs any more: those of a killed server end when they next hear of it."""
        running = (
            "SELECT FROM pg_stat_activity WHERE application_name = 'inventory engine' AND state <> 'idle'"
        )
        until(lambda: not self.rows(running), "the batches of the dead are over", WAIT_S)

    def rows(self, query: str, *params: object) -> list[tuple[object, ...]]:
        """Return the rows of a query, none of one that has none."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            done = connection.execute(query.encode(), params)
            return done.fetchall() if done.description is not None else []

    # --- the server --------------------------------------------------------------------------------

    def start_server(self, url: str = "", **settings: object) -> LaunchedProcess:
        """Start a server, or one more, with settings by their names."""
        port = self._ports.enter_context(reserved_address()).rpartition(":")[2]
        every = {
            "database_url": url or self.url, "payment_gateway": self.gateway, "reuse_port": True,
            **_SETTINGS, **settings,
        }  # fmt: skip
        env = {**os.environ, **{f"INVENTORY_{name.upper()}": str(value) for name, value in every.items()}}
        self.servers.append(
            start_process([*INVENTORY_COMMAND, "serve", "--port", port, UNTIL_STDIN_CLOSES], env=env)
        )
        return self.server

    def kill_server(self) -> None:
        self.server.process.kill()
        assert self.server.stop() == -signal.SIGKILL

    def health(self) -> int:
        """Ask the last server for its health. Raises: grpc.RpcError if it does not answer within HEALTH_S."""
        with grpc.insecure_channel(self.server.address) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=HEALTH_S, wait_for_ready=True)
            status: int = answer.status
            return status

    def wait_until_serving(self) -> None:
        serving = health_pb2.HealthCheckResponse.SERVING
        until(lambda: self.health() == serving, "the server says that it serves", WAIT_S)

    def wait_until_not_serving(self) -> None:
        not_serving = health_pb2.HealthCheckResponse.NOT_SERVING
        until(lambda: self.health() == not_serving, "the server says that it does not serve", WAIT_S)

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
        self._ports.close()
        self.postgres.stop()


@contextmanager
def placed(
    gateway: str = "none", *, postgres_settings: Mapping[str, str] | None = None, folder: Path | None = None
) -> Iterator[Place]:
    """Start a PostgreSQL, and the gateway simulator where it is named; the test starts servers.

    Args:
        gateway: as the setting `payment_gateway`.
        folder: where to keep the data; by default a new one, which PostgreSQL's own user can enter.
    """
    with ExitStack() as stack:
        if folder is None:
            folder = Path(tempfile.mkdtemp(prefix="inventory-faults-", dir="/tmp"))
            stack.callback(shutil.rmtree, folder)
        folder.chmod(0o755)
        if gateway == "simulator":
            gateway = stack.enter_context(gateway_simulator(["--latency-ms", "5"])).address
        place = Place(folder, gateway, postgres_settings or {})
        stack.callback(place.stop)
        yield place
