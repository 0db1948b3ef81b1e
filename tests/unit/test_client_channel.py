"""The client on a real channel: what a server sees of a call, and what the caller sees of an answer.

The server here answers what a test has scripted; the real one is met in tests/contract.
"""

from __future__ import annotations

import asyncio
import inspect
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.rpc import error_details_pb2, status_pb2

import inventory_client
from inventory_client import v1

AT_ONCE = ("grpc-retry-pushback-ms", "1")  # so that five attempts don't take their 1.5 s
# Not the client's own 5 s: a machine that others use may pause us for longer.
TIMEOUT_S = 200.0
REQUEST = v1.CreateStockTransactionRequest(product_id="tea", quantity=1)


@dataclass
class Attempt:
    """One attempt of a call, as it reached the server."""

    request: Any
    metadata: dict[str, str | bytes]
    time_remaining_s: float


@dataclass
class Scripted(v1.InventoryServiceServicer):
    """Does what the script says, one step an attempt; answers OK when it is through."""

    script: deque[Callable[[grpc.ServicerContext], object]] = field(default_factory=deque)
    attempts: list[Attempt] = field(default_factory=list)

    def CreateStockTransaction(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        metadata = {one.key: one.value for one in context.invocation_metadata()}
        self.attempts.append(Attempt(request, metadata, context.time_remaining()))
        if self.script:
            self.script.popleft()(context)
        return v1.CreateStockTransactionResponse(replayed=True)


def refuse(
    code: grpc.StatusCode, *details: Any, trailing: tuple[tuple[str, str], ...] = ()
) -> Callable[[grpc.ServicerContext], object]:
    """A step that ends the attempt with a status, as the server does it."""
    status = status_pb2.Status(code=code.value[0], message="refused")
    for detail in details:
        status.details.add().Pack(detail)

    def step(context: grpc.ServicerContext) -> None:
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()), *trailing))
        context.abort(code, "refused")

    return step


def info(reason: str, **metadata: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain="inventory-service", metadata=metadata)


@dataclass
class Server:
    """A scripted server that listens."""

    target: str
    servicer: Scripted


@pytest.fixture
def scripted() -> Iterator[Server]:
    """A server on loopback with an empty script."""
    servicer = Scripted()
    listening = grpc.server(ThreadPoolExecutor(8))
    v1.add_InventoryServiceServicer_to_server(servicer, listening)
    port = listening.add_insecure_port("127.0.0.1:0")
    listening.start()
    yield Server(f"127.0.0.1:{port}", servicer)
    listening.stop(grace=None).wait()


