"""`inventory serve --workers`: several processes on one port, each replaced when it dies."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import inventory_client
from inventory_client import v1
from inventory_server.launch import INVENTORY_COMMAND, UNTIL_STDIN_CLOSES, LaunchedProcess, start_process
from support.polling import until

WORKERS = 2
ENVIRONMENT = {**os.environ, "INVENTORY_PAYMENT_GATEWAY": "none"}


@pytest.fixture(scope="module")
def workers(database_url: str) -> Iterator[LaunchedProcess]:
    with start_process(
        [*INVENTORY_COMMAND, "serve", "--port", "0", "--workers", str(WORKERS), UNTIL_STDIN_CLOSES],
        env={**ENVIRONMENT, "INVENTORY_DATABASE_URL": database_url},
    ) as started:
        yield started


def children(pid: int) -> list[int]:
    """The processes that a process started and that live, by pid: proc_pid_task_children(5)."""
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError):  # a thread that has ended
            found += map(int, (task / "children").read_text().split())
    return sorted(found)


@pytest.mark.fault(21)
def test_calls_on_all_workers(workers: LaunchedProcess, store: str) -> None:
    """Racers on connections of their own meet any worker: each unit is sold once, nobody sees a conflict."""
    stocked, racers = 40, 60
    sold, refused = [], []

    def race(number: int) -> None:
        with inventory_client.connect(workers.address, store=store, timeout_s=60) as client:
            line = v1.LineRequest(product_id="a", quantity=1)
            request = v1.ReserveStockRequest(reservation_id=f"r-{number}", lines=[line])
            try:
                client.inventory.ReserveStock(request)
                sold.append(number)
            except inventory_client.InsufficientStock:
                refused.append(number)

    with inventory_client.connect(workers.address, store=store, timeout_s=60) as client:
        client.inventory.CreateStock(v1.CreateStockRequest(product_id="a", quantity=stocked))
        threads = [threading.Thread(target=race, args=[number]) for number in range(racers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        stock = client.inventory.GetStock(v1.GetStockRequest(product_id="a")).stock
    assert (len(sold), len(refused)) == (stocked, racers - stocked)
    assert (stock.available, stock.allocated) == (0, stocked)
    assert len(children(workers.pid)) == WORKERS


def test_a_worker_that_dies_is_replaced(workers: LaunchedProcess, store: str) -> None:
    """A worker is killed in the midst of calls: callers see nothing but time, and another takes its place."""
    before = children(workers.pid)
    victim = before[0]
    with inventory_client.connect(workers.address, store=store, timeout_s=60) as client:
        client.inventory.CreateStock(v1.CreateStockRequest(product_id="a", quantity=100))
        for number in range(60):
            if number == 20:
                os.kill(victim, signal.SIGKILL)
            line = v1.LineRequest(product_id="a", quantity=1)
            client.inventory.ReserveStock(v1.ReserveStockRequest(reservation_id=f"r-{number}", lines=[line]))
        stock = client.inventory.GetStock(v1.GetStockRequest(product_id="a")).stock
    assert stock.allocated == 60
    now = until(
        lambda: len(found := children(workers.pid)) == WORKERS and victim not in found and found,
        "another worker in the place of the dead",
    )
    assert len(set(now) & set(before)) == WORKERS - 1


def test_workers_of_another_service_stay_out(workers: LaunchedProcess, database_url: str) -> None:
    """A port that is served is refused in one line, though workers could share it."""
    port = workers.address.rpartition(":")[2]
    done = subprocess.run(
        [*INVENTORY_COMMAND, "serve", "--port", port, "--workers", "2"],
        env={**ENVIRONMENT, "INVENTORY_DATABASE_URL": database_url},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


def test_all_of_them_stop(database_url: str) -> None:
    """SIGTERM ends every worker."""
    with start_process(
        [*INVENTORY_COMMAND, "serve", "--port", "0", "--workers", "2", UNTIL_STDIN_CLOSES],
        env={**ENVIRONMENT, "INVENTORY_DATABASE_URL": database_url},
    ) as started:
        pids = children(started.pid)
        assert started.stop() == 0
    assert [pid for pid in pids if Path(f"/proc/{pid}").exists()] == []


def test_a_worker_that_cannot_start(database_url: str) -> None:
    """What keeps a worker from its first start is said in one line, and the others don't stay."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = subprocess.run(
            [*INVENTORY_COMMAND, "serve", "--port", "0", "--workers", "2", "--log-level", "error"],
            env={**ENVIRONMENT, "INVENTORY_DATABASE_URL": database_url,
                 "INVENTORY_METRICS_PORT": str(taken.getsockname()[1])},
            capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip
    assert done.returncode == 1
    assert "metrics" in done.stderr.splitlines()[-1]
    assert "ready" not in done.stdout and "Traceback" not in done.stderr
