"""The payment gateway over gRPC: users implement `inventory.v1.PaymentGatewayService`, this calls it.

What decides about money here: an error is NeverSent only before the call was handed to a channel; from then
on whatever is no answer is InDoubt, be it called UNAVAILABLE or UNIMPLEMENTED.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
from google.protobuf.message import Message

from inventory_client.v1 import payment_gateway_service_pb2 as pb
from inventory_client.v1.payment_gateway_service_pb2_grpc import PaymentGatewayServiceStub
from inventory_server.domain.payment import OperationKind
from inventory_server.payments.gateway import GatewayResult, InDoubt, NeverSent, Outcome, Task
from inventory_server.rpc.address import need_loopback

CONNECT_TIMEOUT_S = 2.0
REFERENCE_BYTES_MAX = 128
REASON_BYTES_MAX = 512
ANSWER_BYTES_MAX = 64 * 1024

_OPTIONS = [
    # A repeat is ours to decide: the reconciler sends it, under the same id.
    ("grpc.enable_retries", 0),
    ("grpc.max_receive_message_length", ANSWER_BYTES_MAX),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.http2.ping_timeout_ms", 10_000),
    # Back within a second when the gateway is: the default waits up to two minutes.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
]
_RESULTS = {
    pb.GATEWAY_RESULT_ACCEPTED: GatewayResult.ACCEPTED,
    pb.GATEWAY_RESULT_DECLINED: GatewayResult.DECLINED,
    pb.GATEWAY_RESULT_REQUIRES_ACTION: GatewayResult.REQUIRES_ACTION,
    pb.GATEWAY_RESULT_PENDING: GatewayResult.PENDING,
    pb.GATEWAY_RESULT_NEVER_SEEN: GatewayResult.NEVER_SEEN,
}
_REQUESTS: dict[OperationKind, type[Message]] = {
    OperationKind.PURCHASE: pb.PurchaseRequest,
    OperationKind.AUTHORIZE: pb.AuthorizeRequest,
    OperationKind.CAPTURE: pb.CaptureRequest,
    OperationKind.VOID: pb.VoidRequest,
    OperationKind.REFUND: pb.RefundRequest,
    OperationKind.CONFIRM: pb.ConfirmRequest,
}


class GrpcGateway:
    """A Gateway at an address. Make it inside the event loop that uses it.

    Args:
        address: host:port, on the loopback (plaintext).
        connect_timeout_s: how long a call may wait for the channel to be ready, > 0.
    Raises: AddressRefused for an address that is not on the loopback.
    """

    def __init__(self, address: str, *, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        need_loopback(address.rpartition(":")[0], "payment gateway")
        self._connect_timeout_s = connect_timeout_s
        self._channel = grpc.aio.insecure_channel(address, options=_OPTIONS)
        # The first payment need not wait for the connection, nor fail where the machine is slow to make it.
        self._channel.get_state(try_to_connect=True)
        self._stub = PaymentGatewayServiceStub(self._channel)
        self._methods: dict[OperationKind, Callable[..., Awaitable[Any]]] = {
            kind: getattr(self._stub, kind.value.capitalize()) for kind in OperationKind
        }

    async def perform(self, task: Task, *, timeout_s: float) -> Outcome:
        """See Gateway.perform."""
        loop = asyncio.get_running_loop()
        deadline_at_s = loop.time() + timeout_s
        await self._wait_ready(timeout_s)
        outcome = await _ask(self._methods[task.kind], _request(task), deadline_at_s - loop.time())
        if outcome.result is GatewayResult.NEVER_SEEN:
            raise InDoubt("the gateway answered an operation with NEVER_SEEN")
        return outcome

    async def get_operation(self, operation_id: str, *, timeout_s: float) -> Outcome:
        """See Gateway.get_operation."""
        request = pb.GetOperationRequest(operation_id=operation_id)
        return await _ask(self._stub.GetOperation, request, timeout_s)

    async def close(self) -> None:
        """See Gateway.close."""
        await self._channel.close()

    async def _wait_ready(self, timeout_s: float) -> None:
        try:
            async with asyncio.timeout(min(timeout_s, self._connect_timeout_s)):
                await self._channel.channel_ready()
        except (TimeoutError, grpc.aio.UsageError) as error:
            raise NeverSent("the payment gateway could not be reached") from error


def _request(task: Task) -> Message:
    """Return the request of the task's kind; each has of the task's fields those that it needs."""
    request = _REQUESTS[task.kind]
    values = task._asdict()
    return request(**{name: values[name] for name in request.DESCRIPTOR.fields_by_name})


async def _ask(method: Callable[..., Awaitable[Any]], request: Message, timeout_s: float) -> Outcome:
    """Call and await the answer; whatever else comes is doubt."""
    try:
        answer = await method(request, timeout=timeout_s)
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        # close() ends calls in flight like this, though nobody cancelled whoever waits for them
        raise InDoubt("the connection to the payment gateway was closed") from error
    except grpc.aio.AioRpcError as error:
        raise InDoubt(f"the payment gateway answered {error.code().name}") from error
    except grpc.aio.UsageError as error:
        raise InDoubt("the connection to the payment gateway is closed") from error
    if answer is None:
        # grpc.aio's way to hand on bytes that it cannot parse (it logs them itself)
        raise InDoubt("the payment gateway's answer could not be read")
    return _outcome(answer.outcome)


def _outcome(answer: pb.Outcome) -> Outcome:
    result = _RESULTS.get(answer.result)
    if result is None:
        raise InDoubt(f"the payment gateway answered with an unknown result ({answer.result})")
    return Outcome(
        result,
        _cut(answer.gateway_reference, REFERENCE_BYTES_MAX),
        _cut(answer.decline_reason, REASON_BYTES_MAX),
        answer.authorization_lapsed,
    )


def _cut(text: str, bytes_max: int) -> str:
    """Shorten a text to whole characters; NUL, which PostgreSQL's text has not, goes too."""
    return text.replace("\0", "").encode()[:bytes_max].decode(errors="ignore")
