"""Payments in doubt: the units stay held until the gateway's word is definite, and money moves once.

`hasty` waits 0.5 s for the gateway, and asks 1 s after a doubt and when a lease (2 s more) has run out.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
import pytest

import inventory_client
from inventory_client import v1
from inventory_server.db.embedded import EmbeddedPostgres
from inventory_server.launch import reserved_address
from support.gateway import StagedGateway, serving
from support.shop import Shop, StagedShop, word
from support.sites import started


def books(ledger: Path, shop: Shop) -> list[tuple[str, str, str]]:
    """Return (payment, what happened, how it ended) of the gateway's own books, for this store."""
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    return [
        (entry["payment_id"], entry["kind"], entry.get("result", ""))
        for entry in entries
        if entry["store_id"] == shop.store
    ]


def operations(ledger: Path, shop: Shop) -> set[str]:
    entries = [json.loads(line) for line in ledger.read_text().splitlines()]
    return {entry["operation_id"] for entry in entries if entry["store_id"] == shop.store}


def begin(shop: Shop, how: str) -> v1.Payment | None:
    """Order all 2 units there are and pay; return the answer, None where the deadline came first."""
    shop.stock("a", 2)
    shop.order("o", ("a", 2))
    try:
        return shop.checkout.PayOrder(shop.pay_request("o", "p", 200, how)).payment
    except inventory_client.DeadlineExceeded:
        return None


# how the gateway behaves; the payment's end; what its books say
STORIES: list[tuple[str, str, list[tuple[str, str, str]]]] = [
    ("lost-reply", "CAPTURED", [("p", "settled", "ACCEPTED")]),
    ("lost-reply,decline", "DECLINED", [("p", "settled", "DECLINED")]),
    ("no-reply", "CAPTURED", [("p", "settled", "ACCEPTED")]),
    ("slow-1500ms", "CAPTURED", [("p", "settled", "ACCEPTED")]),
    ("slow-1500ms,decline", "DECLINED", [("p", "settled", "DECLINED")]),
    ("slow-1500ms,requires-action", "REQUIRES_ACTION", [("p", "settled", "REQUIRES_ACTION")]),
    ("pending-600ms", "CAPTURED", [("p", "settled", "ACCEPTED")]),
    ("pending-600ms,decline", "DECLINED", [("p", "settled", "DECLINED")]),
    ("duplicate,lost-reply", "CAPTURED", [("p", "absorbed", ""), ("p", "settled", "ACCEPTED")]),
    # Never seen: sent again under the same key.
    ("outage", "CAPTURED", [("p", "refused", ""), ("p", "settled", "ACCEPTED")]),
    ("outage,decline", "DECLINED", [("p", "refused", ""), ("p", "settled", "DECLINED")]),
]


@pytest.mark.fault(14)
@pytest.mark.parametrize(("how", "end", "told"), STORIES, ids=[story[0] for story in STORIES])
def test_the_reconciler_finds_out(
    hasty: Shop, ledger: Path, how: str, end: str, told: list[tuple[str, str, str]]
) -> None:
    """In doubt the payment is PROCESSING and its units are held; the gateway's word ends it, once."""
    answer = begin(hasty, how)
    # A server that was paused for as long as the gateway is slow finds the answer there.
    assert answer is None or word(answer) == "PROCESSING" or (how.startswith("slow") and word(answer) == end)
    seen = hasty.numbers("a")
    assert seen == (2, 0, 2) or word(hasty.payment("p")) != "PROCESSING"

    payment = hasty.wait_for_payment("p", end)

    assert hasty.numbers("a") == ((2, 0, 2) if end == "CAPTURED" else (2, 2, 0))
    assert hasty.actions("a") == [("RESERVE", 2)] + [("RELEASE", 2)] * (end != "CAPTURED")
    assert books(ledger, hasty) == told
    assert operations(ledger, hasty) == {payment.operation_id}
    assert hasty.get_order("o").captured_minor == (200 if end == "CAPTURED" else 0)
    assert bool(payment.failure_reason) is (end == "DECLINED")


@pytest.mark.fault(14)
def test_a_gateway_that_is_down_keeps_the_units_held(hasty: Shop, ledger: Path) -> None:
    """Deliveries refused unseen: asked about and sent again under one key, held until one is answered."""
    begin(hasty, "outage-2")
    payment = hasty.wait_for_payment("p", "CAPTURED")
    assert books(ledger, hasty) == [("p", "refused", "")] * 2 + [("p", "settled", "ACCEPTED")]
    assert operations(ledger, hasty) == {payment.operation_id}
    assert hasty.actions("a") == [("RESERVE", 2)]


