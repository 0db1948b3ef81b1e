"""The curves of a bench's page: over carts, over the rate of arrival, over the changes of a product."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping, Sequence

from inventory_loadtest import charts

Samples = Mapping[str, Sequence[Mapping[str, float]]]
"""The rounds of each measurement, by its name."""

# A measurement's name is one of these and a number of carts.
_OVER_CARTS = {
    "reserve_hot": ("ReserveStock, one product", "ours"),
    "echo": ("an empty call", "empty"),
    "raw_hot": ("raw SQL, one product", "raw"),
}
# By the kind of latency.
_OVER_RATES = {
    "p50_ms": ("ReserveStock: half were faster", "ours"),
    "p99_ms": ("99 of 100", "tail"),
    "p999_ms": ("999 of 1,000", "last"),
}


def over_carts(samples: Samples) -> str:
    """Draw answers a second, and p99, over how many ask at once."""
    rates, tails = [], []
    for name, (text, css) in _OVER_CARTS.items():
        found = {
            float(match[1]): rounds
            for each, rounds in samples.items()
            if (match := re.fullmatch(rf"{name}_(\d+)", each))
        }
        if len(found) > 1:
            rates.append(charts.Curve(text, css, _points(found, "per_s")))
            tails.append(charts.Curve(text, css, _points(found, "p99_ms")))
    if not rates:
        return ""
    return charts.curves(rates, x_label="callers at once", y_label="answers a second") + charts.curves(
        tails, x_label="callers at once", y_label="p99, ms"
    )


def over_rates(samples: Samples) -> str:
    """Draw latencies over how many arrive a second, whatever became of those before."""
    open_ = {name: rounds for name, rounds in samples.items() if re.fullmatch(r"open_\d+", name)}
    raw = [rounds for name, rounds in samples.items() if re.fullmatch(r"open_raw_\d+", name)]
    if not open_ or not raw:
        return ""
    by_rate = {_middle(rounds, "asked_per_s"): rounds for rounds in open_.values()}
    lines = [charts.Curve(text, css, _points(by_rate, kind)) for kind, (text, css) in _OVER_RATES.items()]
    at = {_middle(raw[0], "asked_per_s"): raw[0]}
    lines.append(charts.Curve("raw SQL at half of its own peak: 99 of 100", "raw", _points(at, "p99_ms")))
    plot = charts.curves(
        lines, x_label="orders a second, sent at fixed times", y_label="ms from when it was due"
    )
    return (
        '<section><h2>At a fixed rate of arrival</h2><p class="muted">At 25, 50, 75 and 90 of 100 of what '
        "closed loops reached in the same round. A latency counts from when the call was meant to go: "
        f"that it was sent late is counted.</p>{plot}</section>"
    )


def over_changes(slices: Sequence[Mapping[str, float]]) -> str:
    """Draw how fast a product is reserved as its log grows, by 64 callers of one session."""
    by_changes = {each["changes"]: [each] for each in slices}
    line = charts.Curve("reservations a second", "ours", _points(by_changes, "per_s"))
    tail = charts.Curve("p99, ms", "tail", _points(by_changes, "p99_ms"))
    return charts.curves(
        [line, tail], x_label="changes of the product so far", y_label="answers a second; milliseconds"
    )


def _points(
    by_x: Mapping[float, Sequence[Mapping[str, float]]], key: str
) -> list[tuple[float, float, float, float]]:
    points = []
    for x in sorted(by_x):
        values = [each[key] for each in by_x[x]]
        points.append((x, min(values), statistics.median(values), max(values)))
    return points


def _middle(rounds: Sequence[Mapping[str, float]], key: str) -> float:
    return statistics.median(each[key] for each in rounds)
