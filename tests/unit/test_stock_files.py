"""Files of stock: what is read from them, and what is wrong with them by the line."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_client import errors, v1
from inventory_console import stock_reader, stock_transfer
from inventory_console.stock_commands import ERRORS_LISTED_MAX
from inventory_console.stock_file import LEVELS_MAX, PROBLEMS_SHOWN, BadFile, StockFile, StockRow, to_json
from inventory_console.stock_reader import read_stock
from inventory_console.stock_table import parse_columns, parse_slugs
from inventory_console.stock_transfer import (
    MESSAGE_LEVELS_MAX,
    MESSAGE_ROWS_MAX,
    PAGE_SIZE_MAX,
    messages,
)
from inventory_server.domain.stock_import import IMPORT_ERRORS_MAX

QUANTITY_MAX = 2**43 - 1
IDS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=128)
SLUGS = st.text("abcXYZ019_-", min_size=1, max_size=128)
UNITS = st.integers(0, QUANTITY_MAX)
WAY_ON = "FILE: nothing was sent; --skip-bad-lines imports the other lines"


def read(
    content: str | bytes,
    columns: str = "",
    location: str = "default",
    slugs: str = "",
    *,
    skips_bad_lines: bool = False,
) -> StockFile:
    data = content.encode() if isinstance(content, str) else content
    asked = parse_columns(columns), location, parse_slugs(slugs)
    return read_stock("FILE", data, *asked, skips_bad_lines=skips_bad_lines)


def rows_of(
    content: str | bytes, columns: str = "", location: str = "default", slugs: str = ""
) -> list[StockRow]:
    return read(content, columns, location, slugs).rows


def wrong(content: str | bytes, columns: str = "") -> list[str]:
    """Return what is told of a file that is refused, line by line, asked to skip bad lines or not."""
    with pytest.raises(BadFile) as refused:
        read(content, columns)
    assert refused.value.exit_status == 2
    lines = str(refused.value).splitlines()
    if lines[-1] != WAY_ON:
        with pytest.raises(BadFile) as refused:
            read(content, columns, skips_bad_lines=True)
    return str(refused.value).splitlines()


# --- JSONL ---------------------------------------------------------------------------------------


@given(
    product_id=IDS,
    levels=st.dictionaries(SLUGS, UNITS, min_size=1, max_size=5),
    threshold=st.none() | UNITS,
)
def test_what_was_written_is_read(product_id: str, levels: dict[str, int], threshold: int | None) -> None:
    """The line of an export gives the row that it was made of, whatever an id looks like."""
    line = to_json(product_id, levels.items(), threshold)
    assert "\n" not in line
    assert rows_of(line + "\n") == [StockRow(1, product_id, tuple(levels.items()), threshold)]


def test_blank_lines_count_as_lines() -> None:
    """A row's line is where it stands in the file."""
    one, two = to_json("a", [("default", 1)], None), to_json("b", [("default", 2)], 3)
    assert [row.line for row in rows_of(f"\n{one}\r\n\n{two}")] == [2, 4]


