"""A large batch whose first parts are on their way while the rest is decided: its outcome is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from inventory_loadtest.proxy import Fault, proxy
from inventory_server.db.connection import EngineConnection
from inventory_server.domain import decide as decide_module
from inventory_server.domain.commands import (
    Command,
    ConfirmReservation,
    CreateStock,
    ExpireReservation,
    ReleaseReservation,
    ReserveStock,
)
from inventory_server.domain.decide import Request
from inventory_server.domain.errors import InsufficientStock
from inventory_server.domain.reservation import Line, ReservationState
from inventory_server.engine import ahead
from inventory_server.engine.engine import Engine
from support.engine import Database, eventually, running_engine

HELD, COMMITTED, RELEASED = ReservationState.HELD, ReservationState.COMMITTED, ReservationState.RELEASED


@pytest.fixture(autouse=True)
def sent(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The names of what was sent ahead, each time; a part has 2 commands."""
    seen: list[list[str]] = []
    send = EngineConnection.send_ahead

    def watched(self: EngineConnection, store: str, calls: Sequence[tuple[str, dict[str, Any]]]) -> None:
        seen.append([name for name, _ in calls])
        send(self, store, calls)

    monkeypatch.setattr(EngineConnection, "send_ahead", watched)
    monkeypatch.setattr(ahead, "PART", 2)
    return seen


def hold(number: int, quantity: int = 1) -> ReserveStock:
    return ReserveStock(f"r{number}", (Line("a", quantity),))


async def decided(engine: Engine, store: str, commands: Sequence[Command]) -> list[Any]:
    """Return the verdicts of one batch."""
    return await engine.change_many(store, [Request(command) for command in commands], deadline_s=20)


async def test_parts_come_to_the_same(database: Database, sent: list[list[str]]) -> None:
    """The log goes on without a gap from part to part, and what a later part changes is changed."""
    confirm, release = ConfirmReservation("r0"), ReleaseReservation("r1")
    commands = [hold(0), hold(1), confirm, hold(2), release, hold(3), hold(4)]
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
        verdicts = await decided(engine, database.store, commands)
    assert [verdict.state for verdict in verdicts] == [HELD, HELD, COMMITTED, HELD, RELEASED, HELD, HELD]
    assert database.entries("a") == [
        (1, "CREATE", 9),
        *((version, "RESERVE", 1) for version in (2, 3, 4)),
        (5, "RELEASE", 1),
        *((version, "RESERVE", 1) for version in (6, 7)),
    ]
    assert database.level("a") == (5, 4)
    assert sorted(rows_of(database)) == [
        ("r0", "COMMITTED", 1),
        ("r1", "RELEASED", 0),
        *((f"r{number}", "HELD", 1) for number in (2, 3, 4)),
    ]
    inserted = ["insert_log", "insert_reservations", "insert_reservation_lines"]
    put = ["put_reservations", "put_reservation_lines"]
    assert sent == [inserted, ["insert_log", *put, *inserted[1:]], ["insert_log", *put, *inserted[1:]]]


def rows_of(database: Database) -> list[tuple[Any, ...]]:
    return database.rows(
        "SELECT reservation_id, state, open FROM reservation"
        " JOIN reservation_line USING (store_id, reservation_id) WHERE store_id = %s",
        database.store,
    )


