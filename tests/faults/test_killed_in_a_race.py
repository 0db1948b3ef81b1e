"""Fault 6: SIGKILL of the server while carts race and payments are in flight, and a new server after it."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

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

KILLS = 2


def serve(database_url: str, gateway: str, port: str) -> LaunchedProcess:
    options = ["--port", port, "--payment-gateway", gateway, UNTIL_STDIN_CLOSES]
    env = {**os.environ, "INVENTORY_DATABASE_URL": database_url}
    return start_process([*INVENTORY_COMMAND, "serve", *options], env=env)


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

        def kill_and_start_again() -> None:
            for _ in range(KILLS):
                time.sleep(1.5)  # somewhere in the race; the laws hold wherever it is
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
    assert len(servers) == KILLS + 1
    assert figures["calls_repeated"] > 0
    assert (figures["errors"], figures["orders_in_doubt"]) == (0, 0)
