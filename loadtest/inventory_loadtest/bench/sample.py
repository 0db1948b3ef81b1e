"""What one measurement of some seconds found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True)
class Sample:
    """Answers that were OK and durable, and how long each was waited for.

    Attributes:
        count: reservations, orders or transactions; of a batch each item counts.
        per_s: of them, a second.
        p50_ms, p99_ms, p999_ms, max_ms: from asking to the answer; of a batch, the whole call's.
        generator_cpu_share: of one core, what the asking process used. 0 where it wasn't ours.
        units_held: what all its answers together acknowledged, those before the clock ran too.
    """

    count: int
    per_s: float
    p50_ms: float
    p99_ms: float
    p999_ms: float
    max_ms: float
    generator_cpu_share: float = 0.0
    units_held: int = 0

    @classmethod
    def of(
        cls,
        count: int,
        took_s: float,
        latencies_s: Sequence[float],
        *,
        cpu_s: float = 0.0,
        units_held: int = 0,
    ) -> Self:
        """Make a sample of its latencies, at least one."""
        ordered = sorted(latencies_s)

        def at(share: float) -> float:
            return 1000 * ordered[min(len(ordered) - 1, int(len(ordered) * share))]

        per_s = count / took_s
        most_ms = 1000 * ordered[-1]
        return cls(count, per_s, at(0.5), at(0.99), at(0.999), most_ms, cpu_s / took_s, units_held)

    def as_json(self) -> dict[str, float]:
        return {name: round(value, 4) for name, value in asdict(self).items()}
