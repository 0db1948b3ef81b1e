"""ListCarts and ListOrders: filters, pages, and what is made between two of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from inventory_client import v1
from support.shop import Shop, word

ORDERS = ("unpaid", "half", "paid", "shipped", "cancelled")


def state(name: str) -> Any:
    """Return the number of an enum's value by its whole name."""
    kind = next(
        kind
        for kind in (v1.CartState, v1.OrderState, v1.OrderPaymentState, v1.OrderShippingState)
        if name in kind.keys()  # noqa: SIM118 - an enum wrapper is no dict
    )
    return kind.Value(name)


@pytest.fixture
def orders(shop: Shop) -> Shop:
    """Five orders, the oldest first: unpaid, half, paid, shipped, cancelled; `b` is in the third alone."""
    shop.stocks(a=50, b=5)
    for order_id in ORDERS:
        shop.order(order_id, ("a", 2), *([("b", 1)] if order_id == "paid" else []))
    shop.pay("half", "p-half", 100)
    shop.pay("paid", "p-paid", 300)
    shop.pay("shipped", "p-shipped", 200)
    shop.ship("shipped", "s")
    shop.cancel("cancelled")
    return shop


# --- orders ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, list(ORDERS)),
        ({"states": ["ORDER_STATE_INCOMPLETE"]}, ["unpaid", "half"]),
        ({"states": ["ORDER_STATE_PROCESSING", "ORDER_STATE_CANCELLED"]}, ["paid", "cancelled"]),
        ({"payment_states": ["ORDER_PAYMENT_STATE_PARTIALLY_PAID"]}, ["half"]),
        ({"payment_states": ["ORDER_PAYMENT_STATE_PAID"]}, ["paid", "shipped"]),
        ({"shipping_states": ["ORDER_SHIPPING_STATE_FULFILLED"]}, ["shipped"]),
        (
            {
                "states": ["ORDER_STATE_INCOMPLETE"],
                "payment_states": ["ORDER_PAYMENT_STATE_UNPAID"],
                "shipping_states": ["ORDER_SHIPPING_STATE_UNFULFILLED"],
            },
            ["unpaid"],
        ),
        ({"product_id": "b"}, ["paid"]),
        ({"product_id": "a", "states": ["ORDER_STATE_COMPLETE"]}, ["shipped"]),
        ({"product_id": "ghost"}, []),
    ],
)
def test_orders_by_state_and_product(orders: Shop, filters: dict[str, Any], found: list[str]) -> None:
    """Every filter must let an order through; page by page or at once, the oldest first."""
    asked = {
        name: [state(value) for value in values] if isinstance(values, list) else values
        for name, values in filters.items()
    }
    for page_size in (0, 1, 2, 1000):
        assert orders.list_orders(page_size=page_size, **asked) == found


@pytest.mark.parametrize("product_id", ["", "a"])
def test_orders_by_age(orders: Shop, product_id: str) -> None:
    """Both bounds belong to the time asked for."""
    third = orders.get_order("paid").create_time
    asked: dict[str, Any] = {"product_id": product_id, "page_size": 1}
    assert orders.list_orders(created_until=third, **asked) == ["unpaid", "half", "paid"]
    assert orders.list_orders(created_from=third, **asked) == ["paid", "shipped", "cancelled"]
    assert orders.list_orders(created_from=third, created_until=third, **asked) == ["paid"]


def test_a_listed_order_is_told_whole(orders: Shop) -> None:
    """As GetOrder tells it, with its payments and shipments."""
    (page,) = orders.pages_of(orders.checkout.ListOrders, v1.ListOrdersRequest())
    assert list(page.orders) == [orders.get_order(order_id) for order_id in ORDERS]


def test_orders_made_and_changed_between_two_pages(orders: Shop) -> None:
    """What was listed comes not again, whatever became of it; what is made later comes at the end."""
    incomplete = [state("ORDER_STATE_INCOMPLETE")]
    first = orders.checkout.ListOrders(v1.ListOrdersRequest(states=incomplete, page_size=1))
    assert [order.order_id for order in first.orders] == ["unpaid"]
    orders.cancel("unpaid")
    orders.order("new", ("a", 1))
    rest = orders.list_orders(states=incomplete, page_size=1, page_token=first.next_page_token)
    assert rest == ["half", "new"]


