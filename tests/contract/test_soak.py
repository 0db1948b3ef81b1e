"""`inventory soak`: a short one, with everything that it starts, hurts and judges."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from inventory_loadtest.soak.trend import WARM_UP_S
from inventory_server.launch import INVENTORY_COMMAND

TIMEOUT_S = 600
SECONDS = 10


def test_a_short_soak(tmp_path: Path) -> None:
    """Callers of every kind and faults for some seconds: nothing is lost, all of it is judged and told."""
    figures_file, page = tmp_path / "soak.json", tmp_path / "soak.html"
    argv = [*INVENTORY_COMMAND, "soak", "--minutes", str(SECONDS / 60), "--seed", "1"]
    done = subprocess.run(
        [*argv, "--json", str(figures_file), "--report", str(page)],
        capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    figures = json.loads(figures_file.read_text())
    assert (figures["lost"], figures["violations"], figures["defects_logged"]) == (0, 0, [])
    assert figures["acknowledged"] > 0
    assert figures["shifts_judged"] > 0
    assert sum(figures["resolved"].values()) == figures["left_open"]
    assert figures["blows"] and figures["samples"]
    assert figures["minutes"] * 60 < WARM_UP_S and figures["memory_flat"] is None
    assert "seed 1" in done.stdout and "acknowledged, and lost" in done.stdout
    assert page.read_text().startswith("<!doctype html>")
