"""The table "Interleavings" of the product, row by row: each test is named after its row.

`staged` holds payments at the gateway and batches at the database, so each order of arrival is made, not
hoped for.
"""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from support.shop import Shop, StagedShop, word

# --- cancel x ship ---------------------------------------------------------------------------------


@pytest.mark.parametrize("in_one_batch", [False, True])
@pytest.mark.parametrize("first", ["cancel", "ship"])
def test_cancel_x_ship(shop: Shop, first: str, in_one_batch: bool) -> None:
    """Batch order decides: the first wins, the second is refused, no unit is both released and shipped."""
    shop.stock("a", 5)
    shop.paid_order("o", ("a", 2))
    requests: dict[str, Any] = {
        "cancel": lambda: shop.checkout.CancelOrder.future(v1.CancelOrderRequest(order_id="o")),
        "ship": lambda: shop.checkout.ShipOrder.future(v1.ShipOrderRequest(order_id="o", shipment_id="s")),
    }
    second = "ship" if first == "cancel" else "cancel"
    if in_one_batch:
        with shop.batch_held():
            won = requests[first]()
            shop.settle_in()
            lost = requests[second]()
    else:
        won = requests[first]()
        won.result()
        lost = requests[second]()
    assert shop.reason_of(won) == "OK"
    assert shop.reason_of(lost) == ("ORDER_CANCELLED" if first == "cancel" else "ORDER_NOT_CANCELLABLE")
    assert shop.numbers("a") == ((5, 5, 0) if first == "cancel" else (3, 3, 0))
    assert shop.actions("a") == [("RESERVE", 2), ("RELEASE" if first == "cancel" else "FULFILL", 2)]
    assert word(shop.get_order("o")) == ("CANCELLED" if first == "cancel" else "COMPLETE")


# --- expiry x pay, confirm -------------------------------------------------------------------------


def test_expiry_x_pay(staged: StagedShop) -> None:
    """A due hold of somebody else gives its units to the order that is paid, though no sweeper came."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    staged.reserve_until_soon("late", ("a", 2))
    staged.wait_until_due(("a", 2))
    call, visit = staged.pay_up_to_gateway("o", "p", 200)
    visit.accept()
    assert word(call.result().payment) == "CAPTURED"
    assert word(staged.reservation("late")) == "EXPIRED"
    assert staged.actions("a") == [("RESERVE", 2), ("EXPIRE", 2), ("RESERVE", 2)]
    with staged.refused("RESERVATION_EXPIRED"):
        staged.confirm("late")


@pytest.mark.parametrize("first", ["confirm", "take"])
def test_expiry_x_confirm(staged: StagedShop, first: str) -> None:
    """A due hold and somebody who needs its units arrive together: whoever is first has them, exactly one."""
    staged.stock("a", 2)
    staged.reserve_until_soon("late", ("a", 2))
    staged.wait_until_due(("a", 2))
    confirm = v1.ConfirmReservationRequest(reservation_id="late")
    with staged.batch_held():
        calls: dict[str, Any] = {}
        for name in (first, "take" if first == "confirm" else "confirm"):
            if name == "confirm":
                calls[name] = staged.inventory.ConfirmReservation.future(confirm)
            else:
                calls[name] = staged.inventory.ReserveStock.future(staged.reserve_request("r", ("a", 2)))
            staged.settle_in()
    assert staged.reason_of(calls[first]) == "OK"
    assert staged.reason_of(calls["take" if first == "confirm" else "confirm"]) == (
        "INSUFFICIENT_STOCK" if first == "confirm" else "RESERVATION_EXPIRED"
    )
    assert word(staged.reservation("late")) == ("COMMITTED" if first == "confirm" else "EXPIRED")
    assert staged.numbers("a") == (2, 0, 2)


# --- release before its reserve arrives ------------------------------------------------------------


@pytest.mark.parametrize("in_one_batch", [False, True])
def test_release_before_its_reserve_arrives(staged: StagedShop, in_one_batch: bool) -> None:
    """NOT_FOUND; the late hold stands, and dies by its expiry."""
    staged.stock("a", 2)
    release = v1.ReleaseReservationRequest(reservation_id="r")
    request = staged.reserve_request("r", ("a", 2))
    request.ttl.seconds = 1
    if in_one_batch:
        with staged.batch_held():
            released = staged.inventory.ReleaseReservation.future(release)
            staged.settle_in()
            reserved = staged.inventory.ReserveStock.future(request)
    else:
        released = staged.inventory.ReleaseReservation.future(release)
        assert staged.reason_of(released) == "RESERVATION_NOT_FOUND"
        reserved = staged.inventory.ReserveStock.future(request)
    assert staged.reason_of(released) == "RESERVATION_NOT_FOUND"
    assert word(reserved.result().reservation) == "HELD"
    staged.wait_until_due(("a", 2))
    staged.reserve("next", ("a", 2))
    assert word(staged.reservation("r")) == "EXPIRED"


@pytest.mark.parametrize("in_one_batch", [False, True])
def test_release_then_a_late_repeat_of_its_reserve(staged: StagedShop, in_one_batch: bool) -> None:
    """A retry that arrives after the release never holds again."""
    staged.stock("a", 2)
    request = staged.reserve_request("r", ("a", 2))
    release = v1.ReleaseReservationRequest(reservation_id="r")
    staged.inventory.ReserveStock(request)
    if in_one_batch:
        with staged.batch_held():
            released = staged.inventory.ReleaseReservation.future(release)
            staged.settle_in()
            repeat = staged.inventory.ReserveStock.future(request)
        assert staged.reason_of(released) == "OK"
    else:
        staged.release("r")
        repeat = staged.inventory.ReserveStock.future(request)
    assert staged.reason_of(repeat) == "RESERVATION_NOT_ACTIVE"
    assert staged.numbers("a") == (2, 2, 0)


# --- set below allocated ---------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["set", "reserve"])
def test_set_below_allocated(staged: StagedShop, first: str) -> None:
    """A count below what is allocated is refused; equal is fine (available 0). Whoever is first counts."""
    staged.stock("a", 5)
    with staged.batch_held():
        calls: dict[str, Any] = {}
        for name in (first, "reserve" if first == "set" else "set"):
            if name == "set":
                calls[name] = staged.inventory.CreateStockTransaction.future(
                    staged.change_request("a", "SET", 2)
                )
            else:
                calls[name] = staged.inventory.ReserveStock.future(staged.reserve_request("r", ("a", 3)))
            staged.settle_in()
    assert staged.reason_of(calls[first]) == "OK"
    assert staged.reason_of(calls["reserve" if first == "set" else "set"]) == (
        "INSUFFICIENT_STOCK" if first == "set" else "TOTAL_BELOW_ALLOCATED"
    )
    assert staged.numbers("a") == ((2, 2, 0) if first == "set" else (5, 2, 3))
    if first == "reserve":
        assert staged.change("a", "SET", 3).available_after == 0
