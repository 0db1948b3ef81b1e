"""`inventory bench`: the stages on servers and databases of their own, the proof, the reports."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from inventory_client import InventoryError
from inventory_loadtest.bench import h2load, imports, pressure, stages, suite
from inventory_loadtest.bench.display import bars, print_table
from inventory_loadtest.bench.report import write_report
from inventory_loadtest.bench.sample import Sample
from inventory_server.bench_bloat import NOT_MEASURED, measure_bloat
from inventory_server.bench_outcome import Proof, begin, outcome_of, size_of
from inventory_server.bench_place import Place, bench_place, bench_server, guarded_server, narrow_server
from inventory_server.db import grown
from inventory_server.operator_error import OperatorError
from inventory_server.output import need_writable

QUICK_S = 1
FULL_S = 4
WORKERS = 2


def bench(
    quick: Annotated[bool, typer.Option("--quick", help="the headline figures, in under 3 minutes")] = False,
    entries: Annotated[
        int, typer.Option(min=0, help="log entries that a store grows to; 0: not measured")
    ] = 10**7,
    products: Annotated[
        int,
        typer.Option(min=0, help="products, with 2 reservations each, that one grows to; 0: not measured"),
    ] = 10**6,
    changes: Annotated[
        int, typer.Option(min=0, help="changes of one product, to see its table grow; 0: not measured")
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
    try:
        outcome = begin(quick=quick) | _measure(quick, entries, products, changes, console)
    except (suite.BenchError, InventoryError) as error:
        raise OperatorError(str(error)) from error
    print_table(outcome, console)
    if json_file:
        json_file.write_text(json.dumps(outcome, indent=2) + "\n", encoding="utf-8")
    if report:
        write_report(outcome, report)
    for path in filter(None, (json_file, report)):
        console.print(f"  {path}", soft_wrap=True)
    return 1 if outcome["violations"] or outcome["acknowledged_missing"] else 0


def _measure(quick: bool, entries: int, products: int, changes: int, console: Console) -> dict[str, Any]:
    """Make all measurements, and prove what they leave. Raises: BenchError, InventoryError."""
    proof, bloat = Proof(), NOT_MEASURED
    large: dict[str, Any] = {}
    with bench_place(console) as place:
        results = _run(stages.headline(place.load, place.raw, seconds=QUICK_S if quick else FULL_S), console)
        if not quick:
            results += _whole(place, proof, console)
            results += _growth(place, entries, products, large, proof, console)
            if changes:
                with bench_place(console) as fresh:
                    bloat = measure_bloat(fresh, changes, proof, console)
        with console.status("verifying"):
            outcome = outcome_of(place, results, proof, quick=quick)
    outcome["figures"] |= bloat.figures
    outcome |= {"bloat": bloat.tables, "grown": large}
    return outcome


def _whole(place: Place, proof: Proof, console: Console) -> list[suite.StageResult]:
    """Measure what `--quick` leaves out, on the same database."""
    results = _run(
        [
            stages.carts_growth(place.load, seconds=FULL_S),
            stages.orders(place.load, seconds=FULL_S),
            pressure.open_loop(place.load, place.raw, seconds=FULL_S),
            *filter(None, [h2load.stage(place.load, seconds=FULL_S)]),
        ],
        console,
    )
    with bench_server(place.url, workers=WORKERS) as several:
        stage = stages.workers(place.load, suite.Load(several.address), WORKERS, seconds=FULL_S)
        results += _run([stage], console)
    with guarded_server(place.url) as guarded:
        results += _run([stages.auth(place.load, guarded, seconds=FULL_S)], console)
    for store in pressure.STORES:
        place.open_store(store)
    with narrow_server(place.url) as narrow:
        results += _run([pressure.overload(narrow, seconds=FULL_S)], console)
        proof.check(place.server.address, results[-1].units_held(elsewhere=True), store=pressure.NARROW_STORE)
    floods: list[Sample] = []
    results += _run([pressure.fairness(place.load, floods.append, seconds=FULL_S)], console)
    proof.check(place.server.address, results[-1].units_held(elsewhere=True), store=pressure.QUIET_STORE)
    flooded = sum(each.units_held for each in floods)
    proof.check(place.server.address, flooded, store=pressure.FLOOD_STORE)
    results += _run([imports.stage(place.server.address, place.settled, place.copy)], console)
    with console.status("verifying an import"):
        proof.check(place.server.address, 0, store=imports.FIRST_STORE)
    return results


def _growth(
    plain: Place, entries: int, products: int, sizes: dict[str, Any], proof: Proof, console: Console
) -> list[suite.StageResult]:
    """Measure beside a store with a long log, and beside one with a large catalogue.

    Args:
        sizes: gets what each of them held, by the figure.
    """
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
            stage = stages.growth(key, what, plain.load, large.load, seconds=FULL_S)
            results += _run([stage], console)
            sizes[key] = size_of(large)
            with console.status("verifying the hot product"):
                proof.check(large.server.address, results[-1].units_held(elsewhere=True), product=suite.HOT)
    return results


def _run(stages: list[suite.Stage], console: Console) -> list[suite.StageResult]:
    results = []
    with bars(console) as shown:
        tasks = {
            stage.title: shown.add_task(
                stage.title, total=len(stage.measures) * stage.rounds, start=False, now=""
            )
            for stage in stages
        }
        for stage in stages:
            task = tasks[stage.title]
            shown.start_task(task)
            done = -1

            def tell(name: str, task: Any = task) -> None:
                nonlocal done
                done += 1
                shown.update(task, completed=done, now=name)

            results.append(suite.run(stage, tell))
            shown.update(task, completed=done + 1, now="")
            shown.stop_task(task)
    return results
