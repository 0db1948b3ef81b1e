"""The connection dies around COMMIT: each command takes effect once, and its caller gets the truth."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from structlog.testing import capture_logs

from inventory_loadtest.proxy import Fault, Proxy, proxy
from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    CreateCart,
    CreateStock,
    ReleaseReservation,
    ReserveStock,
)
from inventory_server.domain.decide import Replay
from inventory_server.domain.errors import InsufficientStock
from inventory_server.domain.order import CartItem
from inventory_server.domain.payment import OperationKind, PaymentState
from inventory_server.domain.reservation import Line, ReservationState
from inventory_server.domain.store_commands import UpdateStoreSettings
from inventory_server.engine import batcher
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import CommitOutcomeUnknown, DatabaseUnavailable, DeadlinePassed
from inventory_server.payments.gateway import GatewayResult, Outcome, Task
from inventory_server.payments.processor import PaymentProcessor
from support.engine import Database, eventually, minus, plus, running_engine, start
from support.polling import DEADLINES_S, WAIT_S

CUTS = [Fault.CUT_BEFORE, Fault.CUT_AFTER]
BLACK_HOLES = [Fault.BLACK_HOLE_BEFORE, Fault.BLACK_HOLE_AFTER]

Line2 = Line("a", 2)


def encode(verdict: Any) -> bytes:
    return repr(verdict.entry.level).encode()


@pytest.fixture
async def network(database: Database) -> AsyncIterator[tuple[Proxy, Engine]]:
    """An engine whose batches go through a proxy; 10 of `a`, and its connection made."""
    async with (
        proxy(database.url) as (between, url),
        running_engine(url, reads_url=database.url) as (engine, _),
    ):
        await engine.change(database.store, CreateStock("a", 10), deadline_s=20)
        yield between, engine


async def ask(engine: Engine, store: str, command: Any, request_id: str, deadline_s: float = 20) -> Any:
    return await engine.change(store, command, deadline_s=deadline_s, request_id=request_id, encode=encode)


# --- the backend is killed -----------------------------------------------------------------------


@pytest.mark.fault(2)
async def test_a_backend_killed_before_commit(database: Database) -> None:
    """The backend dies in mid-batch: the batch is run again, whole, and no caller sees it."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 10), deadline_s=20)
        with database.level_locked("a") as holder:
            tasks = [start(engine, database.store, minus("a", n)) for n in (1, 2)]
            await eventually(lambda: database.blocked(holder), "the load waits")
            (pid,) = database.blocked(holder)
            assert database.one("SELECT pg_terminate_backend(%s)", pid)
            await eventually(lambda: pid not in database.blocked(holder), "the backend is gone")
        assert [(await task).entry.level.available for task in tasks] == [9, 7]
    assert len(database.entries("a")) == 3


@pytest.mark.fault(2)
async def test_a_backend_killed_in_commit(database: Database) -> None:
    """The backend dies while it commits: what it did not finish is done again, once."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 10), deadline_s=20)
        with database.gate_closed() as gate:
            command = minus("a", 3, reason="gate")
            task = asyncio.create_task(ask(engine, database.store, command, "q"))
            await eventually(lambda: database.blocked(gate), "COMMIT waits")
            (pid,) = database.blocked(gate)
            assert database.one("SELECT pg_terminate_backend(%s)", pid)
            await eventually(lambda: pid not in database.blocked(gate), "the backend is gone")
        assert (await task).entry.level.available == 7
    assert len(database.entries("a")) == 2


@pytest.mark.fault(9)
async def test_an_idle_connection_that_was_killed(database: Database) -> None:
    """A connection that died while it was idle costs nobody a call."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 10), deadline_s=20)
        (idle,) = engine._connections._idle
        assert database.one("SELECT pg_terminate_backend(%s, 60000)", idle.pid)
        assert (await engine.change(database.store, minus("a"), deadline_s=20)).entry.level.available == 9


# --- the connection is cut -----------------------------------------------------------------------


