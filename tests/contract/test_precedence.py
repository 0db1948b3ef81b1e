"""Which reason a call gets that has several: invalid, ID_REUSED, not found, wrong state, stock.

Each test breaks a rule of every floor and mends one after the other, from the top.
"""

from __future__ import annotations

from typing import Any

from inventory_client import v1
from support.imports import imported
from support.shop import Shop, StagedShop, word

UNKNOWN_STORE = (("x-inventory-store", "nowhere"),)


def test_invalid_comes_before_the_store(shop: Shop) -> None:
    """What is wrong with the request itself is said before anything is looked up."""
    with shop.refused("INVALID_FIELD"):
        shop.inventory.GetStock(v1.GetStockRequest(), metadata=UNKNOWN_STORE)
    with shop.refused("STORE_NOT_FOUND"):
        shop.inventory.GetStock(v1.GetStockRequest(product_id="ghost"), metadata=UNKNOWN_STORE)


def test_create_stock(shop: Shop) -> None:
    """Invalid, ID_REUSED, location, STOCK_EXISTS."""
    shop.inventory.CreateStock(v1.CreateStockRequest(product_id="a", quantity=1, request_id="used"))
    request = v1.CreateStockRequest(product_id="a", quantity=-1, location="elsewhere", request_id="used")
    with shop.refused("INVALID_FIELD"):
        shop.inventory.CreateStock(request)
    request.quantity = 1
    with shop.refused("ID_REUSED") as refusal:
        shop.inventory.CreateStock(request)
    assert refusal.metadata == {"field": "request_id", "id": "used"}
    request.request_id = "fresh"
    with shop.refused("LOCATION_NOT_FOUND"):
        shop.inventory.CreateStock(request)
    request.location = "default"
    with shop.refused("STOCK_EXISTS"):
        shop.inventory.CreateStock(request)


def test_update_and_delete_stock(shop: Shop) -> None:
    """Invalid, ID_REUSED, not found, etag, state."""
    shop.stock("a", 5)
    shop.stock("b", 5)
    shop.change("a", "ALLOCATE", 1)
    shop.update("b", low_stock_threshold=1, request_id="used")
    shop.delete("b", request_id="used")  # request ids are told apart by method
    for call in (shop.update, shop.delete):
        with shop.refused("INVALID_FIELD"):
            call("not an id", etag="stale", request_id="used")
        with shop.refused("ID_REUSED"):
            call("b", etag="stale", request_id="used")
        with shop.refused("STOCK_NOT_FOUND"):
            call("b", etag="stale", request_id="fresh")
        with shop.refused("ETAG_MISMATCH"):
            call("a", etag="stale", request_id="fresh")
    with shop.refused("STOCK_IN_USE"):
        shop.delete("a", etag=shop.get("a").etag, request_id="fresh")


def test_update_store_settings(shop: Shop) -> None:
    """Invalid, ID_REUSED, etag."""
    shop.set_up(sell_unmanaged_products=True, request_id="used")
    with shop.refused("INVALID_FIELD"):
        shop.set_up(default_hold=0, etag="stale", request_id="used")
    with shop.refused("ID_REUSED"):
        shop.set_up(default_hold=1, etag="stale", request_id="used")
    with shop.refused("ETAG_MISMATCH"):
        shop.set_up(default_hold=1, etag="stale", request_id="fresh")


def test_create_stock_transaction(shop: Shop) -> None:
    """Invalid, ID_REUSED, location, stock record, version, numbers."""
    shop.stock("a", 1)
    shop.change("a", "INCREMENT", 1, request_id="used")
    request = shop.change_request(
        "ghost", "DECREMENT", 0, location="elsewhere", request_id="used", expected_version=1
    )
    with shop.refused("INVALID_FIELD"):
        shop.inventory.CreateStockTransaction(request)
    request.quantity = 9
    with shop.refused("ID_REUSED"):
        shop.inventory.CreateStockTransaction(request)
    request.request_id = "fresh"
    with shop.refused("LOCATION_NOT_FOUND"):
        shop.inventory.CreateStockTransaction(request)
    request.location = ""
    with shop.refused("STOCK_NOT_FOUND"):
        shop.inventory.CreateStockTransaction(request)
    request.product_id = "a"
    with shop.refused("ETAG_MISMATCH"):
        shop.inventory.CreateStockTransaction(request)
    request.expected_version = 2
    with shop.refused("INSUFFICIENT_STOCK"):
        shop.inventory.CreateStockTransaction(request)


