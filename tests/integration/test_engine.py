"""The engine on a real database: conflicts, poison, callers who leave, bounds, and order."""

from __future__ import annotations

import asyncio
from typing import Any

import psycopg
import pytest

from inventory_server.db.connection import _ENGINE_SETTINGS, EngineConnection
from inventory_server.db.sqlstate import DatabaseError, StatementRefused
from inventory_server.db.stores import create_store
from inventory_server.domain import decide as decide_module
from inventory_server.domain.commands import (
    Command,
    ConfirmReservation,
    CreateCart,
    CreateStock,
    CreateStockTransaction,
    FulfillReservation,
    ReserveStock,
    content_hash,
)
from inventory_server.domain.decide import Replay, Request
from inventory_server.domain.errors import InsufficientStock, StockNotFound, StoreNotFound
from inventory_server.domain.reservation import Line, ReservationState
from inventory_server.domain.stock import Action, LogRecord
from inventory_server.engine import batcher
from inventory_server.engine.closing import Closing
from inventory_server.engine.errors import DeadlinePassed, Overloaded, TransactionConflict
from support.database import holding
from support.engine import Database, eventually, minus, plus, running_engine, start

Failures = list[tuple[str, str | None, str]]


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> Failures:
    """(trip, SQLSTATE, detail) of whatever a batch's round trips raised."""
    seen: Failures = []

    def watched(name: str) -> Any:
        trip = getattr(EngineConnection, name)

        async def watch(self: EngineConnection, *args: Any) -> Any:
            try:
                return await trip(self, *args)
            except DatabaseError as error:
                cause = error.__cause__
                detail = cause.diag.message_detail if isinstance(cause, psycopg.Error) else None
                seen.append((name, error.sqlstate, detail or str(error)))
                raise

        return watch

    for name in ("begin", "fetch", "commit"):
        monkeypatch.setattr(EngineConnection, name, watched(name))
    return seen


