"""Thousands of calls at once on one connection."""

from __future__ import annotations

import asyncio

import inventory_client
from inventory_client import v1
from inventory_server.launch import LaunchedProcess

# gRPC's own bound for calls that wait to be taken in is 1,000, and past it they end as a bare CANCELLED.
CALLS = 2_500


async def test_every_call_is_answered(server: LaunchedProcess, store: str) -> None:
    """2,500 reservations at once over one connection: each is answered OK, and each holds its unit."""

    async def reserve(client: inventory_client.AioClient, number: int) -> None:
        lines = [v1.LineRequest(product_id="hot", quantity=1)]
        request = v1.ReserveStockRequest(reservation_id=f"r-{number}", lines=lines)
        await client.inventory.ReserveStock(request)

    async with inventory_client.connect_aio(server.address, store=store, timeout_s=60) as client:
        await client.inventory.CreateStock(v1.CreateStockRequest(product_id="hot", quantity=CALLS))
        await asyncio.gather(*(reserve(client, number) for number in range(CALLS)))
        stock = (await client.inventory.GetStock(v1.GetStockRequest(product_id="hot"))).stock

    assert (stock.available, stock.allocated) == (0, CALLS)
