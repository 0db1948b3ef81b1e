"""The rim of the client: channels whose unary calls are prepared, and whose errors are InventoryErrors.

They wrap gRPC's own channels instead of using its interceptors: a call on a closed sync channel that has an
interceptor ends the process by SIGSEGV (grpcio 1.85.1; test_a_closed_client_says_so), where the bare one
raises ValueError. In time a call the two don't differ measurably.

Retries happen below, in gRPC's core (`client.SERVICE_CONFIG`): it sends the bytes of the first attempt
again, so whatever is filled in here stays the same over all attempts.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from inventory_client.calls import CallDefaults, with_request_id
from inventory_client.errors import decode_error

_Metadata = Iterable[tuple[str, str | bytes]]


class SyncChannel:
    """A grpc.Channel for generated stubs; what isn't unary is the channel's own."""

    def __init__(self, channel: grpc.Channel, defaults: CallDefaults) -> None:
        self._channel = channel
        self._defaults = defaults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def unary_unary(self, *arguments: Any, **options: Any) -> _SyncMethod:
        return _SyncMethod(self._channel.unary_unary(*arguments, **options), self._defaults)


class AioChannel:
    """A grpc.aio.Channel for generated stubs; what isn't unary is the channel's own."""

    def __init__(self, channel: grpc.aio.Channel, defaults: CallDefaults) -> None:
        self._channel = channel
        self._defaults = defaults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def unary_unary(self, *arguments: Any, **options: Any) -> _AioMethod:
        return _AioMethod(self._channel.unary_unary(*arguments, **options), self._defaults)


class _SyncMethod:
    """A grpc.UnaryUnaryMultiCallable. `options` are gRPC's: credentials, wait_for_ready, compression."""

    def __init__(self, method: grpc.UnaryUnaryMultiCallable[Any, Any], defaults: CallDefaults) -> None:
        self._method = method
        self._defaults = defaults

    def __call__(
        self,
        request: Message,
        timeout: float | None = None,
        metadata: _Metadata | None = None,
        **options: Any,
    ) -> Any:
        return self.with_call(request, timeout, metadata, **options)[0]

    def with_call(
        self,
        request: Message,
        timeout: float | None = None,
        metadata: _Metadata | None = None,
        **options: Any,
    ) -> tuple[Any, Any]:
        prepared = with_request_id(request)
        try:
            return self._method.with_call(
                prepared, self._defaults.timeout(timeout), tuple(self._defaults.metadata(metadata)), **options
            )
        except grpc.RpcError as error:
            raise decode_error(error, prepared) from error

    def future(
        self,
        request: Message,
        timeout: float | None = None,
        metadata: _Metadata | None = None,
        **options: Any,
    ) -> _SyncCall:
        prepared = with_request_id(request)
        call = self._method.future(
            prepared, self._defaults.timeout(timeout), tuple(self._defaults.metadata(metadata)), **options
        )
        return _SyncCall(call, prepared)


class _AioMethod:
    """A grpc.aio.UnaryUnaryMultiCallable. `options` are gRPC's: credentials, wait_for_ready, compression."""

    def __init__(self, method: grpc.aio.UnaryUnaryMultiCallable[Any, Any], defaults: CallDefaults) -> None:
        self._method = method
        self._defaults = defaults

    def __call__(
        self,
        request: Message,
        *,
        timeout: float | None = None,
        metadata: _Metadata | None = None,
        **options: Any,
    ) -> _AioCall:
        prepared = with_request_id(request)
        call = self._method(
            prepared,
            timeout=self._defaults.timeout(timeout),
            metadata=grpc.aio.Metadata(*self._defaults.metadata(metadata)),
            **options,
        )
        return _AioCall(call, prepared)


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
        error: Exception | None = self._call.exception(timeout)
        if not isinstance(error, grpc.RpcError):
            return error
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

    def add_done_callback(self, fn: Callable[[Any], None]) -> None:
        self._call.add_done_callback(lambda _: fn(self))
