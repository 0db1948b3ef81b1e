"""The rim of the client: channels whose calls are prepared, and whose errors are InventoryErrors.

They wrap gRPC's own channels instead of using its interceptors: a call on a closed sync channel that has an
interceptor ends the process by SIGSEGV (grpcio 1.85.1; test_a_closed_client_says_so), where the bare one
raises ValueError. In time a call the two don't differ measurably.

Retries happen below, in gRPC's core (`client.SERVICE_CONFIG`): it sends the bytes of the first attempt
again, so whatever is filled in here stays the same over all attempts.

A call with a stream on either side has no deadline but its own: nobody can say how long one may take.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Generator, Iterable, Iterator
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import Message

from inventory_client.calls import CallDefaults, with_request_id
from inventory_client.errors import decode_error

_Metadata = Iterable[tuple[str, str | bytes]]


class SyncChannel:
    """A grpc.Channel for generated stubs; what is no call is the channel's own."""

    def __init__(self, channel: grpc.Channel, defaults: CallDefaults) -> None:
        self._channel = channel
        self._defaults = defaults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def unary_unary(self, *arguments: Any, **options: Any) -> _SyncMethod:
        return _SyncMethod(self._channel.unary_unary(*arguments, **options), self._defaults)

    def unary_stream(self, *arguments: Any, **options: Any) -> _StreamMethod:
        return _StreamMethod(self._channel.unary_stream(*arguments, **options), self._defaults, _SyncStream)

    def stream_unary(self, *arguments: Any, **options: Any) -> _SyncUpload:
        return _SyncUpload(self._channel.stream_unary(*arguments, **options), self._defaults)

    def stream_stream(self, *arguments: Any, **options: Any) -> _StreamMethod:
        return _StreamMethod(self._channel.stream_stream(*arguments, **options), self._defaults, _SyncStream)


class AioChannel:
    """A grpc.aio.Channel for generated stubs; what is no call is the channel's own."""

    def __init__(self, channel: grpc.aio.Channel, defaults: CallDefaults) -> None:
        self._channel = channel
        self._defaults = defaults

    def __getattr__(self, name: str) -> Any:
        return getattr(self._channel, name)

    def unary_unary(self, *arguments: Any, **options: Any) -> _AioMethod:
        return _AioMethod(self._channel.unary_unary(*arguments, **options), self._defaults)

    def unary_stream(self, *arguments: Any, **options: Any) -> _StreamMethod:
        return _StreamMethod(self._channel.unary_stream(*arguments, **options), self._defaults, _AioStream)

    def stream_unary(self, *arguments: Any, **options: Any) -> _StreamMethod:
        return _StreamMethod(self._channel.stream_unary(*arguments, **options), self._defaults, _AioCall)

    def stream_stream(self, *arguments: Any, **options: Any) -> _StreamMethod:
        return _StreamMethod(self._channel.stream_stream(*arguments, **options), self._defaults, _AioStream)


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

    def __init__(self, call: Any, request: Message | None) -> None:
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
    """A grpc.aio call with one answer, whose error is an InventoryError; the rest is the call's own."""

    def __init__(self, call: Any, request: Message | None) -> None:
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


class _StreamMethod:
    """A multi-callable with a stream: prepares its metadata, and gives its call the errors of ours.

    Args:
        wrap: makes of gRPC's call, and of the request where there is a single one, what the caller gets.
    """

    def __init__(
        self, method: Any, defaults: CallDefaults, wrap: Callable[[Any, Message | None], Any]
    ) -> None:
        self._method = method
        self._defaults = defaults
        self._wrap = wrap

    def __call__(
        self,
        request: Any = None,
        timeout: float | None = None,
        metadata: _Metadata | None = None,
        **options: Any,
    ) -> Any:
        single = with_request_id(request) if isinstance(request, Message) else None
        pairs = tuple(self._defaults.metadata(metadata))
        call = self._method(single or request, timeout=timeout, metadata=pairs, **options)
        return self._wrap(call, single)


class _SyncUpload:
    """A grpc.StreamUnaryMultiCallable."""

    def __init__(self, method: grpc.StreamUnaryMultiCallable[Any, Any], defaults: CallDefaults) -> None:
        self._method = method
        self._defaults = defaults

    def __call__(
        self,
        requests: Iterator[Message],
        timeout: float | None = None,
        metadata: _Metadata | None = None,
        **options: Any,
    ) -> Any:
        try:
            return self._method(requests, timeout, tuple(self._defaults.metadata(metadata)), **options)
        except grpc.RpcError as error:
            raise decode_error(error) from error

    def future(
        self,
        requests: Iterator[Message],
        timeout: float | None = None,
        metadata: _Metadata | None = None,
        **options: Any,
    ) -> _SyncCall:
        pairs = tuple(self._defaults.metadata(metadata))
        return _SyncCall(self._method.future(requests, timeout, pairs, **options), None)


class _SyncStream:
    """A grpc.Call that yields answers; everything else is the call's own."""

    def __init__(self, call: Any, request: Message | None) -> None:
        self._call = call
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return next(self._call)
        except grpc.RpcError as error:
            raise decode_error(error, self._request) from error


class _AioStream:
    """A grpc.aio call that yields answers; everything else is the call's own."""

    def __init__(self, call: Any, request: Message | None) -> None:
        self._call = call
        self._request = request

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            async for answer in self._call:
                yield answer
        except grpc.RpcError as error:
            raise decode_error(error, self._request) from error

    async def read(self) -> Any:
        try:
            return await self._call.read()
        except grpc.RpcError as error:
            raise decode_error(error, self._request) from error

    async def write(self, request: Message) -> None:
        try:
            await self._call.write(request)
        except grpc.RpcError as error:
            raise decode_error(error, self._request) from error
