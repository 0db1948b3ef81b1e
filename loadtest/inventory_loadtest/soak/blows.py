"""What was hurt in a soak, and how long it took to be well again."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Blow:
    """One fault.

    Attributes:
        kind: what it was, in words.
        at_s: when it fell, in seconds since the soak's begin.
        lasted_s: from then until it was over, or what was ended had been started again.
        recovery_s: from there until each server had acknowledged a change; after a fault of the payment
            gateway until every payment from before its end was settled, too.
    """

    kind: str
    at_s: float
    lasted_s: float
    recovery_s: float

    def as_json(self) -> dict[str, Any]:
        return {name: round(v, 2) if isinstance(v, float) else v for name, v in asdict(self).items()}


@dataclass(frozen=True)
class BlowsOfKind:
    """All blows of a kind.

    Attributes:
        kind: as a blow's.
        count: how many.
        lasted_s: the longest.
        recovery_s, recovery_s_most: the middle one, the longest.
    """

    kind: str
    count: int
    lasted_s: float
    recovery_s: float
    recovery_s_most: float


def by_kind(blows: Iterable[Blow]) -> list[BlowsOfKind]:
    """Sum blows up, by kind."""
    found: dict[str, list[Blow]] = defaultdict(list)
    for blow in blows:
        found[blow.kind].append(blow)
    return [
        BlowsOfKind(
            kind,
            len(each),
            max(blow.lasted_s for blow in each),
            statistics.median(blow.recovery_s for blow in each),
            max(blow.recovery_s for blow in each),
        )
        for kind, each in sorted(found.items())
    ]