LEVEL = {"location": "default", "total": 1}


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("{", "no JSON"),
        ({"product_id": "a"}, "levels must be a list"),
        ({"product_id": "a", "levels": []}, "levels must be a list"),
        ({"product_id": "a", "levels": [LEVEL] * 1_025}, "levels must be a list"),
        ({"product_id": "a", "levels": [LEVEL, LEVEL]}, "stands in the row twice"),
        ({"product_id": "a b", "levels": [LEVEL]}, "product must be"),
        ({"product_id": "x" * 129, "levels": [LEVEL]}, "product must be"),
        ({"product_id": 7, "levels": [LEVEL]}, "product must be"),
        ({"levels": [LEVEL]}, "product must be"),
        ({"product_id": "a", "levels": [{**LEVEL, "total": -1}]}, "total must be"),
        ({"product_id": "a", "levels": [{**LEVEL, "total": 2**43}]}, "total must be"),
        ({"product_id": "a", "levels": [{**LEVEL, "total": 1.5}]}, "total must be"),
        ({"product_id": "a", "levels": [{**LEVEL, "total": True}]}, "total must be"),
        ({"product_id": "a", "levels": [{**LEVEL, "location": "a b"}]}, "location must be a slug"),
        ({"product_id": "a", "levels": [{"location": "default"}]}, "an object of location and total"),
        ({"product_id": "a", "levels": [LEVEL], "low_stock_threshold": -1}, "low_stock_threshold must be"),
        ({"product_id": "a", "levels": [LEVEL], "more": 1}, "must be an object of"),
        ("[]", "must be an object of"),
    ],
)
def test_a_bad_line_of_json(row: object, told: str) -> None:
    """It is one line, with the file's name and the line's number."""
    good = to_json("good", [("default", 1)], None)
    text = row if isinstance(row, str) else json.dumps(row)
    line, way_on = wrong(f"{good}\n{text}\n")
    assert way_on == WAY_ON
    assert line.startswith("FILE:2: ") and told in line


def test_a_product_twice_in_json() -> None:
    """The second line is told of, with where the first is."""
    line = to_json("a", [("default", 1)], None)
    assert wrong(f"{line}\n{line}\n") == ["FILE:2: product a stands on line 1 too", WAY_ON]


# --- CSV -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "header",
    [
        "product_id,quantity",
        "SKU;Stock",
        "Product Code\tOn Hand",
        '"Item","Qty"',
        "sku|available",
        "Variant SKU,Variant Inventory Qty",
        "quantity,sku",
        "StockCode,Total,Description",
    ],
)
def test_columns_by_their_usual_names(header: str) -> None:
    """Case and punctuation don't matter, nor which of the four delimiters it is, nor further columns."""
    delimiter = next(d for d in ";\t|," if d in header)
    names = header.split(delimiter)
    cells = ["7" if name.strip('"').lower() in QUANTITIES else "85123A" for name in names]
    assert rows_of(f"{header}\n{delimiter.join(cells)}\n") == [StockRow(2, "85123A", (("default", 7),))]


QUANTITIES = {"quantity", "stock", "on hand", "qty", "available", "variant inventory qty", "total"}


def test_a_product_on_several_lines_is_one_row() -> None:
    """Its lines are gathered, wherever they stand; the row's line is the first of them."""
    table = "sku,location,quantity,threshold\na,default,1,5\nb,north,2,\na,north,3,5\n"
    assert rows_of(table) == [
        StockRow(2, "a", (("default", 1), ("north", 3)), 5),
        StockRow(3, "b", (("north", 2),)),
    ]


def test_locations_that_are_no_slugs_get_one() -> None:
    """By name, as the command line says; a line without a location gets the one for all."""
    (row,) = rows_of(
        "sku,location,quantity\na,Main Street,1\na,,2\n", location="shop", slugs="Main Street=main"
    )
    assert row.levels == (("main", 1), ("shop", 2))
    assert "location must be a slug" in wrong("sku,location,quantity\na,Main Street,1\n")[0]


SHOPIFY = """\
Handle,Title,Option1 Value,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Image Src
shirt,Shirt,S,SHIRT-S,shopify,10,https://example.com/1.jpg
shirt,,M,SHIRT-M,shopify,0,
shirt,,,,,,https://example.com/2.jpg
gift-card,"Gift card
of two lines",Default,CARD,,,
mug,Mug,Default,MUG,shopify,25,
"""


def test_a_shopify_export_of_products() -> None:
    """Variants that are counted; pictures' lines and variants that are not are left out, and counted."""
    stock = read(SHOPIFY)
    assert stock.rows == [
        StockRow(2, "SHIRT-S", (("default", 10),)),
        StockRow(3, "SHIRT-M", (("default", 0),)),
        StockRow(7, "MUG", (("default", 25),)),
    ]
    assert stock.skipped_count == 2


