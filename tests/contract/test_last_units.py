"""Many callers for few units: exactly as many are served as there are, the rest are refused for good."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

import inventory_client
from support.shop import Shop, StagedShop, word


@pytest.mark.fault(19)
def test_several_carts_with_lines_in_opposite_orders(shop: Shop) -> None:
    """No deadlock, and no retry seen by a caller: each call is answered OK or sold out."""
    shop.stocks(a=40, b=40)
    for number in range(40):
        shop.order(f"o-{number}", *((("a", 1), ("b", 1)) if number % 2 else (("b", 1), ("a", 1))))
    calls = []
    for number in range(40):
        calls.append(shop.checkout.PayOrder.future(shop.pay_request(f"o-{number}", f"p-{number}", 200)))
        lines = (("b", 1), ("a", 1)) if number % 2 else (("a", 1), ("b", 1))
        calls.append(shop.inventory.ReserveStock.future(shop.reserve_request(f"r-{number}", *lines)))
    verdicts = [shop.reason_of(call) for call in calls]
    assert set(verdicts) == {"OK", "INSUFFICIENT_STOCK"}
    assert verdicts.count("OK") == 40
    assert shop.numbers("a") == shop.numbers("b") == (40, 0, 40)


@pytest.mark.fault(19)
@pytest.mark.parametrize(("carts", "units"), [(40, 7), (30, 1), (10, 10)])
def test_n_carts_race_for_s_units(shop: Shop, carts: int, units: int) -> None:
    """Exactly S are paid; every other one is refused, and finally. Each from a thread of its own."""
    shop.stock("a", units)

    def buy(number: int) -> str:
        try:
            shop.order(f"o-{number}", ("a", 1))
            return word(shop.pay(f"o-{number}", f"p-{number}", 100))
        except inventory_client.InventoryError as error:
            return error.reason_name

    with ThreadPoolExecutor(max_workers=carts) as pool:
        verdicts = list(pool.map(buy, range(carts)))
    assert verdicts.count("CAPTURED") == units
    assert set(verdicts) <= {"CAPTURED", "INSUFFICIENT_STOCK"}
    assert shop.numbers("a") == (units, 0, units)
    assert shop.actions("a") == [("RESERVE", 1)] * units


def test_n_payments_race_for_the_last_unit_in_one_batch(staged: StagedShop) -> None:
    """All orders were made while the unit was there: the first to pay gets it, the gateway is called once."""
    staged.stock("a", 1)
    for number in range(20):
        staged.order(f"o-{number}", ("a", 1))
    with staged.batch_held():
        calls = []
        for number in range(20):
            calls.append(staged.start_paying(f"o-{number}", f"p-{number}", 100))
            if number == 0:
                staged.settle_in()
    assert [staged.reason_of(call) for call in calls[1:]] == ["INSUFFICIENT_STOCK"] * 19
    staged.at_gateway().decline()
    assert word(calls[0].result().payment) == "DECLINED"
    assert staged.purchases == ["p-0"]
    call, visit = staged.pay_up_to_gateway("o-7", "p-again", 100)
    visit.accept()
    assert word(call.result().payment) == "CAPTURED"
