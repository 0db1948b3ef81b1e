"""The rows of "Interleavings" about stock that is deleted or counted, each test named after its row.

`together` decides what is sent in one batch, in order, and again after another writer's change has undone the
first run by 40001: the verdicts are the same.
"""

from __future__ import annotations

from typing import Any

import pytest

import inventory_client
from inventory_client import v1
from support.interleavings import Together
from support.shop import StagedShop, word


def delete(staged: StagedShop) -> Any:
    return staged.inventory.DeleteStock.future(v1.DeleteStockRequest(product_id="a"))


def unmanaged(call: Any) -> bool:
    """Whether a call was refused for one line, of a product that has no record."""
    error = call.exception()
    assert isinstance(error, inventory_client.InsufficientStock), error
    (short,) = error.shortages
    return (short.product_id, short.managed) == ("a", False)


# --- DeleteStock x cart, unpaid order --------------------------------------------------------------


@pytest.mark.parametrize("first", ["delete", "check out"])
def test_delete_stock_x_cart(staged: StagedShop, together: Together, first: str) -> None:
    """Allowed whatever carts name the product; checkout after it is short, managed = false."""
    staged.stock("a", 5)
    staged.cart("c", ("a", 2))
    staged.cart("another")
    checkout = v1.CheckoutRequest(cart_id="c", order_id="o")
    calls = together.sent(
        first,
        {
            "delete": lambda: delete(staged),
            "check out": lambda: staged.checkout.Checkout.future(checkout),
        },
    )
    assert staged.reason_of(calls["delete"]) == "OK"
    if first == "delete":
        assert unmanaged(calls["check out"])
    else:
        assert word(calls["check out"].result().order, "payment_state") == "UNPAID"
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.add("another", ("a", 1))


@pytest.mark.parametrize("first", ["delete", "pay"])
def test_delete_stock_x_unpaid_order(staged: StagedShop, together: Together, first: str) -> None:
    """Allowed; paying after it is short, managed = false, and the gateway not called. Paid first: in use."""
    staged.stock("a", 5)
    staged.order("o", ("a", 2))
    calls = together.sent(
        first,
        {"delete": lambda: delete(staged), "pay": lambda: staged.start_paying("o", "p", 200)},
    )
    if first == "delete":
        assert staged.reason_of(calls["delete"]) == "OK"
        assert unmanaged(calls["pay"])
        assert staged.asked == []
        staged.stock("a", 2)
        call, visit = staged.pay_up_to_gateway("o", "p", 200)
        visit.accept()
        assert word(call.result().payment) == "CAPTURED"
        return
    assert staged.reason_of(calls["delete"]) == "STOCK_IN_USE"
    staged.at_gateway().accept()
    assert word(calls["pay"].result().payment) == "CAPTURED"
    assert staged.numbers("a") == (5, 3, 2)
    staged.cancel("o")
    staged.delete("a")


# --- DeleteStock x hold, hand allocation -----------------------------------------------------------


@pytest.mark.parametrize("first", ["delete", "hold"])
def test_delete_stock_x_hold(staged: StagedShop, together: Together, first: str) -> None:
    """STOCK_IN_USE; deleted first, the hold is short, managed = false."""
    staged.stock("a", 5)
    request = staged.reserve_request("r", ("a", 2))
    calls = together.sent(
        first,
        {
            "delete": lambda: delete(staged),
            "hold": lambda: staged.inventory.ReserveStock.future(request),
        },
    )
    if first == "delete":
        assert staged.reason_of(calls["delete"]) == "OK"
        assert unmanaged(calls["hold"])
        assert staged.actions("a") == [("DELETE", 5)]
        return
    assert staged.reason_of(calls["delete"]) == "STOCK_IN_USE"
    assert word(calls["hold"].result().reservation) == "HELD"
    staged.release("r")
    staged.delete("a")
    assert staged.actions("a") == [("RESERVE", 2), ("RELEASE", 2), ("DELETE", 5)]


@pytest.mark.parametrize("first", ["delete", "allocate"])
def test_delete_stock_x_hand_allocation(staged: StagedShop, together: Together, first: str) -> None:
    """STOCK_IN_USE; deleted first, there is nothing to allocate from: STOCK_NOT_FOUND."""
    staged.stock("a", 5)
    request = staged.change_request("a", "ALLOCATE", 2)
    calls = together.sent(
        first,
        {
            "delete": lambda: delete(staged),
            "allocate": lambda: staged.inventory.CreateStockTransaction.future(request),
        },
    )
    wanted = ("OK", "STOCK_NOT_FOUND") if first == "delete" else ("STOCK_IN_USE", "OK")
    assert (staged.reason_of(calls["delete"]), staged.reason_of(calls["allocate"])) == wanted
    if first == "allocate":
        staged.change("a", "DEALLOCATE", 2)
        staged.delete("a")
    assert staged.actions("a")[-1] == ("DELETE", 5)


# --- set below allocated ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["set", "reserve"])
def test_set_below_allocated(staged: StagedShop, together: Together, first: str) -> None:
    """A count below what is allocated is refused; equal is fine (available 0). Whoever is first counts."""
    staged.stock("a", 5)
    count = staged.change_request("a", "SET", 2)
    hold = staged.reserve_request("r", ("a", 3))
    told = together.told(
        first,
        {
            "set": lambda: staged.inventory.CreateStockTransaction.future(count),
            "reserve": lambda: staged.inventory.ReserveStock.future(hold),
        },
    )
    if first == "set":
        assert told == {"set": "OK", "reserve": "INSUFFICIENT_STOCK"}
        assert staged.numbers("a") == (2, 2, 0)
        return
    assert told == {"reserve": "OK", "set": "TOTAL_BELOW_ALLOCATED"}
    assert staged.numbers("a") == (5, 2, 3)
    assert staged.change("a", "SET", 3).available_after == 0
