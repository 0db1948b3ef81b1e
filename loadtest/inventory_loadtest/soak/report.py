"""The report of a soak: one page that holds everything it shows."""

from __future__ import annotations

import html
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from inventory_loadtest import charts
from inventory_loadtest.checker import LAWS
from inventory_loadtest.page import render_page
from inventory_loadtest.report import laws
from inventory_loadtest.soak.blows import Blow
from inventory_loadtest.soak.gauges import Sample
from inventory_loadtest.soak.result import SoakResult
from inventory_loadtest.soak.trend import Trend, warm_up_s

_TEMPLATE = Path(__file__).with_name("report.html")
_SMOOTHED_S = 5
_POINTS_AT_MOST = 1_200
_LEAST_S = 0.01
_COUNTS: Mapping[str, tuple[str, Callable[[Sample], float | None]]] = {
    "tasks": ("ours", lambda each: each.tasks),
    "open files": ("tail", lambda each: each.files),
    "threads": ("empty", lambda each: each.threads),
    "watches": ("last", lambda each: each.watches),
    "sessions of PostgreSQL": ("raw", lambda each: each.connections),
}


def write_report(result: SoakResult, path: Path) -> None:
    """Write the page. Raises: OSError if it can't be written."""
    path.write_text(render(result), encoding="utf-8")


def render(result: SoakResult) -> str:
    """Make the page's text; see `write_report`."""
    blows = [blow.at_s for blow in result.blows]
    about = result.about
    return render_page(
        _TEMPLATE,
        verdict=_verdict(result),
        verdict_class="holds" if result.ok else "broken",
        lead=_lead(result),
        cards=_cards(result),
        calls=_calls(result.samples, blows),
        memory_text=_memory_text(result),
        memory=_memory(result, blows),
        counts=_counts(result.samples, blows),
        faults=_faults(result.blows),
        left_open_text=_left_open_text(result),
        resolved=_resolved(result.tally.resolved),
        proof_text=_proof_text(result),
        laws=laws(result.tally.violations) + _other_findings(result),
        place=_place(about["machine"]),
        footer=f"Begun {about['begun']}, commit {about['commit']}, seed {about['seed']}."
        + (f" It stood still for {result.stood_still_s:,.0f} s." if result.stood_still_s else ""),
    )


def _verdict(result: SoakResult) -> str:
    if result.tally.violations or result.errors:
        return f"{len(result.tally.violations) + len(result.errors):,} findings"
    if result.is_flat is None:
        return "Nothing lost; too short to judge memory"
    return "Nothing lost, memory is flat" if result.is_flat else "Nothing lost, but memory grows"


def _lead(result: SoakResult) -> str:
    tally = result.tally
    return (
        f"For {result.about['minutes']:g} minutes callers of every kind were at work while "
        f"{len(result.blows):,} faults befell the servers, the database, their connections, the payment "
        "gateway and clients. "
        f"{tally.acknowledged:,} calls were acknowledged; {tally.lost:,} of them are lost."
    )


def _cards(result: SoakResult) -> str:
    tally, server = result.tally, result.server
    cards = [
        (f"{tally.acknowledged:,}", "calls acknowledged", ""),
        (f"{tally.lost:,}", "acknowledged, and lost", "bad" if tally.lost else "good"),
        (f"{len(tally.violations):,}", "violations", "bad" if tally.violations else "good"),
        (f"{len(result.blows):,}", "faults", ""),
        (f"{tally.left_open:,}", "calls left open by an attempt, and found out", ""),
        (f"{result.breaks:,}", "times a watch was broken off, and went on", ""),
        (f"{server.start_mb:,.0f} to {server.end_mb:,.0f}", "MB: the server, after its warm-up", ""),
        (f"{server.mb_per_h:+,.1f}", "MB an hour", "bad" if server.is_flat is False else ""),
    ]
    return "".join(
        f'<div class="{css}"><b>{value}</b><span>{text}</span></div>' for value, text, css in cards
    )


def _calls(samples: Sequence[Sample], blows: Sequence[float]) -> str:
    points = []
    for before, after in zip(samples, samples[_SMOOTHED_S:], strict=False):
        rate = (after.acknowledged - before.acknowledged) / (after.at_s - before.at_s)
        points.append(((before.at_s + after.at_s) / 2, max(0.0, rate)))
    series = charts.Series("acknowledged", "ours", _thinned(points))
    return charts.timeline([series], blows, x_label="seconds", y_label="calls a second") if points else ""


