"""The rows of "Interleavings" about orders and what moves beside them, each test named after its row.

`together` decides what is sent in one batch, in order, and again after another writer's change has undone the
first run by 40001: the verdicts are the same.
"""

from __future__ import annotations

import pytest

from inventory_client import v1
from support.interleavings import Steps, Together
from support.shop import StagedShop, word


def pay(staged: StagedShop, order_id: str, amount_minor: int) -> None:
    call, visit = staged.pay_up_to_gateway(order_id, f"pay-{order_id}", amount_minor)
    visit.accept()
    assert word(call.result().payment) == "CAPTURED"


# --- half paid, never the rest ---------------------------------------------------------------------


def test_half_paid_never_the_rest_is_listed_by_age(staged: StagedShop) -> None:
    """An administrator finds the old ones among the half paid, and cancels them."""
    staged.stock("a", 9)
    for order_id in ("old", "paid", "young"):
        staged.order(order_id, ("a", 2))
        pay(staged, order_id, 200 if order_id == "paid" else 100)
    half = [v1.OrderPaymentState.ORDER_PAYMENT_STATE_PARTIALLY_PAID]
    assert staged.list_orders(payment_states=half) == ["old", "young"]
    until = staged.get_order("old").create_time
    assert staged.list_orders(payment_states=half, created_until=until) == ["old"]
    staged.cancel("old")
    open_ones = [v1.OrderState.ORDER_STATE_INCOMPLETE]
    assert staged.list_orders(payment_states=half, states=open_ones) == ["young"]


