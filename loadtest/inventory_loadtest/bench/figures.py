"""Figures: ratios inside one round of measurements, their goals, their median and spread."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from inventory_loadtest.bench.sample import Sample

Round = Mapping[str, Sample]
"""What one round found, by the name of the measurement; all of it within seconds of each other."""


@dataclass(frozen=True)
class Goal:
    """What a figure should be: at least, or at most."""

    at_least: bool
    value: float

    def __str__(self) -> str:
        return f"{'>=' if self.at_least else '<='} {self.value:g}"

    def met_by(self, value: float) -> bool:
        return value >= self.value if self.at_least else value <= self.value


@dataclass(frozen=True)
class Figure:
    """A figure that a round of measurements has once.

    Attributes:
        key: its name everywhere.
        what: ours / the reference, in words.
        goal: None = reported only.
        of: the ratio of a round.
    """

    key: str
    what: str
    goal: Goal | None
    of: Callable[[Round], float]


@dataclass(frozen=True)
class Found:
    """A figure, and its value in each round, at least one."""

    figure: Figure
    values: Sequence[float]

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool | None:
        """Whether the median meets the goal; None where there is none."""
        return None if self.figure.goal is None else self.figure.goal.met_by(self.median)

    def as_json(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        goal = self.figure.goal
        return {
            "what": self.figure.what,
            "median": round(self.median, 3),
            "min": round(min(self.values), 3),
            "max": round(max(self.values), 3),
            "goal": None if goal is None else str(goal),
            "met": self.met,
            "raw": dict(raw),
        }


def at_least(value: float) -> Goal:
    return Goal(True, value)


def at_most(value: float) -> Goal:
    return Goal(False, value)


def rates(ours: str, reference: str) -> Callable[[Round], float]:
    """How many times as many a second: one measurement beside another."""
    return lambda round_: round_[ours].per_s / round_[reference].per_s
