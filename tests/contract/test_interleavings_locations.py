"""The rows of "Interleavings" about locations, each test named after its row.

`together` decides what is sent in one batch, in order, and again after another writer's change has undone the
first run by 40001: the verdicts are the same.
"""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from support.interleavings import Steps, Together
from support.shop import StagedShop, word


def delete_north(staged: StagedShop) -> Any:
    return staged.inventory.DeleteLocation.future(v1.DeleteLocationRequest(slug="north"))


def order_at_north(staged: StagedShop, units: int) -> None:
    """`a` with none at `default`; an unpaid order of 2 pinned to `north`, where so many units are left."""
    staged.location("north")
    staged.stock("a", 0)
    staged.change("a", "SET", 2, location="north")
    staged.cart("c")
    staged.add("c", ("a", 2), location="north")
    staged.check_out("c", "o")
    staged.change("a", "SET", units, location="north")


# --- DeleteLocation x cart, order, import row ------------------------------------------------------


@pytest.mark.parametrize("first", ["delete", "add"])
def test_delete_location_x_cart(staged: StagedShop, together: Together, first: str) -> None:
    """Allowed if empty. Named after it: LOCATION_NOT_FOUND. Named before it: short at checkout."""
    staged.location("north")
    staged.stock("a", 5)
    staged.checkout.CreateCart(v1.CreateCartRequest(cart_id="c", currency="EUR", defer_inventory_check=True))
    add = v1.AddCartItemsRequest(cart_id="c", items=staged.items(("a", 1), location="north"))
    steps: Steps = {
        "delete": lambda: delete_north(staged),
        "add": lambda: staged.checkout.AddCartItems.future(add),
    }
    calls = together.sent(first, steps)
    assert staged.reason_of(calls["delete"]) == "OK"
    assert staged.reason_of(calls["add"]) == ("LOCATION_NOT_FOUND" if first == "delete" else "OK")
    if first == "add":
        with staged.refused("INSUFFICIENT_STOCK") as refusal:
            staged.check_out("c", "o")
        assert refusal.short_lines == [("a", "north", 1, 0, True)]


@pytest.mark.parametrize("first", ["delete", "pay"])
def test_delete_location_x_order(staged: StagedShop, together: Together, first: str) -> None:
    """Allowed where nothing is left; the order that names it is short then, whoever came first."""
    order_at_north(staged, 0)
    steps: Steps = {
        "delete": lambda: delete_north(staged),
        "pay": lambda: staged.start_paying("o", "p", 200),
    }
    calls = together.sent(first, steps)
    assert staged.reason_of(calls["delete"]) == "OK"
    assert staged.reason_of(calls["pay"]) == "INSUFFICIENT_STOCK"
    with staged.refused("INSUFFICIENT_STOCK") as refusal:
        staged.pay("o", "q", 200)
    assert refusal.short_lines == [("a", "north", 2, 0, True)]
    assert staged.purchases == []


@pytest.mark.parametrize("first", ["delete", "pay"])
def test_delete_location_x_order_that_can_be_paid(staged: StagedShop, together: Together, first: str) -> None:
    """What is kept there keeps the location, before and after it is allocated; shipped, it may go."""
    order_at_north(staged, 2)
    steps: Steps = {
        "delete": lambda: delete_north(staged),
        "pay": lambda: staged.start_paying("o", "p", 200),
    }
    calls = together.sent(first, steps)
    assert staged.reason_of(calls["delete"]) == "LOCATION_NOT_EMPTY"
    staged.at_gateway().accept()
    assert word(calls["pay"].result().payment) == "CAPTURED"
    with staged.refused("LOCATION_NOT_EMPTY"):
        staged.delete_location("north")
    staged.ship("o", "s")
    staged.delete_location("north")
    assert staged.numbers("a") == (0, 0, 0)