@pytest.fixture
def batches(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many requests each run of a batch decided; those put off are not counted."""
    sizes: list[int] = []
    run_batch = batcher.run_batch

    async def counted(connection: Any, store: str, requests: Any, attempt: Any, **limits: Any) -> None:
        await run_batch(connection, store, requests, attempt, **limits)
        sizes.append(len(requests) - len(attempt.deferred))

    monkeypatch.setattr(batcher, "run_batch", counted)
    return sizes


# --- conflicts -----------------------------------------------------------------------------------


@pytest.mark.fault(12)
async def test_conflict_at_read(database: Database, failures: Failures, batches: list[int]) -> None:
    """A level that another writer changed since the snapshot: 40001 at the load, and callers see nothing."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        with database.locked("SELECT") as other:
            other.execute(
                "UPDATE stock_level SET updated_at = updated_at WHERE store_id = %s", [database.store]
            )
            taken = [start(engine, database.store, minus("a")) for _ in range(3)]
            await eventually(lambda: database.blocked(other), "the load waits")
            other.commit()
            assert [(await task).entry.level.available for task in taken] == [4, 3, 2]
    assert [(trip, state) for trip, state, _ in failures] == [("begin", "40001")]
    assert batches == [1, 3]


@pytest.mark.fault(12)
async def test_conflict_at_write(database: Database, failures: Failures) -> None:
    """A row that another writer made since the snapshot: 40001 at the save; the re-run finds it."""
    command = CreateCart("c", "EUR")
    async with running_engine(database.url) as (engine, _):
        with database.locked("SELECT") as other:
            other.execute(
                "INSERT INTO cart"
                " (store_id, cart_id, currency, content_hash, created_at, updated_at, expires_at)"
                " VALUES (%s, 'c', 'EUR', %s, '2026-01-01Z', '2026-01-01Z', '2126-01-01Z')",
                [database.store, content_hash(command)],
            )
            task = start(engine, database.store, command)
            await eventually(lambda: database.blocked(other), "the save waits")
            other.commit()
            assert (await task).created_at.year == 2026
    assert [(trip, state) for trip, state, _ in failures] == [("commit", "40001")]
    assert "commit attempt" not in failures[0][2]


async def test_another_writers_new_row_is_a_conflict(database: Database, failures: Failures) -> None:
    """A unique violation means that somebody was faster: the re-run finds the row and refuses or repeats."""
    async with running_engine(database.url) as (engine, _):
        with database.locked("SELECT") as other:
            other.execute("INSERT INTO stock VALUES (%s, 'a', now())", [database.store])
            other.execute(
                "INSERT INTO stock_level VALUES (%s, 'a', 'default', 9, 0, 0, 1, now())", [database.store]
            )
            other.execute(
                "INSERT INTO stock_transaction VALUES (%s, 'a', 'default', 1, 'CREATE', 9, 9, 0, 0, NULL,"
                " NULL, '', '', NULL, now())",
                [database.store],
            )
            task = start(engine, database.store, CreateStock("a", 5))
            await eventually(lambda: database.blocked(other), "the save waits")
            other.commit()
            with pytest.raises(decide_module.DomainError, match="has a stock record already"):
                await task
    assert [(trip, state) for trip, state, _ in failures] in ([("commit", "23505")], [("commit", "40001")])


@pytest.mark.fault(12)
@pytest.mark.parametrize("locks_stores", [False, True])
async def test_conflict_at_commit(database: Database, failures: Failures, locks_stores: bool) -> None:
    """Write skew: COMMIT itself raises 40001, nothing was answered, and the batch runs again.

    The batch reads the stock record and writes the level; the other reads the level, writes the record and
    commits first, when all statements of the batch are through.
    """
    async with running_engine(database.url, locks_stores=locks_stores) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        with database.gate_closed() as gate, holding(database.url) as other:
            other.isolation_level = psycopg.IsolationLevel.SERIALIZABLE
            other.execute("SELECT available FROM stock_level WHERE store_id = %s", [database.store])
            task = start(engine, database.store, ReserveStock("r", (Line("a", 2),), order_id="gate"))
            await eventually(lambda: database.blocked(gate), "COMMIT waits")
            other.execute("UPDATE stock SET created_at = now() WHERE store_id = %s", [database.store])
            other.commit()
            assert not task.done()
            gate.rollback()
            assert (await task).state is ReservationState.HELD
        assert database.one("SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'") == 0
    assert [(trip, state) for trip, state, _ in failures] == [("commit", "40001")]
    assert "during commit attempt" in failures[0][2]
    assert database.level("a") == (3, 2)


@pytest.mark.fault(12)
async def test_deadlock_runs_the_whole_batch_again(
    database: Database, monkeypatch: pytest.MonkeyPatch, failures: Failures, batches: list[int]
) -> None:
    """40P01 is a conflict like another: the batch is run again, whole, and no caller sees it."""
    async with running_engine(database.url) as (engine, _):
        for product in ("a", "b"):
            await engine.change(database.store, CreateStock(product, 5), deadline_s=20)
    lock = "SELECT FROM stock_level WHERE store_id = %s AND product_id = %s FOR UPDATE"
    # The engine's side looks for the deadlock once, so long after it began to wait: the circle is closed by
    # then, or the lock's own timeout ends the wait and it is tried with more time.
    for time_s in (1, 4, 16):
        failures.clear()
        batches.clear()
        monkeypatch.setitem(_ENGINE_SETTINGS, "deadlock_timeout", f"{time_s}s")
        monkeypatch.setitem(_ENGINE_SETTINGS, "lock_timeout", f"{time_s + 4}s")
        async with running_engine(database.url) as (engine, _):
            for product in ("a", "b"):
                count = CreateStockTransaction(product, Action.SET, 5)
                await engine.change(database.store, count, deadline_s=20)
            with database.locked("SET LOCAL deadlock_timeout = '60s'") as other:
                other.execute(lock, [database.store, "b"])
                tasks = [start(engine, database.store, minus(product)) for product in ("a", "b", "a")]
                await eventually(lambda: database.blocked(other), "the load holds `a` and waits for `b`")
                await asyncio.to_thread(other.execute, lock, [database.store, "a"])
                other.rollback()
                assert [(await task).entry.level.available for task in tasks] == [4, 4, 3]
        if ("begin", "40P01") in [(trip, state) for trip, state, _ in failures]:
            break
    assert [(trip, state) for trip, state, _ in failures] == [("begin", "40P01")]
    assert batches == [1, 1, 3]


@pytest.mark.fault(12)
async def test_conflicts_are_retried_a_bounded_number_of_times(database: Database) -> None:
    """A conflict that goes away is not seen; one without end is TransactionConflict after the attempts."""
    async with running_engine(database.url, attempts_max=4) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        verdict = await engine.change(database.store, plus("a", reason="40001:3"), deadline_s=20)
        assert verdict.entry.level.available == 6
        assert database.one("SELECT last_value FROM tries") == 4
        with pytest.raises(TransactionConflict):
            await engine.change(database.store, plus("a", reason="40001"), deadline_s=20)
        assert database.one("SELECT last_value FROM tries") == 8
        await engine.change(database.store, plus("a"), deadline_s=20)
    assert database.level("a") == (7, 0)


# --- poison --------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 4, 8])
@pytest.mark.parametrize("kind", ["rule", "driver", "database"])
async def test_poison_fails_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch, kind: str, place: int
) -> None:
    """One command that breaks its transaction fails alone; all others of the batch are decided, in order."""

    def broken(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setitem(decide_module._HANDLERS, ConfirmReservation, broken)
    poison, error = {
        "rule": (ConfirmReservation("r"), ZeroDivisionError),
        "driver": (plus("a", reason="a NUL: \0"), StatementRefused),
        "database": (plus("a", reason="P0001"), StatementRefused),
    }[kind]
    commands: list[Command] = [minus("a") for _ in range(9)]
    commands[place] = poison
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 50), deadline_s=20)
    # A new engine, whose connection has prepared nothing yet.
    async with running_engine(database.url) as (engine, reader):
        await reader.need_store(database.store, deadline_s=20)
        verdicts = await asyncio.gather(
            *(engine.change(database.store, command, deadline_s=20) for command in commands),
            return_exceptions=True,
        )
        assert isinstance(verdicts.pop(place), error)
        left = [verdict.entry.level.available for verdict in verdicts]
        assert left == list(range(49, 41, -1))
        assert (await engine.change(database.store, minus("a"), deadline_s=20)).entry.level.available == 41
    assert len(database.entries("a")) == 10