def test_locations(shop: Shop) -> None:
    """Invalid, ID_REUSED, not found or there already, etag, what is kept."""
    shop.location("north")
    shop.location("south", request_id="used")
    shop.stock("a", 0)
    shop.change("a", "SET", 1, location="north")

    def create(slug: str, request_id: str, **fields: Any) -> None:
        shop.location(slug, request_id=request_id, **fields)

    def update(slug: str, request_id: str, path: str = "name") -> None:
        request = v1.UpdateLocationRequest(slug=slug, etag="old", request_id=request_id)
        request.update_mask.paths.append(path)
        shop.inventory.UpdateLocation(request)

    def delete(slug: str, request_id: str, etag: str = "old") -> None:
        shop.inventory.DeleteLocation(v1.DeleteLocationRequest(slug=slug, etag=etag, request_id=request_id))

    with shop.refused("INVALID_FIELD"):
        create("north", "used", priority=1_000_001)
    with shop.refused("ID_REUSED"):
        create("north", "used")
    with shop.refused("LOCATION_EXISTS"):
        create("north", "fresh")
    shop.inventory.UpdateLocation(v1.UpdateLocationRequest(slug="south", name="S", request_id="used"))
    delete("south", "used", "")
    with shop.refused("INVALID_FIELD"):
        update("ghost", "used", "slug")
    with shop.refused("INVALID_FIELD"):
        delete("default", "used")
    for call in (update, delete):
        with shop.refused("ID_REUSED"):
            call("ghost", "used")
        with shop.refused("LOCATION_NOT_FOUND"):
            call("ghost", "fresh")
        with shop.refused("ETAG_MISMATCH"):
            call("north", "fresh")
    with shop.refused("LOCATION_NOT_EMPTY"):
        delete("north", "fresh", "")


def test_transfer_stock(shop: Shop) -> None:
    """Invalid, ID_REUSED, locations, stock record, version, numbers."""
    shop.location("north")
    shop.stock("a", 1)

    def transfer(product_id: str, target: str, request_id: str, version: int, quantity: int = 9) -> None:
        shop.transfer(
            product_id, quantity, "default", target, expected_version=version, request_id=request_id
        )

    transfer("a", "north", "used", 1, 1)
    with shop.refused("INVALID_FIELD"):
        transfer("ghost", "default", "used", 9)
    with shop.refused("ID_REUSED"):
        transfer("ghost", "elsewhere", "used", 9)
    with shop.refused("LOCATION_NOT_FOUND"):
        transfer("ghost", "elsewhere", "fresh", 9)
    with shop.refused("STOCK_NOT_FOUND"):
        transfer("ghost", "north", "fresh", 9)
    with shop.refused("ETAG_MISMATCH"):
        transfer("a", "north", "fresh", 9)
    with shop.refused("INSUFFICIENT_STOCK"):
        transfer("a", "north", "fresh", 2)


def test_allocate_at_a_disabled_location(shop: Shop) -> None:
    """Version, LOCATION_DISABLED, numbers."""
    shop.stock("a", 1)
    shop.disable("default")
    with shop.refused("ETAG_MISMATCH"):
        shop.change("a", "ALLOCATE", 9, expected_version=9)
    with shop.refused("LOCATION_DISABLED"):
        shop.change("a", "ALLOCATE", 9, expected_version=1)
    with shop.refused("INSUFFICIENT_STOCK"):
        shop.change("a", "DECREMENT", 9, expected_version=1)


