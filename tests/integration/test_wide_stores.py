"""Batches of stores with many locations: few levels are loaded, and all is decided as if all were."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from inventory_server.db.connection import EngineConnection, EngineConnections
from inventory_server.db.stores import create_store
from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    Command,
    ConfirmReservation,
    CreateCart,
    CreateStock,
    CreateStockTransaction,
    DeleteStock,
    FulfillReservation,
    ReleaseReservation,
    ReserveStock,
    UpdateStock,
)
from inventory_server.domain.decide import Request
from inventory_server.domain.errors import InsufficientStock, ReservationNotActive, Shortage
from inventory_server.domain.limits import LOCATIONS_MAX
from inventory_server.domain.location import Location
from inventory_server.domain.location_commands import CreateLocation, TransferStock, UpdateLocation
from inventory_server.domain.order import CartItem
from inventory_server.domain.order_commands import CancelOrder
from inventory_server.domain.payment_commands import BeginPayment
from inventory_server.domain.reservation import Line, LineUnits, Reservation
from inventory_server.domain.reservation_commands import ReturnReservationItems
from inventory_server.domain.state import StockView
from inventory_server.domain.stock import Action, LogRecord
from inventory_server.engine import level_load
from inventory_server.engine.batcher import Batcher
from inventory_server.engine.transaction import Attempt, run_batch
from inventory_server.engine.verification import FIRST, Verifier
from support.engine import WAIT_S, Database, running_engine

SLUGS = ("default", "a", "b", "c", "d", "e", "f")
PRODUCTS = ("p", "q", "r")


@pytest.fixture
def bounds(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, int, int], None]:
    """Set what is few, how many locations are tried, and how many lines."""

    def set_them(few: int, tried: int, lines: int) -> None:
        monkeypatch.setattr(level_load, "FEW_LOCATIONS_MAX", few)
        monkeypatch.setattr(level_load, "LOCATIONS_TRIED_MAX", tried)
        monkeypatch.setattr(level_load, "LINES_TRIED_MAX", lines)

    return set_them


class Trips:
    """A connection of the engine's, and what its statements brought."""

    def __init__(self, connection: EngineConnection, store: str) -> None:
        self._connection = connection
        self._store = store
        self.rows: dict[str, int] = {}

    async def batch(self, *commands: Command, is_wide: bool = True) -> list[Any]:
        """Decide commands in one batch. Returns: the verdicts, refusals among them."""
        attempt = Attempt()
        requests = [Request(command) for command in commands]
        self.rows.clear()
        await run_batch(self._connection, self._store, requests, attempt, lines_max=10_000, is_wide=is_wide)
        return attempt.verdicts

    def watch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("begin", "fetch"):
            monkeypatch.setattr(self._connection, name, self._watched(getattr(self._connection, name)))

    def _watched(self, original: Callable[..., Any]) -> Callable[..., Any]:
        async def trip(store_id: str, calls: Any) -> Any:
            results = await original(store_id, calls)
            for (name, _), rows in zip(calls, results, strict=True):
                self.rows[name] = self.rows.get(name, 0) + len(rows)
            return results

        return trip

    @property
    def levels(self) -> dict[str, int]:
        """How many levels the last batch loaded, by statement."""
        return {name: count for name, count in self.rows.items() if name.startswith("levels")}


@asynccontextmanager
async def trips_on(database: Database, store: str | None = None) -> AsyncIterator[Trips]:
    connections = EngineConnections(database.url, 1)
    async with connections.borrow() as connection:
        yield Trips(connection, store or database.store)
    await connections.close()


@pytest.fixture
async def wide(database: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Trips]:
    """A store where `p`, `q` and `r` have 5 units at each of 7 locations, `default` first."""
    async with trips_on(database) as trips:
        await trips.batch(*(CreateLocation(Location(slug, priority=1)) for slug in SLUGS[1:]))
        await trips.batch(*(CreateStock(product_id, 5) for product_id in PRODUCTS))
        for product_id in PRODUCTS:
            await trips.batch(*(put(product_id, 5, slug) for slug in SLUGS[1:]))
        trips.watch(monkeypatch)
        yield trips


