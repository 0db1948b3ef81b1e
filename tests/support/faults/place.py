"""A PostgreSQL, a payment gateway and a server, each a process of its own that a test may hurt."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import grpc
import psycopg
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inventory_server import soak_place
from inventory_server.launch import gateway_simulator
from support.engine import GATE, Database
from support.polling import until

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


class Place(soak_place.Place):
    """Made by `placed`, which ends whatever still runs."""

    def __init__(self, folder: Path, gateway: str, postgres_settings: Mapping[str, str]) -> None:
        # Whoever holds a lock for a test holds it for as long as the machine takes.
        settings = {"idle_in_transaction_session_timeout": "0", **postgres_settings}
        super().__init__(folder, gateway, _SETTINGS, settings)

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


def writers(place: Place) -> list[int]:
    """The processes of PostgreSQL that write its log when nobody commits."""
    found = place.rows(
        "SELECT pid FROM pg_stat_activity WHERE backend_type IN ('walwriter', 'background writer')"
    )
    return [int(str(pid)) for (pid,) in found]


@contextmanager
def frozen(pids: list[int]) -> Iterator[None]:
    """Stop processes; in the end they are killed, since they can't hear any more that they should go."""
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
