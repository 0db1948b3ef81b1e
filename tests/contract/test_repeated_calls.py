"""Calls that are sent again: the same content takes effect once, other content is ID_REUSED."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

import inventory_client
from inventory_client import v1
from support.shop import Shop, StagedShop, word

Request = Any


@dataclass(frozen=True)
class Named:
    """A call that a request_id names: `other` makes other content of its request."""

    request: Request
    other: Callable[[Request], None]


def _set(**fields: Any) -> Callable[[Request], None]:
    def change(request: Request) -> None:
        for name, value in fields.items():
            setattr(request, name, value)

    return change


# For each method with a request_id: a call that succeeds on what `arranged` made.
NAMED: dict[str, Named] = {
    "CreateStock": Named(v1.CreateStockRequest(product_id="new", quantity=3), _set(quantity=4)),
    "UpdateStock": Named(
        v1.UpdateStockRequest(product_id="a", low_stock_threshold=3), _set(low_stock_threshold=4)
    ),
    "DeleteStock": Named(v1.DeleteStockRequest(product_id="old"), _set(etag="another")),
    "UpdateStoreSettings": Named(
        v1.UpdateStoreSettingsRequest(sell_unmanaged_products=True), _set(defer_inventory_check=True)
    ),
    "CreateStockTransaction": Named(
        v1.CreateStockTransactionRequest(
            product_id="a", action=v1.StockAction.STOCK_ACTION_INCREMENT, quantity=3
        ),
        _set(reason="another"),
    ),
    "CreateLocation": Named(v1.CreateLocationRequest(slug="new", name="New"), _set(name="Other")),
    "UpdateLocation": Named(v1.UpdateLocationRequest(slug="spare", name="New"), _set(name="Other")),
    "DeleteLocation": Named(v1.DeleteLocationRequest(slug="empty"), _set(slug="ghost")),
    "TransferStock": Named(
        v1.TransferStockRequest(product_id="a", quantity=3, target_location="spare"), _set(quantity=4)
    ),
    "ConfirmReservation": Named(
        v1.ConfirmReservationRequest(reservation_id="r"), _set(reservation_id="ghost")
    ),
    "ReleaseReservation": Named(
        v1.ReleaseReservationRequest(reservation_id="r"), _set(reservation_id="ghost")
    ),
    "FulfillReservation": Named(
        v1.FulfillReservationRequest(reservation_id="r"), _set(reservation_id="ghost")
    ),
    "ExtendReservation": Named(
        v1.ExtendReservationRequest(reservation_id="r", never_expires=True), _set(reservation_id="ghost")
    ),
    "AddCartItems": Named(
        v1.AddCartItemsRequest(
            cart_id="c", items=[v1.CartItemRequest(product_id="a", quantity=2, unit_price_minor=5)]
        ),
        lambda request: setattr(request.items[0], "quantity", 3),
    ),
    "UpdateCartItem": Named(
        v1.UpdateCartItemRequest(cart_id="c", product_id="a", quantity=4), _set(quantity=5)
    ),
    "RemoveCartItem": Named(v1.RemoveCartItemRequest(cart_id="c", product_id="a"), _set(product_id="ghost")),
    "DeleteCart": Named(v1.DeleteCartRequest(cart_id="c"), _set(cart_id="ghost")),
    "CancelOrder": Named(v1.CancelOrderRequest(order_id="o"), _set(order_id="ghost")),
    "CapturePayment": Named(
        v1.CapturePaymentRequest(payment_id="to-capture", amount_minor=60), _set(amount_minor=61)
    ),
    "VoidPayment": Named(v1.VoidPaymentRequest(payment_id="to-void"), _set(payment_id="ghost")),
    "ConfirmPayment": Named(v1.ConfirmPaymentRequest(payment_id="to-confirm"), _set(payment_id="ghost")),
    "ResolvePayment": Named(
        v1.ResolvePaymentRequest(
            payment_id="stuck", outcome=v1.ResolvedOutcome.RESOLVED_OUTCOME_FAILED, reason="seen"
        ),
        _set(reason="another"),
    ),
}
# Each item is repeated by itself: tests/contract/test_batch_stock_calls.py.
ITEM_BY_ITEM = ("BatchCreateStockTransactions",)
# Their repeats while the gateway thinks: tests/contract/test_interleavings_operations.py.
AT_THE_GATEWAY = ("CapturePayment", "VoidPayment", "ConfirmPayment", "ResolvePayment")


def arranged(shop: Shop) -> None:
    """A stock of `a`, a hold `r`, a cart `c`, a paid order `o`, and payments to go on with."""
    shop.location("spare")
    shop.stocks(a=90, old=1)
    shop.location("empty")
    shop.reserve("r", ("a", 1))
    shop.cart("c", ("a", 1))
    shop.paid_order("o", ("a", 1))
    shop.order("parts", ("a", 4))
    shop.authorize("parts", "to-capture", 100)
    shop.authorize("parts", "to-void", 100)
    shop.pay("parts", "to-confirm", 100, "requires-action")
    shop.pay("parts", "stuck", 100, "down")


def named_call(shop: Shop, method: str) -> Any:
    return getattr(shop.inventory, method, None) or getattr(shop.checkout, method)


def named_request(shop: Shop, method: str, request_id: str = "mine") -> Request:
    request = type(NAMED[method].request)()
    request.CopyFrom(NAMED[method].request)
    request.request_id = request_id
    if method == "ResolvePayment":
        request.operation_id = shop.payment("stuck").operation_id
    return request


def test_every_method_with_a_request_id_is_here() -> None:
    """A method that is added with a request_id needs its repeats tested."""
    from support.requests import METHODS

    with_id = {method.name for method in METHODS if "request_id" in method.input_type.fields_by_name}
    assert {*NAMED, *ITEM_BY_ITEM} == with_id
    for method in METHODS:
        assert ("replayed" in method.output_type.fields_by_name) is (method.name in NAMED)


@pytest.mark.parametrize("method", NAMED)
def test_the_same_request_again(shop: Shop, method: str) -> None:
    """The stored answer, marked `replayed`, and nothing is written: also after the state has moved on."""
    arranged(shop)
    call, request = named_call(shop, method), named_request(shop, method)
    first = call(request)
    assert not first.replayed
    shop.change("a", "INCREMENT", 1)
    if method in ("ConfirmReservation",):
        shop.fulfill("r")
    if method in ("AddCartItems", "UpdateCartItem"):
        shop.add("c", ("a", 7))
    before = shop.observer.written(shop.store)
    for _ in range(2):
        again = call(request)
        assert again.replayed
        again.replayed = False
        assert again == first
    assert shop.observer.written(shop.store) == before


@pytest.mark.parametrize("method", NAMED)
def test_other_content_under_a_request_id(shop: Shop, method: str) -> None:
    """ID_REUSED names the field and the id, and comes before whatever else is wrong."""
    arranged(shop)
    call, request = named_call(shop, method), named_request(shop, method)
    call(request)
    NAMED[method].other(request)
    with shop.refused("ID_REUSED") as refusal:
        call(request)
    assert refusal.metadata == {"field": "request_id", "id": "mine"}


@pytest.mark.parametrize("in_one_batch", [False, True])
@pytest.mark.parametrize("method", [method for method in NAMED if method not in AT_THE_GATEWAY])
def test_50_repeats_at_once(staged: StagedShop, method: str, in_one_batch: bool) -> None:
    """One takes effect and 49 are replays of it, in one batch or in many."""
    staged.location("spare")
    staged.stocks(a=90, old=1)
    staged.location("empty")
    staged.reserve("r", ("a", 1))
    staged.cart("c", ("a", 1))
    staged.order("o", ("a", 1))
    call, request = named_call(staged, method), named_request(staged, method)
    if in_one_batch:
        with staged.batch_held():
            calls = [call.future(request) for _ in range(50)]
    else:
        calls = [call.future(request) for _ in range(50)]
    answers = [each.result() for each in calls]
    assert sum(not answer.replayed for answer in answers) == 1
    for answer in answers:
        answer.replayed = False
    assert all(answer == answers[0] for answer in answers)
    effect = {
        "CreateStock": lambda: len(staged.log("new")) == 1,
        "UpdateStock": lambda: staged.get("a").low_stock_threshold == 3,
        "DeleteStock": lambda: staged.actions("old") == [("DELETE", 1)],
        "UpdateStoreSettings": lambda: staged.settings().sell_unmanaged_products,
        "CreateStockTransaction": lambda: staged.actions("a") == [("RESERVE", 1), ("INCREMENT", 3)],
        "CreateLocation": lambda: set(staged.locations()) == {"default", "empty", "spare", "new"},
        "UpdateLocation": lambda: staged.locations()["spare"].name == "New",
        "DeleteLocation": lambda: set(staged.locations()) == {"default", "spare"},
        "TransferStock": lambda: staged.actions("a")[1:] == [("TRANSFER_OUT", 3), ("TRANSFER_IN", 3)],
        "ConfirmReservation": lambda: staged.actions("a") == [("RESERVE", 1)],
        "ReleaseReservation": lambda: staged.actions("a") == [("RESERVE", 1), ("RELEASE", 1)],
        "FulfillReservation": lambda: staged.actions("a") == [("RESERVE", 1), ("FULFILL", 1)],
        "ExtendReservation": lambda: not staged.reservation("r").HasField("expire_time"),
        "AddCartItems": lambda: staged.get_cart("c").items[0].quantity == 3,
        "UpdateCartItem": lambda: staged.get_cart("c").items[0].quantity == 4,
        "RemoveCartItem": lambda: not staged.get_cart("c").items,
        "DeleteCart": lambda: staged.list_carts(states=[v1.CartState.CART_STATE_OPEN]) == [],
        "CancelOrder": lambda: word(staged.get_order("o")) == "CANCELLED",
    }
    assert effect[method]()


def test_request_ids_are_told_apart_by_method(shop: Shop) -> None:
    """One request_id in every method: each call is its own."""
    arranged(shop)
    order = [name for name in NAMED if name not in ("FulfillReservation", "ReleaseReservation")]
    for method in [*order, "ReleaseReservation"]:
        assert not named_call(shop, method)(named_request(shop, method, "one-for-all")).replayed
    assert named_call(shop, "CreateStock")(named_request(shop, "CreateStock", "one-for-all")).replayed


def test_a_refusal_is_decided_afresh(shop: Shop) -> None:
    """A refused request_id is not used up: sent again it succeeds when it can, even with other content."""
    shop.stock("a", 1)
    request = shop.change_request("a", "DECREMENT", 2, request_id="mine")
    for _ in range(2):
        with shop.refused("INSUFFICIENT_STOCK"):
            shop.inventory.CreateStockTransaction(request)
    shop.change("a", "INCREMENT", 1)
    answer = shop.inventory.CreateStockTransaction(request)
    assert not answer.replayed
    assert shop.numbers("a") == (0, 0, 0)
    assert shop.inventory.CreateStockTransaction(request).replayed

    other = shop.change_request("a", "DECREMENT", 2, request_id="another")
    with shop.refused("INSUFFICIENT_STOCK"):
        shop.inventory.CreateStockTransaction(other)
    other.quantity = 1
    shop.change("a", "INCREMENT", 1)
    assert not shop.inventory.CreateStockTransaction(other).replayed


def test_a_refused_resource_id_is_not_used_up(shop: Shop) -> None:
    """An id whose reservation, order or payment was refused can be used, with other content too."""
    shop.stock("a", 1)
    with shop.refused("INSUFFICIENT_STOCK"):
        shop.reserve("r", ("a", 2))
    assert word(shop.reserve("r", ("a", 1))) == "HELD"
    shop.release("r")
    shop.order("o", ("a", 1))
    with shop.refused("AMOUNT_EXCEEDS_BALANCE"):
        shop.pay("o", "p", 101)
    assert word(shop.pay("o", "p", 100)) == "CAPTURED"


def test_what_is_compared_is_the_decoded_command(shop: Shop) -> None:
    """Requests that mean the same are the same, whatever their bytes: merged lines, named defaults, masks."""
    shop.stock("a", 9)
    held = shop.reserve("r", ("a", 1), ("a", 2))
    assert shop.reserve("r", ("a", 3)) == held
    with shop.refused("ID_REUSED"):
        shop.reserve("r", ("a", 3), never_expires=True)
    with shop.refused("ID_REUSED"):
        shop.reserve("r", ("a", 3), order_id="o-1")

    change = shop.change_request("a", "INCREMENT", 1, request_id="mine")
    shop.inventory.CreateStockTransaction(change)
    change.location = "default"
    assert shop.inventory.CreateStockTransaction(change).replayed

    shop.cart("c", ("a", 1))
    update = v1.UpdateCartItemRequest(cart_id="c", product_id="a", quantity=2, request_id="mine")
    shop.checkout.UpdateCartItem(update)
    update.update_mask.paths.append("quantity")
    assert shop.checkout.UpdateCartItem(update).replayed


# --- ids of resources ----------------------------------------------------------------------------


def test_reserve_again_answers_the_current_state(shop: Shop) -> None:
    """HELD, COMMITTED and CLOSED are answered as they are; nothing is held twice."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 2))
    for move, state in ((None, "HELD"), (shop.confirm, "COMMITTED"), (shop.fulfill, "CLOSED")):
        if move:
            move("r")
        before = shop.observer.written(shop.store)
        assert word(shop.reserve("r", ("a", 2))) == state
        assert shop.observer.written(shop.store) == before
    with shop.refused("ID_REUSED") as refusal:
        shop.reserve("r", ("a", 1))
    assert refusal.metadata == {"field": "reservation_id", "id": "r"}


