"""The error table on the wire: a test for every reason, with its code and its details.

Shop.refused() checks of each: the code, one ErrorInfo of our domain, the status in the details, RetryInfo
with UNAVAILABLE alone, and that not one row of the store was written.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import psycopg
import pytest

from inventory_client import v1
from inventory_server.launch import LaunchedProcess
from support.polling import until
from support.refusals import CODE_OF
from support.shop import Shop, StagedShop

# A database that fails, a queue that is full, and a door that asks who calls are made elsewhere: where, and
# under which name.
COVERED_ELSEWHERE = {
    "TRANSACTION_CONFLICT": ("integration/test_engine.py", "TransactionConflict"),
    "COMMIT_OUTCOME_UNKNOWN": ("integration/test_lost_connection.py", "CommitOutcomeUnknown"),
    "DATABASE_UNAVAILABLE": ("integration/test_database_away.py", "DATABASE_UNAVAILABLE"),
    "OVERLOADED": ("integration/test_engine.py", "Overloaded"),
    "UNAUTHENTICATED": ("unit/test_who_may.py", "UNAUTHENTICATED"),
    "PERMISSION_DENIED": ("unit/test_who_may.py", "PERMISSION_DENIED"),
    "RATE_LIMITED": ("unit/test_who_may.py", "RATE_LIMITED"),
    "STORE_REQUIRED": ("unit/test_who_may.py", "StoreRequired"),
}
ROWS: set[str] = set()

SOLD_OUT = "There is not enough stock available."
SHORTAGES_BYTES_MAX = 4 * 1024
# What common clients allow for all headers of an answer, base64 included.
HEADERS_BYTES_MAX = 8 * 1024

Test = TypeVar("Test", bound=Callable[..., None])


def row(reason: str) -> Callable[[Test], Test]:
    """Mark the test that proves a row of the table."""

    def mark(test: Test) -> Test:
        ROWS.add(reason)
        return test

    return mark


def all_reasons() -> set[str]:
    return {name.removeprefix("ERROR_REASON_") for name in v1.ErrorReason.keys()} - {"UNSPECIFIED"}  # noqa: SIM118


def test_every_reason_has_a_test() -> None:
    """A reason that is added to the protos needs a test here, or one that is named here."""
    assert all_reasons() == ROWS | COVERED_ELSEWHERE.keys()
    assert set(CODE_OF) == all_reasons()
    for file, name in COVERED_ELSEWHERE.values():
        assert name in (Path(__file__).parents[1] / file).read_text()


# --- the request ---------------------------------------------------------------------------------


@row("INVALID_FIELD")
def test_invalid_field(shop: Shop) -> None:
    """Every broken field by its path, at most 20 of them, and never the value."""
    request = shop.reserve_request("not an id", ("", 0), ("fine", 1), ("secret\n", 1))
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.ReserveStock(request)
    assert sorted(refusal.fields) == [
        "lines[0].product_id",
        "lines[0].quantity",
        "lines[2].product_id",
        "reservation_id",
    ]
    assert "secret" not in refusal.message
    with shop.refused("INVALID_FIELD") as refusal:
        shop.reserve("r", *[("", 0)] * 1000)
    assert len(refusal.fields) == 20


@row("ID_REUSED")
def test_id_reused(shop: Shop) -> None:
    """The id's field and the id: INVALID_ARGUMENT, as it is the caller's mistake."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 1))
    with shop.refused("ID_REUSED") as refusal:
        shop.reserve("r", ("a", 2))
    assert refusal.metadata == {"field": "reservation_id", "id": "r"}


# --- what is not there ---------------------------------------------------------------------------


@row("STORE_NOT_FOUND")
def test_store_not_found(shop: Shop) -> None:
    """A store that nobody made."""
    with shop.refused("STORE_NOT_FOUND") as refusal:
        shop.inventory.GetStock(
            v1.GetStockRequest(product_id="a"), metadata=(("x-inventory-store", "nowhere"),)
        )
    assert refusal.metadata == {"store_id": "nowhere"}


