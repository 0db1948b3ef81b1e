"""The judge of histories: what it must find, and what it must not."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.serial.history import Call, Versions, read_history, write_history
from support.serial.judge import judge

_EACH_AT_ONCE = (0.0, 1.0)


def call(
    name: str,
    reads: Versions | None = None,
    writes: Versions | None = None,
    at: tuple[float, float] = _EACH_AT_ONCE,
) -> Call:
    return Call(name, 0, *at, reads or {}, writes or {})


def kinds(*calls: Call) -> list[str]:
    """Return the kinds of the ties of the smallest cycle."""
    return sorted(tie.kind for _, tie in judge(calls).cycle)


def test_write_skew() -> None:
    """Each saw what the other then changed."""
    one = call("one", {"a": 0, "b": 0}, {"a": 1})
    two = call("two", {"a": 0, "b": 0}, {"b": 1})
    assert kinds(one, two) == ["rw", "rw"]


def test_lost_update() -> None:
    """Both changed what both had seen: the second one undid the first."""
    assert kinds(call("one", {"a": 0}, {"a": 1}), call("two", {"a": 0}, {"a": 2})) == ["rw", "ww"]


def test_read_skew() -> None:
    """One saw half of what another did at once."""
    both = call("both", writes={"a": 1, "b": 1})
    assert kinds(both, call("half", {"a": 1, "b": 0})) == ["rw", "wr"]


def test_a_reader_sees_an_order_that_never_was() -> None:
    """Two writers have an order, and a third call saw the later one without the earlier one."""
    pivot = call("pivot", {"a": 0}, {"b": 1})
    out = call("out", writes={"a": 1})
    assert kinds(pivot, out) == []
    assert kinds(pivot, out, call("reader", {"a": 1, "b": 0})) == ["rw", "rw", "wr"]


def test_long_fork() -> None:
    """Two changes that two readers saw in different orders."""
    calls = (
        call("a", writes={"a": 1}), call("b", writes={"b": 1}),
        call("saw a", {"a": 1, "b": 0}), call("saw b", {"a": 0, "b": 1}),
    )  # fmt: skip
    assert kinds(*calls) == ["rw", "rw", "wr", "wr"]


def test_writes_in_two_orders() -> None:
    """Each made a version after one of the other."""
    assert kinds(call("one", writes={"a": 1, "b": 2}), call("two", writes={"a": 2, "b": 1})) == ["ww", "ww"]


def test_seen_by_halves_of_each_other() -> None:
    """Each saw what the other made."""
    assert kinds(call("one", {"a": 1}, {"b": 1}), call("two", {"b": 1}, {"a": 1})) == ["wr", "wr"]


def test_an_old_version_after_the_answer() -> None:
    """A reader that was sent after the answer does not see the change: serializable, but not strictly."""
    writer = call("writer", writes={"a": 1}, at=(0, 1))
    assert kinds(writer, call("reader", {"a": 0}, at=(2, 3))) == ["rt", "rw"]
    assert kinds(writer, call("reader", {"a": 0}, at=(1, 3))) == []


def test_real_time_through_others() -> None:
    """An old version shows a cycle however many calls came in between, and the cycle is told without them."""
    between = [call(f"between {n}", {"b": 0}, at=(n, n + 0.5)) for n in range(1, 100)]
    writer, reader = call("writer", writes={"a": 1}, at=(0, 0.5)), call("reader", {"a": 0}, at=(200, 201))
    assert kinds(writer, *between, reader) == ["rt", "rw"]


def test_the_smallest_cycle_is_told() -> None:
    """Of three in a ring and two of another, the two; what stands aside is in neither."""
    ring = [call(f"ring {n}", {f"r{n}": 0}, {f"r{(n + 1) % 3}": 1}) for n in range(3)]
    two = [call("one", {"a": 0}, {"b": 1}), call("two", {"b": 0}, {"a": 1})]
    verdict = judge([*ring, *two, call("aside", {"a": 1, "r0": 1})])
    assert verdict.knots == 2
    assert {found.name for found, _ in verdict.cycle} == {"one", "two"}
    assert len(judge(ring).cycle) == 3
    assert str(verdict).splitlines() == [
        "2 groups of calls in no order; 2 of them:",
        "  one [client 0, 0.0000 to 1.0000 s]",
        "    saw a 0, which the next made 1",
        "  two [client 0, 0.0000 to 1.0000 s]",
        "    saw b 0, which the next made 1",
        "  one, again",
    ]


def test_versions_of_two_and_of_nobody() -> None:
    """A version that two made, or that was seen and nobody made, is told as such."""
    assert "a 1 was made twice" in str(judge([call("one", writes={"a": 1}), call("two", writes={"a": 1})]))
    assert "a 7 was made by nobody" in str(judge([call("one", {"a": 7}), call("two", writes={"a": 8})]))


@pytest.mark.parametrize("seed", range(20))
def test_a_serial_history_holds(seed: int) -> None:
    """Calls one after the other on random records, told in any order: no cycle; one of them stale: one."""
    chance = random.Random(seed)
    now: Versions = dict.fromkeys("abcdef", 0)
    calls = []
    for n in range(300):
        seen = {record: now[record] for record in chance.sample("abcdef", 3)}
        written = {record: now[record] + 1 for record in chance.sample("abcdef", chance.randint(0, 2))}
        now.update(written)
        # Callers whose times overlap, around the moment at which the call took effect.
        calls.append(Call(f"call {n}", 0, n - chance.random() * 5, n + chance.random() * 5, seen, written))
    chance.shuffle(calls)
    verdict = judge(calls)
    assert verdict.holds, str(verdict)
    assert verdict.tie_counts.keys() == {"wr", "ww", "rw"}
    stale = max((each for each in calls if each.reads and each.writes), key=lambda each: each.sent_s)
    for record, version in itertools.islice(stale.reads.items(), 1):
        stale.reads[record] = max(0, version - 10)
    assert not judge(calls).holds


def test_as_if_every_order_were_tried() -> None:
    """Of few random calls: there is no cycle exactly where some order of them explains each."""
    chance = random.Random(22)
    verdicts = Counter[bool]()
    for _ in range(1_000):
        calls = random_calls(chance)
        holds = judge(calls).holds
        assert holds == any(map(explains, itertools.permutations(calls))), calls
        verdicts[holds] += 1
    assert min(verdicts[True], verdicts[False]) > 100


def random_calls(chance: random.Random) -> list[Call]:
    """Return calls that saw any version and made the next, at times that overlap."""
    made = dict.fromkeys("ab", 0)
    calls = []
    for n in range(5):
        written = chance.sample("ab", chance.choice([0, 0, 1, 2]))
        made.update({record: made[record] + 1 for record in written})
        sent_s = chance.random()
        at = (sent_s, sent_s + 3 * chance.random())
        calls.append(call(f"call {n}", writes={record: made[record] for record in written}, at=at))
    for each in calls:
        record = chance.choice("ab")
        others = set(range(made[record] + 1)) - {each.writes.get(record)}
        each.reads[record] = chance.choice(sorted(others))
    return calls


def explains(order: Sequence[Call]) -> bool:
    """Whether calls could have come so: after those answered before, each seeing and making what is next."""
    now = dict.fromkeys("ab", 0)
    for place, each in enumerate(order):
        if any(later.answered_s < each.sent_s for later in order[place + 1 :]):
            return False
        if any(now[record] != version for record, version in each.reads.items()):
            return False
        if any(now[record] + 1 != version for record, version in each.writes.items()):
            return False
        now.update(each.writes)
    return True


def test_a_history_is_what_was_written(tmp_path: Path) -> None:
    """A file holds all that the judge needs, from the first call on."""
    calls = [call("two", {"a": 1}, at=(12.5, 13.0)), call("one", writes={"a": 1}, at=(10.0, 11.0))]
    write_history(tmp_path / "history.jsonl", calls)
    assert read_history(tmp_path / "history.jsonl") == [
        call("one", writes={"a": 1}, at=(0.0, 1.0)),
        call("two", {"a": 1}, at=(2.5, 3.0)),
    ]
