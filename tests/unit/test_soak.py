"""A soak's figures without a server: the trend, the shift, the tally, the gauges, the page."""

from __future__ import annotations

import io
import json
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from inventory_loadtest.evidence import FinalState, Violation
from inventory_loadtest.history import Event, Outcome, Step
from inventory_loadtest.soak.blows import Blow, by_kind
from inventory_loadtest.soak.display import print_findings, result_table
from inventory_loadtest.soak.gauges import Gauges, Sample, Watched, children, private_mb, resident_mb
from inventory_loadtest.soak.judge import unusual
from inventory_loadtest.soak.report import render
from inventory_loadtest.soak.result import SoakResult
from inventory_loadtest.soak.shift import PRODUCTS, Shift
from inventory_loadtest.soak.summary import summary
from inventory_loadtest.soak.tally import Tally
from inventory_loadtest.soak.trend import JUDGED_S, RISE_MB, WARM_UP_S, trend
from inventory_server import soak_command
from inventory_server.cli import app

MACHINE = {
    "cores": 2, "processor": "any", "system": "any", "load_average_begun": 0.5, "python": "3", "packages": {}
}  # fmt: skip
ABOUT = {"seed": 3, "minutes": 5.0, "begun": "now", "commit": "abc", "machine": MACHINE}


def event(step: Step = Step.CHANGE, outcome: Outcome = Outcome.OK, **more: object) -> Event:
    return Event(step, outcome, 1.0, 2.0, **more)  # type: ignore[arg-type]


# --- whether memory is flat ----------------------------------------------------------------------


def sizes(run_s: int, mb_per_s: float, *, noise: float = 0.0) -> list[tuple[float, float, int]]:
    """A size by the second that jumps in its warm-up, and then goes on as told."""
    chance = random.Random(1)
    return [
        (float(at), 40.0 + min(at, 50) + mb_per_s * at + chance.uniform(-noise, noise), 100 * at)
        for at in range(run_s + 1)
    ]


def test_what_stays_is_flat() -> None:
    """The warm-up is not judged, and noise is no growth."""
    found = trend(sizes(600, 0.0, noise=4.0))
    assert found.is_flat
    assert abs(found.rise_mb) < 1
    assert (found.judged_s, found.first_mb < 45, round(found.last_mb / 10)) == (400.0, True, 9)


@pytest.mark.parametrize(("more", "is_flat"), [(-0.1, True), (0.1, False)])
def test_what_rises_by_more_than_it_may(more: float, is_flat: bool) -> None:
    """Up to the bound is flat, past it is not; what it is a call is told."""
    found = trend(sizes(600, (RISE_MB + more) / 400))
    assert found.allowed_mb == RISE_MB
    assert found.is_flat is is_flat
    assert found.rise_mb == pytest.approx(RISE_MB + more)
    assert found.bytes_per_call == pytest.approx((RISE_MB + more) * 1e6 / 40_000)


def test_what_is_large_may_rise_by_its_share() -> None:
    """Of 1,000 MB 5 in a hundred are noise."""
    large = [(at, 1_000 + mb, calls) for at, mb, calls in sizes(600, 30 / 400)]
    assert trend(large).is_flat