@row("STOCK_NOT_FOUND")
def test_stock_not_found(shop: Shop) -> None:
    """A product without a record, read or changed."""
    for call in (lambda: shop.numbers("ghost"), lambda: shop.change("ghost", "SET", 0)):
        with shop.refused("STOCK_NOT_FOUND") as refusal:
            call()
        assert refusal.metadata == {"product_id": "ghost"}


@row("LOCATION_NOT_FOUND")
def test_location_not_found(shop: Shop) -> None:
    """A slug that no location has."""
    shop.stock("a", 5)
    with shop.refused("LOCATION_NOT_FOUND") as refusal:
        shop.change("a", "INCREMENT", 1, location="elsewhere")
    assert refusal.metadata == {"location": "elsewhere"}


@row("STOCK_TRANSACTION_NOT_FOUND")
def test_stock_transaction_not_found(shop: Shop) -> None:
    """No entry with this version."""
    shop.stock("a", 5)
    with shop.refused("STOCK_TRANSACTION_NOT_FOUND") as refusal:
        shop.inventory.GetStockTransaction(v1.GetStockTransactionRequest(product_id="a", version=2))
    assert refusal.metadata == {"stock_transaction": "a default 2"}


@row("RESERVATION_NOT_FOUND")
def test_reservation_not_found(shop: Shop) -> None:
    """A reservation that nobody made."""
    with shop.refused("RESERVATION_NOT_FOUND") as refusal:
        shop.confirm("ghost")
    assert refusal.metadata == {"reservation_id": "ghost"}


@row("CART_NOT_FOUND")
def test_cart_not_found(shop: Shop) -> None:
    """A cart that nobody made."""
    with shop.refused("CART_NOT_FOUND") as refusal:
        shop.check_out("ghost", "o")
    assert refusal.metadata == {"cart_id": "ghost"}


@row("CART_ITEM_NOT_FOUND")
def test_cart_item_not_found(shop: Shop) -> None:
    """A product that is not in the cart."""
    shop.cart("c")
    with shop.refused("CART_ITEM_NOT_FOUND") as refusal:
        shop.checkout.RemoveCartItem(v1.RemoveCartItemRequest(cart_id="c", product_id="a"))
    assert refusal.metadata == {"product_id": "a"}


@row("ORDER_NOT_FOUND")
def test_order_not_found(shop: Shop) -> None:
    """An order that nobody made."""
    with shop.refused("ORDER_NOT_FOUND") as refusal:
        shop.pay("ghost", "p", 1)
    assert refusal.metadata == {"order_id": "ghost"}


@row("PAYMENT_NOT_FOUND")
def test_payment_not_found(shop: Shop) -> None:
    """A payment that nobody began, and an operation that a payment has not."""
    with shop.refused("PAYMENT_NOT_FOUND") as refusal:
        shop.payment("ghost")
    assert refusal.metadata == {"payment_id": "ghost"}
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 1))
    request = shop.resolve_request("pay-o", "DECLINED")
    request.operation_id = "op"
    with shop.refused("PAYMENT_NOT_FOUND") as refusal:
        shop.checkout.ResolvePayment(request)
    assert refusal.metadata == {"payment_id": "pay-o", "operation_id": "op"}
    assert refusal.message == "payment 'pay-o' has no operation 'op'"


@row("IMPORT_NOT_FOUND")
def test_import_not_found(shop: Shop) -> None:
    """An import that nobody uploaded."""
    with shop.refused("IMPORT_NOT_FOUND") as refusal:
        shop.inventory.GetImport(v1.GetImportRequest(import_id="ghost"))
    assert refusal.metadata == {"import_id": "ghost"}


# --- stock ---------------------------------------------------------------------------------------


@row("STOCK_EXISTS")
def test_stock_exists(shop: Shop) -> None:
    """A product has one record."""
    shop.stock("a", 5)
    with shop.refused("STOCK_EXISTS") as refusal:
        shop.stock("a", 6)
    assert refusal.metadata == {"product_id": "a"}


@row("LOCATION_EXISTS")
def test_location_exists(shop: Shop) -> None:
    """A slug names one location."""
    with shop.refused("LOCATION_EXISTS") as refusal:
        shop.location("default")
    assert refusal.metadata == {"location": "default"}


