"""Whether something stays as large as it is: a straight line through its samples, after the warm-up.

Flat means: over the time that is judged, the line of least squares rises by no more than a bound, which is
RISE_MB or RISE_SHARE of where it begins, whichever is more, and what chance makes of a line through such
samples: two standard errors, by the means of blocks of BLOCK_S, since a sample is like the one before it.
The bound is what allocators and caches move by themselves; a leak that hides below it is told by
`bytes_per_call`, what the rise is for each acknowledged call, which is smaller the longer a soak is.

The warm-up, a third of a run and at least WARM_UP_S, is not judged: code paths and connections that are met
for the first time take memory that they keep, and the feed keeps the last 10,000 entries of a store's log
(docs/concepts.md). What is judged is at least JUDGED_S long; of a shorter run nobody knows.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

WARM_UP_S = 120.0
WARM_UP_SHARE = 1 / 3
JUDGED_S = 240.0
BLOCK_S = 30.0
RISE_MB = 8.0
RISE_SHARE = 0.05


@dataclass(frozen=True)
class Trend:
    """How a size went.

    Attributes:
        first_mb, last_mb: the first sample of all, and the last.
        judged_s: how long the judged part is.
        start_mb, end_mb: the line's ends.
        mb_per_h: its slope.
        allowed_mb: by how much it may rise.
        margin_mb: by how much it may seem to rise by chance.
        bytes_per_call: by how much it rises for each call that was acknowledged meanwhile.
        is_flat: None where the run was too short to say.
    """

    first_mb: float
    last_mb: float
    judged_s: float
    start_mb: float
    end_mb: float
    mb_per_h: float
    allowed_mb: float
    margin_mb: float
    bytes_per_call: float
    is_flat: bool | None

    @property
    def rise_mb(self) -> float:
        return self.end_mb - self.start_mb

    def as_json(self) -> dict[str, Any]:
        return {name: round(v, 3) if isinstance(v, float) else v for name, v in asdict(self).items()}


def warm_up_s(run_s: float) -> float:
    """How much of a run of so many seconds isn't judged."""
    return max(WARM_UP_S, run_s * WARM_UP_SHARE)


def trend(samples: Sequence[tuple[float, float, int]]) -> Trend:
    """Judge a size.

    Args:
        samples: (seconds since the begin, MB above 0, calls acknowledged so far), at least one, by time.
    """
    began_s, ended_s = samples[0][0], samples[-1][0]
    judged = [each for each in samples if each[0] - began_s >= warm_up_s(ended_s - began_s)]
    judged_s = judged[-1][0] - judged[0][0] if judged else 0.0
    if judged_s < JUDGED_S:
        first, last = samples[0][1], samples[-1][1]
        return Trend(first, last, judged_s, first, last, 0.0, 0.0, 0.0, 0.0, None)
    points = [(at_s, mb) for at_s, mb, _ in judged]
    slope, middle_s, middle_mb = _line(points)
    margin_mb = 2 * judged_s * _standard_error(points)
    start_mb = middle_mb + slope * (judged[0][0] - middle_s)
    rise_mb = slope * judged_s
    allowed_mb = max(RISE_MB, RISE_SHARE * start_mb)
    calls = judged[-1][2] - judged[0][2]
    return Trend(
        first_mb=samples[0][1],
        last_mb=samples[-1][1],
        judged_s=judged_s,
        start_mb=start_mb,
        end_mb=start_mb + rise_mb,
        mb_per_h=slope * 3600,
        allowed_mb=allowed_mb,
        margin_mb=margin_mb,
        bytes_per_call=rise_mb * 1e6 / max(1, calls),
        is_flat=rise_mb <= allowed_mb + margin_mb,
    )


def _line(points: Sequence[tuple[float, float]]) -> tuple[float, float, float]:
    """The line of least squares: its slope, and the point in the middle that it goes through."""
    middle_x = sum(x for x, _ in points) / len(points)
    middle_y = sum(y for _, y in points) / len(points)
    across = sum((x - middle_x) * (y - middle_y) for x, y in points)
    along = sum((x - middle_x) ** 2 for x, _ in points)
    return across / along, middle_x, middle_y


def _standard_error(points: Sequence[tuple[float, float]]) -> float:
    """Of the slope of the line through the means of blocks of BLOCK_S."""
    blocks: dict[int, list[tuple[float, float]]] = defaultdict(list)
    for x, y in points:
        blocks[int(x // BLOCK_S)].append((x, y))
    means = [
        (statistics.mean(x for x, _ in block), statistics.mean(y for _, y in block))
        for block in blocks.values()
    ]
    if len(means) <= 2:
        return 0.0
    slope, middle_x, middle_y = _line(means)
    off = sum((y - middle_y - slope * (x - middle_x)) ** 2 for x, y in means)
    along = sum((x - middle_x) ** 2 for x, _ in means)
    return math.sqrt(off / (len(means) - 2) / along)
