"""The real server while its database is away, comes, goes and comes back; and its orderly stop under load."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc

from inventory_client import v1
from inventory_server.db import embedded
from inventory_server.launch import INVENTORY_COMMAND, UNTIL_STDIN_CLOSES, LaunchedProcess, start_process
from support.engine import Database
from support.polling import until

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that PostgreSQL's own user can enter."""
    made = Path(tempfile.mkdtemp(prefix="inventory-away-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def serve(database_url: str, *options: str) -> LaunchedProcess:
    return start_process(
        [
            *INVENTORY_COMMAND,
            "serve",
            "--port",
            "0",
            "--payment-gateway",
            "none",
            UNTIL_STDIN_CLOSES,
            *options,
        ],
        env={**os.environ, "INVENTORY_DATABASE_URL": database_url},
    )


class Caller:
    """Bare stubs: no retry stands between a test and the server's answer."""

    def __init__(self, address: str, store: str = "default") -> None:
        self.channel = grpc.insecure_channel(address, options=[("grpc.enable_retries", 0)])
        self._stub = v1.InventoryServiceStub(self.channel)
        self._health = health_pb2_grpc.HealthStub(self.channel)
        self._metadata = (("x-inventory-store", store),)

    def __enter__(self) -> Caller:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def health(self) -> int:
        answer = self._health.Check(health_pb2.HealthCheckRequest(), timeout=60)
        status: int = answer.status
        return status

    def create(self, product_id: str, quantity: int) -> Any:
        request = v1.CreateStockRequest(product_id=product_id, quantity=quantity, request_id=product_id)
        return self._stub.CreateStock(request, timeout=60, metadata=self._metadata)

    def get(self, product_id: str) -> Any:
        request = v1.GetStockRequest(product_id=product_id)
        return self._stub.GetStock(request, timeout=60, metadata=self._metadata)

    def plus(self, product_id: str, request_id: str, timeout_s: float = 60) -> Any:
        request = v1.CreateStockTransactionRequest(
            product_id=product_id,
            action=v1.StockAction.STOCK_ACTION_INCREMENT,
            quantity=1,
            request_id=request_id,
        )
        return self._stub.CreateStockTransaction(request, timeout=timeout_s, metadata=self._metadata)


def unavailable(call: Any, *args: Any) -> str:
    """Return the reason that a call is refused with; it must be worth a retry, and say when."""
    with pytest.raises(grpc.RpcError) as caught:
        call(*args)
    error: Any = caught.value
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    status = status_pb2.Status.FromString(dict(error.trailing_metadata())["grpc-status-details-bin"])
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    kinds = [detail.type_url for detail in status.details]
    assert any(detail.Unpack(retry) for detail in status.details), kinds
    assert retry.retry_delay.ToMilliseconds() > 0
    assert any(detail.Unpack(info) for detail in status.details), kinds
    reason: str = info.reason
    return reason


def complaints(server: LaunchedProcess) -> list[dict[str, Any]]:
    """Return the log lines of level error."""
    lines = [json.loads(line) for line in server.last_errors if line.startswith("{")]
    assert lines
    return [line for line in lines if line["level"] == "error"]


@pytest.mark.fault(9)
def test_a_database_that_comes_and_goes(folder: Path) -> None:
    """Not there: one line, NOT_SERVING, UNAVAILABLE. There: SERVING, by itself; again and again."""
    door = folder / "door"  # leads to the socket of whichever PostgreSQL runs
    url = f"postgresql://postgres@/inventory?host={door}"
    with serve(url, "--migrate") as server, Caller(server.address) as caller:
        assert caller.health() == NOT_SERVING
        assert unavailable(caller.get, "a") == "DATABASE_UNAVAILABLE"
        assert unavailable(caller.create, "a", 5) == "DATABASE_UNAVAILABLE"
        # By now it has been tried several times.
        assert [line["event"] for line in complaints(server)] == ["database_unavailable"]

        postgres = embedded.start(folder / "data")
        try:
            door.unlink(missing_ok=True)
            door.symlink_to(postgres.run_dir)
            until(lambda: caller.health() == SERVING, "it serves")
            assert caller.create("a", 5).stock.total == 5
        finally:
            postgres.stop()
        until(lambda: caller.health() == NOT_SERVING, "it does not serve")
        assert unavailable(caller.get, "a") == "DATABASE_UNAVAILABLE"
        with pytest.raises(grpc.RpcError):  # told so, if at all, shortly before its deadline
            caller.plus("a", "q", 2)
        assert unavailable(caller.plus, "a", "q") == "DATABASE_UNAVAILABLE"

        postgres = embedded.start(folder / "data")
        try:
            door.unlink(missing_ok=True)
            door.symlink_to(postgres.run_dir)
            until(lambda: caller.health() == SERVING, "it serves again")
            # Said once when it went, not with every try to connect; while it stops it may be busy stopping.
            assert {line["event"] for line in complaints(server)} == {"database_unavailable"}
            went = [line["error"] for line in complaints(server)[1:]]
            assert went and len(went) == len(set(went))
            assert caller.get("a").stock.total == 5
            assert caller.plus("a", "q").stock_transaction.available_after == 6
            assert server.stop() == 0
        finally:
            postgres.stop()


@pytest.mark.fault(7)
def test_a_stop_under_load_loses_no_answer(database_url: str, store: str) -> None:
    """SIGTERM: calls in flight finish, whatever was answered OK is in the database, exit status 0."""
    answered: set[str] = set()
    others: list[grpc.StatusCode] = []
    stop = threading.Event()
    with (
        serve(database_url) as server,
        Caller(server.address, store) as caller,
        Database(database_url, store) as database,
        ThreadPoolExecutor(9) as pool,
    ):
        caller.create("a", 0)
        caller.create("slow", 0)

        def load() -> None:
            while not stop.is_set():
                request_id = uuid.uuid4().hex
                try:
                    caller.plus("a", request_id)
                except grpc.RpcError as error:
                    code: grpc.StatusCode = error.code()
                    others.append(code)
                    return
                answered.add(request_id)

        workers = [pool.submit(load) for _ in range(8)]
        try:
            until(lambda: len(answered) > 200, "the load runs")
            with database.level_locked("slow") as holder:
                in_flight = pool.submit(caller.plus, "slow", "in-flight")
                until(lambda: database.blocked(holder), "a batch waits")
                server.process.send_signal(signal.SIGTERM)
                until(lambda: "stopping" in "".join(server.last_errors), "the server is told to stop")
                assert server.process.poll() is None
            assert in_flight.result(60).stock_transaction.available_after == 1
        finally:
            stop.set()
        for worker in workers:
            worker.result(60)
        assert server.process.wait(60) == 0
        in_log = database.rows(
            "SELECT request_id FROM stock_transaction WHERE store_id = %s AND action = 'INCREMENT'", store
        )
        assert answered <= {row[0] for row in in_log}
        # Not CANCELLED, which is gRPC's word for what its own stop cuts off.
        assert set(others) <= {grpc.StatusCode.UNAVAILABLE}
        database.check()