@row("LOCATION_DISABLED")
def test_location_disabled(shop: Shop) -> None:
    """An allocation by hand, where nothing new is allocated."""
    shop.stock("a", 5)
    shop.disable("default")
    with shop.refused("LOCATION_DISABLED") as refusal:
        shop.change("a", "ALLOCATE", 1)
    assert refusal.metadata == {"location": "default"}


@row("LOCATION_NOT_EMPTY")
def test_location_not_empty(shop: Shop) -> None:
    """A location that keeps a unit."""
    shop.location("north")
    shop.stock("a", 0)
    shop.change("a", "INCREMENT", 1, location="north")
    with shop.refused("LOCATION_NOT_EMPTY") as refusal:
        shop.delete_location("north")
    assert refusal.metadata == {"location": "north"}


@row("INSUFFICIENT_STOCK")
@pytest.mark.parametrize("call", ["reserve", "cart", "checkout", "pay", "decrement"])
def test_insufficient_stock_says_the_same_everywhere(shop: Shop, call: str) -> None:
    """One fixed message that names no product and no count; the short line travels in the details."""
    shop.stock("tea-4711", 5)
    shop.cart("c")
    shop.add("c", ("tea-4711", 3))
    if call == "checkout":
        shop.add("c", ("tea-4711", 4))
    if call == "pay":
        shop.order("o", ("tea-4711", 5))
        shop.change("tea-4711", "DECREMENT", 1)
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        if call == "reserve":
            shop.reserve("r", ("tea-4711", 7))
        elif call == "cart":
            shop.add("c", ("tea-4711", 7))
        elif call == "checkout":
            shop.check_out("c", "o")
        elif call == "pay":
            shop.pay("o", "p", 500)
        else:
            shop.change("tea-4711", "DECREMENT", 7)
    requested, available = (5, 4) if call == "pay" else (7, 5)
    location = "default" if call == "decrement" else ""
    assert refusal.message == SOLD_OUT
    assert refusal.short_lines == [("tea-4711", location, requested, available, True)]
    assert refusal.metadata == {"shortage_count": "1"}


@pytest.mark.parametrize("id_bytes", [8, 128])
def test_insufficient_stock_of_1000_lines(shop: Shop, id_bytes: int) -> None:
    """1,000 short lines: counted all, listed from the first on as far as 4 KiB go, within header limits."""
    names = [f"{number:04}".ljust(id_bytes, "~") for number in range(1000)]
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.reserve("r", *[(name, 2**43 - 1) for name in names])
    assert refusal.metadata == {"shortage_count": "1000"}
    listed = [short.product_id for short in refusal.shortages]
    assert listed == names[: len(listed)]
    assert SHORTAGES_BYTES_MAX * 0.8 < refusal.shortage_bytes <= SHORTAGES_BYTES_MAX
    assert refusal.details_bytes * 4 / 3 < HEADERS_BYTES_MAX
    assert refusal.message == SOLD_OUT


@row("RESUME_TOKEN_EXPIRED")
def test_resume_token_expired(shop: Shop, staged: StagedShop) -> None:
    """A token of another database: OUT_OF_RANGE, since the log has no such place."""
    token = next(shop.inventory.WatchStock(v1.WatchStockRequest(), timeout=60)).resume_token
    with staged.refused("RESUME_TOKEN_EXPIRED") as refusal:
        next(staged.inventory.WatchStock(v1.WatchStockRequest(resume_token=token), timeout=60))
    assert refusal.metadata == {}