@pytest.mark.fault(3, 4)
@pytest.mark.parametrize("fault", CUTS)
async def test_a_request_whose_commit_was_cut(
    database: Database, network: tuple[Proxy, Engine], fault: Fault
) -> None:
    """A change by request_id: made once, and answered as its own, whichever side of COMMIT was lost."""
    between, engine = network
    between.arm(fault)
    verdict = await ask(engine, database.store, plus("a", 5), "q")
    assert between.struck.is_set()
    if fault is Fault.CUT_AFTER:
        # Its own answer, not a repeat's: the effect was found by the id.
        assert isinstance(verdict, Replay) and verdict.is_own
    else:
        assert verdict.entry.level.available == 15
    assert database.level("a") == (15, 0)
    assert len(database.entries("a")) == 2
    assert await ask(engine, database.store, plus("a", 5), "q") == Replay(
        b"StockLevel(available=15, allocated=0, hand_allocated=0, version=2)", is_own=False
    )


@pytest.mark.fault(3, 4)
@pytest.mark.parametrize("fault", CUTS)
async def test_an_audit_whose_commit_was_cut(
    database: Database, network: tuple[Proxy, Engine], fault: Fault
) -> None:
    """A change of the settings is told once, whichever side of COMMIT was lost; a repeat tells nothing."""
    between, engine = network
    between.arm(fault)
    with capture_logs() as lines:
        for _ in range(2):
            await engine.change(
                database.store, UpdateStoreSettings((("default_hold_s", 60),)), deadline_s=20,
                request_id="q", encode=lambda _: b"x", actor="ann",
            )  # fmt: skip
    assert between.struck.is_set()
    (told,) = (line for line in lines if line["event"] == "store_settings_changed")
    assert (told["actor"], told["before"], told["after"]) == (
        "ann", {"default_hold_s": 900}, {"default_hold_s": 60},
    )  # fmt: skip


@pytest.mark.fault(3, 4)
@pytest.mark.parametrize("fault", CUTS)
async def test_a_batch_whose_commit_was_cut(
    database: Database, network: tuple[Proxy, Engine], fault: Fault
) -> None:
    """Every command of the batch, by whatever id it is known, takes effect once; refusals stay refusals."""
    between, engine = network
    await engine.change(database.store, ReserveStock("old", (Line("a", 1),)), deadline_s=20)
    between.arm(fault)
    verdicts = await asyncio.gather(
        engine.change(database.store, ReserveStock("r1", (Line2,)), deadline_s=20),
        ask(engine, database.store, plus("a", 1), "q1"),
        engine.change(database.store, ReserveStock("r2", (Line("a", 99),)), deadline_s=20),
        engine.change(database.store, ReleaseReservation("old"), deadline_s=20),
        engine.change(database.store, CreateCart("c", "EUR"), deadline_s=20),
        engine.change(database.store, ReserveStock("r3", (Line2,)), deadline_s=20),
        return_exceptions=True,
    )
    assert between.struck.is_set()
    assert [verdicts[n].state for n in (0, 3, 5)] == [
        ReservationState.HELD,
        ReservationState.RELEASED,
        ReservationState.HELD,
    ]
    assert isinstance(verdicts[2], InsufficientStock)
    assert database.level("a") == (7, 4)
    assert [action for _, action, _ in database.entries("a")] == [
        "CREATE", "RESERVE", "RESERVE", "INCREMENT", "RELEASE", "RESERVE",
    ]  # fmt: skip


@pytest.mark.fault(3)
async def test_a_repeat_is_no_own_answer_after_a_cut(
    database: Database, network: tuple[Proxy, Engine]
) -> None:
    """A repeat that shares a batch with a lost COMMIT is still told that it is one."""
    between, engine = network
    await ask(engine, database.store, plus("a", 1), "old")
    between.arm(Fault.CUT_AFTER)
    own, repeat = await asyncio.gather(
        ask(engine, database.store, plus("a", 2), "new"), ask(engine, database.store, plus("a", 1), "old")
    )
    assert (own.is_own, repeat.is_own) == (True, False)
    assert database.level("a") == (13, 0)


# --- and the database stays away -----------------------------------------------------------------


