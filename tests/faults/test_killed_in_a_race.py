"""Fault 6: SIGKILL of the server while carts race and payments are in flight, and a new server after it."""

from __future__ import annotations

import os
import signal
import threading
import time
from pathlib import Path

import pytest

from inventory_loadtest.plan import synthetic_plan
from inventory_loadtest.race import run_race
from inventory_server.db.migrate import migrate
from inventory_server.launch import (
    INVENTORY_COMMAND,
    UNTIL_STDIN_CLOSES,
    LaunchedProcess,
    gateway_simulator,
    start_process,
)


def serve(database_url: str, gateway: str, port: str) -> LaunchedProcess:
    options = ["--port", port, "--payment-gateway", gateway, UNTIL_STDIN_CLOSES]
    # Where the gateway can't be reached in time a payment is FAILED; a slow machine takes long after a start.
    patience = {"INVENTORY_GATEWAY_CONNECT_TIMEOUT_S": "8"}
    env = {**os.environ, **patience, "INVENTORY_DATABASE_URL": database_url}
    return start_process([*INVENTORY_COMMAND, "serve", *options], env=env)


def wait_for_purchases(ledger: Path, count: int) -> None:
    until = time.monotonic() + 60
    while not ledger.exists() or len(ledger.read_text().splitlines()) < count:
        assert time.monotonic() < until, f"the race came to no {count} purchases"
        time.sleep(0.02)


@pytest.mark.fault(6)
def test_a_server_killed_in_a_race(empty_database_url: str, tmp_path: Path) -> None:
    """Killed twice in mid-race and started again: nothing acknowledged is lost, nothing is sold twice."""
    # A database of its own: another server's reconciler would ask its own gateway about our payments.
    database_url = empty_database_url
    migrate(database_url)
    ledger = tmp_path / "ledger.jsonl"
    plan = synthetic_plan("race", carts=300, stock=150, products=5, lines=2, split_share=0.3, carts_per_s=50)
    with gateway_simulator(["--ledger", str(ledger), "--latency-ms", "100"]) as gateway:
        servers = [serve(database_url, gateway.address, "0")]
        address = servers[0].address

        killed_at: list[float] = []

        def kill_and_start_again() -> None:
            for purchases in (10, 40):  # both in mid-race: payments are in flight, carts still arrive
                wait_for_purchases(ledger, purchases)
                killed_at.append(time.monotonic())
                servers[-1].process.kill()
                servers[-1].stop()
                servers.append(serve(database_url, gateway.address, address.rpartition(":")[2]))

        killer = threading.Thread(target=kill_and_start_again)
        killer.start()
        try:
            result = run_race(plan, address, ledger=ledger)
        finally:
            killer.join()
            servers[-1].stop()
    figures = result.figures()
    assert result.violations == []
    assert [server.process.returncode for server in servers[:-1]] == [-signal.SIGKILL] * 2
    in_flight = [[e for e in result.history if e.started_s < at < e.ended_s] for at in killed_at]
    assert all(in_flight)
    ended = {(e.step, e.outcome, e.reason, e.state) for e in result.history}
    assert (figures["errors"], figures["orders_in_doubt"]) == (0, 0), ended
