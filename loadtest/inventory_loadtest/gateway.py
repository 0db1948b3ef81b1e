"""The payment gateway simulator: a real gRPC server that takes no real money.

    python -m inventory_loadtest.gateway --port 50061 --latency-ms 20 --decline-rate 0.05 --seed 1

When it serves it prints one line, `ready 127.0.0.1:50061`, and nothing else to stdout. It stops with exit
status 0 on SIGTERM or SIGINT, and with --until-stdin-closes when its stdin ends, so that it never outlives a
parent that was killed. It needs the bare package: no extra.

What it promises, as a gateway must: an operation moves money at most once. A second delivery of one that was
seen gets the answer of the first (or waits for it) and is noted in the ledger as absorbed. The same
operation_id with another content is INVALID_ARGUMENT.

What it does wrong is told by `gateway_script`. A *duplicate*, for a unary call, is the network's doing: the
request arrives a second time while the first is under way, and that delivery's answer goes nowhere. The
books must absorb it.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
import threading
from collections import Counter, defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import grpc
import grpc.aio

from inventory_client import v1
from inventory_loadtest.gateway_books import Account
from inventory_loadtest.gateway_ledger import LedgerWriter, OperationRequest, kind_of
from inventory_loadtest.gateway_script import Rates, Reply, Script, script_of

STOP_GRACE_S = 0.2

_Context = grpc.aio.ServicerContext[Any, Any]


@dataclass
class _Operation:
    """An operation that was seen: what was asked, and the tasks that give the first answer and the last."""

    request: OperationRequest
    answer: asyncio.Task[v1.Outcome]
    ending: asyncio.Task[v1.Outcome]

    def outcome(self) -> v1.Outcome:
        """What can be said of it now: how it ended, else PENDING."""
        return (
            self.ending.result()
            if self.ending.done()
            else v1.Outcome(result=v1.GatewayResult.GATEWAY_RESULT_PENDING)
        )


class Simulator(v1.PaymentGatewayServiceServicer):
    """The servicer. Operations live as long as the process does.

    Args:
        rates: how often what goes wrong.
        ledger: where money that moved is noted.
    """

    def __init__(self, rates: Rates, ledger: LedgerWriter) -> None:
        self._rates = rates
        self._ledger = ledger
        self._accounts: defaultdict[tuple[str, str], Account] = defaultdict(Account)
        self._operations: dict[str, _Operation] = {}
        self._refused: Counter[str] = Counter()

    async def Purchase(self, request: v1.PurchaseRequest, context: _Context) -> v1.PurchaseResponse:  # noqa: N802
        """Take the money, or do what the script has instead; so with the other kinds."""
        return v1.PurchaseResponse(outcome=await self._act(request, context))

    async def Authorize(self, request: v1.AuthorizeRequest, context: _Context) -> v1.AuthorizeResponse:  # noqa: N802
        return v1.AuthorizeResponse(outcome=await self._act(request, context))

    async def Capture(self, request: v1.CaptureRequest, context: _Context) -> v1.CaptureResponse:  # noqa: N802
        return v1.CaptureResponse(outcome=await self._act(request, context))

    async def Void(self, request: v1.VoidRequest, context: _Context) -> v1.VoidResponse:  # noqa: N802
        return v1.VoidResponse(outcome=await self._act(request, context))

    async def Refund(self, request: v1.RefundRequest, context: _Context) -> v1.RefundResponse:  # noqa: N802
        return v1.RefundResponse(outcome=await self._act(request, context))

    async def Confirm(self, request: v1.ConfirmRequest, context: _Context) -> v1.ConfirmResponse:  # noqa: N802
        return v1.ConfirmResponse(outcome=await self._act(request, context))

    async def GetOperation(  # noqa: N802 - the name in the protos
        self, request: v1.GetOperationRequest, context: _Context
    ) -> v1.GetOperationResponse:
        """Say what became of an operation; never delayed, lost or refused."""
        seen = self._operations.get(request.operation_id)
        outcome = seen.outcome() if seen else v1.Outcome(result=v1.GatewayResult.GATEWAY_RESULT_NEVER_SEEN)
        return v1.GetOperationResponse(outcome=outcome)

    async def _act(self, request: OperationRequest, context: _Context) -> v1.Outcome:
        if not request.operation_id:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "operation_id is absent")
        account = self._accounts[request.store_id, request.payment_id]
        if isinstance(request, v1.PurchaseRequest | v1.AuthorizeRequest):
            account.begin(request)
        script = script_of(
            kind_of(request), request.order_id, request.payment_id, account.payment_method, self._rates
        )
        seen = self._operations.get(request.operation_id)
        if seen is None and self._refused[request.operation_id] < script.refusals:
            self._refused[request.operation_id] += 1
            self._ledger.refused(request)
            await context.abort(grpc.StatusCode.UNAVAILABLE, "simulated outage: not seen")
        if seen is not None and seen.request != request:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "operation_id was used for something else")
        outcome = await self._deliver(request, script, account)
        if seen is None and script.reply is Reply.LOST:
            await context.abort(grpc.StatusCode.UNAVAILABLE, "simulated loss of the reply")
        if seen is None and script.reply is Reply.NEVER:
            await asyncio.Event().wait()  # until the caller's deadline cancels this call
        return outcome

    async def _deliver(self, request: OperationRequest, script: Script, account: Account) -> v1.Outcome:
        """Begin the operation, or absorb the delivery of one that was begun; return the first answer."""
        seen = self._operations.get(request.operation_id)
        if seen is None:
            # Tasks of their own: a caller that goes away doesn't undo the money's move.
            ending = asyncio.create_task(self._end(request, script, account))
            answer = asyncio.create_task(_first_answer(ending, script))
            seen = self._operations[request.operation_id] = _Operation(request, answer, ending)
            if script.twice:
                await self._deliver(request, script, account)
        else:
            self._ledger.absorbed(request)
        outcome = await asyncio.shield(seen.answer)
        return seen.outcome() if seen.ending.done() else outcome

    async def _end(self, request: OperationRequest, script: Script, account: Account) -> v1.Outcome:
        """Bring an operation to its end, in time."""
        await asyncio.sleep(script.delay_s + script.pending_s)
        outcome, taken_minor = account.end(request, script)
        self._ledger.settled(request, outcome.result, taken_minor)
        return outcome


async def _first_answer(ending: asyncio.Task[v1.Outcome], script: Script) -> v1.Outcome:
    if script.pending_s == 0:
        return await asyncio.shield(ending)
    await asyncio.sleep(script.delay_s)
    return v1.Outcome(result=v1.GatewayResult.GATEWAY_RESULT_PENDING)


async def serve(address: str, rates: Rates, ledger: LedgerWriter, *, until_stdin_closes: bool) -> None:
    """Serve until a signal comes or stdin ends.

    Args:
        address: `host:port`; port 0 = a free one, which the line on stdout names.
        rates: how often what goes wrong.
        ledger: where money that moved is noted.
        until_stdin_closes: whether the end of stdin stops it too.
    Raises: RuntimeError if the address can't be bound.
    """
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])  # a port that is taken is an error
    v1.add_PaymentGatewayServiceServicer_to_server(Simulator(rates, ledger), server)
    host = address.rpartition(":")[0]
    port = server.add_insecure_port(address)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if until_stdin_closes:
        threading.Thread(target=_wait_for_end_of_stdin, args=(loop, stop), daemon=True).start()
    await server.start()
    sys.stdout.write(f"ready {host}:{port}\n")
    sys.stdout.flush()
    await stop.wait()
    await server.stop(STOP_GRACE_S)


def _wait_for_end_of_stdin(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    with suppress(OSError):  # a stdin that was never open has ended, too
        while os.read(0, 4096):
            pass
    with suppress(RuntimeError):  # the loop is closed: it stopped for another reason
        loop.call_soon_threadsafe(stop.set)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m inventory_loadtest.gateway",
        description="A payment gateway that takes no real money, and fails as often as it is told.",
    )
    parser.add_argument("--host", default="127.0.0.1", help="where to listen (default: %(default)s)")
    parser.add_argument("--port", type=int, default=0, help="0 = a free one (default)")
    parser.add_argument("--latency-ms", type=float, default=20.0, help="of every operation (%(default)s)")
    parser.add_argument("--decline-rate", type=float, default=0.0, help="share declined, 0 to 1")
    parser.add_argument("--lost-reply-rate", type=float, default=0.0, help="share whose answer is lost")
    parser.add_argument("--duplicate-rate", type=float, default=0.0, help="share delivered twice")
    parser.add_argument("--outage-rate", type=float, default=0.0, help="share of deliveries refused unseen")
    parser.add_argument("--seed", type=int, default=1, help="what chance depends on (%(default)s)")
    parser.add_argument("--ledger", type=Path, help="a JSONL file to note in what became of the money")
    parser.add_argument("--until-stdin-closes", action="store_true", help="stop when stdin ends")
    return parser.parse_args()


def main() -> None:
    """Run the simulator with the process's arguments; exit status 2 for a wrong one, 1 if it can't serve."""
    given = _arguments()
    if not 0 <= given.port <= 65535:
        _fail(2, f"--port must be 0 to 65535, not {given.port}")
    try:
        rates = Rates(
            latency_ms=given.latency_ms,
            decline_rate=given.decline_rate,
            lost_reply_rate=given.lost_reply_rate,
            duplicate_rate=given.duplicate_rate,
            outage_rate=given.outage_rate,
            seed=given.seed,
        )
    except ValueError as error:
        _fail(2, str(error))
    try:
        ledger = LedgerWriter(given.ledger)
    except OSError as error:
        _fail(1, f"the ledger can't be written: {error}")
    address = f"{given.host}:{given.port}"
    try:
        asyncio.run(serve(address, rates, ledger, until_stdin_closes=given.until_stdin_closes))
    except RuntimeError:
        _fail(1, f"can't listen at {address}")
    finally:
        ledger.close()


def _fail(status: int, message: str) -> NoReturn:
    sys.stderr.write(f"payment gateway simulator: {message}\n")
    sys.exit(status)


if __name__ == "__main__":
    main()