def test_create_cart_again_answers_the_current_state(shop: Shop) -> None:
    """The cart as it stands, with what was put into it; another currency is other content."""
    shop.stock("a", 5)
    shop.cart("c")
    filled = shop.add("c", ("a", 2))
    assert shop.cart("c") == filled
    with shop.refused("ID_REUSED") as refusal:
        shop.cart("c", currency="USD")
    assert refusal.metadata == {"field": "cart_id", "id": "c"}


def test_checkout_again_answers_the_current_state(shop: Shop) -> None:
    """The order as it stands, sold out or not; another cart under its id is other content."""
    shop.stock("a", 5)
    shop.cart("c", ("a", 2))
    shop.cart("c-2", ("a", 1))
    shop.check_out("c", "o")
    shop.pay("o", "p", 200)
    shop.change("a", "DECREMENT", 3)
    assert shop.check_out("c", "o") == shop.get_order("o")
    assert word(shop.get_order("o")) == "PROCESSING"
    with shop.refused("ID_REUSED") as refusal:
        shop.check_out("c-2", "o")
    assert refusal.metadata == {"field": "order_id", "id": "o"}


def test_pay_again_answers_the_current_state(shop: Shop) -> None:
    """The payment as it stands; another amount, order or method under its id is other content."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    shop.order("o-2", ("a", 2))
    paid = shop.pay("o", "p", 100)
    assert shop.pay("o", "p", 100) == paid
    for order_id, amount_minor, how in (
        ("o", 99, "accept"),
        ("o-2", 100, "accept"),
        ("o", 100, "decline"),
    ):
        with shop.refused("ID_REUSED") as refusal:
            shop.pay(order_id, "p", amount_minor, how)
        assert refusal.metadata == {"field": "payment_id", "id": "p"}
    shop.cancel("o")
    assert shop.pay("o", "p", 100) == paid


def test_ship_again_answers_the_shipment(shop: Shop) -> None:
    """The same shipment; another order under its id is other content."""
    shop.stock("a", 5)
    for order_id in ("o", "o-2"):
        shop.paid_order(order_id, ("a", 2))
    shipped = shop.ship("o", "s")
    before = shop.observer.written(shop.store)
    assert shop.ship("o", "s") == shipped
    assert shop.observer.written(shop.store) == before
    with shop.refused("ID_REUSED") as refusal:
        shop.ship("o-2", "s")
    assert refusal.metadata == {"field": "shipment_id", "id": "s"}


@pytest.mark.parametrize("what", ["reserve", "cart", "checkout", "ship"])
def test_50_of_one_resource_at_once(shop: Shop, what: str) -> None:
    """One is made, and 50 callers get the same answer."""
    shop.stock("a", 5)
    shop.cart("c", ("a", 2))
    shop.paid_order("paid", ("a", 2))
    call, request = {
        "reserve": (shop.inventory.ReserveStock, shop.reserve_request("r", ("a", 2))),
        "cart": (shop.checkout.CreateCart, v1.CreateCartRequest(cart_id="new", currency="EUR")),
        "checkout": (shop.checkout.Checkout, v1.CheckoutRequest(cart_id="c", order_id="o")),
        "ship": (shop.checkout.ShipOrder, v1.ShipOrderRequest(order_id="paid", shipment_id="s")),
    }[what]
    calls = [call.future(request) for _ in range(50)]
    answers = [each.result() for each in calls]
    assert all(answer == answers[0] for answer in answers)
    held = {"reserve": (5, 1, 4), "ship": (3, 3, 0)}.get(what, (5, 3, 2))
    assert shop.numbers("a") == held


def test_50_different_calls_under_one_id(shop: Shop) -> None:
    """Whichever comes first has the id; every other one is ID_REUSED and holds nothing."""
    shop.stock("a", 5000)
    calls = [
        shop.inventory.ReserveStock.future(shop.reserve_request("r", ("a", quantity)))
        for quantity in range(1, 51)
    ]
    reasons = [shop.reason_of(call) for call in calls]
    assert (reasons.count("OK"), reasons.count("ID_REUSED")) == (1, 49)
    won = calls[reasons.index("OK")].result().reservation.lines[0].open
    assert shop.numbers("a") == (5000, 5000 - won, won)


def test_the_client_package_names_each_call(shop: Shop) -> None:
    """A request without an id gets one of its own from the client: two calls are two increments."""
    shop.stock("a", 1)
    request = shop.change_request("a", "INCREMENT", 1)
    for _ in range(2):
        assert not shop.inventory.CreateStockTransaction(request).replayed
    assert request.request_id == ""
    assert shop.numbers("a") == (3, 3, 0)
    assert inventory_client.new_id() != inventory_client.new_id()