def put(product_id: str, quantity: int, slug: str = "default") -> CreateStockTransaction:
    return CreateStockTransaction(product_id, Action.SET, quantity, slug)


def reserve(reservation_id: str, *lines: tuple[Any, ...], ttl_s: float = 900) -> ReserveStock:
    return ReserveStock(reservation_id, tuple(Line(*line) for line in lines), ttl_s=ttl_s)


def served(verdict: Any) -> list[str]:
    assert isinstance(verdict, Reservation), verdict
    return [line.location for line in verdict.lines]


def shortages(verdict: Any) -> tuple[Shortage, ...]:
    assert isinstance(verdict, InsufficientStock), verdict
    return verdict.shortages


# --- how much is loaded --------------------------------------------------------------------------


async def test_a_line_loads_the_level_that_serves_it(wide: Trips, bounds: Any) -> None:
    """Of as many levels as there may be, the first by the rule alone, where it has enough."""
    bounds(0, 64, 64)
    (made,) = await wide.batch(reserve("x", ("p", 5), ("q", 1), ("r", 2, "c")))
    assert served(made) == ["default", "default", "c"]
    assert wide.levels == {"levels_chosen": 3}


async def test_as_many_levels_as_lines(wide: Trips, bounds: Any) -> None:
    """Lines that leave nothing behind find the next location loaded: each brings one."""
    bounds(0, 64, 64)
    made = await wide.batch(*(reserve(f"x{number}", ("p", 5)) for number in range(4)))
    assert [served(each) for each in made] == [["default"], ["a"], ["b"], ["c"]]
    assert wide.levels == {"levels_chosen": 4}


async def test_what_is_named_is_loaded_alone(wide: Trips, bounds: Any) -> None:
    """By hand, by transfer, by release: the levels named, and those of the lines."""
    bounds(0, 64, 64)
    await wide.batch(reserve("x", ("p", 5, "e"), ("q", 1, "f")))
    await wide.batch(ReleaseReservation("x"), put("p", 7, "a"), TransferStock("r", 1, "b", "c"))
    assert wide.levels == {"levels_chosen": 5}


async def test_a_hold_that_is_asked_for_again(wide: Trips, bounds: Any) -> None:
    """One that is due gives back its units where they lie, although others would serve its lines now."""
    bounds(0, 64, 64)
    asked = reserve("x", ("p", 5), ("q", 3), ttl_s=0.000001)
    assert served((await wide.batch(asked))[0]) == ["default", "default"]
    (refused,) = await wide.batch(asked)
    assert isinstance(refused, ReservationNotActive)
    assert "levels_left" not in wide.levels
    (view,) = await wide.batch(UpdateStock("p"))
    assert (view.available, view.allocated) == (35, 0)


async def test_a_view_loads_sums(wide: Trips, bounds: Any) -> None:
    """What is shown of a product after a change is what all its levels come to, and no level is loaded."""
    bounds(0, 64, 64)
    (view, _, changed) = await wide.batch(UpdateStock("p"), put("p", 1, "f"), UpdateStock("p", True, 3))
    assert (view.available, changed.available, changed.low_stock_threshold) == (35, 31, 3)
    assert wide.levels == {"levels_chosen": 1}
    (view,) = await wide.batch(UpdateStock("p"))
    assert (view.available, view.etag) == (31, changed.etag)
    assert wide.levels == {}


@pytest.mark.parametrize(("few", "loaded"), [(6, 1), (7, 7)])
async def test_a_product_with_few_levels_comes_whole(wide: Trips, bounds: Any, few: int, loaded: int) -> None:
    """At the bound all levels of a product are loaded; with one more the first one is."""
    bounds(few, 64, 64)
    await wide.batch(reserve("x", ("p", 1)))
    assert wide.levels == {"levels_chosen": loaded}


