"""What holds for every list: its edges, its tokens, and a change between two of its pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.timestamp_pb2 import Timestamp

from support.imports import imported, row
from support.requests import METHODS
from support.shop import Shop


class Things(NamedTuple):
    """What a list is of."""

    key: str  # the field that names one; the product and version where that is more than one
    make: Callable[[Shop, int], Any]  # the one of this number
    copies: tuple[tuple[str, ...], ...] = ()  # table and the columns that tell copies apart
    asked: dict[str, Any] = {}  # noqa: RUF012
    there: int = 0  # how many there are before any was made
    looks_on: bool = False  # a last page that is full does not know it: an empty one comes after it


def make_payment(shop: Shop, number: int) -> None:
    shop.order(f"o-{number}", ("a", 1, 0))
    shop.pay(f"o-{number}", f"p-{number}", 0)


def make_reservation(shop: Shop, number: int) -> None:
    """One that has ended: copies of it hold nothing."""
    shop.reserve(f"r-{number}", ("a", 1))
    shop.release(f"r-{number}")


def make_error(shop: Shop, number: int) -> None:
    """One of the first import's errors: they are made with the last; another's after that."""
    if number == MADE - 1:
        imported(shop, *(row(f"p-{line}", ("nowhere", 1)) for line in range(MADE)))
    elif number == MADE:
        imported(shop, row("p", ("nowhere", 1)), import_id="another")


MADE = 4
LISTS = {
    "ListStock": Things("product_id", lambda shop, n: shop.stock(f"b-{n}", 1), there=1),
    "ListStockTransactions": Things("product_id", lambda shop, n: shop.stock(f"b-{n}", 1), there=1),
    "ListLocations": Things("slug", lambda shop, n: shop.location(f"l-{n}"), there=1),
    "ListReservations": Things(
        "reservation_id",
        make_reservation,
        (("reservation", "reservation_id"), ("reservation_line", "reservation_id")),
    ),
    "ListCarts": Things(
        "cart_id", lambda shop, n: shop.cart(f"c-{n}"), (("cart", "cart_id"),), looks_on=True
    ),
    "ListOrders": Things(
        "order_id",
        lambda shop, n: shop.order(f"o-{n}", ("a", 1, 0)),
        (("sales_order", "order_id", "cart_id"), ("order_line", "order_id")),
        looks_on=True,
    ),
    "ListPayments": Things(
        "payment_id",
        make_payment,
        (("payment", "payment_id"), ("payment_operation", "operation_id", "payment_id")),
    ),
    "ListImports": Things(
        "import_id",
        lambda shop, n: imported(shop, import_id=f"i-{n}"),
        (("import_job", "import_id", "upload_id"),),
    ),
    "ListImportErrors": Things("line", make_error, asked={"import_id": "i"}),
}


class Pages:
    """One list of one store."""

    def __init__(self, shop: Shop, name: str) -> None:
        self.shop, self.things = shop, LISTS[name]
        self._method: MethodDescriptor = next(method for method in METHODS if method.name == name)
        service = {"InventoryService": shop.inventory, "CheckoutService": shop.checkout}
        self._call = getattr(service[self._method.containing_service.name], name)
        (self._field,) = (f.name for f in self._method.output_type.fields if f.is_repeated)

    def page(self, page_size: int = 0, token: str = "", **asked: Any) -> tuple[list[Any], str]:
        """Return the keys of a page's things, and its token."""
        request = GetMessageClass(self._method.input_type)(
            page_size=page_size, page_token=token, **self.things.asked, **asked
        )
        answer = self._call(request)
        found = [getattr(thing, self.things.key) for thing in getattr(answer, self._field)]
        return found, answer.next_page_token


@pytest.fixture
def pages(shop: Shop, request: pytest.FixtureRequest) -> Pages:
    """A list, of a store that has 100 of `a` and nothing else."""
    shop.stock("a", 100)
    return Pages(shop, request.param)


@pytest.fixture
def made(pages: Pages) -> Pages:
    """A list with MADE things in it."""
    for number in range(MADE):
        pages.things.make(pages.shop, number)
    return pages


