"""Another store's ids, tokens, etags and request ids, sent through every RPC: they are nobody's here."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from google.protobuf.descriptor import MethodDescriptor

import inventory_client
from inventory_client import v1
from inventory_server.db.stores import create_store
from inventory_server.launch import LaunchedProcess
from support.database import Observer
from support.imports import imported, row
from support.requests import METHODS, call_of
from support.shop import Shop, word

IMPORTED = [row("z", 3), row("y", ("nowhere", 1)), row("x", ("nowhere", 1))]


class Theirs(NamedTuple):
    """What the other store has: its shop, and what of it a caller could bring along."""

    shop: Shop
    page_tokens: dict[str, str]
    resume_token: str
    etags: dict[str, str]
    operation_id: str
    reservation_id: str


# --- the other store -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def theirs(server: LaunchedProcess, database_url: str, observer: Observer) -> Iterator[Theirs]:
    """A store that has something of every kind; the first change of each that takes a request id had `q`."""
    store = f"theirs-{uuid.uuid4().hex}"
    create_store(database_url, store)
    with inventory_client.connect(server.address, store=store, timeout_s=60) as client:
        shop = Shop(client, store, observer)
        stock_and_reservations(shop)
        orders_and_payments(shop)
        for import_id in ("i", "i2"):
            imported(shop, *IMPORTED, import_id=import_id)
        settings = shop.set_up(sell_unmanaged_products=True)
        watch = shop.inventory.WatchStock(v1.WatchStockRequest(from_beginning=True))
        resume_token = next(iter(watch)).resume_token
        watch.cancel()
        yield Theirs(
            shop,
            page_tokens=page_tokens(shop),
            resume_token=resume_token,
            etags={
                "a": shop.get("a").etag,
                "aisle": shop.locations()["aisle"].etag,
                "c": shop.get_cart("c").etag,
                "settings": settings.etag,
            },
            operation_id=shop.payment("authorized").operation_id,
            reservation_id=shop.get_order("o").reservation_id,
        )


def stock_and_reservations(shop: Shop) -> None:
    shop.stock("a", 99, request_id="q")
    shop.stock("b", 99)
    shop.location("aisle", request_id="q")
    shop.inventory.CreateStockTransaction(shop.change_request("a", "INCREMENT", 7, location="aisle"))
    shop.reserve("r", ("a", 1))
    shop.reserve("gone", ("a", 2))
    shop.fulfill("gone", "q")
    shop.bring_back("gone", "back", {1: 1})


def orders_and_payments(shop: Shop) -> None:
    shop.cart("c")
    shop.add("c", ("a", 1), request_id="q")
    shop.paid_order("o", ("a", 1))
    shop.ship("o", "shipped")
    shop.return_of("o", "returned", {1: 1})
    shop.order("open", ("a", 1))
    shop.authorize("open", "authorized", shop.get_order("open").balance_minor)


def page_tokens(shop: Shop) -> dict[str, str]:
    """Return the token of each list's second page."""
    tokens = {}
    for method in METHODS:
        if "page_size" in method.input_type.fields_by_name:
            asked = {"import_id": "i"} if method.name == "ListImportErrors" else {}
            request = getattr(v1, method.input_type.name)(page_size=1, **asked)
            tokens[method.name] = call_of(stubs(shop), method)(request).next_page_token
    assert all(tokens.values()), tokens
    return tokens


def stubs(shop: Shop) -> dict[str, Any]:
    return {"InventoryService": shop.inventory, "CheckoutService": shop.checkout}


# --- what each method says -----------------------------------------------------------------------


class Ask(NamedTuple):
    """A request, and what it comes to: a reason, or a look at the answer, which must not show theirs."""

    outcome: str | Callable[[Any], object]
    request: Callable[[Theirs], Any]


def of(kind: type[Any], outcome: str | Callable[[Any], object], **fields: Any) -> Ask:
    """Ask with fields that are the same whatever the other store has; `q` wherever a request id goes."""
    if "request_id" in kind.DESCRIPTOR.fields_by_name:
        fields.setdefault("request_id", "q")
    return Ask(outcome, lambda _theirs: kind(**fields))


def page_of(kind: type[Any], empty: Callable[[Any], object], **fields: Any) -> list[Ask]:
    """Ask for a list from its beginning, and from where the other store's page ended."""
    name = kind.DESCRIPTOR.name.removesuffix("Request")
    return [
        of(kind, empty, **fields),
        Ask("INVALID_FIELD", lambda theirs: kind(page_token=theirs.page_tokens[name], **fields)),
    ]


def nothing(answer: Any) -> bool:
    """Whether an answer has no element and counts none."""
    return not any(
        list(value) if field.is_repeated else value
        for field, value in answer.ListFields()
        if field.is_repeated or field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_INT32)
    )


