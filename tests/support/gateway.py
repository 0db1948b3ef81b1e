"""A payment gateway that answers when a test says so, on a real channel: what orders an interleaving."""

from __future__ import annotations

import math
import queue
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from inventory_client import v1
from support.polling import WAIT_S

_R = v1.GatewayResult


class Visit:
    """An operation that waits at the gateway for its answer."""

    def __init__(self, request: Any) -> None:
        self.request = request
        self.kind = request.DESCRIPTOR.name.removesuffix("Request")
        self.answer: queue.Queue[v1.Outcome | grpc.StatusCode] = queue.Queue()

    def accept(self) -> None:
        self._end(_R.GATEWAY_RESULT_ACCEPTED)

    def decline(self) -> None:
        self._end(_R.GATEWAY_RESULT_DECLINED, "declined by the test")

    def ask_the_shopper(self) -> None:
        self._end(_R.GATEWAY_RESULT_REQUIRES_ACTION)

    def lose_the_reply(self) -> None:
        """Fail the call; whether money moved is left open."""
        self.answer.put(grpc.StatusCode.UNAVAILABLE)

    def lapse(self) -> None:
        """Decline it, since there is no authorization any more."""
        self._end(_R.GATEWAY_RESULT_DECLINED, "it has lapsed", authorization_lapsed=True)

    def leave_it_pending(self) -> None:
        self._end(_R.GATEWAY_RESULT_PENDING)

    def _end(self, result: v1.GatewayResult.ValueType, reason: str = "", **more: Any) -> None:
        reference = f"ref-{self.request.payment_id}"
        self.answer.put(v1.Outcome(result=result, gateway_reference=reference, decline_reason=reason, **more))


class StagedGateway(v1.PaymentGatewayServiceServicer):
    """Every operation waits until a test answers it; tests are told apart by their stores.

    Asked about an operation it says PENDING, or what the test has put into `said`.
    """

    def __init__(self) -> None:
        self.seen: dict[str, list[Visit]] = defaultdict(list)
        self.said: dict[str, v1.GatewayResult.ValueType] = {}
        self._visits: dict[str, queue.Queue[Visit]] = defaultdict(queue.Queue)
        self._open: list[Visit] = []

    def next(self, store: str) -> Visit:
        """Wait for the store's next operation."""
        return self._visits[store].get(timeout=WAIT_S)

    def Purchase(self, request: v1.PurchaseRequest, context: Any) -> v1.PurchaseResponse:  # noqa: N802
        return v1.PurchaseResponse(outcome=self._wait(request, context))

    def Authorize(self, request: v1.AuthorizeRequest, context: Any) -> v1.AuthorizeResponse:  # noqa: N802
        return v1.AuthorizeResponse(outcome=self._wait(request, context))

    def Capture(self, request: v1.CaptureRequest, context: Any) -> v1.CaptureResponse:  # noqa: N802
        return v1.CaptureResponse(outcome=self._wait(request, context))

    def Void(self, request: v1.VoidRequest, context: Any) -> v1.VoidResponse:  # noqa: N802
        return v1.VoidResponse(outcome=self._wait(request, context))

    def Refund(self, request: v1.RefundRequest, context: Any) -> v1.RefundResponse:  # noqa: N802
        return v1.RefundResponse(outcome=self._wait(request, context))

    def Confirm(self, request: v1.ConfirmRequest, context: Any) -> v1.ConfirmResponse:  # noqa: N802
        return v1.ConfirmResponse(outcome=self._wait(request, context))

    def GetOperation(  # noqa: N802
        self, request: v1.GetOperationRequest, context: Any
    ) -> v1.GetOperationResponse:
        result = self.said.get(request.operation_id, _R.GATEWAY_RESULT_PENDING)
        return v1.GetOperationResponse(outcome=v1.Outcome(result=result))

    def _wait(self, request: Any, context: Any) -> v1.Outcome:
        visit = Visit(request)
        self.seen[request.store_id].append(visit)
        self._open.append(visit)
        self._visits[request.store_id].put(visit)
        answer = visit.answer.get(timeout=WAIT_S)
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "the test lost this reply")
        assert isinstance(answer, v1.Outcome)
        return answer

    def let_go(self) -> None:
        """Answer whoever still waits, so that the server can stop."""
        for visit in self._open:
            visit.decline()


class ToldGateway(StagedGateway):
    """Answers at once, as the payment method tells it: see `support.machine.payments`.

    What it was `down` for stays PENDING for whoever asks: an administrator has to end it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str], str] = {}

    def _wait(self, request: Any, context: Any) -> v1.Outcome:
        kind = request.DESCRIPTOR.name.removesuffix("Request").lower()
        payment = (request.store_id, request.payment_id)
        if kind in ("purchase", "authorize"):
            self._told[payment] = request.payment_method
            how = request.payment_method
        else:
            told = self._told[payment]
            how = told.removeprefix(f"{kind}-") if told.startswith(f"{kind}-") else "accept"
        if how == "down":
            context.abort(grpc.StatusCode.UNAVAILABLE, "down")
        result = {
            "decline": _R.GATEWAY_RESULT_DECLINED,
            "requires-action": _R.GATEWAY_RESULT_REQUIRES_ACTION,
        }.get(how, _R.GATEWAY_RESULT_ACCEPTED)
        return v1.Outcome(result=result, gateway_reference=request.payment_id)


class GatedGateway(v1.PaymentGatewayServiceServicer):
    """Hands what comes on to another gateway, but keeps purchases when so many have passed. Close it."""

    def __init__(self, address: str) -> None:
        self._channel = grpc.insecure_channel(address)
        self._behind = v1.PaymentGatewayServiceStub(self._channel)
        self._changed = threading.Condition()
        self._came_count = 0
        self._passing_count: float = 0

    def wait_for_one_kept(self, passing_count: int) -> float:
        """Let so many purchases pass, and wait until there is one more; return when it was (monotonic)."""
        with self._changed:
            self._passing_count = passing_count
            self._changed.notify_all()
            is_there = self._changed.wait_for(lambda: self._came_count > passing_count, WAIT_S)
            assert is_there, f"only {self._came_count} purchases came"
            return time.monotonic()

    def open(self) -> None:
        """Let everything pass."""
        with self._changed:
            self._passing_count = math.inf
            self._changed.notify_all()

    def Purchase(self, request: v1.PurchaseRequest, context: Any) -> v1.PurchaseResponse:  # noqa: N802
        with self._changed:
            self._came_count += 1
            number = self._came_count
            self._changed.notify_all()
            self._changed.wait_for(lambda: number <= self._passing_count)
        return self._behind.Purchase(request)

    def GetOperation(  # noqa: N802
        self, request: v1.GetOperationRequest, context: Any
    ) -> v1.GetOperationResponse:
        return self._behind.GetOperation(request)

    def close(self) -> None:
        self._channel.close()


@contextmanager
def serving(gateway: v1.PaymentGatewayServiceServicer, address: str = "127.0.0.1:0") -> Iterator[str]:
    """Serve a gateway on the loopback, also at an address that is reserved; yield its address."""
    with ThreadPoolExecutor(max_workers=32, thread_name_prefix="gateway") as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 1)])
        v1.add_PaymentGatewayServiceServicer_to_server(gateway, server)
        port = server.add_insecure_port(address)
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            if isinstance(gateway, StagedGateway):
                gateway.let_go()
            server.stop(1.0).wait()
