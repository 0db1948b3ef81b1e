"""Connecting: a channel that retries, and on it the generated stubs of both services."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar, cast
from weakref import WeakSet

import grpc
import grpc.aio
from google.protobuf.message import Message

from inventory_client.calls import CallDefaults, Token, need_local
from inventory_client.channel import AioChannel, SyncChannel
from inventory_client.errors import InventoryError, Unavailable
from inventory_client.reading import Pages, Watch
from inventory_client.reserving import ReserveSession, batch_of, parts, verdicts_of
from inventory_client.tls import Tls
from inventory_client.v1 import checkout_service_pb2, inventory_service_pb2
from inventory_client.v1.checkout_service_pb2_grpc import CheckoutServiceStub
from inventory_client.v1.inventory_service_pb2 import ReserveStockRequest
from inventory_client.v1.inventory_service_pb2_grpc import InventoryServiceStub
from inventory_client.v1.reservation_pb2 import Reservation
from inventory_client.v1.watch_pb2 import WatchStockRequest, WatchStockResponse

if TYPE_CHECKING:
    from inventory_client.v1.checkout_service_pb2_grpc import CheckoutServiceAsyncStub
    from inventory_client.v1.inventory_service_pb2_grpc import InventoryServiceAsyncStub

_Request = TypeVar("_Request", bound=Message)
_Page = TypeVar("_Page", bound=Message)

TIMEOUT_S = 5.0
"""The deadline of a call that names none, all its attempts together; the server's own is the same."""

SERVICE_CONFIG = {
    "methodConfig": [
        {
            "name": [
                {"service": module.DESCRIPTOR.services_by_name[name].full_name}
                for module, name in (
                    (inventory_service_pb2, "InventoryService"),
                    (checkout_service_pb2, "CheckoutService"),
                )
            ],
            # UNAVAILABLE alone: after DEADLINE_EXCEEDED no time is left to try again in. Every call takes
            # effect at most once, so all of them may be repeated. gRPC allows no more than 5 attempts; they
            # stand about 0.1, 0.2, 0.4 and 0.8 s apart, unless the server asks for another time
            # (`grpc-retry-pushback-ms` in the trailing metadata, gRFC A6).
            "retryPolicy": {
                "maxAttempts": 5,
                "initialBackoff": "0.1s",
                "maxBackoff": "1s",
                "backoffMultiplier": 2,
                "retryableStatusCodes": ["UNAVAILABLE"],
            },
        }
    ],
    # Under lasting overload retries would multiply the load by 5. A process with 500 failures that no
    # successes have made up for (10 to 1) doesn't retry that server until they have (gRFC A6).
    "retryThrottling": {"maxTokens": 1000, "tokenRatio": 0.1},
}
"""How gRPC retries, by its service config; given to the channel, so that a name server can't change it."""


def channel_options() -> list[tuple[str, str | int]]:
    """The options of a channel that retries, notices a dead server, and finds it again when it is back."""
    return [
        ("grpc.service_config", json.dumps(SERVICE_CONFIG)),
        ("grpc.service_config_disable_resolution", 1),
        # A connection that went silent is noticed 30 s into a call, instead of never. The last is what counts
        # where nothing comes at all; it is a minute unless it is said.
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.http2.ping_timeout_ms", 10_000),
        # A server that comes back is found within 2 s; gRPC's own limit is 120 s.
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2_000),
        ("grpc.min_reconnect_backoff_ms", 2_000),
        # Without it all channels of a process to one server share a connection: its flow control, and of
        # several server processes on one port the one that it happened to meet.
        ("grpc.use_local_subchannel_pool", 1),
        # The service is internal, often on loopback: a proxy for the way out must not catch its calls.
        ("grpc.enable_http_proxy", 0),
    ]