@pytest.mark.fault(14)
def test_a_gateway_that_is_not_there(postgres: EmbeddedPostgres) -> None:
    """Provably never sent: FAILED and released, also when the gateway is back; a new id is a new try."""
    with (
        reserved_address() as address,
        started(postgres, payment_gateway=address, gateway_connect_timeout_s=0.2) as up,
        up.new_store() as (client, store),
    ):
        gateway = StagedGateway()
        shop = StagedShop(client, store, up.observer, gateway)
        shop.stock("a", 2)
        shop.order("o", ("a", 2))
        failed = shop.pay("o", "p-1", 200)
        assert (word(failed), failed.failure_reason) == (
            "FAILED",
            "the payment gateway could not be reached",
        )
        assert shop.actions("a") == [("RESERVE", 2), ("RELEASE", 2)]
        assert shop.get_order("o").balance_minor == 200
        with serving(gateway, address):
            assert shop.pay("o", "p-1", 200) == failed
            for number in range(2, 1_000):  # until the channel has found it
                call = shop.start_paying("o", f"p-{number}", 200)
                while not call.done() and not shop.purchases:
                    shop.settle_in()
                if shop.purchases:
                    shop.at_gateway().accept()
                    break
            assert word(call.result().payment) == "CAPTURED"
            assert shop.purchases == [f"p-{number}"]
            assert shop.payment("p-1") == failed
        assert shop.numbers("a") == (2, 0, 2)


def test_without_a_gateway_nothing_is_paid(postgres: EmbeddedPostgres) -> None:
    """A server that has no gateway refuses payments, but for an order that costs nothing."""
    with started(postgres, payment_gateway="none") as site, site.shop() as shop:
        shop.stock("a", 5)
        shop.order("o", ("a", 2))
        with shop.refused("ORDER_NOT_PAYABLE") as refusal:
            shop.pay("o", "p", 200)
        assert refusal.metadata == {"order_id": "o"}
        shop.order("free", ("a", 1, 0))
        assert word(shop.pay("free", "p", 0)) == "CAPTURED"
        assert shop.numbers("a") == (5, 4, 1)


class OddGateway(v1.PaymentGatewayServiceServicer):
    """Answers a purchase with what is no answer; asked about it, it knows."""

    def __init__(self) -> None:
        self.purchases: list[v1.PurchaseRequest] = []

    def Purchase(self, request: v1.PurchaseRequest, context: Any) -> v1.PurchaseResponse:  # noqa: N802
        self.purchases.append(request)
        if request.payment_method == "sim:refuse":
            context.abort(grpc.StatusCode.PERMISSION_DENIED, "no")
        if request.payment_method == "sim:never-seen":
            return v1.PurchaseResponse(outcome=v1.Outcome(result=v1.GatewayResult.GATEWAY_RESULT_NEVER_SEEN))
        return v1.PurchaseResponse()

    def GetOperation(  # noqa: N802
        self, request: v1.GetOperationRequest, context: Any
    ) -> v1.GetOperationResponse:
        accepted = v1.Outcome(
            result=v1.GatewayResult.GATEWAY_RESULT_ACCEPTED, gateway_reference="r" * 200 + "\u00e9"
        )
        return v1.GetOperationResponse(outcome=accepted)


@pytest.mark.fault(14)
def test_what_is_no_answer_is_doubt(postgres: EmbeddedPostgres) -> None:
    """An error status, no result, NEVER_SEEN to a purchase: PROCESSING until asked, and never sent twice."""
    gateway = OddGateway()
    with (
        serving(gateway) as address,
        started(postgres, payment_gateway=address, reconcile_interval_s=0.1) as site,
        site.shop() as shop,
    ):
        shop.stock("a", 3)
        ways = ("refuse", "never-seen", "nothing")
        for way in ways:
            shop.order(way, ("a", 1))
            assert word(shop.pay(way, way, 100, way)) == "PROCESSING"
        assert shop.numbers("a") == (3, 0, 3)
        for way in ways:
            payment = shop.wait_for_payment(way, "CAPTURED")
            assert payment.gateway_reference == "r" * 128
        assert shop.numbers("a") == (3, 0, 3)
        assert [request.payment_id for request in gateway.purchases] == list(ways)
