"""`inventory race` and `inventory demo`: a server where none is given, the race, the proof, the reports."""

from __future__ import annotations

import json
import re
import secrets
import shlex
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.padding import Padding

from inventory_loadtest.display import print_findings, race_bars, result_table
from inventory_loadtest.orders import OrdersError, parse_columns, read_orders
from inventory_loadtest.plan import NAME_CHARS_MAX, RacePlan, plan_of_orders, synthetic_plan
from inventory_loadtest.race import RaceError, run_race
from inventory_loadtest.report import write_report
from inventory_loadtest.result import RaceResult
from inventory_loadtest.sample_orders import SAMPLE_FILE
from inventory_server.launch import ephemeral_server
from inventory_server.operator_error import OperatorError
from inventory_server.output import need_writable

_STOCK_RATIO = 0.6


_Numbers = dict[str, float | None]

_OrdersFile = Annotated[
    Path | None,
    typer.Option("--orders", help="CSV of order lines: every order is a cart", exists=True, dir_okay=False),
]
_Columns = Annotated[
    str | None, typer.Option(help="the file's columns: order=NAME,product=NAME,quantity=NAME,price=NAME")
]
_StockRatio = Annotated[
    float | None,
    typer.Option(help=f"with --orders: stock for this share of what they want [{_STOCK_RATIO}]"),
]


def race(
    carts: Annotated[int | None, typer.Option(help="carts that race [500]")] = None,
    stock: Annotated[int | None, typer.Option(help="units of all products together [100]")] = None,
    products: Annotated[int | None, typer.Option(help="different products [1]")] = None,
    lines: Annotated[int | None, typer.Option(help="products in a cart, one unit each [1]")] = None,
    skew: Annotated[
        float | None, typer.Option(help="product r is wanted with weight 1/r^SKEW; 0: all alike [1]")
    ] = None,
    orders: _OrdersFile = None,
    columns: _Columns = None,
    stock_ratio: _StockRatio = None,
    split_share: Annotated[float, typer.Option(help="share of the carts that pay in two parts")] = 0.0,
    carts_per_s: Annotated[
        float | None,
        typer.Option(help="carts arrive one by one and pay when they can [all at once, paying at a gun]"),
    ] = None,
    seed: Annotated[int, typer.Option(help="the same seed, the same plan")] = 1,
    target: Annotated[
        str | None, typer.Option(help="a running server HOST:PORT [a fresh one, thrown away afterwards]")
    ] = None,
    store: Annotated[str | None, typer.Option(help="store at --target [default]")] = None,
    name: Annotated[
        str | None, typer.Option(help="all ids begin with it; new to the store [made up]")
    ] = None,
    ledger: Annotated[
        Path | None, typer.Option(help="ledger of the simulator that --target calls", exists=True)
    ] = None,
    gateway_args: Annotated[
        str | None,
        typer.Option(help="options of the fresh server's payment gateway simulator, in one string"),
    ] = None,
    json_file: Annotated[Path | None, typer.Option("--json", help="write the figures to this file")] = None,
    report: Annotated[Path | None, typer.Option(help="write a page with plots to this file")] = None,
    history: Annotated[Path | None, typer.Option(help="write what the carts saw to this file, JSONL")] = None,
) -> int:
    """Let carts race to pay for few units, and judge the outcome; exit status 1 where a law is broken."""
    name = name or (f"race-{secrets.token_hex(4)}" if target else "race")
    if not re.fullmatch(f"[!-~]{{1,{NAME_CHARS_MAX}}}", name):
        raise typer.BadParameter(f"1 to {NAME_CHARS_MAX} visible ASCII characters", param_hint="--name")
    if target and gateway_args:
        raise typer.BadParameter("--target has its own gateway", param_hint="--gateway-args")
    if not target and (store or ledger):
        raise typer.BadParameter("it goes with --target", param_hint="--store" if store else "--ledger")
    synthetic: _Numbers = {"carts": carts, "stock": stock, "products": products, "lines": lines, "skew": skew}
    common: _Numbers = {"split_share": split_share, "carts_per_s": carts_per_s, "seed": seed}
    plan = _plan(name, orders, columns, stock_ratio, synthetic, common)
    for path in filter(None, (json_file, report, history)):
        need_writable(path)
    console = Console(highlight=False)
    with _server(target, ledger, gateway_args or "", console) as (address, books):
        result = _race(plan, address, books, console, store=store, history=history)
    if json_file:
        json_file.write_text(json.dumps(result.figures(), indent=2) + "\n", encoding="utf-8")
    if report:
        write_report(result, report, _title(plan, orders))
    for path in filter(None, (json_file, report, history)):
        console.print(f"  {path}", soft_wrap=True)
    return 0 if result.ok else 1


