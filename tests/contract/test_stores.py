"""Stores are separate: what one has, another does not see."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
import pytest

import inventory_client
from inventory_client import v1
from inventory_server.db.stores import create_store
from inventory_server.launch import LaunchedProcess
from support.database import Observer
from support.requests import METHODS, call_of, minimal
from support.shop import Shop, word


@pytest.fixture
def neighbour(server: LaunchedProcess, database_url: str, store: str, observer: Observer) -> Iterator[Shop]:
    """Another store on the same server."""
    create_store(database_url, f"{store}-b")
    with inventory_client.connect(server.address, store=f"{store}-b", timeout_s=60) as client:
        yield Shop(client, f"{store}-b", observer)


def stubs(shop: Shop) -> dict[str, Any]:
    return {"InventoryService": shop.inventory, "CheckoutService": shop.checkout}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_store_that_is_not_there(shop: Shop, method: Any) -> None:
    """Every RPC says STORE_NOT_FOUND, whatever it is asked for."""
    for _ in range(2):
        with shop.refused("STORE_NOT_FOUND") as refusal:
            call_of(stubs(shop), method)(minimal(method), metadata=(("x-inventory-store", "nowhere"),))
        assert refusal.metadata == {"store_id": "nowhere"}


@pytest.mark.parametrize("name", ["", "two words", "x" * 129])
def test_a_store_that_cannot_be(shop: Shop, name: str) -> None:
    """A name that no store can have is a mistake in the call, at the metadata's key."""
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.ListStock(v1.ListStockRequest(), metadata=(("x-inventory-store", name),))
    assert refusal.fields == ["x-inventory-store"]


def test_a_store_named_twice(shop: Shop, server: LaunchedProcess) -> None:
    """Two stores in one call are a mistake, even the same one twice."""
    with grpc.insecure_channel(server.address) as channel, shop.refused("INVALID_FIELD") as refusal:
        v1.InventoryServiceStub(channel).ListStock(
            v1.ListStockRequest(), metadata=(("x-inventory-store", shop.store),) * 2
        )
    assert refusal.fields == ["x-inventory-store"]


def test_no_store_named_is_the_default_one(shop: Shop, server: LaunchedProcess) -> None:
    """Without the metadata a call is about the store `default`, and about no other."""
    product_id = f"only-in-default-{shop.store}"
    with inventory_client.connect(server.address, timeout_s=60) as bare:
        bare.inventory.CreateStock(v1.CreateStockRequest(product_id=product_id, quantity=1))
    with inventory_client.connect(server.address, store="default", timeout_s=60) as named:
        request = v1.GetStockRequest(product_id=product_id)
        assert named.inventory.GetStock(request).stock.total == 1
    with shop.refused("STOCK_NOT_FOUND"):
        shop.numbers(product_id)


def test_the_same_ids_in_two_stores(shop: Shop, neighbour: Shop) -> None:
    """Ids and request ids of one store mean nothing in the other: both live their own lives."""
    for each, quantity in ((shop, 5), (neighbour, 7)):
        each.inventory.CreateStock(
            v1.CreateStockRequest(product_id="a", quantity=quantity, request_id="same")
        )
        each.reserve("r", ("a", quantity - 3))
        each.paid_order("o", ("a", 3))
    shop.release("r", "same")
    shop.ship("o", "s")
    assert (shop.numbers("a"), neighbour.numbers("a")) == ((2, 2, 0), (7, 0, 7))
    assert word(neighbour.reservation("r")) == "HELD"
    assert word(neighbour.get_order("o")) == "PROCESSING"
    assert shop.payment("pay-o").operation_id != neighbour.payment("pay-o").operation_id
