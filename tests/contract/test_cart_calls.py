"""CheckoutService: carts. Nothing in a cart is held."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from support.shop import Shop, word

QUANTITY_MAX = 2**43 - 1
AMOUNT_MINOR_MAX = 2**53 - 1


def contents(cart: v1.Cart) -> list[tuple[str, int, int, str]]:
    return [(item.product_id, item.quantity, item.unit_price_minor, item.location) for item in cart.items]


def update(shop: Shop, product_id: str, mask: list[str] | None = None, **fields: Any) -> v1.Cart:
    request = v1.UpdateCartItemRequest(cart_id="c", product_id=product_id, **fields)
    if mask is not None:
        request.update_mask.paths.extend(mask)
    return shop.checkout.UpdateCartItem(request).cart


def remove(shop: Shop, product_id: str) -> v1.Cart:
    request = v1.RemoveCartItemRequest(cart_id="c", product_id=product_id)
    return shop.checkout.RemoveCartItem(request).cart


def test_a_new_cart_is_open_and_empty(shop: Shop) -> None:
    """CreateCart makes an empty cart in one currency; GetCart shows the same."""
    made = shop.cart("c", currency="SEK")
    assert (made.cart_id, word(made), made.currency, made.total_minor) == ("c", "OPEN", "SEK", 0)
    assert (list(made.items), made.order_id) == ([], "")
    assert shop.get_cart("c") == made


def test_items_add_up_by_product(shop: Shop) -> None:
    """One item a product, in the order they came in: quantities add up, price and location named last win."""
    shop.stocks(a=10, b=10)
    shop.cart("c", ("a", 1, 100), ("b", 2, 250), ("a", 2, 90))
    shop.add("c", ("b", 1, 200), location="default")
    cart = shop.add("c", ("b", 3, 210))
    assert contents(cart) == [("a", 3, 90, ""), ("b", 6, 210, "default")]
    assert cart.total_minor == 3 * 90 + 6 * 210
    assert shop.get_cart("c") == cart


def test_nothing_in_a_cart_is_held(shop: Shop) -> None:
    """Of 5 units, 5 fit into each of two carts, and stay available."""
    shop.stock("a", 5)
    shop.cart("c-1", ("a", 5))
    shop.cart("c-2", ("a", 5))
    assert shop.numbers("a") == (5, 5, 0)
    assert shop.actions("a") == []


def test_the_requests_quantity_counts_not_the_carts(shop: Shop) -> None:
    """Of 100 units, 60 then 50 into one cart both pass; 101 at once do not."""
    shop.stock("a", 100)
    shop.cart("c", ("a", 60))
    assert contents(shop.add("c", ("a", 50))) == [("a", 110, 100, "")]
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.add("c", ("a", 101))
    assert refusal.short_lines == [("a", "", 101, 100, True)]


def test_items_of_one_request_count_together(shop: Shop) -> None:
    """60 and 50 in one request are 110 of 100: refused."""
    shop.stock("a", 100)
    shop.cart("c")
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.add("c", ("a", 60), ("a", 50))
    assert refusal.short_lines == [("a", "", 110, 100, True)]


def test_items_come_all_or_none(shop: Shop) -> None:
    """One short item keeps all of them out; every short one is listed."""
    shop.stocks(a=5, b=1)
    shop.cart("c", ("a", 1))
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.add("c", ("a", 2), ("b", 2), ("ghost", 1))
    assert refusal.short_lines == [("b", "", 2, 1, True), ("ghost", "", 1, 0, False)]
    assert contents(shop.get_cart("c")) == [("a", 1, 100, "")]


def test_a_cart_holds_1000_products(shop: Shop) -> None:
    """1,000 distinct products fit into a cart; a 1,001st is refused, more of one that is there is not."""
    names = [f"p-{number:04}" for number in range(1001)]
    calls = [
        shop.inventory.CreateStock.future(v1.CreateStockRequest(product_id=name, quantity=9))
        for name in names
    ]
    assert {shop.reason_of(call) for call in calls} == {"OK"}
    shop.cart("c", *[(name, 1) for name in names[:1000]])
    with shop.refused("INVALID_FIELD") as refusal:
        shop.add("c", (names[1000], 1))
    assert refusal.fields == ["items"]
    assert len(shop.add("c", (names[0], 1)).items) == 1000
    remove(shop, names[0])
    assert len(shop.add("c", (names[1000], 1)).items) == 1000
    order = shop.check_out("c", "o")
    assert [line.product_id for line in order.lines] == names[1:]


@pytest.mark.parametrize("count", [0, 1001])
def test_how_many_items_a_request_takes(shop: Shop, count: int) -> None:
    """1 to 1,000 items a request."""
    shop.stock("a", 5000)
    shop.cart("c")
    with shop.refused("INVALID_FIELD") as refusal:
        shop.add("c", *[("a", 1)] * count)
    assert refusal.fields == ["items"]
    assert contents(shop.add("c", *[("a", 1)] * 1000)) == [("a", 1000, 100, "")]


def test_an_items_quantity_has_a_limit(shop: Shop) -> None:
    """2^43-1 units of a product fit into a cart; one more is an overflow, not a shortage."""
    shop.stock("a", QUANTITY_MAX)
    shop.cart("c", ("a", QUANTITY_MAX, 0))
    with shop.refused("QUANTITY_OVERFLOW") as refusal:
        shop.add("c", ("a", 1, 0))
    assert refusal.metadata == {"limit": str(QUANTITY_MAX)}


def test_a_carts_total_has_a_limit(shop: Shop) -> None:
    """A cart may cost 2^53-1 minor units, and not one more."""
    shop.stocks(a=10, b=10)
    assert shop.cart("c", ("a", 1, AMOUNT_MINOR_MAX)).total_minor == AMOUNT_MINOR_MAX
    for call in (lambda: shop.add("c", ("b", 1, 1)), lambda: update(shop, "a", quantity=2)):
        with shop.refused("QUANTITY_OVERFLOW") as refusal:
            call()
        assert refusal.metadata == {"limit": str(AMOUNT_MINOR_MAX)}


@pytest.mark.parametrize(
    ("fields", "mask", "after"),
    [
        ({"quantity": 3}, None, ("a", 3, 100, "default")),
        ({"unit_price_minor": 0}, None, ("a", 2, 0, "default")),
        ({"location": "default"}, None, ("a", 2, 100, "default")),
        ({}, None, ("a", 2, 100, "default")),
        ({"quantity": 3, "unit_price_minor": 7}, None, ("a", 3, 7, "default")),
        ({"quantity": 3, "unit_price_minor": 7}, ["quantity"], ("a", 3, 100, "default")),
        ({"quantity": 3, "unit_price_minor": 7}, ["unit_price_minor"], ("a", 2, 7, "default")),
        ({"quantity": 3}, ["location"], ("a", 2, 100, "")),
        ({"quantity": 3}, ["quantity", "location"], ("a", 3, 100, "")),
    ],
)
def test_update_changes_what_is_named(
    shop: Shop, fields: dict[str, Any], mask: list[str] | None, after: tuple[str, int, int, str]
) -> None:
    """The mask says what changes; without one all set fields do; a location named by it alone is any."""
    shop.stock("a", 10)
    shop.cart("c")
    shop.add("c", ("a", 2), location="default")
    cart = update(shop, "a", mask, **fields)
    assert contents(cart) == [after]
    assert cart.total_minor == after[1] * after[2]
    assert shop.get_cart("c") == cart


@pytest.mark.parametrize(
    ("mask", "fields"),
    [
        (["quantity"], ["quantity"]),
        (["unit_price_minor"], ["unit_price_minor"]),
        (["track_stock", "quantity"], ["quantity", "track_stock"]),
        (["product_id"], ["update_mask.paths[0]"]),
        (["location", "*"], ["update_mask.paths[1]"]),
        (["quantity", "nothing"], ["update_mask.paths[1]", "quantity"]),
    ],
)
def test_a_mask_that_cannot_be_obeyed(shop: Shop, mask: list[str], fields: list[str]) -> None:
    """Naming a field that is not set, or one that cannot change, is a mistake."""
    shop.stock("a", 10)
    shop.cart("c", ("a", 2))
    with shop.refused("INVALID_FIELD") as refusal:
        update(shop, "a", mask)
    assert refusal.fields == fields


def test_update_checks_the_new_quantity(shop: Shop) -> None:
    """All that is there may be asked for, one more may not; a new price alone asks for no stock."""
    shop.stock("a", 5)
    shop.cart("c", ("a", 2))
    assert update(shop, "a", quantity=5).items[0].quantity == 5
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        update(shop, "a", quantity=6)
    assert refusal.short_lines == [("a", "", 6, 5, True)]
    shop.change("a", "DECREMENT", 5)
    assert update(shop, "a", unit_price_minor=1).total_minor == 5


def test_remove_takes_an_item_out(shop: Shop) -> None:
    """The other items stay, in their order; removed twice is not there."""
    shop.stocks(a=5, b=5, d=5)
    shop.cart("c", ("a", 1), ("b", 1), ("d", 1))
    assert contents(remove(shop, "b")) == [("a", 1, 100, ""), ("d", 1, 100, "")]
    with shop.refused("CART_ITEM_NOT_FOUND") as refusal:
        remove(shop, "b")
    assert refusal.metadata == {"product_id": "b"}
    assert contents(shop.add("c", ("b", 2))) == [("a", 1, 100, ""), ("d", 1, 100, ""), ("b", 2, 100, "")]


def test_update_of_an_item_that_is_not_there(shop: Shop) -> None:
    """Updating never adds an item."""
    shop.stocks(a=5, b=5)
    shop.cart("c", ("a", 1))
    with shop.refused("CART_ITEM_NOT_FOUND"):
        update(shop, "b", quantity=1)


def test_a_cart_that_is_not_there(shop: Shop) -> None:
    """Every call on an unknown cart says so."""
    shop.stock("a", 5)
    for call in (
        lambda: shop.get_cart("c"),
        lambda: shop.add("c", ("a", 1)),
        lambda: update(shop, "a", quantity=1),
        lambda: remove(shop, "a"),
        lambda: shop.check_out("c", "o"),
    ):
        with shop.refused("CART_NOT_FOUND") as refusal:
            call()
        assert refusal.metadata == {"cart_id": "c"}


def test_a_cart_that_was_checked_out_changes_no_more(shop: Shop) -> None:
    """A checked-out cart shows its order and takes nothing in or out."""
    shop.stock("a", 5)
    shop.cart("c", ("a", 1))
    shop.check_out("c", "o")
    cart = shop.get_cart("c")
    assert (word(cart), cart.order_id) == ("CHECKED_OUT", "o")
    for call in (
        lambda: shop.add("c", ("a", 1)),
        lambda: update(shop, "a", quantity=1),
        lambda: remove(shop, "a"),
        lambda: shop.check_out("c", "o-2"),
    ):
        with shop.refused("CART_NOT_OPEN") as refusal:
            call()
        assert refusal.metadata == {"cart_id": "c", "order_id": "o"}


def test_a_location_that_is_not_there(shop: Shop) -> None:
    """An unknown location is a mistake where it is named."""
    shop.stock("a", 5)
    shop.cart("c", ("a", 1))
    for call in (
        lambda: shop.add("c", ("a", 1), location="elsewhere"),
        lambda: update(shop, "a", location="elsewhere"),
    ):
        with shop.refused("LOCATION_NOT_FOUND"):
            call()


# --- etag, removal -------------------------------------------------------------------------------


def test_an_etag_that_is_not_current(shop: Shop) -> None:
    """A change since it was read: nothing happens, and the current one is told."""
    shop.stock("a", 5)
    old = shop.cart("c", ("a", 1)).etag
    current = update(shop, "a", quantity=2, etag=old).etag
    assert shop.get_cart("c").etag == current != old
    for call in (
        lambda: update(shop, "a", quantity=9, etag=old),
        lambda: shop.delete_cart("c", old),
    ):
        with shop.refused("ETAG_MISMATCH") as refusal:
            call()
        assert refusal.metadata["current"] == current
    shop.delete_cart("c", current)


def test_a_deleted_cart_is_gone(shop: Shop) -> None:
    """With its items; its id makes another cart. One that was checked out stays."""
    shop.stock("a", 5)
    shop.cart("c", ("a", 1))
    shop.delete_cart("c")
    with shop.refused("CART_NOT_FOUND"):
        shop.get_cart("c")
    with shop.refused("CART_NOT_FOUND"):
        shop.delete_cart("c")
    assert list(shop.cart("c", currency="USD").items) == []
    shop.add("c", ("a", 1))
    shop.check_out("c", "o")
    with shop.refused("CART_NOT_OPEN") as refusal:
        shop.delete_cart("c")
    assert refusal.metadata == {"cart_id": "c", "order_id": "o"}


def test_a_cart_deleted_and_made_again_in_one_batch(shop: Shop) -> None:
    """The new one has nothing of the old."""
    shop.stocks(a=5, b=5)
    shop.cart("c", ("a", 1), ("b", 2))
    with shop.batch_held():
        calls = [shop.checkout.DeleteCart.future(v1.DeleteCartRequest(cart_id="c"))]
        shop.settle_in()
        calls.append(shop.checkout.CreateCart.future(v1.CreateCartRequest(cart_id="c", currency="USD")))
        shop.settle_in()
        request = v1.AddCartItemsRequest(cart_id="c", items=shop.items(("b", 1)))
        calls.append(shop.checkout.AddCartItems.future(request))
    assert [shop.reason_of(call) for call in calls] == ["OK"] * 3
    again = shop.get_cart("c")
    assert (again.currency, contents(again)) == ("USD", [("b", 1, 100, "")])
