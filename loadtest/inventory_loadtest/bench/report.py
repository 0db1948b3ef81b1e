"""The report of a bench: its figures beside their goals, curves, batch sizes, tables; one page."""

from __future__ import annotations

import html
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inventory_loadtest import charts
from inventory_loadtest.bench.curves import over_carts, over_changes, over_rates
from inventory_loadtest.bench.display import number
from inventory_loadtest.page import render_page

_TEMPLATE = Path(__file__).with_name("report.html")
_CARDS = {
    "contention_64": "times raw SQL: one product, 64 carts",
    "contention_256": "times raw SQL: one product, 256 carts",
    "flatness": "of the speed over 10,000 products",
    "ceiling": "of what empty calls reach",
    "stream": "times as fast over one session",
    "batch": "times raw SQL: batches of 1,000",
    "tail_256": "p99 / p50, 256 carts",
    "idle": "times raw SQL and an empty call, one caller: p50",
    "import": "of the rows/s of COPY: imports",
    "overload": "of the peak at ten times as much",
    "memory_mb": "MB: the server at its largest",
}


def write_report(outcome: dict[str, Any], path: Path) -> None:
    """Write the page. Args: outcome: the JSON of a bench. Raises: OSError if it can't be written."""
    path.write_text(render(outcome), encoding="utf-8")


def render(outcome: dict[str, Any]) -> str:
    """Make the page's text; see `write_report`."""
    samples = _samples(outcome["figures"])
    broken = outcome["violations"] + outcome["acknowledged_missing"]
    return render_page(
        _TEMPLATE,
        verdict=f"{broken:,} violations" if broken else "Everything holds",
        verdict_class="broken" if broken else "holds",
        lead=_lead(outcome),
        cards=_cards(outcome),
        goals=_goals(outcome["figures"]),
        curves=over_carts(samples),
        open_loop=over_rates(samples),
        bloat=_bloat(outcome.get("bloat") or {}),
        throughput=_throughput(samples),
        latency=_latency(samples),
        batches=f"{outcome['batches']:,} batches; {outcome['retries']:,} were run again.",
        sizes=_sizes(outcome["batch_sizes"]),
        place=_place(outcome),
        footer=(
            f"Begun {outcome['begun']}. The load generator used at most "
            f"{outcome['generator_cpu_share_max']:.0%} of a core."
        ),
    )


def _lead(outcome: dict[str, Any]) -> str:
    return (
        f"{outcome['units_acknowledged']:,} units were acknowledged to callers, "
        f"{outcome['units_allocated']:,} are allocated, {outcome['acknowledged_missing']:,} are missing. "
        "Every transaction was "
        f"{outcome['settings']['transaction_isolation']}, with fsync {outcome['settings']['fsync']}."
    )


def _cards(outcome: dict[str, Any]) -> str:
    figures = outcome["figures"]
    cards = [(number(figures[key]["median"]), text) for key, text in _CARDS.items() if key in figures]
    return "".join(f"<div><b>{value}</b><span>{html.escape(text)}</span></div>" for value, text in cards)


def _samples(figures: dict[str, Any]) -> dict[str, list[dict[str, float]]]:
    """Every round of a measurement by its name; a name that two stages have has the rounds of both."""
    found: dict[str, list[dict[str, float]]] = {}
    for figure in figures.values():
        for name, rounds in figure["raw"].items():
            seen = found.setdefault(name, [])
            seen += [each for each in rounds if each not in seen]
    return found


def _goals(figures: dict[str, Any]) -> str:
    shown: dict[str, tuple[float, float, float]] = {}
    for key, figure in figures.items():
        if figure["goal"] is None:
            continue
        sign, goal = figure["goal"].split()
        times = [figure[name] / float(goal) for name in ("min", "median", "max")]
        low, median, high = times if sign == ">=" else [1 / each for each in reversed(times)]
        shown[key] = (low, median, high)
    if not shown:
        return ""
    scale = charts.LogScale([value for values in shown.values() for value in values] + [0.5, 2.0])
    rows = []
    for key, (low, median, high) in shown.items():
        figure = figures[key]
        marks = [
            ("most", scale.at(low), scale.at(high)),
            ("mid", scale.at(median), None),
            ("stocked", scale.at(1), None),
        ]
        rows.append(charts.row(key, marks, f"{number(figure['median'])} (goal {figure['goal']})"))
    ticks = [tick for tick in (0.1, 0.2, 0.5, 1, 2, 5, 10) if scale.least <= tick <= scale.most]
    return "".join(rows) + charts.scale((scale.at(tick), f"{tick:g} x") for tick in ticks)


