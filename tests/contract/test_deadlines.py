"""Deadlines and cancellations: whoever goes away, nothing is torn, and what was begun comes to its end."""

from __future__ import annotations

import time
from typing import Any

import grpc
import pytest

import inventory_client
from inventory_client import v1
from support.polling import under_way, until
from support.shop import Shop, StagedShop, word
from support.sites import Site


def give_up(call: Any, how: str) -> None:
    """End a call from the caller's side."""
    if how == "cancel":
        call.cancel()
    end = until(lambda: call.done() and call.code(), "the caller has given up")
    assert end in (grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)


GIVING_UP = pytest.mark.parametrize("how", ["cancel", "deadline"])


@pytest.mark.fault(34)
def test_a_deadline_of_1_ms(shop: Shop) -> None:
    """Too short to be sure of; sent again under the same id with more time, it takes effect exactly once."""
    shop.stock("a", 500)
    too_late = 0
    for number in range(10):
        request = shop.change_request("a", "DECREMENT", 1, request_id=f"d-{number}")
        try:
            shop.inventory.CreateStockTransaction(request, timeout=0.001)
        except inventory_client.DeadlineExceeded:
            too_late += 1
        shop.inventory.CreateStockTransaction(request)
    assert too_late > 0  # a commit to disk and back within 1 ms, ten times, is not to be had
    assert shop.numbers("a") == (490, 490, 0)


@pytest.mark.fault(34)
@GIVING_UP
def test_giving_up_while_queued(shop: Shop, how: str) -> None:
    """A call that waits for its batch is not begun any more once its caller is gone."""
    shop.stock("a", 5)
    with shop.batch_held():
        timeout_s = 1.0 if how == "deadline" else None
        call = shop.inventory.ReserveStock.future(shop.reserve_request("gone", ("a", 2)), timeout_s)
        shop.settle_in()
        give_up(call, how)
        shop.settle_in()
    shop.reserve("after", ("a", 5))
    with shop.refused("RESERVATION_NOT_FOUND"):
        shop.reservation("gone")


@pytest.mark.fault(34)
@GIVING_UP
def test_giving_up_in_the_batch(shop: Shop, how: str) -> None:
    """A call whose transaction runs takes effect; sent again it answers so, and nothing happens twice."""
    shop.stock("gate", 5)
    lead = shop.change_request("gate", "DECREMENT", 2, request_id="mine")
    with shop.batch_held(lead, deadline=how == "deadline") as call:
        neighbour = shop.inventory.CreateStock.future(v1.CreateStockRequest(product_id="b", quantity=1))
        shop.settle_in()
        give_up(call, how)
    assert shop.reason_of(neighbour) == "OK"
    assert shop.inventory.CreateStockTransaction(lead).replayed
    assert shop.actions("gate") == [("DECREMENT", 2)]


@pytest.mark.fault(34)
def test_nobody_else_suffers_from_who_gives_up(shop: Shop) -> None:
    """Of one batch half the callers go away: the others get what they came for."""
    shop.stock("a", 40)
    with shop.batch_held():
        calls = [
            shop.inventory.ReserveStock.future(shop.reserve_request(f"r-{number}", ("a", 1)))
            for number in range(40)
        ]
        shop.settle_in()
        for call in calls[::2]:
            give_up(call, "cancel")
        shop.settle_in()
    assert [shop.reason_of(call) for call in calls[1::2]] == ["OK"] * 20
    assert shop.numbers("a") == (40, 20, 20)


@GIVING_UP
@pytest.mark.parametrize("accepted", [True, False])
def test_giving_up_while_the_gateway_is_called(staged: StagedShop, how: str, accepted: bool) -> None:
    """The payment goes on without its caller, and its outcome is there to be read."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    request = staged.pay_request("o", "p", 200)
    call = under_way(
        lambda deadline_s: staged.checkout.PayOrder.future(request, deadline_s),
        lambda: staged.purchases,
        how == "deadline",
    )
    visit = staged.at_gateway()
    give_up(call, how)
    assert word(staged.pay("o", "p", 200)) == "PROCESSING"
    assert staged.numbers("a") == (2, 0, 2)
    (visit.accept if accepted else visit.decline)()
    staged.wait_for_payment("p", "CAPTURED" if accepted else "DECLINED")
    assert staged.numbers("a") == ((2, 0, 2) if accepted else (2, 2, 0))
    assert staged.purchases == ["p"]


@pytest.mark.fault(34)
def test_the_whole_connection_goes_away(staged: StagedShop, staged_site: Site) -> None:
    """A caller's process that ends in the middle of a payment changes nothing about it."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    with inventory_client.connect(staged_site.address, store=staged.store, timeout_s=60) as leaving:
        call = leaving.checkout.PayOrder.future(staged.pay_request("o", "p", 200))
        visit = staged.at_gateway()
        assert not call.done()
    visit.accept()
    staged.wait_for_payment("p", "CAPTURED")
    assert staged.get_order("o").captured_minor == 200


@GIVING_UP
def test_giving_up_while_a_payment_allocates(hasty: Shop, how: str) -> None:
    """The caller ends before the first transaction does: the reconciler sees the payment through."""
    hasty.stock("a", 2)
    hasty.order("o", ("a", 2))
    with hasty.observer.level_locked(hasty.store, "a") as holder:
        request = hasty.pay_request("o", "p", 200)
        call = under_way(
            lambda deadline_s: hasty.checkout.PayOrder.future(request, deadline_s),
            lambda: hasty.observer.is_blocking(holder),
            how == "deadline",
        )
        give_up(call, how)
    hasty.wait_for_payment("p", "CAPTURED")
    assert hasty.actions("a") == [("RESERVE", 2)]
    assert hasty.numbers("a") == (2, 0, 2)
    assert hasty.get_order("o").captured_minor == 200


def test_a_call_without_a_deadline_gets_the_servers(hasty: Shop, hasty_site: Site) -> None:
    """The server's own (0.4 s here) ends a call that would wait for ever, and nothing of it was begun."""
    hasty.stock("a", 5)
    took_s = []
    with grpc.insecure_channel(hasty_site.address) as channel, hasty.batch_held():
        stub = v1.InventoryServiceStub(channel)
        while not took_s or (min(took_s) > 4 and len(took_s) < 5):  # a pause of the machine is none of ours
            began = time.monotonic()
            with pytest.raises(grpc.RpcError) as raised:
                stub.ReserveStock(
                    hasty.reserve_request("gone", ("a", 2)), metadata=(("x-inventory-store", hasty.store),)
                )
            took_s.append(time.monotonic() - began)
        assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert raised.value.details() == "The deadline passed; send the same call again to learn its outcome."
        assert 0.35 < min(took_s) < 4.5
    hasty.change("a", "INCREMENT", 1)
    with hasty.refused("RESERVATION_NOT_FOUND"):
        hasty.reservation("gone")


def test_a_payment_without_a_deadline_goes_on(hasty: Shop, hasty_site: Site) -> None:
    """The server's deadline ends the call, not the payment."""
    hasty.stock("a", 2)
    hasty.order("o", ("a", 2))
    with grpc.insecure_channel(hasty_site.address) as channel, pytest.raises(grpc.RpcError) as raised:
        v1.CheckoutServiceStub(channel).PayOrder(
            hasty.pay_request("o", "p", 200, "slow-440ms"),
            metadata=(("x-inventory-store", hasty.store),),
        )
    assert raised.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    hasty.wait_for_payment("p", "CAPTURED")
    assert hasty.numbers("a") == (2, 0, 2)