class Callers:
    """Calls CreateStockTransaction through the one or the other client, so that a law is tested for both."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._sync = ExitStack()
        self._aio: list[inventory_client.AioClient] = []

    async def __call__(
        self, target: str, request: Any = REQUEST, *, store: str | None = None, **given: Any
    ) -> Any:
        if self.kind == "aio":
            aio = inventory_client.connect_aio(target, store=store, timeout_s=TIMEOUT_S)
            self._aio.append(aio)
            return await aio.inventory.CreateStockTransaction(request, **given)
        client = inventory_client.connect(target, store=store, timeout_s=TIMEOUT_S)
        sync = self._sync.enter_context(client)
        return await asyncio.to_thread(sync.inventory.CreateStockTransaction, request, **given)

    async def close(self) -> None:
        self._sync.close()
        for client in self._aio:
            await client.close()


@pytest.fixture(params=["sync", "aio"])
async def call(request: pytest.FixtureRequest) -> AsyncIterator[Callers]:
    callers = Callers(request.param)
    yield callers
    await callers.close()


async def test_a_call_without_a_deadline_gets_one(call: Callers, scripted: Server) -> None:
    """The server sees the client's, 5 s unless it is told, where the call names none; else the call's own."""
    assert (await call(scripted.target)).replayed
    await call(scripted.target, timeout=60)

    by_default, own = scripted.servicer.attempts
    # Rounded up on the wire: 60 s arrived as 60.1 s.
    assert 100 < by_default.time_remaining_s < 210
    assert 0 < own.time_remaining_s < 62
    for connect in (inventory_client.connect, inventory_client.connect_aio):
        assert inspect.signature(connect).parameters["timeout_s"].default == 5


async def test_the_store_reaches_the_server(call: Callers, scripted: Server) -> None:
    """The client's store goes with every call; the call's own metadata is kept, and its store wins."""
    await call(scripted.target, store="north", metadata=(("x-trace", "7"),))
    await call(scripted.target, store="north", metadata=(("x-inventory-store", "south"),))
    await call(scripted.target)

    first, second, third = [attempt.metadata for attempt in scripted.servicer.attempts]
    assert (first["x-inventory-store"], first["x-trace"]) == ("north", "7")
    assert second["x-inventory-store"] == "south"
    assert "x-inventory-store" not in third


async def test_the_request_id_is_kept_over_retries(call: Callers, scripted: Server) -> None:
    """UNAVAILABLE is tried again with the same request_id; the next call has another one."""
    scripted.servicer.script.extend([refuse(grpc.StatusCode.UNAVAILABLE, trailing=(AT_ONCE,))] * 2)
    await call(scripted.target)
    await call(scripted.target)

    ids = [attempt.request.request_id for attempt in scripted.servicer.attempts]
    assert len(ids) == 4
    assert ids[0] == ids[1] == ids[2] != ids[3]
    assert all(ids)
    assert REQUEST.request_id == ""


async def test_retries_end_after_five_attempts(call: Callers, scripted: Server) -> None:
    """The last UNAVAILABLE is raised with its reason, when to come back, and the request to send again."""
    pause = error_details_pb2.RetryInfo()
    pause.retry_delay.FromMilliseconds(250)
    overloaded = refuse(grpc.StatusCode.UNAVAILABLE, info("OVERLOADED"), pause, trailing=(AT_ONCE,))
    scripted.servicer.script.extend([overloaded] * 9)

    with pytest.raises(inventory_client.Overloaded) as raised:
        await call(scripted.target)

    assert len(scripted.servicer.attempts) == 5
    assert raised.value.retryable
    assert raised.value.retry_after_s == 0.25
    assert raised.value.request == scripted.servicer.attempts[0].request


async def test_the_same_can_be_sent_again(call: Callers, scripted: Server) -> None:
    """`error.request` is a repeat of the call, by its request_id; a call with the first message isn't."""
    scripted.servicer.script.append(
        refuse(grpc.StatusCode.UNAVAILABLE, trailing=(("grpc-retry-pushback-ms", "-1"),))
    )
    with pytest.raises(inventory_client.Unavailable) as raised:
        await call(scripted.target)
    await call(scripted.target, raised.value.request)

    first, second = scripted.servicer.attempts
    assert first.request == second.request


async def test_the_server_says_when_to_retry(call: Callers, scripted: Server) -> None:
    """`grpc-retry-pushback-ms` takes the place of the client's own backoff."""
    pushback = ("grpc-retry-pushback-ms", "400")
    scripted.servicer.script.append(refuse(grpc.StatusCode.UNAVAILABLE, trailing=(pushback,)))
    start_s = time.monotonic()
    await call(scripted.target)

    assert time.monotonic() - start_s >= 0.4
    assert len(scripted.servicer.attempts) == 2


