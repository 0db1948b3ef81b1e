"""Fault 6: SIGKILL of the server while carts race and payments are in flight, and a new server after it."""

from __future__ import annotations

import signal
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from inventory_loadtest.plan import synthetic_plan
from inventory_loadtest.race import run_race
from inventory_server.db.migrate import migrate
from inventory_server.launch import LaunchedProcess, gateway_simulator, reserved_address
from support.gateway import GatedGateway, serving
from support.sites import serving_on


@pytest.mark.fault(6)
def test_a_server_killed_in_a_race(empty_database_url: str, tmp_path: Path) -> None:
    """Killed twice in mid-race and started again: nothing acknowledged is lost, nothing is sold twice."""
    # A database of its own: another server's reconciler would ask its own gateway about our payments.
    migrate(empty_database_url)
    ledger = tmp_path / "ledger.jsonl"
    plan = synthetic_plan("race", carts=300, stock=150, products=5, lines=2, split_share=0.3, carts_per_s=50)
    with (
        gateway_simulator(["--ledger", str(ledger), "--latency-ms", "100"]) as simulator,
        closing(GatedGateway(simulator.address)) as gate,
        serving(gate) as gateway,
        reserved_address() as address,
        ThreadPoolExecutor(1) as killer,
    ):

        def serve() -> LaunchedProcess:
            return serving_on(
                empty_database_url,
                payment_gateway=gateway,
                gateway_timeout_s=10,
                port=address.rpartition(":")[2],
                reuse_port=True,
            )

        servers = [serve()]
        killed_at: list[float] = []

        def kill_and_start_again() -> None:
            for purchases in (10, 40):  # both in mid-race: payments are in flight, carts still arrive
                killed_at.append(gate.wait_for_one_kept(purchases))
                servers[-1].process.kill()
                servers[-1].stop()
                servers.append(serve())
            gate.open()

        try:
            killing = killer.submit(kill_and_start_again)
            result = run_race(plan, address, ledger=ledger)
            killing.result()
        finally:
            gate.open()
            servers[-1].stop()
    figures = result.figures()
    assert result.violations == []
    assert [server.process.returncode for server in servers[:-1]] == [-signal.SIGKILL] * 2
    in_flight = [[e for e in result.history if e.started_s < at < e.ended_s] for at in killed_at]
    assert all(in_flight)
    ended = {(e.step, e.outcome, e.reason, e.state) for e in result.history}
    assert (figures["errors"], figures["orders_in_doubt"]) == (0, 0), ended