def test_reserve_stock(shop: Shop) -> None:
    """Invalid, ID_REUSED, location, stock."""
    shop.stock("a", 1)
    shop.reserve("used", ("a", 1))
    request = shop.reserve_request("used", ("a", 0))
    request.lines[0].location = "elsewhere"
    with shop.refused("INVALID_FIELD"):
        shop.inventory.ReserveStock(request)
    request.lines[0].quantity = 5
    with shop.refused("ID_REUSED"):
        shop.inventory.ReserveStock(request)
    request.reservation_id = "fresh"
    with shop.refused("LOCATION_NOT_FOUND"):
        shop.inventory.ReserveStock(request)
    request.lines[0].location = ""
    with shop.refused("INSUFFICIENT_STOCK"):
        shop.inventory.ReserveStock(request)


def test_reserve_with_an_id_that_has_ended(shop: Shop) -> None:
    """Other content under an ended id is ID_REUSED; the same content is NOT_ACTIVE, though sold out too."""
    shop.stock("a", 1)
    shop.reserve("r", ("a", 1))
    shop.release("r")
    shop.change("a", "SET", 0)
    with shop.refused("ID_REUSED"):
        shop.reserve("r", ("a", 2))
    with shop.refused("RESERVATION_NOT_ACTIVE"):
        shop.reserve("r", ("a", 1))


def test_a_repeat_comes_before_a_moment_that_has_passed(staged: StagedShop) -> None:
    """A repeat of a confirmed hold answers its state, although its expire_time is no longer ahead."""
    staged.stock("a", 1)
    staged.stock("b", 1)
    request = staged.reserve_until_soon("r", ("a", 1))
    staged.confirm("r")
    staged.reserve_until_soon("later", ("b", 1))
    staged.wait_until_due(("b", 1))
    assert word(staged.inventory.ReserveStock(request).reservation) == "COMMITTED"
    request.reservation_id = "fresh"
    with staged.refused("INVALID_FIELD") as refusal:
        staged.inventory.ReserveStock(request)
    assert refusal.fields == ["expire_time"]


def test_moving_a_reservation(shop: Shop) -> None:
    """Invalid, ID_REUSED, not found, owner, state."""
    shop.stock("a", 5)
    owned = shop.paid_order("o", ("a", 1)).reservation_id
    shop.cancel("o")
    shop.reserve("r", ("a", 1))
    shop.reserve("ended", ("a", 1))
    for move in (shop.release, shop.confirm, shop.fulfill):
        with shop.refused("INVALID_FIELD"):
            move("not an id", "used")
    shop.release("r", "used")
    with shop.refused("ID_REUSED"):
        shop.release("ghost", "used")
    shop.fulfill("ended")
    for move in (shop.release, shop.confirm, shop.fulfill):
        with shop.refused("RESERVATION_NOT_FOUND"):
            move("ghost", "fresh")
        with shop.refused("RESERVATION_OWNED_BY_ORDER"):
            move(owned, "fresh")
        with shop.refused("RESERVATION_NOT_ACTIVE"):
            move("ended", "fresh")


def test_add_cart_items(shop: Shop) -> None:
    """Invalid, ID_REUSED, cart, location, CART_NOT_OPEN; in an open one overflow, then stock."""
    shop.stock("a", 5)
    shop.cart("closed", ("a", 1))
    shop.cart("open")
    shop.add("closed", ("a", 1), request_id="used")
    shop.check_out("closed", "o")

    def add(cart_id: str, quantity: int, location: str, request_id: str, price: int = 1) -> None:
        shop.add(cart_id, ("a", quantity, price), location=location, request_id=request_id)

    with shop.refused("INVALID_FIELD"):
        add("ghost", 0, "elsewhere", "used")
    with shop.refused("ID_REUSED"):
        add("ghost", 6, "elsewhere", "used")
    with shop.refused("CART_NOT_FOUND"):
        add("ghost", 6, "elsewhere", "fresh")
    with shop.refused("LOCATION_NOT_FOUND"):
        add("closed", 6, "elsewhere", "fresh")
    with shop.refused("CART_NOT_OPEN"):
        add("closed", 6, "", "fresh")
    with shop.refused("QUANTITY_OVERFLOW"):
        add("open", 6, "", "fresh", 2**53 - 1)
    with shop.refused("INSUFFICIENT_STOCK"):
        add("open", 6, "", "fresh")


