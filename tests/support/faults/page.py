"""docs/robustness.md, which `make faults` writes: what each case promises, and how its last run ended."""

from __future__ import annotations

import json
import os
import platform
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from inventory_loadtest.soak.summary import summary
from support.faults.cases import CASES

LAST_SOAK = Path(__file__).parents[3] / "bench" / "soak.json"

_HEAD = """\
# Robustness

<!-- Written by `make faults`. -->

What may go wrong, what the service promises then, and how the last run of it ended. Most cases start the
real server and a real PostgreSQL as processes of their own and hurt them. A load remembers every answer, and
sends again what was left open until it is told OK or no. Afterwards no number is negative, `VerifyStock`
finds nothing, whatever was answered OK is in the database and nothing else is, health is answered and the
next good call succeeds; "next call" says how long both took.

`make faults` runs all and writes this page. `make faults CASE=3 SEED=7` runs one case, and writes nothing;
with the seed of the last run it is that case again.
"""


@dataclass
class Row:
    """One test, with all its parameters."""

    test: str
    cases: Sequence[int]
    promise: str
    outcomes: Counter[str] = field(default_factory=Counter)
    reasons: set[str] = field(default_factory=set)
    took_s: float = 0.0
    figures: list[Mapping[str, object]] = field(default_factory=list)

    def add(self, outcome: str, reason: str, took_s: float, figures: Mapping[str, object]) -> None:
        self.outcomes[outcome] += 1
        self.reasons |= {reason} - {""}
        self.took_s += took_s
        if figures:
            self.figures.append(figures)

    def in_words(self) -> str:
        runs = sum(self.outcomes.values())
        if set(self.outcomes) == {"passed"}:
            said = f"held, {runs} ways" if runs > 1 else "held"
        else:
            said = ", ".join(f"{count} {outcome}" for outcome, count in sorted(self.outcomes.items()))
        said = f"**{said}**" if self.outcomes["failed"] else said
        parts = [f"{said}, {self.took_s:.1f} s", *sorted(self.reasons), *self._figures()]
        return "; ".join(parts)

    def _figures(self) -> list[str]:
        """Sums of what is counted, the worst of what is measured."""
        names = dict.fromkeys(name for figures in self.figures for name in figures)
        told = []
        for name in names:
            values = [figures[name] for figures in self.figures if name in figures]
            if name.endswith("_s"):
                told.append(f"{name.removesuffix('_s').replace('_', ' ')} {max(values):.1f} s")  # type: ignore[type-var]
            else:
                told.append(f"{sum(values):,} {name.replace('_', ' ')}")  # type: ignore[arg-type]
        return told


def page(rows: Iterable[Row], run: str) -> str:
    """Return the page's text.

    Args:
        run: when it was, of what, where.
    """
    found = list(rows)
    parts = [_HEAD, f"\nThe last run: {run}\n"]
    parts.append("\n| case | promise | test | last run |\n|---|---|---|---|\n")
    for number, title in CASES.items():
        of_case = [row for row in found if number in row.cases]
        if not of_case:
            parts.append(f"| {number}: {title} | | | **not run** |\n")
        for place, row in enumerate(of_case):
            case = f"{number}: {title}" if place == 0 else ""
            test = row.test.removeprefix("tests/")
            parts.append(f"| {case} | {row.promise} | `{test}` | {row.in_words()} |\n")
    return "".join(parts) + last_soak()


def last_soak() -> str:
    """The section of the last soak; nothing where none was kept."""
    if not LAST_SOAK.exists():
        return ""
    return "\n" + summary(json.loads(LAST_SOAK.read_text()))


def machine() -> str:
    return f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}"