# --- callers who leave ---------------------------------------------------------------------------


async def test_those_who_gave_up_in_the_queue_change_nothing(database: Database, batches: list[int]) -> None:
    """A caller who cancels, or whose deadline passes, while queued is dropped before it is decided."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 50), deadline_s=20)
        with database.level_locked("a") as holder:
            first = start(engine, database.store, minus("a", 1))
            await eventually(lambda: database.blocked(holder), "the first batch waits")
            cancelled = start(engine, database.store, minus("a", 10))
            late = start(engine, database.store, minus("a", 20), deadline_s=0.05)
            last = start(engine, database.store, minus("a", 2))
            await asyncio.sleep(0)
            cancelled.cancel()
            with pytest.raises(DeadlinePassed):
                await late
            assert not first.done() and not last.done()
        assert (await first).entry.level.available == 49
        assert (await last).entry.level.available == 47
        assert cancelled.cancelled()
    assert batches == [1, 1, 1]
    assert [quantity for _, _, quantity in database.entries("a")] == [50, 1, 2]


async def test_a_caller_who_leaves_cannot_tear_its_batch(database: Database) -> None:
    """A caller who cancels while the batch runs: the batch is whole, the others are answered."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 50), deadline_s=20)
        with database.gate_closed() as gate:
            tasks = [start(engine, database.store, minus("a", n, reason="gate")) for n in (1, 2, 3)]
            await eventually(lambda: database.blocked(gate), "COMMIT waits")
            tasks[1].cancel()
            with pytest.raises(asyncio.CancelledError):
                await tasks[1]
        assert (await tasks[0]).entry.level.available == 49
        assert (await tasks[2]).entry.level.available == 44