@pytest.mark.fault(3, 4)
@pytest.mark.parametrize("fault", CUTS)
async def test_an_outcome_that_cannot_be_found_out(
    database: Database, network: tuple[Proxy, Engine], monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """The database stays away after COMMIT was sent: unknown, in time; a repeat gives the truth."""
    monkeypatch.setattr(batcher, "ANSWER_MARGIN_S", WAIT_S - 1)
    between, engine = network
    between.arm(fault, then_refuse=True)
    with pytest.raises(CommitOutcomeUnknown):  # and not DeadlinePassed
        await ask(engine, database.store, plus("a", 5), "q", deadline_s=WAIT_S)
    assert database.level("a") == ((15, 0) if fault is Fault.CUT_AFTER else (10, 0))
    between.refuses = False
    repeat = await ask(engine, database.store, plus("a", 5), "q")
    assert isinstance(repeat, Replay) == (fault is Fault.CUT_AFTER)
    assert not (isinstance(repeat, Replay) and repeat.is_own)
    assert database.level("a") == (15, 0) and len(database.entries("a")) == 2


@pytest.mark.fault(4)
async def test_a_database_that_goes_before_commit(
    database: Database, network: tuple[Proxy, Engine], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection dies before COMMIT was sent and the database stays away: nothing was changed."""
    monkeypatch.setattr(batcher, "ANSWER_MARGIN_S", WAIT_S - 1)
    between, engine = network
    with database.level_locked("a") as holder:
        task = asyncio.create_task(ask(engine, database.store, plus("a", 5), "q", deadline_s=WAIT_S))
        await eventually(lambda: database.blocked(holder), "the load waits")
        between.refuses = True
        (pid,) = database.blocked(holder)
        assert database.one("SELECT pg_terminate_backend(%s)", pid)
        with pytest.raises(DatabaseUnavailable):
            await task
    with pytest.raises(DatabaseUnavailable):
        await ask(engine, database.store, plus("a", 5), "q")
    between.refuses = False
    assert (await ask(engine, database.store, plus("a", 5), "q")).entry.level.available == 15


# --- nobody hears a thing ------------------------------------------------------------------------


@pytest.mark.fault(5)
@pytest.mark.parametrize("fault", BLACK_HOLES)
async def test_a_black_hole_is_bounded(
    database: Database, network: tuple[Proxy, Engine], monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """A COMMIT that nobody answers is given up after a bound, found out, and done once."""
    between, engine = network
    between.arm(fault)
    with monkeypatch.context() as impatient:
        impatient.setattr(batcher, "BATCH_TIMEOUT_S", 0.5)
        asked = asyncio.create_task(ask(engine, database.store, plus("a", 5), "q", deadline_s=WAIT_S))
        await between.struck.wait()
    verdict = await asked
    assert isinstance(verdict, Replay) == (fault is Fault.BLACK_HOLE_AFTER)
    assert database.level("a") == (15, 0) and len(database.entries("a")) == 2


@pytest.mark.fault(5)
@pytest.mark.parametrize("fault", BLACK_HOLES)
async def test_a_black_hole_does_not_stop_the_store(
    database: Database, network: tuple[Proxy, Engine], monkeypatch: pytest.MonkeyPatch, fault: Fault
) -> None:
    """Its callers may have given up: the backend in the hole is ended all the same, or its locks stay."""
    between, engine = network
    between.arm(fault)
    with monkeypatch.context() as impatient:
        for deadline_s in DEADLINES_S:  # the first may be over before anything is sent
            impatient.setattr(batcher, "BATCH_TIMEOUT_S", 2 * deadline_s)
            with pytest.raises(DeadlinePassed):
                await ask(engine, database.store, plus("a", 5), "q", deadline_s=deadline_s)
            if between.struck.is_set():
                break
    after = await engine.change(database.store, plus("a", 1), deadline_s=WAIT_S)
    assert after.entry.level.available == (16 if fault is Fault.BLACK_HOLE_AFTER else 11)
    await ask(engine, database.store, plus("a", 5), "q")
    assert database.level("a") == (16, 0) and len(database.entries("a")) == 3


# --- payments ------------------------------------------------------------------------------------


class CountingGateway:
    """Accepts everything, and remembers what it was called for."""

    def __init__(self) -> None:
        self.purchases: list[Task] = []

    async def perform(self, task: Task, *, timeout_s: float) -> Outcome:
        self.purchases.append(task)
        return Outcome(GatewayResult.ACCEPTED, "ref")

    async def get_operation(self, operation_id: str, *, timeout_s: float) -> Outcome:
        raise AssertionError("nothing is in doubt here")

    async def close(self) -> None:
        pass


@pytest.mark.fault(3, 4)
@pytest.mark.parametrize("fault", CUTS)
@pytest.mark.parametrize("transaction", [1, 2])
async def test_a_payment_whose_commit_was_cut(
    database: Database, network: tuple[Proxy, Engine], fault: Fault, transaction: int
) -> None:
    """The gateway is called once and its word recorded, whichever transaction's COMMIT was lost."""
    between, engine = network
    await engine.change(database.store, CreateCart("c", "EUR"), deadline_s=20)
    item = CartItem("a", 2, 50, None)
    await engine.change(database.store, AddCartItems("c", (item,)), deadline_s=20)
    await engine.change(database.store, Checkout("c", "o"), deadline_s=20)
    gateway = CountingGateway()

    class ArmingGateway(CountingGateway):
        async def perform(self, task: Task, *, timeout_s: float) -> Outcome:
            between.arm(fault)
            return await gateway.perform(task, timeout_s=timeout_s)

    no_reader: Any = None
    processor = PaymentProcessor(
        engine,
        no_reader,
        gateway if transaction == 1 else ArmingGateway(),
        gateway_timeout_s=5,
        resolved_poll_interval_s=60,
    )
    if transaction == 1:
        between.arm(fault)
    payment = await processor.pay(
        database.store,
        order_id="o",
        payment_id="p",
        amount_minor=100,
        payment_method="card",
        kind=OperationKind.PURCHASE,
        deadline_s=20,
    )
    assert between.struck.is_set()
    assert payment.state is PaymentState.CAPTURED
    assert [purchase.payment_id for purchase in gateway.purchases] == ["p"]
    stored = database.rows(
        "SELECT operation_id, state FROM payment_operation WHERE store_id = %s", database.store
    )
    assert stored == [(gateway.purchases[0].operation_id, "ACCEPTED")]
    assert database.level("a") == (8, 2)
    await processor.drain(1)


@pytest.mark.fault(3, 4)
@pytest.mark.parametrize("fault", CUTS)
@pytest.mark.parametrize("kind", [OperationKind.CAPTURE, OperationKind.REFUND])
async def test_a_later_operation_whose_commit_was_cut(
    database: Database, fault: Fault, kind: OperationKind
) -> None:
    """It knows its own work by its request_id or refund_id: begun once, seen through, and no replay."""
    async with (
        proxy(database.url) as (between, url),
        running_engine(url, reads_url=database.url) as (engine, reader),
    ):
        for command in (
            CreateStock("a", 10),
            CreateCart("c", "EUR"),
            AddCartItems("c", (CartItem("a", 2, 50, None),)),
            Checkout("c", "o"),
        ):
            await engine.change(database.store, command, deadline_s=20)
        gateway = CountingGateway()
        processor = PaymentProcessor(
            engine, reader, gateway, gateway_timeout_s=5, resolved_poll_interval_s=60
        )
        is_capture = kind is OperationKind.CAPTURE
        await processor.pay(
            database.store,
            order_id="o",
            payment_id="p",
            amount_minor=100,
            payment_method="card",
            kind=OperationKind.AUTHORIZE if is_capture else OperationKind.PURCHASE,
            deadline_s=20,
        )
        between.arm(fault)
        if is_capture:
            payment, replayed = await processor.capture(
                database.store, "p", 100, request_id="q", deadline_s=20
            )
            assert (payment.captured_minor, replayed) == (100, False)
        else:
            payment = await processor.refund(database.store, "p", "f", 100, deadline_s=20)
            assert payment.refunded_minor == 100
        assert between.struck.is_set()
        assert [task.kind for task in gateway.purchases[1:]] == [kind]
        if is_capture:
            again = await processor.capture(database.store, "p", 100, request_id="q", deadline_s=20)
            assert again == (payment, True)
        await processor.drain(1)