class Client:
    """The services, for threads and for gevent. Made by `connect()`; safe to share between threads.

    Attributes:
        inventory: the generated stub of InventoryService.
        checkout: the generated stub of CheckoutService.
        channel: what the stubs call through; for further stubs, such as that of the health service.
    """

    inventory: InventoryServiceStub
    checkout: CheckoutServiceStub

    def __init__(self, channel: grpc.Channel) -> None:
        self.channel = channel
        self.inventory = InventoryServiceStub(channel)
        self.checkout = CheckoutServiceStub(channel)

    def reserve_many(
        self, requests: Iterable[ReserveStockRequest], timeout_s: float | None = None
    ) -> list[Reservation | InventoryError]:
        """Reserve many times in few calls, each reservation by itself: a refused one changes nothing.

        Args:
            requests: any number; of each call's thousand all must be well-formed.
            timeout_s: seconds, > 0, for each call, all its attempts; None = the client's.
        Returns: for each request, in order, its reservation, or the error that ReserveStock would have
            raised. A call that fails gives its error to all of its reservations.
        """
        told: list[Reservation | InventoryError] = []
        for part in parts(requests):
            try:
                answer = self.inventory.BatchReserveStock(batch_of(part), timeout=timeout_s)
                told += verdicts_of(answer)
            except InventoryError as error:
                told += [error] * len(part)
        return told

    def pages(self, call: Callable[[_Request], _Page], request: _Request) -> Iterator[_Page]:
        """Yield the pages of a list, from the one that the request asks for to the last.

        Args:
            call: one of the stubs' List calls.
            request: stays as it is.
        Raises: InventoryError, as the call.
        """
        listed = Pages(request)
        goes_on = True
        while goes_on:
            page = call(cast(_Request, listed.request))
            goes_on = listed.goes_on(page)
            yield page

    def watch(self, request: WatchStockRequest) -> Iterator[WatchStockResponse]:
        """Yield the messages of WatchStock without end: a stream that breaks is gone on with from its token.

        Args:
            request: where to begin, and whose changes; stays as it is.
        Returns: a generator; close it, or leave the loop, and the watch is over. The `resume_token` of the
            last message that was yielded goes on after it, in another process too.
        Raises: ResumeTokenExpired, StoreNotFound, InvalidField: what is not mended by trying again.
        """
        watched = Watch(request)
        while True:
            call: Any = self.inventory.WatchStock(watched.request)
            error: InventoryError = Unavailable("the watch ended", code=grpc.StatusCode.UNAVAILABLE)
            try:
                for message in call:
                    watched.take(message)
                    yield message
            except InventoryError as broken:
                error = broken
            finally:
                call.cancel()
            time.sleep(watched.pause_s(error))

    def close(self) -> None:
        """Close the connection. Calls in flight end as CANCELLED: their outcome is unknown."""
        self.channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


class AioClient:
    """The services, for asyncio. Made by `connect_aio()`; belongs to the event loop it was made in.

    Attributes:
        inventory: the generated stub of InventoryService; its calls are awaited.
        checkout: the generated stub of CheckoutService; its calls are awaited.
        channel: what the stubs call through; for further stubs, such as that of the health service.
    """

    inventory: InventoryServiceAsyncStub
    checkout: CheckoutServiceAsyncStub

    def __init__(self, channel: grpc.aio.Channel, timeout_s: float = TIMEOUT_S) -> None:
        self.channel = channel
        self._timeout_s = timeout_s
        self._sessions: WeakSet[ReserveSession] = WeakSet()
        self.inventory = InventoryServiceStub(channel)
        self.checkout = CheckoutServiceStub(channel)

    async def reserve_many(
        self, requests: Iterable[ReserveStockRequest], timeout_s: float | None = None
    ) -> list[Reservation | InventoryError]:
        """Reserve many times in few calls: as `Client.reserve_many`."""
        told: list[Reservation | InventoryError] = []
        for part in parts(requests):
            try:
                answer = await self.inventory.BatchReserveStock(batch_of(part), timeout=timeout_s)
                told += verdicts_of(answer)
            except InventoryError as error:
                told += [error] * len(part)
        return told

    def reserve_session(self) -> ReserveSession:
        """Open a session: what its callers ask at the same time goes over one stream, packed.

        Returns: the session; `await` its close(), or use it in an `async with`.
        """
        session = ReserveSession(self.inventory, self._timeout_s)
        self._sessions.add(session)
        return session

    async def pages(
        self, call: Callable[[_Request], Awaitable[_Page]], request: _Request
    ) -> AsyncIterator[_Page]:
        """Yield the pages of a list: as `Client.pages`."""
        listed = Pages(request)
        goes_on = True
        while goes_on:
            page = await call(cast(_Request, listed.request))
            goes_on = listed.goes_on(page)
            yield page

    async def watch(self, request: WatchStockRequest) -> AsyncIterator[WatchStockResponse]:
        """Yield WatchStock's messages without end: as `Client.watch`; end it by `contextlib.aclosing`."""
        watched = Watch(request)
        while True:
            call: Any = self.inventory.WatchStock(watched.request)
            error: InventoryError = Unavailable("the watch ended", code=grpc.StatusCode.UNAVAILABLE)
            try:
                async for message in call:
                    watched.take(message)
                    yield message
            except InventoryError as broken:
                error = broken
            finally:
                call.cancel()
            await asyncio.sleep(watched.pause_s(error))

    async def close(self) -> None:
        """Close the connection and its sessions. Calls in flight are cancelled: their outcome is unknown."""
        for session in list(self._sessions):
            await session.close()
        await self.channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()


