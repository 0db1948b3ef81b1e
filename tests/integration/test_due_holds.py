"""Units of due holds are free for whoever needs them, in the same transaction; the sweeper tidies up."""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import AsyncMock

import pytest

from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    Command,
    ConfirmReservation,
    CreateCart,
    CreateStock,
    CreateStockTransaction,
    ExpireReservation,
    ForgetAnswers,
    ReserveStock,
)
from inventory_server.domain.errors import InsufficientStock, Shortage, TotalBelowAllocated
from inventory_server.domain.import_commands import CreateImport, ImportChunk
from inventory_server.domain.location import Location
from inventory_server.domain.location_commands import CreateLocation, TransferStock
from inventory_server.domain.order import CartItem
from inventory_server.domain.reservation import Line, ReservationState
from inventory_server.domain.stock import Action
from inventory_server.domain.stock_import import ImportRow
from inventory_server.engine import save, transaction
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import DeadlinePassed
from inventory_server.jobs import sweeper
from inventory_server.jobs.sweeper import Sweeper
from support.engine import Database, eventually, minus, plus, running_engine, start

HELD, EXPIRED = ReservationState.HELD, ReservationState.EXPIRED


async def held_and_due(
    engine: Engine, database: Database, *holds: tuple[str, int], ttl_s: float = 60
) -> None:
    """Hold so many units of `a` each, and make all those holds due by the database's clock."""
    for number, (product_id, quantity) in enumerate(holds):
        command = ReserveStock(f"due{number}", (Line(product_id, quantity),), ttl_s=ttl_s)
        await engine.change(database.store, command, deadline_s=20)
    database.rows(
        "UPDATE reservation SET expire_time = now() - interval '1 s' WHERE store_id = %s RETURNING 1",
        database.store,
    )


def states(database: Database) -> dict[str, str]:
    return dict(
        database.rows("SELECT reservation_id, state FROM reservation WHERE store_id = %s", database.store)
    )


def transactions(database: Database, action: str) -> set[str]:
    rows = database.rows(
        "SELECT DISTINCT xid::text FROM stock_transaction WHERE store_id = %s AND action = %s",
        database.store,
        action,
    )
    return {row[0] for row in rows}


async def test_who_lacks_units_gets_those_of_a_due_hold(database: Database) -> None:
    """A reservation that lacks units expires a due hold and holds its units, in one transaction."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        await held_and_due(engine, database, ("a", 4))
        took = await engine.change(database.store, ReserveStock("r", (Line("a", 5),)), deadline_s=20)
    assert took.state is HELD
    assert states(database) == {"due0": "EXPIRED", "r": "HELD"}
    assert [action for _, action, _ in database.entries("a")] == ["CREATE", "RESERVE", "EXPIRE", "RESERVE"]
    assert transactions(database, "EXPIRE") < transactions(database, "RESERVE")


@pytest.mark.parametrize(
    "by_hand",
    [
        minus("a", 3),
        CreateStockTransaction("a", Action.ALLOCATE, 3),
        TransferStock("a", 3, "default", "north"),
        CreateStockTransaction("a", Action.SET, 2),
    ],
)
async def test_by_hand_too(database: Database, by_hand: Command) -> None:
    """An action by hand or a transfer that lacks units, or counts below them, gets those of due holds."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateLocation(Location("north")), deadline_s=20)
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        await held_and_due(engine, database, ("a", 5))
        await engine.change(database.store, by_hand, deadline_s=20)
    assert states(database) == {"due0": "EXPIRED"}
    assert database.level("a")[0] == 2


@pytest.mark.parametrize(("due", "rounds"), [(1, 1), (2, 1), (5, 3)])
async def test_an_import_too(
    database: Database, monkeypatch: pytest.MonkeyPatch, due: int, rounds: int
) -> None:
    """A row below what due holds hold is applied, however many they are; what is held still is refused."""
    monkeypatch.setattr(transaction, "DUE_HOLDS_MAX", 2)
    rows = (ImportRow(1, 1, "a", (("default", 0),)), ImportRow(2, 2, "b", (("default", 0),)))
    async with running_engine(database.url) as (engine, _):
        for product_id in ("a", "b"):
            await engine.change(database.store, CreateStock(product_id, due), deadline_s=20)
        await held_and_due(engine, database, *[("a", 1)] * due)
        await engine.change(database.store, ReserveStock("live", (Line("b", 1),)), deadline_s=20)
        create = CreateImport("i", "u", 2, 0, b"", is_closed=True)
        await engine.change(database.store, create, deadline_s=20)
        job = await engine.change(database.store, ImportChunk("i", "", rows, is_last=True), deadline_s=20)
    assert (job.applied_count, job.failed_count) == (1, 1)
    assert database.level("a") == (0, 0)
    assert database.level("b") == (due - 1, 1)
    assert len(transactions(database, "EXPIRE")) == rounds
    assert len(transactions(database, "SET")) == 1