def test_update_and_remove_of_an_item(shop: Shop) -> None:
    """Invalid, ID_REUSED, cart, item, location, CART_NOT_OPEN; in an open one overflow, then stock."""
    shop.stock("a", 5)
    for cart_id in ("open", "closed"):
        shop.cart(cart_id, ("a", 1))
    shop.check_out("closed", "o")

    def update(cart_id: str, product_id: str, request_id: str, **fields: Any) -> None:
        shop.checkout.UpdateCartItem(
            v1.UpdateCartItemRequest(cart_id=cart_id, product_id=product_id, request_id=request_id, **fields)
        )

    def remove(cart_id: str, product_id: str, request_id: str) -> None:
        shop.checkout.RemoveCartItem(
            v1.RemoveCartItemRequest(cart_id=cart_id, product_id=product_id, request_id=request_id)
        )

    update("open", "a", "used", quantity=2)
    with shop.refused("INVALID_FIELD"):
        update("ghost", "b", "used", quantity=0)
    with shop.refused("ID_REUSED"):
        update("ghost", "b", "used", quantity=9, location="elsewhere")
    with shop.refused("CART_NOT_FOUND"):
        update("ghost", "b", "fresh", quantity=9, location="elsewhere")
    with shop.refused("CART_ITEM_NOT_FOUND"):
        update("closed", "b", "fresh", quantity=9, location="elsewhere")
    with shop.refused("LOCATION_NOT_FOUND"):
        update("closed", "a", "fresh", quantity=9, location="elsewhere")
    with shop.refused("CART_NOT_OPEN"):
        update("closed", "a", "fresh", quantity=9)
    with shop.refused("QUANTITY_OVERFLOW"):
        update("open", "a", "fresh", quantity=9, unit_price_minor=2**53 - 1)
    with shop.refused("INSUFFICIENT_STOCK"):
        update("open", "a", "fresh", quantity=9)
    remove("open", "a", "used")  # request ids are told apart by method
    with shop.refused("ID_REUSED"):
        remove("ghost", "b", "used")
    with shop.refused("CART_NOT_FOUND"):
        remove("ghost", "b", "fresh")
    with shop.refused("CART_ITEM_NOT_FOUND"):
        remove("closed", "b", "fresh")
    with shop.refused("CART_NOT_OPEN"):
        remove("closed", "a", "fresh")


def test_checkout(shop: Shop) -> None:
    """Invalid, ID_REUSED, cart, CART_NOT_OPEN, CART_EMPTY, stock."""
    shop.stock("a", 5)
    shop.cart("closed", ("a", 1))
    shop.cart("empty")
    shop.cart("short", ("a", 5))
    shop.check_out("closed", "used")
    shop.change("a", "DECREMENT", 1)
    with shop.refused("INVALID_FIELD"):
        shop.check_out("", "used")
    with shop.refused("ID_REUSED") as refusal:
        shop.check_out("ghost", "used")
    assert refusal.metadata == {"field": "order_id", "id": "used"}
    with shop.refused("CART_NOT_FOUND"):
        shop.check_out("ghost", "fresh")
    with shop.refused("CART_NOT_OPEN"):
        shop.check_out("closed", "fresh")
    with shop.refused("CART_EMPTY"):
        shop.check_out("empty", "fresh")
    with shop.refused("INSUFFICIENT_STOCK"):
        shop.check_out("short", "fresh")


