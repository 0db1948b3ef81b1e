"""Files of stock: JSONL as an export writes it, and CSV with the columns that shops' own exports have.

A file is read whole and checked before anything is sent: what is wrong is told by the line. Reading takes
about 400 bytes of memory a row.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from inventory_console.console_error import ConsoleError

QUANTITY_MAX = 2**43 - 1
LEVELS_MAX = 1_024
DEFAULT_LOCATION = "default"
PROBLEMS_SHOWN = 10

_is_id = re.compile(r"[!-~]{1,128}").fullmatch
_is_slug = re.compile(r"[A-Za-z0-9_-]{1,128}").fullmatch


class StockRow(NamedTuple):
    """A product with its totals by location; `line` is where it begins in the file."""

    line: int
    product_id: str
    levels: tuple[tuple[str, int], ...]
    low_stock_threshold: int | None = None


class Problem(NamedTuple):
    """What is wrong with a line; 0 = with the file."""

    line: int
    text: str


class StockFile(NamedTuple):
    """What a file holds; `skipped_count` lines say of themselves that they are about no stock.

    `bad_lines` are those that are wrong, where the others may be imported without them.
    """

    rows: list[StockRow]
    skipped_count: int = 0
    bad_lines: tuple[Problem, ...] = ()


class BadFile(ConsoleError):
    """A file that can't be imported; nothing was sent.

    Args:
        name: what the file is called.
        problems: all of them; PROBLEMS_SHOWN are told.
        way_on: what else the caller could do; "" = nothing but mend the file.
    """

    def __init__(self, name: str, problems: Sequence[Problem], way_on: str = "") -> None:
        self.problems = list(problems)
        shown = [told(name, problem) for problem in problems]
        more = len(shown) - PROBLEMS_SHOWN
        if more > 0:
            shown[PROBLEMS_SHOWN:] = [f"{name}: ... and {more:,} more"]
        if way_on:
            shown.append(f"{name}: {way_on}")
        super().__init__("\n".join(shown), exit_status=2)


def told(name: str, problem: Problem) -> str:
    """Return the line that tells of a problem of the file of this name."""
    return f"{name}:{problem.line}: {problem.text}" if problem.line else f"{name}: {problem.text}"


class Notes:
    """The problems found on the way through a file.

    `is_whole`: all of its lines were read, so that one of them may be left out without losing another.
    """

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self.is_whole = True

    def wrong(self, line: int, text: str) -> None:
        self.problems.append(Problem(line, text))

    def unreadable(self, line: int, text: str) -> None:
        """Note what no other line can be read without."""
        self.wrong(line, text)
        self.is_whole = False

    def check_id(self, line: int, product_id: str) -> bool:
        if _is_id(product_id):
            return True
        self.wrong(line, f"product must be 1 to 128 visible ASCII characters, not {product_id!r:.60}")
        return False

    def check_slug(self, line: int, location: str) -> bool:
        if _is_slug(location):
            return True
        self.wrong(line, f"location must be a slug, 1 to 128 of A-Z a-z 0-9 _ -, not {location!r:.60}")
        return False

    def check_units(self, line: int, what: str, count: object) -> bool:
        if type(count) is int and 0 <= count <= QUANTITY_MAX:
            return True
        self.wrong(line, f"{what} must be a whole number, 0 to 2^43-1, not {count!r:.60}")
        return False


def decoded(data: bytes) -> str:
    """Return a file's text: UTF-8, with or without a mark at its beginning, else Latin-1."""
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # never fails; spreadsheets write it


def read_jsonl(lines: Iterable[str], notes: Notes) -> StockFile:
    """Read what an export wrote: an object a line, with product_id, levels and low_stock_threshold."""
    rows: list[StockRow] = []
    seen: dict[str, int] = {}
    for number, text in enumerate(lines, start=1):
        if not text.strip():
            continue
        try:
            found = json.loads(text)
        except ValueError as error:
            notes.wrong(number, f"no JSON: {error}")
            continue
        row = _row(number, found, notes)
        if row is None:
            continue
        if row.product_id in seen:
            notes.wrong(number, f"product {row.product_id} stands on line {seen[row.product_id]} too")
            continue
        seen[row.product_id] = number
        rows.append(row)
    return StockFile(rows)


def to_json(product_id: str, levels: Iterable[tuple[str, int]], low_stock_threshold: int | None) -> str:
    """Return the line of a row, without its end."""
    row: dict[str, Any] = {
        "product_id": product_id,
        "levels": [{"location": location, "total": total} for location, total in levels],
    }
    if low_stock_threshold is not None:
        row["low_stock_threshold"] = low_stock_threshold
    return json.dumps(row, separators=(",", ":"))


def _row(number: int, found: Any, notes: Notes) -> StockRow | None:
    """Return the row of a line's object; None where something is wrong with it."""
    if not isinstance(found, dict) or not found.keys() <= {"product_id", "levels", "low_stock_threshold"}:
        notes.wrong(number, "must be an object of product_id, levels and low_stock_threshold")
        return None
    product_id, threshold = found.get("product_id"), found.get("low_stock_threshold")
    levels = _levels(number, found.get("levels"), notes)
    is_right = notes.check_id(number, product_id if isinstance(product_id, str) else "")
    if threshold is not None:
        is_right &= notes.check_units(number, "low_stock_threshold", threshold)
    return StockRow(number, str(product_id), levels, threshold) if is_right and levels else None


def _levels(number: int, found: Any, notes: Notes) -> tuple[tuple[str, int], ...]:
    """Return a row's levels; none where something is wrong with them."""
    if not isinstance(found, list) or not 1 <= len(found) <= LEVELS_MAX:
        notes.wrong(number, f"levels must be a list of 1 to {LEVELS_MAX:,} objects of location and total")
        return ()
    levels: dict[str, int] = {}
    for level in found:
        if not isinstance(level, dict) or level.keys() != {"location", "total"}:
            notes.wrong(number, "a level must be an object of location and total")
            return ()
        location, total = level["location"], level["total"]
        if not notes.check_slug(number, location if isinstance(location, str) else ""):
            return ()
        if not notes.check_units(number, "total", total):
            return ()
        if location in levels:
            notes.wrong(number, f"location {location} stands in the row twice")
            return ()
        levels[location] = total
    return tuple(levels.items())
