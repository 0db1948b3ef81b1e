"""Plots as plain HTML and SVG, which need no script, follow the page's colours and keep their text readable.

The SVG holds shapes alone and is stretched to the box; every text is HTML beside it, placed in percent, so
that it keeps its size on any screen.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

SPAN = 1000
"""Width and height of the SVG's own coordinates."""
_LABEL_SHARE = 0.13
"""Of a narrow plot's width, what a label takes."""

_Ticks = Sequence[tuple[float, str]]
"""(where in 0..1, text)."""


def ticks(least: float, most: float, count: int = 5) -> list[float]:
    """Round numbers between two, about so many, for an axis."""
    if most <= least:
        return [least]
    raw = (most - least) / count
    magnitude = 10 ** math.floor(math.log10(raw))
    step = next(factor * magnitude for factor in (1, 2, 5, 10) if factor * magnitude >= raw)
    first = math.ceil(least / step - 1e-9)
    return [round(n * step, 10) for n in range(first, math.floor(most / step + 1e-9) + 1)]


def log_ticks(least: float, most: float) -> list[float]:
    """1, 10, 100 ... between two numbers above 0; with 2 and 5 where there is room."""
    decades = range(math.floor(math.log10(least)), math.ceil(math.log10(most)) + 1)
    factors = (1,) if len(decades) > 5 else (1, 3)
    return [value for d in decades for f in factors if least <= (value := f * 10**d) <= most]


class LogScale:
    """A logarithmic scale over values, as shares of a track; what isn't above 0 stands at its begin."""

    def __init__(self, values: Iterable[float]) -> None:
        found = [value for value in values if value > 0] or [1.0]
        self.least, self.most = min(found) / 1.1, max(found) * 1.1

    def at(self, value: float) -> float:
        if value <= 0:
            return 0.0
        return min(1.0, max(0.0, math.log(value / self.least) / math.log(self.most / self.least)))

    @property
    def ticks(self) -> list[float]:
        return log_ticks(self.least, self.most)

    def drawn(self, unit: str) -> str:
        """The scale below the tracks of a `.rows`."""
        return scale((self.at(tick), f"{number(tick)}{unit}") for tick in self.ticks)


def number(value: float) -> str:
    """A number as an axis shows it: 1,000 or 0.25."""
    return f"{value:,.0f}" if abs(value) >= 10 or value == int(value) else f"{value:.3g}"


def stacked_steps(
    points: Sequence[tuple[float, Sequence[float]]], classes: Sequence[str], *, x_label: str, y_label: str
) -> str:
    """Draw quantities on top of each other that change at moments and keep their value in between.

    Args:
        points: (x, one value >= 0 for each class), by x, at least two; the last ends the drawing.
        classes: CSS classes, from the lowest quantity to the highest.
        x_label, y_label: what the axes are.
    Returns: HTML.
    """
    x_least, x_most = points[0][0], points[-1][0]
    y_most = max(sum(values) for _, values in points) or 1

    def x_at(value: float) -> float:
        return (value - x_least) / ((x_most - x_least) or 1)

    paths = []
    for index, name in enumerate(classes):
        upper = [(x_at(x), sum(values[: index + 1]) / y_most) for x, values in points]
        lower = [(x_at(x), sum(values[:index]) / y_most) for x, values in points]
        outline = [*_corners(upper), *reversed(_corners(lower))]
        paths.append(f'<path class="area {name}" d="M{_path(outline)}Z"/>')
    y_ticks = [(value / y_most, number(value)) for value in ticks(0, y_most, 4)]
    x_ticks = [(x_at(value), number(value)) for value in ticks(x_least, x_most)]
    return _plot("".join(paths), x_ticks, y_ticks, x_label, y_label)


def _plot(shapes: str, x_ticks: _Ticks, y_ticks: _Ticks, x_label: str, y_label: str, dots: str = "") -> str:
    """Shapes of the SVG's coordinates between two axes, with HTML over them."""
    grid = "".join(
        f'<line x1="0" x2="{SPAN}" y1="{(1 - y) * SPAN:.1f}" y2="{(1 - y) * SPAN:.1f}"/>' for y, _ in y_ticks
    )
    labels = "".join(
        [f'<span class="y" style="bottom:{y:.2%}">{text}</span>' for y, text in y_ticks]
        + [f'<span class="x" style="left:{x:.2%}">{text}</span>' for x, text in x_ticks]
    )
    return (
        f'<figure><figcaption>{html.escape(y_label)}</figcaption><div class="plot">'
        f'<svg viewBox="0 0 {SPAN} {SPAN}" preserveAspectRatio="none" aria-hidden="true">'
        f"{shapes}{grid}</svg>{dots}{labels}</div><figcaption>{html.escape(x_label)}</figcaption></figure>"
    )