def is_fresh(answer: Any) -> bool:
    """Whether the call was taken for the first of its kind."""
    return not answer.replayed


def every_verdict(reason: str) -> Callable[[Any], bool]:
    def look(answer: Any) -> bool:
        found = [inventory_client.error_of(v.error).reason_name for v in answer.verdicts]
        return found == [reason] * len(found) and bool(found)

    return look


LINES = [v1.LineRequest(product_id="a", quantity=1)]
FIRST_LINE = [v1.LineQuantity(line_number=1, quantity=1)]
ITEMS = [v1.CartItemRequest(product_id="a", quantity=1, unit_price_minor=5)]
RESERVED = v1.ReserveStockItem(item_id="1", reservation_id="r", lines=LINES)

TABLE: dict[str, list[Ask]] = {
    "CreateStock": [of(v1.CreateStockRequest, is_fresh, product_id="a", quantity=1)],
    "GetStock": [of(v1.GetStockRequest, "STOCK_NOT_FOUND", product_id="a")],
    "BatchGetStock": [
        of(
            v1.BatchGetStockRequest,
            lambda answer: (list(answer.stocks), list(answer.missing_product_ids)) == ([], ["a", "b"]),
            product_ids=["a", "b"],
        )
    ],
    "ListStock": page_of(v1.ListStockRequest, nothing),
    "UpdateStock": [
        of(v1.UpdateStockRequest, "STOCK_NOT_FOUND", product_id="a", low_stock_threshold=1),
        Ask(
            "STOCK_NOT_FOUND",
            lambda theirs: v1.UpdateStockRequest(
                product_id="a", low_stock_threshold=1, etag=theirs.etags["a"], request_id="q"
            ),
        ),
    ],
    "DeleteStock": [of(v1.DeleteStockRequest, "STOCK_NOT_FOUND", product_id="a")],
    "CreateStockTransaction": [
        of(
            v1.CreateStockTransactionRequest,
            "STOCK_NOT_FOUND",
            product_id="a",
            action=v1.StockAction.STOCK_ACTION_INCREMENT,
            quantity=1,
        )
    ],
    "BatchCreateStockTransactions": [
        of(
            v1.BatchCreateStockTransactionsRequest,
            every_verdict("STOCK_NOT_FOUND"),
            items=[
                v1.StockTransactionItem(
                    item_id="1", product_id="a", action=v1.StockAction.STOCK_ACTION_INCREMENT, quantity=1
                )
            ],
        )
    ],
    "GetStockTransaction": [
        of(v1.GetStockTransactionRequest, "STOCK_TRANSACTION_NOT_FOUND", product_id="a", version=1)
    ],
    "ListStockTransactions": [
        *page_of(v1.ListStockTransactionsRequest, nothing),
        of(v1.ListStockTransactionsRequest, nothing, product_id="a"),
        of(v1.ListStockTransactionsRequest, nothing, order_id="o"),
    ],
    "TransferStock": [
        of(
            v1.TransferStockRequest,
            "LOCATION_NOT_FOUND",
            product_id="a",
            quantity=1,
            source_location="aisle",
            target_location="default",
        )
    ],
    "CreateLocation": [of(v1.CreateLocationRequest, is_fresh, slug="aisle")],
    "GetLocation": [of(v1.GetLocationRequest, "LOCATION_NOT_FOUND", slug="aisle")],
    "ListLocations": page_of(
        v1.ListLocationsRequest, lambda answer: [each.slug for each in answer.locations] == ["default"]
    ),
    "UpdateLocation": [
        of(v1.UpdateLocationRequest, "LOCATION_NOT_FOUND", slug="aisle", name="ours"),
        Ask(
            "ETAG_MISMATCH",
            lambda theirs: v1.UpdateLocationRequest(
                slug="default", name="ours", etag=theirs.etags["aisle"], request_id="q"
            ),
        ),
    ],
    "DeleteLocation": [of(v1.DeleteLocationRequest, "LOCATION_NOT_FOUND", slug="aisle")],
    "GetStoreSettings": [
        of(v1.GetStoreSettingsRequest, lambda answer: not answer.settings.sell_unmanaged_products)
    ],
    "UpdateStoreSettings": [
        Ask(
            "ETAG_MISMATCH",
            lambda theirs: v1.UpdateStoreSettingsRequest(
                defer_inventory_check=True, etag=theirs.etags["settings"], request_id="q"
            ),
        )
    ],
    "CheckAvailability": [
        of(
            v1.CheckAvailabilityRequest,
            lambda answer: [(s.available, s.managed) for s in answer.shortages] == [(0, False)],
            lines=LINES,
        )
    ],
    "ReserveStock": [of(v1.ReserveStockRequest, "INSUFFICIENT_STOCK", reservation_id="r", lines=LINES)],
    "BatchReserveStock": [
        of(v1.BatchReserveStockRequest, every_verdict("INSUFFICIENT_STOCK"), items=[RESERVED])
    ],
    "ReserveStockStream": [
        of(v1.ReserveStockStreamRequest, every_verdict("INSUFFICIENT_STOCK"), items=[RESERVED])
    ],
    "ConfirmReservation": [of(v1.ConfirmReservationRequest, "RESERVATION_NOT_FOUND", reservation_id="r")],
    "ReleaseReservation": [of(v1.ReleaseReservationRequest, "RESERVATION_NOT_FOUND", reservation_id="r")],
    "FulfillReservation": [
        # The same call as theirs, which was answered OK.
        of(v1.FulfillReservationRequest, "RESERVATION_NOT_FOUND", reservation_id="gone")
    ],
    "ExtendReservation": [
        of(v1.ExtendReservationRequest, "RESERVATION_NOT_FOUND", reservation_id="r", never_expires=True)
    ],
    "ReturnReservationItems": [
        of(
            v1.ReturnReservationItemsRequest,
            "RESERVATION_NOT_FOUND",
            reservation_id="gone",
            return_id=return_id,
            lines=FIRST_LINE,
            restock=True,
        )
        for return_id in ("back", "new")
    ],
    "GetReservation": [
        of(v1.GetReservationRequest, "RESERVATION_NOT_FOUND", reservation_id="r"),
        Ask(
            "RESERVATION_NOT_FOUND",
            lambda theirs: v1.GetReservationRequest(reservation_id=theirs.reservation_id),
        ),
    ],
    "ListReservations": [
        *page_of(v1.ListReservationsRequest, nothing),
        of(v1.ListReservationsRequest, nothing, order_id="o"),
        of(v1.ListReservationsRequest, nothing, product_id="a"),
    ],
    # An empty one of ours, under the id of theirs.
    "ImportStock": [
        of(
            v1.ImportStockRequest,
            lambda answer: answer.stock_import.row_count == 0,
            header=v1.ImportHeader(import_id="i", row_count=0),
        )
    ],
    "GetImport": [of(v1.GetImportRequest, "IMPORT_NOT_FOUND", import_id="i")],
    "ListImports": page_of(v1.ListImportsRequest, nothing),
    "ListImportErrors": [
        of(v1.ListImportErrorsRequest, "IMPORT_NOT_FOUND", import_id="i"),
        Ask(
            "INVALID_FIELD",
            lambda theirs: v1.ListImportErrorsRequest(
                import_id="i", page_token=theirs.page_tokens["ListImportErrors"]
            ),
        ),
    ],
    "ExportStock": [of(v1.ExportStockRequest, nothing)],
    "VerifyStock": [
        of(v1.VerifyStockRequest, nothing),
        of(v1.VerifyStockRequest, nothing, product_ids=["a"]),
    ],
    "GetServiceStatistics": [
        of(v1.GetServiceStatisticsRequest, lambda answer: not answer.totals.ListFields())
    ],
    "WatchStock": [
        of(v1.WatchStockRequest, nothing, from_beginning=True),
        of(v1.WatchStockRequest, nothing, from_beginning=True, product_ids=["a"]),
        Ask(
            "RESUME_TOKEN_EXPIRED",
            lambda theirs: v1.WatchStockRequest(resume_token=theirs.resume_token),
        ),
    ],
    "CreateCart": [
        of(v1.CreateCartRequest, lambda answer: not answer.cart.items, cart_id="c", currency="EUR")
    ],
    "GetCart": [of(v1.GetCartRequest, "CART_NOT_FOUND", cart_id="c")],
    "ListCarts": page_of(v1.ListCartsRequest, nothing),
    "AddCartItems": [of(v1.AddCartItemsRequest, "CART_NOT_FOUND", cart_id="c", items=ITEMS)],
    "UpdateCartItem": [
        of(v1.UpdateCartItemRequest, "CART_NOT_FOUND", cart_id="c", product_id="a", quantity=2),
        Ask(
            "CART_NOT_FOUND",
            lambda theirs: v1.UpdateCartItemRequest(
                cart_id="c", product_id="a", quantity=2, etag=theirs.etags["c"], request_id="q"
            ),
        ),
    ],
    "RemoveCartItem": [of(v1.RemoveCartItemRequest, "CART_NOT_FOUND", cart_id="c", product_id="a")],
    "DeleteCart": [of(v1.DeleteCartRequest, "CART_NOT_FOUND", cart_id="c")],
    "Checkout": [
        of(v1.CheckoutRequest, "CART_NOT_FOUND", cart_id=cart_id, order_id=order_id)
        for cart_id, order_id in (("c", "o"), ("cart-o", "o"), ("c", "ours"))
    ],
    "GetOrder": [of(v1.GetOrderRequest, "ORDER_NOT_FOUND", order_id="o")],
    "ListOrders": [
        *page_of(v1.ListOrdersRequest, nothing),
        of(v1.ListOrdersRequest, nothing, product_id="a"),
    ],
    "PayOrder": [
        of(
            v1.PayOrderRequest,
            "ORDER_NOT_FOUND",
            order_id="open",
            payment_id=payment_id,
            amount_minor=1,
            payment_method="accept",
        )
        for payment_id in ("authorized", "ours")
    ],
    "GetPayment": [of(v1.GetPaymentRequest, "PAYMENT_NOT_FOUND", payment_id="authorized")],
    "ListPayments": [
        *page_of(v1.ListPaymentsRequest, nothing),
        of(v1.ListPaymentsRequest, nothing, order_id="o"),
    ],
    "CapturePayment": [
        of(v1.CapturePaymentRequest, "PAYMENT_NOT_FOUND", payment_id="authorized", amount_minor=1)
    ],
    "VoidPayment": [of(v1.VoidPaymentRequest, "PAYMENT_NOT_FOUND", payment_id="authorized")],
    "RefundPayment": [
        of(v1.RefundPaymentRequest, "PAYMENT_NOT_FOUND", payment_id="pay-o", refund_id="f", amount_minor=1)
    ],
    "ConfirmPayment": [of(v1.ConfirmPaymentRequest, "PAYMENT_NOT_FOUND", payment_id="authorized")],
    "ResolvePayment": [
        Ask(
            "PAYMENT_NOT_FOUND",
            lambda theirs: v1.ResolvePaymentRequest(
                payment_id="authorized",
                operation_id=theirs.operation_id,
                outcome=v1.ResolvedOutcome.RESOLVED_OUTCOME_FAILED,
                reason="not ours",
                request_id="q",
            ),
        )
    ],
    "CancelOrder": [
        of(v1.CancelOrderRequest, "ORDER_NOT_FOUND", order_id="open"),
        of(v1.CancelOrderRequest, "ORDER_NOT_FOUND", order_id="open", target_order_id="o"),
    ],
    "ShipOrder": [
        of(v1.ShipOrderRequest, "ORDER_NOT_FOUND", order_id="o", shipment_id=shipment_id)
        for shipment_id in ("shipped", "ours")
    ],
    "ReturnOrderItems": [
        of(
            v1.ReturnOrderItemsRequest,
            "ORDER_NOT_FOUND",
            order_id="o",
            return_id=return_id,
            lines=FIRST_LINE,
            restock=True,
        )
        for return_id in ("returned", "ours")
    ],
}  # fmt: skip


