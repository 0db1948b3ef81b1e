"""CheckoutService.ListPayments: by order, state and age, page by page."""

from __future__ import annotations

import pytest

from inventory_client import v1
from support.shop import Shop, StagedShop, word

S = v1.PaymentState


def ids(payments: list[v1.Payment]) -> list[str]:
    return [payment.payment_id for payment in payments]


@pytest.fixture
def listed(shop: Shop) -> Shop:
    """Six payments of two orders: p-0 to p-4 of `o`, `other` of another."""
    shop.stock("a", 50)
    shop.order("o", ("a", 9))
    shop.pay("o", "p-0", 100)
    shop.pay("o", "p-1", 100, "decline")
    shop.authorize("o", "p-2", 100)
    shop.pay("o", "p-3", 100, "requires-action")
    shop.order("x", ("a", 2))
    shop.pay("x", "other", 50)
    shop.pay("o", "p-4", 100)
    return shop


def test_all_of_them(listed: Shop) -> None:
    """The oldest first, each as GetPayment tells it."""
    payments = listed.list_payments()
    assert ids(payments) == ["p-0", "p-1", "p-2", "p-3", "other", "p-4"]
    assert payments == [listed.payment(payment_id) for payment_id in ids(payments)]


def test_of_one_order(listed: Shop) -> None:
    """Its payments alone; an order without any has none, nor has one that is not there."""
    assert ids(listed.list_payments(order_id="x")) == ["other"]
    assert ids(listed.list_payments(order_id="o", page_size=2)) == ["p-0", "p-1", "p-2", "p-3", "p-4"]
    assert listed.list_payments(order_id="ghost") == []


def test_by_state(listed: Shop) -> None:
    """One state or several, of all orders or of one."""
    assert ids(listed.list_payments(states=[S.PAYMENT_STATE_CAPTURED])) == ["p-0", "other", "p-4"]
    both = [S.PAYMENT_STATE_AUTHORIZED, S.PAYMENT_STATE_DECLINED]
    assert ids(listed.list_payments(states=both)) == ["p-1", "p-2"]
    assert ids(listed.list_payments(states=[S.PAYMENT_STATE_CAPTURED], order_id="x")) == ["other"]
    assert listed.list_payments(states=[S.PAYMENT_STATE_PROCESSING]) == []


def test_by_age(listed: Shop) -> None:
    """Both times are included; nothing lies before the first or after the last."""
    third = listed.payment("p-2").create_time
    assert ids(listed.list_payments(created_until=third)) == ["p-0", "p-1", "p-2"]
    assert ids(listed.list_payments(created_from=third)) == ["p-2", "p-3", "other", "p-4"]
    assert ids(listed.list_payments(created_from=third, created_until=third, page_size=1)) == ["p-2"]


def test_in_flight_and_in_doubt(staged: StagedShop) -> None:
    """PROCESSING: whatever operation it is that hangs, page by page."""
    staged.stock("a", 50)
    staged.order("o", ("a", 9))
    staged.begun("o", "done", 100, "CAPTURED")
    staged.begun("o", "held", 100, "AUTHORIZED")
    visits = [staged.pay_up_to_gateway("o", f"p-{number}", 100) for number in range(3)]
    visits.append(staged.up_to_gateway("Capture", "held", 100))
    found = staged.list_payments(states=[S.PAYMENT_STATE_PROCESSING], page_size=2)
    assert ids(found) == ["held", "p-0", "p-1", "p-2"]
    for call, visit in visits:
        visit.accept()
        call.result()
    assert staged.list_payments(states=[S.PAYMENT_STATE_PROCESSING]) == []


def test_several_operations_of_one_in_flight(staged: StagedShop) -> None:
    """A payment that many operations stand behind is shown once, at its own age, while one of them hangs."""
    staged.stock("a", 50)
    staged.order("o", ("a", 9))
    staged.begun("o", "first", 100, "CAPTURED")
    visits = [staged.pay_up_to_gateway("o", "second", 100)]
    call, visit = staged.up_to_gateway("Refund", "first", 10)
    visit.accept()
    call.result()
    visits.append(staged.up_to_gateway("Refund", "first", 20))
    for page_size in (1, 2, 3):
        found = staged.list_payments(states=[S.PAYMENT_STATE_PROCESSING], page_size=page_size)
        assert ids(found) == ["first", "second"]
    for call, visit in visits:
        visit.accept()
        call.result()


