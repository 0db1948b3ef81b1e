"""`inventory soak`: a database and servers of its own, load and faults on them, the judgement, a report."""

from __future__ import annotations

import json
import random
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from inventory_loadtest.soak.display import print_findings, result_table, soak_bar
from inventory_loadtest.soak.gauges import Gauges, Watched
from inventory_loadtest.soak.load import SHIFT_S, Load, SoakError
from inventory_loadtest.soak.report import write_report
from inventory_loadtest.soak.result import SoakResult
from inventory_loadtest.wire import Wire, database_wire, wire_to
from inventory_server.bench_outcome import commit, machine
from inventory_server.launch import LaunchedProcess, gateway_simulator
from inventory_server.operator_error import OperatorError
from inventory_server.output import need_writable
from inventory_server.soak_faults import PAUSE_S, Faults
from inventory_server.soak_place import Place

MINUTES_MAX = 7 * 24 * 60
_LOOK_S = 0.25
_GATEWAY = (
    *("--latency-ms", "10", "--decline-rate", "0.1", "--lost-reply-rate", "0.02"),
    *("--duplicate-rate", "0.05", "--outage-rate", "0.02"),
)
# Jobs look often and waits are short, so that much happens in little time.
_SETTINGS = {
    "lock_stores": True,
    "log_level": "info",
    "gateway_timeout_s": 2,
    "reconcile_interval_s": 0.3,
    "import_interval_s": 0.2,
    "sweep_interval_s": 0.3,
    "stream_write_timeout_s": 4,
}


def soak(
    minutes: Annotated[float, typer.Option(help="how long, above 0")] = 20.0,
    seed: Annotated[int | None, typer.Option(help="the same seed, the same chances [made up]")] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures to this file")] = None,
    report: Annotated[Path | None, typer.Option(help="write a page with plots to this file")] = None,
) -> int:
    """Hurt the service while it is at work; exit status 1 where anything was lost or memory grows.

    Everything runs on this machine and is thrown away: a PostgreSQL, two servers on it (one is killed again
    and again, the other's memory tells of the whole time), a payment gateway that fails, and callers of every
    kind. Every few seconds what they did is judged. Memory is judged where there are 6 minutes or more.
    """
    if not 0 < minutes <= MINUTES_MAX:
        raise typer.BadParameter(f"above 0 and at most {MINUTES_MAX:,}", param_hint="--minutes")
    seed = secrets.randbelow(1_000_000) if seed is None else seed
    for path in filter(None, (json_file, report)):
        need_writable(path)
    console = Console(highlight=False)
    console.print(f"  seed {seed}")
    try:
        result = _run(minutes, seed, console)
    except SoakError as error:
        raise OperatorError(f"seed {seed}: {error}") from error
    console.print(result_table(result))
    print_findings(result, console)
    if json_file:
        json_file.write_text(json.dumps(result.figures(), indent=2) + "\n", encoding="utf-8")
    if report:
        write_report(result, report)
    for path in filter(None, (json_file, report)):
        console.print(f"  {path}", soft_wrap=True)
    return 0 if result.ok else 1


@dataclass(frozen=True)
class _Stage:
    """Everything that a soak needs, running."""

    place: Place
    first: LaunchedProcess
    database: Wire
    gateway: tuple[Wire, int]
    ledger: Path


def _run(minutes: float, seed: int, console: Console) -> SoakResult:
    """Soak, and judge. Raises: SoakError."""
    about = {
        "seed": seed, "minutes": minutes, "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(), "machine": machine(),
    }  # fmt: skip
    run_s = minutes * 60
    chance = random.Random(seed)
    with ExitStack() as running:
        with console.status("starting PostgreSQL, two servers and the payment gateway simulator"):
            stage = running.enter_context(_stage(seed))
        place = stage.place
        addresses = [server.address for server in place.servers]
        shift_s = min(SHIFT_S, run_s / 4)
        with Load(addresses, stage.ledger, chance.randrange(2**32), shift_s=shift_s) as load:
            pause_s = min(PAUSE_S, run_s / 20)
            watched = Watched(
                server=lambda: stage.first.pid,
                victim=lambda: place.server.pid,
                postgres=lambda: place.postgres_pid,
                metrics=f"http://{_metrics_address(stage.first)}/metrics",
                acknowledged=lambda: load.tally.acknowledged,
                left_open=lambda: load.tally.left_open,
            )
            with Gauges(watched) as gauges, soak_bar(run_s, console) as show:
                with Faults(place, stage.database, stage.gateway, load, chance, pause_s=pause_s) as faults:
                    # One fault there is at least: without any it would prove little.
                    while gauges.now_s < run_s or not faults.blows:
                        load.look()
                        faults.look()
                        show(gauges.now_s, load.tally, faults.blows, faults.now)
                        time.sleep(_LOOK_S)
                load.end()
                while not load.has_ended:
                    load.look()
                    show(run_s, load.tally, faults.blows, "judging")
                    time.sleep(_LOOK_S)
            load.verify_all()
        errors = [line for server in place.servers for line in _defects(server)]
    breaks = sum(sum(follower.breaks.values()) for follower in load.followers)
    return SoakResult(about, load.tally, faults.blows, gauges.samples, breaks, errors)


@contextmanager
def _stage(seed: int) -> Iterator[_Stage]:
    """Start everything; after the block nothing of it is left."""
    with ExitStack() as stack:
        # The data's own user can't enter a folder of ours under any TMPDIR.
        folder = Path(tempfile.mkdtemp(prefix="inventory-soak-", dir="/tmp"))
        stack.callback(shutil.rmtree, folder)
        folder.chmod(0o755)
        ledger = folder / "ledger.jsonl"
        args = [*_GATEWAY, "--seed", str(seed), "--ledger", str(ledger)]
        simulator = stack.enter_context(gateway_simulator(args))
        gateway = stack.enter_context(wire_to(simulator.address))
        place = Place(folder, gateway.address, _SETTINGS, {})
        stack.callback(place.stop)
        database = stack.enter_context(database_wire(place.url))
        first = place.start_server(database.url, metrics_port=0)
        place.start_server(database.url)
        yield _Stage(place, first, database, (gateway, simulator.pid), ledger)


def _metrics_address(server: LaunchedProcess) -> str:
    """Where a server serves its metrics: it says so in its log."""
    while True:
        for line in server.last_errors:
            if found := re.search(r'"serving_metrics", "address": "([^"]+)"', line):
                return found[1]
        time.sleep(_LOOK_S)


def _defects(server: LaunchedProcess) -> list[str]:
    """Lines of a server's log that tell of what must not be; that the database is away may be."""
    return [
        line
        for line in server.last_errors
        if '"level": "error"' in line and '"event": "database_unavailable"' not in line
    ]
