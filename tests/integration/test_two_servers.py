"""Two engines on one database, as two server processes are: they never sell one unit twice."""

from __future__ import annotations

import asyncio

import pytest

from inventory_server.domain.commands import CreateStock, FulfillReservation, ReleaseReservation, ReserveStock
from inventory_server.domain.errors import InsufficientStock, LocationNotEmpty, LocationNotFound
from inventory_server.domain.location import Location
from inventory_server.domain.location_commands import CreateLocation, DeleteLocation, TransferStock
from inventory_server.domain.reservation import Line, Reservation, ReservationState
from inventory_server.engine.engine import Engine
from support.engine import Database, minus, plus, running_engine


@pytest.mark.fault(21)
async def test_the_race_for_the_last_units(database: Database) -> None:
    """Many racers over two servers for few units: all units go, none twice, the log has no gap."""
    async with (
        running_engine(database.url, attempts_max=100) as (one, _),
        running_engine(database.url, attempts_max=100) as (two, _),
    ):
        await one.change(database.store, CreateStock("a", 40), deadline_s=30)
        verdicts = await asyncio.gather(
            *(
                (one, two)[n % 2].change(
                    database.store, ReserveStock(f"r{n}", (Line("a", 2),)), deadline_s=30
                )
                for n in range(60)
            ),
            return_exceptions=True,
        )
    held = [verdict for verdict in verdicts if isinstance(verdict, Reservation)]
    refused = [verdict for verdict in verdicts if isinstance(verdict, InsufficientStock)]
    assert (len(held), len(refused)) == (20, 40)
    assert database.level("a") == (0, 40)
    assert [version for version, _, _ in database.entries("a")] == list(range(1, 22))


@pytest.mark.fault(21)
async def test_the_same_call_to_both(database: Database) -> None:
    """The same reservation sent to two servers at once is one reservation."""
    command = ReserveStock("r", (Line("a", 3),))
    async with (
        running_engine(database.url, attempts_max=100) as (one, _),
        running_engine(database.url, attempts_max=100) as (two, _),
    ):
        await one.change(database.store, CreateStock("a", 40), deadline_s=30)
        verdicts = await asyncio.gather(
            *((one, two)[n % 2].change(database.store, command, deadline_s=30) for n in range(20))
        )
    assert {verdict.state for verdict in verdicts} == {ReservationState.HELD}
    assert database.level("a") == (37, 3)


@pytest.mark.fault(19, 21)
async def test_opposite_orders(database: Database) -> None:
    """Lines (A,B) and (B,A), restocks and endings on two servers: no caller sees a deadlock or a retry."""
    async with (
        running_engine(database.url, attempts_max=100) as (one, _),
        running_engine(database.url, attempts_max=100) as (two, _),
    ):
        for product in "ab":
            await one.change(database.store, CreateStock(product, 1_000), deadline_s=30)

        async def work(engine: Engine, name: str, products: str) -> None:
            for number in range(10):
                reservation_id = f"{name}{number}"
                lines = tuple(Line(product, 3) for product in products)
                await engine.change(database.store, ReserveStock(reservation_id, lines), deadline_s=30)
                end = ReleaseReservation if number % 2 else FulfillReservation
                await engine.change(database.store, end(reservation_id), deadline_s=30)
                await engine.change(database.store, plus(products[0]), deadline_s=30)
                await engine.change(database.store, minus(products[1]), deadline_s=30)

        workers = [
            work(engine, f"{name}{n}-", products)
            for name, engine, products in (("one", one, "ab"), ("two", two, "ba"))
            for n in range(3)
        ]
        await asyncio.gather(*workers)
    # 60 holds of 3, half of them shipped; pluses and minuses even out.
    assert database.level("a") == database.level("b") == (1_000 - 30 * 3, 0)


@pytest.mark.fault(21)
async def test_a_location_is_deleted_and_filled_at_once(database: Database) -> None:
    """One server deletes a location while the other brings units there: never are units at none."""
    async with (
        running_engine(database.url, attempts_max=100) as (one, reader),
        running_engine(database.url, attempts_max=100) as (two, _),
    ):
        await one.change(database.store, CreateStock("a", 1_000), deadline_s=30)
        for number in range(12):
            slug = f"l-{number}"
            await one.change(database.store, CreateLocation(Location(slug)), deadline_s=30)
            deleted, filled = await asyncio.gather(
                one.change(database.store, DeleteLocation(slug), deadline_s=30),
                two.change(database.store, TransferStock("a", 5, "default", slug), deadline_s=30),
                return_exceptions=True,
            )
            kept = slug in await reader.locations(database.store, deadline_s=30)
            if kept:
                assert isinstance(deleted, LocationNotEmpty) and not isinstance(filled, Exception)
            else:
                assert deleted is None and isinstance(filled, LocationNotFound)
