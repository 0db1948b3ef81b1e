"""Reading real orders: columns by their usual names, and every bad line told by its number."""

from __future__ import annotations

from pathlib import Path

import pytest

from inventory_loadtest.orders import AMOUNT_MAX, OrdersError, parse_columns, read_orders
from inventory_loadtest.plan import PRODUCTS_PER_CART_MAX, Line


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "orders.csv"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def lines_of(
    tmp_path: Path, content: str | bytes, columns: dict[str, str] | None = None
) -> dict[str, list[Line]]:
    return read_orders(written(tmp_path, content), columns).lines


def problems_of(
    tmp_path: Path, content: str, columns: dict[str, str] | None = None
) -> list[tuple[int | None, str]]:
    with pytest.raises(OrdersError) as wrong:
        read_orders(written(tmp_path, content), columns)
    return wrong.value.problems


@pytest.mark.parametrize(
    "header",
    [
        "InvoiceNo,StockCode,Quantity,UnitPrice",
        "order_id,product_id,qty,price",
        "Order ID;SKU;QTY;Unit Price",
        "ORDER-NUMBER\tItem\tUnits\tunit-price",
        '"Invoice","Product Code","Quantity","Price per unit"',
    ],
)
def test_columns_by_their_usual_names(tmp_path: Path, header: str) -> None:
    """Case and punctuation don't matter, nor which of the four delimiters it is."""
    delimiter = next(d for d in ";\t|," if d in header)
    row = delimiter.join(["536365", "85123A", "6", "2.55"])
    assert lines_of(tmp_path, f"{header}\n{row}\n") == {"536365": [Line("85123A", 6, 255)]}


def test_columns_named_by_the_caller(tmp_path: Path) -> None:
    """A mapping wins over the usual names."""
    columns = parse_columns("order=Foo, product=Bar,quantity=Baz")
    found = lines_of(tmp_path, "Foo,Bar,Baz,Quantity\no,p,3,9\n", columns)
    assert found == {"o": [Line("p", 3, 100)]}


@pytest.mark.parametrize("text", ["order", "order=", "=Foo", "colour=Foo"])
def test_a_mapping_that_maps_nothing(text: str) -> None:
    """What isn't role=column is refused."""
    with pytest.raises(ValueError, match="columns are written"):
        parse_columns(text)


def test_a_product_may_stand_in_an_order_twice(tmp_path: Path) -> None:
    """Lines stay as they are, in their order: the cart merges them, the last price wins there."""
    found = lines_of(tmp_path, "order,sku,qty,price\na,x,1,1.00\nb,x,2,1.10\na,x,3,1.20\n")
    assert found == {"a": [Line("x", 1, 100), Line("x", 3, 120)], "b": [Line("x", 2, 110)]}


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbforder,sku,qty,name\r\na,x,1,"tea, green"\r\n',
        "order,sku,qty,name\na,x,1,café\n".encode("latin-1"),
        "order,sku,qty,name\na,x,1,café\n\n , , ,\n".encode(),
        b'order,sku,qty,name\na,x,1,"two\nlines"\n',
        b"order,sku,qty,name\n a , x , +1 ,y",
    ],
    ids=[
        "bom and crlf",
        "latin-1",
        "utf-8 and blank lines",
        "a line break in quotes",
        "blanks, no last newline",
    ],
)
def test_files_as_people_have_them(tmp_path: Path, content: bytes) -> None:
    """Encoding, line ends, quotes and blank lines are no hindrance."""
    assert lines_of(tmp_path, content) == {"a": [Line("x", 1, 100)]}


@pytest.mark.parametrize(
    ("price", "minor"),
    [("2.55", 255), ("2", 200), (".5", 50), ("0", 0), ("0.005", 1), ("1.004", 100), ("3.", 300)],
)
def test_prices_become_minor_units(tmp_path: Path, price: str, minor: int) -> None:
    """Half a minor unit is rounded up."""
    assert lines_of(tmp_path, f"order,sku,qty,price\na,x,1,{price}\n")["a"][0].unit_price_minor == minor


