"""Both transactions of a payment, and the gateway's call between them.

The call and transaction 2 run in a task of their own: gRPC cancels a handler when its caller goes away, and
money that was taken must be recorded all the same.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

import structlog

from inventory_server.domain.commands import BeginPayment, ClaimOperation, SettlePayment
from inventory_server.domain.decide_payment import PaymentBegun
from inventory_server.domain.payment import OperationState, Payment
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import DeadlinePassed, NotDecided
from inventory_server.payments.gateway import (
    Gateway,
    GatewayResult,
    InDoubt,
    NeverSent,
    Outcome,
    Purchase,
)
from inventory_server.uuid7 import uuid7

log = structlog.get_logger(__name__)

# Past the gateway's deadline, so that nobody asks about an operation whose caller still waits for it.
LEASE_MARGIN_S = 2.0
ASK_PAUSE_S = 1.0
SETTLE_DEADLINE_S = 5.0
SETTLE_PAUSE_S = 0.5

_SETTLES_AS = {
    GatewayResult.ACCEPTED: OperationState.ACCEPTED,
    GatewayResult.DECLINED: OperationState.DECLINED,
    GatewayResult.REQUIRES_ACTION: OperationState.REQUIRES_ACTION,
}


class PaymentProcessor:
    """Takes payments; also settles, for the reconciler, those that were left in doubt."""

    def __init__(self, engine: Engine, gateway: Gateway | None, *, gateway_timeout_s: float) -> None:
        self._engine = engine
        self._gateway = gateway
        self._gateway_timeout_s = gateway_timeout_s
        self._tasks: set[asyncio.Task[Payment]] = set()

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
        deadline_s: float,
    ) -> Payment:
        """Allocate the order unless it is, call the gateway, and settle.

        Args:
            amount_minor: in the order's currency; 0 only where the order costs nothing.
            deadline_s: seconds the caller still waits; past it the payment goes on without them.
        Returns: the payment as it stands: CAPTURED, DECLINED, FAILED, REQUIRES_ACTION, or PROCESSING where
            the gateway's answer is in doubt. The same payment_id again: its current state, at once.
        Raises: what Engine.change raises for BeginPayment; DeadlinePassed, and the payment goes on.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + deadline_s
        command = BeginPayment(
            order_id=order_id,
            payment_id=payment_id,
            amount_minor=amount_minor,
            payment_method=payment_method,
            operation_id=str(uuid7()),
            reservation_id=str(uuid7()),
            lease_s=self.lease_s,
            has_gateway=self._gateway is not None,
        )
        begun: PaymentBegun = await self._engine.change(store_id, command, deadline_s=deadline_s)
        if not begun.is_ours:
            return begun.payment
        task = self._start(store_id, begun.payment)
        try:
            async with asyncio.timeout(max(0.0, until - loop.time())):
                return await asyncio.shield(task)
        except TimeoutError as error:
            raise DeadlinePassed from error

    async def settle_doubt(self, store_id: str, order_id: str, payment_id: str, operation_id: str) -> None:
        """Find out what became of an operation whose lease ran out, and record it.

        *Never seen* is no failure: the same operation is sent again under the same key, and that answer
        decides. Another doubt leaves it PROCESSING until the next lease runs out.
        """
        claim = ClaimOperation(order_id, payment_id, operation_id, self.lease_s)
        begun: PaymentBegun = await self._engine.change(store_id, claim, deadline_s=SETTLE_DEADLINE_S)
        if not begun.is_ours or self._gateway is None:
            return
        try:
            outcome = await self._gateway.get_operation(operation_id, timeout_s=self._gateway_timeout_s)
        except InDoubt as doubt:
            log.warning("payment_still_in_doubt", store=store_id, payment=payment_id, error=str(doubt))
            return
        if outcome.result is GatewayResult.NEVER_SEEN:
            await self._start(store_id, begun.payment, may_fail=False)
        else:
            await self._record(store_id, begun.payment, outcome)

    async def drain(self, grace_s: float) -> None:
        """Let payments in flight come to their end; what is left is the reconciler's at the next start."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=grace_s)
        for task in self._tasks:
            task.cancel()

    def _start(self, store_id: str, payment: Payment, *, may_fail: bool = True) -> asyncio.Task[Payment]:
        return self._track(asyncio.create_task(self._purchase(store_id, payment, may_fail), name="payment"))

    def _track(self, task: asyncio.Task[Payment]) -> asyncio.Task[Payment]:
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Payment]) -> None:
        self._tasks.discard(task)
        # Its caller may be gone, so nobody else would look; the reconciler finds the operation PROCESSING.
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("payment_task_failed", exc_info=error)

    async def _purchase(self, store_id: str, payment: Payment, may_fail: bool) -> Payment:
        operation = payment.operation
        if self._gateway is None or operation is None:
            return payment
        purchase = Purchase(
            operation_id=operation.operation_id,
            store_id=store_id,
            order_id=payment.order_id,
            payment_id=payment.payment_id,
            amount_minor=payment.amount_minor,
            currency=payment.currency,
            payment_method=payment.payment_method,
        )
        try:
            outcome = await self._gateway.purchase(purchase, timeout_s=self._gateway_timeout_s)
        except NeverSent as error:
            if not may_fail:  # an earlier sending of the same operation may have arrived
                return payment
            return await self._record(store_id, payment, None, str(error))
        except InDoubt as doubt:
            log.warning("payment_in_doubt", store=store_id, payment=payment.payment_id, error=str(doubt))
            self._track(asyncio.create_task(self._ask_soon(store_id, payment), name="payment in doubt"))
            return payment
        return await self._record(store_id, payment, outcome)

    async def _ask_soon(self, store_id: str, payment: Payment) -> Payment:
        """Ask once, soon, what became of an operation in doubt: a reply is lost more often than a gateway.

        Only a definite word counts here. NEVER_SEEN is none yet: what was sent may still arrive, so it is the
        reconciler's, when the lease has run out.
        """
        await asyncio.sleep(ASK_PAUSE_S)
        assert self._gateway is not None and payment.operation is not None
        try:
            operation_id = payment.operation.operation_id
            outcome = await self._gateway.get_operation(operation_id, timeout_s=LEASE_MARGIN_S)
        except InDoubt:
            return payment
        return await self._record(store_id, payment, outcome)

    async def _record(
        self, store_id: str, payment: Payment, outcome: Outcome | None, failure: str = ""
    ) -> Payment:
        """Transaction 2; None = provably never sent. Tried until it is durable or the server stops."""
        if outcome is not None and outcome.result not in _SETTLES_AS:
            return payment  # not definite: the reconciler asks when the lease has run out
        assert payment.operation is not None
        command = SettlePayment(
            order_id=payment.order_id,
            payment_id=payment.payment_id,
            operation_id=payment.operation.operation_id,
            outcome=_SETTLES_AS[outcome.result] if outcome else OperationState.FAILED,
            gateway_reference=outcome.gateway_reference if outcome else "",
            failure_reason=outcome.reason if outcome else failure,
        )
        while True:
            with suppress(NotDecided):
                settled: Payment = await self._engine.change(store_id, command, deadline_s=SETTLE_DEADLINE_S)
                return settled
            await asyncio.sleep(SETTLE_PAUSE_S)
