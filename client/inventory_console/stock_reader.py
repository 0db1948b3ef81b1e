"""Which kind of file it is, and whether it may be sent."""

from __future__ import annotations

from collections.abc import Mapping

from inventory_console.stock_file import BadFile, Notes, StockFile, decoded, read_jsonl
from inventory_console.stock_table import TableReader

ROWS_MAX = 1_000_000


def read_stock(
    name: str, data: bytes, columns: Mapping[str, str], location: str, slugs: Mapping[str, str]
) -> StockFile:
    """Read a file of stock: JSONL where it begins with a brace, else CSV.

    Args:
        name: what the file is called where something is wrong with it.
        columns, location, slugs: as of TableReader.
    Raises: BadFile with everything that is wrong.
    """
    notes = Notes()
    text = decoded(data)
    if text.lstrip().startswith("{"):
        stock = read_jsonl(text.split("\n"), notes)
    else:
        stock = TableReader(notes, columns, location, slugs).read(text)
    if not stock.rows and not notes.problems:
        notes.wrong(0, "no stock in it")
    if len(stock.rows) > ROWS_MAX:
        notes.wrong(0, f"{len(stock.rows):,} products, more than the {ROWS_MAX:,} of one import")
    if notes.problems:
        raise BadFile(name, sorted(notes.problems))
    return stock
