"""What a soak looks like in a terminal: a bar while it runs, a table when it is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from inventory_loadtest.display import VIOLATIONS_SHOWN
from inventory_loadtest.soak.blows import Blow, by_kind
from inventory_loadtest.soak.result import SoakResult
from inventory_loadtest.soak.tally import Tally
from inventory_loadtest.soak.trend import Trend

Show = Callable[[float, Tally, Sequence[Blow], str], None]
"""(seconds gone, what became of the calls, what was hurt, what is hurt now)."""

ERRORS_SHOWN = 5


@contextmanager
def soak_bar(run_s: float, console: Console) -> Iterator[Show]:
    """Show a bar of the time while the block runs, with counts; without a terminal nothing is shown."""
    columns = (
        BarColumn(bar_width=30),
        TimeElapsedColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(TextColumn("  soaking"), *columns, console=console) as bars:
        task = bars.add_task("soaking", total=run_s, note="")

        def show(gone_s: float, tally: Tally, blows: Sequence[Blow], now: str) -> None:
            found = f", [red]{len(tally.violations):,} violations[/]" if tally.violations else ""
            note = (
                f"{tally.acknowledged:,} acknowledged, {tally.left_open:,} left open, "
                f"{tally.shifts} shifts judged{found}, {len(blows)} faults {f'({now})' if now else ''}"
            )
            bars.update(task, completed=gone_s, note=note)

        yield show


def result_table(result: SoakResult) -> Table:
    """Make the table of a result."""
    tally = result.tally
    table = Table(show_header=False, box=None, padding=(0, 2))
    table.add_column(justify="right", style="bold")
    table.add_column()

    def row(value: object, text: str, style: str = "") -> None:
        table.add_row(f"{value:,}" if isinstance(value, int) else str(value), text, style=style)

    row(tally.acknowledged, f"calls acknowledged, in {tally.shifts} shifts, each judged", "green")
    row(sum(tally.refused.values()), f"refused {_named(tally.refused)}")
    row(tally.left_open, f"left open by an attempt {_named(tally.left_open_for)}")
    for how, count in tally.resolved.most_common():
        row(count, f"  {how}")
    row(tally.lost, "acknowledged, and lost", "red" if tally.lost else "green")
    broken = len(tally.violations)
    row(broken, "violations of all laws", "red" if broken else "green")
    row(result.breaks, "times a watch was broken off, and went on without a gap")
    table.add_section()
    for kind in by_kind(result.blows):
        row(
            kind.count,
            f"{kind.kind}; it lasted up to {kind.lasted_s:.1f} s, all was well after another "
            f"{kind.recovery_s:.1f} s (at most {kind.recovery_s_most:.1f})",
        )
    table.add_section()
    for name, trend in (("server", result.server), ("PostgreSQL", result.postgres)):
        row(f"{trend.last_mb:.0f} MB", f"{name}: {_trend(trend)}", "red" if trend.is_flat is False else "")
    return table


def _named(counts: Mapping[str, int]) -> str:
    shown = sorted(counts.items(), key=lambda each: -each[1])
    return f"({', '.join(f'{count:,} {name}' for name, count in shown)})" if shown else ""


def _trend(trend: Trend) -> str:
    if trend.is_flat is None:
        return f"{trend.first_mb:.0f} MB at the start; too short to say whether it grows"
    verdict = "flat" if trend.is_flat else "it grows"
    return (
        f"{verdict}: {trend.start_mb:.1f} to {trend.end_mb:.1f} MB along the line through the last "
        f"{trend.judged_s:.0f} s, {trend.mb_per_h:+.1f} MB/h, {trend.bytes_per_call:+.0f} bytes a call"
    )


def print_findings(result: SoakResult, console: Console) -> None:
    """Print violations, and defects that the servers logged; nothing where there are none."""
    for violation in result.tally.violations[:VIOLATIONS_SHOWN]:
        line = f"  {violation.law}: {violation.subject}: {violation.text}"
        console.print(line, style="red", markup=False, highlight=False)
    if len(result.tally.violations) > VIOLATIONS_SHOWN:
        console.print(f"  ... and {len(result.tally.violations) - VIOLATIONS_SHOWN:,} more", style="red")
    for line in result.errors[:ERRORS_SHOWN]:
        console.print(f"  {line}", style="red", markup=False, highlight=False)
