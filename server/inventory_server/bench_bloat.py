"""What a product that everybody wants does to its tables: their sizes before and after a million changes."""

from __future__ import annotations

import time
from typing import Any, NamedTuple

from rich.console import Console

from inventory_loadtest.bench import suite
from inventory_loadtest.bench.display import bars
from inventory_loadtest.bench.figures import Figure, Found
from inventory_server.bench_outcome import Proof
from inventory_server.bench_place import Place
from inventory_server.db import measured

CALLERS = 64
SLICE_S = 5
_COUNTED_TIMEOUT_S = 60.0
_HOT_TABLE = "stock_level"
_COUNTED_BY = "reservation"


class Bloat(NamedTuple):
    """The figures by key; the tables before and after, and how fast it went, as the bench's JSON has them."""

    figures: dict[str, Any]
    tables: dict[str, Any]


NOT_MEASURED = Bloat({}, {})


def measure_bloat(place: Place, changes: int, proof: Proof, console: Console) -> Bloat:
    """Let callers of one session change one product so often, in a place where nobody has yet."""
    before = measured.tables(place.url)
    slices = _change(place, changes, console)
    done = slices[-1]["changes"]
    after = _counted(place, before, done)
    with console.status("verifying the product"):
        proof.check(place.server.address, done, product=suite.HOT)
    hot_before, hot = before[_HOT_TABLE], after[_HOT_TABLE]
    updates = hot["updates"] - hot_before["updates"]
    figures = {
        "bloat": (
            f"{_HOT_TABLE} with its indexes, after {done:,} changes of one of 10,001 products / before",
            hot["size_kib"] / hot_before["size_kib"],
        ),
        "hot_share": (
            f"of {updates:,} updates of that row, those that touched no index (HOT)",
            (hot["hot_updates"] - hot_before["hot_updates"]) / max(1, updates),
        ),
    }
    found = {
        key: Found(Figure(key, what, None, lambda _: 0.0), [value]).as_json({})
        for key, (what, value) in figures.items()
    }
    tables = {"before": before, "after": after}
    return Bloat(found, {"changes": done, "row_updates": updates, "slices": slices, **tables})


def _change(place: Place, changes: int, console: Console) -> list[dict[str, Any]]:
    """Make changes until there are so many. Returns: slice by slice how many were acknowledged by then."""
    done, slices = 0, []
    with bars(console) as shown:
        task = shown.add_task("bloat", total=changes, now="changes of one product")
        while done < changes:
            sample = place.load(SLICE_S, kind="stream", callers=CALLERS)
            done += sample.units_held
            slices.append({"changes": done, "per_s": round(sample.per_s), "p99_ms": sample.p99_ms})
            shown.update(task, completed=min(done, changes))
    return slices


def _counted(place: Place, before: dict[str, Any], changes: int) -> dict[str, dict[str, Any]]:
    """The tables, once PostgreSQL has counted all of it; it does so seconds later."""
    already = before.get(_COUNTED_BY, {}).get("inserts", 0)
    until = time.monotonic() + _COUNTED_TIMEOUT_S
    while True:
        tables = measured.tables(place.url)
        if tables.get(_COUNTED_BY, {}).get("inserts", 0) >= already + changes or time.monotonic() > until:
            return tables
        time.sleep(0.5)
