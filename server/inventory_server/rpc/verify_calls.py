"""VerifyStock and GetServiceStatistics: what administrators ask of the service itself."""

from __future__ import annotations

from dataclasses import asdict

from inventory_client.v1 import statistics_pb2, verification_pb2
from inventory_server.engine.statistics import BATCH_SIZES
from inventory_server.engine.verification import FIRST, Place
from inventory_server.rpc import pages
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Engine, Verifier
from inventory_server.rpc.rules import InvalidFields, Violation


class VerifyCalls:
    """The part of InventoryService that looks at the whole."""

    _engine: Engine
    _verifier: Verifier

    async def verify_stock(
        self, request: verification_pb2.VerifyStockRequest, call: Call
    ) -> verification_pb2.VerifyStockResponse:
        product_ids = sorted(set(request.product_ids))
        scope = ("VerifyStock", call.store_id, *product_ids)
        place = _place(scope, request.page_token) if request.page_token else FIRST
        chunk = await self._verifier.chunk(
            call.store_id, place, product_ids=product_ids, deadline_s=call.deadline_s
        )
        return verification_pb2.VerifyStockResponse(
            violations=[
                verification_pb2.StockViolation(**violation._asdict()) for violation in chunk.violations
            ],
            next_page_token=pages.token(scope, chunk.next_place) if chunk.next_place else "",
            level_count=chunk.levels,
            entry_count=chunk.entries,
            reservation_count=chunk.reservations,
            order_count=chunk.orders,
        )

    async def get_service_statistics(
        self, _request: statistics_pb2.GetServiceStatisticsRequest, call: Call
    ) -> statistics_pb2.GetServiceStatisticsResponse:
        statistics = await self._engine.statistics(call.store_id, deadline_s=call.deadline_s)
        response = statistics_pb2.GetServiceStatisticsResponse(
            queue_length=statistics.queue_length,
            totals=statistics_pb2.ServiceCounts(**asdict(statistics.store.totals)),
            batch_sizes=[
                statistics_pb2.BatchSizeCount(commands_max=size, batches=count)
                for size, count in zip(BATCH_SIZES, statistics.store.batch_sizes, strict=True)
                if count
            ],
        )
        response.start_time.FromDatetime(statistics.started_at)
        for second in statistics.store.last_seconds():
            added = response.seconds.add(counts=statistics_pb2.ServiceCounts(**asdict(second.counts)))
            added.start_time.seconds = second.time_s
        return response


def _place(scope: tuple[str, ...], page_token: str) -> Place:
    found = pages.read(scope, page_token)
    # The digest is no secret, so a forged token may hold anything that is JSON.
    is_place = isinstance(found, list) and tuple(map(type, found)) == (str, str, str, int)
    if not is_place or any("\0" in str(part) for part in found) or not 0 <= found[3] < 2**62:  # type: ignore[attr-defined, index]
        raise InvalidFields([Violation("page_token", pages.FOREIGN_DESCRIPTION)])
    return Place(*found)  # type: ignore[misc]
