"""Many reservations at the price of few calls: a session for concurrent callers, a batch for a list."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

import grpc

from inventory_client.errors import DeadlineExceeded, Internal, InventoryError, Unavailable, error_of
from inventory_client.v1.inventory_service_pb2 import ReserveStockRequest
from inventory_client.v1.reservation_calls_pb2 import (
    BatchReserveStockRequest,
    BatchReserveStockResponse,
    ReserveStockItem,
    ReserveStockStreamRequest,
    ReserveStockStreamResponse,
)
from inventory_client.v1.reservation_pb2 import Reservation

if TYPE_CHECKING:
    from inventory_client.v1.inventory_service_pb2_grpc import InventoryServiceAsyncStub

ITEMS_MAX = 1_000
"""Reservations in one message, as the server takes them."""
LINES_MAX = 10_000
"""Lines of one message's reservations together, as the server takes them."""
ITEM_BYTES_MAX = 1024 * 1024
"""Above what any reservation has that the server takes: 1,000 lines of the longest names are a quarter."""
MESSAGE_BYTES_MAX = 3 * 1024 * 1024
"""A message of a session; the server takes 4 MiB."""
BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 2.0
ITEM_TIMEOUT_S_MAX = 300


def parts(requests: Iterable[ReserveStockRequest]) -> Iterator[list[ReserveStockRequest]]:
    """Cut reservations into messages that the server takes: ITEMS_MAX reservations, LINES_MAX lines."""
    part: list[ReserveStockRequest] = []
    line_count = 0
    for request in requests:
        if len(part) == ITEMS_MAX or (part and line_count + len(request.lines) > LINES_MAX):
            yield part
            part, line_count = [], 0
        part.append(request)
        line_count += len(request.lines)
    if part:
        yield part


def item_of(item_id: str, request: ReserveStockRequest) -> ReserveStockItem:
    """Make an item of a request: the same fields, under a name of its own."""
    item = ReserveStockItem(
        item_id=item_id, reservation_id=request.reservation_id, lines=request.lines, order_id=request.order_id
    )
    match request.WhichOneof("expiry"):
        case "ttl":
            item.ttl.CopyFrom(request.ttl)
        case "expire_time":
            item.expire_time.CopyFrom(request.expire_time)
        case "never_expires":
            item.never_expires = request.never_expires
    return item


def batch_of(part: Sequence[ReserveStockRequest]) -> BatchReserveStockRequest:
    """Make the request of a part's batch; items are named by their place."""
    return BatchReserveStockRequest(items=[item_of(str(n), request) for n, request in enumerate(part)])


def verdicts_of(answer: BatchReserveStockResponse) -> list[Reservation | InventoryError]:
    """Return what each item of a batch was told, in the order asked for."""
    return [
        verdict.result if verdict.HasField("result") else error_of(verdict.error)
        for verdict in answer.verdicts
    ]


class _Asked:
    """A reservation that a caller waits for."""

    __slots__ = ("answer", "byte_count", "item", "until_s")

    def __init__(
        self, item: ReserveStockItem, byte_count: int, answer: asyncio.Future[Reservation], until_s: float
    ) -> None:
        self.item = item
        self.byte_count = byte_count
        self.answer = answer
        self.until_s = until_s


