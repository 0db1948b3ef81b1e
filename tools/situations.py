"""Try steps in every situation that the rules lead to, and draw the changes of state that are seen."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from inventory_server.domain.commands import Command
from inventory_server.domain.decide import Request, decide
from inventory_server.domain.state import State
from inventory_server.domain.tables import Table

SITUATIONS_MAX = 10_000
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Situation(NamedTuple):
    """A store: the rows of each table, and how much time went by."""

    rows: dict[str, dict[Any, Any]]
    waited_s: float = 0.0

    def state(self) -> State:
        state = State(now=_NOW + timedelta(seconds=self.waited_s))
        for name, rows in self.rows.items():
            for key, row in rows.items():
                # Of a cart the moment is loaded too at which it is looked at.
                getattr(state, name).load(key, replace(row, seen_at=state.now) if name == "carts" else row)
        return state


class Step(NamedTuple):
    """What somebody does: a label for the arrow, how long they wait before it, and the commands of it."""

    label: str
    commands: tuple[Command, ...]
    wait_s: float = 0.0


def after(situation: Situation, step: Step) -> Situation | None:
    """Return what a step leads to; None where the rules refuse it."""
    now = situation._replace(waited_s=situation.waited_s + step.wait_s)
    state = now.state()
    if any(isinstance(verdict, Exception) for verdict in decide(state, [Request(c) for c in step.commands])):
        return None
    return now._replace(rows={name: _rows(now.rows.get(name, {}), table) for name, table in _tables(state)})


def _rows(before: dict[Any, Any], table: Table[Any, Any]) -> dict[Any, Any]:
    gone = set(table.deleted())
    return {key: row for key, row in {**before, **dict(table.written())}.items() if key not in gone}


def _tables(state: State) -> Iterator[tuple[str, Table[Any, Any]]]:
    for name in State.__dataclass_fields__:
        if isinstance(table := getattr(state, name), Table):
            yield name, table


Arrows = dict[tuple[str, str], list[str]]


def arrows(
    start: Situation,
    steps: Sequence[Step],
    look: Callable[[State], tuple[str, ...]],
    apart: Callable[[State], object],
) -> tuple[Arrows, ...]:
    """Try every step in every situation that the rules lead to; return each picture's changes of state.

    Args:
        look: names the state that each picture shows; "" = there is none yet, or none any more.
        apart: tells situations apart that look the same and do not behave so.
    """
    found: tuple[Arrows, ...] = tuple(defaultdict(list) for _ in look(start.state()))
    seen = {repr(apart(start.state()))}
    never_let_through = set(steps)
    layer = [start]
    while layer:
        following = []
        for situation in layer:
            before = look(situation.state())
            refused = set()
            for step in steps:
                first = step._replace(label="", commands=step.commands[:1])
                if first in refused:
                    continue
                then = after(situation, step)
                if then is None:
                    if after(situation, first) is None:
                        refused.add(first)
                    continue
                never_let_through.discard(step)
                state = then.state()
                for picture, was, now in zip(found, before, look(state), strict=True):
                    if now != was and step.label not in picture[was, now]:
                        picture[was, now].append(step.label)
                if (key := repr(apart(state))) not in seen:
                    seen.add(key)
                    following.append(then)
        assert len(seen) < SITUATIONS_MAX
        layer = following
    assert not never_let_through, f"nothing leads to where these are possible: {never_let_through}"
    return found


def drawn(found: Arrows) -> str:
    """Return a state diagram in Mermaid's words."""
    lines = ["```mermaid", "stateDiagram-v2"]
    for (before, now), labels in found.items():
        if labels:
            lines.append(f"    {before or '[*]'} --> {now or '[*]'}: {', '.join(labels)}")
    return "\n".join([*lines, "```"])
