"""CheckoutService: its calls stand by what they are about, in a module each."""

from __future__ import annotations

from inventory_server.rpc.cart_calls import CartCalls
from inventory_server.rpc.order_calls import OrderCalls
from inventory_server.rpc.payment_calls import PaymentCalls
from inventory_server.rpc.ports import Engine, OrderReader, Payments


class CheckoutServicer(CartCalls, OrderCalls, PaymentCalls):
    """Carts, orders, payments and shipments. The .proto says what each call does."""

    def __init__(self, engine: Engine, reader: OrderReader, payments: Payments) -> None:
        self._engine = engine
        self._reader = reader
        self._payments = payments