async def test_a_set_that_is_refused_after_all(database: Database) -> None:
    """Below what is left once the due holds are ended it says the numbers after that."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        await held_and_due(engine, database, ("a", 3))
        await engine.change(database.store, ReserveStock("live", (Line("a", 2),)), deadline_s=20)
        with pytest.raises(TotalBelowAllocated) as caught:
            await engine.change(database.store, CreateStockTransaction("a", Action.SET, 1), deadline_s=20)
    assert (caught.value.total, caught.value.allocated) == (1, 2)
    assert database.level("a") == (3, 2)


async def test_who_lacks_nothing_expires_nothing(database: Database) -> None:
    """A due hold whose units nobody lacks waits for the sweeper."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
        await held_and_due(engine, database, ("a", 4))
        await engine.change(database.store, ReserveStock("r", (Line("a", 5),)), deadline_s=20)
    assert states(database) == {"due0": "HELD", "r": "HELD"}


async def test_a_hold_that_is_not_due_is_kept(database: Database) -> None:
    """Sold out stays sold out while the holds in the way are not due."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        await engine.change(database.store, ReserveStock("live", (Line("a", 4),)), deadline_s=20)
        with pytest.raises(InsufficientStock) as caught:
            await engine.change(database.store, ReserveStock("r", (Line("a", 2),)), deadline_s=20)
    assert caught.value.shortages == (Shortage("a", None, 2, 1, True),)
    assert states(database) == {"live": "HELD"}


async def test_the_expiry_stands_though_its_cause_is_refused(database: Database) -> None:
    """Who is short even of what is due is refused with the numbers after it; the expiry stands."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        await held_and_due(engine, database, ("a", 4))
        with pytest.raises(InsufficientStock) as caught:
            await engine.change(database.store, ReserveStock("r", (Line("a", 6),)), deadline_s=20)
    assert caught.value.shortages == (Shortage("a", None, 6, 5, True),)
    assert states(database) == {"due0": "EXPIRED"}
    assert database.level("a") == (5, 0)


async def test_a_due_hold_of_another_product_is_left_alone(database: Database) -> None:
    """Only holds with a product that somebody lacks are ended; those end whole, all their products."""
    async with running_engine(database.url) as (engine, _):
        for product in "abc":
            await engine.change(database.store, CreateStock(product, 5), deadline_s=20)
        both = ReserveStock("both", (Line("a", 5), Line("b", 2)), ttl_s=60)
        await engine.change(database.store, both, deadline_s=20)
        await held_and_due(engine, database, ("c", 5))
        await engine.change(database.store, ReserveStock("r", (Line("a", 1),)), deadline_s=20)
    assert states(database) == {"both": "EXPIRED", "due0": "HELD", "r": "HELD"}
    assert database.level("b") == (5, 0)


async def test_confirm_and_need_in_one_batch(database: Database) -> None:
    """Who needs the units and who confirms the due hold, at once: one of them gets them, never both."""
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=20)
        await held_and_due(engine, database, ("a", 4))
        took, confirmed = await asyncio.gather(
            engine.change(database.store, ReserveStock("r", (Line("a", 5),)), deadline_s=20),
            engine.change(database.store, ConfirmReservation("due0"), deadline_s=20),
            return_exceptions=True,
        )
    assert took.state is HELD
    assert isinstance(confirmed, InsufficientStock)
    assert database.level("a") == (0, 5)