async def test_nobody_is_answered_before_commit_returned(database: Database) -> None:
    """While COMMIT is held back no verdict is given, a refusal neither."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        with database.gate_closed() as gate:
            tasks = [start(engine, database.store, minus("a", n, reason="gate")) for n in (1, 100, 2)]
            await eventually(lambda: database.blocked(gate), "COMMIT waits")
            done, _ = await asyncio.wait(tasks, timeout=0.3)
            assert not done
            assert database.level("a") == (5, 0)
        assert (await tasks[0]).entry.level.available == 4
        with pytest.raises(InsufficientStock):
            await tasks[1]
        assert (await tasks[2]).entry.level.available == 2


# --- bounds --------------------------------------------------------------------------------------


async def test_a_full_queue_refuses_at_once(database: Database) -> None:
    """A queue's last place is given; one past it is Overloaded at once, while what waits goes on."""
    async with running_engine(database.url, queue_commands_max=3) as (engine, _):
        await engine.change(database.store, CreateStock("a", 50), deadline_s=20)
        with database.level_locked("a") as holder:
            tasks = [start(engine, database.store, minus("a"))]
            await eventually(lambda: database.blocked(holder), "the first batch waits")
            tasks += [start(engine, database.store, minus("a")) for _ in range(3)]
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await engine.change(database.store, minus("a"), deadline_s=20)
            assert not any(task.done() for task in tasks)
        assert [(await task).entry.level.available for task in tasks] == [49, 48, 47, 46]
        assert (await engine.change(database.store, minus("a"), deadline_s=20)).entry.level.available == 45


async def test_many_at_once_each_by_itself(database: Database) -> None:
    """Many commands in one call are decided in their order; who is refused, or finds no place, is alone."""
    async with running_engine(database.url, queue_commands_max=3) as (engine, _):
        await engine.change(database.store, CreateStock("a", 2), deadline_s=20)
        asked = [Request(minus("a")), Request(minus("ghost")), Request(minus("a")), Request(minus("a"))]
        verdicts = await engine.change_many(database.store, asked, deadline_s=20)
        assert [type(verdict) for verdict in verdicts] == [LogRecord, StockNotFound, LogRecord, Overloaded]
        assert [verdicts[0].entry.level.available, verdicts[2].entry.level.available] == [1, 0]
        assert await engine.change_many(database.store, [], deadline_s=20) == []
        with database.level_locked("a"), pytest.raises(DeadlinePassed):
            await engine.change_many(database.store, asked[:1], deadline_s=0.05)


async def test_all_queues_together_have_a_bound(database: Database) -> None:
    """Stores share a bound too: when it is reached every store is refused, and places come free again."""
    north = f"{database.store}-north"
    create_store(database.url, north)
    async with running_engine(database.url, queue_commands_max=3, queue_commands_max_total=4) as (engine, _):
        for store in (database.store, north):
            await engine.change(store, CreateStock("a", 50), deadline_s=20)
        with database.locked("LOCK TABLE stock_level") as holder:
            tasks = [start(engine, store, minus("a")) for store in (database.store, north)]
            await eventually(lambda: len(database.blocked(holder)) == 2, "both first batches wait")
            tasks += [start(engine, store, minus("a")) for store in (database.store, north) * 2]
            await asyncio.sleep(0)
            for store in (database.store, north):
                with pytest.raises(Overloaded):
                    await engine.change(store, minus("a"), deadline_s=20)
        await asyncio.gather(*tasks)
        for store in (database.store, north):
            verdict = await engine.change(store, minus("a"), deadline_s=20)
            assert verdict.entry.level.available == 46


async def test_two_flooded_stores_leave_room_for_a_third(database: Database) -> None:
    """Two stores whose callers take all the places they get are refused before all are gone."""
    stores = [database.store, f"{database.store}-other", f"{database.store}-third"]
    for store in stores[1:]:
        create_store(database.url, store)
    async with running_engine(database.url, queue_commands_max=12, queue_commands_max_total=16) as (
        engine,
        _,
    ):
        for store in stores:
            await engine.change(store, CreateStock("a", 50), deadline_s=60)
        with database.locked("LOCK TABLE stock_level") as holder:
            tasks = [start(engine, store, minus("a")) for store in stores[:2]]
            await eventually(lambda: len(database.blocked(holder)) == 2, "both first batches wait")
            for store, room in zip(stores, (12, 3), strict=False):
                tasks += [start(engine, store, minus("a")) for _ in range(room)]
                await asyncio.sleep(0)
                assert engine.waiting_count(store) == room
                with pytest.raises(Overloaded):
                    await engine.change(store, minus("a"), deadline_s=60)
            tasks.append(start(engine, stores[2], minus("a")))
            await asyncio.sleep(0)
        lefts = [(await task).entry.level.available for task in tasks]
        assert (min(lefts), lefts[-1]) == (37, 49)