def test_a_decimal_comma_where_the_comma_is_free(tmp_path: Path) -> None:
    """2,55 is a price in a file with semicolons."""
    assert lines_of(tmp_path, "order;sku;qty;price\na;x;1;2,55\n")["a"][0].unit_price_minor == 255


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("a,x,,1", "quantity is empty"),
        ("a,x,0,1", "quantity must be 1 to"),
        ("a,x,-1,1", "quantity must be 1 to"),
        ("CART,x,-1,1", "quantity must be 1 to"),
        ("a,x,8796093022208,1", "quantity must be 1 to"),
        ("a,x,1.5,1", "whole number"),
        ("a,x,six,1", "whole number"),
        ("a,x,٣,1", "whole number"),
        (",x,1,1", "order is empty"),
        ("a,,1,1", "product is empty"),
        (f"a,{'x' * 97},1,1", "97 characters"),
        (f"{'a' * 97},x,1,1", "97 characters"),
        ("a,tea pot,1,1", "visible ASCII"),
        ("a,thé,1,1", "visible ASCII"),
        ("a,x\0,1,1", "visible ASCII"),
        ("a,x,1,-1", "price must be"),
        ("a,x,1,free", "price must be"),
        ("a,x,1,NaN", "price must be"),
        ("a,x,1,1_0", "price must be"),
        ("a,x,1", "3 fields"),
        ("a,x,1,1,1", "5 fields"),
        ('a,"x,1,1', "not CSV"),
    ],
)
def test_a_bad_line_is_told_by_its_number(tmp_path: Path, row: str, said: str) -> None:
    """One bad line between good ones: its number, and what is wrong with it."""
    problems = problems_of(tmp_path, f'order,sku,qty,price\na,"two\nlines",1,1\nb,y,1,1\n{row}\n')
    found = [text for number, text in problems if number == 5]
    assert len(found) == 1, problems
    assert said in found[0]


def test_all_bad_lines_are_told(tmp_path: Path) -> None:
    """Every bad line is found; the first ten are shown, the rest counted."""
    with pytest.raises(OrdersError) as wrong:
        read_orders(written(tmp_path, "order,sku,qty\n" + "a,x,0\n" * 14))
    assert [number for number, _ in wrong.value.problems] == list(range(2, 16))
    assert str(wrong.value).count("\n") == 10
    assert "orders.csv:2: quantity" in str(wrong.value)
    assert str(wrong.value).endswith("... and 4 more")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no column looks like the order"),
        ("order,sku,qty\n", "no orders"),
        ("order,sku\na,x\n", "no column looks like the quantity"),
        ("order,sku,qty\na,x,8796093022207\na,y,1\n", "more than 2^43-1 units"),
    ],
)
def test_a_file_that_cannot_race(tmp_path: Path, content: str, said: str) -> None:
    """What is wrong with the file or with a whole order is told, too."""
    assert any(said in text for _, text in problems_of(tmp_path, content))


def test_as_many_products_as_a_cart_takes(tmp_path: Path) -> None:
    """An order of so many can race; of one with a product more it is told."""
    rows = [f"a,p{number},1\n" for number in range(PRODUCTS_PER_CART_MAX + 1)]
    assert len(lines_of(tmp_path, "order,sku,qty\n" + "".join(rows[:-1]))["a"]) == PRODUCTS_PER_CART_MAX
    problems = problems_of(tmp_path, "order,sku,qty\n" + "".join(rows))
    assert problems == [(None, "order a: 1,001 products, more than the 1,000 of a cart")]


def test_as_much_as_an_order_may_cost(tmp_path: Path) -> None:
    """An order of the greatest amount can race; of one of a minor unit more it is told."""
    units, price_minor = 20_394_401, 441_650_591
    assert units * price_minor == AMOUNT_MAX
    most = f"order,sku,qty,price\na,x,{units},{price_minor // 100}.{price_minor % 100}\n"
    assert lines_of(tmp_path, most)["a"] == [Line("x", units, price_minor)]
    assert AMOUNT_MAX + 1 == 2**26 * 2**27
    problems = problems_of(tmp_path, f"order,sku,qty,price\na,x,{2**26},{2**27 // 100}.{2**27 % 100}\n")
    assert problems == [(None, "order a: it may cost more than 2^53-1 minor units")]


def test_a_mapped_column_that_is_not_there(tmp_path: Path) -> None:
    """A wrong mapping is an error of the first line."""
    problems = problems_of(tmp_path, "order,sku,qty\na,x,1\n", {"price": "Cost"})
    assert problems == [(1, "no column 'Cost' for the price")]


def test_cancellations_are_left_out(tmp_path: Path) -> None:
    """A cancelled invoice of the Online Retail data set has no part in a race."""
    orders = read_orders(written(tmp_path, "InvoiceNo,StockCode,Quantity\n536379,D,1\nC536379,D,-1\n"))
    assert (orders.lines, orders.cancellations) == ({"536379": [Line("D", 1, 100)]}, 1)
