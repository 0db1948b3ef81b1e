"""The calls on stock records and on their log: decode, ask the engine or the reader, encode."""

from __future__ import annotations

from typing import Any

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_client.v1 import stock_calls_pb2 as calls_pb
from inventory_client.v1.stock_pb2 import StockTransaction
from inventory_server.domain.decide import Replay, Request
from inventory_server.domain.errors import StockNotFound
from inventory_server.rpc import answers, convert, items, pages
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Engine, StockReader
from inventory_server.rpc.repeat import change_once


class StockCalls:
    """A part of InventoryServicer. The .proto says what each call does."""

    _engine: Engine
    _reader: StockReader

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

    async def batch_create_stock_transactions(
        self, request: calls_pb.BatchCreateStockTransactionsRequest, call: Call
    ) -> calls_pb.BatchCreateStockTransactionsResponse:
        items.need_different_ids(item.item_id for item in request.items)
        asked = [
            Request(
                convert.create_stock_transaction(item, f"items[{index}]."),
                items.request_id_of(request.request_id, item.item_id),
                lambda record: answers.stock_transaction(record).SerializeToString(),
                call.actor,
            )
            for index, item in enumerate(request.items)
        ]
        verdicts = await self._engine.change_many(call.store_id, asked, deadline_s=call.deadline_s)
        return calls_pb.BatchCreateStockTransactionsResponse(
            verdicts=[
                _stock_transaction_verdict(item.item_id, verdict)
                for item, verdict in zip(request.items, verdicts, strict=True)
            ]
        )

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


def _stock_transaction_verdict(item_id: str, verdict: Any) -> calls_pb.StockTransactionVerdict:
    if isinstance(verdict, Exception):
        error = items.error("BatchCreateStockTransactions", verdict)
        return calls_pb.StockTransactionVerdict(item_id=item_id, error=error)
    if isinstance(verdict, Replay):
        stored = StockTransaction.FromString(verdict.response)
        return calls_pb.StockTransactionVerdict(item_id=item_id, result=stored, replayed=not verdict.is_own)
    return calls_pb.StockTransactionVerdict(item_id=item_id, result=answers.stock_transaction(verdict))