@row("TOTAL_BELOW_ALLOCATED")
def test_total_below_allocated(shop: Shop) -> None:
    """The total asked for and what is allocated."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 3))
    with shop.refused("TOTAL_BELOW_ALLOCATED") as refusal:
        shop.change("a", "SET", 2)
    assert refusal.metadata == {"total": "2", "allocated": "3"}


@pytest.mark.fault(23)
@row("QUANTITY_OVERFLOW")
def test_quantity_overflow(shop: Shop) -> None:
    """The limit that would be passed."""
    shop.stock("a", 2**43 - 1)
    with shop.refused("QUANTITY_OVERFLOW") as refusal:
        shop.change("a", "INCREMENT", 1)
    assert refusal.metadata == {"limit": str(2**43 - 1)}


@row("HAND_ALLOCATION_TOO_SMALL")
def test_hand_allocation_too_small(shop: Shop) -> None:
    """What was asked for and what was allocated by hand."""
    shop.stock("a", 5)
    shop.change("a", "ALLOCATE", 1)
    with shop.refused("HAND_ALLOCATION_TOO_SMALL") as refusal:
        shop.change("a", "DEALLOCATE", 2)
    assert refusal.metadata == {"requested": "2", "hand_allocated": "1"}


@row("STOCK_IN_USE")
def test_stock_in_use(shop: Shop) -> None:
    """The product and how many of its units are allocated."""
    shop.stock("a", 5)
    shop.change("a", "ALLOCATE", 1)
    shop.reserve("r", ("a", 2))
    with shop.refused("STOCK_IN_USE") as refusal:
        shop.delete("a")
    assert refusal.metadata == {"product_id": "a", "allocated": "3"}


@pytest.mark.fault(29)
@row("ETAG_MISMATCH")
def test_etag_mismatch(shop: Shop) -> None:
    """What was named and what it is now: ABORTED, since it is worth deciding again after reading again."""
    shop.stock("a", 5)
    for version in (0, 2):
        with shop.refused("ETAG_MISMATCH") as refusal:
            shop.change("a", "SET", 2, expected_version=version)
        assert refusal.metadata == {"field": "expected_version", "current": "1"}
    current = shop.get("a").etag
    for call in (lambda: shop.delete("a", etag="stale"), lambda: shop.update("a", etag="stale")):
        with shop.refused("ETAG_MISMATCH") as refusal:
            call()
        assert refusal.metadata == {"field": "etag", "current": current}


# --- reservations --------------------------------------------------------------------------------


@row("RESERVATION_NOT_ACTIVE")
def test_reservation_not_active(shop: Shop) -> None:
    """The reservation and the state it ended in."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 1))
    shop.release("r")
    for call in (lambda: shop.confirm("r"), lambda: shop.reserve("r", ("a", 1))):
        with shop.refused("RESERVATION_NOT_ACTIVE") as refusal:
            call()
        assert refusal.metadata == {"reservation_id": "r", "state": "RELEASED"}


@row("RESERVATION_EXPIRED")
def test_reservation_expired(staged: StagedShop) -> None:
    """A fixed message, and the shortages of the whole that would have to be held again."""
    staged.stock("a", 5)
    staged.reserve_until_soon("r", ("a", 3))
    staged.wait_until_due(("a", 5))
    staged.reserve("next", ("a", 4))
    with staged.refused("RESERVATION_EXPIRED") as refusal:
        staged.confirm("r")
    assert refusal.message == "The reservation has expired and its stock is no longer available."
    assert refusal.metadata == {"shortage_count": "1"}
    assert refusal.short_lines == [("a", "", 3, 1, True)]


@row("RESERVATION_OWNED_BY_ORDER")
def test_reservation_owned_by_order(shop: Shop) -> None:
    """The order that alone may move it."""
    shop.stock("a", 5)
    reservation_id = shop.paid_order("o", ("a", 1)).reservation_id
    with shop.refused("RESERVATION_OWNED_BY_ORDER") as refusal:
        shop.release(reservation_id)
    assert refusal.metadata == {"reservation_id": reservation_id, "order_id": "o"}


@row("QUANTITY_EXCEEDS_HELD")
def test_quantity_exceeds_held(shop: Shop) -> None:
    """The line, what was asked of it and what it has; also of a line that isn't there."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 2))
    for line_number, open_count in ((1, "2"), (2, "0")):
        with shop.refused("QUANTITY_EXCEEDS_HELD") as refusal:
            shop.fulfill("r", by_line={line_number: 3})
        assert refusal.metadata == {"line_number": str(line_number), "requested": "3", "open": open_count}


@row("RETURN_EXCEEDS_SHIPPED")
def test_return_exceeds_shipped(shop: Shop) -> None:
    """The line, what was to come back and what still can."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 4))
    shop.fulfill("r", by_line={1: 3})
    shop.bring_back("r", "t", {1: 1})
    with shop.refused("RETURN_EXCEEDS_SHIPPED") as refusal:
        shop.bring_back("r", "t-2", {1: 3})
    assert refusal.metadata == {"line_number": "1", "requested": "3", "returnable": "2"}


