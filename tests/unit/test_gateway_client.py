"""The payment gateway's client: what is an answer, what is doubt, and what was provably never sent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import grpc
import pytest

from inventory_client.v1 import payment_gateway_service_pb2 as pb
from inventory_server.domain.payment import OperationKind
from inventory_server.payments.gateway import GatewayResult, InDoubt, NeverSent, Outcome, Task
from inventory_server.rpc.address import AddressRefused
from inventory_server.rpc.gateway_client import REASON_BYTES_MAX, REFERENCE_BYTES_MAX, GrpcGateway

PURCHASE = Task(OperationKind.PURCHASE, "op-1", "default", "o-1", "p-1", 1_250, "EUR", "token")
REFUND = Task(
    OperationKind.REFUND, "op-2", "default", "o-1", "p-1", 50, "EUR", "", "op-1", "ref"
)  # fmt: skip
ACCEPTED = pb.Outcome(result=pb.GATEWAY_RESULT_ACCEPTED, gateway_reference="ref")

METHODS = [*(kind.capitalize() for kind in OperationKind), "GetOperation"]

Act = Callable[[bytes, Any], Awaitable[bytes]]


class Scripted:
    """A gateway that answers every method with the bytes, or does what, the test says."""

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.act: Act = self._answer
        self.answer = pb.PurchaseResponse(outcome=ACCEPTED).SerializeToString()

    async def _answer(self, _data: bytes, _context: Any) -> bytes:
        return self.answer

    async def handle(self, data: bytes, context: Any) -> bytes:
        self.seen.append(data)
        return await self.act(data, context)


@pytest.fixture
async def served() -> AsyncIterator[tuple[Scripted, GrpcGateway]]:
    scripted = Scripted()
    server = grpc.aio.server()
    handler: Any = grpc.unary_unary_rpc_method_handler(scripted.handle)
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "inventory.v1.PaymentGatewayService", dict.fromkeys(METHODS, handler)
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    gateway = GrpcGateway(f"127.0.0.1:{port}", connect_timeout_s=60)
    yield scripted, gateway
    await gateway.close()
    await server.stop(None)


Served = tuple[Scripted, GrpcGateway]


def outcome(result: Any, **fields: str) -> bytes:
    """Both responses have one shape on the wire."""
    return pb.PurchaseResponse(outcome=pb.Outcome(result=result, **fields)).SerializeToString()


async def both(gateway: GrpcGateway, timeout_s: float = 60) -> list[Outcome | BaseException]:
    """Purchase and ask; return what came of each."""
    return [
        *await asyncio.gather(
            gateway.perform(PURCHASE, timeout_s=timeout_s),
            gateway.get_operation("op-1", timeout_s=timeout_s),
            return_exceptions=True,
        )
    ]


async def test_a_purchase_goes_out_whole(served: Served) -> None:
    """Every field of the purchase reaches the gateway; its answer comes back."""
    scripted, gateway = served
    assert await gateway.perform(PURCHASE, timeout_s=60) == Outcome(GatewayResult.ACCEPTED, "ref")
    assert pb.PurchaseRequest.FromString(scripted.seen[0]) == pb.PurchaseRequest(
        operation_id="op-1",
        store_id="default",
        order_id="o-1",
        payment_id="p-1",
        amount_minor=1_250,
        currency="EUR",
        payment_method="token",
    )


@pytest.mark.parametrize("kind", OperationKind)
async def test_each_kind_goes_to_its_method(served: Served, kind: OperationKind) -> None:
    """Every kind has its method and says what it goes on with; the method of payment is the first's alone."""
    scripted, gateway = served
    assert (await gateway.perform(REFUND._replace(kind=kind), timeout_s=60)).result == "ACCEPTED"
    request = getattr(pb, f"{kind.capitalize()}Request").FromString(scripted.seen[0])
    assert (request.operation_id, request.amount_minor, request.currency) == ("op-2", 50, "EUR")
    if kind not in (OperationKind.PURCHASE, OperationKind.AUTHORIZE):
        assert (request.target_operation_id, request.target_reference) == ("op-1", "ref")


async def test_a_lapsed_authorization_is_told(served: Served) -> None:
    """A capture that is declined because the authorization has run out says so."""
    scripted, gateway = served
    lapsed = pb.Outcome(result=pb.GATEWAY_RESULT_DECLINED, authorization_lapsed=True)
    scripted.answer = pb.CaptureResponse(outcome=lapsed).SerializeToString()
    assert await both(gateway) == [Outcome(GatewayResult.DECLINED, lapsed=True)] * 2


@pytest.mark.parametrize("result", ["ACCEPTED", "DECLINED", "REQUIRES_ACTION", "PENDING"])
async def test_answers_are_answers(served: Served, result: str) -> None:
    """Each result that means something is passed on, with its reference and reason."""
    scripted, gateway = served
    scripted.answer = outcome(
        pb.GatewayResult.Value(f"GATEWAY_RESULT_{result}"), gateway_reference="r", decline_reason="why"
    )
    expected = Outcome(GatewayResult(result), "r", "why")
    assert await both(gateway) == [expected, expected]