@pytest.mark.parametrize("first", ["delete", "transfer"])
def test_delete_location_x_transfer(staged: StagedShop, together: Together, first: str) -> None:
    """Emptied in the same batch it may go; into one that is gone nothing goes."""
    staged.location("north")
    staged.stock("a", 0)
    staged.change("a", "SET", 3, location="north")
    transfer = v1.TransferStockRequest(product_id="a", quantity=3, source_location="north")
    steps: Steps = {
        "delete": lambda: delete_north(staged),
        "transfer": lambda: staged.inventory.TransferStock.future(transfer),
    }
    calls = together.sent(first, steps)
    assert staged.reason_of(calls["transfer"]) == "OK"
    assert staged.reason_of(calls["delete"]) == ("LOCATION_NOT_EMPTY" if first == "delete" else "OK")
    if first == "transfer":
        with staged.refused("LOCATION_NOT_FOUND"):
            staged.transfer("a", 3, "default", "north")
    assert staged.numbers("a") == (3, 3, 0)


# --- transfer x unpaid order pinned there ----------------------------------------------------------


@pytest.mark.parametrize("first", ["transfer", "pay"])
def test_transfer_x_unpaid_order_pinned_there(staged: StagedShop, together: Together, first: str) -> None:
    """Allowed; the payment is short then. Allocated units never move."""
    order_at_north(staged, 2)
    transfer = v1.TransferStockRequest(product_id="a", quantity=1, source_location="north")
    steps: Steps = {
        "transfer": lambda: staged.inventory.TransferStock.future(transfer),
        "pay": lambda: staged.start_paying("o", "p", 200),
    }
    calls = together.sent(first, steps)
    if first == "transfer":
        assert staged.reason_of(calls["transfer"]) == "OK"
        assert staged.reason_of(calls["pay"]) == "INSUFFICIENT_STOCK"
        assert (staged.level("a", "default"), staged.level("a", "north")) == ((1, 1, 0), (1, 1, 0))
        return
    assert staged.reason_of(calls["transfer"]) == "INSUFFICIENT_STOCK"
    staged.at_gateway().accept()
    assert word(calls["pay"].result().payment) == "CAPTURED"
    assert staged.level("a", "north") == (2, 0, 2)


# --- a location is disabled x an order pinned there ------------------------------------------------


@pytest.mark.parametrize("first", ["disable", "pay"])
def test_disable_x_unpaid_order_pinned_there(staged: StagedShop, together: Together, first: str) -> None:
    """Disabled first, the payment is short; paid first, the units are the customer's and leave the house."""
    order_at_north(staged, 2)
    disable = v1.UpdateLocationRequest(slug="north", disabled=True)
    steps: Steps = {
        "disable": lambda: staged.inventory.UpdateLocation.future(disable),
        "pay": lambda: staged.start_paying("o", "p", 200),
    }
    calls = together.sent(first, steps)
    assert staged.reason_of(calls["disable"]) == "OK"
    if first == "disable":
        assert staged.reason_of(calls["pay"]) == "INSUFFICIENT_STOCK"
        return
    staged.at_gateway().accept()
    assert word(calls["pay"].result().payment) == "CAPTURED"
    staged.ship("o", "s")
    assert staged.numbers("a") == (0, 0, 0)


# --- several carts, lines (A,B) and (B,A) ----------------------------------------------------------


@pytest.mark.parametrize("first", ["a", "b"])
def test_several_carts_lines_a_b_and_b_a_that_lie_apart(
    staged: StagedShop, together: Together, first: str
) -> None:
    """20 carts want both of 10 pairs that lie apart, in either order: 10 have them, 10 are told."""
    staged.location("north")
    staged.stocks(a=10, b=0)
    staged.change("b", "SET", 10, location="north")
    lines = [
        v1.LineRequest(product_id="a", quantity=1, location="default"),
        v1.LineRequest(product_id="b", quantity=1, location="north"),
    ]
    lines.sort(key=lambda line: line.product_id != first)
    with together():
        calls = [
            staged.inventory.ReserveStock.future(
                v1.ReserveStockRequest(reservation_id=f"r-{number}", lines=lines[:: -1 if number % 2 else 1])
            )
            for number in range(20)
        ]
    verdicts = [staged.reason_of(call) for call in calls]
    assert sorted(verdicts) == ["INSUFFICIENT_STOCK"] * 10 + ["OK"] * 10
    assert staged.numbers("a") == staged.numbers("b") == (10, 0, 10)
