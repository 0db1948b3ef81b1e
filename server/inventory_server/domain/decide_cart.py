"""Carts: what somebody means to buy. Stock is checked for this request alone; nothing is held.

A cart may put that check off to the checkout; every change puts off its expiry.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from inventory_server.domain.allocation import need_stock
from inventory_server.domain.commands import (
    AddCartItems,
    CreateCart,
    DeleteCart,
    RemoveCartItem,
    RemoveExpiredCart,
    UpdateCartItem,
    content_hash,
)
from inventory_server.domain.errors import (
    CartItemNotFound,
    CartNotFound,
    CartNotOpen,
    EtagMismatch,
    IdReused,
    InvalidValue,
    QuantityOverflow,
)
from inventory_server.domain.limits import (
    AMOUNT_MINOR_MAX,
    CART_ITEMS_MAX,
    EXPIRED_CART_KEPT_S,
    QUANTITY_MAX,
)
from inventory_server.domain.order import Cart, CartItem, CartState
from inventory_server.domain.state import State


def create_cart(state: State, command: CreateCart, _request_id: str | None) -> Cart:
    content = content_hash(command)
    seen = state.carts.get(command.cart_id)
    if seen is not None:
        if seen.content_hash != content:
            raise IdReused("cart_id", command.cart_id)
        return seen
    defers = command.defer_inventory_check
    cart = Cart(
        cart_id=command.cart_id,
        currency=command.currency,
        items=(),
        order_id=None,
        content_hash=content,
        created_at=state.now,
        updated_at=state.now,
        expires_at=_expires_at(state),
        seen_at=state.now,
        defer_inventory_check=state.settings.defer_inventory_check if defers is None else defers,
    )
    state.carts.put(cart.cart_id, cart)
    return cart


def add_cart_items(state: State, command: AddCartItems, _request_id: str | None) -> Cart:
    cart = _existing(state, command.cart_id)
    for item in command.items:
        state.need_location(item.location)
    _need_open(cart)
    asked = _merge(command.items)
    items = {item.product_id: item for item in cart.items}
    for item in asked:
        seen = items.get(item.product_id)
        added = item if seen is None else _add_up(seen, item)
        items[item.product_id] = added._replace(track_stock=added.track_stock is not False)
    changed = _with_items(state, cart, items.values())
    # Of 100, 60 then 50 into one cart both pass: this request's quantity counts, not the cart's sum
    # (the origin document, "Implications of the inventories flows").
    _check(state, cart, [items[item.product_id]._replace(quantity=item.quantity) for item in asked])
    return changed


def update_cart_item(state: State, command: UpdateCartItem, _request_id: str | None) -> Cart:
    cart = _existing(state, command.cart_id)
    items = {item.product_id: item for item in cart.items}
    item = items.get(command.product_id)
    if item is None:
        raise CartItemNotFound(command.product_id)
    state.need_location(command.location)
    _need_as_read(cart, command.etag)
    _need_open(cart)
    if command.quantity is not None:
        item = item._replace(quantity=command.quantity)
    if command.unit_price_minor is not None:
        item = item._replace(unit_price_minor=command.unit_price_minor)
    if command.set_location:
        item = item._replace(location=command.location)
    if command.track_stock is not None:
        item = item._replace(track_stock=command.track_stock)
    items[command.product_id] = item
    changed = _with_items(state, cart, items.values())
    if command.quantity is not None or command.set_location or command.track_stock:
        _check(state, cart, [item])
    return changed


def remove_cart_item(state: State, command: RemoveCartItem, _request_id: str | None) -> Cart:
    cart = _existing(state, command.cart_id)
    if all(item.product_id != command.product_id for item in cart.items):
        raise CartItemNotFound(command.product_id)
    _need_open(cart)
    return _with_items(state, cart, (i for i in cart.items if i.product_id != command.product_id))


def delete_cart(state: State, command: DeleteCart, _request_id: str | None) -> None:
    """Remove a cart of which no order was made, be it expired or not."""
    cart = _existing(state, command.cart_id)
    _need_as_read(cart, command.etag)
    if cart.state is CartState.CHECKED_OUT:
        raise CartNotOpen(cart.cart_id, cart.order_id)
    state.carts.delete(cart.cart_id)


def remove_expired_cart(state: State, command: RemoveExpiredCart, _request_id: str | None) -> None:
    cart = state.carts.get(command.cart_id)
    if cart is None or cart.state is not CartState.EXPIRED:
        return
    if cart.expires_at + timedelta(seconds=EXPIRED_CART_KEPT_S) <= state.now:
        state.carts.delete(cart.cart_id)


def _need_as_read(cart: Cart, etag: str | None) -> None:
    """Raise EtagMismatch if another state of the cart was read; None was not checked."""
    if etag not in (None, cart.etag):
        raise EtagMismatch("etag", cart.etag)


def _existing(state: State, cart_id: str) -> Cart:
    cart = state.carts.get(cart_id)
    if cart is None:
        raise CartNotFound(cart_id)
    return cart


def _need_open(cart: Cart) -> None:
    if cart.state is not CartState.OPEN:
        raise CartNotOpen(cart.cart_id, cart.order_id)


def _expires_at(state: State) -> datetime:
    return state.now + timedelta(seconds=state.settings.cart_expiry_s)


def _merge(items: Iterable[CartItem]) -> list[CartItem]:
    merged: dict[str, CartItem] = {}
    for item in items:
        seen = merged.get(item.product_id)
        merged[item.product_id] = item if seen is None else _add_up(seen, item)
    return list(merged.values())


def _add_up(seen: CartItem, item: CartItem) -> CartItem:
    """One item a product: quantities add up; the price, the location and the tracking named last win."""
    return CartItem(
        item.product_id,
        seen.quantity + item.quantity,
        item.unit_price_minor,
        seen.location if item.location is None else item.location,
        seen.track_stock if item.track_stock is None else item.track_stock,
    )


def _with_items(state: State, cart: Cart, items: Iterable[CartItem]) -> Cart:
    changed = replace(cart, items=tuple(items), updated_at=state.now, expires_at=_expires_at(state))
    if len(changed.items) > CART_ITEMS_MAX:
        raise InvalidValue("items", f"a cart holds at most {CART_ITEMS_MAX} products")
    if any(item.quantity > QUANTITY_MAX for item in changed.items):
        raise QuantityOverflow("an item's quantity", QUANTITY_MAX)
    if changed.total_minor > AMOUNT_MINOR_MAX:
        raise QuantityOverflow("the cart's total", AMOUNT_MINOR_MAX)
    state.carts.put(changed.cart_id, changed)
    return changed


def _check(state: State, cart: Cart, items: list[CartItem]) -> None:
    if not cart.defer_inventory_check:
        need_stock(state, items)
