"""The calls on stock records and on their log: decode, ask the engine or the reader, encode."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_client.v1 import stock_calls_pb2 as calls_pb
from inventory_server.domain.commands import DeleteStock
from inventory_server.domain.decide import Replay, Request
from inventory_server.domain.errors import StockNotFound
from inventory_server.domain.stock import LogRecord
from inventory_server.engine.log_reads import LogKey
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
        found = await self._reader.stocks(
            call.store_id, [request.product_id], with_levels=convert.shows_levels(request.view),
            deadline_s=call.deadline_s,
        )  # fmt: skip
        if request.product_id not in found:
            raise StockNotFound(request.product_id)
        return pb.GetStockResponse(stock=answers.stock(found[request.product_id]))

    async def batch_get_stock(self, request: pb.BatchGetStockRequest, call: Call) -> pb.BatchGetStockResponse:
        asked = list(dict.fromkeys(request.product_ids))
        found = await self._reader.stocks(
            call.store_id, asked, with_levels=convert.shows_levels(request.view), deadline_s=call.deadline_s
        )
        return pb.BatchGetStockResponse(
            stocks=[answers.stock(found[product_id]) for product_id in asked if product_id in found],
            missing_product_ids=[product_id for product_id in asked if product_id not in found],
        )

    async def list_stock(self, request: pb.ListStockRequest, call: Call) -> pb.ListStockResponse:
        filters = convert.stock_filters(request)
        scope = ("ListStock", call.store_id, *map(str, filters))
        (after,) = pages.position(scope, request.page_token, ("",))
        page = await self._reader.list_stock(
            call.store_id, filters, after=after, limit=pages.size(request.page_size),
            with_levels=convert.shows_levels(request.view), deadline_s=call.deadline_s,
        )  # fmt: skip
        token = pages.token(scope, (page.last,)) if page.last else ""
        return pb.ListStockResponse(stocks=map(answers.stock, page.stocks), next_page_token=token)

    async def update_stock(
        self, request: calls_pb.UpdateStockRequest, call: Call
    ) -> calls_pb.UpdateStockResponse:
        return await change_once(
            self._engine, call, convert.update_stock(request), request.request_id,
            calls_pb.UpdateStockResponse,
            lambda view: calls_pb.UpdateStockResponse(stock=answers.stock(view)),
        )  # fmt: skip

    async def delete_stock(
        self, request: calls_pb.DeleteStockRequest, call: Call
    ) -> calls_pb.DeleteStockResponse:
        return await change_once(
            self._engine, call, DeleteStock(request.product_id, request.etag or None), request.request_id,
            calls_pb.DeleteStockResponse, lambda _: calls_pb.DeleteStockResponse(),
        )  # fmt: skip

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
        changes = convert.create_stock_transactions(request.items)
        asked = [
            Request(change, items.request_id_of(request.request_id, item.item_id), _logged, call.actor)
            for item, change in zip(request.items, changes, strict=True)
        ]
        verdicts = await self._engine.change_many(call.store_id, asked, deadline_s=call.deadline_s)
        return calls_pb.BatchCreateStockTransactionsResponse(
            verdicts=map(partial(_verdict, request.request_id), request.items, verdicts)
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
        filters = convert.log_filters(request)
        scope = ("ListStockTransactions", call.store_id, *filters.words)
        after = _log_key(scope, request.page_token)
        page = await self._reader.list_stock_transactions(
            call.store_id, filters, after=after, limit=pages.size(request.page_size),
            deadline_s=call.deadline_s,
        )  # fmt: skip
        token = pages.token(scope, (convert.micros(page.last[0]), *page.last[1:])) if page.last else ""
        return pb.ListStockTransactionsResponse(
            stock_transactions=map(answers.stock_transaction, page.records), next_page_token=token
        )


def _log_key(scope: Sequence[str], page_token: str) -> LogKey | None:
    if not page_token:
        return None
    time_us, product_id, location, version = pages.position(scope, page_token, (0, "", "", 0))
    return (convert.of_micros(time_us), product_id, location, version)


def _logged(record: LogRecord) -> bytes:
    """What a repeat of an item is answered with."""
    return answers.stock_transaction(record).SerializeToString()


def _verdict(
    request_id: str, item: calls_pb.StockTransactionItem, said: Any
) -> calls_pb.StockTransactionVerdict:
    verdict = calls_pb.StockTransactionVerdict(item_id=item.item_id)
    if isinstance(said, Exception):
        named = items.named(said, request_id, item.item_id)
        verdict.error.CopyFrom(items.error("BatchCreateStockTransactions", named))
    elif isinstance(said, Replay):
        verdict.result.MergeFromString(said.response)
        verdict.replayed = not said.is_own
    else:
        verdict.result.CopyFrom(answers.stock_transaction(said))
    return verdict