def test_a_shopify_export_of_inventory() -> None:
    """A line for each location; what is not stocked there is left out."""
    table = (
        "Handle,Title,SKU,Location,Incoming,Unavailable,Committed,Available,On hand\n"
        "mug,Mug,MUG,shop,0,0,3,22,25\nmug,Mug,MUG,depot,0,0,0,not stocked,not stocked\n"
    )
    stock = read(table)
    assert stock.rows == [StockRow(2, "MUG", (("shop", 25),))]
    assert stock.skipped_count == 1


ODD_SHOPIFY = """\
Handle,Title,Variant SKU,Variant Inventory Tracker,Variant Inventory Qty,Policy,Variant Barcode
mug,Mug,'MUG-1,shopify,25,deny,'4006381333931
poster,Poster,,shopify,5,deny,'4006381333948
lamp,Lamp,LAMP,shopify,-3,continue,
bag,Bag,BAG LARGE,shopify,4,deny,
cup,Cup,TASSE-GRÜN,shopify,6,deny,
pen,Pen,MUG-1,shopify,7,deny,
jar,Jar,JAR,shopify,8,deny,
"""
ODD_LINES = [
    (3, "no product in the column 'Variant SKU'; where another names it: --columns product=COLUMN"),
    (4, "quantity must be a whole number, 0 to 2^43-1, not -3"),
    (5, "product must be 1 to 128 visible ASCII characters, not 'BAG LARGE'"),
    (6, "product must be 1 to 128 visible ASCII characters, not 'TASSE-GRÜN'"),
    (7, "product MUG-1 at default stands above too (line 2)"),
]


def test_the_oddities_of_a_shopify_export_are_told() -> None:
    """No SKU, one that is no id, one twice, units oversold: all by line, and what would import the rest."""
    assert wrong(ODD_SHOPIFY) == [*(f"FILE:{line}: {text}" for line, text in ODD_LINES), WAY_ON]


def test_bad_lines_skipped() -> None:
    """The others are rows, the first of two that contradict each other among them; the bad ones are kept
    with what is wrong. The apostrophe that Shopify writes before an SKU is none of it."""
    stock = read(ODD_SHOPIFY, skips_bad_lines=True)
    assert stock.rows == [StockRow(2, "MUG-1", (("default", 25),)), StockRow(8, "JAR", (("default", 8),))]
    assert [tuple(problem) for problem in stock.bad_lines] == ODD_LINES
    by_barcode = read(ODD_SHOPIFY, "product=Variant Barcode", skips_bad_lines=True)
    assert [row.product_id for row in by_barcode.rows] == ["4006381333931", "4006381333948"]


def test_an_apostrophe_that_shopify_did_not_write() -> None:
    """It is a part of the id."""
    assert [row.product_id for row in rows_of("sku,qty\n'a,1\na,2\n")] == ["'a", "a"]


def test_a_line_is_skipped_whole() -> None:
    """A wrong threshold takes its line's total along, and leaves nothing of it in the product's row."""
    table = "sku,location,qty,threshold\na,x,1,\na,y,2,-1\na,z,3,5\na,w,4,6\n"
    stock = read(table, skips_bad_lines=True)
    assert stock.rows == [StockRow(2, "a", (("x", 1), ("z", 3)), 5)]
    assert [problem.line for problem in stock.bad_lines] == [3, 5]


@pytest.mark.parametrize("table", ['sku,qty\na,1\n"b,1\n', "sku,qty\na b,1\n", "sku,name\na,1\n"])
def test_files_that_skipping_does_not_save(table: str) -> None:
    """Lines that could not be read, no good line at all, and a header without a column that is needed."""
    with pytest.raises(BadFile) as refused:
        read(table, skips_bad_lines=True)
    assert WAY_ON not in str(refused.value)


def test_columns_named_by_the_caller() -> None:
    """A mapping wins over the usual names."""
    table = "Foo,Bar,Where,Least,quantity\np,3,north,1,9\n"
    columns = "product=Foo, quantity=Bar,location=Where,threshold=Least"
    assert rows_of(table, columns) == [StockRow(2, "p", (("north", 3),), 1)]