# --- carts -----------------------------------------------------------------------------------------


def test_carts_by_state_and_age(shop: Shop) -> None:
    """OPEN, EXPIRED and CHECKED_OUT are told apart as of now; the oldest first."""
    shop.stock("a", 5)
    for cart_id in ("old", "done"):
        shop.cart(cart_id, ("a", 1))
    shop.check_out("done", "o")
    shop.observer.change_rows(shop.store, "cart", expires_at=datetime.now(UTC) - timedelta(seconds=1))
    shop.cart("open", ("a", 1))
    for page_size in (0, 1):
        assert shop.list_carts(page_size=page_size) == ["old", "done", "open"]
        for name, cart_id in (("EXPIRED", "old"), ("CHECKED_OUT", "done"), ("OPEN", "open")):
            assert shop.list_carts(page_size=page_size, states=[state(f"CART_STATE_{name}")]) == [cart_id]
    made = shop.get_cart("done").create_time
    assert shop.list_carts(created_until=made) == ["old", "done"]
    assert shop.list_carts(created_from=made) == ["done", "open"]
    (page,) = shop.pages_of(shop.checkout.ListCarts, v1.ListCartsRequest())
    assert [word(cart) for cart in page.carts] == ["EXPIRED", "CHECKED_OUT", "OPEN"]
    assert page.carts[2] == shop.get_cart("open")


def test_a_page_fits_into_a_message(shop: Shop) -> None:
    """A page looks at 10,000 carts and items at most: nine carts of 1,000 items, then the tenth."""
    items = [(f"{number:0128}", 1) for number in range(1000)]
    for number in range(10):
        shop.cart(f"c-{number}")
        shop.add(f"c-{number}", *items, track_stock=False)
    pages = list(shop.pages_of(shop.checkout.ListCarts, v1.ListCartsRequest(page_size=1000)))
    assert [len(page.carts) for page in pages] == [9, 1]


def test_a_page_of_orders_fits_into_a_message(shop: Shop) -> None:
    """What was shipped and came back counts too; an order that is too much by itself is a page of its own."""
    wraps = [(f"wrap-{number}", 10, 0) for number in range(1000)]
    every = dict.fromkeys(range(1, 1001), 1)
    for order_id in ("o-1", "o-2", "o-3"):
        shop.cart(f"cart-{order_id}")
        shop.add(f"cart-{order_id}", *wraps, track_stock=False)
        shop.check_out(f"cart-{order_id}", order_id)
        shop.pay(order_id, f"p-{order_id}", 0)
    shop.ship("o-1", "s", every)
    shop.return_of("o-1", "r", every, restock=False)
    for number in range(10):
        shop.ship("o-2", f"s-{number}", every)
    pages = list(shop.pages_of(shop.checkout.ListOrders, v1.ListOrdersRequest(page_size=1000)))
    assert [[order.order_id for order in page.orders] for page in pages] == [["o-1"], ["o-2"], ["o-3"]]
    assert len(pages[1].orders[0].shipments) == 10


# --- pages of both ---------------------------------------------------------------------------------


def test_nothing_to_list(shop: Shop) -> None:
    """An empty store has one empty page."""
    assert shop.list_orders() == []
    assert shop.list_carts() == []


def test_a_token_of_another_list_is_refused(shop: Shop) -> None:
    """Other filters, another list, a damaged one."""
    shop.stock("a", 5)
    for order_id in ("o-1", "o-2"):
        shop.order(order_id, ("a", 1))
    token = shop.checkout.ListOrders(v1.ListOrdersRequest(page_size=1)).next_page_token
    assert token
    foreign: list[tuple[Any, Any]] = [
        (shop.checkout.ListOrders, v1.ListOrdersRequest(page_token=token, product_id="a")),
        (shop.checkout.ListOrders, v1.ListOrdersRequest(page_token=token[:-2])),
        (shop.checkout.ListCarts, v1.ListCartsRequest(page_token=token)),
    ]
    for method, request in foreign:
        with shop.refused("INVALID_FIELD") as refusal:
            method(request)
        assert refusal.fields == ["page_token"]
