"""The locustfile, as Locust's own command runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from inventory_server.launch import LaunchedProcess

LOCUSTFILE = Path(__file__).parents[2] / "loadtest" / "locustfile.py"


def locust(host: str, *args: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--host", host, "--headless", "--json"]
    return subprocess.run([*argv, *args], capture_output=True, text=True, timeout=180, check=False)


def test_carts_shop_on_and_on(server: LaunchedProcess, store: str) -> None:
    """Some seconds of five users: every step is in the statistics, sold out under a name of its own."""
    wanted = {"CreateStock", "CreateCart", "AddCartItems", "AddCartItems, sold out", "Checkout", "PayOrder"}
    for run_time in ("4s", "12s", "60s"):  # how much is done in a time is the machine's
        done = locust(
            server.address,
            *("--users", "5", "--spawn-rate", "5", "--run-time", run_time),
            *("--store", store, "--stock", "12", "--products", "2", "--lines", "2", "--split-share", "0.5"),
        )
        assert done.returncode == 0, done.stderr
        steps = {row["name"]: row for row in json.loads(done.stdout)}
        assert sum(row["num_failures"] for row in steps.values()) == 0
        if wanted <= steps.keys():
            break
    assert wanted <= steps.keys()
