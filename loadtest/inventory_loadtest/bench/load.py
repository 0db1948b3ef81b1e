"""A process of callers that ask again and again, for a bounded time: the load of `inventory bench`.

    python -m inventory_loadtest.bench.load --target 127.0.0.1:50051 --kind reserve --callers 64 --product hot

Closed loop: every caller waits for its answer before it asks again. With `--rate` an open loop: calls are
sent at fixed times whatever became of those before, and a latency counts from the time that was meant.
Prints one line of JSON: a `Sample`.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import random
import sys
import time
from collections.abc import Awaitable, Callable
from typing import Any

import inventory_client
from inventory_client import v1
from inventory_loadtest.bench.sample import Sample

CHANNELS = 4  # one connection's flow control would be the limit before the server is
TIMEOUT_S = 30.0
BATCH_ITEMS = 1_000
PRICE_MINOR = 100
ECHO = "/inventory.bench.v1.EchoService/Echo"
BARE_ECHO = "/inventory.bench.v1.EchoService/BareEcho"

Ask = Callable[[], Awaitable[int]]
"""One call; returns how many reservations or orders it was."""


class Products:
    """Which product a caller wants: always the same, or any of many.

    Args:
        name: of the product; of many, what their names begin with.
        count: how many; 1 = `name` itself.
    """

    def __init__(self, name: str, count: int) -> None:
        self._name = name
        self._count = count
        self._random = random.Random(1)

    def next(self) -> str:
        return self._name if self._count == 1 else f"{self._name}-{self._random.randrange(self._count)}"


def _request(products: Products) -> v1.ReserveStockRequest:
    line = v1.LineRequest(product_id=products.next(), quantity=1)
    return v1.ReserveStockRequest(reservation_id=inventory_client.new_id(), lines=[line], never_expires=True)


def reserve(client: inventory_client.AioClient, products: Products) -> Ask:
    async def ask() -> int:
        await client.inventory.ReserveStock(_request(products), timeout=TIMEOUT_S)
        return 1

    return ask


def echo(client: inventory_client.AioClient, products: Products, path: str = ECHO) -> Ask:
    """The bench server's echo: the same request, an answer of the same size, nothing in between."""
    method: Any = client.channel.unary_unary(
        path,
        request_serializer=v1.ReserveStockRequest.SerializeToString,
        response_deserializer=v1.ReserveStockResponse.FromString,
    )

    async def ask() -> int:
        await method(_request(products), timeout=TIMEOUT_S)
        return 1

    return ask


def bare_echo(client: inventory_client.AioClient, products: Products) -> Ask:
    return echo(client, products, BARE_ECHO)


def batch(client: inventory_client.AioClient, products: Products) -> Ask:
    """BatchReserveStock of BATCH_ITEMS reservations of one unit."""

    async def ask() -> int:
        items = [
            v1.ReserveStockItem(
                item_id=str(number),
                reservation_id=inventory_client.new_id(),
                lines=[v1.LineRequest(product_id=products.next(), quantity=1)],
                never_expires=True,
            )
            for number in range(BATCH_ITEMS)
        ]
        answer = await client.inventory.BatchReserveStock(
            v1.BatchReserveStockRequest(items=items), timeout=TIMEOUT_S
        )
        held = sum(verdict.HasField("result") for verdict in answer.verdicts)
        if held != BATCH_ITEMS:
            refused = next(verdict.error for verdict in answer.verdicts if verdict.HasField("error"))
            raise RuntimeError(f"{BATCH_ITEMS - held} refused: {refused.message}")
        return held

    return ask


def stream(client: inventory_client.AioClient, products: Products) -> Ask:
    """ReserveStock in a session that all callers of the client share."""
    session = client.reserve_session()

    async def ask() -> int:
        await session.reserve(_request(products), timeout_s=TIMEOUT_S)
        return 1

    return ask


def flow(client: inventory_client.AioClient, products: Products) -> Ask:
    """A whole order: cart, item, checkout, payment."""

    async def ask() -> int:
        order_id, checkout = inventory_client.new_id(), client.checkout
        await checkout.CreateCart(v1.CreateCartRequest(cart_id=order_id, currency="EUR"), timeout=TIMEOUT_S)
        item = v1.CartItemRequest(product_id=products.next(), quantity=1, unit_price_minor=PRICE_MINOR)
        await checkout.AddCartItems(v1.AddCartItemsRequest(cart_id=order_id, items=[item]), timeout=TIMEOUT_S)
        await checkout.Checkout(v1.CheckoutRequest(cart_id=order_id, order_id=order_id), timeout=TIMEOUT_S)
        payment = v1.PayOrderRequest(order_id=order_id, payment_id=order_id, amount_minor=PRICE_MINOR)
        paid = await checkout.PayOrder(payment, timeout=TIMEOUT_S)
        if paid.payment.state != v1.PaymentState.PAYMENT_STATE_CAPTURED:
            raise RuntimeError(f"a payment is {v1.PaymentState.Name(paid.payment.state)}")
        return 1

    return ask