# --- the order flow ------------------------------------------------------------------------------


@row("ORDER_NOT_PAYABLE")
def test_order_not_payable(shop: Shop) -> None:
    """An order that costs nothing is paid once."""
    shop.stock("a", 5)
    shop.order("o", ("a", 1, 0))
    shop.pay("o", "p", 0)
    with shop.refused("ORDER_NOT_PAYABLE") as refusal:
        shop.pay("o", "p-2", 0)
    assert refusal.metadata == {"order_id": "o"}


@row("ORDER_NOT_CANCELLABLE")
def test_order_not_cancellable(shop: Shop) -> None:
    """An order that was shipped whole."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 1))
    shop.ship("o", "s")
    with shop.refused("ORDER_NOT_CANCELLABLE") as refusal:
        shop.cancel("o")
    assert refusal.metadata == {"order_id": "o"}


@row("ORDER_NOT_SHIPPABLE")
def test_order_not_shippable(shop: Shop) -> None:
    """An order that is not paid."""
    shop.stock("a", 5)
    shop.order("o", ("a", 1))
    with shop.refused("ORDER_NOT_SHIPPABLE") as refusal:
        shop.ship("o", "s")
    assert refusal.metadata == {"order_id": "o"}


@row("ORDER_CANCELLED")
def test_order_cancelled(shop: Shop) -> None:
    """An order that was cancelled."""
    shop.stock("a", 5)
    shop.order("o", ("a", 1))
    shop.cancel("o")
    with shop.refused("ORDER_CANCELLED") as refusal:
        shop.pay("o", "p", 100)
    assert refusal.metadata == {"order_id": "o"}


@row("PAYMENT_IN_PROGRESS")
def test_payment_in_progress(staged: StagedShop) -> None:
    """An order whose payment is at the gateway."""
    staged.stock("a", 5)
    staged.order("o", ("a", 1))
    call, visit = staged.pay_up_to_gateway("o", "p", 100)
    with staged.refused("PAYMENT_IN_PROGRESS") as refusal:
        staged.cancel("o")
    assert refusal.metadata == {"order_id": "o"}
    visit.accept()
    call.result()


@row("AMOUNT_EXCEEDS_BALANCE")
def test_amount_exceeds_balance(shop: Shop) -> None:
    """The amount and what is left to pay, to capture or to refund."""
    shop.stock("a", 5)
    shop.order("o", ("a", 1))
    with shop.refused("AMOUNT_EXCEEDS_BALANCE") as refusal:
        shop.pay("o", "p", 101)
    assert refusal.metadata == {"amount_minor": "101", "balance_minor": "100"}
    shop.authorize("o", "p", 100)
    with shop.refused("AMOUNT_EXCEEDS_BALANCE") as refusal:
        shop.capture("p", 101)
    assert refusal.metadata == {"amount_minor": "101", "authorized_minor": "100"}
    shop.capture("p", 100)
    shop.refund("p", "f", 30)
    with shop.refused("AMOUNT_EXCEEDS_BALANCE") as refusal:
        shop.refund("p", "g", 71)
    assert refusal.metadata == {"amount_minor": "71", "refundable_minor": "70"}


@row("PAYMENT_NOT_CAPTURABLE")
def test_payment_not_capturable(shop: Shop) -> None:
    """A payment without an open authorization."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 1))
    with shop.refused("PAYMENT_NOT_CAPTURABLE") as refusal:
        shop.capture("pay-o", 1)
    assert refusal.metadata == {"payment_id": "pay-o", "state": "CAPTURED"}