async def test_never_seen_is_an_answer_to_a_question_alone(served: Served) -> None:
    """GetOperation may say NEVER_SEEN; a purchase answered so is in doubt."""
    scripted, gateway = served
    scripted.answer = outcome(pb.GATEWAY_RESULT_NEVER_SEEN)
    purchased, asked = await both(gateway)
    assert isinstance(purchased, InDoubt)
    assert asked == Outcome(GatewayResult.NEVER_SEEN)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(outcome(pb.GATEWAY_RESULT_UNSPECIFIED), id="unspecified"),
        pytest.param(outcome(99), id="unknown"),
        pytest.param(b"", id="no outcome"),
        pytest.param(b"\xff\xff\xff", id="no message"),
        pytest.param(b"\x0a" + b"\xff" * 10, id="overlong"),
        pytest.param(outcome(pb.GATEWAY_RESULT_ACCEPTED, decline_reason="x" * 65_536), id="too long"),
    ],
)
async def test_what_is_no_answer_is_doubt(served: Served, answer: bytes) -> None:
    """UNSPECIFIED, an unknown result and bytes that are no message count as no answer at all."""
    scripted, gateway = served
    scripted.answer = answer
    assert [type(came) for came in await both(gateway)] == [InDoubt, InDoubt]


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
async def test_every_error_is_doubt(served: Served, code: grpc.StatusCode) -> None:
    """Once the call was handed to a channel that was ready, no status proves that it moved no money."""
    scripted, gateway = served

    async def fail(_data: bytes, context: Any) -> bytes:
        await context.abort(code, "no")
        raise AssertionError

    scripted.act = fail
    assert [type(came) for came in await both(gateway)] == [InDoubt, InDoubt]


async def test_silence_is_doubt(served: Served) -> None:
    """An answer that does not come in time is in doubt, in that time."""
    scripted, gateway = served

    async def wait(_data: bytes, _context: Any) -> bytes:
        await asyncio.Event().wait()
        return b""

    await both(gateway)  # it is connected from here on
    scripted.act = wait
    async with asyncio.timeout(60):
        assert [type(came) for came in await both(gateway, timeout_s=0.2)] == [InDoubt, InDoubt]


async def test_a_closed_connection_is_doubt(served: Served) -> None:
    """close() while a call is in flight leaves it in doubt; whoever is cancelled himself stays cancelled."""
    scripted, gateway = served
    came = asyncio.Event()

    async def wait(_data: bytes, _context: Any) -> bytes:
        came.set()
        await asyncio.Event().wait()
        return b""

    scripted.act = wait
    cancelled = asyncio.create_task(gateway.perform(PURCHASE, timeout_s=60))
    await came.wait()
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    came.clear()
    waiting = asyncio.create_task(gateway.perform(PURCHASE, timeout_s=60))
    await came.wait()
    await gateway.close()
    with pytest.raises(InDoubt):
        await waiting


async def test_a_gateway_that_is_not_there() -> None:
    """Nobody listens: a purchase was never sent, within connect_timeout_s; a question is in doubt."""
    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        gateway = GrpcGateway(f"127.0.0.1:{deaf.getsockname()[1]}", connect_timeout_s=0.2)
        async with asyncio.timeout(60):
            assert [type(came) for came in await both(gateway, timeout_s=3600)] == [NeverSent, InDoubt]
            await gateway.close()
            assert [type(came) for came in await both(gateway, timeout_s=3600)] == [NeverSent, InDoubt]


async def test_a_gateway_that_listens_and_says_nothing() -> None:
    """A connection without HTTP/2 behind it is never ready: the purchase was never sent."""
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        gateway = GrpcGateway(f"127.0.0.1:{mute.getsockname()[1]}", connect_timeout_s=0.2)
        assert [type(came) for came in await both(gateway, timeout_s=0.5)] == [NeverSent, InDoubt]
        await gateway.close()


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("x" * 127, "x" * 127),
        ("x" * 128, "x" * 128),
        ("x" * 129, "x" * 128),
        ("x" * 127 + "\u00e9", "x" * 127),
        ("x" * 126 + "\u00e9", "x" * 126 + "\u00e9"),
        ("x" * 125 + "\U0001f600", "x" * 125),
        ("a\0b", "ab"),
    ],
)
async def test_references_are_cut_at_whole_characters(served: Served, text: str, kept: str) -> None:
    """Of a reference 128 bytes are kept and of a reason 512, never half a character, never a NUL."""
    scripted, gateway = served
    padding = "y" * (REASON_BYTES_MAX - REFERENCE_BYTES_MAX)
    scripted.answer = outcome(
        pb.GATEWAY_RESULT_DECLINED, gateway_reference=text, decline_reason=padding + text
    )
    declined = Outcome(GatewayResult.DECLINED, kept, padding + kept)
    assert await both(gateway) == [declined, declined]


@pytest.mark.parametrize("address", ["10.0.0.1:443", "gateway.example.com:443", "0.0.0.0:1", "127.0.0.1"])
async def test_only_the_loopback_is_called(address: str) -> None:
    """Payments go in plaintext, so they stay on this machine."""
    with pytest.raises(AddressRefused, match="payment gateway"):
        GrpcGateway(address)
