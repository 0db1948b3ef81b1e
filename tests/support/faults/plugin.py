"""The options of the fault cases, their seed, and the page that a whole run writes."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from inventory_server.bench_outcome import commit
from support.faults.cases import CASES
from support.faults.page import Row, machine, page

QUICK, ALL, LONG = "quick", "all", "long"
MARK = "fault(*numbers, full=False): holds these cases of docs/robustness.md; see support/faults/cases.py"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("faults")
    group.addoption("--seed", type=int, help="what loads and chances of the fault cases depend on")
    group.addoption("--faults", choices=[QUICK, ALL, LONG], default=QUICK, help="which, and how long loads")
    group.addoption("--case", type=int, help="only the tests of the fault case with this number")
    group.addoption("--robustness", type=Path, metavar="PAGE", help="where to write how the cases ended")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    if config.option.seed is None:
        config.option.seed = random.SystemRandom().randrange(1_000_000)
    if config.option.robustness and config.option.case is None:
        config.pluginmanager.register(_Page(config), "robustness page")


def pytest_report_header(config: pytest.Config) -> str:
    return f"faults: {config.option.faults}, --seed {config.option.seed}"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    case = config.option.case
    left_out = [item for item in items if _is_left_out(item, config.option.faults, case)]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in set(left_out)]


def _is_left_out(item: pytest.Item, which: str, case: int | None) -> bool:
    mark = item.get_closest_marker("fault")
    if mark is None:
        return case is not None
    unknown = set(mark.args) - set(CASES)
    if unknown or not mark.args:
        raise pytest.UsageError(f"{item.nodeid}: no such fault case: {unknown or 'none named'}")
    return (which == QUICK and mark.kwargs.get("full", False)) or (case is not None and case not in mark.args)


@pytest.fixture
def chance(request: pytest.FixtureRequest) -> random.Random:
    """What this test leaves to chance, by the run's seed."""
    return random.Random(f"{request.config.option.seed} {request.node.nodeid}")


@pytest.fixture
def load_factor(request: pytest.FixtureRequest) -> int:
    """How many times its shortest a load may be."""
    return 10 if request.config.option.faults == LONG else 1


@pytest.fixture
def run(request: pytest.FixtureRequest) -> str:
    """Which cases are run: quick, all, or all with long loads."""
    which: str = request.config.option.faults
    return which


class _Page:
    """Collects how each case ended, and writes the page when the run is over."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._rows: dict[str, Row] = {}
        # The page is to name what was run, not what the tree has become meanwhile.
        self._commit = commit()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: Any) -> Iterator[None]:
        report: pytest.TestReport = yield
        mark = item.get_closest_marker("fault")
        if mark is not None and (call.when == "call" or not report.passed):
            test = item.nodeid.partition("[")[0]
            docstring = (getattr(item, "function").__doc__ or "").strip()  # noqa: B009 - not every item has one
            row = self._rows.setdefault(test, Row(test, mark.args, docstring.partition("\n")[0]))
            row.add(report.outcome, _reason(report), call.duration, dict(item.user_properties))
        return report

    def pytest_sessionfinish(self) -> None:
        ended_at = time.strftime("%Y-%m-%d %H:%M", time.gmtime())
        run = f"{ended_at} UTC, commit {self._commit}, seed {self._config.option.seed}, {machine()}."
        self._config.option.robustness.write_text(page(self._rows.values(), run))


def _reason(report: pytest.TestReport) -> str:
    if report.skipped and isinstance(report.longrepr, tuple):
        return str(report.longrepr[2]).removeprefix("Skipped: ")
    return ""
