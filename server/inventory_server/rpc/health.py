"""grpc.health.v1: whether calls are taken, asked once or watched.

Our own, since it stands open to everybody: the packaged one answers bytes that are no message with UNKNOWN,
names Python's classes and logs a traceback each, and its watchers hold a stopping server for the whole grace
time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError
from grpc_health.v1 import health_pb2  # type: ignore[import-untyped]

from inventory_server.rpc.unread import Unread

SERVICE_NAME: str = health_pb2.DESCRIPTOR.services_by_name["Health"].full_name

_Status = health_pb2.HealthCheckResponse.ServingStatus
_Context = grpc.aio.ServicerContext[bytes, bytes]


class Health:
    """The health of the server as a whole ("") and of each service, which is one and the same.

    Args:
        services: full names.
        unread: calls whose request has not come yet.
    """

    def __init__(self, services: Sequence[str], unread: Unread) -> None:
        self._services = frozenset(("", *services))
        self._unread = unread
        self._is_serving = False
        self._is_closed = False
        self._changed = asyncio.Event()

    async def set_serving(self, is_serving: bool) -> None:
        """Tell callers, and those who watch, whether calls are taken. It starts with no."""
        self._is_serving = is_serving and not self._is_closed
        self._tell()

    async def close(self) -> None:
        """Say NOT_SERVING for good, and end every watch: for a server that is about to stop."""
        self._is_closed = True
        await self.set_serving(False)

    def add_to(self, server: grpc.aio.Server) -> None:
        reading = self._unread.reading
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            "Check": grpc.stream_unary_rpc_method_handler(reading(self._check)),
            "Watch": grpc.stream_stream_rpc_method_handler(reading(self._watch)),
        }
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE_NAME, handlers),))

    async def _check(self, data: bytes, context: _Context) -> bytes:
        service = await _service(data, context)
        if service not in self._services:
            return await context.abort(grpc.StatusCode.NOT_FOUND, "there is no such service")
        return self._answer(service)

    async def _watch(self, data: bytes, context: _Context) -> None:
        service = await _service(data, context)
        told = b""
        while True:
            # one look at the state, before the write lets others change it
            changed, is_closed, answer = self._changed, self._is_closed, self._answer(service)
            if answer != told:
                await context.write(answer)
                told = answer
            if is_closed:
                return
            await changed.wait()

    def _answer(self, service: str) -> bytes:
        status = _Status.SERVING if self._is_serving else _Status.NOT_SERVING
        if service not in self._services:
            status = _Status.SERVICE_UNKNOWN
        answer: bytes = health_pb2.HealthCheckResponse(status=status).SerializeToString()
        return answer

    def _tell(self) -> None:
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()


async def _service(data: bytes, context: Any) -> str:
    try:
        service: str = health_pb2.HealthCheckRequest.FromString(data).service
    except DecodeError:
        await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "must be a grpc.health.v1.HealthCheckRequest")
    return service
