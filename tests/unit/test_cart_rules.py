"""Carts: what each call needs, how items are merged, and that nothing is held."""

from __future__ import annotations

import pytest

from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    Command,
    CreateCart,
    DeleteCart,
    RemoveCartItem,
    RemoveExpiredCart,
    UpdateCartItem,
)
from inventory_server.domain.errors import (
    CartItemNotFound,
    CartNotFound,
    CartNotOpen,
    EtagMismatch,
    IdReused,
    InsufficientStock,
    InvalidValue,
    LocationNotFound,
    QuantityOverflow,
    Shortage,
)
from inventory_server.domain.limits import (
    AMOUNT_MINOR_MAX,
    CART_EXPIRY_S_DEFAULT,
    CART_ITEMS_MAX,
    EXPIRED_CART_KEPT_S,
    QUANTITY_MAX,
)
from inventory_server.domain.location import Location
from inventory_server.domain.order import Cart, CartItem, CartState
from inventory_server.domain.reservation import Line
from inventory_server.domain.store import StoreSettings
from support.world import World

NEAR_FAR = (Location("near", enabled=True), Location("far", enabled=True))


def item(product_id: str, quantity: int = 1, price: int = 10, location: str | None = None) -> CartItem:
    return CartItem(product_id, quantity, price, location, True)


def add(*items: CartItem) -> AddCartItems:
    return AddCartItems("c", items)


@pytest.fixture
def world() -> World:
    """100 of `a`, 5 of `b`, and an empty cart."""
    made = World()
    made.stock("a", 100)
    made.stock("b", 5)
    made.do(CreateCart("c", "EUR"))
    return made


def cart(world: World) -> Cart:
    found: Cart = world.rows["carts"]["c"]
    return found


def test_create_is_repeatable(world: World) -> None:
    """The same cart_id and content answers the cart as it is now; other content is ID_REUSED."""
    world.do(add(item("a")))
    before = world.snapshot()
    assert world.do(CreateCart("c", "EUR")).items == (item("a"),)
    with pytest.raises(IdReused):
        world.do(CreateCart("c", "USD"))
    assert world.snapshot() == before


def test_this_requests_quantity_counts_not_the_carts_sum(world: World) -> None:
    """Of 100, 60 then 50 into one cart both pass; 101 at once does not; and nothing is held."""
    world.do(add(item("a", 60)))
    assert world.do(add(item("a", 50))).items == (item("a", 110),)
    with pytest.raises(InsufficientStock):
        world.do(add(item("a", 101)))
    assert cart(world).items == (item("a", 110),)
    assert world.numbers("a") == (100, 0) and len(world.log) == 2


def test_more_may_be_in_carts_than_in_stock(world: World) -> None:
    """Carts do not see each other: 80 and 30 of 100 both pass."""
    world.do(CreateCart("d", "EUR"))
    assert world.do(add(item("a", 80))).items
    assert world.do(AddCartItems("d", (item("a", 30),))).items


def test_what_others_hold_is_not_there(world: World) -> None:
    """The check goes by what is available, not by the total."""
    world.hold("r", Line("b", 3))
    assert world.do(add(item("b", 2))).items
    with pytest.raises(InsufficientStock) as caught:
        world.do(add(item("b", 3)))
    assert caught.value.shortages == (Shortage("b", None, 3, 2, True),)


def test_all_items_or_none(world: World) -> None:
    """One short item, and none of the request is added; every short one is told."""
    before = world.snapshot()
    with pytest.raises(InsufficientStock) as caught:
        world.do(add(item("a"), item("b", 6), item("x")))
    assert caught.value.shortages == (Shortage("b", None, 6, 5, True), Shortage("x", None, 1, 0, False))
    assert world.snapshot() == before


def test_one_item_a_product() -> None:
    """Quantities of one product add up, within a request and over requests; the price named last wins."""
    world = World(NEAR_FAR)
    world.stock("a", 100, "near")
    world.stock("a", 100, "far")
    world.do(CreateCart("c", "EUR"))
    asked = (item("a", 2, 10, "near"), item("a", 3, 12))
    assert world.do(AddCartItems("c", asked)).items == (item("a", 5, 12, "near"),)
    # The location named last wins for all of it; none named changes none.
    assert world.do(add(item("a", 1, 9, "far"))).items == (item("a", 6, 9, "far"),)
    assert world.do(add(item("a", 1, 8))).items == (item("a", 7, 8, "far"),)


