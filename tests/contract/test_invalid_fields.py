"""Every field of every request: a broken rule answers INVALID_FIELD with its path, nothing is written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

from inventory_client import v1
from inventory_server.launch import LaunchedProcess
from support.requests import METHODS, broken, call_of, minimal, raw_call_of
from support.shop import Shop

EACH_METHOD = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)


@pytest.fixture(scope="module")
def bare(server: LaunchedProcess) -> Iterator[dict[str, Any]]:
    """The stubs on a bare channel: the client package would fill in an absent request_id."""
    with grpc.insecure_channel(server.address) as channel:
        yield {
            "InventoryService": v1.InventoryServiceStub(channel),
            "CheckoutService": v1.CheckoutServiceStub(channel),
        }


def test_the_requests_are_enumerated() -> None:
    """Every RPC has rules to break, so that no method is left out by mistake."""
    assert len(METHODS) >= 39
    assert sum(1 for method in METHODS for _ in broken(method)) > 200


@pytest.mark.fault(23, 24, 25, 27)
@EACH_METHOD
def test_a_broken_rule_is_named(shop: Shop, bare: dict[str, Any], method: Any) -> None:
    """INVALID_ARGUMENT, INVALID_FIELD, the path of the field, and not one row written: rule by rule."""
    breakings = list(broken(method))
    assert breakings or not method.input_type.fields
    for path, request in breakings:
        with shop.refused("INVALID_FIELD") as refusal:
            call_of(bare, method)(request, metadata=(("x-inventory-store", shop.store),))
        assert refusal.fields == [path], request


@EACH_METHOD
def test_a_minimal_request_is_valid(shop: Shop, bare: dict[str, Any], method: Any) -> None:
    """The required fields alone, each at its least value, break no rule."""
    call = call_of(bare, method)
    try:
        call(minimal(method), metadata=(("x-inventory-store", shop.store),))
    except grpc.RpcError as error:
        assert error.code() is not grpc.StatusCode.INVALID_ARGUMENT, error.details()


@pytest.mark.fault(26)
@EACH_METHOD
def test_bytes_that_are_no_request(shop: Shop, server: LaunchedProcess, method: Any) -> None:
    """A field cut short, a length without end, a group never opened: refused as the caller's mistake."""
    with grpc.insecure_channel(server.address) as channel:
        call = raw_call_of(channel, method)
        for raw in (b"\x0a\x05x", b"\x0a" + b"\xff" * 11, b"\x0c"):
            with shop.refused("INVALID_FIELD") as refusal:
                call(raw, metadata=(("x-inventory-store", shop.store),))
            assert refusal.fields == [""]


@pytest.mark.fault(25)
def test_text_that_is_no_utf_8(shop: Shop, server: LaunchedProcess) -> None:
    """A string must be UTF-8 on the wire already."""
    with grpc.insecure_channel(server.address) as channel, shop.refused("INVALID_FIELD"):
        channel.unary_unary("/inventory.v1.InventoryService/GetStock")(
            b"\x0a\x02\xff\xfe", metadata=(("x-inventory-store", shop.store),)
        )