def _throughput(samples: dict[str, list[dict[str, float]]]) -> str:
    rates = {name: [each["per_s"] for each in rounds] for name, rounds in samples.items()}
    scale = charts.LogScale([value for values in rates.values() for value in values])
    rows = [
        charts.row(
            name,
            [("most", scale.at(min(values)), scale.at(max(values))),
             ("mid", scale.at(statistics.median(values)), None)],
            f"{statistics.median(values):,.0f}/s",
        )
        for name, values in rates.items()
    ]  # fmt: skip
    return "".join(rows) + scale.drawn("/s")


def _latency(samples: dict[str, list[dict[str, float]]]) -> str:
    middle = {name: _median_round(rounds) for name, rounds in samples.items()}
    scale = charts.LogScale([each[key] for each in middle.values() for key in ("p50_ms", "p999_ms")])
    rows = [
        charts.row(
            name,
            [("most", scale.at(each["p50_ms"]), scale.at(each["p999_ms"])),
             ("mid", scale.at(each["p50_ms"]), None), ("tail", scale.at(each["p99_ms"]), None)],
            f"{number(each['p50_ms'])} / {number(each['p99_ms'])} ms",
        )
        for name, each in middle.items()
    ]  # fmt: skip
    return "".join(rows) + scale.drawn(" ms")


def _sizes(sizes: dict[str, int]) -> str:
    most = max(sizes.values(), default=1)
    previous, rows = 0, []
    for name, count in sizes.items():
        label = name if int(name) == previous + 1 else f"{previous + 1:,} to {int(name):,}"
        rows.append(charts.row(label, [("sold", 0.0, count / most)], f"{count:,}"))
        previous = int(name)
    return "".join(rows)


def _bloat(found: dict[str, Any]) -> str:
    if not found:
        return ""
    before, after = found["before"], found["after"]
    shown = [name for name, table in after.items() if table["inserts"] or table["updates"]][:8]
    scale = charts.LogScale([table["size_kib"] for tables in (before, after) for table in tables.values()])
    rows = []
    for name in shown:
        was, now = before.get(name, {"size_kib": 0})["size_kib"], after[name]["size_kib"]
        marks = [("wanted", 0.0, scale.at(now)), ("stocked", scale.at(was), None)]
        rows.append(charts.row(name, marks, f"{was:,} to {now:,} KiB"))
    return (
        "<section><h2>What a product that everybody wants does to its tables</h2>"
        f'<p class="muted">{found["changes"]:,} changes of one product, {found["row_updates"]:,} updates of '
        "its row (a batch makes one). The line: with indexes before; the bar: after. stock_level is the "
        'hot one; the others are the log and the reservations themselves. Logarithmic.</p><div class="rows">'
        f"{''.join(rows)}{scale.drawn(' KiB')}</div>{over_changes(found['slices'])}</section>"
    )


def _place(outcome: dict[str, Any]) -> str:
    machine, settings = outcome["machine"], outcome["settings"]
    facts = {
        "machine": f"{machine['cores']} cores, {machine['processor']}; {machine['system']}",
        "load average": f"{machine['load_average_begun']:.2f} at the start, "
        f"{outcome['load_average_ended']:.2f} at the end",
        "Python": machine["python"],
        **machine["packages"],
        **settings,
    }
    return "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>" for name, value in facts.items()
    )


def _median_round(rounds: Sequence[dict[str, float]]) -> dict[str, float]:
    """The round whose rate is the middle one."""
    return sorted(rounds, key=lambda each: each["per_s"])[len(rounds) // 2]
