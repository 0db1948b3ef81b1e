"""InventoryService's calls on reservations: each decodes, asks the engine or the reader, and encodes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from typing import TypeVar

from inventory_client.v1 import inventory_service_pb2 as service_pb
from inventory_client.v1 import reservation_calls_pb2 as pb
from inventory_server.domain.commands import (
    Command,
    ConfirmReservation,
    FulfillReservation,
    ReleaseReservation,
)
from inventory_server.engine.reservation_reads import FIRST_KEY
from inventory_server.engine.verdicts import Verdict, refused
from inventory_server.rpc import answers, convert, item_stream, pages, reserve_items
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Engine, StockReader
from inventory_server.rpc.repeat import change_once
from inventory_server.rpc.rules import InvalidFields

R = TypeVar(
    "R",
    service_pb.ConfirmReservationResponse,
    service_pb.ReleaseReservationResponse,
    service_pb.FulfillReservationResponse,
    pb.ExtendReservationResponse,
)


class ReservationCalls:
    """A part of InventoryServicer. The .proto says what each call does."""

    _engine: Engine
    _reader: StockReader

    async def reserve_stock(
        self, request: service_pb.ReserveStockRequest, call: Call
    ) -> service_pb.ReserveStockResponse:
        command = convert.reserve_stock(request)
        held = await self._engine.change(call.store_id, command, deadline_s=call.deadline_s, actor=call.actor)
        return service_pb.ReserveStockResponse(reservation=answers.reservation(held))

    async def batch_reserve_stock(
        self, request: pb.BatchReserveStockRequest, call: Call
    ) -> pb.BatchReserveStockResponse:
        asked = reserve_items.all_of(request.items, call)
        decided = await self._engine.change_each(call.store_id, asked, deadline_s=call.deadline_s)
        response = pb.BatchReserveStockResponse()
        for item, verdict in zip(request.items, decided, strict=True):
            # In place: a message that is made first is copied by way of its bytes.
            reserve_items.set_verdict(response.verdicts.add(), "BatchReserveStock", item.item_id, verdict)
        return response

    async def reserve_stock_stream(
        self, requests: AsyncIterator[pb.ReserveStockStreamRequest], call: Call
    ) -> AsyncIterator[pb.ReserveStockStreamResponse]:
        item_ids: dict[Verdict, str] = {}

        async def begin(
            request: pb.ReserveStockStreamRequest, heard: Callable[[Verdict], None]
        ) -> list[Verdict]:
            read = reserve_items.each_of(request.items, call)
            asked = [item for item in read if not isinstance(item, InvalidFields)]
            begun = iter(
                await self._engine.submit(call.store_id, asked, heard, deadline_s=call.item_deadline_s)
            )
            items = [
                refused(item, heard) if isinstance(item, InvalidFields) else next(begun) for item in read
            ]
            item_ids.update(zip(items, (item.item_id for item in request.items), strict=True))
            return items

        async with aclosing(item_stream.verdicts(requests, begin)) as decided:
            async for items in decided:
                verdicts = [
                    reserve_items.verdict("ReserveStockStream", item_ids.pop(each), each.outcome)
                    for each in items
                ]
                for part in reserve_items.parts(verdicts):
                    yield pb.ReserveStockStreamResponse(verdicts=part)

    async def confirm_reservation(
        self, request: service_pb.ConfirmReservationRequest, call: Call
    ) -> service_pb.ConfirmReservationResponse:
        command = ConfirmReservation(request.reservation_id)
        return await self._move(call, command, request.request_id, service_pb.ConfirmReservationResponse)

    async def release_reservation(
        self, request: service_pb.ReleaseReservationRequest, call: Call
    ) -> service_pb.ReleaseReservationResponse:
        command = ReleaseReservation(request.reservation_id, request.reason, request.reference)
        return await self._move(call, command, request.request_id, service_pb.ReleaseReservationResponse)

    async def fulfill_reservation(
        self, request: service_pb.FulfillReservationRequest, call: Call
    ) -> service_pb.FulfillReservationResponse:
        units = convert.units(request.lines)
        command = FulfillReservation(request.reservation_id, units, request.reason, request.reference)
        return await self._move(call, command, request.request_id, service_pb.FulfillReservationResponse)

    async def extend_reservation(
        self, request: pb.ExtendReservationRequest, call: Call
    ) -> pb.ExtendReservationResponse:
        command = convert.extend_reservation(request)
        return await self._move(call, command, request.request_id, pb.ExtendReservationResponse)

    async def return_reservation_items(
        self, request: pb.ReturnReservationItemsRequest, call: Call
    ) -> pb.ReturnReservationItemsResponse:
        command = convert.return_reservation_items(request)
        returned = await self._engine.change(
            call.store_id, command, deadline_s=call.deadline_s, actor=call.actor
        )
        return pb.ReturnReservationItemsResponse(
            item_return=answers.item_return(returned.item_return),
            reservation=answers.reservation(returned.reservation),
        )

    async def get_reservation(
        self, request: service_pb.GetReservationRequest, call: Call
    ) -> service_pb.GetReservationResponse:
        held = await self._reader.reservation(
            call.store_id, request.reservation_id, deadline_s=call.deadline_s
        )
        return service_pb.GetReservationResponse(reservation=answers.reservation(held))

    async def list_reservations(
        self, request: pb.ListReservationsRequest, call: Call
    ) -> pb.ListReservationsResponse:
        filters = convert.reservation_filters(request)
        scope = ("ListReservations", call.store_id, *map(str, filters))
        first = (convert.micros(FIRST_KEY[0]), FIRST_KEY[1])
        time_us, reservation_id = pages.position(scope, request.page_token, first)
        page = await self._reader.list_reservations(
            call.store_id, filters, after=(convert.of_micros(time_us), reservation_id),
            limit=pages.size(request.page_size), deadline_s=call.deadline_s,
        )  # fmt: skip
        token = pages.token(scope, (convert.micros(page.last[0]), page.last[1])) if page.last else ""
        return pb.ListReservationsResponse(
            reservations=map(answers.reservation, page.reservations), next_page_token=token
        )

    async def _move(self, call: Call, command: Command, request_id: str, response: type[R]) -> R:
        """Confirm, release, fulfill or extend: they differ in command and in their answer's name."""
        return await change_once(
            self._engine, call, command, request_id, response,
            lambda held: response(reservation=answers.reservation(held)),
        )  # fmt: skip