def test_what_chance_makes_of_a_line_is_no_growth() -> None:
    """What goes up and down by much may seem to rise by more than the bound: so much is told, and allowed."""
    chance = random.Random(1)
    noise = [40 * chance.random() for _ in range(30)]
    jumpy = [(at, mb + noise[int(at // 25)], calls) for at, mb, calls in sizes(600, (RISE_MB + 2) / 400)]
    found = trend(jumpy)
    assert found.margin_mb > RISE_MB
    assert found.is_flat
    assert not trend([(at, mb + at / 4, calls) for at, mb, calls in jumpy]).is_flat


@pytest.mark.parametrize(
    ("run_s", "is_known"), [(WARM_UP_S + JUDGED_S - 1, False), (WARM_UP_S + JUDGED_S, True)]
)
def test_a_run_that_is_too_short(run_s: float, is_known: bool) -> None:
    """Nobody knows before there is enough to judge."""
    assert (trend(sizes(int(run_s), 1.0)).is_flat is not None) is is_known


# --- what is judged together ---------------------------------------------------------------------


def test_a_shift_is_over_when_all_that_was_begun_has_ended() -> None:
    """Closed, it takes nobody more, and whoever works on it finishes."""
    told: list[Event] = []
    shift = Shift(7, told.append)
    assert len(shift.plan.stock) == PRODUCTS
    with shift.work() as takes:
        assert takes
        shift.close()
        assert not shift.is_over
        with shift.work() as another:
            assert not another
        shift.record(event())
    assert shift.is_over
    assert told == shift.events == [event()]


def test_what_somebody_wants_of_a_shift() -> None:
    """Products of the shift, each once, a few units of it."""
    chance, shift = random.Random(1), Shift(1, lambda _: None)
    for _ in range(50):
        lines = shift.lines(chance)
        assert {line.product_id for line in lines} <= set(shift.plan.stock)
        assert 1 <= len({line.product_id for line in lines}) == len(lines) <= 3
        assert all(1 <= line.quantity <= 3 for line in lines)


def test_a_tally_tells_how_open_calls_were_resolved() -> None:
    """OK at the second try, refused at it, or found out at the end: done, or not done."""
    state = FinalState()
    state.log["tea"] = []
    events = [
        event(),
        event(attempts=2, repeated_for="UNAVAILABLE"),
        event(outcome=Outcome.REFUSED, repeated_for="OVERLOADED", reason="INSUFFICIENT_STOCK"),
        event(outcome=Outcome.UNKNOWN, reason="DEADLINE_EXCEEDED", call_id="gone"),
    ]
    tally = Tally()
    for each in events:
        tally.count(each)
    lost = Violation("acknowledged-found", "x", "gone")
    tally.judged(events, state, [lost, Violation("stock-sums", "x", "no sum")])
    assert (tally.acknowledged, tally.refused, tally.left_open) == (2, {"INSUFFICIENT_STOCK": 1}, 3)
    assert tally.left_open_for == {"UNAVAILABLE": 1, "OVERLOADED": 1, "DEADLINE_EXCEEDED": 1}
    assert tally.resolved == {
        "sent again: OK": 1, "sent again: refused": 1, "never answered: found not done": 1,
    }  # fmt: skip
    assert (tally.shifts, tally.lost, len(tally.violations)) == (1, 1, 2)


def test_a_refusal_that_nothing_explains() -> None:
    """Sold out is usual; a defect and a refused id are not."""
    refused = [
        event(outcome=Outcome.REFUSED, reason=reason, call_id=reason)
        for reason in ("INSUFFICIENT_STOCK", "INTERNAL", "ID_REUSED")
    ]
    assert [found.subject for found in unusual(refused)] == ["INTERNAL", "ID_REUSED"]


def test_blows_by_their_kind() -> None:
    """How often, how long at the most, and the middle one."""
    blows = [Blow("b", 1.0, 2.0, each) for each in (0.1, 0.9, 0.3)] + [Blow("a", 2.0, 1.0, 0.5)]
    found = [(each.kind, each.count, each.recovery_s, each.recovery_s_most) for each in by_kind(blows)]
    assert found == [("a", 1, 0.5, 0.5), ("b", 3, 0.3, 0.9)]


# --- what is measured ----------------------------------------------------------------------------


def test_what_a_process_uses() -> None:
    """Read from /proc; nothing of one that is gone."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        assert child.pid in set(children(os.getpid()))
        assert 0 < private_mb(os.getpid()) < resident_mb(os.getpid())
    assert (resident_mb(child.pid), list(children(child.pid))) == (0.0, [])


def test_the_gauges_go_on_while_a_process_is_down() -> None:
    """What is down has size 0, and a server that doesn't say what it does has no tasks."""
    watched = Watched(
        server=os.getpid, victim=lambda: None, postgres=lambda: None, metrics="http://127.0.0.1:1/",
        acknowledged=lambda: 5, left_open=lambda: 1,
    )  # fmt: skip
    with Gauges(watched) as gauges:
        while not gauges.samples:
            pass
    sample = gauges.samples[0]
    assert sample.server_mb > 1 and sample.files > 2 and sample.threads > 0
    assert (sample.victim_mb, sample.postgres_mb, sample.connections, sample.tasks) == (0.0, 0, 0, None)
    assert (sample.acknowledged, sample.left_open, gauges.violations) == (5, 1, 0)


# --- what is told --------------------------------------------------------------------------------


def result(*violations: Violation, mb_per_s: float = 0.0, run_s: int = 600) -> SoakResult:
    tally = Tally(acknowledged=1_234, left_open=5, violations=list(violations))
    tally.resolved["sent again: OK"] = 5
    samples = [
        Sample(at, mb, 80.0, mb, 30, 12, 40 if at else None, 1, 20, calls, 0)
        for at, mb, calls in sizes(run_s, mb_per_s)
    ]
    return SoakResult(ABOUT, tally, [Blow("server killed", 9.0, 2.0, 0.5)], samples, 4, [])


@pytest.mark.parametrize(
    ("found", "is_ok", "verdict"),
    [
        (result(), True, "Nothing lost, memory is flat"),
        (result(run_s=20), True, "Nothing lost; too short to judge memory"),
        (result(mb_per_s=0.2), False, "Nothing lost, but memory grows"),
        (result(Violation("acknowledged-found", "x", "<gone>")), False, "1 findings"),
    ],
)
def test_the_page_says_whether_it_was_a_success(found: SoakResult, is_ok: bool, verdict: str) -> None:
    """Success is: no finding, and memory that isn't seen to grow. The page needs no script."""
    page = render(found)
    assert found.ok is is_ok
    assert verdict in page and "1,234" in page and "server killed" in page
    assert "<script" not in page and "<gone>" not in page
    assert json.loads(json.dumps(found.figures()))["ok"] is is_ok


def test_a_time_without_samples_is_told() -> None:
    """Whoever held the machine is in the times of recovery: how long is said."""
    whole = result()
    held = replace(whole, samples=[*whole.samples[:100], *whole.samples[160:]])
    assert (whole.stood_still_s, held.stood_still_s) == (0, 61)
    assert "stood still" in summary(held.figures()) and "stood still for 61 s" in render(held)
    assert "stood still" not in summary(whole.figures()) + render(whole)


def test_the_table() -> None:
    """Acknowledged, left open, lost, faults and memory stand in it; what was found below it."""
    printed = io.StringIO()
    console = Console(file=printed, width=200)
    found = result(Violation("acknowledged-found", "x", "gone"))
    console.print(result_table(found))
    print_findings(found, console)
    shown = printed.getvalue()
    for text in ("1,234", "sent again: OK", "server killed", "flat", "acknowledged-found: x: gone"):
        assert text in shown


# --- the command ---------------------------------------------------------------------------------


@pytest.mark.parametrize("minutes", [0.0, -1.0, soak_command.MINUTES_MAX + 1])
def test_bad_minutes_are_told_before_anything_starts(
    minutes: float, capsys: pytest.CaptureFixture[str]
) -> None:
    """Above 0, and a week at the most."""
    with pytest.raises(SystemExit) as ended:
        app(["soak", "--minutes", str(minutes)])
    assert ended.value.code == 2
    assert "--minutes" in capsys.readouterr().err


def test_a_week_is_taken(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """At the limit it runs; its files are written, and the exit status says how it was."""
    asked: list[tuple[float, int]] = []

    def run(minutes: float, seed: int, _: Console) -> SoakResult:
        asked.append((minutes, seed))
        return result(mb_per_s=0.2)

    monkeypatch.setattr(soak_command, "_run", run)
    figures, page = tmp_path / "soak.json", tmp_path / "new" / "soak.html"
    args = ["--minutes", str(soak_command.MINUTES_MAX), "--seed", "9", "--json", str(figures)]
    with pytest.raises(SystemExit) as ended:
        app(["soak", *args, "--report", str(page)])
    assert ended.value.code == 1
    assert asked == [(soak_command.MINUTES_MAX, 9)]
    assert json.loads(figures.read_text())["memory_flat"] is False
    assert page.read_text().startswith("<!doctype html>")
