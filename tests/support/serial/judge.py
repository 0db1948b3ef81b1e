"""Says whether some order of all calls explains what each was told: one in which none is before itself.

A call must come before another (Adya, "Weak Consistency", 1999; the names of the ties are his)
- wr: that saw a version which it made,
- ww: that made the version after one which it made,
- rw: that made the version after one which it saw,
- rt: that was sent when it had been answered ("real time": what makes serializability strict).
Where these lead from a call back to itself there is no such order. The smallest such cycle is told.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter, defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from support.serial.history import Call


class Tie(NamedTuple):
    """Why a call comes before another: `version` of `record` is the one that it made or saw."""

    kind: str
    record: str = ""
    version: int = 0
    next_version: int = 0

    def __str__(self) -> str:
        return {
            "wr": f"made {self.record} {self.version}, which the next saw",
            "ww": f"made {self.record} {self.version}, which the next made {self.next_version}",
            "rw": f"saw {self.record} {self.version}, which the next made {self.next_version}",
            "rt": "was answered before the next was sent",
        }[self.kind]


_IN_REAL_TIME = Tie("rt")


@dataclass(frozen=True)
class Verdict:
    """What was found in a history.

    Args:
        call_count: how many calls it has.
        tie_counts: how many ties of each kind but rt.
        flaws: versions that two calls made, and those that were seen and nobody made.
        knots: how many groups of calls no order explains, each as large as it can be.
        cycle: the fewest calls that none explains, each with why it comes before the next, the last before
            the first; empty = some order explains all.
    """

    call_count: int
    tie_counts: Counter[str]
    flaws: Sequence[str]
    knots: int
    cycle: Sequence[tuple[Call, Tie]]

    @property
    def holds(self) -> bool:
        return not self.flaws and not self.cycle

    def __str__(self) -> str:
        lines = list(self.flaws)
        if self.cycle:
            lines.append(f"{self.knots} groups of calls in no order; {len(self.cycle)} of them:")
            lines += [f"  {call}\n    {tie}" for call, tie in self.cycle]
            lines.append(f"  {self.cycle[0][0].name}, again")
        return "\n".join(lines) or f"some order explains {self.call_count} calls"


def judge(calls: Sequence[Call]) -> Verdict:
    """Judge a history, in whatever order its calls are given."""
    graph = _Graph(sorted(calls, key=lambda call: call.sent_s))
    knots = list(graph.knots())
    found = [graph.smallest_cycle(knot) for knot in knots]
    return Verdict(len(calls), graph.tie_counts, graph.flaws, len(knots), min(found, key=len, default=()))


class _Graph:
    """Calls by their number, in the order in which they were sent, and the ties between them."""

    def __init__(self, calls: Sequence[Call]) -> None:
        self.tie_counts: Counter[str] = Counter()
        self.flaws: list[str] = []
        self._calls = calls
        self._sent_s = [call.sent_s for call in calls]
        self._ties: dict[int, dict[int, Tie]] = defaultdict(dict)
        makers = self._makers()
        versions = {record: sorted(made) for record, made in makers.items()}
        for record, made in makers.items():
            for version, later in pairwise(versions[record]):
                self._tie(made[version], made[later], Tie("ww", record, version, later))
        for reader, call in enumerate(calls):
            for record, version in call.reads.items():
                self._tie_reader(reader, record, version, makers[record], versions.get(record, []))

    def _makers(self) -> dict[str, dict[int, int]]:
        """Return who made each version of each record."""
        makers: dict[str, dict[int, int]] = defaultdict(dict)
        for number, call in enumerate(self._calls):
            for record, version in call.writes.items():
                other = makers[record].setdefault(version, number)
                if other != number:
                    self.flaws.append(f"{record} {version} was made twice: {self._calls[other]}, {call}")
        return makers

    def _tie_reader(
        self, reader: int, record: str, version: int, made: dict[int, int], versions: Sequence[int]
    ) -> None:
        if version in made:
            self._tie(made[version], reader, Tie("wr", record, version))
        elif version:
            self.flaws.append(f"{record} {version} was made by nobody: {self._calls[reader]}")
        for later in versions[bisect_right(versions, version) :][:1]:
            self._tie(reader, made[later], Tie("rw", record, version, later))

    def _tie(self, first: int, then: int, tie: Tie) -> None:
        if first != then:
            self.tie_counts[tie.kind] += 1
            self._ties[first].setdefault(then, tie)

    # --- cycles ------------------------------------------------------------------------------------

    def knots(self) -> Iterator[list[int]]:
        """Yield each strongly connected component that has a cycle (Tarjan's algorithm).

        Real time is a chain of moments, one where each call is sent, each leading to its call and to the next
        moment; a call leads to the first moment after its answer. So there are as many ties of it as calls.
        """
        count = len(self._calls)
        after = [list(self._ties[number]) for number in range(count)]
        for number, call in enumerate(self._calls):
            moment = bisect_right(self._sent_s, call.answered_s)
            after[number] += [count + moment] if moment < count else []
            after.append([number] + ([count + number + 1] if number + 1 < count else []))
        for component in _components(after):
            calls = sorted(number for number in component if number < count)
            if len(calls) > 1:
                yield calls

    def smallest_cycle(self, knot: Sequence[int]) -> list[tuple[Call, Tie]]:
        """Return one of the shortest cycles among these, by a search from each of them in breadth."""
        shortest: list[int] = []
        for start in knot:
            came_from = {start: start}
            queue = deque([(start, 1)])
            while queue and (not shortest or queue[0][1] < len(shortest)):
                number, length = queue.popleft()
                following = self._following(number, knot)
                if start in following:
                    shortest = _way(came_from, start, number)
                    break
                for then in following:
                    if then not in came_from:
                        came_from[then] = number
                        queue.append((then, length + 1))
        return [
            (self._calls[first], self._ties[first].get(then, _IN_REAL_TIME))
            for first, then in pairwise([*shortest, shortest[0]])
        ]

    def _following(self, number: int, knot: Sequence[int]) -> list[int]:
        answered_s = self._calls[number].answered_s
        return [each for each in knot if each in self._ties[number] or self._calls[each].sent_s > answered_s]


def _way(came_from: dict[int, int], start: int, end: int) -> list[int]:
    way = [end]
    while way[-1] != start:
        way.append(came_from[way[-1]])
    return way[::-1]


def _components(after: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    """Yield the strongly connected components of a graph, given by what each node leads to."""
    seen_as: dict[int, int] = {}
    lowest: dict[int, int] = {}
    path: list[int] = []
    open_nodes: set[int] = set()
    for root in range(len(after)):
        # In place of recursion, which histories are too long for.
        work = [] if root in seen_as else [(root, iter(after[root]))]
        while work:
            node, following = work[-1]
            if node not in seen_as:
                seen_as[node] = lowest[node] = len(seen_as)
                path.append(node)
                open_nodes.add(node)
            for then in following:
                if then not in seen_as:
                    work.append((then, iter(after[then])))
                    break
                if then in open_nodes:
                    lowest[node] = min(lowest[node], seen_as[then])
            else:
                work.pop()
                if work:
                    parent = work[-1][0]
                    lowest[parent] = min(lowest[parent], lowest[node])
                if lowest[node] == seen_as[node]:
                    component: list[int] = []
                    while not component or component[-1] != node:
                        component.append(path.pop())
                    open_nodes.difference_update(component)
                    yield component