async def test_a_flooded_store_keeps_no_other_waiting(database: Database) -> None:
    """While one store's batch is held up and its queue is full, another is decided, batch after batch."""
    quiet = f"{database.store}-quiet"
    create_store(database.url, quiet)
    async with running_engine(database.url, queue_commands_max=3) as (engine, _):
        for store in (database.store, quiet):
            await engine.change(store, CreateStock("a", 50), deadline_s=20)
        with database.level_locked("a") as holder:
            flood = [start(engine, database.store, minus("a"))]
            await eventually(lambda: database.blocked(holder), "the flooded store's batch waits")
            flood += [start(engine, database.store, minus("a")) for _ in range(3)]
            await asyncio.sleep(0)
            for left in (49, 48, 47):
                verdict = await engine.change(quiet, minus("a"), deadline_s=20)
                assert verdict.entry.level.available == left
            with pytest.raises(Overloaded):
                await engine.change(database.store, minus("a"), deadline_s=20)
            assert not any(task.done() for task in flood)
        await asyncio.gather(*flood)


async def test_an_unknown_store_gets_no_queue(database: Database) -> None:
    """A store that does not exist is refused before anything is queued for it."""
    async with running_engine(database.url) as (engine, _):
        with pytest.raises(StoreNotFound):
            await engine.change("nowhere", CreateStock("a", 1), deadline_s=20)
        assert "nowhere" not in engine._batchers


async def test_batches_are_bounded_in_commands_and_kept_in_order(
    database: Database, batches: list[int]
) -> None:
    """No batch takes more commands than it may; across batches the order is that of arrival."""
    async with running_engine(database.url, commands_max=4) as (engine, _):
        await engine.change(database.store, CreateStock("a", 50), deadline_s=20)
        with database.level_locked("a") as holder:
            tasks = [start(engine, database.store, minus("a"))]
            await eventually(lambda: database.blocked(holder), "the first batch waits")
            tasks += [start(engine, database.store, minus("a")) for _ in range(10)]
            await asyncio.sleep(0)
        assert [(await task).entry.level.version for task in tasks] == list(range(2, 13))
    assert batches == [1, 1, 4, 4, 2]


async def test_batches_are_bounded_in_lines(database: Database, batches: list[int]) -> None:
    """Lines named count too; a command that alone passes the bound gets a batch of its own."""
    lines = tuple(Line(product, 1) for product in "abcdefg")
    async with running_engine(database.url, lines_max=5) as (engine, _):
        for line in lines:
            await engine.change(database.store, CreateStock(line.product_id, 50), deadline_s=20)
        batches.clear()
        with database.level_locked("a") as holder:
            tasks = [start(engine, database.store, minus("a"))]
            await eventually(lambda: database.blocked(holder), "the first batch waits")
            counts = [2, 3, 1, 7, 5, 1]
            tasks += [
                start(engine, database.store, ReserveStock(f"r{n}", lines[:count]))
                for n, count in enumerate(counts)
            ]
            await asyncio.sleep(0)
        await asyncio.gather(*tasks)
    assert batches == [1, 2, 1, 1, 1, 1]


async def test_lines_that_show_only_when_loaded_are_bounded(database: Database, batches: list[int]) -> None:
    """What a command turns out to move counts: those past the bound go first in the next batch."""
    lines = tuple(Line(product, 1) for product in "abc")
    async with running_engine(database.url, lines_max=7) as (engine, _):
        for line in lines:
            await engine.change(database.store, CreateStock(line.product_id, 50), deadline_s=20)
        for number in range(5):
            await engine.change(database.store, ReserveStock(f"r{number}", lines), deadline_s=20)
        batches.clear()
        with database.level_locked("a") as holder:
            tasks = [start(engine, database.store, minus("a"))]
            await eventually(lambda: database.blocked(holder), "the first batch waits")
            tasks += [start(engine, database.store, FulfillReservation(f"r{n}")) for n in range(5)]
            await asyncio.sleep(0)
        verdicts = await asyncio.gather(*tasks)
    assert [v.state for v in verdicts[1:]] == [ReservationState.CLOSED] * 5
    assert batches == [1, 2, 2, 1]
    fulfilled = database.rows(
        "SELECT reservation_id FROM stock_transaction"
        " WHERE store_id = %s AND product_id = 'a' AND action = 'FULFILL' ORDER BY version",
        database.store,
    )
    assert fulfilled == [(f"r{n}",) for n in range(5)]


