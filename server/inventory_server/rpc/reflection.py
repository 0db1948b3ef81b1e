"""Reflection, for those who may look: what the services are called is nobody else's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc  # type: ignore[import-untyped]

from inventory_server.access.role import Role
from inventory_server.rpc.edge import Edge

SERVICE_NAME: str = reflection.SERVICE_NAME


class _Guarded(reflection.aio.ReflectionServicer):  # type: ignore[misc]
    def __init__(self, names: Sequence[str], edge: Edge) -> None:
        super().__init__(names)
        self._edge = edge

    async def ServerReflectionInfo(self, requests: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        await self._edge.let_in(f"{SERVICE_NAME}.ServerReflectionInfo", Role.VIEWER, context)
        async for answer in super().ServerReflectionInfo(requests, context):
            yield answer


def add_reflection(server: grpc.aio.Server, names: Sequence[str], edge: Edge) -> None:
    """Let the services of these full names be described."""
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(_Guarded(names, edge), server)
