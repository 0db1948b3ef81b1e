"""What one measurement of some seconds found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True)
class Sample:
    """Answers that were OK and durable, and how long each was waited for; refusals are counted apart.

    Attributes:
        count: reservations, lines, orders or transactions; of a batch each item counts.
        per_s: of them, a second.
        p50_ms, p99_ms, p999_ms, max_ms: from asking to the answer; of a batch, the whole call's.
        generator_cpu_share: of one core, what the asking process used. 0 where it wasn't ours.
        units_held: what all its answers together acknowledged, those before the clock ran too; 0 of empty
            calls.
        asked_per_s: calls that were sent, a second.
        refused, refused_p50_ms, refused_p99_ms: calls that found no room, and how soon they were told.
        late: calls whose deadline passed: what became of them nobody was told.
    """

    count: int
    per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    generator_cpu_share: float = 0.0
    units_held: int = 0
    asked_per_s: float = 0.0
    refused: int = 0
    refused_p50_ms: float = 0.0
    refused_p99_ms: float = 0.0
    late: int = 0

    @classmethod
    def of(
        cls,
        count: int,
        took_s: float,
        latencies_s: Sequence[float],
        *,
        cpu_s: float = 0.0,
        units_held: int = 0,
        asked: int | None = None,
        refusals_s: Sequence[float] = (),
        late: int = 0,
    ) -> Self:
        """Make a sample of its latencies; without any they are 0."""
        ordered, refused = sorted(latencies_s), sorted(refusals_s)
        return cls(
            count=count,
            per_s=count / took_s,
            p50_ms=_at(ordered, 0.5),
            p99_ms=_at(ordered, 0.99),
            p999_ms=_at(ordered, 0.999),
            max_ms=_at(ordered, 1),
            generator_cpu_share=cpu_s / took_s,
            units_held=units_held,
            asked_per_s=(len(ordered) if asked is None else asked) / took_s,
            refused=len(refused),
            refused_p50_ms=_at(refused, 0.5),
            refused_p99_ms=_at(refused, 0.99),
            late=late,
        )

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}


def _at(ordered_s: Sequence[float], share: float) -> float:
    """The milliseconds that a share of the latencies were within."""
    if not ordered_s:
        return 0.0
    return 1000 * ordered_s[min(len(ordered_s) - 1, int(len(ordered_s) * share))]
