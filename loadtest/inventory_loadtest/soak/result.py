"""A soak that is over: its figures, and whether it may be called a success."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

from inventory_loadtest.soak.blows import Blow, by_kind
from inventory_loadtest.soak.gauges import Sample
from inventory_loadtest.soak.tally import Tally
from inventory_loadtest.soak.trend import Trend, trend

VIOLATIONS_KEPT = 20
_SAMPLES_KEPT = 120
_GAP_S = 10.0


@dataclass(frozen=True)
class SoakResult:
    """A soak.

    Attributes:
        about: seed, minutes, when, of what, where: as the page and the JSON tell it.
        tally: what became of the calls.
        blows: what was hurt.
        samples: what was measured by the second.
        breaks: how often the watches were broken and went on.
        errors: lines of the log of the server that was never killed that tell of a defect.
    """

    about: Mapping[str, Any]
    tally: Tally
    blows: Sequence[Blow]
    samples: Sequence[Sample]
    breaks: int
    errors: Sequence[str]

    @property
    def server(self) -> Trend:
        """How the memory of the server went that was never killed."""
        return trend([(each.at_s, each.server_mb, each.acknowledged) for each in self.samples])

    @property
    def postgres(self) -> Trend:
        """How that of PostgreSQL went, while it was there."""
        return trend(
            [(each.at_s, each.postgres_mb, each.acknowledged) for each in self.samples if each.postgres_mb]
            or [(0.0, 0.0, 0)]
        )

    @property
    def stood_still_s(self) -> float:
        """How long nothing was measured: the machine, or this process, was held. Times have it in them."""
        gaps = (after.at_s - before.at_s for before, after in pairwise(self.samples))
        return sum(gap for gap in gaps if gap > _GAP_S)

    @property
    def is_flat(self) -> bool | None:
        """Whether memory is flat; None where the soak was too short to say."""
        found = {self.server.is_flat, self.postgres.is_flat}
        return False if False in found else None if None in found else True

    @property
    def ok(self) -> bool:
        """Whether nothing was lost, no law broken, and memory is not seen to grow."""
        return not (self.tally.violations or self.errors) and self.is_flat is not False

    def figures(self) -> dict[str, Any]:
        """Everything in plain values, for JSON."""
        tally = self.tally
        return {
            **self.about,
            "ok": self.ok,
            "acknowledged": tally.acknowledged,
            "acknowledged_by": dict(tally.acknowledged_by.most_common()),
            "refused": sum(tally.refused.values()),
            "refused_for": dict(tally.refused.most_common()),
            "left_open": tally.left_open,
            "left_open_for": dict(tally.left_open_for.most_common()),
            "resolved": dict(tally.resolved.most_common()),
            "lost": tally.lost,
            "violations": len(tally.violations),
            "violations_first": [asdict(each) for each in tally.violations[:VIOLATIONS_KEPT]],
            "shifts_judged": tally.shifts,
            "watches_resumed": self.breaks,
            "stood_still_s": round(self.stood_still_s, 1),
            "defects_logged": list(self.errors),
            "faults": [asdict(each) for each in by_kind(self.blows)],
            "memory_flat": self.is_flat,
            "memory": {"server": self.server.as_json(), "postgres": self.postgres.as_json()},
            "blows": [each.as_json() for each in self.blows],
            # The page draws all; a file that is kept is to be read.
            "samples": [each.as_json() for each in self.samples[:: len(self.samples) // _SAMPLES_KEPT + 1]],
        }