async def test_a_due_hold_comes_first_whatever_was_sent(database: Database, sent: list[list[str]]) -> None:
    """A late part lacks units that a due hold has: all is decided anew, the expiry before everything."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
        await engine.change(database.store, hold(9, 4), deadline_s=20)
        database.rows(
            "UPDATE reservation SET expire_time = now() - interval '1 s' WHERE store_id = %s RETURNING 1",
            database.store,
        )
        verdicts = await decided(engine, database.store, [hold(0), hold(1), hold(2), hold(3), hold(4, 5)])
        await engine.change(database.store, ExpireReservation("r9"), deadline_s=20)
    assert [verdict.state for verdict in verdicts] == [HELD] * 5
    assert [action for _, action, _ in database.entries("a")] == [
        "CREATE", "RESERVE", "EXPIRE", *["RESERVE"] * 5,
    ]  # fmt: skip
    assert database.level("a") == (0, 9)
    assert len(sent) == 2


async def test_a_shortage_that_nothing_can_mend(database: Database, sent: list[list[str]]) -> None:
    """Whoever is short is refused, what was sent stands, and nothing more is sent ahead."""
    commands = [hold(0), hold(1), hold(2, 99), hold(3), hold(4), hold(5), hold(6)]
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
        verdicts = await decided(engine, database.store, commands)
    assert isinstance(verdicts.pop(2), InsufficientStock)
    assert [verdict.state for verdict in verdicts] == [HELD] * 6
    assert database.level("a") == (3, 6)
    assert len(sent) == 1


@pytest.mark.parametrize("place", [1, 2, 6])
@pytest.mark.parametrize("kind", ["rule", "driver", "database"])
async def test_poison_in_any_part_fails_alone(
    database: Database, monkeypatch: pytest.MonkeyPatch, kind: str, place: int
) -> None:
    """Whether it breaks before, in or after what was sent: the others are held, once."""

    def broken(*_: object) -> object:
        raise ZeroDivisionError

    monkeypatch.setitem(decide_module._HANDLERS, ConfirmReservation, broken)
    commands: list[Command] = [hold(number) for number in range(7)]
    lines = (Line("a", 1),)
    commands[place] = {
        "rule": ConfirmReservation("r0"),
        "driver": ReserveStock("bad", lines, order_id="a NUL: \0"),
        "database": ReserveStock("bad", lines, order_id="P0001"),
    }[kind]
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
        verdicts = await decided(engine, database.store, commands)
    assert isinstance(verdicts.pop(place), Exception)
    assert [verdict.state for verdict in verdicts] == [HELD] * 6
    assert [version for version, _, _ in database.entries("a")] == list(range(1, 8))
    assert database.level("a") == (3, 6)


async def test_what_is_sent_ahead_begins_at_once(database: Database) -> None:
    """Before the trip that ends it: it waits already for a row that another has."""
    connection = await EngineConnection.connect(database.url)
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
    try:
        await connection.begin(database.store, [("store", {})])
        with database.level_locked("a") as holder:
            connection.send_ahead(database.store, [("levels", {"products": ["a"]})])
            await eventually(lambda: database.blocked(holder), "it waits for the row")
            holder.rollback()
        # Its rows are nobody's: the trip has those of its own.
        rows = await connection.fetch(database.store, [("stocks", {"products": ["a", "b"]})])
        assert [[row[0] for row in found] for found in rows] == [["a"]]
        await connection.commit(database.store, [])
        assert connection.is_usable
    finally:
        await connection.close()


async def test_what_fails_ahead_fails_the_trip(database: Database) -> None:
    """Its error is the trip's, whose own calls do not run; the connection goes on."""
    connection = await EngineConnection.connect(database.url)
    wrong = {"product_id": ["a"], "location": ["default"], "available": [-1], "allocated": [0]}
    try:
        await connection.begin(database.store, [("store", {})])
        connection.send_ahead(
            database.store, [("insert_levels", {**wrong, "hand_allocated": [0], "version": [1]})]
        )
        with pytest.raises(Exception, match="stock_level_available_floor"):
            await connection.commit(database.store, [])
        await connection.rollback()
        await connection.begin(database.store, [("store", {})])
        await connection.rollback()
        assert connection.is_usable
    finally:
        await connection.close()


async def test_a_rollback_over_what_was_sent_ahead(database: Database) -> None:
    """The connection is closed, so nothing of it can be taken for the next transaction's."""
    connection = await EngineConnection.connect(database.url)
    await connection.begin(database.store, [("store", {})])
    connection.send_ahead(database.store, [("stocks", {"products": ["a"]})])
    await connection.rollback()
    assert not connection.is_usable
    await connection.close()


# --- and the connection dies ---------------------------------------------------------------------


@pytest.mark.fault(3, 4)
@pytest.mark.parametrize("fault", [Fault.CUT_BEFORE, Fault.CUT_AFTER])
async def test_parts_whose_commit_was_cut(database: Database, sent: list[list[str]], fault: Fault) -> None:
    """Whichever side of COMMIT was lost: what was sent of each part is there once, and as it was told."""
    commands = [hold(number) for number in range(5)]
    async with (
        proxy(database.url) as (between, url),
        running_engine(url, reads_url=database.url) as (engine, _),
    ):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
        between.arm(fault)
        verdicts = await decided(engine, database.store, commands)
        assert between.struck.is_set()
    assert [verdict.state for verdict in verdicts] == [HELD] * 5
    # Both runs were sent in parts; of what is there already the second sends nothing of its own.
    assert len(sent) == 4
    assert [version for version, _, _ in database.entries("a")] == list(range(1, 7))
    assert database.level("a") == (4, 5)


@pytest.mark.fault(2)
async def test_a_backend_killed_in_what_was_sent_ahead(database: Database, sent: list[list[str]]) -> None:
    """While it writes a part, before the COMMIT that follows is sent or heard: all is done again, once."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
        with database.locked("LOCK TABLE reservation IN SHARE MODE") as holder:
            batch = asyncio.create_task(decided(engine, database.store, [hold(n) for n in range(5)]))
            await eventually(lambda: sent and database.blocked(holder), "a part waits")
            (pid,) = database.blocked(holder)
            assert database.one("SELECT pg_terminate_backend(%s)", pid)
            await eventually(lambda: pid not in database.blocked(holder), "the backend is gone")
        verdicts = await batch
    assert [verdict.state for verdict in verdicts] == [HELD] * 5
    assert database.level("a") == (4, 5)
    assert len(rows_of(database)) == 5
