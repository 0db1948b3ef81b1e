"""The bench's figures and samples, without a server."""

from __future__ import annotations

import asyncio
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest

import inventory_client
from inventory_loadtest import charts
from inventory_loadtest.bench import curves, display, h2load, pressure, report, suite
from inventory_loadtest.bench.figures import Figure, Found, at_least, at_most
from inventory_loadtest.bench.load import Tally, closed_loop, open_loop
from inventory_loadtest.bench.sample import Sample
from inventory_server.db import raw_sql


@pytest.mark.parametrize(
    ("values", "goal", "met"),
    [
        ([3.0, 1.0, 2.0], at_least(2.0), True),
        ([3.0, 1.0, 2.0], at_least(2.01), False),
        ([3.0, 1.0, 2.0], at_most(2.0), True),
        ([3.0, 1.0, 2.0], at_most(1.99), False),
        ([3.0, 1.0, 2.0], None, None),
    ],
)
def test_a_figure_is_judged_by_its_median(values: list[float], goal: object, met: bool | None) -> None:
    """The median meets a goal or not, whatever the best and the worst round did."""
    found = Found(Figure("key", "what", goal, lambda _: 0.0), values)  # type: ignore[arg-type]
    assert found.met is met
    assert found.as_json({})["median"] == 2.0


def test_a_sample_of_latencies() -> None:
    """Percentiles are of the sorted latencies, in milliseconds; the rate counts items, not calls."""
    sample = Sample.of(500, 2.0, [n / 1000 for n in range(100, 0, -1)], cpu_s=1.0)
    assert (sample.per_s, sample.p50_ms, sample.p99_ms, sample.max_ms) == (250.0, 51.0, 100.0, 100.0)
    assert sample.generator_cpu_share == 0.5


def refusing(error: type[inventory_client.InventoryError]) -> Callable[[], object]:
    async def ask() -> int:
        raise error("no", code=grpc.StatusCode.UNAVAILABLE)

    return ask


@pytest.mark.parametrize(
    ("error", "refused", "late"),
    [(inventory_client.Overloaded, 1, 0), (inventory_client.DeadlineExceeded, 0, 1)],
)
async def test_a_refusal_ends_a_load_or_is_counted(error: Any, refused: int, late: int) -> None:
    """Who measures throughput wants none; under a flood each is counted, apart from what was answered."""
    ask: Any = refusing(error)
    with pytest.raises(error):
        await Tally().one(ask, 0.0)
    tally = Tally(is_tolerant=True)
    await tally.one(ask, 0.0)
    assert (tally.count, tally.units, len(tally.refusals_s), tally.late) == (1, 0, refused, late)


async def test_an_open_loop_waits_for_nobody() -> None:
    """Every call goes out, though none is answered before the last one is sent."""
    sent, last = 0, asyncio.Event()

    async def ask() -> int:
        nonlocal sent
        sent += 1
        if sent == 20:
            last.set()
        await last.wait()
        return 1

    tally = Tally()
    async with asyncio.timeout(30):
        await open_loop([ask], tally, 0.02, 1_000)
    assert tally.units == 20


async def test_a_latency_counts_from_when_a_call_was_meant() -> None:
    """A generator that was held up doesn't hide it: what it sent late was waited for all the time."""

    async def ask() -> int:
        if not tally.count:
            time.sleep(0.05)  # noqa: ASYNC251
        return 1

    tally = Tally()
    await open_loop([ask], tally, 0.005, 1_000)
    assert len(tally.latencies_s) == 5
    assert min(tally.latencies_s) >= 0.045


async def test_a_closed_loop_ends_when_it_is_told() -> None:
    """Whoever keeps a load running beside something ends it with that."""
    stop, tally = asyncio.Event(), Tally()

    async def ask() -> int:
        stop.set()
        return 1

    await closed_loop([ask], tally, 3600, stop)
    assert tally.units == 1


def test_a_share_of_the_peak() -> None:
    """A rate that is named as a share is one of what the same round has reached before."""
    asked: list[object] = []

    def load(seconds: int, **options: object) -> Sample:
        asked.append(options.get("rate"))
        return Sample.of(200, seconds, [0.1])

    peak = pressure.Peak(load)
    half = peak.share_of(load, 0.5)
    peak(2)
    half(2)
    assert asked == [None, 50.0]


def rounds(per_s: float, p99_ms: float) -> list[dict[str, float]]:
    sample = Sample.of(10, 1.0, [p99_ms / 1000]).as_json()
    return [sample | {"per_s": per_s * factor, "asked_per_s": per_s} for factor in (1, 0.5, 2)]