class Curve(NamedTuple):
    """A line of a plot.

    Attributes:
        name: text.
        css: a class.
        points: (x, lowest, middle, highest), by x, above 0.
    """

    name: str
    css: str
    points: Sequence[tuple[float, float, float, float]]


def curves(lines: Sequence[Curve], *, x_label: str, y_label: str) -> str:
    """Draw lines with their bands over two logarithmic axes, and a legend. Returns: HTML."""
    x_scale = LogScale(point[0] for line in lines for point in line.points)
    y_scale = LogScale(value for line in lines for point in line.points for value in point[1:])
    shapes, dots, legend = [], [], []
    for name, css, points in lines:
        middle = [(x_scale.at(x), y_scale.at(mid)) for x, _, mid, _ in points]
        band = [(x_scale.at(x), y_scale.at(low)) for x, low, _, _ in points]
        band += [(x_scale.at(x), y_scale.at(high)) for x, _, _, high in reversed(points)]
        shapes.append(f'<path class="band {css}" d="M{_path(band)}Z"/>')
        shapes.append(f'<path class="curve {css}" d="M{_path(middle)}"/>')
        dots += [f'<i class="dot {css}" style="left:{x:.2%};bottom:{y:.2%}"></i>' for x, y in middle]
        legend.append(f'<li><i class="{css}"></i>{html.escape(name)}</li>')
    x_ticks: list[tuple[float, str]] = []
    for x in sorted({point[0] for line in lines for point in line.points}):
        if not x_ticks or x_scale.at(x) - x_ticks[-1][0] >= _LABEL_SHARE:
            x_ticks.append((x_scale.at(x), number(x)))
    y_ticks = [(y_scale.at(value), number(value)) for value in y_scale.ticks]
    plot = _plot("".join(shapes), x_ticks, y_ticks, x_label, y_label, "".join(dots))
    return f'<ul class="legend">{"".join(legend)}</ul>{plot}'


class Series(NamedTuple):
    """A line over time.

    Attributes:
        name: text.
        css: a class.
        points: (x, y), by x, each at least 0; a gap between two that are far apart is drawn through.
    """

    name: str
    css: str
    points: Sequence[tuple[float, float]]


def timeline(lines: Sequence[Series], moments: Iterable[float], *, x_label: str, y_label: str) -> str:
    """Draw lines over straight axes that begin at 0, with moments as upright lines. Returns: HTML."""
    x_most = max((point[0] for line in lines for point in line.points), default=0) or 1
    y_most = 1.05 * max((point[1] for line in lines for point in line.points), default=0) or 1
    shapes = [
        f'<line class="moment" x1="{x / x_most * SPAN:.1f}" x2="{x / x_most * SPAN:.1f}" y1="0" y2="{SPAN}"/>'
        for x in moments
        if x <= x_most
    ]
    for line in lines:
        middle = [(x / x_most, y / y_most) for x, y in line.points]
        shapes.append(f'<path class="curve {line.css}" d="M{_path(middle)}"/>')
    x_ticks = [(value / x_most, number(value)) for value in ticks(0, x_most)]
    y_ticks = [(value / y_most, number(value)) for value in ticks(0, y_most, 4)]
    legend = "".join(f'<li><i class="{line.css}"></i>{html.escape(line.name)}</li>' for line in lines)
    plot = _plot("".join(shapes), x_ticks, y_ticks, x_label, y_label)
    return f'<ul class="legend">{legend}</ul>{plot}'


def _path(points: Iterable[tuple[float, float]]) -> str:
    return "L".join(f"{x * SPAN:.1f} {(1 - y) * SPAN:.1f}" for x, y in points)


def _corners(line: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """The corners of a line that goes on level until the next point, and then jumps."""
    corners = [line[0]]
    for (_, before), (x, after) in pairwise(line):
        corners += [(x, before), (x, after)]
    return corners


def row(name: str, marks: Iterable[tuple[str, float, float | None]], value: str) -> str:
    """A row of a chart of rows: a name, marks on a track, a value.

    Args:
        name: text.
        marks: (CSS class, where it begins, where it ends or None for a point), in 0..1 of the track.
        value: text.
    Returns: HTML, to stand in a `.rows`.
    """
    drawn = "".join(
        f'<i class="{css}" style="left:{begin:.2%}'
        + (f";width:{max(0.0, end - begin):.2%}" if end is not None else "")
        + '"></i>'
        for css, begin, end in marks
    )
    return (
        f'<div class="row"><span class="name">{html.escape(name)}</span><div class="track">{drawn}</div>'
        f'<span class="value">{html.escape(value)}</span></div>'
    )


def scale(marks: Iterable[tuple[float, str]]) -> str:
    """The scale below the tracks of a `.rows`: (where in 0..1, text)."""
    drawn = "".join(f'<span style="left:{at:.2%}">{html.escape(text)}</span>' for at, text in marks)
    return f'<div class="row"><i class="pad"></i><div class="scale">{drawn}</div><i class="pad"></i></div>'
