"""docs/robustness.md, from what a run came to."""

from __future__ import annotations

from pathlib import Path

from support.faults.cases import CASES
from support.faults.page import Row, last_soak, page

ROBUSTNESS = Path(__file__).parents[2] / "docs" / "robustness.md"


def test_rows_of_the_page() -> None:
    """A test stands at each of its cases: sums of what is counted, the worst of what took time."""
    held = Row("tests/faults/test_x.py::test_cut", (3, 4), "Nothing is lost.")
    held.add("passed", "", 1.0, {"calls acknowledged": 1000, "longest_silence_s": 0.5})
    held.add("passed", "", 2.0, {"calls acknowledged": 234, "longest_silence_s": 0.2})
    text = page([held], "today.")
    said = "held, 2 ways, 3.0 s; 1,234 calls acknowledged; longest silence 0.5 s"
    assert text.count(f"| Nothing is lost. | `faults/test_x.py::test_cut` | {said} |\n") == 2
    assert "\nThe last run: today.\n" in text


def test_what_did_not_hold_stands_out() -> None:
    """A failure is told, and why a test was skipped."""
    broken = Row("tests/faults/test_x.py::test_full", (6,), "It holds.")
    broken.add("failed", "", 1.0, {})
    broken.add("skipped", "needs root", 0.0, {})
    assert "| **1 failed, 1 skipped**, 1.0 s; needs root |" in page([broken], "today.")


def test_what_was_not_run_stands_out() -> None:
    """Each case of the list is on the page, also where the run ended before it."""
    text = page([], "today.")
    assert all(f"\n| {number}: {title} | | | **not run** |\n" in text for number, title in CASES.items())


def test_the_page_tells_of_the_last_soak() -> None:
    """The figures of bench/soak.json stand in it as they are: `make docs` writes them."""
    assert "## The last soak" in last_soak()
    assert ROBUSTNESS.read_text().endswith(last_soak())