def test_a_change_between_pages_of_what_is_in_flight(staged: StagedShop) -> None:
    """One that ends is gone, one that begins anew is not shown again, and a later one stands at the end."""
    staged.stock("a", 50)
    staged.order("o", ("a", 9))
    visits = {f"p-{n}": staged.pay_up_to_gateway("o", f"p-{n}", 100) for n in range(4)}
    request = v1.ListPaymentsRequest(page_size=2, states=[S.PAYMENT_STATE_PROCESSING])
    first = staged.checkout.ListPayments(request)
    assert ids(list(first.payments)) == ["p-0", "p-1"]
    for payment_id in ("p-0", "p-2"):
        call, visit = visits.pop(payment_id)
        visit.accept()
        call.result()
    visits["p-0"] = staged.up_to_gateway("Refund", "p-0", 10)
    visits["p-4"] = staged.pay_up_to_gateway("o", "p-4", 100)
    request.page_token = first.next_page_token
    assert ids(list(staged.checkout.ListPayments(request).payments)) == ["p-3", "p-4"]
    found = staged.list_payments(states=[S.PAYMENT_STATE_PROCESSING])
    assert ids(found) == ["p-0", "p-1", "p-3", "p-4"]
    for call, visit in visits.values():
        visit.accept()
        call.result()


@pytest.mark.parametrize("page_size", [1, 2, 3, 6, 7, 1000, 1001])
def test_pages(listed: Shop, page_size: int) -> None:
    """Each payment once, whatever the size; above 1,000 it is lowered."""
    pages, token = [], ""
    while True:
        request = v1.ListPaymentsRequest(page_size=page_size, page_token=token)
        page = listed.checkout.ListPayments(request)
        pages.append(ids(list(page.payments)))
        token = page.next_page_token
        if not token:
            break
    assert [payment_id for page in pages for payment_id in page] == [
        "p-0",
        "p-1",
        "p-2",
        "p-3",
        "other",
        "p-4",
    ]
    assert all(len(page) == page_size for page in pages[:-1]) and pages[-1]


def test_a_change_between_pages(listed: Shop) -> None:
    """A payment that changes its state or comes later neither hides one nor shows one twice."""
    states = [S.PAYMENT_STATE_CAPTURED, S.PAYMENT_STATE_VOIDED]
    request = v1.ListPaymentsRequest(page_size=2, states=states)
    first = listed.checkout.ListPayments(request)
    assert ids(list(first.payments)) == ["p-0", "other"]
    listed.void("p-2")
    listed.pay("o", "p-5", 100)
    request.page_token = first.next_page_token
    assert ids(list(listed.checkout.ListPayments(request).payments)) == ["p-4", "p-5"]


def test_a_token_of_another_list(listed: Shop) -> None:
    """A token belongs to its filters; another's, or a damaged one, is refused."""
    token = listed.checkout.ListPayments(v1.ListPaymentsRequest(page_size=1)).next_page_token
    for request in (
        v1.ListPaymentsRequest(page_token=token, order_id="o"),
        v1.ListPaymentsRequest(page_token=token, states=[S.PAYMENT_STATE_CAPTURED]),
        v1.ListPaymentsRequest(page_token=token[:-2]),
    ):
        with listed.refused("INVALID_FIELD") as refusal:
            listed.checkout.ListPayments(request)
        assert refusal.fields == ["page_token"]


def test_how_many_states(listed: Shop) -> None:
    """16 may be named, also one several times; 17 are refused, and one that is none."""
    captured = S.PAYMENT_STATE_CAPTURED
    assert ids(listed.list_payments(states=[captured] * 16)) == ["p-0", "other", "p-4"]
    for states in ([captured] * 17, [S.PAYMENT_STATE_UNSPECIFIED]):
        with listed.refused("INVALID_FIELD"):
            listed.list_payments(states=states)


def test_another_stores_payments(listed: Shop, staged: StagedShop) -> None:
    """A store sees its own payments alone."""
    assert staged.list_payments() == []
    assert word(listed.payment("p-0")) == "CAPTURED"