class ReserveSession:
    """ReserveStock for many concurrent callers: what they ask at the same time goes together, on one stream.

    Made by `AioClient.reserve_session()`; it belongs to the event loop it was made in. A stream that breaks
    is opened again, and what is unanswered is sent again under the same ids, until each caller's deadline.
    """

    def __init__(self, stub: InventoryServiceAsyncStub, timeout_s: float) -> None:
        self._stub = stub
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._names = map(str, itertools.count())
        self._asked: dict[str, _Asked] = {}
        self._unsent: dict[str, None] = {}  # in the order in which they were asked
        self._news = asyncio.Event()
        self._was_answered = False
        self._is_closed = False
        self._running = asyncio.create_task(self._run())
        self._running.add_done_callback(self._end)

    async def reserve(self, request: ReserveStockRequest, timeout_s: float | None = None) -> Reservation:
        """Reserve, all lines or none, as `ReserveStock` does.

        Args:
            request: its `reservation_id` makes it repeatable.
            timeout_s: seconds, > 0, all attempts together; None = the client's.
        Returns: the reservation, HELD; or its current state where it was made before.
        Raises: InventoryError, as ReserveStock; DeadlineExceeded: its outcome is unknown. ValueError where
            the session is closed; RuntimeError in another event loop than the session's.
        """
        if self._is_closed:
            raise ValueError("the session is closed")
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            raise RuntimeError("the session belongs to another event loop")
        timeout_s = self._timeout_s if timeout_s is None else timeout_s
        name = next(self._names)
        item = item_of(name, request)
        byte_count = item.ByteSize()
        if byte_count > ITEM_BYTES_MAX or len(item.lines) > LINES_MAX:
            # No server takes it, and on the stream its refusal would be everybody's.
            return (await self._stub.ReserveStock(request, timeout=timeout_s)).reservation
        asked = _Asked(item, byte_count, loop.create_future(), loop.time() + timeout_s)
        # A fraction of what asyncio.timeout costs.
        timer = loop.call_later(timeout_s, _pass_deadline, asked, request, timeout_s)
        self._asked[name] = asked
        self._send(name)
        try:
            return await asked.answer
        finally:
            timer.cancel()
            self._asked.pop(name, None)
            self._unsent.pop(name, None)

    async def close(self) -> None:
        """End the stream. What is unanswered ends as Unavailable: its outcome is unknown."""
        self._running.cancel()
        await asyncio.wait([self._running])

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _send(self, name: str) -> None:
        if name in self._asked:
            self._unsent[name] = None
            self._news.set()

    async def _run(self) -> None:
        """Keep a stream open; after a break, all that is unanswered is sent again."""
        backoff_s = BACKOFF_S_MIN
        while True:
            self._was_answered = False
            try:
                await self._converse()
                error: InventoryError = Unavailable("the stream ended", code=grpc.StatusCode.UNAVAILABLE)
            except InventoryError as broken:
                error = broken
            # INTERNAL is what grpc.aio itself says when a connection breaks under a write.
            if not (error.retryable or isinstance(error, Internal)):
                # Nobody's request by itself: a store that isn't there, a caller who may not.
                self._fail(error)
            backoff_s = BACKOFF_S_MIN if self._was_answered else min(BACKOFF_S_MAX, 2 * backoff_s)
            await asyncio.sleep(error.retry_after_s or backoff_s)
            self._unsent = dict.fromkeys(self._asked)

    async def _converse(self) -> None:
        """Ask and hear on one stream, until it ends. Raises: InventoryError."""
        call = self._stub.ReserveStockStream()
        # Not an iterator of requests: gRPC would go on to take from it after the stream broke.
        writing = asyncio.create_task(self._write(call))
        try:
            async for response in call:
                self._was_answered = True
                self._settle(response)
        finally:
            writing.cancel()
            call.cancel()
            await asyncio.gather(writing, return_exceptions=True)  # what broke it, the reader says

    async def _write(self, call: Any) -> None:
        """Send what is unsent, as much at a time as there is, whenever the stream has room."""
        while True:
            while not self._unsent:
                self._news.clear()
                await self._news.wait()
            await asyncio.sleep(0)  # who was woken by the same answer asks now too
            await call.write(ReserveStockStreamRequest(items=self._take()))

    def _take(self) -> list[ReserveStockItem]:
        now_s = self._loop.time()
        items: list[ReserveStockItem] = []
        line_count = byte_count = 0
        while self._unsent and len(items) < ITEMS_MAX:
            name = next(iter(self._unsent))
            asked = self._asked[name]
            line_count += len(asked.item.lines)
            byte_count += asked.byte_count
            if items and (line_count > LINES_MAX or byte_count > MESSAGE_BYTES_MAX):
                break
            del self._unsent[name]
            # Rounded up: those that are waited for equally long have a timer together at the server.
            tenths = max(1, ceil(10 * min(ITEM_TIMEOUT_S_MAX, asked.until_s - now_s)))
            timeout = asked.item.timeout
            timeout.seconds, tenths = divmod(tenths, 10)
            timeout.nanos = tenths * 100_000_000
            items.append(asked.item)
        return items

    def _settle(self, response: ReserveStockStreamResponse) -> None:
        for verdict in response.verdicts:
            asked = self._asked.get(verdict.item_id)
            if asked is None or asked.answer.done():
                continue  # its caller has gone
            if verdict.HasField("result"):
                asked.answer.set_result(verdict.result)
                continue
            error = error_of(verdict.error)
            if isinstance(error, Unavailable):
                delay_s = error.retry_after_s or BACKOFF_S_MIN
                self._loop.call_later(delay_s, self._send, verdict.item_id)
            else:
                asked.answer.set_exception(error)

    def _end(self, running: asyncio.Task[None]) -> None:
        """Leave nobody waiting, whatever ended it: a close, or a channel that was closed below it."""
        self._is_closed = True
        defect = None if running.cancelled() else running.exception()
        self._fail(defect or Unavailable("the session was closed", code=grpc.StatusCode.UNAVAILABLE))

    def _fail(self, error: BaseException) -> None:
        for asked in self._asked.values():
            if not asked.answer.done():
                asked.answer.set_exception(error)


def _pass_deadline(asked: _Asked, request: ReserveStockRequest, timeout_s: float) -> None:
    if not asked.answer.done():
        message = f"no verdict within {timeout_s:g} s"
        asked.answer.set_exception(
            DeadlineExceeded(message, code=grpc.StatusCode.DEADLINE_EXCEEDED, request=request)
        )
