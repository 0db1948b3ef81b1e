"""Calls that do nothing, for `inventory bench` alone: what Python's gRPC can carry here at the most.

Echo takes ReserveStock's request through the door that every call takes, and gives an answer of the same
size; BareEcho does without the door. No other server has them, and no proto names them.
"""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool

from inventory_client.v1 import inventory_service_pb2 as pb
from inventory_client.v1 import options_pb2, reservation_pb2
from inventory_server.rpc.edge import Call
from inventory_server.rpc.server import Built

_PACKAGE = "inventory.bench.v1"
_SERVICE = "EchoService"


def add_echo(door: Built) -> None:
    """Let a server that isn't started yet answer Echo, and BareEcho where callers are not told apart."""
    door.edge.add_service(door.server, _Echo(), _descriptor())
    if door.edge.guard is not None:
        return  # what goes without the door goes past the guard
    handlers: dict[str, Any] = {"BareEcho": grpc.unary_unary_rpc_method_handler(_bare_echo)}
    door.server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(f"{_PACKAGE}.{_SERVICE}", handlers),)
    )


class _Echo:
    async def echo(self, request: pb.ReserveStockRequest, call: Call) -> pb.ReserveStockResponse:
        return _answer(request)


async def _bare_echo(data: bytes, context: Any) -> bytes:
    return _answer(pb.ReserveStockRequest.FromString(data)).SerializeToString()


def _answer(request: pb.ReserveStockRequest) -> pb.ReserveStockResponse:
    """An answer as long as ReserveStock's."""
    lines = [
        reservation_pb2.ReservationLine(
            line_number=number,
            product_id=line.product_id,
            location="default",
            reserved=line.quantity,
            open=line.quantity,
        )
        for number, line in enumerate(request.lines, start=1)
    ]
    reservation = reservation_pb2.Reservation(
        reservation_id=request.reservation_id, state=reservation_pb2.RESERVATION_STATE_HELD, lines=lines
    )
    reservation.create_time.GetCurrentTime()
    reservation.update_time.CopyFrom(reservation.create_time)
    return pb.ReserveStockResponse(reservation=reservation)


def _descriptor() -> Any:
    """The service's descriptor, made here, so that it stands in no proto."""
    file = descriptor_pb2.FileDescriptorProto(
        name="inventory/bench/v1/echo.proto",
        package=_PACKAGE,
        syntax="proto3",
        dependency=[pb.DESCRIPTOR.name, options_pb2.DESCRIPTOR.name],
    )
    method = file.service.add(name=_SERVICE).method.add(name="Echo")
    method.input_type = f".{pb.ReserveStockRequest.DESCRIPTOR.full_name}"
    method.output_type = f".{pb.ReserveStockResponse.DESCRIPTOR.full_name}"
    method.options.Extensions[options_pb2.role] = options_pb2.ROLE_SELLER
    pool = descriptor_pool.Default()
    pool.AddSerializedFile(file.SerializeToString())
    return pool.FindServiceByName(f"{_PACKAGE}.{_SERVICE}")
