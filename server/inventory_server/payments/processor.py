"""Both transactions of an operation, and the gateway's call between them.

The call and transaction 2 run in a task of their own: gRPC cancels a handler when its caller goes away, and
money that was moved must be recorded all the same.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import structlog

from inventory_server.domain.decide import Replay
from inventory_server.domain.decide_payment import PaymentBegun, is_own
from inventory_server.domain.decide_settlement import Settled
from inventory_server.domain.errors import DomainError, InsufficientStock, PaymentNotFound
from inventory_server.domain.payment import Operation, OperationKind, OperationState, Payment
from inventory_server.domain.payment_commands import (
    BeginCapture,
    BeginConfirm,
    BeginPayment,
    BeginRefund,
    BeginVoid,
    ClaimOperation,
    SettlePayment,
)
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import DeadlinePassed, NotDecided
from inventory_server.engine.reads import Reader
from inventory_server.payments.gateway import Gateway, GatewayResult, InDoubt, NeverSent, Outcome, Task
from inventory_server.uuid7 import uuid7

log = structlog.get_logger(__name__)

# Past the gateway's deadline, so that nobody asks about an operation whose caller still waits for it.
LEASE_MARGIN_S = 2.0
ASK_PAUSE_S = 1.0
SETTLE_DEADLINE_S = 5.0
SETTLE_PAUSE_S = 0.5
ORDERS_KNOWN_MAX = 10_000

_SETTLES_AS = {
    GatewayResult.ACCEPTED: OperationState.ACCEPTED,
    GatewayResult.DECLINED: OperationState.DECLINED,
    GatewayResult.REQUIRES_ACTION: OperationState.REQUIRES_ACTION,
}
_Begin = BeginCapture | BeginConfirm | BeginRefund | BeginVoid


class Operated(NamedTuple):
    """A payment as it stands after a call; `replayed`: an earlier call with this request_id made it."""

    payment: Payment
    replayed: bool


_REFUSED = frozenset({OperationState.DECLINED, OperationState.FAILED})
T = TypeVar("T")


class PaymentProcessor:
    """Begins operations and sees them through; also settles, for the reconciler, those left in doubt.

    All calls take `deadline_s`, the seconds the caller still waits (past it the operation goes on without
    them), and raise what Engine.change raises for their command, and DeadlinePassed. They return the payment
    as it stands: PROCESSING where the gateway's answer is in doubt.
    """

    def __init__(
        self,
        engine: Engine,
        reader: Reader,
        gateway: Gateway | None,
        *,
        gateway_timeout_s: float,
        resolved_poll_interval_s: float,
    ) -> None:
        self._engine = engine
        self._reader = reader
        self._gateway = gateway
        self._gateway_timeout_s = gateway_timeout_s
        self._resolved_poll_interval_s = resolved_poll_interval_s
        self._tasks: set[asyncio.Task[Any]] = set()
        # (store, payment) -> order, of the last payments seen: saves a capture its look for it.
        self._orders: dict[tuple[str, str], str] = {}

    @property
    def lease_s(self) -> float:
        return self._gateway_timeout_s + LEASE_MARGIN_S

    async def pay(
        self,
        store_id: str,
        *,
        order_id: str,
        payment_id: str,
        amount_minor: int,
        payment_method: str,
        kind: OperationKind,
        deadline_s: float,
        actor: str = "",
    ) -> Payment:
        """Allocate the order unless it is, call the gateway, and settle.

        Args:
            amount_minor: in the order's currency; 0 only where the order costs nothing.
            kind: PURCHASE or AUTHORIZE.
            actor: who pays, for the log; what the gateway's word moves later is the server's own doing.
        Returns: the same payment_id again: its current state, at once.
        """
        until = asyncio.get_running_loop().time() + deadline_s
        command = BeginPayment(
            order_id=order_id,
            payment_id=payment_id,
            amount_minor=amount_minor,
            payment_method=payment_method,
            operation_id=str(uuid7()),
            reservation_id=str(uuid7()),
            lease_s=self.lease_s,
            has_gateway=self._gateway is not None,
            kind=kind,
        )
        begun, acting = await self._begin(store_id, command, deadline_s=deadline_s, actor=actor)
        self._remember(store_id, begun.payment)
        return await self._see_through(begun, acting, until)

    async def capture(
        self, store_id: str, payment_id: str, amount_minor: int, *, request_id: str, deadline_s: float
    ) -> Operated:
        """Take an authorized amount, or a part of it."""
        order_id = await self.order_of(store_id, payment_id, deadline_s=deadline_s)
        command = BeginCapture(order_id, payment_id, *self._own(), amount_minor=amount_minor)
        return await self._once(store_id, command, request_id, deadline_s)

    async def void(self, store_id: str, payment_id: str, *, request_id: str, deadline_s: float) -> Operated:
        """Let go an authorization, or what waits for the shopper."""
        order_id = await self.order_of(store_id, payment_id, deadline_s=deadline_s)
        command = BeginVoid(order_id, payment_id, *self._own())
        return await self._once(store_id, command, request_id, deadline_s)

    async def confirm(
        self, store_id: str, payment_id: str, *, request_id: str, deadline_s: float, actor: str = ""
    ) -> Operated:
        """Allocate again and let the gateway go on; where the units are gone, call the payment off.

        Args:
            actor: as in `pay`: no other of these calls moves units before the gateway's word.
        """
        order_id = await self.order_of(store_id, payment_id, deadline_s=deadline_s)
        command = BeginConfirm(order_id, payment_id, *self._own(), reservation_id=str(uuid7()))
        try:
            return await self._once(store_id, command, request_id, deadline_s, actor)
        except InsufficientStock:
            return await self._once(store_id, replace(command, or_void=True), request_id, deadline_s, actor)

    async def refund(
        self, store_id: str, payment_id: str, refund_id: str, amount_minor: int, *, deadline_s: float
    ) -> Payment:
        """Give back what was captured, or a part; the same refund_id again: the payment as it stands."""
        until = asyncio.get_running_loop().time() + deadline_s
        order_id = await self.order_of(store_id, payment_id, deadline_s=deadline_s)
        command = BeginRefund(
            order_id, payment_id, *self._own(), refund_id=refund_id, amount_minor=amount_minor
        )
        begun, acting = await self._begin(store_id, command, deadline_s=deadline_s)
        return await self._see_through(begun, acting, until)

    async def order_of(self, store_id: str, payment_id: str, *, deadline_s: float) -> str | None:
        """Return the order that a payment is of, which never changes; None where there is no such payment.

        That is for the command to refuse: an id used with other content is said first.
        """
        known = self._orders.get((store_id, payment_id))
        if known is not None:
            return known
        with suppress(PaymentNotFound):
            payment = await self._reader.payment(store_id, payment_id, deadline_s=deadline_s)
            return self._remember(store_id, payment)
        return None

    async def settle_doubt(self, store_id: str, order_id: str, payment_id: str, operation_id: str) -> None:
        """Find out what became of an operation whose lease ran out, and record it.

        *Never seen* is no failure: the same operation is sent again under the same key, and that answer
        decides. Another doubt leaves it PROCESSING until the next lease runs out. An operation that an
        administrator has ended is asked about too, but not sent again.
        """
        claim = ClaimOperation(
            order_id, payment_id, operation_id, self.lease_s, self._resolved_poll_interval_s
        )
        begun: PaymentBegun = await self._engine.change(store_id, claim, deadline_s=SETTLE_DEADLINE_S)
        if not begun.is_ours or begun.operation is None or self._gateway is None:
            return
        try:
            outcome = await self._gateway.get_operation(operation_id, timeout_s=self._gateway_timeout_s)
        except InDoubt as doubt:
            log.warning("payment_still_in_doubt", store=store_id, payment=payment_id, error=str(doubt))
            return
        if outcome.result is not GatewayResult.NEVER_SEEN:
            await self._record(store_id, begun.payment, begun.operation, outcome)
        elif begun.operation.is_in_flight:
            await self._start(store_id, begun.payment, begun.operation, may_fail=False)

    async def drain(self, grace_s: float) -> None:
        """Let operations in flight come to their end; what is left is the reconciler's at the next start."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()

    def _remember(self, store_id: str, payment: Payment) -> str:
        self._orders[store_id, payment.payment_id] = payment.order_id
        if len(self._orders) > ORDERS_KNOWN_MAX:
            del self._orders[next(iter(self._orders))]
        return payment.order_id

    def _own(self) -> tuple[str, float, bool]:
        """Return what a command brings of the server's: operation id, lease, whether there is a gateway."""
        return str(uuid7()), self.lease_s, self._gateway is not None

    async def _once(
        self, store_id: str, command: _Begin, request_id: str, deadline_s: float, actor: str = ""
    ) -> Operated:
        """Begin an operation unless this request_id began one before, and see it through."""
        until = asyncio.get_running_loop().time() + deadline_s
        verdict, acting = await self._begin(
            store_id,
            command,
            deadline_s=deadline_s,
            request_id=request_id,
            encode=_operation_id,
            actor=actor,
        )
        if isinstance(verdict, PaymentBegun):
            return Operated(await self._see_through(verdict, acting, until), replayed=False)
        assert isinstance(verdict, Replay)
        payment = await self._reader.payment(store_id, command.payment_id, deadline_s=deadline_s)
        operation = payment.operation(command.operation_id)
        if operation is None:
            return Operated(payment, replayed=True)
        # Our own, from before a lost COMMIT.
        begun = PaymentBegun(payment, operation, is_ours=is_own(operation, command))
        return Operated(await self._see_through(begun, self._act_on(store_id, begun), until), replayed=False)

    async def _begin(
        self, store_id: str, command: BeginPayment | _Begin, **how: Any
    ) -> tuple[Any, asyncio.Task[Payment] | None]:
        """Have an operation begun, and act on it, in a task of its own: its caller may go away at any time.

        Returns: the verdict, and the task that sees it through, where the operation is this command's own.
        """

        async def begin() -> tuple[Any, asyncio.Task[Payment] | None]:
            verdict = await self._engine.change(store_id, command, **how)
            begun = isinstance(verdict, PaymentBegun)
            return verdict, self._act_on(store_id, verdict) if begun else None

        return await asyncio.shield(self._track(asyncio.create_task(begin(), name="payment begins")))

    def _act_on(self, store_id: str, begun: PaymentBegun) -> asyncio.Task[Payment] | None:
        if not begun.is_ours or begun.operation is None:
            return None
        return self._start(store_id, begun.payment, begun.operation)

    async def _see_through(
        self, begun: PaymentBegun, acting: asyncio.Task[Payment] | None, until: float
    ) -> Payment:
        if acting is None:
            return begun.payment
        try:
            async with asyncio.timeout(max(0.0, until - asyncio.get_running_loop().time())):
                return await asyncio.shield(acting)
        except TimeoutError as error:
            raise DeadlinePassed from error

    def _start(
        self, store_id: str, payment: Payment, operation: Operation, *, may_fail: bool = True
    ) -> asyncio.Task[Payment]:
        acting = self._act(store_id, payment, operation, may_fail)
        return self._track(asyncio.create_task(acting, name="payment"))

    def _track(self, task: asyncio.Task[T]) -> asyncio.Task[T]:
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        # Its caller may be gone, so nobody else would look; the reconciler finds the operation PROCESSING.
        # What was refused or not decided was never begun.
        if error is not None and not isinstance(error, DomainError | NotDecided):
            log.error("payment_task_failed", exc_info=error)

    async def _act(self, store_id: str, payment: Payment, operation: Operation, may_fail: bool) -> Payment:
        if self._gateway is None:
            return payment
        try:
            task = _task(store_id, payment, operation)
            outcome = await self._gateway.perform(task, timeout_s=self._gateway_timeout_s)
        except NeverSent as error:
            if not may_fail:  # an earlier sending of the same operation may have arrived
                return payment
            return await self._record(store_id, payment, operation, None, str(error))
        except InDoubt as doubt:
            log.warning("payment_in_doubt", store=store_id, payment=payment.payment_id, error=str(doubt))
            asking = self._ask_soon(store_id, payment, operation)
            self._track(asyncio.create_task(asking, name="payment in doubt"))
            return payment
        return await self._record(store_id, payment, operation, outcome)

    async def _ask_soon(self, store_id: str, payment: Payment, operation: Operation) -> Payment:
        """Ask once, soon, what became of an operation in doubt: a reply is lost more often than a gateway.

        Only a definite word counts here. NEVER_SEEN is none yet: what was sent may still arrive, so it is the
        reconciler's, when the lease has run out.
        """
        await asyncio.sleep(ASK_PAUSE_S)
        assert self._gateway is not None
        try:
            operation_id = operation.operation_id
            outcome = await self._gateway.get_operation(operation_id, timeout_s=LEASE_MARGIN_S)
        except InDoubt:
            return payment
        return await self._record(store_id, payment, operation, outcome)

    async def _record(
        self,
        store_id: str,
        payment: Payment,
        operation: Operation,
        outcome: Outcome | None,
        failure: str = "",
    ) -> Payment:
        """Transaction 2; None = provably never sent. Tried until it is durable or the server stops."""
        if outcome is not None and outcome.result not in _SETTLES_AS:
            return payment  # the reconciler asks when the lease has run out
        command = SettlePayment(
            order_id=payment.order_id,
            payment_id=payment.payment_id,
            operation_id=operation.operation_id,
            outcome=_SETTLES_AS[outcome.result] if outcome else OperationState.FAILED,
            gateway_reference=outcome.gateway_reference if outcome else "",
            failure_reason=outcome.reason if outcome else failure,
            lapsed=outcome is not None and outcome.lapsed,
            reversal_id=str(uuid7()),
            lease_s=self.lease_s,
        )
        while True:
            with suppress(NotDecided):
                settled: Settled = await self._engine.change(store_id, command, deadline_s=SETTLE_DEADLINE_S)
                break
            await asyncio.sleep(SETTLE_PAUSE_S)
        if settled.reversal is not None:
            log.error(
                "gateway_contradicts_administrator",
                store=store_id,
                payment=payment.payment_id,
                operation=operation.operation_id,
                reversal=settled.reversal.kind,
            )
            self._start(store_id, settled.payment, settled.reversal)
        elif settled.gave_up:
            reversals = settled.payment.reversals_of(operation.operation_id)
            log.error(
                "reversals_given_up",
                store=store_id,
                payment=payment.payment_id,
                operation=operation.operation_id,
                last_reversal=reversals[-1].operation_id,
            )
        elif operation.reverses_operation_id is not None and command.outcome is not OperationState.ACCEPTED:
            # Another is begun, up to a limit, when the operation that it undoes is asked about next.
            log.error("reversal_failed", store=store_id, payment=payment.payment_id, outcome=command.outcome)
        recorded = settled.payment.operation(operation.operation_id)
        if command.outcome is OperationState.ACCEPTED and recorded and recorded.state in _REFUSED:
            # Books and gateway differ: an administrator's word, which is reversed, or a gateway that lied.
            log.error("gateway_contradicts_books", store=store_id, payment=payment.payment_id)
        return settled.payment


def _operation_id(begun: PaymentBegun) -> bytes:
    """What a request_id stands for: the operation that it began."""
    return begun.operation.operation_id.encode() if begun.operation else b""


def _task(store_id: str, payment: Payment, operation: Operation) -> Task:
    target = payment.target_of(operation)
    return Task(
        kind=operation.kind,
        operation_id=operation.operation_id,
        store_id=store_id,
        order_id=payment.order_id,
        payment_id=payment.payment_id,
        amount_minor=operation.amount_minor,
        currency=payment.currency,
        payment_method=payment.payment_method if target is None else "",
        target_operation_id=target.operation_id if target else "",
        target_reference=target.gateway_reference if target else "",
    )