def _memory(result: SoakResult, blows: Sequence[float]) -> str:
    samples, server = result.samples, result.server
    lines = [
        charts.Series("the server", "ours", _thinned([(s.at_s, s.server_mb) for s in samples])),
        charts.Series("the one that is killed", "empty", _thinned([(s.at_s, s.victim_mb) for s in samples])),
        charts.Series("PostgreSQL", "raw", _thinned([(s.at_s, s.postgres_mb) for s in samples])),
    ]
    if server.is_flat is not None:
        ended_s = samples[-1].at_s
        ends = [(ended_s - server.judged_s, server.start_mb), (ended_s, server.end_mb)]
        lines.append(charts.Series("the server's trend", "last", ends))
    return charts.timeline(lines, blows, x_label="seconds", y_label="MB")


def _memory_text(result: SoakResult) -> str:
    if result.is_flat is None:
        return "The soak was too short to say whether memory grows."
    run_s = result.samples[-1].at_s - result.samples[0].at_s
    return (
        f"The first {warm_up_s(run_s):,.0f} s are warm-up. After it, along the line of least squares: "
        f"the server {_trend(result.server)}; what PostgreSQL's processes have for themselves "
        f"{_trend(result.postgres)}. Flat is what rises by no more than was allowed."
    )


def _trend(trend: Trend) -> str:
    return (
        f"goes from {trend.start_mb:,.1f} to {trend.end_mb:,.1f} MB in {trend.judged_s:,.0f} s "
        f"({trend.mb_per_h:+,.1f} MB/h, {trend.bytes_per_call:+,.0f} bytes an acknowledged call; "
        f"{trend.allowed_mb:,.1f} MB more were allowed, and {trend.margin_mb:,.1f} by chance)"
    )


def _counts(samples: Sequence[Sample], blows: Sequence[float]) -> str:
    lines = []
    for name, (css, read) in _COUNTS.items():
        points = [(each.at_s, float(value)) for each in samples if (value := read(each)) is not None]
        if points:
            lines.append(charts.Series(name, css, _thinned(points)))
    return charts.timeline(lines, blows, x_label="seconds", y_label="how many")


def _faults(blows: Sequence[Blow]) -> str:
    if not blows:
        return ""
    took: dict[str, list[float]] = {}
    for blow in blows:
        took.setdefault(blow.kind, []).append(max(_LEAST_S, blow.recovery_s))
    scale = charts.LogScale(value for values in took.values() for value in values)
    rows = []
    for kind, values in sorted(took.items()):
        ordered = sorted(values)
        middle = ordered[len(ordered) // 2]
        marks = [
            ("most", scale.at(ordered[0]), scale.at(ordered[-1])),
            ("mid", scale.at(middle), None),
        ]
        value = f"{charts.number(middle)} s, {charts.number(ordered[-1])} at most; {len(ordered):,} times"
        rows.append(charts.row(kind, marks, value))
    return "".join(rows) + scale.drawn(" s")


def _left_open_text(result: SoakResult) -> str:
    tally = result.tally
    why = ", ".join(f"{count:,} {name}" for name, count in tally.left_open_for.most_common())
    return (
        f"{tally.left_open:,} of {tally.acknowledged + sum(tally.refused.values()):,} calls had an attempt "
        f"of which nobody knew what came of it{f' ({why})' if why else ''}. The same call was sent again "
        "until it was told; what nobody told at all was looked for in the end."
    )


def _resolved(counts: Counter[str]) -> str:
    most = max(counts.values(), default=1)
    return "".join(
        charts.row(how, [("sold", 0.0, count / most)], f"{count:,}") for how, count in counts.most_common()
    )


def _proof_text(result: SoakResult) -> str:
    return (
        f"{result.tally.shifts:,} shifts, each on products of its own, were judged when all their calls had "
        "ended: what callers were told beside the stock, its log, orders, payments, reservations, imports, "
        "the payment gateway's own books, and what two watches brought that went on through every fault. "
        "Beside that the server verified its own (VerifyStock), each shift and in the end all of it."
    )


def _other_findings(result: SoakResult) -> str:
    found = [f"{v.law}: {v.subject}: {v.text}" for v in result.tally.violations if v.law not in LAWS]
    return "".join(
        f'<li class="fails"><span class="mark">✗</span><span>{html.escape(text)}</span></li>'
        for text in [*found, *result.errors]
    )


def _place(machine: Mapping[str, object]) -> str:
    facts = {
        "machine": f"{machine['cores']} cores, {machine['processor']}; {machine['system']}",
        "load average at the start": f"{machine['load_average_begun']:.2f}",
        "Python": machine["python"],
        **dict(machine["packages"]),  # type: ignore[call-overload]
    }
    return "".join(
        f"<dt>{html.escape(name)}</dt><dd>{html.escape(str(value))}</dd>" for name, value in facts.items()
    )


def _thinned(points: Sequence[tuple[float, float]]) -> Sequence[tuple[float, float]]:
    """No more points than a screen shows: every n-th."""
    return points[:: len(points) // _POINTS_AT_MOST + 1]
