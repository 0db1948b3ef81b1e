"""CheckoutService.PayOrder and GetPayment: stock is allocated just before the gateway is called."""

from __future__ import annotations

import pytest

from inventory_client import v1
from support.shop import Shop, StagedShop, word

AMOUNT_MINOR_MAX = 2**53 - 1


def test_an_accepted_payment_keeps_the_units(shop: Shop) -> None:
    """CAPTURED: the order's units are allocated, by a reservation of the order's own."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    payment = shop.pay("o", "p", 200)

    assert (word(payment), payment.order_id, payment.amount_minor, payment.currency) == (
        "CAPTURED",
        "o",
        200,
        "EUR",
    )
    assert payment.operation_id
    assert payment.gateway_reference == f"sim-{payment.operation_id}"
    assert payment.failure_reason == ""
    assert shop.payment("p") == payment
    assert shop.numbers("a") == (5, 3, 2)
    held = shop.reservation(shop.get_order("o").reservation_id)
    assert (word(held), held.order_id, held.owned_by_order) == ("COMMITTED", "o", True)


@pytest.mark.parametrize(("how", "state"), [("decline", "DECLINED"), ("requires-action", "REQUIRES_ACTION")])
def test_a_payment_that_takes_no_money_releases(shop: Shop, how: str, state: str) -> None:
    """A decline is an answer, not an error: the units are available again, the order can be paid anew."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    payment = shop.pay("o", "p", 200, how)
    assert word(payment) == state
    assert bool(payment.failure_reason) is (state == "DECLINED")
    assert shop.numbers("a") == (5, 5, 0)
    assert shop.actions("a") == [("RESERVE", 2), ("RELEASE", 2)]
    order = shop.get_order("o")
    assert (order.balance_minor, word(order, "payment_state")) == (200, "UNPAID")
    assert word(shop.reservation(order.reservation_id)) == "RELEASED"
    assert word(shop.pay("o", "p-2", 200)) == "CAPTURED"
    assert shop.numbers("a") == (5, 3, 2)


def test_units_are_allocated_before_the_gateway_is_called(staged: StagedShop) -> None:
    """While the gateway thinks, the units are held and the payment is PROCESSING: nobody else gets them."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    staged.order("other", ("a", 1))
    call, visit = staged.pay_up_to_gateway("o", "p", 200)

    assert staged.numbers("a") == (2, 0, 2)
    assert word(staged.payment("p")) == "PROCESSING"
    order = staged.get_order("o")
    assert (order.balance_minor, order.captured_minor) == (0, 0)
    assert word(staged.reservation(order.reservation_id)) == "HELD"
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.pay("other", "p-other", 100)

    visit.accept()
    assert word(call.result().payment) == "CAPTURED"
    assert staged.purchases == ["p"]


def test_what_the_gateway_is_told(staged: StagedShop) -> None:
    """The gateway learns store, order, payment, amount, currency, method, and a key of the server's."""
    staged.stock("a", 2)
    staged.cart("c", ("a", 2, 1999), currency="SEK")
    staged.check_out("c", "o")
    request = v1.PayOrderRequest(order_id="o", payment_id="p", amount_minor=3998, payment_method="tok_\u00e9")
    call = staged.checkout.PayOrder.future(request)
    visit = staged.at_gateway()
    visit.accept()
    payment = call.result().payment
    assert visit.request == v1.PurchaseRequest(
        operation_id=payment.operation_id,
        store_id=staged.store,
        order_id="o",
        payment_id="p",
        amount_minor=3998,
        currency="SEK",
        payment_method="tok_\u00e9",
    )
    assert payment.gateway_reference == "ref-p"


def test_sold_out_never_reaches_the_gateway(staged: StagedShop) -> None:
    """No stock for the whole order: refused with every short line, and no money is asked for."""
    staged.stocks(a=5, b=5)
    staged.order("o", ("a", 5), ("b", 5))
    staged.reserve("r", ("a", 1), ("b", 2))
    with staged.refused("INSUFFICIENT_STOCK") as refusal:
        staged.pay("o", "p", 1000)
    assert refusal.short_lines == [("a", "", 5, 4, True), ("b", "", 5, 3, True)]
    assert staged.purchases == []
    with staged.refused("PAYMENT_NOT_FOUND"):
        staged.payment("p")


def test_split_payments_allocate_once(shop: Shop) -> None:
    """The first part of a payment takes the whole order's units; later parts take none."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    for number, amount_minor in enumerate((50, 149, 1)):
        assert word(shop.pay("o", f"p-{number}", amount_minor)) == "CAPTURED"
        assert shop.numbers("a") == (5, 3, 2)
    assert shop.actions("a") == [("RESERVE", 2)]
    assert word(shop.get_order("o"), "payment_state") == "PAID"


def test_the_first_split_payment_fails(shop: Shop) -> None:
    """Declined: the units go back; the next part takes them again."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    shop.pay("o", "p-1", 50, "decline")
    assert shop.numbers("a") == (5, 5, 0)
    shop.pay("o", "p-2", 50)
    assert shop.actions("a") == [("RESERVE", 2), ("RELEASE", 2), ("RESERVE", 2)]


