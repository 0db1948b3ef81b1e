"""`inventory import` and `inventory export`: a store's totals from a file, and into one."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

import inventory_client
from inventory_client import v1
from inventory_console import stock_transfer
from inventory_console.connection import DEFAULT_ADDRESS, Address, Store, connect
from inventory_console.console_error import ConsoleError
from inventory_console.stock_file import DEFAULT_LOCATION, StockFile, to_json, told
from inventory_console.stock_reader import read_stock
from inventory_console.stock_table import parse_columns, parse_slugs

ERRORS_SHOWN = 10
ERRORS_LISTED_MAX = 10_000
STANDARD = "-"

_Json = Annotated[bool, typer.Option("--json", help="write the outcome as JSON")]


def import_stock(
    file: Annotated[str, typer.Argument(help="JSONL of `inventory export`, or CSV; - is standard input")],
    address: Address = DEFAULT_ADDRESS,
    store: Store = None,
    import_id: Annotated[
        str | None, typer.Option(help="the same id and file again is the same import [made up]")
    ] = None,
    reason: Annotated[str, typer.Option(help="why, for the log")] = "",
    reference: Annotated[str, typer.Option(help="your own reference, for the log")] = "",
    columns: Annotated[
        str, typer.Option(help="a CSV's: product=NAME,quantity=NAME,location=NAME,threshold=NAME")
    ] = "",
    location: Annotated[
        str, typer.Option(metavar="SLUG", help="where a CSV's line names none")
    ] = DEFAULT_LOCATION,
    locations: Annotated[str, typer.Option(help="slugs of a CSV's locations: NAME=SLUG,NAME=SLUG")] = "",
    skip_bad_lines: Annotated[
        bool, typer.Option("--skip-bad-lines", help="import the other lines, and tell of each that is wrong")
    ] = False,
    as_json: _Json = False,
) -> int:
    """Set the totals of a store's products from a file; products without a record get one.

    The whole file is checked before anything is sent. Exit status 1 where a row was not applied or a bad
    line was skipped.
    """
    try:
        asked = parse_columns(columns), location, parse_slugs(locations)
    except ValueError as error:
        raise ConsoleError(str(error), exit_status=2) from error
    name = "standard input" if file == STANDARD else file
    stock = read_stock(name, _content(file), *asked, skips_bad_lines=skip_bad_lines)
    header = v1.ImportHeader(
        import_id=import_id or inventory_client.new_id(),
        row_count=len(stock.rows),
        reason=reason,
        reference=reference,
    )
    with connect(address, store) as client, _bars(is_shown=not as_json) as bars:
        sending = bars.add_task("sending", total=len(stock.rows))
        applying = bars.add_task("applying", total=len(stock.rows), start=False)
        stock_transfer.upload(client, header, stock.rows, lambda count: bars.update(sending, completed=count))
        bars.start_task(applying)
        job = stock_transfer.follow(
            client, header.import_id, lambda count: bars.update(applying, completed=count)
        )
        errors = stock_transfer.errors(client, job.import_id, ERRORS_LISTED_MAX if as_json else ERRORS_SHOWN)
    if as_json:
        typer.echo(json.dumps(_outcome(job, stock, errors)))
    else:
        _tell(name, job, stock, errors)
    is_whole = not (job.failed_count or stock.bad_lines or job.state == stock_transfer.FAILED)
    return 0 if is_whole else 1


def export_stock(
    file: Annotated[str, typer.Argument(help="where to, as JSONL; - is standard output")] = STANDARD,
    address: Address = DEFAULT_ADDRESS,
    store: Store = None,
    as_json: _Json = False,
) -> int:
    """Write the totals of all products of a store, as of one moment, so that they can be imported again."""
    if as_json and file == STANDARD:
        raise ConsoleError("--json goes with a FILE: standard output is the export's", exit_status=2)
    with (
        _written(file) as out,
        connect(address, store) as client,
        _bars(is_shown=not as_json and file != STANDARD) as bars,
    ):
        receiving = bars.add_task("receiving", total=None)
        for message in client.inventory.ExportStock(v1.ExportStockRequest()):
            for row in message.rows:
                out.write(_line(row))
            bars.update(receiving, total=message.row_count, advance=len(message.rows))
    if as_json:
        moment = message.snapshot_time.ToJsonString()
        typer.echo(json.dumps({"file": file, "row_count": message.row_count, "snapshot_time": moment}))
    elif file != STANDARD:
        typer.echo(f"exported {_counted(message.row_count, 'product')} to {file}")
    return 0


def _content(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == STANDARD else Path(file).read_bytes()
    except OSError as error:
        raise ConsoleError(f"{file}: {error.strerror}", exit_status=2) from error


def _line(row: v1.StockRow) -> bytes:
    threshold = row.low_stock_threshold if row.HasField("low_stock_threshold") else None
    levels = [(level.location, level.total) for level in row.levels]
    return to_json(row.product_id, levels, threshold).encode() + b"\n"


@contextmanager
def _written(file: str) -> Iterator[BinaryIO]:
    """Yield what to write to; a file takes its name when it is whole, and not before."""
    if file == STANDARD:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = Path(f"{file}.{os.getpid()}.part")
    try:
        with partial.open("xb") as out:
            yield out
        partial.replace(file)
    except OSError as error:
        raise ConsoleError(f"{file}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def _bars(*, is_shown: bool) -> Iterator[Progress]:
    """Show bars on standard error while the block runs, where that is a terminal."""
    console = Console(stderr=True, highlight=False)
    columns = (
        TextColumn("  {task.description:<10}"),
        BarColumn(40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console, disable=not (is_shown and console.is_terminal)) as bars:
        yield bars


def _outcome(job: v1.StockImport, stock: StockFile, errors: list[v1.ImportError]) -> dict[str, Any]:
    return {
        "import_id": job.import_id,
        "state": v1.ImportState.Name(job.state).removeprefix("IMPORT_STATE_"),
        "row_count": job.row_count,
        "applied_count": job.applied_count,
        "failed_count": job.failed_count,
        "skipped_line_count": stock.skipped_count,
        "bad_line_count": len(stock.bad_lines),
        "failure": job.failure,
        "errors": [
            {
                "line": error.line,
                "product_id": error.product_id,
                "field": error.field,
                "reason": v1.ErrorReason.Name(error.reason).removeprefix("ERROR_REASON_"),
                "message": error.message,
            }
            for error in errors
        ],
        "bad_lines": [
            {"line": problem.line, "message": problem.text} for problem in stock.bad_lines[:ERRORS_LISTED_MAX]
        ],
    }


def _tell(name: str, job: v1.StockImport, stock: StockFile, errors: list[v1.ImportError]) -> None:
    """Say how an import ended; its errors on standard error, a line each.

    Every bad line is told: nobody else keeps them, while the server keeps an import's errors.
    """
    for problem in stock.bad_lines:
        typer.echo(told(name, problem), err=True)
    for error in errors:
        typer.echo(f"{name}:{error.line}: {error.product_id}: {error.message}", err=True)
    if job.failed_count > len(errors):
        typer.echo(f"{name}: ... and {job.failed_count - len(errors):,} more", err=True)
    if job.failure:
        typer.echo(f"{name}: {job.failure}", err=True)
    skipped = f", {_counted(stock.skipped_count, 'line')} left out" if stock.skipped_count else ""
    bad = f", {_counted(len(stock.bad_lines), 'bad line')} skipped" if stock.bad_lines else ""
    failed = f", {job.failed_count:,} not" if job.failed_count else ""
    products = _counted(job.applied_count, "product")
    typer.echo(f"imported {products}{failed}{skipped}{bad} (import {job.import_id})")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
