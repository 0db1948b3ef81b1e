"""Requests to commands, and the rules that field options cannot say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from inventory_client.v1 import (
    cart_pb2,
    reservation_pb2,
    stock_pb2,
)
from inventory_client.v1 import checkout_service_pb2 as checkout
from inventory_client.v1 import inventory_service_pb2 as inventory
from inventory_server.domain import commands
from inventory_server.domain.order import (
    CartItem,
)
from inventory_server.domain.reservation import Line
from inventory_server.domain.stock import Action
from inventory_server.rpc import convert
from inventory_server.rpc.rules import InvalidFields

MADE_AT = datetime(2026, 1, 2, 3, 4, 5, 678_901, tzinfo=UTC)
MADE = Timestamp(seconds=1_767_323_045, nanos=678_901_000)


def refused(decode: Any, request: Any) -> list[str]:
    """Return the paths of the fields that a decoder refuses."""
    with pytest.raises(InvalidFields) as caught:
        decode(request)
    return [violation.field for violation in caught.value.violations]


# --- stock ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("named", "location"), [("", "default"), ("north", "north")])
def test_a_hand_action_without_a_location_means_default(named: str, location: str) -> None:
    """Stock is made and changed at the location named, else at `default`."""
    made = convert.create_stock(
        inventory.CreateStockRequest(product_id="tea", quantity=0, location=named, request_id="r")
    )
    assert made == commands.CreateStock("tea", 0, location)
    changed = convert.create_stock_transaction(
        inventory.CreateStockTransactionRequest(
            product_id="tea",
            action=stock_pb2.STOCK_ACTION_DECREMENT,
            quantity=3,
            location=named,
            reason="broken",
            reference="ref-1",
        )
    )
    assert changed == commands.CreateStockTransaction("tea", Action.DECREMENT, 3, location, "broken", "ref-1")


@pytest.mark.parametrize("action", stock_pb2.StockAction.values())
def test_five_actions_are_by_hand(action: stock_pb2.StockAction.ValueType) -> None:
    """INCREMENT, DECREMENT, ALLOCATE, DEALLOCATE and SET are taken, the server's own are refused."""
    request = inventory.CreateStockTransactionRequest(product_id="tea", action=action, quantity=1)
    name = stock_pb2.StockAction.Name(action).removeprefix("STOCK_ACTION_")
    if name in ("INCREMENT", "DECREMENT", "ALLOCATE", "DEALLOCATE", "SET"):
        assert convert.create_stock_transaction(request).action is Action(name)
    else:
        assert refused(convert.create_stock_transaction, request) == ["action"]


@pytest.mark.parametrize(
    ("action", "quantity", "broken"),
    [("SET", 0, []), ("SET", 1, []), ("INCREMENT", 1, []), ("INCREMENT", 0, ["quantity"])],
)
def test_only_set_takes_zero(action: str, quantity: int, broken: list[str]) -> None:
    """A quantity of 0 is a new total, never a number of units to move."""
    request = inventory.CreateStockTransactionRequest(
        product_id="tea", action=stock_pb2.StockAction.Value(f"STOCK_ACTION_{action}"), quantity=quantity
    )
    if broken:
        assert refused(convert.create_stock_transaction, request) == broken
    else:
        assert convert.create_stock_transaction(request).quantity == quantity


# --- reservations --------------------------------------------------------------------------------


def reserve(**fields: Any) -> inventory.ReserveStockRequest:
    line = reservation_pb2.LineRequest(product_id="tea", quantity=1)
    return inventory.ReserveStockRequest(reservation_id="r-1", lines=[line], **fields)


def test_lines_of_one_product_and_named_location_are_merged() -> None:
    """Their quantities add up, in the order first named; a named location and none are two lines."""
    asked = [("tea", 1, ""), ("cake", 2, ""), ("tea", 3, "north"), ("tea", 4, ""), ("tea", 5, "north")]
    request = inventory.ReserveStockRequest(
        reservation_id="r-1",
        lines=[
            reservation_pb2.LineRequest(product_id=product_id, quantity=quantity, location=location)
            for product_id, quantity, location in asked
        ],
    )
    assert convert.reserve_stock(request).lines == (
        Line("tea", 5),
        Line("cake", 2),
        Line("tea", 8, "north"),
    )


def test_what_a_reservation_does_not_say_is_none() -> None:
    """Without an order and an expiry both are None; the domain's default holds."""
    assert convert.reserve_stock(reserve()) == commands.ReserveStock("r-1", (Line("tea", 1),))
    assert convert.reserve_stock(reserve(order_id="o-1")).order_id == "o-1"
    assert convert.reserve_stock(reserve(never_expires=True)).never_expires is True
    assert convert.reserve_stock(reserve(expire_time=MADE)).expire_time == MADE_AT