@pytest.mark.parametrize("first", ["decline", "take"])
def test_half_paid_never_the_rest_x_take(staged: StagedShop, together: Together, first: str) -> None:
    """That the rest is declined frees nothing: whoever wants the units is refused before it and after it."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    staged.begun("o", "half", 100, "CAPTURED")
    call, visit = staged.pay_up_to_gateway("o", "rest", 100)
    visit.lose_the_reply()
    call.result()
    declined = staged.resolve_request("rest", "DECLINED")
    wanted = staged.reserve_request("r", ("a", 1))
    told = together.told(
        first,
        {
            "decline": lambda: staged.checkout.ResolvePayment.future(declined),
            "take": lambda: staged.inventory.ReserveStock.future(wanted),
        },
    )
    assert told == {"decline": "OK", "take": "INSUFFICIENT_STOCK"}
    assert staged.actions("a") == [("RESERVE", 2)]
    staged.cancel("o")
    assert staged.numbers("a") == (2, 2, 0)


# --- cancel x ship ---------------------------------------------------------------------------------


@pytest.mark.parametrize("first", ["cancel", "ship"])
def test_cancel_x_ship(staged: StagedShop, together: Together, first: str) -> None:
    """Batch order decides: the first wins, the second is refused, no unit is both released and shipped."""
    staged.stock("a", 5)
    staged.order("o", ("a", 2))
    pay(staged, "o", 200)
    told = together.told(
        first,
        {
            "cancel": lambda: staged.checkout.CancelOrder.future(staged.cancel_request("o")),
            "ship": lambda: staged.checkout.ShipOrder.future(staged.ship_request("o", "s")),
        },
    )
    if first == "cancel":
        assert told == {"cancel": "OK", "ship": "ORDER_CANCELLED"}
        assert staged.numbers("a") == (5, 5, 0)
    else:
        assert told == {"cancel": "ORDER_NOT_CANCELLABLE", "ship": "OK"}
        assert staged.numbers("a") == (3, 3, 0)
    assert staged.actions("a") == [("RESERVE", 2), ("RELEASE" if first == "cancel" else "FULFILL", 2)]
    assert word(staged.get_order("o")) == ("CANCELLED" if first == "cancel" else "COMPLETE")


@pytest.mark.parametrize("first", ["cancel", "ship"])
def test_cancel_x_ship_of_a_part(staged: StagedShop, together: Together, first: str) -> None:
    """Ship first: cancel takes only the rest. Cancel first: nothing ships any more."""
    staged.stock("a", 5)
    staged.order("o", ("a", 3))
    pay(staged, "o", 300)
    ended = together.told(
        first,
        {
            "cancel": lambda: staged.checkout.CancelOrder.future(staged.cancel_request("o")),
            "ship": lambda: staged.checkout.ShipOrder.future(staged.ship_request("o", "s", {1: 1})),
        },
    )
    assert ended == {"cancel": "OK", "ship": "OK" if first == "ship" else "ORDER_CANCELLED"}
    moved = [("FULFILL", 1), ("RELEASE", 2)] if first == "ship" else [("RELEASE", 3)]
    assert staged.actions("a") == [("RESERVE", 3), *moved]
    assert word(staged.get_order("o")) == ("COMPLETE" if first == "ship" else "CANCELLED")


# --- refund + cancel + return ----------------------------------------------------------------------


@pytest.mark.parametrize("first", ["cancel", "return"])
@pytest.mark.parametrize("is_refunded", [True, False])
def test_refund_and_cancel_and_return(
    staged: StagedShop, together: Together, first: str, is_refunded: bool
) -> None:
    """Cancel frees unshipped, return restocks shipped, whichever comes first: never one unit twice."""
    staged.stock("a", 5)
    staged.order("o", ("a", 3))
    pay(staged, "o", 300)
    staged.ship("o", "s", {1: 2})
    if is_refunded:
        call, visit = staged.up_to_gateway("Refund", "pay-o", 300)
        visit.accept()
        call.result()
    back = staged.return_request("o", "r", {1: 2})
    again = staged.return_request("o", "r-2", {1: 1})
    ended = together.told(
        first,
        {
            "cancel": lambda: staged.checkout.CancelOrder.future(staged.cancel_request("o")),
            "return": lambda: staged.checkout.ReturnOrderItems.future(back),
            "again": lambda: staged.checkout.ReturnOrderItems.future(again),
        },
    )
    assert ended == {"cancel": "OK", "return": "OK", "again": "RETURN_EXCEEDS_SHIPPED"}
    assert staged.numbers("a") == (5, 5, 0)
    moved = [("RELEASE", 1), ("RETURN", 2)]
    assert staged.actions("a")[2:] == (moved if first == "cancel" else moved[::-1])


# --- return to a deleted location ------------------------------------------------------------------


@pytest.mark.parametrize("first", ["delete", "return"])
def test_return_to_a_deleted_location(staged: StagedShop, together: Together, first: str) -> None:
    """Delete first: LOCATION_NOT_FOUND, name another. Return first: the location is not empty."""
    staged.stock("a", 1)
    staged.inventory.CreateLocation(v1.CreateLocationRequest(slug="far"))
    staged.change("a", "SET", 2, location="far")
    staged.cart("c")
    staged.add("c", ("a", 2), location="far")
    staged.check_out("c", "o")
    pay(staged, "o", 200)
    staged.ship("o", "s")
    delete = v1.DeleteLocationRequest(slug="far")
    back = staged.return_request("o", "r", {1: 1})
    ended = together.told(
        first,
        {
            "delete": lambda: staged.inventory.DeleteLocation.future(delete),
            "return": lambda: staged.checkout.ReturnOrderItems.future(back),
        },
    )
    if first == "delete":
        assert ended == {"delete": "OK", "return": "LOCATION_NOT_FOUND"}
        staged.return_of("o", "r", {1: 1}, location="default")
    else:
        assert ended == {"delete": "LOCATION_NOT_EMPTY", "return": "OK"}
    assert staged.numbers("a") == (2, 2, 0)


# --- DeleteStock x cart, unpaid order --------------------------------------------------------------


@pytest.mark.parametrize("first", ["delete", "pay"])
def test_delete_stock_x_cart_and_unpaid_order(staged: StagedShop, together: Together, first: str) -> None:
    """Allowed: carts and unpaid orders hold nothing; pay and checkout are short then, managed = false."""
    staged.stock("a", 5)
    staged.cart("c", ("a", 1))
    staged.order("o", ("a", 2))
    delete = v1.DeleteStockRequest(product_id="a")
    ended = together.told(
        first,
        {
            "delete": lambda: staged.inventory.DeleteStock.future(delete),
            "pay": lambda: staged.start_paying("o", "p", 200),
        },
        is_paid=first == "pay",
    )
    if first == "pay":
        assert ended == {"pay": "OK", "delete": "STOCK_IN_USE"}
        return
    assert ended == {"delete": "OK", "pay": "INSUFFICIENT_STOCK"}
    for call in (lambda: staged.check_out("c", "o-2"), lambda: staged.pay("o", "p-2", 200)):
        with staged.refused("INSUFFICIENT_STOCK") as refusal:
            call()
        assert [line[0] for line in refusal.short_lines] == ["a"]
        assert not refusal.shortages[0].managed
    assert staged.purchases == []


# --- sell_unmanaged off before pay -----------------------------------------------------------------


@pytest.mark.parametrize("first", ["off", "pay"])
def test_sell_unmanaged_off_before_pay(staged: StagedShop, together: Together, first: str) -> None:
    """Off first: pay refuses, and holds nothing of the rest. Pay first: the order is unaffected."""
    staged.set_up(sell_unmanaged_products=True)
    staged.stock("a", 5)
    staged.order("o", ("ghost", 1), ("a", 2))
    off = v1.UpdateStoreSettingsRequest(sell_unmanaged_products=False)
    told = together.told(
        first,
        {
            "off": lambda: staged.inventory.UpdateStoreSettings.future(off),
            "pay": lambda: staged.start_paying("o", "p", 100),
        },
        is_paid=first == "pay",
    )
    assert not staged.settings().sell_unmanaged_products
    if first == "off":
        assert told == {"off": "OK", "pay": "INSUFFICIENT_STOCK"}
        assert (staged.actions("a"), staged.purchases) == ([], [])
        return
    assert told == {"off": "OK", "pay": "OK"}
    pay(staged, "o", 200)
    assert [line.unmanaged for line in staged.get_order("o").lines] == [True, False]
    staged.ship("o", "s")
    assert staged.actions("a") == [("RESERVE", 2), ("FULFILL", 2)]


# --- product gets stock after an unmanaged payment -------------------------------------------------


@pytest.mark.parametrize("first", ["pay", "stock"])
def test_product_gets_stock_after_an_unmanaged_payment(
    staged: StagedShop, together: Together, first: str
) -> None:
    """Pay first: the line is frozen, ship has no effect. Stock first: the payment holds it."""
    staged.set_up(sell_unmanaged_products=True)
    staged.stock("a", 5)
    staged.order("o", ("ghost", 2), ("a", 1))
    create = v1.CreateStockRequest(product_id="ghost", quantity=9)
    steps: Steps = {
        "pay": lambda: staged.start_paying("o", "p", 300),
        "stock": lambda: staged.inventory.CreateStock.future(create),
    }
    assert together.told(first, steps, is_paid=True) == {"pay": "OK", "stock": "OK"}
    assert staged.get_order("o").lines[0].unmanaged == (first == "pay")
    assert staged.numbers("ghost") == ((9, 9, 0) if first == "pay" else (9, 7, 2))
    staged.ship("o", "s")
    assert staged.numbers("ghost") == ((9, 9, 0) if first == "pay" else (7, 7, 0))
    assert word(staged.get_order("o")) == "COMPLETE"


# --- several carts, lines (A,B) and (B,A) ----------------------------------------------------------


@pytest.mark.parametrize("first", ["a", "b"])
@pytest.mark.parametrize("stocked", [8, 3])
def test_several_carts_lines_a_b_and_b_a(
    staged: StagedShop, together: Together, stocked: int, first: str
) -> None:
    """No deadlock, no retry seen by a caller: as many are paid as there is stock for, in order of arrival."""
    staged.stocks(a=8, b=8)
    lines = sorted((("a", 1), ("b", 1)), key=lambda line: line[0] != first)
    for number in range(8):
        staged.order(f"o-{number}", *lines[:: -1 if number % 2 else 1])
    for product_id in ("a", "b"):
        staged.change(product_id, "SET", stocked)
    calls = []
    with together():
        for number in range(8):
            calls.append(staged.start_paying(f"o-{number}", f"p-{number}", 200))
            staged.settle_in()
    for _ in range(stocked):
        staged.at_gateway().accept()
    assert [staged.reason_of(call) for call in calls] == [
        "OK" if number < stocked else "INSUFFICIENT_STOCK" for number in range(8)
    ]
    assert staged.numbers("a") == staged.numbers("b") == (stocked, 0, stocked)


# --- cancel with target_order_id x pay of the target -----------------------------------------------


@pytest.mark.parametrize("first", ["cancel", "pay"])
@pytest.mark.parametrize("stocked", [2, 4])
def test_cancel_with_a_target_x_pay_of_the_target(
    staged: StagedShop, together: Together, first: str, stocked: int
) -> None:
    """Cancel first: pay finds the units held. Pay first: it takes its own, or is refused for lack of them."""
    staged.stock("a", stocked)
    for order_id in ("o", "t"):
        staged.order(order_id, ("a", 2))
    pay(staged, "o", 200)
    pays = first == "cancel" or stocked == 4
    ended = together.told(
        first,
        {
            "cancel": lambda: staged.checkout.CancelOrder.future(staged.cancel_request("o", "t")),
            "pay": lambda: staged.start_paying("t", "p", 200),
        },
        is_paid=pays,
    )
    cancels = first == "cancel" or stocked == 2
    assert ended == {
        "cancel": "OK" if cancels else "PAYMENT_IN_PROGRESS",
        "pay": "OK" if pays else "INSUFFICIENT_STOCK",
    }
    assert word(staged.get_order("o")) == ("CANCELLED" if cancels else "PROCESSING")
    moved = [("RELEASE", 2), ("RESERVE", 2)] if cancels else [("RESERVE", 2)]
    assert staged.actions("a") == [("RESERVE", 2), *moved]
    held = staged.reservation(staged.get_order("t").reservation_id)
    assert word(held) == ("COMMITTED" if pays else "HELD")
