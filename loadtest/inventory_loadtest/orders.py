"""Reading real orders from a CSV file: columns found by their usual names, bad lines told by their number.

A line whose order is a "C" and a number, and whose quantity is negative, is a cancellation, as in the
Online Retail data set (D. Chen, https://doi.org/10.24432/C5BW33): it has no part in a race, is left out and
counted. Every other quantity below 1 is an error.

Prices matter little: an order's total is what the server answers. A price of more than two decimals is
rounded half up to the minor unit; a file without prices gets 1.00 for everything.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path

from inventory_loadtest.plan import NAME_CHARS_MAX, PRODUCTS_PER_CART_MAX, Line

ID_CHARS_MAX = 128 - NAME_CHARS_MAX - len(".") - len(".p1")
"""Room is left for the race's name before an id, and for the number of a payment after it."""
QUANTITY_MAX = 2**43 - 1
AMOUNT_MAX = 2**53 - 1
PROBLEMS_SHOWN = 10

USUAL_NAMES: Mapping[str, tuple[str, ...]] = {
    "order": (
        "invoiceno", "invoicenumber", "invoiceid", "invoice", "orderno", "ordernumber", "orderid", "order",
        "salesorder", "transactionid", "transaction", "receipt", "basketid", "basket", "cartid", "cart",
    ),
    "product": (
        "stockcode", "sku", "productid", "productcode", "productno", "product",
        "itemid", "itemcode", "itemno", "item", "articleid", "articleno", "article", "ean", "gtin", "upc",
    ),
    "quantity": ("quantity", "qty", "units", "unitcount", "count", "pieces", "pcs"),
    "price": ("unitprice", "priceperunit", "itemprice", "price", "unitcost"),
}  # fmt: skip
"""Column names by role, lower case without punctuation; the first that the file has is taken."""


class OrdersError(Exception):
    """A file that can't be raced with.

    Args:
        path: the file.
        problems: (line number or None, what is wrong), all of them.
    """

    def __init__(self, path: Path, problems: list[tuple[int | None, str]]) -> None:
        self.path = path
        self.problems = problems
        shown = [
            f"{path}:{line}: {text}" if line else f"{path}: {text}"
            for line, text in problems[:PROBLEMS_SHOWN]
        ]
        if len(problems) > PROBLEMS_SHOWN:
            shown.append(f"... and {len(problems) - PROBLEMS_SHOWN:,} more")
        super().__init__("\n".join(shown))


@dataclass(frozen=True)
class Orders:
    """What a file holds.

    Args:
        lines: by order id, in the file's order.
        cancellations: how many lines of cancelled invoices were left out.
    """

    lines: dict[str, list[Line]] = field(default_factory=dict)
    cancellations: int = 0


def read_orders(path: Path, columns: Mapping[str, str] | None = None) -> Orders:
    """Read a CSV file of order lines.

    Args:
        path: UTF-8 with or without BOM, else Latin-1; comma, semicolon, tab or bar between the fields; the
            first line names the columns.
        columns: the column's name by role, where the usual names don't tell.
    Raises: OrdersError with every problem found; OSError if the file can't be read.
    """
    return _Reader(path, columns or {}).read()


def parse_columns(text: str) -> dict[str, str]:
    """Read `order=Foo,product=Bar`, as a command line has it.

    Raises: ValueError for anything else, and for a role that isn't one.
    """
    columns = {}
    for pair in filter(None, text.split(",")):
        role, equals, name = (part.strip() for part in pair.partition("="))
        if not equals or not name or role not in USUAL_NAMES:
            raise ValueError(
                f"columns are written as order=NAME,product=NAME,quantity=NAME,price=NAME, not {pair!r}"
            )
        columns[role] = name
    return columns


