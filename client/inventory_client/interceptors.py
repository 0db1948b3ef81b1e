"""The rim of the client: what gRPC calls around every unary call, once sync and once aio.

Retries happen below, in gRPC's core (`client.channel_options`): it sends the bytes of the first attempt
again, so whatever is filled in here stays the same over all attempts.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Generator
from typing import Any, NamedTuple

import grpc
import grpc.aio
from google.protobuf.message import Message

from inventory_client.calls import CallDefaults, with_request_id
from inventory_client.errors import decode_error


class SyncInterceptor(grpc.UnaryUnaryClientInterceptor):
    """Prepare a call; hand back its error as an InventoryError."""

    def __init__(self, defaults: CallDefaults) -> None:
        self._defaults = defaults

    def intercept_unary_unary(
        self,
        continuation: Callable[[Any, Any], Any],
        client_call_details: grpc.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Send the prepared request. A call that failed, or still may (`.future()`), decodes its error."""
        given = client_call_details
        details = _CallDetails(
            method=given.method,
            timeout=self._defaults.timeout(given.timeout),
            metadata=self._defaults.metadata(given.metadata),
            credentials=given.credentials,
            wait_for_ready=given.wait_for_ready,
            compression=given.compression,
        )
        prepared = with_request_id(request)
        call = continuation(details, prepared)
        # gRPC's calls that failed and those still under way are RpcErrors; one that succeeded isn't.
        return _SyncCall(call, prepared) if isinstance(call, grpc.RpcError) else call


class AioInterceptor(grpc.aio.UnaryUnaryClientInterceptor):
    """Prepare a call; raise its error as an InventoryError where it is awaited."""

    def __init__(self, defaults: CallDefaults) -> None:
        self._defaults = defaults

    async def intercept_unary_unary(
        self,
        continuation: Callable[[grpc.aio.ClientCallDetails, Any], Awaitable[Any]],
        client_call_details: grpc.aio.ClientCallDetails,
        request: Any,
    ) -> Any:
        """Start the prepared call, and don't wait for it here: cancel() and code() must reach the call."""
        given = client_call_details
        details = grpc.aio.ClientCallDetails(
            given.method,
            self._defaults.timeout(given.timeout),
            grpc.aio.Metadata(*self._defaults.metadata(given.metadata)),
            given.credentials,
            given.wait_for_ready,
        )
        prepared = with_request_id(request)
        return _AioCall(await continuation(details, prepared), prepared)


class _CallDetails(NamedTuple):
    """grpc.ClientCallDetails is abstract and has no constructor; gRPC reads these names."""

    method: str
    timeout: float
    metadata: list[tuple[str, str | bytes]]
    credentials: grpc.CallCredentials | None
    wait_for_ready: bool | None
    compression: grpc.Compression | None


class _SyncCall:
    """A grpc.Call and grpc.Future whose error is an InventoryError; everything else is the call's own."""

    def __init__(self, call: Any, request: Message) -> None:
        self._call = call
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def result(self, timeout: float | None = None) -> Any:
        try:
            return self._call.result(timeout)
        except grpc.RpcError as error:
            raise decode_error(error, self._request) from error

    def exception(self, timeout: float | None = None) -> Exception | None:
        error = self._call.exception(timeout)
        if not isinstance(error, grpc.RpcError):
            return error  # type: ignore[no-any-return]
        decoded = decode_error(error, self._request)
        decoded.__cause__ = error
        return decoded

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        self._call.add_done_callback(lambda _: fn(self))


class _AioCall:
    """A grpc.aio.UnaryUnaryCall whose error is an InventoryError; everything else is the call's own."""

    def __init__(self, call: Any, request: Message) -> None:
        self._call = call
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __await__(self) -> Generator[Any, None, Any]:
        try:
            return (yield from self._call.__await__())
        except grpc.RpcError as error:
            raise decode_error(error, self._request) from error


# grpc.aio takes what an interceptor returns for the bare answer unless it is one of its calls.
grpc.aio.UnaryUnaryCall.register(_AioCall)