def demo(
    orders: Annotated[
        Path | None,
        typer.Option(help="CSV of order lines to race with [a small sample]", exists=True, dir_okay=False),
    ] = None,
    columns: _Columns = None,
    report_dir: Annotated[Path, typer.Option(help="where the reports go")] = Path("reports"),
) -> int:
    """Two races on fresh servers, with the proof and a report for each: made-up carts, then real orders."""
    console = Console(highlight=False)
    made_up = synthetic_plan("race", carts=500, stock=100)
    # A file of any size ends in time if all of it starts at once.
    common: _Numbers = {"split_share": 0.2, "carts_per_s": None if orders else 40.0, "seed": 1}
    real = _plan("orders", orders or SAMPLE_FILE, columns, None, {}, common)
    need_writable(report_dir / "race.html")
    results = []
    for plan, gateway_args, title, note in (
        (
            made_up,
            "",
            "500 carts race for 100 units",
            "All of them check out; then a gun, and all start to pay at once.",
        ),
        (
            real,
            "--decline-rate 0.05 --duplicate-rate 0.05 --lost-reply-rate 0.03",
            _title(real, orders or SAMPLE_FILE),
            "Some pay in two parts. The gateway has a bad day: it declines some, and of some it takes the "
            "money and loses the reply; the server finds out.",
        ),
    ):
        console.print(f"\n[bold]{title}[/bold]\n{note}\n")
        with _server(None, None, gateway_args, console) as (address, books):
            results.append(_race(plan, address, books, console))
        stem = report_dir / plan.name
        write_report(results[-1], stem.with_suffix(".html"), title)
        stem.with_suffix(".json").write_text(
            json.dumps(results[-1].figures(), indent=2) + "\n", encoding="utf-8"
        )
    console.print("\n" + _closing(results, report_dir), soft_wrap=True)
    return 0 if all(result.ok for result in results) else 1


def _plan(
    name: str,
    orders: Path | None,
    columns: str | None,
    stock_ratio: float | None,
    synthetic: _Numbers,
    common: _Numbers,
) -> RacePlan:
    """The plan of a race, made up or read; a bad line or number is told before anything starts."""
    given = {option: value for option, value in synthetic.items() if value is not None}
    try:
        if orders is None:
            for option, value in (("--columns", columns), ("--stock-ratio", stock_ratio)):
                if value is not None:
                    raise typer.BadParameter("it goes with --orders", param_hint=option)
            return synthetic_plan(name, **{"carts": 500, "stock": 100, **given, **common})  # type: ignore[arg-type]
        if given:
            raise typer.BadParameter("--orders brings its own", param_hint=f"--{next(iter(given))}")
        found = read_orders(orders, parse_columns(columns or ""))
        ratio = _STOCK_RATIO if stock_ratio is None else stock_ratio
        return plan_of_orders(name, found.lines, stock_ratio=ratio, **common)  # type: ignore[arg-type]
    except OrdersError as error:
        for line in str(error).splitlines():
            typer.echo(line, err=True)
        count = len(error.problems)
        to_mend = f"{count:,} thing{'' if count == 1 else 's'} to mend"
        raise OperatorError(f"{orders}: {to_mend} (see above); nothing was started") from error
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


@contextmanager
def _server(
    target: str | None, ledger: Path | None, gateway_args: str, console: Console
) -> Iterator[tuple[str, Path | None]]:
    """The address of the server to race on, and its gateway's books where they can be read."""
    if target is not None:
        yield target, ledger
        return
    with ExitStack() as running:
        folder = running.enter_context(tempfile.TemporaryDirectory(prefix="inventory-gateway-"))
        books = Path(folder) / "ledger.jsonl"
        simulator = f"--ledger {shlex.quote(str(books))} {gateway_args}"
        with console.status("starting PostgreSQL, the server and the payment gateway simulator"):
            server = ephemeral_server("--log-level", "error", "--gateway-args", simulator)
            address = running.enter_context(server)
        yield address, books


def _race(
    plan: RacePlan,
    address: str,
    books: Path | None,
    console: Console,
    *,
    store: str | None = None,
    history: Path | None = None,
) -> RaceResult:
    """Run a race and print its table."""
    try:
        with race_bars(plan, console) as watcher:
            result = run_race(plan, address, store=store, ledger=books, history=history, watcher=watcher)
    except RaceError as error:
        raise OperatorError(str(error)) from error
    console.print(Padding(result_table(result), (1, 0)))
    print_findings(result, console)
    return result


def _title(plan: RacePlan, orders: Path | None) -> str:
    units = sum(plan.stock.values())
    if orders is None:
        return f"{len(plan.carts):,} carts race for {units:,} units"
    return f"{len(plan.carts):,} orders of {orders.name} race for {units:,} units"


def _closing(results: list[RaceResult], report_dir: Path) -> str:
    figures = [result.figures() for result in results]
    reports = " and ".join(str(report_dir / f"{result.plan.name}.html") for result in results)
    if not all(result.ok for result in results):
        count = sum(each["violations"] for each in figures)
        return (
            f"[bold red]Not everything holds: {count:,} violations.[/bold red] They are listed in {reports}."
        )
    carts = sum(each["carts"] for each in figures)
    paid = sum(each["orders_paid"] + each["orders_partly_paid"] for each in figures)
    return (
        f"[bold green]Everything holds.[/bold green] {carts:,} carts raced over a real gRPC server on a real "
        f"PostgreSQL; {paid:,} got their goods, and not one unit was sold twice. Every call that was "
        "acknowledged is in the database, every unit that is allocated belongs to an order with a payment, "
        f"and the payment gateway's books agree to the cent. The reports, with plots: {reports}"
    )
