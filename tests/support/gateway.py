"""A payment gateway that answers when a test says so, on a real channel: what orders an interleaving."""

from __future__ import annotations

import queue
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc

from inventory_client import v1

WAIT_S = 20.0
_R = v1.GatewayResult


class Visit:
    """A purchase that waits at the gateway for its answer."""

    def __init__(self, request: v1.PurchaseRequest) -> None:
        self.request = request
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

    def _end(self, result: v1.GatewayResult.ValueType, reason: str = "") -> None:
        reference = f"ref-{self.request.payment_id}"
        self.answer.put(v1.Outcome(result=result, gateway_reference=reference, decline_reason=reason))


class StagedGateway(v1.PaymentGatewayServiceServicer):
    """Every purchase waits until a test answers it; tests are told apart by their stores."""

    def __init__(self) -> None:
        self.seen: dict[str, list[v1.PurchaseRequest]] = defaultdict(list)
        self._visits: dict[str, queue.Queue[Visit]] = defaultdict(queue.Queue)
        self._open: list[Visit] = []

    def next(self, store: str) -> Visit:
        """Wait for the store's next purchase."""
        return self._visits[store].get(timeout=WAIT_S)

    def Purchase(self, request: v1.PurchaseRequest, context: Any) -> v1.PurchaseResponse:  # noqa: N802
        visit = Visit(request)
        self.seen[request.store_id].append(request)
        self._open.append(visit)
        self._visits[request.store_id].put(visit)
        answer = visit.answer.get(timeout=WAIT_S)
        if isinstance(answer, grpc.StatusCode):
            context.abort(answer, "the test lost this reply")
        return v1.PurchaseResponse(outcome=answer)

    def GetOperation(  # noqa: N802
        self, request: v1.GetOperationRequest, context: Any
    ) -> v1.GetOperationResponse:
        return v1.GetOperationResponse(outcome=v1.Outcome(result=_R.GATEWAY_RESULT_PENDING))

    def let_go(self) -> None:
        """Answer whoever still waits, so that the server can stop."""
        for visit in self._open:
            visit.decline()


@contextmanager
def serving(gateway: v1.PaymentGatewayServiceServicer, address: str = "127.0.0.1:0") -> Iterator[str]:
    """Serve a gateway on the loopback; yield its address."""
    with ThreadPoolExecutor(max_workers=32, thread_name_prefix="gateway") as pool:
        server = grpc.server(pool, options=[("grpc.so_reuseport", 0)])
        v1.add_PaymentGatewayServiceServicer_to_server(gateway, server)
        port = server.add_insecure_port(address)
        server.start()
        try:
            yield f"127.0.0.1:{port}"
        finally:
            if isinstance(gateway, StagedGateway):
                gateway.let_go()
            server.stop(1.0).wait()