@pytest.mark.parametrize("text", ["product", "product=", "=Foo", "colour=Foo"])
def test_a_mapping_that_maps_nothing(text: str) -> None:
    """What isn't role=column, or name=slug, is refused."""
    with pytest.raises(ValueError, match="columns are written"):
        parse_columns(text)
    if text != "colour=Foo":
        with pytest.raises(ValueError, match="locations are written"):
            parse_slugs(text)


def test_files_of_other_encodings() -> None:
    """UTF-8 with a mark at its beginning, and Latin-1, as spreadsheets write them; 5.0 is 5."""
    assert rows_of(b"\xef\xbb\xbfsku,qty\na,5\n") == [StockRow(2, "a", (("default", 5),))]
    assert rows_of("sku;qty;name\na;5.0;caf\u00e9\n".encode("latin-1")) == [
        StockRow(2, "a", (("default", 5),))
    ]


@pytest.mark.parametrize(
    ("table", "told"),
    [
        ("name,qty\na,1\n", "FILE:1: no column looks like the product; name it: --columns product=COLUMN"),
        ("sku,name\na,1\n", "FILE:1: no column looks like the quantity; name it: --columns quantity=COLUMN"),
        ("sku,qty\na,1,2\n", "FILE:2: 3 fields, where the first line names 2"),
        ("sku,qty\na,-1\n", "FILE:2: quantity must be a whole number, 0 to 2^43-1, not -1"),
        ("sku,qty\na,many\n", "FILE:2: quantity must be a whole number, 0 to 2^43-1, not 'many'"),
        ("sku,qty\na,1.5\n", "FILE:2: quantity must be a whole number, 0 to 2^43-1, not '1.5'"),
        (f"sku,qty\na,{2**43}\n", f"FILE:2: quantity must be a whole number, 0 to 2^43-1, not {2**43}"),
        ("sku,qty\na b,1\n", "FILE:2: product must be 1 to 128 visible ASCII characters, not 'a b'"),
        (
            "Art. no.,sku,qty\nx,,1\n",
            "FILE:2: no product in the column 'sku'; where another names it: --columns product=COLUMN",
        ),
        ("sku,qty\n'a b,1\n", 'FILE:2: product must be 1 to 128 visible ASCII characters, not "\'a b"'),
        ("sku,qty\na,1\na,1\n", "FILE:3: product a at default stands above too (line 2)"),
        ("sku,qty,location,threshold\na,1,x,1\na,1,y,2\n", "FILE:3: product a has another threshold above"),
        ("sku,qty,threshold\na,1,-1\n", "FILE:2: threshold must be a whole number, 0 to 2^43-1, not -1"),
        ("sku,qty\n", "FILE: no stock in it"),
        ("", "FILE:1: no column looks like the product; name it: --columns product=COLUMN"),
    ],
)
def test_a_bad_line_of_csv(table: str, told: str) -> None:
    """It is one line, with the file's name and the line's number."""
    assert wrong(table)[0] == told


def test_a_column_that_is_not_there() -> None:
    """A column that the caller names and the file lacks is told of."""
    assert wrong("sku,qty\na,1\n", "location=Depot") == ["FILE:1: no column 'Depot' for the location"]


def test_csv_that_is_none() -> None:
    """A quotation without an end is told of where it begins."""
    (line,) = wrong('sku,qty\n"a,1\n')
    assert line.startswith("FILE:2: no CSV: ")


def test_as_many_products_as_an_import_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """At the bound it may be sent; one product past it is told before anything is."""
    monkeypatch.setattr(stock_reader, "ROWS_MAX", 2)
    assert len(read("sku,qty\na,1\nb,1\n").rows) == 2
    assert wrong("sku,qty\na,1\nb,1\nc,1\n") == ["FILE: 3 products, more than the 2 of one import"]


