"""InventoryService: each method decodes, asks the engine or the reader, and encodes the verdict."""

from __future__ import annotations

from typing import TypeVar

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_server.domain.commands import (
    ConfirmReservation,
    FulfillReservation,
    ReleaseReservation,
)
from inventory_server.domain.errors import StockNotFound
from inventory_server.rpc import answers, convert, pages
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Engine, StockReader
from inventory_server.rpc.repeat import change_once

_Move = pb.ConfirmReservationRequest | pb.ReleaseReservationRequest | pb.FulfillReservationRequest
_MoveCommand = ConfirmReservation | ReleaseReservation | FulfillReservation
R = TypeVar("R", pb.ConfirmReservationResponse, pb.ReleaseReservationResponse, pb.FulfillReservationResponse)


class InventoryServicer:
    """Stock, its log, availability and reservations. The .proto says what each call does."""

    def __init__(self, engine: Engine, reader: StockReader) -> None:
        self._engine = engine
        self._reader = reader

    async def create_stock(self, request: pb.CreateStockRequest, call: Call) -> pb.CreateStockResponse:
        return await change_once(
            self._engine, call, convert.create_stock(request), request.request_id, pb.CreateStockResponse,
            lambda view: pb.CreateStockResponse(stock=answers.stock(view)),
        )  # fmt: skip

    async def get_stock(self, request: pb.GetStockRequest, call: Call) -> pb.GetStockResponse:
        found = await self._reader.stocks(call.store_id, [request.product_id], deadline_s=call.deadline_s)
        if request.product_id not in found:
            raise StockNotFound(request.product_id)
        return pb.GetStockResponse(stock=answers.stock(found[request.product_id]))

    async def batch_get_stock(self, request: pb.BatchGetStockRequest, call: Call) -> pb.BatchGetStockResponse:
        asked = list(dict.fromkeys(request.product_ids))
        found = await self._reader.stocks(call.store_id, asked, deadline_s=call.deadline_s)
        return pb.BatchGetStockResponse(
            stocks=[answers.stock(found[product_id]) for product_id in asked if product_id in found],
            missing_product_ids=[product_id for product_id in asked if product_id not in found],
        )

    async def list_stock(self, request: pb.ListStockRequest, call: Call) -> pb.ListStockResponse:
        scope = ("ListStock", call.store_id)
        (after,) = pages.position(scope, request.page_token, ("",))
        size = pages.size(request.page_size)
        views = await self._reader.list_stock(
            call.store_id, after_product_id=after, limit=size + 1, deadline_s=call.deadline_s
        )
        page, next_token = pages.cut(views, size, scope, lambda view: (view.product_id,))
        return pb.ListStockResponse(stocks=map(answers.stock, page), next_page_token=next_token)

    async def create_stock_transaction(
        self, request: pb.CreateStockTransactionRequest, call: Call
    ) -> pb.CreateStockTransactionResponse:
        return await change_once(
            self._engine, call, convert.create_stock_transaction(request), request.request_id,
            pb.CreateStockTransactionResponse,
            lambda record: pb.CreateStockTransactionResponse(
                stock_transaction=answers.stock_transaction(record)
            ),
        )  # fmt: skip

    async def get_stock_transaction(
        self, request: pb.GetStockTransactionRequest, call: Call
    ) -> pb.GetStockTransactionResponse:
        location = convert.location_or_default(request.location)
        record = await self._reader.stock_transaction(
            call.store_id, request.product_id, location, request.version, deadline_s=call.deadline_s
        )
        return pb.GetStockTransactionResponse(stock_transaction=answers.stock_transaction(record))

    async def list_stock_transactions(
        self, request: pb.ListStockTransactionsRequest, call: Call
    ) -> pb.ListStockTransactionsResponse:
        scope = ("ListStockTransactions", call.store_id, request.product_id)
        after = pages.position(scope, request.page_token, ("", 0))
        size = pages.size(request.page_size)
        records = await self._reader.list_stock_transactions(
            call.store_id, request.product_id, after=after, limit=size + 1, deadline_s=call.deadline_s
        )
        page, next_token = pages.cut(
            records, size, scope, lambda r: (r.entry.location, r.entry.level.version)
        )
        return pb.ListStockTransactionsResponse(
            stock_transactions=map(answers.stock_transaction, page), next_page_token=next_token
        )

    async def check_availability(
        self, request: pb.CheckAvailabilityRequest, call: Call
    ) -> pb.CheckAvailabilityResponse:
        lines = convert.lines(request.lines)
        shortages = await self._reader.shortages(call.store_id, lines, deadline_s=call.deadline_s)
        return pb.CheckAvailabilityResponse(
            sufficient=not shortages, shortages=map(answers.shortage, shortages)
        )

    async def reserve_stock(self, request: pb.ReserveStockRequest, call: Call) -> pb.ReserveStockResponse:
        command = convert.reserve_stock(request)
        held = await self._engine.change(call.store_id, command, deadline_s=call.deadline_s, actor=call.actor)
        return pb.ReserveStockResponse(reservation=answers.reservation(held))

    async def confirm_reservation(
        self, request: pb.ConfirmReservationRequest, call: Call
    ) -> pb.ConfirmReservationResponse:
        return await self._move(request, call, ConfirmReservation, pb.ConfirmReservationResponse)

    async def release_reservation(
        self, request: pb.ReleaseReservationRequest, call: Call
    ) -> pb.ReleaseReservationResponse:
        return await self._move(request, call, ReleaseReservation, pb.ReleaseReservationResponse)

    async def fulfill_reservation(
        self, request: pb.FulfillReservationRequest, call: Call
    ) -> pb.FulfillReservationResponse:
        return await self._move(request, call, FulfillReservation, pb.FulfillReservationResponse)

    async def get_reservation(
        self, request: pb.GetReservationRequest, call: Call
    ) -> pb.GetReservationResponse:
        held = await self._reader.reservation(
            call.store_id, request.reservation_id, deadline_s=call.deadline_s
        )
        return pb.GetReservationResponse(reservation=answers.reservation(held))

    async def _move(self, request: _Move, call: Call, command: type[_MoveCommand], response: type[R]) -> R:
        """Confirm, release or fulfill: the three differ in their command and in the name of their answer."""
        return await change_once(
            self._engine, call, command(request.reservation_id), request.request_id, response,
            lambda held: response(reservation=answers.reservation(held)),
        )  # fmt: skip