@pytest.mark.parametrize(("due", "rounds"), [(3, 1), (4, 1), (5, 2), (9, 3)])
async def test_more_due_holds_than_the_bound(
    database: Database, monkeypatch: pytest.MonkeyPatch, due: int, rounds: int
) -> None:
    """With more due holds than a batch may end, who is short is put off, never refused while units exist."""
    monkeypatch.setattr(transaction, "DUE_HOLDS_MAX", 4)
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", due), deadline_s=20)
        await held_and_due(engine, database, *[("a", 1)] * due)
        took = await engine.change(database.store, ReserveStock("r", (Line("a", due),)), deadline_s=20)
        assert took.state is HELD
    assert database.level("a") == (0, due)
    assert len(transactions(database, "EXPIRE")) == rounds


async def test_due_holds_with_more_lines_than_a_batch_has_room_for(database: Database) -> None:
    """Holds are ended as far as the batch's bound on lines has room for theirs; the rest in the next."""
    async with running_engine(database.url, lines_max=5) as (engine, _):
        for product_id in ("a", "b"):
            await engine.change(database.store, CreateStock(product_id, 6), deadline_s=20)
        for number in range(6):
            lines = (Line("a", 1), Line("b", 1))
            await engine.change(database.store, ReserveStock(f"due{number}", lines, ttl_s=60), deadline_s=20)
        database.rows(
            "UPDATE reservation SET expire_time = now() - interval '1 s' WHERE store_id = %s RETURNING 1",
            database.store,
        )
        took = await engine.change(database.store, ReserveStock("r", (Line("a", 6),)), deadline_s=20)
        assert took.state is HELD
    assert len(transactions(database, "EXPIRE")) == 3


async def test_put_off_but_short_in_the_end(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """When all due holds are ended and it is still too little, it is refused at last; all expiries stand."""
    monkeypatch.setattr(transaction, "DUE_HOLDS_MAX", 4)
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 8), deadline_s=20)
        await held_and_due(engine, database, *[("a", 1)] * 8)
        with pytest.raises(InsufficientStock) as caught:
            await engine.change(database.store, ReserveStock("r", (Line("a", 9),)), deadline_s=20)
    assert caught.value.shortages == (Shortage("a", None, 9, 8, True),)
    assert set(states(database).values()) == {"EXPIRED"}