def test_as_many_levels_as_a_row_has() -> None:
    """At the bound the line is read; a level past it is told of."""
    levels = [(f"l-{number}", 1) for number in range(LEVELS_MAX)]
    assert read(to_json("a", levels, None)).rows[0].levels == tuple(levels)
    told = wrong(to_json("a", [*levels, ("one-more", 1)], None))
    assert told == ["FILE:1: levels must be a list of 1 to 1,024 objects of location and total"]


def test_of_many_problems_the_first_are_told() -> None:
    """As many as fit on a screen, in the order of their lines, and how many more there are."""
    told = wrong("sku,qty\n" + "a b,1\n" * (PROBLEMS_SHOWN + 3))
    assert len(told) == PROBLEMS_SHOWN + 1
    assert told[-1] == "FILE: ... and 3 more"


# --- what is sent --------------------------------------------------------------------------------


def test_an_upload_is_cut_into_messages() -> None:
    """At most 1,000 rows and 10,000 levels to a message; an upload without rows is a message too."""
    header = v1.ImportHeader(import_id="i")
    watched: list[int] = []
    rows = [StockRow(n, f"p-{n}", (("default", n),)) for n in range(MESSAGE_ROWS_MAX + 1)]
    sent = list(messages(header, rows, watched.append))
    assert [len(message.rows) for message in sent] == [MESSAGE_ROWS_MAX, 1]
    assert [message.HasField("header") for message in sent] == [True, False]
    assert watched == [MESSAGE_ROWS_MAX, MESSAGE_ROWS_MAX + 1]
    wide = tuple((f"l-{n}", 1) for n in range(MESSAGE_LEVELS_MAX // 2))
    sent = list(messages(header, [StockRow(n, f"p-{n}", wide) for n in range(3)], watched.append))
    assert [len(message.rows) for message in sent] == [2, 1]
    assert [len(message.rows) for message in messages(header, [], watched.append)] == [0]


@pytest.mark.parametrize("failures", [stock_transfer.ATTEMPTS_MAX - 1, stock_transfer.ATTEMPTS_MAX])
def test_a_server_that_is_away(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    """The same is sent again, five times in all, while its outcome is unknown; a refusal is told at once."""
    monkeypatch.setattr(stock_transfer, "PAUSE_S", 0)
    told: list[errors.InventoryError] = [
        errors.Unavailable("away", code=grpc.StatusCode.UNAVAILABLE) for _ in range(failures)
    ]

    def call() -> str:
        if told:
            raise told.pop()
        return "answered"

    if failures < stock_transfer.ATTEMPTS_MAX:
        assert stock_transfer._again(call) == "answered"
    else:
        with pytest.raises(errors.Unavailable):
            stock_transfer._again(call)
    assert not told
    told += [errors.IdReused("another", code=grpc.StatusCode.ALREADY_EXISTS)] * 2
    with pytest.raises(errors.IdReused):
        stock_transfer._again(call)
    assert len(told) == 1


@pytest.mark.parametrize("count", [0, PAGE_SIZE_MAX, PAGE_SIZE_MAX + 1, ERRORS_LISTED_MAX])
def test_the_errors_that_are_asked_for(count: int) -> None:
    """As many as were asked for at most, or as there are, in pages that the server does not shorten."""
    asked: list[int] = []

    def page(request: v1.ListImportErrorsRequest) -> v1.ListImportErrorsResponse:
        asked.append(request.page_size)
        begin = int(request.page_token or 0)
        end = min(count, begin + request.page_size)
        return v1.ListImportErrorsResponse(
            errors=[v1.ImportError(line=number) for number in range(begin, end)],
            next_page_token=str(end) if end < count else "",
        )

    client: Any = SimpleNamespace(inventory=SimpleNamespace(ListImportErrors=page))
    for count_max in (7, PAGE_SIZE_MAX + 1, ERRORS_LISTED_MAX):
        found = stock_transfer.errors(client, "i", count_max)
        assert [error.line for error in found] == list(range(min(count, count_max)))
    assert max(asked) == PAGE_SIZE_MAX
    assert ERRORS_LISTED_MAX == IMPORT_ERRORS_MAX
