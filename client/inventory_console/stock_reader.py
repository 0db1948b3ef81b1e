"""Which kind of file it is, and whether it may be sent."""

from __future__ import annotations

from collections.abc import Mapping

from inventory_console.stock_file import BadFile, Notes, StockFile, decoded, read_jsonl
from inventory_console.stock_table import TableReader

ROWS_MAX = 1_000_000
_WAY_ON = "nothing was sent; --skip-bad-lines imports the other lines"


def read_stock(
    name: str,
    data: bytes,
    columns: Mapping[str, str],
    location: str,
    slugs: Mapping[str, str],
    *,
    skips_bad_lines: bool = False,
) -> StockFile:
    """Read a file of stock: JSONL where it begins with a brace, else CSV.

    Args:
        name: what the file is called where something is wrong with it.
        columns, location, slugs: as of TableReader.
        skips_bad_lines: whether lines that are wrong are left out, and told in the answer.
    Raises: BadFile with everything that is wrong.
    """
    notes = Notes()
    text = decoded(data)
    if text.lstrip().startswith("{"):
        stock = read_jsonl(text.split("\n"), notes)
    else:
        stock = TableReader(notes, columns, location, slugs).read(text)
    if not stock.rows and not notes.problems:
        notes.unreadable(0, "no stock in it")
    if len(stock.rows) > ROWS_MAX:
        notes.unreadable(0, f"{len(stock.rows):,} products, more than the {ROWS_MAX:,} of one import")
    problems = sorted(notes.problems)
    can_skip = bool(stock.rows) and notes.is_whole
    if problems and not (skips_bad_lines and can_skip):
        raise BadFile(name, problems, _WAY_ON if can_skip else "")
    return stock._replace(bad_lines=tuple(problems))