KINDS: dict[str, Callable[[inventory_client.AioClient, Products], Ask]] = {
    "reserve": reserve,
    "echo": echo,
    "bare-echo": bare_echo,
    "batch": batch,
    "stream": stream,
    "flow": flow,
}


async def closed_loop(asks: list[Ask], seconds: float) -> Sample:
    """Let every caller ask, wait, and ask again. Each one's first call, which connects, isn't counted."""
    first = await asyncio.gather(*(ask() for ask in asks))
    latencies_s: list[float] = []
    cpu_begun_s, begun = time.process_time(), time.perf_counter()
    until = begun + seconds

    async def caller(ask: Ask) -> int:
        count = 0
        while (asked := time.perf_counter()) < until:
            count += await ask()
            latencies_s.append(time.perf_counter() - asked)
        return count

    counts = await asyncio.gather(*map(caller, asks))
    took_s = time.perf_counter() - begun
    return Sample.of(
        sum(counts), took_s, latencies_s, cpu_s=time.process_time() - cpu_begun_s,
        units_held=sum(first) + sum(counts),
    )  # fmt: skip


async def open_loop(asks: list[Ask], seconds: float, per_s: float) -> Sample:
    """Send `per_s` calls a second, come what may; a latency counts from when the call was meant to go."""
    first = await asyncio.gather(*(ask() for ask in asks))
    latencies_s: list[float] = []
    cpu_begun_s, begun = time.process_time(), time.perf_counter()

    async def call(ask: Ask, meant: float) -> int:
        count = await ask()
        latencies_s.append(time.perf_counter() - meant)
        return count

    calls = []
    for number in range(int(seconds * per_s)):
        meant = begun + number / per_s
        if (early_s := meant - time.perf_counter()) > 0:
            await asyncio.sleep(early_s)
        calls.append(asyncio.create_task(call(asks[number % len(asks)], meant)))
    counts = await asyncio.gather(*calls)
    took_s = time.perf_counter() - begun
    return Sample.of(
        sum(counts), took_s, latencies_s, cpu_s=time.process_time() - cpu_begun_s,
        units_held=sum(first) + sum(counts),
    )  # fmt: skip


async def load(
    target: str,
    kind: str,
    products: Products,
    *,
    callers: int,
    seconds: float,
    channels: int = CHANNELS,
    per_s: float | None = None,
) -> Sample:
    """Ask a server for a bounded time.

    Args:
        target: `host:port` of the bench's server.
        kind: one of KINDS.
        products: must have ample stock: a refusal ends the run.
        callers: how many ask at once, 1 and up.
        seconds: how long, > 0.
        channels: connections, at most one for each caller; a session has one.
        per_s: for an open loop, calls a second; None = closed.
    Returns: what was answered OK. Raises: InventoryError with the first refusal.
    """
    count = 1 if kind == "stream" else min(channels, callers)
    clients = [inventory_client.connect_aio(target) for _ in range(count)]
    each = [KINDS[kind](client, products) for client in clients]
    asks = [each[number % count] for number in range(callers)]
    try:
        return await (closed_loop(asks, seconds) if per_s is None else open_loop(asks, seconds, per_s))
    finally:
        for client in clients:
            await client.close()


def main() -> None:
    parser = argparse.ArgumentParser(description="Callers that ask again and again, for a bounded time.")
    parser.add_argument("--target", required=True)
    parser.add_argument("--kind", choices=KINDS, default="reserve")
    parser.add_argument("--product", required=True)
    parser.add_argument("--products", type=int, default=1)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--rate", type=float)
    options = parser.parse_args()
    products = Products(options.product, options.products)
    found = load(
        options.target, options.kind, products, callers=options.callers, seconds=options.seconds,
        channels=options.channels, per_s=options.rate,
    )  # fmt: skip
    sys.stdout.write(json.dumps(asyncio.run(found).as_json()) + "\n")


if __name__ == "__main__":
    main()