async def test_a_final_refusal_is_not_repeated(call: Callers, scripted: Server) -> None:
    """Sold out is raised after one attempt, with the short lines; the RpcError is its cause."""
    shortages = [v1.StockShortage(product_id=f"product-{n:04}", requested=2, available=1) for n in range(150)]
    details = [info("INSUFFICIENT_STOCK", shortage_count="300"), *shortages[:40]]
    scripted.servicer.script.append(refuse(grpc.StatusCode.FAILED_PRECONDITION, *details))

    with pytest.raises(inventory_client.InsufficientStock) as raised:
        await call(scripted.target)

    error = raised.value
    assert len(scripted.servicer.attempts) == 1
    assert (error.code, error.message) == (grpc.StatusCode.FAILED_PRECONDITION, "refused")
    assert error.reason == v1.ErrorReason.ERROR_REASON_INSUFFICIENT_STOCK
    assert (error.shortages, error.shortage_count) == (shortages[:40], 300)
    assert not error.retryable
    assert isinstance(error.__cause__, grpc.RpcError)
    assert not isinstance(error, grpc.RpcError)


async def test_a_deadline_is_not_retried(call: Callers, scripted: Server) -> None:
    """No answer in time is DeadlineExceeded, after one attempt, with the request to send again."""
    done = threading.Event()
    scripted.servicer.script.append(lambda _: done.wait(60))
    try:
        for timeout_s in (0.3, 1, 5):  # the first may be over before it is there
            with pytest.raises(inventory_client.DeadlineExceeded) as raised:
                await call(scripted.target, timeout=timeout_s)
            if scripted.servicer.attempts:
                break
    finally:
        done.set()

    assert raised.value.retryable
    assert len(scripted.servicer.attempts) == 1
    assert raised.value.request == scripted.servicer.attempts[0].request


async def test_the_deadline_is_for_all_attempts_together(call: Callers, scripted: Server) -> None:
    """Retries don't prolong a call: the caller has its error when the time is over."""
    in_an_hour = ("grpc-retry-pushback-ms", "3600000")
    scripted.servicer.script.extend([refuse(grpc.StatusCode.UNAVAILABLE, trailing=(in_an_hour,))] * 9)
    async with asyncio.timeout(60):
        for timeout_s in (0.3, 1, 5):  # the first may be over before it is there
            with pytest.raises(inventory_client.DeadlineExceeded):
                await call(scripted.target, timeout=timeout_s)
            if scripted.servicer.attempts:
                break

    assert len(scripted.servicer.attempts) == 1


async def test_a_server_that_is_not_there(call: Callers) -> None:
    """The transport's own error is Unavailable too: no reason, but a class to catch."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        target = f"127.0.0.1:{free.getsockname()[1]}"
        with pytest.raises(inventory_client.Unavailable) as raised:
            await call(target, timeout=60)

    assert raised.value.reason_name == ""
    assert raised.value.retryable


async def test_a_status_of_cancelled(call: Callers, scripted: Server) -> None:
    """CANCELLED from the other side is an error of the call, not a cancellation of the caller's task."""
    scripted.servicer.script.append(refuse(grpc.StatusCode.CANCELLED))
    with pytest.raises(inventory_client.Cancelled):
        await call(scripted.target)


async def test_a_server_of_grpc_aio_is_retried_too() -> None:
    """How grpc.aio ends a call before its first byte still counts as an attempt that may be repeated."""
    seen: list[str] = []

    class Busy(v1.InventoryServiceServicer):
        async def CreateStockTransaction(self, request: Any, context: Any) -> Any:  # noqa: N802
            seen.append(request.request_id)
            if len(seen) < 3:
                context.set_trailing_metadata((AT_ONCE,))
                await context.abort(grpc.StatusCode.UNAVAILABLE, "busy")
            return v1.CreateStockTransactionResponse()

    listening = grpc.aio.server()
    v1.add_InventoryServiceServicer_to_server(Busy(), listening)
    port = listening.add_insecure_port("127.0.0.1:0")
    await listening.start()
    async with inventory_client.connect_aio(f"127.0.0.1:{port}", timeout_s=TIMEOUT_S) as client:
        await client.inventory.CreateStockTransaction(REQUEST)
    await listening.stop(grace=None)

    assert len(seen) == 3
    assert len(set(seen)) == 1