@pytest.mark.parametrize(("lines", "loaded"), [(3, 7), (4, 2)])
async def test_a_product_of_many_lines_comes_whole(wide: Trips, bounds: Any, lines: int, loaded: int) -> None:
    """Two lines of two quantities ask four times; past the bound everything is loaded at once."""
    bounds(0, 64, lines)
    made = await wide.batch(reserve("x", ("p", 5)), reserve("y", ("p", 4)))
    assert [served(each) for each in made] == [["default"], ["a"]]
    found = wide.levels["levels_chosen"]
    assert found == (7 if loaded == 7 else 4), "each quantity brings its first two levels"


@pytest.mark.parametrize("tried", [1, 6, 7])
async def test_past_the_locations_tried(wide: Trips, bounds: Any, tried: int) -> None:
    """Where none of the first locations has enough, all levels are looked through, and one is loaded."""
    bounds(0, tried, 64)
    await wide.batch(put("p", 9, "f"))
    (made,) = await wide.batch(reserve("x", ("p", 9)))
    assert served(made) == ["f"]
    # Beside the one that serves comes the one that has most of the others, which a refusal would tell.
    assert wide.levels == ({"levels_chosen": 1} if tried == 7 else {"levels_chosen": 0, "levels_left": 2})


async def test_what_is_known_ends_where_the_look_ended(wide: Trips, bounds: Any) -> None:
    """A level that another command named serves nobody while one not looked at may come before it."""
    bounds(0, 1, 64)
    await wide.batch(put("p", 9, "d"), put("p", 8, "f"))
    _, made = await wide.batch(put("p", 9, "f"), reserve("x", ("p", 9)))
    assert served(made) == ["d"]


async def test_a_level_that_nothing_named(wide: Trips, bounds: Any) -> None:
    """Units that are brought back elsewhere than they were served open no level that is there already."""
    bounds(0, 64, 64)
    await wide.batch(reserve("x", ("p", 2)))
    await wide.batch(FulfillReservation("x"))
    back = ReturnReservationItems("x", "t", (LineUnits(1, 2),), restock=True, location="c")
    (returned,) = await wide.batch(back)
    assert not isinstance(returned, Exception)
    assert wide.levels == {"levels_chosen": 1, "levels_left": 1}
    (view,) = await wide.batch(UpdateStock("p"))
    assert view.available == 35


async def test_a_shortage_tells_the_most_that_one_location_has(wide: Trips, bounds: Any) -> None:
    """A refusal is as exact as with everything loaded: the most, and not of a disabled location."""
    bounds(0, 64, 64)
    await wide.batch(put("p", 8, "d"), put("p", 99, "e"), UpdateLocation("e", (("enabled", False),)))
    (refused,) = await wide.batch(reserve("x", ("p", 9)))
    assert shortages(refused) == (Shortage("p", None, 9, 8, True),)
    made, refused = await wide.batch(reserve("y", ("p", 8)), reserve("z", ("p", 8)))
    assert served(made) == ["d"]
    assert shortages(refused) == (Shortage("p", None, 8, 5, True),)


async def test_a_location_disabled_in_the_batch(wide: Trips, bounds: Any) -> None:
    """Who comes after the change is served by the order as it is then, though other levels were loaded."""
    bounds(0, 64, 64)
    first = UpdateLocation("f", (("priority", -1),))
    made = await wide.batch(reserve("x", ("p", 5)), first, reserve("y", ("p", 1)), reserve("z", ("p", 5)))
    assert [served(made[0]), served(made[2]), served(made[3])] == [["default"], ["f"], ["a"]]


