"""What a caller of `inventory bench` asks: one reservation, an order, a batch, or nothing at all."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import inventory_client
from inventory_client import v1

BATCH_ITEMS = 1_000
ORDER_LINES = 1_000
PRICE_MINOR = 100
ECHO = "/inventory.bench.v1.EchoService/Echo"
BARE_ECHO = "/inventory.bench.v1.EchoService/BareEcho"

Ask = Callable[[], Awaitable[int]]
"""One call; returns how many units it has been acknowledged, of reservations and orders one each; 1 of an
empty call, which holds nothing."""


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
        """Any of them."""
        return self._name if self._count == 1 else f"{self._name}-{self._random.randrange(self._count)}"

    def many(self, count: int) -> list[str]:
        """So many of them, no two the same, in an order of their own."""
        return [f"{self._name}-{number}" for number in self._random.sample(range(self._count), count)]


def reservation(products: Products) -> v1.ReserveStockRequest:
    """A request for one unit of one of them."""
    line = v1.LineRequest(product_id=products.next(), quantity=1)
    return v1.ReserveStockRequest(reservation_id=inventory_client.new_id(), lines=[line], never_expires=True)


def reserve(client: inventory_client.AioClient, products: Products) -> Ask:
    async def ask() -> int:
        await client.inventory.ReserveStock(reservation(products))
        return 1

    return ask


def order(client: inventory_client.AioClient, products: Products) -> Ask:
    """ReserveStock of ORDER_LINES lines, each of another product."""

    async def ask() -> int:
        lines = [v1.LineRequest(product_id=name, quantity=1) for name in products.many(ORDER_LINES)]
        request = v1.ReserveStockRequest(
            reservation_id=inventory_client.new_id(), lines=lines, never_expires=True
        )
        await client.inventory.ReserveStock(request)
        return ORDER_LINES

    return ask


def echo(client: inventory_client.AioClient, products: Products, path: str = ECHO) -> Ask:
    """The bench server's echo: the same request, an answer of the same size, nothing in between."""
    method: Any = client.channel.unary_unary(
        path,
        request_serializer=v1.ReserveStockRequest.SerializeToString,
        response_deserializer=v1.ReserveStockResponse.FromString,
    )

    async def ask() -> int:
        await method(reservation(products))
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
        answer = await client.inventory.BatchReserveStock(v1.BatchReserveStockRequest(items=items))
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
        await session.reserve(reservation(products))
        return 1

    return ask


def flow(client: inventory_client.AioClient, products: Products) -> Ask:
    """A whole order: cart, item, checkout, payment."""

    async def ask() -> int:
        order_id, checkout = inventory_client.new_id(), client.checkout
        await checkout.CreateCart(v1.CreateCartRequest(cart_id=order_id, currency="EUR"))
        item = v1.CartItemRequest(product_id=products.next(), quantity=1, unit_price_minor=PRICE_MINOR)
        await checkout.AddCartItems(v1.AddCartItemsRequest(cart_id=order_id, items=[item]))
        await checkout.Checkout(v1.CheckoutRequest(cart_id=order_id, order_id=order_id))
        payment = v1.PayOrderRequest(order_id=order_id, payment_id=order_id, amount_minor=PRICE_MINOR)
        paid = await checkout.PayOrder(payment)
        if paid.payment.state != v1.PaymentState.PAYMENT_STATE_CAPTURED:
            raise RuntimeError(f"a payment is {v1.PaymentState.Name(paid.payment.state)}")
        return 1

    return ask


KINDS: dict[str, Callable[[inventory_client.AioClient, Products], Ask]] = {
    "reserve": reserve,
    "order": order,
    "echo": echo,
    "bare-echo": bare_echo,
    "batch": batch,
    "stream": stream,
    "flow": flow,
}
HOLDING_NOTHING = frozenset({"echo", "bare-echo"})