class _Reader:
    """One reading of one file; it collects the problems on its way."""

    def __init__(self, path: Path, columns: Mapping[str, str]) -> None:
        self._path = path
        self._columns = columns
        self._problems: list[tuple[int | None, str]] = []
        self._lines: dict[str, list[Line]] = {}
        self._cancellations = 0

    def read(self) -> Orders:
        text = _decode(self._path.read_bytes())
        header_line = text.partition("\n")[0]
        self._delimiter = max(",;\t|", key=header_line.count)
        rows = self._rows(text)
        _, header = next(rows, (0, []))
        where = self._find_columns(header)
        for number, row in rows if where else ():
            if len(row) != len(header):
                self._wrong(number, f"{len(row)} fields, where the first line names {len(header)}")
            else:
                self._take(number, {role: row[index].strip() for role, index in where.items()})
        self._check_orders()
        if self._problems:
            raise OrdersError(self._path, self._problems)
        return Orders(self._lines, self._cancellations)

    def _rows(self, text: str) -> Iterator[tuple[int, list[str]]]:
        """Every row that isn't blank, with the number of the line where it begins."""
        rows = csv.reader(io.StringIO(text, newline=""), delimiter=self._delimiter, strict=True)
        begins = 1
        while True:
            try:
                row = next(rows, None)
            except csv.Error as error:
                self._wrong(begins, f"not CSV: {error}")
                return
            if row is None:
                return
            if any(cell.strip() for cell in row):
                yield begins, row
            begins = rows.line_num + 1

    def _find_columns(self, header: list[str]) -> dict[str, int]:
        """The index of each role's column; empty where one is missing."""
        plain = [_plain(name) for name in header]
        found: dict[str, int] = {}
        for role, usual in USUAL_NAMES.items():
            names = [_plain(self._columns[role])] if role in self._columns else usual
            index = next((plain.index(name) for name in names if name in plain), None)
            if index is not None:
                found[role] = index
            elif role in self._columns:
                self._wrong(1, f"no column {self._columns[role]!r} for the {role}")
            elif role != "price":
                self._wrong(1, f"no column looks like the {role}; name it with --columns {role}=COLUMN")
        return {} if self._problems else found

    def _take(self, number: int, cells: dict[str, str]) -> None:
        """Check one line, and keep it."""
        before = len(self._problems)
        order_id = self._id(number, "order", cells["order"])
        product_id = self._id(number, "product", cells["product"])
        quantity = self._quantity(number, cells["quantity"])
        price_minor = self._price_minor(number, cells["price"]) if "price" in cells else 100
        if quantity < 0 and re.fullmatch("[Cc][0-9]+", order_id) and len(self._problems) == before:
            self._cancellations += 1
            return
        if not 1 <= quantity <= QUANTITY_MAX and len(self._problems) == before:
            self._wrong(number, f"quantity must be 1 to 2^43-1, not {quantity}")
        if len(self._problems) == before:
            self._lines.setdefault(order_id, []).append(Line(product_id, quantity, price_minor))

    def _id(self, number: int, role: str, text: str) -> str:
        if not text:
            self._wrong(number, f"{role} is empty")
        elif len(text) > ID_CHARS_MAX:
            self._wrong(number, f"{role} has {len(text)} characters, more than {ID_CHARS_MAX}")
        elif not re.fullmatch(r"[!-~]+", text):
            self._wrong(number, f"{role} must be visible ASCII characters, not {text!r}")
        return text

    def _quantity(self, number: int, text: str) -> int:
        if re.fullmatch(r"[+-]?[0-9]{1,30}", text):
            return int(text)
        self._wrong(number, f"quantity must be a whole number, not {text!r}" if text else "quantity is empty")
        return 0

    def _price_minor(self, number: int, text: str) -> int:
        if self._delimiter != "," and re.fullmatch(r"[0-9]+,[0-9]+", text):
            text = text.replace(",", ".")  # 2,55 as much of Europe writes it
        if not re.fullmatch(r"[0-9]{1,13}(\.[0-9]{0,9})?|\.[0-9]{1,9}", text):
            self._wrong(number, f"price must be a number, 0 or more, not {text!r}")
            return 0
        return int((Decimal(text) * 100).quantize(Decimal(1), ROUND_HALF_UP))

    def _check_orders(self) -> None:
        """What only a whole order shows."""
        for order_id, lines in self._lines.items():
            products = {line.product_id for line in lines}
            if len(products) > PRODUCTS_PER_CART_MAX:
                self._wrong(
                    None, f"order {order_id}: {len(products):,} products, more than the 1,000 of a cart"
                )
            if sum(line.quantity for line in lines) > QUANTITY_MAX:
                self._wrong(None, f"order {order_id}: more than 2^43-1 units")
            # The price named last holds for the whole cart line; the dearest of them bounds it.
            if (
                sum(line.quantity for line in lines) * max(line.unit_price_minor for line in lines)
                > AMOUNT_MAX
            ):
                self._wrong(None, f"order {order_id}: it may cost more than 2^53-1 minor units")
        if not self._lines and not self._problems:
            self._wrong(None, "no orders")

    def _wrong(self, number: int | None, text: str) -> None:
        self._problems.append((number, text))


def _decode(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("latin-1")  # never fails; spreadsheets write it


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())