def test_a_later_split_payment_fails(shop: Shop) -> None:
    """A decline releases nothing while an earlier payment counts."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    shop.pay("o", "p-1", 50)
    assert word(shop.pay("o", "p-2", 150, "decline")) == "DECLINED"
    assert shop.actions("a") == [("RESERVE", 2)]
    order = shop.get_order("o")
    assert (order.captured_minor, order.balance_minor) == (50, 150)
    assert list(order.payment_ids) == ["p-1", "p-2"]
    assert word(shop.reservation(order.reservation_id)) == "COMMITTED"


def test_no_more_than_the_balance(shop: Shop) -> None:
    """All of what is left can be paid, one minor unit more cannot."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    with shop.refused("AMOUNT_EXCEEDS_BALANCE") as refusal:
        shop.pay("o", "p", 201)
    assert refusal.metadata == {"amount_minor": "201", "balance_minor": "200"}
    shop.pay("o", "p-1", 120)
    with shop.refused("AMOUNT_EXCEEDS_BALANCE"):
        shop.pay("o", "p-2", 81)
    assert word(shop.pay("o", "p-2", 80)) == "CAPTURED"
    with shop.refused("AMOUNT_EXCEEDS_BALANCE"):
        shop.pay("o", "p-3", 1)


def test_over_the_balance_because_of_what_is_in_flight(staged: StagedShop) -> None:
    """What a payment in flight may yet take is not there to be paid; more than the total never is."""
    staged.stock("a", 5)
    staged.order("o", ("a", 2))
    first, visit = staged.pay_up_to_gateway("o", "p-1", 150)
    for amount_minor in (51, 200):
        with staged.refused("PAYMENT_IN_PROGRESS") as refusal:
            staged.pay("o", "p-2", amount_minor)
        assert refusal.metadata == {"order_id": "o"}
    with staged.refused("AMOUNT_EXCEEDS_BALANCE"):
        staged.pay("o", "p-2", 201)
    second, second_visit = staged.pay_up_to_gateway("o", "p-2", 50)
    for each in (visit, second_visit):
        each.accept()
    assert [word(call.result().payment) for call in (first, second)] == ["CAPTURED", "CAPTURED"]
    assert staged.purchases == ["p-1", "p-2"]


def test_an_order_that_costs_nothing(staged: StagedShop) -> None:
    """Total 0: pay 0, no gateway call, the stock allocates; it is paid once."""
    staged.stock("a", 5)
    staged.order("o", ("a", 2, 0))
    with staged.refused("AMOUNT_EXCEEDS_BALANCE"):
        staged.pay("o", "p", 1)
    payment = staged.pay("o", "p", 0)
    assert (word(payment), payment.operation_id) == ("CAPTURED", "")
    assert staged.numbers("a") == (5, 3, 2)
    order = staged.get_order("o")
    assert (word(order), word(order, "payment_state")) == ("PROCESSING", "PAID")
    assert word(staged.reservation(order.reservation_id)) == "COMMITTED"
    with staged.refused("ORDER_NOT_PAYABLE"):
        staged.pay("o", "p-2", 0)
    assert staged.pay("o", "p", 0) == payment
    staged.ship("o", "s")
    assert staged.numbers("a") == (3, 3, 0)
    assert staged.purchases == []


def test_an_order_that_costs_something_is_not_paid_by_0(shop: Shop) -> None:
    """0 pays nothing but an order of 0; an absent amount is not 0."""
    shop.stock("a", 5)
    shop.order("o", ("a", 2))
    with shop.refused("INVALID_FIELD") as refusal:
        shop.pay("o", "p", 0)
    assert refusal.fields == ["amount_minor"]
    with shop.refused("INVALID_FIELD") as refusal:
        shop.checkout.PayOrder(v1.PayOrderRequest(order_id="o", payment_id="p"))
    assert refusal.fields == ["amount_minor"]


def test_the_greatest_amount(shop: Shop) -> None:
    """2^53-1 minor units are paid exactly."""
    shop.stock("a", 5)
    shop.order("o", ("a", 1, AMOUNT_MINOR_MAX))
    assert shop.pay("o", "p-1", AMOUNT_MINOR_MAX - 1).amount_minor == AMOUNT_MINOR_MAX - 1
    assert shop.get_order("o").balance_minor == 1
    shop.pay("o", "p-2", 1)
    assert shop.get_order("o").captured_minor == AMOUNT_MINOR_MAX


def test_the_length_of_a_payment_method(shop: Shop) -> None:
    """512 bytes are passed on, 513 are refused; none at all is a method too."""
    shop.stock("a", 5)
    shop.order("o", ("a", 3))
    for number, method in enumerate(("", "x" * 512)):
        request = v1.PayOrderRequest(
            order_id="o", payment_id=f"p-{number}", amount_minor=100, payment_method=method
        )
        assert word(shop.checkout.PayOrder(request).payment) == "CAPTURED"
    request.payment_id, request.payment_method = "p-2", "x" * 513
    with shop.refused("INVALID_FIELD") as refusal:
        shop.checkout.PayOrder(request)
    assert refusal.fields == ["payment_method"]


def test_a_payment_that_is_not_there(shop: Shop) -> None:
    """A payment_id that nobody used is not found."""
    with shop.refused("PAYMENT_NOT_FOUND") as refusal:
        shop.payment("ghost")
    assert refusal.metadata == {"payment_id": "ghost"}
