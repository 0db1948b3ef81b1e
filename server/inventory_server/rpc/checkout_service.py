"""CheckoutService: each method decodes, asks engine, reader or payments, and encodes the verdict."""

from __future__ import annotations

from inventory_client.v1 import checkout_service_pb2 as pb
from inventory_server.domain.commands import CancelOrder, Checkout, RemoveCartItem, ShipOrder
from inventory_server.rpc import answers, convert
from inventory_server.rpc.edge import Call
from inventory_server.rpc.payment_calls import PaymentCalls
from inventory_server.rpc.ports import Engine, OrderReader, Payments
from inventory_server.rpc.repeat import change_once


class CheckoutServicer(PaymentCalls):
    """Carts, orders, payments and shipments. The .proto says what each call does."""

    def __init__(self, engine: Engine, reader: OrderReader, payments: Payments) -> None:
        self._engine = engine
        self._reader = reader
        self._payments = payments

    async def create_cart(self, request: pb.CreateCartRequest, call: Call) -> pb.CreateCartResponse:
        command = convert.create_cart(request)
        cart = await self._engine.change(call.store_id, command, deadline_s=call.deadline_s, actor=call.actor)
        return pb.CreateCartResponse(cart=answers.cart(cart))

    async def get_cart(self, request: pb.GetCartRequest, call: Call) -> pb.GetCartResponse:
        cart = await self._reader.cart(call.store_id, request.cart_id, deadline_s=call.deadline_s)
        return pb.GetCartResponse(cart=answers.cart(cart))

    async def add_cart_items(self, request: pb.AddCartItemsRequest, call: Call) -> pb.AddCartItemsResponse:
        return await change_once(
            self._engine, call, convert.add_cart_items(request), request.request_id, pb.AddCartItemsResponse,
            lambda cart: pb.AddCartItemsResponse(cart=answers.cart(cart)),
        )  # fmt: skip

    async def update_cart_item(
        self, request: pb.UpdateCartItemRequest, call: Call
    ) -> pb.UpdateCartItemResponse:
        return await change_once(
            self._engine, call, convert.update_cart_item(request), request.request_id,
            pb.UpdateCartItemResponse, lambda cart: pb.UpdateCartItemResponse(cart=answers.cart(cart)),
        )  # fmt: skip

    async def remove_cart_item(
        self, request: pb.RemoveCartItemRequest, call: Call
    ) -> pb.RemoveCartItemResponse:
        command = RemoveCartItem(request.cart_id, request.product_id)
        return await change_once(
            self._engine, call, command, request.request_id, pb.RemoveCartItemResponse,
            lambda cart: pb.RemoveCartItemResponse(cart=answers.cart(cart)),
        )  # fmt: skip

    async def checkout(self, request: pb.CheckoutRequest, call: Call) -> pb.CheckoutResponse:
        command = Checkout(request.cart_id, request.order_id)
        order = await self._engine.change(
            call.store_id, command, deadline_s=call.deadline_s, actor=call.actor
        )
        return pb.CheckoutResponse(order=answers.order(order))

    async def get_order(self, request: pb.GetOrderRequest, call: Call) -> pb.GetOrderResponse:
        order = await self._reader.order(call.store_id, request.order_id, deadline_s=call.deadline_s)
        return pb.GetOrderResponse(order=answers.order(order))

    async def cancel_order(self, request: pb.CancelOrderRequest, call: Call) -> pb.CancelOrderResponse:
        return await change_once(
            self._engine, call, CancelOrder(request.order_id), request.request_id, pb.CancelOrderResponse,
            answers.cancelled,
        )  # fmt: skip

    async def ship_order(self, request: pb.ShipOrderRequest, call: Call) -> pb.ShipOrderResponse:
        command = ShipOrder(request.order_id, request.shipment_id)
        shipped = await self._engine.change(
            call.store_id, command, deadline_s=call.deadline_s, actor=call.actor
        )
        return pb.ShipOrderResponse(shipment=answers.shipment(shipped))