def test_the_location_the_item_has_is_checked() -> None:
    """An addition that names no location is checked where the cart's item is pinned."""
    world = World(NEAR_FAR)
    world.stock("a", 5, "near")
    world.stock("a", 1, "far")
    world.do(CreateCart("c", "EUR"))
    world.do(add(item("a", 1, 10, "far")))
    with pytest.raises(InsufficientStock) as caught:
        world.do(add(item("a", 2)))
    assert caught.value.shortages == (Shortage("a", "far", 2, 1, True),)


def test_items_keep_the_order_they_came_in(world: World) -> None:
    """An item that grows stays where it is; one that was removed and comes back stands last."""
    world.do(add(item("b"), item("a")))
    assert [i.product_id for i in world.do(add(item("b"))).items] == ["b", "a"]
    world.do(RemoveCartItem("c", "b"))
    assert [i.product_id for i in world.do(add(item("b"))).items] == ["a", "b"]


def test_update_replaces_what_is_named(world: World) -> None:
    """Update sets quantity, price, location, each alone; what is not named stays."""
    world.do(add(item("a", 2, 10)))
    assert world.do(UpdateCartItem("c", "a", quantity=7)).items == (item("a", 7, 10),)
    assert world.do(UpdateCartItem("c", "a", unit_price_minor=0)).items == (item("a", 7, 0),)
    pinned = world.do(UpdateCartItem("c", "a", set_location=True, location="default"))
    assert pinned.items == (item("a", 7, 0, "default"),)
    assert world.do(UpdateCartItem("c", "a", set_location=True)).items == (item("a", 7, 0),)


def test_an_item_is_tracked_from_now_on_or_no_more(world: World) -> None:
    """Untracked it asks for no stock, whatever its quantity; tracked again it must be there."""
    world.do(add(item("b", 5)))
    loose = world.do(UpdateCartItem("c", "b", quantity=99, track_stock=False))
    assert [(i.quantity, i.track_stock) for i in loose.items] == [(99, False)]
    with pytest.raises(InsufficientStock):
        world.do(UpdateCartItem("c", "b", track_stock=True))
    world.do(UpdateCartItem("c", "b", quantity=6))
    with pytest.raises(InsufficientStock):
        world.do(UpdateCartItem("c", "b", track_stock=True))
    assert world.do(UpdateCartItem("c", "b", quantity=5, track_stock=True)).items == (item("b", 5),)


def test_update_checks_the_stock_where_it_matters(world: World) -> None:
    """A new quantity or location is checked; a new price alone is not."""
    world.do(add(item("b", 5)))
    world.hold("r", Line("b", 1))
    assert world.do(UpdateCartItem("c", "b", unit_price_minor=3)).items == (item("b", 5, 3),)
    for update in (
        UpdateCartItem("c", "b", quantity=5),
        UpdateCartItem("c", "b", set_location=True, location="default"),
    ):
        with pytest.raises(InsufficientStock):
            world.do(update)
    assert world.do(UpdateCartItem("c", "b", quantity=4)).items == (item("b", 4, 3),)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (AddCartItems("x", (item("a"),)), CartNotFound),
        (UpdateCartItem("x", "a", quantity=1), CartNotFound),
        (RemoveCartItem("x", "a"), CartNotFound),
        (UpdateCartItem("c", "b", quantity=1), CartItemNotFound),
        (RemoveCartItem("c", "b"), CartItemNotFound),
        (add(item("a", location="attic")), LocationNotFound),
        (UpdateCartItem("c", "a", set_location=True, location="attic"), LocationNotFound),
    ],
)
def test_what_is_not_there(world: World, command: Command, refusal: type[Exception]) -> None:
    """A cart, an item or a location that does not exist is told as what it is; nothing changes."""
    world.do(add(item("a")))
    before = world.snapshot()
    with pytest.raises(refusal):
        world.do(command)
    assert world.snapshot() == before


