"""Lists whose filter lets few through look at so many rows a call: a page may be short, none is lost."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from inventory_server.domain.commands import (
    CreateStock,
    CreateStockTransaction,
    ReleaseReservation,
    ReserveStock,
)
from inventory_server.domain.reservation import Line, ReservationState
from inventory_server.domain.stock import Action
from inventory_server.engine import log_reads, reservation_reads, stock_reads
from inventory_server.engine.log_reads import LogFilters
from inventory_server.engine.reads import Reader
from inventory_server.engine.reservation_reads import FIRST_KEY, ReservationFilters
from inventory_server.engine.stock_reads import StockFilters
from support.engine import Database, running_engine


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call looks at two rows, one by one where it goes by chunks."""
    monkeypatch.setattr(stock_reads, "LOOKED_AT_MAX", 2)
    monkeypatch.setattr(log_reads, "LOOKED_AT_MAX", 2)
    monkeypatch.setattr(log_reads, "CHUNK", 1)
    monkeypatch.setattr(reservation_reads, "LOOKED_AT_MAX", 2)
    monkeypatch.setattr(reservation_reads, "_CHUNK", 1)


async def pages(read: Callable[[Any], Awaitable[Any]], first: Any) -> list[list[Any]]:
    """Return the rows of each page until the list ends."""
    found, after = [], first
    while True:
        rows, last = await read(after)
        found.append(rows)
        if last is None:
            return found
        after = last


async def test_a_page_ends_after_so_many_looks(database: Database) -> None:
    """Of six products, six holds and six entries the fifth alone is wanted: found once, after short pages."""
    store = database.store
    async with running_engine(database.url) as (engine, reader):
        for number in range(6):
            await engine.change(store, CreateStock(f"a{number}", 3), deadline_s=20)
            held = ReserveStock(f"r{number}", (Line(f"a{number}", 3 if number == 4 else 1),))
            await engine.change(store, held, deadline_s=20)
        await engine.change(store, ReleaseReservation("r4"), deadline_s=20)
        await engine.change(store, CreateStock("log", 1), deadline_s=20)
        for number in range(6):
            action = Action.DECREMENT if number == 4 else Action.INCREMENT
            await engine.change(store, CreateStockTransaction("log", action, 1), deadline_s=20)
        await engine.change(store, CreateStockTransaction("a4", Action.DECREMENT, 3), deadline_s=20)
        for found in (await stocks(reader, store), await entries(reader, store), await holds(reader, store)):
            assert sum(map(len, found)) == 1
            assert found[0] == [] and len(found) > 2


async def stocks(reader: Reader, store: str) -> list[list[Any]]:
    return await pages(
        lambda after: reader.list_stock(
            store, StockFilters(out_of_stock=True), after=after, limit=1, with_levels=False, deadline_s=20
        ),
        "",
    )


async def entries(reader: Reader, store: str) -> list[list[Any]]:
    filters = LogFilters("log", actions=frozenset({Action.DECREMENT}))
    return await pages(
        lambda after: reader.list_stock_transactions(store, filters, after=after, limit=1, deadline_s=20),
        None,
    )


async def holds(reader: Reader, store: str) -> list[list[Any]]:
    filters = ReservationFilters((ReservationState.RELEASED,))
    return await pages(
        lambda after: reader.list_reservations(store, filters, after=after, limit=1, deadline_s=20), FIRST_KEY
    )
