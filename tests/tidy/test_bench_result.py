"""The last full result of the bench: what is told of it elsewhere is what it says."""

from __future__ import annotations

import json
import re
import statistics
from pathlib import Path
from typing import Any

import pytest

from inventory_loadtest.bench.report import render

ROOT = Path(__file__).resolve().parents[2]
RESULT: dict[str, Any] = json.loads((ROOT / "bench" / "bench.json").read_text(encoding="utf-8"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
# The README's row, the figure, and the measurement whose rate stands beside it.
ROWS = [
    ("one hot product, 64 carts / raw SQL", "contention_64", None),
    ("the same, 256 carts", "contention_256", None),
    ("one hot product / 10,000 products", "flatness", None),
    ("64 callers over one session / one by one", "stream", "stream_64"),
    ("batches of 1,000 / raw SQL", "batch", "batch_1000"),
    ("one caller's call / an empty call and raw SQL together", "idle", None),
    ("ten times as much as a server can do / its peak", "overload", None),
    ("10,000,000 log entries / none", "history_growth", None),
    ("rows/s of an import, each with its log entry / COPY", "import", None),
]
_NUMBER = r"(\d+(?:,\d{3})*(?:\.\d+)?)"


def rounded(value: float, like: str) -> str:
    """A number with as many digits behind the point as another has."""
    return f"{value:,.{len(like.partition('.')[2])}f}"


@pytest.mark.parametrize(("row", "key", "beside"), ROWS)
def test_the_readme_says_what_was_measured(row: str, key: str, beside: str | None) -> None:
    """Each of its figures is that of bench.json, rounded; a goal that was not met is called missed."""
    (told, goal), *more = re.findall(rf"^\| {re.escape(row)} \| (.+) \| (.+) \|$", README, re.MULTILINE)
    assert more == []
    figure = RESULT["figures"][key]
    expected = [[figure["median"], figure["min"], figure["max"]]]
    if beside:
        rates = [each["per_s"] for each in figure["raw"][beside]]
        expected.append([statistics.median(rates), min(rates), max(rates)])
    said = re.findall(rf"{_NUMBER}(?:/s)? \({_NUMBER} to {_NUMBER}\)", told)
    assert len(said) == len(expected)
    for numbers, values in zip(said, expected, strict=True):
        assert list(numbers) == [
            rounded(value, number) for value, number in zip(values, numbers, strict=True)
        ]
    assert re.findall(_NUMBER, goal) == [figure["goal"].split()[1]]
    assert ("missed" in goal) is not figure["met"]


def test_the_readme_tells_of_these_alone() -> None:
    """No row of its table goes unchecked."""
    table = README.partition("| figure | | goal |\n")[2].partition("\n\n")[0]
    assert [line.split(" | ")[0].removeprefix("| ") for line in table.splitlines()[1:]] == [
        row for row, _, _ in ROWS
    ]


def test_the_page_is_made_of_the_result() -> None:
    """bench.html shows bench.json as the report shows it now: else `make docs`."""
    assert (ROOT / "bench" / "bench.html").read_text(encoding="utf-8") == render(RESULT)


def test_the_last_result_is_a_whole_one_and_holds() -> None:
    """Nothing was left out, every goal's figure has five rounds or is of the whole run, no law was broken."""
    assert not RESULT["quick"]
    assert (RESULT["violations"], RESULT["acknowledged_missing"]) == (0, 0)
    assert RESULT["bloat"]["changes"] >= 10**6
    for figure in RESULT["figures"].values():
        assert {len(rounds) for rounds in figure["raw"].values()} <= {5}
