"""What callers sent and were told, a line of JSON for each call: all that the judge goes by.

A record is whatever has versions: a level, a hold, a cart, a location. Version 0 is what it was before any
call of the history changed it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

# The version of each record, by its name.
Versions = dict[str, int]


@dataclass
class Call:
    """A call that took effect or was told something.

    Args:
        name: what was called, and which one it was; no other call of a history has it.
        client: who sent it; one client's calls come one after the other.
        sent_s: when its first attempt was sent, on the monotonic clock.
        answered_s: when its last attempt was answered.
        reads: the versions that its answer must come from.
        writes: the versions that it made.
    """

    name: str
    client: int
    sent_s: float
    answered_s: float
    reads: Versions = field(default_factory=dict)
    writes: Versions = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.name} [client {self.client}, {self.sent_s:.4f} to {self.answered_s:.4f} s]"


def write_history(path: Path, calls: Iterable[Call]) -> None:
    """Write a history, whose clock begins with its first call."""
    in_order = sorted(calls, key=lambda call: call.sent_s)
    began_s = in_order[0].sent_s if in_order else 0.0
    with path.open("w", encoding="utf-8") as file:
        for call in in_order:
            values = asdict(call)
            for name in ("sent_s", "answered_s"):
                values[name] = round(values[name] - began_s, 6)
            file.write(json.dumps(values) + "\n")


def read_history(path: Path) -> list[Call]:
    with path.open(encoding="utf-8") as lines:
        return [Call(**json.loads(line)) for line in lines]
