"""InventoryService: each method decodes, asks the engine or the reader, and encodes the verdict."""

from __future__ import annotations

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_server.rpc import answers, convert
from inventory_server.rpc.edge import Call
from inventory_server.rpc.import_calls import ImportCalls
from inventory_server.rpc.location_calls import LocationCalls
from inventory_server.rpc.ports import Engine, Exporter, Feed, ImportReader, Imports, StockReader, Verifier
from inventory_server.rpc.reservation_calls import ReservationCalls
from inventory_server.rpc.settings_calls import SettingsCalls
from inventory_server.rpc.stock_calls import StockCalls
from inventory_server.rpc.verify_calls import VerifyCalls
from inventory_server.rpc.watch_calls import WatchCalls


class InventoryServicer(
    StockCalls, SettingsCalls, LocationCalls, ReservationCalls, WatchCalls, VerifyCalls, ImportCalls
):
    """Stock, its log, locations, availability and reservations. The .proto says what each call does."""

    def __init__(
        self,
        engine: Engine,
        reader: StockReader,
        feed: Feed,
        verifier: Verifier,
        imports: Imports,
        import_reader: ImportReader,
        exporter: Exporter,
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._feed = feed
        self._verifier = verifier
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