EACH = pytest.mark.parametrize("pages", list(LISTS), indirect=True)


def test_every_list_is_here() -> None:
    """A method that takes a page's size is a list."""
    assert {method.name for method in METHODS if "page_size" in method.input_type.fields_by_name} == set(
        LISTS
    )


@pytest.mark.parametrize("method", ["ListStockTransactions", "ListCarts", "ListOrders", "ListPayments"])
def test_times_that_no_time_is_between(shop: Shop, method: str) -> None:
    """`created_until` may be `created_from`; before it, even by a microsecond, it is named."""
    pages = Pages(shop, method)
    moment = Timestamp(seconds=1_700_000_000, nanos=1_000)
    pages.page(created_from=moment, created_until=moment)
    with shop.refused("INVALID_FIELD") as refusal:
        pages.page(created_from=moment, created_until=Timestamp(seconds=1_700_000_000))
    assert refusal.fields == ["created_until"]


@EACH
def test_an_empty_list(pages: Pages) -> None:
    """Nothing is one empty page, the last one."""
    if pages.things.asked:
        imported(pages.shop)
    found, token = pages.page()
    assert (len(found), token) == (pages.things.there, "")


@EACH
def test_the_last_page(made: Pages) -> None:
    """A page that holds exactly the rest has no token; one place less, and the last thing comes by itself."""
    everything, token = made.page(1000)
    count = made.things.there + MADE
    assert (len(everything), token) == (count, "")
    found, token = made.page(count)
    assert (found, bool(token)) == (everything, made.things.looks_on)
    assert not token or made.page(count, token) == ([], "")
    found, token = made.page(count - 1)
    assert (found, made.page(count - 1, token)) == (everything[:-1], (everything[-1:], ""))


@EACH
def test_how_many_a_page_holds(pages: Pages) -> None:
    """0 means 100; 1,000 is the most, and more is lowered to it; a negative size is refused."""
    make_many(pages, 1001 - pages.things.there)
    for size, most in ((0, 100), (1, 1), (999, 999), (1000, 1000), (1001, 1000), (2**31 - 1, 1000)):
        found, token = pages.page(size)
        assert (len(set(found)), bool(token)) == (most, True)
    rest, token = pages.page(1000, token)
    assert (len(rest), set(rest) & set(found), token) == (1, set(), "")
    with pages.shop.refused("INVALID_FIELD") as refusal:
        pages.page(-1)
    assert refusal.fields == ["page_size"]


def make_many(pages: Pages, count: int) -> None:
    """Make so many, most of them by one call or by copies, which only reads may see."""
    shop, name = pages.shop, pages.things.key
    if pages.things.copies:
        pages.things.make(shop, 0)
        for table, *columns in pages.things.copies:
            shop.observer.copy_rows(shop.store, table, count - 1, *columns)
    elif name == "slug":
        shop.observer.add_locations(shop.store, [f"l-{number}" for number in range(count)])
    else:
        place = "nowhere" if name == "line" else "default"
        imported(shop, *(row(f"b-{number:04}", (place, 1)) for number in range(count)))


@pytest.mark.fault(29)
@EACH
def test_a_token_of_another_list(made: Pages) -> None:
    """A damaged token, another list's and one that is none are refused."""
    token = made.page(1)[1]
    another = Pages(made.shop, "ListCarts" if made.things.key != "cart_id" else "ListStock")
    for number in range(MADE, MADE + 2):
        another.things.make(made.shop, number)
    for wrong in (token[:-1], token + "A", another.page(1)[1], "x", "%"):
        with made.shop.refused("INVALID_FIELD") as refusal:
            made.page(1, wrong)
        assert refusal.fields == ["page_token"]
    assert made.page(1, token)[0]


@EACH
def test_a_change_between_pages(made: Pages) -> None:
    """What is made meanwhile hides nothing of what was there, and nothing comes twice."""
    there = made.page()[0]
    first, token = made.page(2)
    made.things.make(made.shop, MADE)
    rest, token = made.page(100, token)
    assert (first, token) == (there[:2], "")
    assert [key for key in rest if key in there] == there[2:]
    assert len(set(rest)) == len(rest)
