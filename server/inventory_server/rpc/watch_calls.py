"""WatchStock: the feed as messages, each with the token to go on from."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from inventory_client.v1 import watch_pb2 as pb
from inventory_server.rpc import answers, resume_tokens
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Feed
from inventory_server.rpc.rules import InvalidFields, Violation


class WatchCalls:
    """The part of InventoryService that streams the log."""

    _feed: Feed

    async def watch_stock(
        self, request: pb.WatchStockRequest, call: Call
    ) -> AsyncIterator[pb.WatchStockResponse]:
        start = request.WhichOneof("start")
        if start == "from_beginning" and not request.from_beginning:
            raise InvalidFields([Violation("from_beginning", "must be true, or absent")])
        watch = self._feed.watch(
            call.store_id,
            resume_tokens.point(request.resume_token) if start == "resume_token" else None,
            from_beginning=start == "from_beginning",
            product_ids=frozenset(request.product_ids),
        )
        async with aclosing(watch) as parts:
            async for point, part in parts:
                yield pb.WatchStockResponse(
                    changes=[answers.stock_transaction(change.record) for change in part.changes],
                    resume_token=resume_tokens.token(point),
                    continues=part.continues,
                )