# --- the laws ------------------------------------------------------------------------------------


def test_every_method_is_here() -> None:
    """A method that is added comes with what it says of another store's ids."""
    assert {method.name for method in METHODS} == set(TABLE)


@pytest.mark.fault(38)
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_another_stores_ids_are_nobodys(shop: Shop, theirs: Theirs, method: MethodDescriptor) -> None:
    """What another store has is not found, not listed, not repeated and not changed."""
    before = theirs.shop.observer.written(theirs.shop.store)
    call = call_of(stubs(shop), method)
    for outcome, request in TABLE[method.name]:
        asked = request(theirs)
        assert asked.DESCRIPTOR.full_name == method.input_type.full_name
        if isinstance(outcome, str):
            with shop.refused(outcome):
                call(asked)
        else:
            answer = call(asked)
            assert outcome(answer), answer
    assert theirs.shop.observer.written(theirs.shop.store) == before


def test_theirs_is_there(theirs: Theirs) -> None:
    """The ids above are those of things that the other store has: each is found there."""
    shop = theirs.shop
    assert shop.numbers("a")[0] > 0 and "aisle" in shop.locations()
    assert [word(shop.reservation(each)) for each in ("r", "gone")] == ["HELD", "CLOSED"]
    assert shop.reservation(theirs.reservation_id).owned_by_order
    assert shop.get_cart("c").items and shop.get_order("o").order_id == "o"
    assert [word(shop.payment(each)) for each in ("pay-o", "authorized")] == ["CAPTURED", "AUTHORIZED"]
    # The same calls, with the same request ids, repeat what was done there.
    assert shop.inventory.FulfillReservation(
        v1.FulfillReservationRequest(reservation_id="gone", request_id="q")
    ).replayed
