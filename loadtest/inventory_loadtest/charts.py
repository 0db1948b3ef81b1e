"""Plots as plain HTML and SVG, which need no script, follow the page's colours and keep their text readable.

The SVG holds shapes alone and is stretched to the box; every text is HTML beside it, placed in percent, so
that it keeps its size on any screen.
"""

from __future__ import annotations

import html
import math
from collections.abc import Iterable, Sequence
from itertools import pairwise

SPAN = 1000
"""Width and height of the SVG's own coordinates."""


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
        shape = "L".join(f"{x * SPAN:.1f} {(1 - y) * SPAN:.1f}" for x, y in outline)
        paths.append(f'<path class="area {name}" d="M{shape}Z"/>')
    y_ticks = [(value / y_most, number(value)) for value in ticks(0, y_most, 4)]
    x_ticks = [(x_at(value), number(value)) for value in ticks(x_least, x_most)]
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
        f"{''.join(paths)}{grid}</svg>{labels}</div><figcaption>{html.escape(x_label)}</figcaption></figure>"
    )


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