async def test_an_aio_call_can_be_asked_and_cancelled(scripted: Server) -> None:
    """What a call object of grpc.aio offers is there, the raw status included."""
    details = [info("STOCK_NOT_FOUND")]
    scripted.servicer.script.append(refuse(grpc.StatusCode.NOT_FOUND, *details))
    async with inventory_client.connect_aio(scripted.target, timeout_s=TIMEOUT_S) as client:
        refused = client.inventory.CreateStockTransaction(REQUEST)
        assert await refused.code() is grpc.StatusCode.NOT_FOUND
        assert await refused.details() == "refused"
        for _ in range(2):
            with pytest.raises(inventory_client.StockNotFound):
                await refused

        reached, done = threading.Event(), threading.Event()
        scripted.servicer.script.append(lambda _: (reached.set(), done.wait(60)))
        try:
            waiting = asyncio.ensure_future(client.inventory.CreateStockTransaction(REQUEST))
            await asyncio.to_thread(reached.wait, 60)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
        finally:
            done.set()

        answered = client.inventory.CreateStockTransaction(REQUEST)
        assert (await answered).replayed
        assert await answered.code() is grpc.StatusCode.OK


def test_a_sync_call_as_a_future(scripted: Server) -> None:
    """`.future()` doesn't wait; its result, exception and callback know the InventoryError."""
    scripted.servicer.script.append(refuse(grpc.StatusCode.NOT_FOUND, info("STOCK_NOT_FOUND")))
    with inventory_client.connect(scripted.target, timeout_s=TIMEOUT_S) as client:
        refused = client.inventory.CreateStockTransaction.future(REQUEST)
        called_back: list[Any] = []
        heard = threading.Event()
        refused.add_done_callback(lambda done: (called_back.append(done), heard.set()))
        with pytest.raises(inventory_client.StockNotFound):
            refused.result(60)
        error = refused.exception()
        assert isinstance(error, inventory_client.StockNotFound)
        assert isinstance(error.__cause__, grpc.RpcError)
        assert refused.code() is grpc.StatusCode.NOT_FOUND
        assert heard.wait(60)
        assert called_back == [refused]

        answered = client.inventory.CreateStockTransaction.future(REQUEST)
        assert answered.result(60).replayed
        assert answered.exception() is None


def test_a_sync_call_with_its_call(scripted: Server) -> None:
    """`.with_call()` answers the response and the call, and raises as the plain call does."""
    scripted.servicer.script.append(refuse(grpc.StatusCode.NOT_FOUND, info("STOCK_NOT_FOUND")))
    with inventory_client.connect(scripted.target, timeout_s=TIMEOUT_S) as client:
        with pytest.raises(inventory_client.StockNotFound):
            client.inventory.CreateStockTransaction.with_call(REQUEST)
        response, call = client.inventory.CreateStockTransaction.with_call(REQUEST)
        assert response.replayed
        assert call.code() is grpc.StatusCode.OK


def test_a_closed_client_says_so(scripted: Server) -> None:
    """A call after close() is a mistake of the program, not an InventoryError."""
    with inventory_client.connect(scripted.target, timeout_s=TIMEOUT_S) as client:
        pass
    with pytest.raises(ValueError, match="closed channel"):
        client.inventory.CreateStockTransaction(REQUEST)


def test_under_gevent(scripted: Server) -> None:
    """With gevent waiting calls share one thread: eight are with the server at once, or none is answered."""
    pytest.importorskip("gevent")
    together = threading.Barrier(8)
    scripted.servicer.script.extend([lambda _: together.wait(60)] * 8)
    scripted.servicer.script.append(refuse(grpc.StatusCode.NOT_FOUND, info("STOCK_NOT_FOUND")))
    program = Path(__file__).with_name("client_under_gevent.py")
    ended = subprocess.run(
        [sys.executable, str(program), scripted.target],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.split() == ["8", "answered", "StockNotFound"]