@row("PAYMENT_NOT_VOIDABLE")
def test_payment_not_voidable(shop: Shop) -> None:
    """A payment whose money was taken."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 1))
    with shop.refused("PAYMENT_NOT_VOIDABLE") as refusal:
        shop.void("pay-o")
    assert refusal.metadata == {"payment_id": "pay-o", "state": "CAPTURED"}


@row("PAYMENT_NOT_REFUNDABLE")
def test_payment_not_refundable(shop: Shop) -> None:
    """A payment that took nothing."""
    shop.stock("a", 5)
    shop.order("o", ("a", 1))
    shop.pay("o", "p", 100, "decline")
    with shop.refused("PAYMENT_NOT_REFUNDABLE") as refusal:
        shop.refund("p", "f", 1)
    assert refusal.metadata == {"payment_id": "p", "state": "DECLINED"}


@row("CART_NOT_OPEN")
def test_cart_not_open(shop: Shop) -> None:
    """The cart and the order that was made of it."""
    shop.stock("a", 5)
    shop.cart("c", ("a", 1))
    shop.check_out("c", "o")
    with shop.refused("CART_NOT_OPEN") as refusal:
        shop.check_out("c", "o-2")
    assert refusal.metadata == {"cart_id": "c", "order_id": "o"}


@row("CART_EMPTY")
def test_cart_empty(shop: Shop) -> None:
    """The cart that holds nothing."""
    shop.cart("c")
    with shop.refused("CART_EMPTY") as refusal:
        shop.check_out("c", "o")
    assert refusal.metadata == {"cart_id": "c"}


@row("IMPORT_INCOMPLETE")
def test_import_incomplete(shop: Shop) -> None:
    """An upload that ends before the rows that it announced."""
    header = v1.ImportHeader(import_id="i", row_count=1)
    with shop.refused("IMPORT_INCOMPLETE") as refusal:
        shop.inventory.ImportStock(iter([v1.ImportStockRequest(header=header)]))
    assert refusal.metadata == {"import_id": "i"}


# --- a defect ------------------------------------------------------------------------------------


@pytest.mark.fault(35)
@row("INTERNAL")
def test_internal(shop: Shop, server: LaunchedProcess, database_url: str) -> None:
    """A defect: a fixed text and an id that stands in the server's log; others in its batch don't suffer."""
    shop.stock("secret-product", 5)
    shop.reserve("r", ("secret-product", 3))
    with psycopg.connect(database_url) as connection:  # what no rule can bring about
        connection.execute(
            "UPDATE stock_level SET allocated = 1 WHERE store_id = %s AND product_id = 'secret-product'",
            (shop.store,),
        )
    with shop.batch_held():
        calls = [
            shop.inventory.CreateStock.future(v1.CreateStockRequest(product_id="before", quantity=1)),
            shop.inventory.ReleaseReservation.future(v1.ReleaseReservationRequest(reservation_id="r")),
            shop.inventory.CreateStock.future(v1.CreateStockRequest(product_id="after", quantity=1)),
        ]
    assert [shop.reason_of(call) for call in calls] == ["OK", "INTERNAL", "OK"]
    with shop.refused("INTERNAL") as refusal:
        shop.release("r")
    assert refusal.message == "Internal error. Its error_id stands in the server's log."
    assert set(refusal.metadata) == {"error_id"}
    error_id = refusal.metadata["error_id"]
    until(lambda: any(error_id in line for line in server.last_errors), "the error_id is in the log")
    assert (shop.numbers("before"), shop.numbers("after")) == ((1, 1, 0), (1, 1, 0))


# --- what a refusal does not say -----------------------------------------------------------------


@pytest.mark.fault(30)
def test_no_message_tells_of_the_inside(shop: Shop) -> None:
    """Ids that look like SQL or like log lines are data: refused or kept, never run, never explained."""
    odd = "';DROP/**/TABLE/**/stock;--"
    shop.stock(odd, 1)
    assert shop.numbers(odd) == (1, 1, 0)
    with shop.refused("STOCK_EXISTS") as refusal:
        shop.stock(odd, 1)
    assert not re.search(r"psycopg|postgres|Traceback|SQL", refusal.message)
    for wrong in ("a\x00b", "a b", "\x1b[31m", "a\n", "\u00e9", "\U0001f600", "x" * 129):
        with shop.refused("INVALID_FIELD") as refusal:
            shop.numbers(wrong)
        assert refusal.fields == ["product_id"]