def connect(
    target: str,
    *,
    store: str | None = None,
    timeout_s: float = TIMEOUT_S,
    actor: str | None = None,
    tls: Tls | None = None,
    token: Token | None = None,
) -> Client:
    """Connect to a server, for threads and for gevent.

    Args:
        target: `host:port`, or another gRPC name. A server that isn't there shows at the first call.
        store: the store of all calls, 1..128 visible ASCII characters; None = the server decides (`default`).
            A call with `x-inventory-store` in its own `metadata=` names another.
        timeout_s: seconds, > 0, for a call without a `timeout=` of its own, all its attempts together. Calls
            with a stream have no deadline but their own.
        actor: who acts, for the log: 1..128 visible ASCII characters; None = not said.
        token: the credential, sent with every call; a callable is asked before each, for tokens that are
            renewed. In plaintext it goes to this machine alone.
        tls: how the server is known, and we to it; None = plaintext, which stays on one machine.
    Returns: the client, which has a connection of its own; close it, or use it in a `with`.
    Raises: ValueError for a store, a timeout, an actor or a token out of range, OSError for a file of
        `tls` that cannot be read. Its calls raise `InventoryError`.
    Effects: each call gets the deadline, the store, and a `request_id` where its request has that field and
        it is empty; UNAVAILABLE is tried again, up to 5 attempts, with the same request_id.
        With gevent, call `grpc.experimental.gevent.init_gevent()` first.
    """
    defaults = CallDefaults(store, timeout_s, actor, token)
    if token is not None and tls is None:
        need_local(target)
    if tls is None:
        channel = grpc.insecure_channel(target, channel_options())
    else:
        channel = grpc.secure_channel(target, tls.credentials(), channel_options() + tls.options())
    return Client(cast(grpc.Channel, SyncChannel(channel, defaults)))


def connect_aio(
    target: str,
    *,
    store: str | None = None,
    timeout_s: float = TIMEOUT_S,
    actor: str | None = None,
    tls: Tls | None = None,
    token: Token | None = None,
) -> AioClient:
    """Connect to a server, for asyncio: as `connect()`, to be called in the running event loop.

    Returns: the client; `await` its close(), or use it in an `async with`.
    """
    defaults = CallDefaults(store, timeout_s, actor, token)
    if token is not None and tls is None:
        need_local(target)
    if tls is None:
        channel = grpc.aio.insecure_channel(target, channel_options())
    else:
        channel = grpc.aio.secure_channel(target, tls.credentials(), channel_options() + tls.options())
    return AioClient(cast(grpc.aio.Channel, AioChannel(channel, defaults)), timeout_s)