async def test_how_a_batch_is_loaded_is_learnt(
    database: Database, monkeypatch: pytest.MonkeyPatch, bounds: Any
) -> None:
    """With as many locations as are few the next batch loads whole products; with one more it does not."""
    bounds(2, 64, 64)
    told: list[bool] = []
    original = Batcher._answer

    def answer(self: Batcher, entries: Any, attempt: Attempt) -> None:
        told.append(self._is_wide)
        original(self, entries, attempt)

    monkeypatch.setattr(Batcher, "_answer", answer)
    async with running_engine(database.url) as (engine, _):
        for slug in ("a", "b", "c"):
            await engine.change(database.store, CreateLocation(Location(slug)), deadline_s=WAIT_S)
        await engine.change(database.store, CreateStock("p", 1), deadline_s=WAIT_S)
    # Each tells of the store as it was loaded: with 1, 2, 3 and 4 locations.
    assert told == [False, False, True, True]


def test_a_deletion_weighs_as_much_as_it_may_load() -> None:
    """A batch loads the levels of so many products to delete as it has room for at their most."""
    assert DeleteStock("p").line_count == LOCATIONS_MAX


# --- and what is decided -------------------------------------------------------------------------


def random_command(dice: random.Random, number: int) -> Command:
    """Return anything that a batch may hold; ids that later ones name are few."""
    product_id, slug, other = dice.choice(PRODUCTS), dice.choice(SLUGS), dice.choice(SLUGS)
    anywhere, quantity = dice.choice((None, None, slug)), dice.randint(1, 6)
    earlier = f"x{dice.randrange(number + 1)}"
    lines = [(each, dice.randint(1, 6), dice.choice((None, None, None, other))) for each in PRODUCTS]
    kind = dice.randrange(15)
    made: dict[int, Command] = {
        0: CreateStockTransaction(product_id, Action.INCREMENT, quantity, slug),
        1: CreateStockTransaction(product_id, Action.DECREMENT, quantity, slug),
        2: put(product_id, quantity - 1, slug),
        3: TransferStock(product_id, quantity, slug, next(each for each in SLUGS if each != slug)),
        4: ReleaseReservation(earlier),
        5: ConfirmReservation(earlier),
        6: FulfillReservation(earlier),
        7: ReturnReservationItems(earlier, f"t{number}", (LineUnits(1, 1),), restock=True, location=anywhere),
        8: UpdateLocation(slug, ((("enabled", dice.random() < 0.7)),)),
        9: UpdateLocation(slug, (("priority", dice.randint(-1, 1)),)),
        10: DeleteStock(product_id) if dice.random() < 0.2 else UpdateStock(product_id),
        11: CreateStock(product_id, quantity, slug),
        12: reserve(f"x{number}", *lines[: dice.randint(1, 3)], ttl_s=0.000001),
    }
    return made.get(kind) or reserve(f"x{number}", (product_id, quantity, anywhere))


def order_flow(dice: random.Random, number: int) -> list[Command]:
    """Return a cart that is filled and checked out, and its order paid or cancelled."""
    cart, order = f"c{number}", f"o{number}"
    items = tuple(
        CartItem(each, dice.randint(1, 3), 1, dice.choice((None, None, "b"))) for each in PRODUCTS[:2]
    )
    total = sum(item.quantity for item in items)
    last = (
        BeginPayment(order, f"pay{number}", total, "card", f"op{number}", f"hold{number}", 9.0)
        if dice.random() < 0.7
        else CancelOrder(order)
    )
    return [CreateCart(cart, "EUR"), AddCartItems(cart, items), Checkout(cart, order), last]


def told(verdict: Any) -> object:
    """Return what a verdict says, without times and ids of the transaction's."""
    if isinstance(verdict, Exception):
        return type(verdict).__name__, str(verdict), getattr(verdict, "shortages", None)
    if isinstance(verdict, Reservation):
        return verdict.state, verdict.lines
    if isinstance(verdict, StockView):
        return verdict.available, verdict.allocated, verdict.low_stock_threshold
    if isinstance(verdict, LogRecord):
        return verdict.entry
    if isinstance(verdict, tuple) and verdict and isinstance(verdict[0], LogRecord):
        return tuple(each.entry for each in verdict)
    return type(verdict).__name__


