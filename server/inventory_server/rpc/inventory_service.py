"""InventoryService: each method decodes, asks the engine or the reader, and encodes the verdict."""

from __future__ import annotations

from typing import TypeVar

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_server.domain.commands import (
    ConfirmReservation,
    FulfillReservation,
    ReleaseReservation,
)
from inventory_server.rpc import answers, convert
from inventory_server.rpc.edge import Call
from inventory_server.rpc.import_calls import ImportCalls
from inventory_server.rpc.ports import Engine, Exporter, Feed, ImportReader, Imports, StockReader
from inventory_server.rpc.repeat import change_once
from inventory_server.rpc.stock_calls import StockCalls
from inventory_server.rpc.watch_calls import WatchCalls

_Move = pb.ConfirmReservationRequest | pb.ReleaseReservationRequest | pb.FulfillReservationRequest
_MoveCommand = ConfirmReservation | ReleaseReservation | FulfillReservation
R = TypeVar("R", pb.ConfirmReservationResponse, pb.ReleaseReservationResponse, pb.FulfillReservationResponse)


class InventoryServicer(StockCalls, WatchCalls, ImportCalls):
    """Stock, its log, availability and reservations. The .proto says what each call does."""

    def __init__(
        self,
        engine: Engine,
        reader: StockReader,
        feed: Feed,
        imports: Imports,
        import_reader: ImportReader,
        exporter: Exporter,
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._feed = feed
        self._imports = imports
        self._import_reader = import_reader
        self._exporter = exporter

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
