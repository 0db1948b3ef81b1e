"""Carts that defer their check or expire, items without stock, products sold without a record."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inventory_client import v1
from support.shop import Shop, word

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)


def set_store(shop: Shop, **settings: object) -> None:
    shop.observer.change_rows(shop.store, "store", **settings)


# --- the check put off -----------------------------------------------------------------------------


def test_a_cart_may_defer_its_check(shop: Shop) -> None:
    """It says so itself; the checkout checks all the same, and lists what is short."""
    shop.stock("a", 1)
    assert shop.cart("c", defer_inventory_check=True).defer_inventory_check
    assert shop.add("c", ("a", 2), ("ghost", 1)).defer_inventory_check
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.check_out("c", "o")
    assert refusal.short_lines == [("a", "", 2, 1, True), ("ghost", "", 1, 0, False)]
    with shop.refused("ID_REUSED"):
        shop.cart("c", defer_inventory_check=False)


def test_the_stores_setting_holds_for_carts_made_later(shop: Shop) -> None:
    """A cart that was there goes on as it was made, and a repeat of its making is the same call."""
    shop.stock("a", 1)
    shop.cart("before")
    set_store(shop, defer_inventory_check=True)
    shop.cart("after", ("a", 2))
    for cart_id in ("before", "unlike"):
        shop.cart(cart_id, defer_inventory_check=None if cart_id == "before" else False)
        with shop.refused("INSUFFICIENT_STOCK"):
            shop.add(cart_id, ("a", 2))


# --- items that are not tracked --------------------------------------------------------------------


def test_an_item_that_is_not_tracked(shop: Shop) -> None:
    """It is in totals, orders and shipments, and takes no stock."""
    shop.stock("a", 1)
    shop.cart("c", ("a", 1))
    cart = shop.add("c", ("wrap", 3, 50), track_stock=False)
    assert [(i.product_id, i.track_stock) for i in cart.items] == [("a", True), ("wrap", False)]
    assert shop.add("c", ("wrap", 1, 40)).items[1] == v1.CartItem(
        product_id="wrap", quantity=4, unit_price_minor=40, track_stock=False
    )
    order = shop.check_out("c", "o")
    assert order.total_minor == 100 + 4 * 40
    shop.pay("o", "p", 260)
    assert [(ln.product_id, ln.open, ln.track_stock) for ln in shop.get_order("o").lines] == [
        ("a", 1, True),
        ("wrap", 0, False),
    ]
    assert [(ln.line_number, ln.quantity) for ln in shop.ship("o", "s").lines] == [(1, 1), (2, 4)]
    assert shop.numbers("a") == (0, 0, 0)


def test_an_item_changes_its_tracking(shop: Shop) -> None:
    """Untracked it takes what stock does not have; tracked again it is short; the order freezes it."""
    shop.stock("a", 2)
    shop.cart("c", ("a", 2))

    def update(**fields: Any) -> v1.CartItem:
        request = v1.UpdateCartItemRequest(cart_id="c", product_id="a", **fields)
        return shop.checkout.UpdateCartItem(request).cart.items[0]

    loose = v1.CartItem(product_id="a", quantity=3, unit_price_minor=100, track_stock=False)
    assert update(track_stock=False, quantity=3) == loose
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        update(track_stock=True)
    assert refusal.short_lines == [("a", "", 3, 2, True)]
    assert shop.get_cart("c").items[0] == loose
    assert update(track_stock=True, quantity=1).track_stock
    update(track_stock=False)
    assert [line.track_stock for line in shop.check_out("c", "o").lines] == [False]
    assert word(shop.pay("o", "p", 100)) == "CAPTURED"
    assert shop.numbers("a") == (2, 2, 0)


# --- products without a record ---------------------------------------------------------------------


def test_a_store_that_sells_unmanaged_products(shop: Shop) -> None:
    """The payment freezes the line as unmanaged; before it nothing is."""
    set_store(shop, sell_unmanaged_products=True)
    shop.stock("a", 5)
    assert [ln.unmanaged for ln in shop.order("o", ("ghost", 2), ("a", 1)).lines] == [False, False]
    assert word(shop.pay("o", "p", 300)) == "CAPTURED"
    assert [(ln.unmanaged, ln.open) for ln in shop.get_order("o").lines] == [(True, 0), (False, 1)]
    with shop.refused("INSUFFICIENT_STOCK"):
        shop.reserve("r", ("ghost", 1))


def test_an_order_without_stock_lives_without_a_reservation(shop: Shop) -> None:
    """Declined, paid in two parts, shipped; another one is cancelled."""
    set_store(shop, sell_unmanaged_products=True)
    shop.order("o", ("ghost", 2))
    assert word(shop.pay("o", "p0", 200, "decline")) == "DECLINED"
    for payment_id in ("p1", "p2"):
        assert word(shop.pay("o", payment_id, 100)) == "CAPTURED"
    assert shop.get_order("o").reservation_id == ""
    shop.ship("o", "s")
    assert word(shop.get_order("o")) == "COMPLETE"
    shop.paid_order("o2", ("ghost", 1))
    assert word(shop.cancel("o2")) == "CANCELLED"


# --- expiry ----------------------------------------------------------------------------------------


def expire(shop: Shop) -> None:
    shop.observer.change_rows(shop.store, "cart", expires_at=datetime.now(UTC) - timedelta(seconds=1))


def test_a_change_puts_the_expiry_off(shop: Shop) -> None:
    """By the store's whole time, from the change on."""
    set_store(shop, cart_expiry_s=3600)
    shop.stock("a", 5)
    made = shop.cart("c")
    assert made.expire_time.ToDatetime() - made.update_time.ToDatetime() == timedelta(hours=1)
    added = shop.add("c", ("a", 1))
    assert added.expire_time.ToDatetime() - added.update_time.ToDatetime() == timedelta(hours=1)
    shop.check_out("c", "o")
    assert not shop.get_cart("c").HasField("expire_time")


EXPIRED_CALLS: dict[str, Callable[[Shop], Any]] = {
    "add": lambda shop: shop.add("c", ("a", 1)),
    "update": lambda shop: shop.checkout.UpdateCartItem(
        v1.UpdateCartItemRequest(cart_id="c", product_id="a", quantity=2)
    ),
    "remove": lambda shop: shop.checkout.RemoveCartItem(
        v1.RemoveCartItemRequest(cart_id="c", product_id="a")
    ),
    "checkout": lambda shop: shop.check_out("c", "o"),
}


@pytest.mark.parametrize("call", EXPIRED_CALLS)
def test_an_expired_cart_is_not_open(shop: Shop, call: str) -> None:
    """It is shown as EXPIRED, and takes and makes nothing; no order is named."""
    shop.stock("a", 5)
    shop.cart("c", ("a", 1))
    expire(shop)
    assert word(shop.get_cart("c")) == "EXPIRED"
    with shop.refused("CART_NOT_OPEN") as refusal:
        EXPIRED_CALLS[call](shop)
    assert refusal.metadata == {"cart_id": "c", "order_id": ""}
    assert "expired" in refusal.message


def test_a_cart_that_was_checked_out_does_not_expire(shop: Shop) -> None:
    """A repeat of its checkout answers the order."""
    shop.stock("a", 5)
    shop.cart("c", ("a", 1))
    order = shop.check_out("c", "o")
    expire(shop)
    assert word(shop.get_cart("c")) == "CHECKED_OUT"
    assert shop.check_out("c", "o") == order
