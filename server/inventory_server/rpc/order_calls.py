"""CheckoutService's calls on orders and what leaves the house for them: each decodes, asks, and encodes."""

from __future__ import annotations

from inventory_client.v1 import checkout_service_pb2 as service_pb
from inventory_client.v1 import order_calls_pb2 as pb
from inventory_server.domain.commands import Checkout
from inventory_server.domain.order_commands import ShipOrder
from inventory_server.rpc import answers, convert, pages
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Engine, OrderReader
from inventory_server.rpc.repeat import change_once
from inventory_server.uuid7 import uuid7


class OrderCalls:
    """A part of CheckoutServicer. The .proto says what each call does."""

    _engine: Engine
    _reader: OrderReader

    async def checkout(self, request: service_pb.CheckoutRequest, call: Call) -> service_pb.CheckoutResponse:
        command = Checkout(request.cart_id, request.order_id)
        order = await self._engine.change(
            call.store_id, command, deadline_s=call.deadline_s, actor=call.actor
        )
        return service_pb.CheckoutResponse(order=answers.order(order))

    async def get_order(self, request: service_pb.GetOrderRequest, call: Call) -> service_pb.GetOrderResponse:
        order = await self._reader.order(call.store_id, request.order_id, deadline_s=call.deadline_s)
        return service_pb.GetOrderResponse(order=answers.order(order))

    async def list_orders(self, request: pb.ListOrdersRequest, call: Call) -> pb.ListOrdersResponse:
        filters = convert.order_filters(request)
        scope = pages.list_scope(call.store_id, request)
        page = await self._reader.list_orders(
            call.store_id, filters, after=pages.moment_position(scope, request.page_token),
            limit=pages.size(request.page_size), deadline_s=call.deadline_s,
        )  # fmt: skip
        token = pages.moment_token(scope, page.last)
        return pb.ListOrdersResponse(orders=map(answers.order, page.rows), next_page_token=token)

    async def cancel_order(
        self, request: service_pb.CancelOrderRequest, call: Call
    ) -> service_pb.CancelOrderResponse:
        return await change_once(
            self._engine, call, convert.cancel_order(request, str(uuid7())), request.request_id,
            service_pb.CancelOrderResponse, answers.cancelled,
        )  # fmt: skip

    async def ship_order(
        self, request: service_pb.ShipOrderRequest, call: Call
    ) -> service_pb.ShipOrderResponse:
        command = ShipOrder(request.order_id, request.shipment_id, convert.units(request.lines))
        shipped = await self._engine.change(
            call.store_id, command, deadline_s=call.deadline_s, actor=call.actor
        )
        return service_pb.ShipOrderResponse(shipment=answers.shipment(shipped))

    async def return_order_items(
        self, request: pb.ReturnOrderItemsRequest, call: Call
    ) -> pb.ReturnOrderItemsResponse:
        command = convert.return_order_items(request)
        returned = await self._engine.change(
            call.store_id, command, deadline_s=call.deadline_s, actor=call.actor
        )
        return pb.ReturnOrderItemsResponse(
            order_return=answers.order_return(returned.order_return), order=answers.order(returned.order)
        )