def test_the_curves_of_a_page() -> None:
    """Measurements of one kind are a curve over their carts; one alone is none."""
    samples = {
        "reserve_hot_64": rounds(2_000, 50),
        "reserve_hot_1": rounds(200, 5),
        "raw_hot_64": rounds(90, 1),
    }
    page = curves.over_carts(samples)
    assert page.count('class="curve ours"') == 2, "answers a second, and p99"
    assert 'class="curve raw"' not in page
    assert curves.over_rates(samples) == ""
    samples = {"open_25": rounds(500, 4), "open_50": rounds(1_000, 9), "open_raw_50": rounds(45, 70)}
    page = curves.over_rates(samples)
    assert page.count('class="dot ours"') == 2 and page.count('class="dot raw"') == 1
    assert curves.over_carts(samples) == ""
    slices = [{"changes": n * 1_000, "per_s": 5_000, "p99_ms": 20} for n in (1, 2, 3)]
    assert curves.over_changes(slices).count('class="dot ours"') == 3


def stage_of(name: str, sample: Sample) -> suite.Stage:
    return suite.Stage("one", {name: lambda _: sample}, [], 1, rounds=2)


def test_what_is_acknowledged_counts_under_any_name() -> None:
    """An order counts, though it was asked beside empty calls and is called after them."""
    sample = Sample.of(3, 1.0, [0.1] * 3, units_held=4)
    assert suite.run(stage_of("quiet_beside_echo", sample), lambda _: None).units_held() == 8


def test_a_measurement_without_an_answer() -> None:
    """No ratio can be made of it: it is told by its name."""
    with pytest.raises(suite.BenchError, match=r"^alone: nothing was answered"):
        suite.run(stage_of("alone", Sample.of(0, 1.0, [])), lambda _: None)


def test_a_page_has_every_round_once() -> None:
    """A measurement that several figures share is there once; of two of one name no round is lost."""
    first, second = rounds(100, 1), rounds(200, 2)
    figures = {
        "a": {"raw": {"reserve": first}}, "b": {"raw": {"reserve": first}}, "c": {"raw": {"reserve": second}},
    }  # fmt: skip
    assert report._samples(figures) == {"reserve": first + second}


@pytest.mark.parametrize(
    ("script", "said"),
    [("echo no such host >&2; exit 1", "h2load: no such host"), ("exit 3", "h2load: exit status 3")],
)
def test_an_h2load_that_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, said: str
) -> None:
    """Its last word is told; where there is no h2load the figure is left out."""
    load: Any = suite.Load("127.0.0.1:1")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert h2load.stage(load, seconds=1) is None
    program = tmp_path / h2load.PROGRAM
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    stage = h2load.stage(load, seconds=1)
    assert stage is not None
    with pytest.raises(suite.BenchError, match=f"^{said}$"):
        stage.measures["echo_by_h2load"](1)


def test_what_h2load_is_given_and_says() -> None:
    """A message is framed as gRPC does; an answer that was none has no latency."""
    assert h2load.framed(b"abc") == b"\0\0\0\0\3abc"
    assert h2load.latencies("17\t200\t1500\n18\t503\t10\n19\t200\t2000\n") == [0.0015, 0.002]


def test_raw_sql_that_commits_nothing_is_given_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hundreds that abort each other may commit nothing in their time; then they get four times as long."""
    times: list[str] = []

    def pgbench(argv: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        option = dict(each.split("=", 1) for each in argv if "=" in each)
        times.append(option["--time"])
        if len(times) == 1:
            return subprocess.CompletedProcess(argv, 0, "number of transactions actually processed: 0", "")
        Path(f"{option['--log-prefix']}.1").write_text("0 1 1500 0 0 0\n")
        return subprocess.CompletedProcess(argv, 0, "tps = 2.5 (without initial connection time)", "")

    monkeypatch.setattr(raw_sql.embedded, "program", lambda name: name)
    monkeypatch.setattr(raw_sql.subprocess, "run", pgbench)
    assert raw_sql.run("postgresql://nowhere", clients=4, seconds=1) == (2.5, [0.0015])
    assert times == ["1", "4"]


def test_the_middle_of_batches() -> None:
    """The bound that half of the batches are within; none of none."""
    assert display.middle_size({"1": 5, "2": 0, "4": 4, "8": 1}) == 1
    assert display.middle_size({"1": 4, "2": 0, "4": 5, "8": 1}) == 4
    assert display.middle_size({}) == 0


def test_a_logarithmic_scale() -> None:
    """Equal ratios are equal distances; what isn't above 0 stands at the begin, what is beyond at the end."""
    scale = charts.LogScale([1, 100])
    assert scale.at(10) == pytest.approx(0.5)
    assert scale.at(10) - scale.at(1) == pytest.approx(scale.at(100) - scale.at(10))
    assert (scale.at(0), scale.at(-1), scale.at(10**9)) == (0, 0, 1)
    assert charts.LogScale([]).at(1) == pytest.approx(0.5)
