"""Tables of stock: CSV with one line for each product and location, its columns found by their usual names.

An export of products from Shopify has a line for each variant, further ones for pictures, and an empty
`Variant Inventory Tracker` where the variant is not counted: such lines are left out. An apostrophe before
an SKU is none of it: Shopify writes it so that a spreadsheet takes the cell for text.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping

from inventory_console.stock_file import DEFAULT_LOCATION, LEVELS_MAX, Notes, StockFile, StockRow

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "product": (
        "productid", "variantsku", "sku", "productcode", "stockcode", "productno", "product",
        "itemid", "itemcode", "itemno", "item", "articleid", "articleno", "article", "ean", "gtin", "upc",
    ),
    "quantity": (
        "total", "variantinventoryqty", "onhand", "onhandcurrent", "quantityonhand", "qtyonhand",
        "stockonhand", "inventoryquantity", "inventoryqty", "quantity", "qty", "stock", "instock",
        "stocklevel", "inventory", "available", "availablequantity", "units", "count", "pieces", "pcs",
    ),
    "location": ("location", "locationslug", "locationid", "locationname", "warehouse", "depot", "site"),
    "threshold": (
        "lowstockthreshold", "threshold", "reorderlevel", "reorderpoint", "minstock", "minimumstock",
    ),
    "tracker": ("variantinventorytracker",),
}  # fmt: skip
"""Column names by role, lower case without punctuation; the first that the file has is taken."""
_REQUIRED = ("product", "quantity")
# A column that Shopify's exports have, of products and of inventory.
_SHOPIFY_NAME = "handle"
# What shops write where a product is not kept at a location.
_NOT_KEPT = ("", "not stocked")


def parse_columns(text: str) -> dict[str, str]:
    """Read `product=Foo,quantity=Bar`, as a command line has it.

    Raises: ValueError for anything else, and for a role that isn't one.
    """
    columns = {}
    for pair in filter(None, text.split(",")):
        role, equals, name = (part.strip() for part in pair.partition("="))
        if not equals or not name or role not in USUAL_NAMES:
            raise ValueError(
                "columns are written as product=NAME,quantity=NAME,location=NAME,threshold=NAME,"
                f" not {pair!r}"
            )
        columns[role] = name
    return columns


def parse_slugs(text: str) -> dict[str, str]:
    """Read `Main Street=main,Harbour=harbour`, as a command line has it. Raises: ValueError."""
    slugs = {}
    for pair in filter(None, text.split(",")):
        name, equals, slug = (part.strip() for part in pair.rpartition("="))
        if not equals or not name or not slug:
            raise ValueError(f"locations are written as NAME=SLUG,NAME=SLUG, not {pair!r}")
        slugs[name] = slug
    return slugs


class TableReader:
    """One reading of one table.

    Args:
        columns: the column's name by role, where the usual names don't tell.
        location: the slug for lines without a location of their own.
        slugs: slugs by what the file calls the locations.
    """

    def __init__(
        self,
        notes: Notes,
        columns: Mapping[str, str] | None = None,
        location: str = DEFAULT_LOCATION,
        slugs: Mapping[str, str] | None = None,
    ) -> None:
        self._notes = notes
        self._columns = columns or {}
        self._location = location
        self._slugs = slugs or {}
        self._is_shopify = False
        self._product_column = ""
        self._lines: dict[str, int] = {}
        self._levels: dict[str, dict[str, int]] = {}
        self._thresholds: dict[str, int] = {}
        self._skipped_count = 0

    def read(self, text: str) -> StockFile:
        """Read a table; the lines of a product become one row, wherever they stand."""
        rows = self._rows(text)
        begins, header = next(rows, (1, []))
        where = self._find_columns(begins, header)
        for number, cells in rows if where else ():
            if len(cells) != len(header):
                self._notes.wrong(number, f"{len(cells)} fields, where the first line names {len(header)}")
            else:
                self._take(number, {role: cells[index].strip() for role, index in where.items()})
        found = [
            StockRow(
                line, product_id, tuple(self._levels[product_id].items()), self._thresholds.get(product_id)
            )
            for product_id, line in self._lines.items()
        ]
        return StockFile(found, self._skipped_count)

    def _rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Every row that isn't blank, with the number of the line where it begins."""
        delimiter = max(",;\t|", key=text.partition("\n")[0].count)
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
        begins = 1
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                self._notes.unreadable(begins, f"no CSV: {error}")
                return
            if row is None:
                return
            if any(cell.strip() for cell in row):
                yield begins, row
            begins = rows.line_num + 1

    def _find_columns(self, line: int, header: list[str]) -> dict[str, int]:
        """The index of each role's column; empty where one is missing."""
        plain = [_plain(name) for name in header]
        found: dict[str, int] = {}
        is_whole = True
        for role, usual in USUAL_NAMES.items():
            names = [_plain(self._columns[role])] if role in self._columns else usual
            index = next((plain.index(name) for name in names if name in plain), None)
            if index is not None:
                found[role] = index
            elif role in self._columns:
                self._notes.unreadable(line, f"no column {self._columns[role]!r} for the {role}")
                is_whole = False
            elif role in _REQUIRED:
                self._notes.unreadable(
                    line, f"no column looks like the {role}; name it: --columns {role}=COLUMN"
                )
                is_whole = False
        if not is_whole:
            return {}
        self._is_shopify = _SHOPIFY_NAME in plain
        self._product_column = header[found["product"]]
        return found

    def _take(self, number: int, cells: dict[str, str]) -> None:
        """Check one line, and keep it."""
        product_id, quantity = self._product_id(cells["product"]), cells["quantity"].lower()
        if cells.get("tracker", "tracked") == "" or quantity in _NOT_KEPT:
            self._skipped_count += 1
            return
        name = cells.get("location", "")
        location = self._slugs.get(name, name) or self._location
        total, threshold = _units(quantity), _units(cells.get("threshold", ""))
        if not (
            self._check_product(number, product_id)
            and self._notes.check_slug(number, location)
            and self._notes.check_units(number, "quantity", total)
            and (threshold == "" or self._notes.check_units(number, "threshold", threshold))
            and self._fits(number, product_id, location, threshold)
        ):
            return
        self._lines.setdefault(product_id, number)
        self._levels.setdefault(product_id, {})[location] = int(total)
        if threshold != "":
            self._thresholds[product_id] = int(threshold)

    def _product_id(self, cell: str) -> str:
        return cell.removeprefix("'") if self._is_shopify else cell

    def _check_product(self, number: int, product_id: str) -> bool:
        if product_id:
            return self._notes.check_id(number, product_id)
        self._notes.wrong(
            number,
            f"no product in the column {self._product_column!r};"
            " where another names it: --columns product=COLUMN",
        )
        return False

    def _fits(self, number: int, product_id: str, location: str, threshold: int | str) -> bool:
        """Check a line against the product's lines above."""
        levels = self._levels.get(product_id, {})
        if location in levels:
            above = self._lines[product_id]
            self._notes.wrong(number, f"product {product_id} at {location} stands above too (line {above})")
        elif len(levels) == LEVELS_MAX:
            self._notes.wrong(number, f"product {product_id} has more than {LEVELS_MAX:,} locations")
        elif threshold not in ("", self._thresholds.get(product_id, threshold)):
            self._notes.wrong(number, f"product {product_id} has another threshold above")
        else:
            return True
        return False


def _units(text: str) -> int | str:
    """Return the number that a cell holds (spreadsheets write 5 as 5.0 too); the text where it is none."""
    return int(text.partition(".")[0]) if re.fullmatch(r"[+-]?[0-9]{1,30}(\.0*)?", text) else text


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
