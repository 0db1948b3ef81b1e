"""CheckoutService's calls on carts: each decodes, asks engine or reader, and encodes."""

from __future__ import annotations

from inventory_client.v1 import cart_calls_pb2 as pb
from inventory_client.v1 import checkout_service_pb2 as service_pb
from inventory_server.domain.commands import DeleteCart, RemoveCartItem
from inventory_server.rpc import answers, convert, pages
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Engine, OrderReader
from inventory_server.rpc.repeat import change_once


class CartCalls:
    """A part of CheckoutServicer. The .proto says what each call does."""

    _engine: Engine
    _reader: OrderReader

    async def create_cart(
        self, request: service_pb.CreateCartRequest, call: Call
    ) -> service_pb.CreateCartResponse:
        command = convert.create_cart(request)
        cart = await self._engine.change(call.store_id, command, deadline_s=call.deadline_s, actor=call.actor)
        return service_pb.CreateCartResponse(cart=answers.cart(cart))

    async def get_cart(self, request: service_pb.GetCartRequest, call: Call) -> service_pb.GetCartResponse:
        cart = await self._reader.cart(call.store_id, request.cart_id, deadline_s=call.deadline_s)
        return service_pb.GetCartResponse(cart=answers.cart(cart))

    async def list_carts(self, request: pb.ListCartsRequest, call: Call) -> pb.ListCartsResponse:
        filters = convert.cart_filters(request)
        scope = pages.list_scope(call.store_id, request)
        page = await self._reader.list_carts(
            call.store_id, filters, after=pages.moment_position(scope, request.page_token),
            limit=pages.size(request.page_size), deadline_s=call.deadline_s,
        )  # fmt: skip
        token = pages.moment_token(scope, page.last)
        return pb.ListCartsResponse(carts=map(answers.cart, page.rows), next_page_token=token)

    async def add_cart_items(
        self, request: service_pb.AddCartItemsRequest, call: Call
    ) -> service_pb.AddCartItemsResponse:
        return await change_once(
            self._engine, call, convert.add_cart_items(request), request.request_id,
            service_pb.AddCartItemsResponse,
            lambda cart: service_pb.AddCartItemsResponse(cart=answers.cart(cart)),
        )  # fmt: skip

    async def update_cart_item(
        self, request: service_pb.UpdateCartItemRequest, call: Call
    ) -> service_pb.UpdateCartItemResponse:
        return await change_once(
            self._engine, call, convert.update_cart_item(request), request.request_id,
            service_pb.UpdateCartItemResponse,
            lambda cart: service_pb.UpdateCartItemResponse(cart=answers.cart(cart)),
        )  # fmt: skip

    async def remove_cart_item(
        self, request: service_pb.RemoveCartItemRequest, call: Call
    ) -> service_pb.RemoveCartItemResponse:
        command = RemoveCartItem(request.cart_id, request.product_id)
        return await change_once(
            self._engine, call, command, request.request_id, service_pb.RemoveCartItemResponse,
            lambda cart: service_pb.RemoveCartItemResponse(cart=answers.cart(cart)),
        )  # fmt: skip

    async def delete_cart(self, request: pb.DeleteCartRequest, call: Call) -> pb.DeleteCartResponse:
        return await change_once(
            self._engine, call, DeleteCart(request.cart_id, request.etag or None), request.request_id,
            pb.DeleteCartResponse, lambda _: pb.DeleteCartResponse(),
        )  # fmt: skip
