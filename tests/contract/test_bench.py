"""`inventory bench`: every load on a real bench server, the reference, and what becomes of their samples."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

from inventory_loadtest.bench import suite
from inventory_loadtest.bench.display import number, print_table
from inventory_loadtest.bench.figures import Figure, Found, at_least, at_most, rates
from inventory_loadtest.bench.load import BATCH_ITEMS, KINDS, Products, load
from inventory_loadtest.bench.report import render
from inventory_loadtest.bench.sample import Sample
from inventory_server.bench_command import Place, bench_place, outcome_of
from inventory_server.db import grown

UNSEEN = Console(quiet=True)


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with bench_place(UNSEEN) as made:
        yield made


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_counts_what_is_acknowledged(place: Place, kind: str) -> None:
    """What a load says is acknowledged is what the server has; an echo leaves nothing behind."""
    before = outcome_of(place, [], UNSEEN)["units_allocated"]
    products = Products(suite.COLD, suite.COLD_PRODUCTS)
    sample = asyncio.run(load(place.server.address, kind, products, callers=3, seconds=0.3, per_s=None))
    outcome = outcome_of(place, [], UNSEEN)
    assert outcome["units_allocated"] - before == (0 if "echo" in kind else sample.units_held)
    assert sample.units_held >= sample.count + 3 * (BATCH_ITEMS if kind == "batch" else 1)
    assert 0 < sample.p50_ms <= sample.p99_ms <= sample.p999_ms <= sample.max_ms
    assert outcome["violations"] == 0


def test_an_open_loop_keeps_its_rate(place: Place) -> None:
    """Calls go out at their time, whatever became of those before; each of them is counted."""
    sample = asyncio.run(
        load(place.server.address, "reserve", Products(suite.HOT, 1), callers=2, seconds=0.5, per_s=40)
    )
    assert sample.count == 20
    assert sample.per_s <= 40 * 20 / 19


def test_a_stage_beside_raw_sql(place: Place) -> None:
    """A round makes every measurement once; the outcome has its figures, its proof and a page."""
    ours, reference = "reserve_hot_64", "raw_hot_64"
    stage = suite.Stage(
        "two",
        {
            reference: lambda seconds: place.raw(clients=2, seconds=seconds, products=1),
            ours: lambda seconds: place.load(seconds, callers=2),
        },
        [Figure("contention_64", "ours / raw SQL", at_least(1e-6), rates(ours, reference))],
        seconds=1,
        rounds=1,
    )
    told: list[str] = []
    before = outcome_of(place, [], UNSEEN)["units_allocated"]
    result = suite.run(stage, told.append)
    outcome = outcome_of(place, [result], UNSEEN)
    assert told == [reference, ours]
    figure = outcome["figures"]["contention_64"]
    assert figure["met"] and figure["median"] == figure["min"] == figure["max"] > 0
    assert figure["raw"][reference][0]["count"] > 0
    assert outcome["units_acknowledged"] == outcome["units_allocated"] - before > 0
    assert outcome["acknowledged_missing"] == 0
    assert outcome["settings"]["fsync"] == "on"
    assert outcome["settings"]["transaction_isolation"] == "serializable"
    assert outcome["figures"]["memory_mb"]["median"] > 20
    whole = json.loads(json.dumps({"begun": "now", "machine": MACHINE} | outcome))
    page = render(whole)
    assert "contention_64" in page and "<script" not in page
    printed = io.StringIO()
    print_table(whole, Console(file=printed, width=80))
    words = [line.split() for line in printed.getvalue().splitlines()]
    shown = {line[0]: line[1] for line in words if len(line) > 1}
    for key, figure in whole["figures"].items():
        assert shown[key] == number(figure["median"]), "a narrow terminal shows every figure"


@pytest.mark.parametrize(
    ("fill", "count"),
    [(grown.fill_history, 30), (grown.fill_catalogue, 3)],
)
def test_a_store_that_has_grown(place: Place, fill: Any, count: int) -> None:
    """What is written in bulk is what the service would have written: every law holds over it."""
    before = outcome_of(place, [], UNSEEN)
    assert list(fill(place.url, count))[-1] == count
    after = outcome_of(place, [], UNSEEN)
    assert after["violations"] == 0
    held = grown.RESERVATIONS_PER_PRODUCT * count if fill is grown.fill_catalogue else 0
    assert after["units_allocated"] - before["units_allocated"] == held


MACHINE = {
    "cores": 2,
    "processor": "any",
    "system": "any",
    "load_average_begun": 0.5,
    "python": "3",
    "packages": {},
}


def test_a_load_that_fails_says_why(place: Place) -> None:
    """A load that can't be run is one line with its last word."""
    with pytest.raises(suite.BenchError, match=r"^load reserve: .*INSUFFICIENT_STOCK"):
        place.load(1, callers=1, product="unknown")


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