def test_pay_order(staged: StagedShop) -> None:
    """Invalid, ID_REUSED, order, ORDER_CANCELLED, amount, PAYMENT_IN_PROGRESS, stock."""
    staged.stock("a", 5)
    staged.order("cancelled", ("a", 5))
    staged.cancel("cancelled")
    staged.order("short", ("a", 5))
    staged.order("o", ("a", 1))
    call, visit = staged.pay_up_to_gateway("o", "used", 60)
    with staged.refused("INVALID_FIELD"):
        staged.pay("ghost", "used", -1)
    with staged.refused("ID_REUSED") as refusal:
        staged.pay("ghost", "used", 60)
    assert refusal.metadata == {"field": "payment_id", "id": "used"}
    with staged.refused("ORDER_NOT_FOUND"):
        staged.pay("ghost", "fresh", 9999)
    with staged.refused("ORDER_CANCELLED"):
        staged.pay("cancelled", "fresh", 9999)
    with staged.refused("AMOUNT_EXCEEDS_BALANCE"):
        staged.pay("o", "fresh", 101)
    with staged.refused("PAYMENT_IN_PROGRESS"):
        staged.pay("o", "fresh", 41)
    with staged.refused("AMOUNT_EXCEEDS_BALANCE"):
        staged.pay("short", "fresh", 501)
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.pay("short", "fresh", 500)
    visit.accept()
    call.result()


def test_a_payment_of_0_is_invalid_whatever_the_orders_state(shop: Shop) -> None:
    """An amount of 0 for an order that costs something is the caller's mistake first."""
    shop.stock("a", 5)
    shop.order("o", ("a", 1))
    shop.cancel("o")
    with shop.refused("INVALID_FIELD") as refusal:
        shop.pay("o", "p", 0)
    assert refusal.fields == ["amount_minor"]


def test_cancel_order(staged: StagedShop) -> None:
    """Invalid, ID_REUSED, order, state."""
    staged.stock("a", 5)
    staged.order("o", ("a", 1))
    staged.order("done", ("a", 1))
    staged.cancel("done", "used")
    call, visit = staged.pay_up_to_gateway("o", "p", 100)
    with staged.refused("INVALID_FIELD"):
        staged.cancel("", "used")
    with staged.refused("ID_REUSED"):
        staged.cancel("ghost", "used")
    with staged.refused("ORDER_NOT_FOUND"):
        staged.cancel("ghost", "fresh")
    with staged.refused("PAYMENT_IN_PROGRESS"):
        staged.cancel("o", "fresh")
    visit.accept()
    call.result()


def test_ship_order(staged: StagedShop) -> None:
    """Invalid, ID_REUSED, order, ORDER_CANCELLED, PAYMENT_IN_PROGRESS, ORDER_NOT_SHIPPABLE, units."""
    staged.stock("a", 5)
    for order_id in ("shipped", "cancelled", "o"):
        staged.order(order_id, ("a", 1))
    call, visit = staged.pay_up_to_gateway("shipped", "p-1", 100)
    visit.accept()
    call.result()
    staged.ship("shipped", "used")
    staged.cancel("cancelled")
    call, visit = staged.pay_up_to_gateway("o", "p-2", 60)
    with staged.refused("INVALID_FIELD"):
        staged.ship("", "used")
    with staged.refused("ID_REUSED") as refusal:
        staged.ship("ghost", "used")
    assert refusal.metadata == {"field": "shipment_id", "id": "used"}
    with staged.refused("ORDER_NOT_FOUND"):
        staged.ship("ghost", "fresh")
    with staged.refused("ORDER_CANCELLED"):
        staged.ship("cancelled", "fresh")
    with staged.refused("PAYMENT_IN_PROGRESS"):
        staged.ship("o", "fresh")
    visit.accept()
    call.result()
    with staged.refused("ORDER_NOT_SHIPPABLE"):
        staged.ship("o", "fresh", {9: 1})
    call, visit = staged.pay_up_to_gateway("o", "p-3", 40)
    visit.accept()
    call.result()
    with staged.refused("QUANTITY_EXCEEDS_HELD"):
        staged.ship("o", "fresh", {9: 1})


