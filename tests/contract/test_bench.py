"""`inventory bench`: every load on a real bench server, the reference, and what becomes of their samples."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from rich.console import Console

import inventory_client
from inventory_client import v1
from inventory_loadtest.bench import imports, proof, suite
from inventory_loadtest.bench.asks import BATCH_ITEMS, HOLDING_NOTHING, KINDS, ORDER_LINES, Products
from inventory_loadtest.bench.display import number, print_table
from inventory_loadtest.bench.figures import Figure, at_least, rates
from inventory_loadtest.bench.load import load
from inventory_loadtest.bench.report import render
from inventory_loadtest.bench.sample import Sample
from inventory_server import bench_bloat
from inventory_server.bench_outcome import Proof, outcome_of, size_of
from inventory_server.bench_place import Place, bench_place, bench_server, guarded_server
from inventory_server.db import grown, measured

UNSEEN = Console(quiet=True)
UNITS = {"batch": BATCH_ITEMS, "order": ORDER_LINES}
"""Of one call."""


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with bench_place(UNSEEN) as made:
        yield made


def allocated(place: Place) -> int:
    with inventory_client.connect(place.server.address, timeout_s=30) as client:
        return proof.allocated_units(client)


@pytest.mark.parametrize("kind", KINDS)
def test_a_load_counts_what_is_acknowledged(place: Place, kind: str) -> None:
    """What a load says is acknowledged is what the server has; an echo leaves nothing behind."""
    before = allocated(place)
    products = Products(suite.COLD, suite.COLD_PRODUCTS)
    sample = asyncio.run(load(place.server.address, kind, products, callers=3, seconds=0.3))
    assert allocated(place) - before == sample.units_held
    is_empty = kind in HOLDING_NOTHING
    assert sample.units_held == (0 if is_empty else sample.count + 3 * UNITS.get(kind, 1))
    assert 0 < sample.p50_ms <= sample.p99_ms <= sample.p999_ms <= sample.max_ms


def test_an_open_loop_keeps_its_rate(place: Place) -> None:
    """Calls go out at their time, whatever became of those before; each of them is counted."""
    sample = asyncio.run(
        load(place.server.address, "reserve", Products(suite.HOT, 1), callers=2, seconds=0.5, rate=40)
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
    before = allocated(place)
    result = suite.run(stage, told.append)
    outcome = outcome_of(place, [result], Proof())
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
    before, rows_before = allocated(place), size_of(place)["rows"]
    assert list(fill(place.url, count))[-1] == count
    size = size_of(place)
    written = "stock_transaction" if fill is grown.fill_history else "stock"
    assert size["rows"][written] - rows_before[written] == count
    assert size["tables"][written]["size_kib"] > 0 and size["server_mb"] > 20
    found = Proof()
    found.check(place.server.address, 0)
    assert found.violations == []
    held = grown.RESERVATIONS_PER_PRODUCT * count if fill is grown.fill_catalogue else 0
    assert found.allocated - before == held


def test_a_log_of_any_length(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many entries are written as were asked for, whatever goes to a product."""
    monkeypatch.setattr(grown, "ENTRIES_PER_PRODUCT", 20)
    with bench_place(UNSEEN) as fresh:
        before = size_of(fresh)["rows"]["stock_transaction"]
        assert list(grown.fill_history(fresh.url, 50)) == [40, 50]
        assert size_of(fresh)["rows"]["stock_transaction"] - before == 50


def test_the_settings_are_those_of_the_server(place: Place) -> None:
    """What a commit costs is told as the measured server has set it, not as a connection of our own has."""
    assert place.settings()["synchronous_commit"] == "on"
    with bench_server(measured.with_settings(place.url, synchronous_commit="off")) as server:
        found = Place(place.url, server).settings()
    assert (found["synchronous_commit"], found["transaction_isolation"]) == ("off", "serializable")
    assert place.settings()["synchronous_commit"] == "on"


def test_an_import_beside_copy(place: Place) -> None:
    """Both write the same rows into stores of their own, and every law holds over either."""
    stage = imports.stage(place.server.address, place.settled, place.copy, rows=1_500)
    result = suite.run(dataclasses.replace(stage, rounds=1), lambda _: None)
    assert {name: sample.count for name, sample in result.rounds[0].items()} == {
        "import_rows": 1_500, "copy_rows": 1_500,
    }  # fmt: skip
    stocks = []
    for store in (imports.FIRST_STORE, "copy-0"):
        with inventory_client.connect(place.server.address, store=store, timeout_s=60) as client:
            assert proof.violations(client) == []
            stocks.append([(each.product_id, each.total) for each in client.inventory.ListStock(
                v1.ListStockRequest(page_size=1_000)).stocks])  # fmt: skip
    assert stocks[0] == stocks[1] != []


def test_what_a_wanted_product_does_to_its_table(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tables before and after its changes are told, and what was acknowledged is there."""
    monkeypatch.setattr(bench_bloat, "SLICE_S", 1)
    found = Proof()
    figures, tables = bench_bloat.measure_bloat(place, 1, found, UNSEEN)
    assert (found.missing, found.violations) == (0, [])
    assert tables["changes"] == tables["slices"][-1]["changes"] > 0
    assert tables["after"]["reservation"]["inserts"] >= tables["changes"]
    assert figures["bloat"]["median"] >= 1
    assert 0 <= figures["hot_share"]["median"] <= 1


def test_a_load_on_a_guarded_server(place: Place) -> None:
    """Its callers have a token, which stands on no command line; without it nobody is let in."""
    with guarded_server(place.url) as guarded:
        assert guarded(1, callers=2).count > 0
        assert guarded.token is not None and guarded.token not in repr(guarded)
        with pytest.raises(suite.BenchError, match=r"^load: .*UNAUTHENTICATED"):
            dataclasses.replace(guarded, token=None)(1, callers=1)


def test_a_load_beside_another(place: Place) -> None:
    """It runs when the block begins, ends with it, and tells what it was acknowledged."""
    before = allocated(place)
    told: list[Sample] = []
    with place.load.beside(told.append, callers=2):
        during = allocated(place)
    assert during > before
    assert allocated(place) - before == told[0].units_held


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
    with pytest.raises(suite.BenchError, match=r"^load: .*INSUFFICIENT_STOCK"):
        place.load(1, callers=1, product="unknown")