async def test_a_store_whose_queue_is_empty_keeps_its_batcher(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One batcher serves a store from its first command on, and knows how many it took."""
    made: list[str] = []
    begin = batcher.Batcher.__init__

    def counted(self: batcher.Batcher, store_id: str, *args: Any) -> None:
        made.append(store_id)
        begin(self, store_id, *args)

    monkeypatch.setattr(batcher.Batcher, "__init__", counted)
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        for _ in range(3):
            await engine.change(database.store, minus("a"), deadline_s=20)
        assert (engine.waiting_count(database.store), engine.taken_count(database.store)) == (0, 4)
    assert made == [database.store]


# --- when a batch closes -------------------------------------------------------------------------


async def test_a_lone_caller_never_waits(database: Database) -> None:
    """One caller alone is never kept waiting for others."""
    async with running_engine(database.url, linger_s_max=30.0) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        for _ in range(5):
            await engine.change(database.store, minus("a"), deadline_s=20)


async def test_callers_who_come_back_are_waited_for(
    database: Database, monkeypatch: pytest.MonkeyPatch, batches: list[int]
) -> None:
    """After a batch of three the next closes when three are back, though they come one by one."""
    monkeypatch.setattr(Closing, "_pace", lambda *_: None)  # in no time, whatever the machine does
    async with running_engine(database.url, linger_s_max=30.0) as (engine, _):
        await engine.change(database.store, CreateStock("a", 50), deadline_s=20)
        await asyncio.gather(*(start(engine, database.store, minus("a")) for _ in range(3)))
        tasks = []
        for _ in range(3):
            tasks.append(start(engine, database.store, minus("a")))
            for _ in range(3):
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
    assert batches == [1, 3, 3]


async def test_waiting_for_others_is_bounded(database: Database, batches: list[int]) -> None:
    """Those who do not come back are waited for a moment only."""
    async with running_engine(database.url, linger_s_max=0.05) as (engine, _):
        await engine.change(database.store, CreateStock("a", 50), deadline_s=20)
        await asyncio.gather(*(start(engine, database.store, minus("a")) for _ in range(3)))
        await engine.change(database.store, minus("a"), deadline_s=20)
    assert batches == [1, 3, 1]


# --- the rest ------------------------------------------------------------------------------------


async def test_a_repeat_is_answered_from_the_database(database: Database) -> None:
    """A request_id is answered as before by an engine that never saw it; a refusal is not stored."""

    def encode(verdict: Any) -> bytes:
        return repr(verdict.entry.level).encode()

    async def ask(engine: Any, command: Command) -> Any:
        return await engine.change(database.store, command, deadline_s=20, request_id="q", encode=encode)

    async with running_engine(database.url) as (engine, _):
        with pytest.raises(StockNotFound):
            await ask(engine, plus("a", 2))
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        first = await ask(engine, plus("a", 2))
    async with running_engine(database.url) as (engine, _):
        assert await ask(engine, plus("a", 2)) == Replay(encode(first), is_own=False)
        with pytest.raises(decide_module.IdReused):
            await ask(engine, plus("a", 3))
    assert database.level("a") == (7, 0)


async def test_a_draining_engine_finishes_and_refuses(database: Database) -> None:
    """At the stop what waits is decided and what comes is refused."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        with database.level_locked("a") as holder:
            tasks = [start(engine, database.store, minus("a"))]
            await eventually(lambda: database.blocked(holder), "the first batch waits")
            tasks.append(start(engine, database.store, minus("a")))
            await asyncio.sleep(0)
            draining = asyncio.create_task(engine.drain(20))
            await asyncio.sleep(0)
            with pytest.raises(Overloaded):
                await engine.change(database.store, minus("a"), deadline_s=20)
        await draining
        assert [(await task).entry.level.available for task in tasks] == [4, 3]