@pytest.mark.parametrize(
    "command", [add(item("a")), UpdateCartItem("c", "a", quantity=2), RemoveCartItem("c", "a")]
)
def test_a_checked_out_cart_is_frozen(world: World, command: Command) -> None:
    """After checkout nothing of the cart changes; the refusal names its order."""
    world.do(add(item("a")))
    world.do(Checkout("c", "o"))
    before = world.snapshot()
    with pytest.raises(CartNotOpen) as caught:
        world.do(command)
    assert caught.value.order_id == "o"
    assert world.snapshot() == before


def test_a_cart_holds_so_many_products() -> None:
    """1,000 products fit into a cart; one more is refused."""
    world = World()
    for number in range(CART_ITEMS_MAX + 1):
        world.stock(f"p{number}", 1)
    world.do(CreateCart("c", "EUR"))
    items = [item(f"p{number}", 1, 0) for number in range(CART_ITEMS_MAX)]
    assert len(world.do(add(*items)).items) == CART_ITEMS_MAX
    with pytest.raises(InvalidValue) as caught:
        world.do(add(item(f"p{CART_ITEMS_MAX}")))
    assert caught.value.field == "items"
    assert world.do(add(item("p0", 1, 0))).items[0].quantity == 2


def test_an_items_quantity_has_a_limit() -> None:
    """An item's quantity ends at 2^43-1, however it is reached."""
    world = World()
    world.stock("a", QUANTITY_MAX)
    world.do(CreateCart("c", "EUR"))
    assert world.do(add(item("a", QUANTITY_MAX, 0))).items[0].quantity == QUANTITY_MAX
    with pytest.raises(QuantityOverflow):
        world.do(add(item("a", 1, 0)))
    assert cart(world).items[0].quantity == QUANTITY_MAX


def test_a_carts_total_has_a_limit() -> None:
    """A cart's total ends at 2^53-1 minor units, over all its items."""
    world = World()
    world.stock("a", 100)
    world.stock("b", 100)
    world.do(CreateCart("c", "EUR"))
    world.do(add(item("a", 1, AMOUNT_MINOR_MAX - 1)))
    assert world.do(add(item("b", 1, 1))).total_minor == AMOUNT_MINOR_MAX
    for command in (add(item("b", 1, 1)), UpdateCartItem("c", "b", unit_price_minor=2)):
        with pytest.raises(QuantityOverflow):
            world.do(command)
    assert cart(world).total_minor == AMOUNT_MINOR_MAX


# --- the check put off ---------------------------------------------------------------------------


def test_a_cart_that_defers_its_check_takes_what_is_not_there(world: World) -> None:
    """Nothing is checked in it but the location's name; the checkout checks the sum all the same."""
    world.do(CreateCart("late", "EUR", True))
    world.do(AddCartItems("late", (item("b", 6), item("ghost"))))
    world.do(UpdateCartItem("late", "b", quantity=7))
    with pytest.raises(LocationNotFound):
        world.do(AddCartItems("late", (item("a", location="nowhere"),)))
    with pytest.raises(InsufficientStock) as caught:
        world.do(Checkout("late", "o"))
    assert caught.value.shortages == (Shortage("b", None, 7, 5, True), Shortage("ghost", None, 1, 0, False))


@pytest.mark.parametrize(("said", "setting", "defers"), [
    (None, False, False), (None, True, True), (False, True, False), (True, False, True),
])  # fmt: skip
def test_the_stores_setting_holds_for_carts_made_later(
    world: World, said: bool | None, setting: bool, defers: bool
) -> None:
    """A cart says for itself whether it defers; one that doesn't goes by the setting of its beginning."""
    world.settings = StoreSettings(defer_inventory_check=setting)
    assert world.do(CreateCart("late", "EUR", said)).defer_inventory_check is defers
    world.settings = StoreSettings(defer_inventory_check=not setting)
    assert world.do(CreateCart("late", "EUR", said)).defer_inventory_check is defers
    (verdict,) = world.batch(AddCartItems("late", (item("b", 6),)))
    assert isinstance(verdict, InsufficientStock) is not defers


# --- expiry --------------------------------------------------------------------------------------


