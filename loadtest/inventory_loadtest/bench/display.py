"""What a bench looks like in a terminal: bars while it runs, a table of its figures when it is over."""

from __future__ import annotations

from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table


def bars(console: Console) -> Progress:
    """Bars of what is done of what; each task has a text `now`."""
    columns = (
        TextColumn("  {task.description:<16}"), BarColumn(bar_width=40), MofNCompleteColumn(),
        TimeElapsedColumn(), TextColumn("{task.fields[now]}"),
    )  # fmt: skip
    return Progress(*columns, console=console)


def print_table(outcome: dict[str, Any], console: Console) -> None:
    """Print the figures of a bench's JSON, and what they were measured on."""
    table = Table(box=None, padding=(0, 1))
    table.add_column("figure", no_wrap=True)
    for name in ("median", "spread", "goal"):
        table.add_column(name, justify="right", no_wrap=True)
    # What a figure is stands in a narrow terminal on several lines; the figures themselves are never cut.
    table.add_column("what", style="dim", min_width=20)
    for key, figure in outcome["figures"].items():
        style = {True: "green", False: "yellow", None: ""}[figure["met"]]
        spread = f"{number(figure['min'])} to {number(figure['max'])}"
        table.add_row(
            key,
            f"[{style or 'none'}]{number(figure['median'])}[/]",
            spread,
            figure["goal"] or "",
            figure["what"],
        )
    console.print(table)
    machine, settings = outcome["machine"], outcome["settings"]
    console.print(
        f"\n  {machine['cores']} cores, load {machine['load_average_begun']:.1f} at the start; PostgreSQL "
        f"{settings['server_version']}, fsync {settings['fsync']}, synchronous_commit "
        f"{settings['synchronous_commit']}, {settings['transaction_isolation']}; generator at most "
        f"{outcome['generator_cpu_share_max']:.0%} of a core",
        soft_wrap=True,
    )
    middle = middle_size(outcome["batch_sizes"])
    console.print(
        f"  {outcome['batches']:,} batches, half of them of {middle:,} commands or fewer; "
        f"{outcome['retries']:,} run again; load {outcome['load_average_ended']:.1f} at the end",
        soft_wrap=True,
    )
    held, acknowledged = outcome["units_allocated"], outcome["units_acknowledged"]
    style = "red" if outcome["violations"] or outcome["acknowledged_missing"] else "green"
    console.print(
        f"  [{style}]violations {outcome['violations']}, acknowledged but missing "
        f"{outcome['acknowledged_missing']:,}[/]: {acknowledged:,} units acknowledged, {held:,} allocated",
        soft_wrap=True,
    )
    for violation in outcome["violations_first"]:
        console.print(f"  {violation}", style="red", markup=False)


def middle_size(sizes: dict[str, int]) -> int:
    """The bound that half of the batches are within, of how many there are by bound; 0 of none."""
    seen, half = 0, sum(sizes.values()) / 2
    for bound, count in sizes.items():
        seen += count
        if seen >= half:
            return int(bound)
    return 0


def number(value: float) -> str:
    """Three digits that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
