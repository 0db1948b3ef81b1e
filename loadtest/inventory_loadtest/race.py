"""A race from its plan to its result: carts in a process of their own, then the reading, then the judge."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from inventory_client import InventoryError, connect, v1
from inventory_loadtest.asking import CALL_TIMEOUT_S
from inventory_loadtest.history import read_history
from inventory_loadtest.plan import RacePlan
from inventory_loadtest.progress import Progress
from inventory_loadtest.reading import read_final_state
from inventory_loadtest.result import RaceResult


class RaceError(Exception):
    """The race could not be run to its end, or not be judged; one line that says why."""


@dataclass(frozen=True)
class Watcher:
    """Who wants to know how far a race is.

    Args:
        carts: called about ten times a second while the carts walk.
        checking: called with how many reads of the final state are done, of how many.
    """

    carts: Callable[[Progress], None] = field(default=lambda progress: None)
    checking: Callable[[int, int], None] = field(default=lambda done, total: None)


def run_race(
    plan: RacePlan,
    target: str,
    *,
    store: str | None = None,
    ledger: Path | None = None,
    history: Path | None = None,
    watcher: Watcher | None = None,
) -> RaceResult:
    """Run a race against a server, and judge it.

    Args:
        plan: what to do. Its name must be new to the store.
        target: the server, `host:port`.
        store: as for `inventory_client.connect`.
        ledger: the ledger of the payment gateway simulator that the server calls; None = the gateway's
            books are not compared.
        history: where to keep what the clients saw, as JSONL; None = it isn't kept.
        watcher: who is told how far it is.
    Returns: the result, its violations found.
    Raises: RaceError if the server can't be reached, the store isn't there, the name was used before, or the
        carts' process fails.
    Effects: stock, carts, orders and payments on the server, all under ids that begin with the plan's name.
    """
    watcher = watcher or Watcher()
    _knock(target, store)
    with tempfile.TemporaryDirectory(prefix="inventory-race-") as scratch:
        seen = Path(scratch) / "history.jsonl"
        started_s = time.monotonic()
        progress = _run_carts(plan, target, store, seen, watcher.carts)
        ran_s = time.monotonic() - started_s
        events = list(read_history(seen))
        if history is not None:
            shutil.copyfile(seen, history)
    started_s = time.monotonic()
    try:
        reading = read_final_state(target, plan, events, store=store, ledger=ledger, tell=watcher.checking)
        state = asyncio.run(reading)
    except* InventoryError as errors:
        raise RaceError(f"the final state can't be read: {errors.exceptions[0]}") from errors
    return RaceResult(
        plan,
        events,
        state,
        broken=progress.broken,
        generator_cpu_share=progress.cpu_s / ran_s,
        checked_s=time.monotonic() - started_s,
    )


def _knock(target: str, store: str | None) -> None:
    """See that the server and the store are there, before a thousand carts find out."""
    try:
        with connect(target, store=store, timeout_s=CALL_TIMEOUT_S) as client:
            client.inventory.ListStock(v1.ListStockRequest(page_size=1))
    except (InventoryError, ValueError) as error:
        raise RaceError(f"{target}: {error}") from error


def _run_carts(
    plan: RacePlan, target: str, store: str | None, history: Path, tell: Callable[[Progress], None]
) -> Progress:
    """Run the carts in their process; return the last it told."""
    plan_file = history.with_name("plan.json")
    plan.write(plan_file)
    command = [sys.executable, "-m", "inventory_loadtest.race_worker", plan_file, history, "--target", target]
    progress = Progress()
    with (
        history.with_name("errors").open("w+") as errors,
        subprocess.Popen(
            [*map(str, command), *(["--store", store] if store else [])],
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        ) as worker,
    ):
        assert worker.stdout
        try:
            for line in worker.stdout:
                progress = Progress.from_json(line)
                tell(progress)
            status = worker.wait()
        finally:
            worker.terminate()
        errors.seek(0)
        said = errors.read().strip()
    if status:
        last = said.splitlines()[-1] if said else f"exit status {status}"
        raise RaceError(f"the carts could not run: {last}")
    if progress.broken:
        sys.stderr.write(said + "\n")
    return progress