@pytest.mark.parametrize(
    ("seconds", "nanos", "is_valid"),
    [
        (1, 0, True),
        (0, 999_999_999, False),
        (0, 0, False),
        (-1, 0, False),
        (-1, -1, False),
        (7_776_000, 0, True),
        (7_776_000, 1, False),
        (7_776_001, 0, False),
        (1, 500_000_000, True),
    ],
)
def test_a_ttl_is_a_second_to_ninety_days(seconds: int, nanos: int, is_valid: bool) -> None:
    """1 s and 90 days are taken, a nanosecond less or more is not."""
    request = reserve(ttl=Duration(seconds=seconds, nanos=nanos))
    if is_valid:
        assert convert.reserve_stock(request).ttl_s == seconds + nanos / 1e9
    else:
        assert refused(convert.reserve_stock, request) == ["ttl"]


def test_never_expires_is_true_or_not_there() -> None:
    """false says nothing that the field's absence doesn't, and may be a slip: refused."""
    assert refused(convert.reserve_stock, reserve(never_expires=False)) == ["never_expires"]


# --- carts ---------------------------------------------------------------------------------------


def test_items_are_decoded_in_order() -> None:
    """Items stay as they came; the domain merges them."""
    request = checkout.AddCartItemsRequest(
        cart_id="c-1",
        items=[
            cart_pb2.CartItemRequest(product_id="tea", quantity=1, unit_price_minor=0, location="north"),
            cart_pb2.CartItemRequest(product_id="tea", quantity=2, unit_price_minor=5),
        ],
    )
    assert convert.add_cart_items(request) == commands.AddCartItems(
        "c-1", (CartItem("tea", 1, 0, "north"), CartItem("tea", 2, 5, None))
    )


@pytest.mark.parametrize(
    ("fields", "paths", "changed"),
    [
        ({}, [], {}),
        ({"quantity": 3}, [], {"quantity": 3}),
        ({"unit_price_minor": 0}, [], {"unit_price_minor": 0}),
        ({"location": "north"}, [], {"set_location": True, "location": "north"}),
        ({"quantity": 3, "unit_price_minor": 5}, ["quantity"], {"quantity": 3}),
        ({"quantity": 3, "location": "north"}, ["location"], {"set_location": True, "location": "north"}),
        ({"quantity": 3}, ["location"], {"set_location": True, "location": None}),
        ({"quantity": 3, "location": "north"}, ["quantity", "quantity"], {"quantity": 3}),
        ({"track_stock": False}, [], {"track_stock": False}),
        ({"track_stock": True, "quantity": 3}, ["track_stock"], {"track_stock": True}),
        ({"track_stock": True, "quantity": 3}, ["quantity"], {"quantity": 3}),
    ],
)
def test_the_mask_says_what_changes(
    fields: dict[str, Any], paths: list[str], changed: dict[str, Any]
) -> None:
    """Absent = all set fields; else what it names and no more; a named, empty location means any."""
    request = checkout.UpdateCartItemRequest(cart_id="c-1", product_id="tea", **fields)
    request.update_mask.paths.extend(paths)
    assert convert.update_cart_item(request) == commands.UpdateCartItem("c-1", "tea", **changed)


@pytest.mark.parametrize(
    ("paths", "broken"),
    [
        (["quantity"], ["quantity"]),
        (["unit_price_minor", "location"], ["unit_price_minor"]),
        (["track_stock"], ["track_stock"]),
        (["*"], ["update_mask.paths[0]"]),
        (["location", "cart_id", ""], ["update_mask.paths[1]", "update_mask.paths[2]"]),
        (["Quantity", "quantity"], ["update_mask.paths[0]", "quantity"]),
    ],
)
def test_a_mask_that_cannot_be_is_refused(paths: list[str], broken: list[str]) -> None:
    """A path that is none of the four, and one but the location that is named and not set."""
    request = checkout.UpdateCartItemRequest(cart_id="c-1", product_id="tea", location="north")
    request.update_mask.paths.extend(paths)
    assert refused(convert.update_cart_item, request) == broken


def test_a_mask_of_ten_thousand_paths_is_refused_shortly() -> None:
    """However many paths are wrong, few are told."""
    request = checkout.UpdateCartItemRequest(cart_id="c-1", product_id="tea")
    request.update_mask.paths.extend(["x"] * 10_000)
    assert len(refused(convert.update_cart_item, request)) == 20