async def test_who_was_put_off_goes_first(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that was put off is decided before those that queued behind it."""
    monkeypatch.setattr(transaction, "DUE_HOLDS_MAX", 2)
    async with running_engine(database.url) as (engine, _):
        await engine.change(database.store, CreateStock("a", 4), deadline_s=20)
        await held_and_due(engine, database, *[("a", 1)] * 4)
        with database.level_locked("a") as holder:
            first = start(engine, database.store, ReserveStock("first", (Line("a", 4),)))
            await eventually(lambda: database.blocked(holder), "the batch waits")
            second = start(engine, database.store, ReserveStock("second", (Line("a", 4),)))
            await asyncio.sleep(0)
        assert (await first).state is HELD
        with pytest.raises(InsufficientStock):
            await second


async def test_check_availability_counts_due_holds_as_free(database: Database) -> None:
    """A read sees the units of due holds as free, before anybody ended them; of others not."""
    async with running_engine(database.url) as (engine, reader):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
        await held_and_due(engine, database, ("a", 4), ("a", 2))
        await engine.change(database.store, ReserveStock("live", (Line("a", 1),)), deadline_s=20)

        async def short(quantity: int) -> Any:
            return await reader.shortages(database.store, (Line("a", quantity),), deadline_s=20)

        assert await short(8) == ()
        assert await short(9) == (Shortage("a", None, 9, 8, True),)
        took = await engine.change(database.store, ReserveStock("r", (Line("a", 8),)), deadline_s=20)
        assert took.state is HELD
        assert await short(1) == (Shortage("a", None, 1, 0, True),)


async def test_the_sweeper_ends_due_holds(database: Database) -> None:
    """The sweeper ends what is due in every store, leaves the rest, and forgets old request ids."""
    async with running_engine(database.url) as (engine, reader):
        await engine.change(database.store, CreateStock("a", 9), deadline_s=20)
        await held_and_due(engine, database, ("a", 4), ("a", 2))
        await engine.change(database.store, ReserveStock("live", (Line("a", 1),)), deadline_s=20)
        for request_id in ("old", "new"):
            await engine.change(
                database.store, plus("a"), deadline_s=20, request_id=request_id, encode=lambda _: b"answer"
            )
        database.rows(
            "UPDATE request_log SET created_at = now() - interval '25 h' WHERE request_id = 'old'"
            " AND store_id = %s RETURNING 1",
            database.store,
        )
        await Sweeper(engine, reader, request_log_retention_h=24).sweep()
    assert states(database) == {"due0": "EXPIRED", "due1": "EXPIRED", "live": "HELD"}
    assert database.level("a") == (10, 1)
    kept = database.rows("SELECT request_id FROM request_log WHERE store_id = %s", database.store)
    assert kept == [("new",)]


async def test_forgetting_is_bounded(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """One transaction forgets the oldest answers, so many at most; the next goes on."""
    monkeypatch.setattr(save, "ANSWERS_FORGOTTEN_MAX", 2)
    database.rows(
        "INSERT INTO request_log SELECT %s, 'm', n::text, '', '', now() - interval '1 h' * n"
        " FROM generate_series(24, 28) AS n RETURNING 1",
        database.store,
    )
    left = []
    async with running_engine(database.url) as (engine, _):
        for _ in range(3):
            await engine.change(database.store, ForgetAnswers(24), deadline_s=20)
            left.append(database.one("SELECT count(*) FROM request_log WHERE store_id = %s", database.store))
    assert left == [3, 1, 0]


async def test_the_sweeper_forgets_round_by_round(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many answers are old, they go in one sweep; one that failed is made up for by the next."""
    monkeypatch.setattr(save, "ANSWERS_FORGOTTEN_MAX", 2)
    database.rows(
        "INSERT INTO request_log SELECT %s, 'm', n::text, '', '', now() - interval '1 h' * n"
        " FROM generate_series(23, 30) AS n RETURNING 1",
        database.store,
    )
    async with running_engine(database.url) as (engine, reader):
        tidy = Sweeper(engine, reader, request_log_retention_h=24)
        with monkeypatch.context() as failing, pytest.raises(DeadlinePassed):
            failing.setattr(engine, "change", AsyncMock(side_effect=DeadlinePassed))
            await tidy.sweep()
        await tidy.sweep()
    kept = database.rows("SELECT request_id FROM request_log WHERE store_id = %s", database.store)
    assert kept == [("23",)]


async def test_expiring_twice_is_once(database: Database) -> None:
    """Two sweepers that look at once end a hold once."""
    async with running_engine(database.url) as (one, _), running_engine(database.url) as (two, _):
        await one.change(database.store, CreateStock("a", 9), deadline_s=20)
        await held_and_due(one, database, ("a", 4))
        ended = await asyncio.gather(
            *(
                engine.change(database.store, ExpireReservation("due0"), deadline_s=20)
                for engine in (one, two)
            )
        )
    assert [reservation.state for reservation in ended] == [EXPIRED, EXPIRED]
    assert len(database.entries("a")) == 3


async def test_the_sweeper_removes_carts_a_day_after_they_expired(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round by round, with their items; not those that were checked out or have not expired for a day."""
    monkeypatch.setattr(sweeper, "PER_ROUND_MAX", 2)
    async with running_engine(database.url) as (engine, reader):
        for cart_id in ("old-1", "old-2", "old-3", "late", "sold", "open"):
            await engine.change(database.store, CreateCart(cart_id, "EUR"), deadline_s=20)
            item = CartItem("wrap", 1, 5, None, False)
            await engine.change(
                database.store, AddCartItems(cart_id, (item,)), deadline_s=20, request_id=cart_id
            )
        await engine.change(database.store, Checkout("sold", "o"), deadline_s=20)
        database.rows(
            "UPDATE cart SET expires_at = now() - CASE cart_id WHEN 'late' THEN interval '23 hours'"
            " ELSE interval '24 hours' END WHERE store_id = %s AND cart_id <> 'open' RETURNING 1",
            database.store,
        )
        await Sweeper(engine, reader, request_log_retention_h=24).sweep()
    for table in ("cart", "cart_item"):
        kept = database.rows(f"SELECT cart_id FROM {table} WHERE store_id = %s ORDER BY 1", database.store)
        assert [row[0] for row in kept] == ["late", "open", "sold"]
