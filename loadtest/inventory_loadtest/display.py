"""What a race looks like in a terminal: bars while it runs, a table when it is over."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from rich.table import Table

from inventory_loadtest.plan import RacePlan
from inventory_loadtest.progress import Progress as Counts
from inventory_loadtest.race import Watcher
from inventory_loadtest.result import RaceResult, complaints

VIOLATIONS_SHOWN = 20
COMPLAINTS_SHOWN = 5


@contextmanager
def race_bars(plan: RacePlan, console: Console) -> Iterator[Watcher]:
    """Show bars for the steps of a race while the block runs. Where no terminal is, nothing is shown."""
    columns = (
        TextColumn("  {task.description:<14}"),
        BarColumn(bar_width=40),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as bars:

        def bar(text: str, total: int | None) -> TaskID:
            return bars.add_task(text, total=total, start=False, note="")

        carts = len(plan.carts)
        stocking, filling = bar("stocking", len(plan.stock)), bar("filling carts", carts)
        ordering, paying, checking = bar("checking out", carts), bar("paying", carts), bar("checking", None)

        def show(task: TaskID, completed: int, *, total: int | None = None, note: str = "") -> None:
            if completed:
                bars.start_task(task)
            bars.update(task, completed=completed, total=total, note=note)

        def show_counts(counts: Counts) -> None:
            show(stocking, counts.stocked)
            show(filling, counts.filled, total=carts, note=_turned_away(counts.filled_not))
            ordering_of = counts.filled - counts.filled_not if counts.filled >= carts else carts
            show(ordering, counts.checked_out, total=ordering_of, note=_turned_away(counts.checked_out_not))
            note = f"{counts.paid:,} paid" + (f", {counts.in_doubt:,} in doubt" if counts.in_doubt else "")
            show(paying, counts.done if counts.fired else 0, total=carts, note=note)

        yield Watcher(show_counts, lambda done, total: show(checking, done, total=total))


def _turned_away(count: int) -> str:
    return f"{count:,} turned away" if count else ""


def result_table(result: RaceResult) -> Table:
    """Make the table of a result."""
    figures = result.figures()
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(justify="right", style="bold")
    table.add_column()

    def row(value: object, text: str, style: str = "") -> None:
        table.add_row(f"{value:,}" if isinstance(value, int | float) else str(value), text, style=style)

    row(
        figures["carts"],
        f"carts raced for {figures['units_stocked']:,} units; {figures['units_wanted']:,} were wanted",
    )
    row(figures["orders_paid"], "paid", "green")
    row(
        figures["orders_sold_out"],
        f"left disappointed: sold out {_steps(figures['sold_out_at'])}".rstrip(),
        "yellow",
    )
    for key, text in (
        ("orders_partly_paid", "paid in part; their units are held"),
        ("orders_declined", "declined by the payment gateway; their units went back"),
        ("orders_in_doubt", "in doubt: a payment is in flight still"),
    ):
        if figures[key]:
            row(figures[key], text, "magenta")
    row(figures["errors"], "ended by an error", "red" if figures["errors"] else "")
    table.add_section()
    row(figures["units_allocated"], "units allocated at the end")
    row(figures["units_oversold"], "units oversold", "red" if figures["units_oversold"] else "green")
    missing = figures["acknowledged_missing"]
    row(missing, "acknowledged, but not in the database", "red" if missing else "green")
    row(
        figures["violations"],
        f"violations, in {figures['checked_s']:g} s of checking",
        "red" if figures["violations"] else "green",
    )
    table.add_section()
    row(figures["duration_s"], "seconds from the first cart to the last answer")
    row(
        figures["payments_per_s"],
        f"payments captured a second; {figures['pay_answers_per_s']:,} PayOrder answers a second",
    )
    if figures["p50_ms"] is not None:
        row(figures["p50_ms"], "ms: half of PayOrder's answers came within (p50)")
        row(figures["p99_ms"], "ms: 99 of 100 came within (p99)")
    if figures["calls_repeated"]:
        reasons = ", ".join(figures["calls_repeated_for"])
        text = f"times a call was sent again ({reasons}); {figures['calls_unknown']} calls to no avail"
        row(figures["calls_repeated"], text)
    return table


def print_findings(result: RaceResult, console: Console) -> None:
    """Print violations, and errors that carts met; nothing where there are none."""
    for text, count in list(complaints(result.history).items())[:COMPLAINTS_SHOWN]:
        console.print(f"  {count} x {text}", style="red", markup=False, highlight=False)
    for violation in result.violations[:VIOLATIONS_SHOWN]:
        line = f"  {violation.law}: {violation.subject}: {violation.text}"
        console.print(line, style="red", markup=False, highlight=False)
    if len(result.violations) > VIOLATIONS_SHOWN:
        console.print(f"  ... and {len(result.violations) - VIOLATIONS_SHOWN:,} more", style="red")


def _steps(counts: dict[str, int]) -> str:
    return "(" + ", ".join(f"{count:,} at {step}" for step, count in counts.items()) + ")" if counts else ""
