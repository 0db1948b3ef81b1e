"""The client before the real server: what it adds is understood, and what it raises is what was meant."""

from __future__ import annotations

import grpc
import pytest

import inventory_client
from inventory_client import v1
from inventory_server.launch import LaunchedProcess


def units(product_id: str, quantity: int) -> v1.CreateStockRequest:
    return v1.CreateStockRequest(product_id=product_id, quantity=quantity)


def reservation(reservation_id: str, *lines: tuple[str, int]) -> v1.ReserveStockRequest:
    return v1.ReserveStockRequest(
        reservation_id=reservation_id,
        lines=[v1.LineRequest(product_id=product_id, quantity=quantity) for product_id, quantity in lines],
    )


def test_the_two_calls_of_a_team_with_its_own_orders(client: inventory_client.Client) -> None:
    """ReserveStock, then ConfirmReservation: the units are allocated, and the total still has them."""
    client.inventory.CreateStock(units("tea", 5))
    client.inventory.ReserveStock(reservation("r", ("tea", 2)))
    confirmed = client.inventory.ConfirmReservation(v1.ConfirmReservationRequest(reservation_id="r"))

    assert confirmed.reservation.state == v1.ReservationState.RESERVATION_STATE_COMMITTED
    stock = client.inventory.GetStock(v1.GetStockRequest(product_id="tea")).stock
    assert (stock.total, stock.available, stock.allocated) == (5, 3, 2)


def test_sold_out_lists_the_short_lines(client: inventory_client.Client) -> None:
    """InsufficientStock tells product, wanted and available of each line, and its text none of it."""
    client.inventory.CreateStock(units("tea", 1))
    with pytest.raises(inventory_client.InsufficientStock) as raised:
        client.inventory.ReserveStock(reservation("r", ("tea", 2), ("ghost", 1)))

    error = raised.value
    assert error.code is grpc.StatusCode.FAILED_PRECONDITION
    assert not error.retryable
    assert error.shortage_count == 2
    assert [
        (short.product_id, short.requested, short.available, short.managed) for short in error.shortages
    ] == [
        ("tea", 2, 1, True),
        ("ghost", 1, 0, False),
    ]
    assert "tea" not in error.message


def test_a_wrong_field_is_named(client: inventory_client.Client) -> None:
    """InvalidField carries the path of every field that is wrong, and a description."""
    with pytest.raises(inventory_client.InvalidField) as raised:
        client.inventory.ReserveStock(reservation("", ("tea", 0)))

    fields = dict(raised.value.field_violations)
    assert set(fields) == {"reservation_id", "lines[0].quantity"}
    assert all(fields.values())


def test_a_repeat_of_a_call_changes_nothing(client: inventory_client.Client) -> None:
    """The same request_id twice is one increment; without one, every call is its own."""
    client.inventory.CreateStock(units("tea", 1))
    increment = v1.CreateStockTransactionRequest(
        product_id="tea", action=v1.StockAction.STOCK_ACTION_INCREMENT, quantity=10
    )
    for _ in range(2):
        assert not client.inventory.CreateStockTransaction(increment).replayed
    increment.request_id = inventory_client.new_id()
    answers = [client.inventory.CreateStockTransaction(increment).replayed for _ in range(2)]

    assert answers == [False, True]
    assert client.inventory.GetStock(v1.GetStockRequest(product_id="tea")).stock.total == 31


def test_a_request_id_with_other_content(client: inventory_client.Client) -> None:
    """IdReused, whoever made the id."""
    client.inventory.CreateStock(units("tea", 1))
    change = v1.CreateStockTransactionRequest(
        product_id="tea", action=v1.StockAction.STOCK_ACTION_INCREMENT, quantity=1, request_id="mine"
    )
    client.inventory.CreateStockTransaction(change)
    change.quantity = 2
    with pytest.raises(inventory_client.IdReused):
        client.inventory.CreateStockTransaction(change)


def test_stores_do_not_see_each_other(client: inventory_client.Client, server: LaunchedProcess) -> None:
    """A product of one store is unmanaged in another; a store that doesn't exist is said not to."""
    client.inventory.CreateStock(units("tea", 1))
    with inventory_client.connect(server.address, timeout_s=60) as default:
        with pytest.raises(inventory_client.StockNotFound):
            default.inventory.GetStock(v1.GetStockRequest(product_id="tea"))
        with pytest.raises(inventory_client.StoreNotFound):
            default.inventory.GetStock(
                v1.GetStockRequest(product_id="tea"), metadata=(("x-inventory-store", "nowhere"),)
            )


async def test_the_aio_client(server: LaunchedProcess, store: str) -> None:
    """connect_aio() means the same: stubs to await, the store, the exceptions."""
    async with inventory_client.connect_aio(server.address, store=store, timeout_s=60) as client:
        await client.inventory.CreateStock(units("tea", 1))
        with pytest.raises(inventory_client.StockExists):
            await client.inventory.CreateStock(units("tea", 1))
        with pytest.raises(inventory_client.OrderNotFound):
            await client.checkout.GetOrder(v1.GetOrderRequest(order_id="none"))