def test_a_cart_expires_after_the_stores_time(world: World) -> None:
    """At its time to the microsecond it takes and makes nothing any more; before that it does."""
    world.do(add(item("a")))
    world.wait(CART_EXPIRY_S_DEFAULT - 0.000001)
    assert world.state().carts.values().__next__().state is CartState.OPEN
    world.wait(0.000001)
    for command in (
        add(item("a")), UpdateCartItem("c", "a", quantity=2), RemoveCartItem("c", "a"), Checkout("c", "o"),
    ):  # fmt: skip
        with pytest.raises(CartNotOpen, match="has expired") as caught:
            world.do(command)
        assert caught.value.order_id == ""
    assert world.do(CreateCart("c", "EUR")).state is CartState.EXPIRED


@pytest.mark.parametrize("command", [
    add(item("a")), UpdateCartItem("c", "b", quantity=2), RemoveCartItem("c", "b"),
])  # fmt: skip
def test_a_change_puts_the_expiry_off(world: World, command: Command) -> None:
    """By the whole time that the store's setting names at that moment."""
    world.do(add(item("b")))
    world.wait(CART_EXPIRY_S_DEFAULT - 1)
    world.settings = StoreSettings(cart_expiry_s=60)
    world.do(command)
    world.wait(59)
    world.do(add(item("a")))
    world.wait(60)
    with pytest.raises(CartNotOpen):
        world.do(add(item("a")))


def test_a_cart_that_was_checked_out_does_not_expire(world: World) -> None:
    """Its checkout answers the order for ever."""
    world.do(add(item("a")))
    world.do(Checkout("c", "o"))
    world.wait(CART_EXPIRY_S_DEFAULT * 2)
    assert world.do(Checkout("c", "o")).order.order_id == "o"
    assert world.do(CreateCart("c", "EUR")).state is CartState.CHECKED_OUT


# --- etag, removal -------------------------------------------------------------------------------


def test_an_etag_is_that_of_what_was_read(world: World) -> None:
    """Any change makes another; the wrong one refuses before the cart's state and the stock do."""
    seen = {cart(world).etag}
    for command in (add(item("a")), UpdateCartItem("c", "a", quantity=2), RemoveCartItem("c", "a")):
        world.wait(1)
        seen.add(world.do(command).etag)
    assert len(seen) == 4
    world.do(add(item("a")))
    old = cart(world).etag
    world.wait(1)
    current = world.do(UpdateCartItem("c", "a", quantity=2, etag=old)).etag
    for late in (UpdateCartItem("c", "a", quantity=999, etag=old), DeleteCart("c", old)):
        with pytest.raises(EtagMismatch) as caught:
            world.do(late)
        assert caught.value.current == current
    world.do(DeleteCart("c", current))


def test_a_cart_is_deleted_with_its_items(world: World) -> None:
    """It is gone, and its id makes another one, in the same batch too; one that was checked out stays."""
    world.do(add(item("a")))
    _, _, again = world.batch(DeleteCart("c"), RemoveCartItem("c", "a"), CreateCart("c", "USD"))
    assert (again.currency, again.items) == ("USD", ())
    world.do(DeleteCart("c"))
    for command in (DeleteCart("c"), add(item("a")), Checkout("c", "o")):
        with pytest.raises(CartNotFound):
            world.do(command)
    world.order("o", item("a"))
    with pytest.raises(CartNotOpen):
        world.do(DeleteCart("cart of o"))


def test_an_expired_cart_is_removed_a_day_later(world: World) -> None:
    """Not before; one that was checked out never; an expired one may be deleted at once."""
    world.order("o", item("a"))
    world.do(CreateCart("d", "EUR"))
    world.wait(CART_EXPIRY_S_DEFAULT)
    world.do(DeleteCart("d"))
    remove = [RemoveExpiredCart(cart_id) for cart_id in ("c", "cart of o", "ghost")]
    world.wait(EXPIRED_CART_KEPT_S - 1)
    world.batch(*remove)
    assert set(world.rows["carts"]) == {"c", "cart of o"}
    world.wait(1)
    world.batch(*remove)
    assert set(world.rows["carts"]) == {"cart of o"}
