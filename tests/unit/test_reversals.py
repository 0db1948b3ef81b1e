"""A gateway that contradicts an administrator and declines what undoes it, over weeks of a clock by hand."""

from __future__ import annotations

from typing import Any, cast

from structlog.testing import capture_logs

from inventory_server.domain.limits import RESOLVED_POLL_S_MAX, REVERSALS_PER_OPERATION_MAX
from inventory_server.domain.order import CartItem
from inventory_server.domain.payment import OperationState, Payment
from inventory_server.domain.payment_commands import ResolvePayment
from inventory_server.engine.engine import Engine
from inventory_server.engine.reads import Reader
from inventory_server.payments.gateway import GatewayResult, Outcome, Task
from inventory_server.payments.processor import PaymentProcessor
from support.world import World


class WorldEngine:
    """An engine whose store is a World."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def change(self, _store_id: str, command: Any, *, deadline_s: float) -> Any:
        return self._world.do(command)


class Contrary:
    """A Gateway that accepted whatever it is asked about, and gives nothing back until it is told to."""

    gives_back = False

    async def perform(self, task: Task, *, timeout_s: float) -> Outcome:
        """See Gateway.perform."""
        return Outcome(GatewayResult.ACCEPTED if self.gives_back else GatewayResult.DECLINED)

    async def get_operation(self, operation_id: str, *, timeout_s: float) -> Outcome:
        """See Gateway.get_operation."""
        return Outcome(GatewayResult.ACCEPTED)

    async def close(self) -> None:
        """See Gateway.close."""


class Desk:
    """A purchase called failed by an administrator, and a reconciler that looks at it minute by minute."""

    def __init__(self) -> None:
        self.world = World()
        self.world.stock("a", 10)
        self.world.order("o", CartItem("a", 3, 100, None))
        self.world.begin("o", "p", 300)
        self.world.do(ResolvePayment("o", "p", "op of p", OperationState.FAILED, "seen"))
        self.gateway = Contrary()
        engine = cast(Engine, WorldEngine(self.world))
        self.processor = PaymentProcessor(
            engine, cast(Reader, None), self.gateway, gateway_timeout_s=5, resolved_poll_interval_s=60
        )

    async def go_by(self, minutes: int) -> Payment:
        for _ in range(minutes):
            await self.processor.settle_doubt("default", "o", "p", "op of p")
            await self.processor.drain(5)
            self.world.wait(60)
        payment: Payment = self.world.rows["payments"]["p"]
        return payment


MINUTES_POLLED = RESOLVED_POLL_S_MAX // 60


async def test_few_reversals_begin_and_then_none() -> None:
    """Minute by minute for 7 days: as many as are allowed, the last said in the log; then only questions."""
    desk = Desk()
    with capture_logs() as lines:
        payment = await desk.go_by(MINUTES_POLLED)
    assert len(payment.reversals_of("op of p")) == REVERSALS_PER_OPERATION_MAX
    told = [line for line in lines if line["event"] == "reversals_given_up"]
    assert told and {line["log_level"] for line in told} == {"error"}
    assert (told[0]["payment"], told[0]["operation"]) == ("p", "op of p")
    last = payment.reversals_of("op of p")[-1].operation_id
    assert told[0]["last_reversal"] == last
    with capture_logs() as lines:
        payment = await desk.go_by(120)
    assert len(payment.reversals_of("op of p")) == REVERSALS_PER_OPERATION_MAX
    assert [line["event"] for line in lines].count("reversals_given_up") == 2
    # What the line names is what people settle.
    desk.world.do(ResolvePayment("o", "p", last, OperationState.ACCEPTED, "sent by wire"))
    with capture_logs() as lines:
        await desk.go_by(120)
    assert not lines
    desk.world.check()


async def test_the_money_comes_back_after_the_seventh_day() -> None:
    """A gateway that takes the refund at last, two days late, is asked at last; then nothing is in doubt."""
    desk = Desk()
    await desk.go_by(60 * 24)
    # Nobody looked for 8 days: the server was away.
    desk.world.wait(8 * 24 * 3600)
    desk.gateway.gives_back = True
    payment = await desk.go_by(1)
    assert payment.reversals_of("op of p")[-1].state is OperationState.ACCEPTED
    assert payment.operations[0].poll_until is None
    desk.world.check()