def test_cancel_order_with_a_target(shop: Shop) -> None:
    """Invalid, ID_REUSED, either order, the source's state, the target's, stock."""
    shop.stock("a", 4)
    for order_id in ("done", "cancelled", "target"):
        shop.order(order_id, ("a", 4))
    shop.paid_order("shipped", ("a", 1))
    shop.ship("shipped", "s")
    shop.cancel("done", "used")
    shop.cancel("cancelled")
    shop.order("o", ("a", 1))
    with shop.refused("INVALID_FIELD"):
        shop.cancel_for("ghost", "ghost", "used")
    with shop.refused("ID_REUSED"):
        shop.cancel_for("ghost", "phantom", "used")
    for source, target in (("ghost", "cancelled"), ("shipped", "ghost")):
        with shop.refused("ORDER_NOT_FOUND") as refusal:
            shop.cancel_for(source, target, "fresh")
        assert refusal.metadata == {"order_id": "ghost"}
    with shop.refused("ORDER_NOT_CANCELLABLE"):
        shop.cancel_for("shipped", "cancelled", "fresh")
    with shop.refused("ORDER_CANCELLED"):
        shop.cancel_for("o", "cancelled", "fresh")
    with shop.refused("INSUFFICIENT_STOCK"):
        shop.cancel_for("o", "target", "fresh")


def test_return_order_items(shop: Shop) -> None:
    """Invalid, ID_REUSED, order, location, stock record, RETURN_EXCEEDS_SHIPPED."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 2))
    shop.ship("o", "s")
    shop.return_of("o", "used", {1: 1})
    with shop.refused("INVALID_FIELD"):
        shop.return_of("ghost", "used", {1: 0}, location="elsewhere")
    with shop.refused("ID_REUSED"):
        shop.return_of("ghost", "used", {1: 9}, location="elsewhere")
    with shop.refused("ORDER_NOT_FOUND"):
        shop.return_of("ghost", "fresh", {1: 9}, location="elsewhere")
    with shop.refused("LOCATION_NOT_FOUND"):
        shop.return_of("o", "fresh", {1: 9}, location="elsewhere")
    with shop.refused("RETURN_EXCEEDS_SHIPPED"):
        shop.return_of("o", "fresh", {1: 9})
    shop.inventory.DeleteStock(v1.DeleteStockRequest(product_id="a"))
    with shop.refused("STOCK_NOT_FOUND"):
        shop.return_of("o", "fresh", {1: 9})


def test_delete_cart(shop: Shop) -> None:
    """Invalid, ID_REUSED, cart, etag, CART_NOT_OPEN."""
    shop.stock("a", 5)
    for cart_id in ("gone", "sold"):
        shop.cart(cart_id, ("a", 1))
    shop.delete_cart("gone", request_id="used")
    shop.check_out("sold", "o")
    with shop.refused("INVALID_FIELD"):
        shop.delete_cart("not an id", "old", "used")
    with shop.refused("ID_REUSED"):
        shop.delete_cart("ghost", "old", "used")
    with shop.refused("CART_NOT_FOUND"):
        shop.delete_cart("ghost", "old", "fresh")
    with shop.refused("ETAG_MISMATCH"):
        shop.delete_cart("sold", "old", "fresh")
    with shop.refused("CART_NOT_OPEN"):
        shop.delete_cart("sold", request_id="fresh")


def test_import_stock(shop: Shop) -> None:
    """Invalid, ID_REUSED, incomplete."""
    imported(shop, import_id="used")

    def ask(import_id: str, row_count: int) -> None:
        header = v1.ImportHeader(import_id=import_id, row_count=row_count, reason="another")
        shop.inventory.ImportStock(iter([v1.ImportStockRequest(header=header)]))

    with shop.refused("INVALID_FIELD"):
        ask("used", 1_000_001)
    with shop.refused("ID_REUSED"):
        ask("used", 5)
    with shop.refused("IMPORT_INCOMPLETE"):
        ask("fresh", 5)