def scenario(dice: random.Random) -> list[list[Command]]:
    """Return batches; the first ones make the store."""
    locations = [Location(slug, dice.random() < 0.8, dice.randint(-1, 1)) for slug in SLUGS[1:]]
    batches: list[list[Command]] = [
        [*map(CreateLocation, locations)],
        [CreateStock(product_id, dice.randint(0, 6)) for product_id in PRODUCTS],
        [
            put(product_id, dice.randint(0, 6), slug)
            for product_id in PRODUCTS
            for slug in SLUGS[1:]
            if dice.random() < 0.8
        ],
    ]
    number = 0
    for _ in range(8):
        batch: list[Command] = []
        for _ in range(dice.randint(1, 9)):
            number += 1
            batch.append(random_command(dice, number))
        batches.append(batch)
        batches += [[command] for command in order_flow(dice, number)]
    return batches


def stock_of(database: Database, store: str) -> list[tuple[Any, ...]]:
    return database.rows(
        "SELECT product_id, location, version, available, allocated, hand_allocated FROM stock_level"
        " WHERE store_id = %s ORDER BY product_id, location",
        store,
    )


BOUNDS: Sequence[tuple[int, int, int]] = [(0, 64, 64), (0, 1, 64), (0, 3, 1), (3, 2, 4)]


@pytest.mark.parametrize("seed", range(8))
async def test_what_is_loaded_does_not_matter(database: Database, bounds: Any, seed: int) -> None:
    """The same batches are decided alike, with all levels loaded and with few; no law is broken by either."""
    bounds(*BOUNDS[seed % len(BOUNDS)])
    twin = f"{database.store}-twin"
    create_store(database.url, twin)
    async with trips_on(database) as whole, trips_on(database, twin) as few:
        for commands in scenario(random.Random(seed)):
            expected = await whole.batch(*commands, is_wide=False)
            found = await few.batch(*commands, is_wide=True)
            assert [told(each) for each in found] == [told(each) for each in expected], commands
    assert stock_of(database, twin) == stock_of(database, database.store)
    async with running_engine(database.url) as (_, reader):
        chunk = await Verifier(reader).chunk(twin, FIRST, deadline_s=WAIT_S)
        assert chunk.levels == len(stock_of(database, twin))
        assert chunk.violations == []


async def test_units_of_due_holds_are_available(wide: Trips, database: Database, bounds: Any) -> None:
    """They count where they lie, though what is left there alone would not be looked at."""
    bounds(0, 64, 64)
    await wide.batch(*(put("p", 0, slug) for slug in SLUGS[1:]), reserve("late", ("p", 3), ttl_s=0.000001))
    async with running_engine(database.url) as (_, reader):
        assert await reader.shortages(database.store, (Line("p", 5),), deadline_s=WAIT_S) == ()
        (short,) = await reader.shortages(database.store, (Line("p", 6),), deadline_s=WAIT_S)
        assert short.available == 5
    (made,) = await wide.batch(reserve("x", ("p", 5)))
    assert served(made) == ["default"]


async def test_what_is_available_is_told_alike(database: Database, bounds: Any) -> None:
    """CheckAvailability finds the same shortages, units of due holds counted, whatever was loaded."""
    bounds(0, 2, 64)
    dice = random.Random(7)
    async with trips_on(database) as trips, running_engine(database.url) as (_, reader):
        for commands in scenario(dice)[:3]:
            await trips.batch(*commands)
        await trips.batch(*(reserve(f"late{n}", (p, 1), ttl_s=0.000001) for n, p in enumerate(PRODUCTS * 4)))
        for _ in range(30):
            lines = tuple(
                Line(product_id, dice.randint(1, 7), dice.choice((None, None, *SLUGS)))
                for product_id in (*PRODUCTS, "nowhere")
            )
            found = []
            for narrow in (set(), {database.store}):
                reader._narrow_stores = narrow
                found.append(await reader.shortages(database.store, lines, deadline_s=WAIT_S))
            assert found[0] == found[1]
