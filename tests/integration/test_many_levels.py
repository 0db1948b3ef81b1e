"""Reads of products that are kept at many locations: bounded by levels, and nothing left out for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from itertools import pairwise
from typing import Any, NamedTuple

import pytest
from pydantic import ValidationError

from inventory_server.config import Settings
from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.commands import CreateStock, CreateStockTransaction, ReserveStock
from inventory_server.domain.decide import Request
from inventory_server.domain.errors import InvalidValue, LocationNotEmpty
from inventory_server.domain.location import Location
from inventory_server.domain.location_commands import CreateLocation, DeleteLocation
from inventory_server.domain.reservation import Line
from inventory_server.domain.state import StockView
from inventory_server.domain.stock import Action
from inventory_server.engine import export, load, stock_reads, verification
from inventory_server.engine.engine import Engine
from inventory_server.engine.export import ExportRow
from inventory_server.engine.reads import Reader
from inventory_server.engine.stock_reads import StockFilters
from inventory_server.engine.verification import FIRST, Verifier
from support.engine import WAIT_S, Database, running_engine
from support.imports import desk_on

SLUGS = ("default", "east", "north", "west")
# How many levels each product has; level n of a product keeps n units.
LEVELS = {"a": 2, "b": 4, "c": 1, "d": 4, "e": 3, "f": 1, "g": 4}
ALL = sum(LEVELS.values())
EVERYTHING = StockFilters()


class Store(NamedTuple):
    """A store of which `gone` was a location, with an empty level of every product that has four."""

    engine: Engine
    reader: Reader
    database: Database

    async def do(self, command: Any) -> Any:
        return await self.engine.change(self.database.store, command, deadline_s=WAIT_S)

    async def keep(self, product_id: str, quantity: int, slug: str) -> None:
        await self.do(CreateStockTransaction(product_id, Action.SET, quantity, slug))

    async def page(
        self, after: str, limit: int = 100, filters: StockFilters = EVERYTHING
    ) -> stock_reads.StockPage:
        return await self.reader.list_stock(
            self.database.store, filters, after=after, limit=limit, with_levels=True, deadline_s=WAIT_S
        )

    async def pages(self, limit: int = 100, filters: StockFilters = EVERYTHING) -> list[list[StockView]]:
        """Return all pages of a list with levels."""
        found, after = [], ""
        while True:
            page = await self.page(after, limit, filters)
            found.append(page.stocks)
            if page.last is None:
                return found
            assert page.last > after
            after = page.last

    async def batch(self, *product_ids: str, with_levels: bool) -> dict[str, StockView]:
        return await self.reader.stocks(
            self.database.store, product_ids, with_levels=with_levels, deadline_s=WAIT_S
        )


@pytest.fixture
async def store(database: Database) -> AsyncIterator[Store]:
    async with running_engine(database.url) as (engine, reader):
        made = Store(engine, reader, database)
        for slug in (*SLUGS[1:], "gone"):
            await made.do(CreateLocation(Location(slug)))
        for product_id, count in LEVELS.items():
            await made.do(CreateStock(product_id, 0))
            for number in range(1, count):
                await made.keep(product_id, number, SLUGS[number])
            if count == len(SLUGS):
                await made.keep(product_id, 0, "gone")
        await made.do(DeleteLocation("gone"))
        yield made


@pytest.fixture
def rows_read(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """How many rows each statement brought that a read ran."""
    read: dict[str, int] = {}
    original = ReadTransaction.fetch

    async def fetch(self: ReadTransaction, calls: Any) -> Any:
        results = await original(self, calls)
        for (name, _), rows in zip(calls, results, strict=True):
            read[name] = read.get(name, 0) + len(rows)
        return results

    monkeypatch.setattr(ReadTransaction, "fetch", fetch)
    return read


@pytest.mark.parametrize("emptied", [0, 1, 2])
async def test_as_many_levels_as_a_batch_can_empty(
    store: Store, monkeypatch: pytest.MonkeyPatch, emptied: int
) -> None:
    """One more is looked at, so a location that still keeps something stays, whatever was emptied beside it.

    Of the three products at `west` it empties some, in the batch that deletes it.
    """
    monkeypatch.setattr(load, "LEVELS_KEPT_MAX", emptied + 1)
    requests = [
        Request(CreateStockTransaction(product_id, Action.SET, 0, "west")) for product_id in "bdg"[:emptied]
    ]
    verdicts = await store.engine.change_many(
        store.database.store, [*requests, Request(DeleteLocation("west"))], deadline_s=WAIT_S
    )
    assert isinstance(verdicts[-1], LocationNotEmpty)
    assert not any(isinstance(verdict, Exception) for verdict in verdicts[:-1])


def test_more_levels_are_looked_at_than_a_batch_can_empty() -> None:
    """Whatever `batch_lines_max` is set to."""
    Settings(batch_lines_max=load.LEVELS_KEPT_MAX - 1)
    with pytest.raises(ValidationError):
        Settings(batch_lines_max=load.LEVELS_KEPT_MAX)


def levels_of(views: list[StockView]) -> dict[str, list[tuple[str, int]]]:
    return {view.product_id: [(each.location, each.level.total) for each in view.levels] for view in views}


EXPECTED = {
    product_id: [(slug, number) for number, slug in enumerate(SLUGS[:count])]
    for product_id, count in LEVELS.items()
}


async def test_sums_bring_a_row_a_product(store: Store, rows_read: dict[str, int]) -> None:
    """Where no levels are asked for none are read, and what is told is what they come to."""
    sums = await store.batch(*LEVELS, with_levels=False)
    assert rows_read == {"store": 1, "stocks": 7, "level_sums": 7, "expired_held": 0}
    assert {product_id: view.total for product_id, view in sums.items()} == {
        product_id: count * (count - 1) // 2 for product_id, count in LEVELS.items()
    }


async def test_the_etag_is_that_of_the_sums(store: Store) -> None:
    """Every view of a product has the same numbers, time and etag, whatever a place kept that is gone."""
    sums = await store.batch(*LEVELS, with_levels=False)
    shown = await store.batch(*LEVELS, with_levels=True)
    assert {product_id: view._replace(levels=()) for product_id, view in shown.items()} == sums
    assert [view.etag for view in shown.values()] == [view.etag for view in sums.values()]


async def test_a_batch_with_levels(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """As many levels as an answer may show are shown; one more is refused."""
    monkeypatch.setattr(stock_reads, "LEVELS_SHOWN_MAX", ALL)
    assert levels_of(list((await store.batch(*LEVELS, with_levels=True)).values())) == EXPECTED
    await store.keep("f", 1, "west")
    with pytest.raises(InvalidValue):
        await store.batch(*LEVELS, with_levels=True)


@pytest.mark.parametrize("levels_max", range(4, ALL + 2))
async def test_pages_with_levels(store: Store, monkeypatch: pytest.MonkeyPatch, levels_max: int) -> None:
    """Whatever a page has room for, each product comes once, with all its levels, and no page has more."""
    monkeypatch.setattr(stock_reads, "LEVELS_SHOWN_MAX", levels_max)
    for limit in (1, 3, 100):
        pages = await store.pages(limit)
        assert [view.product_id for page in pages for view in page] == list(LEVELS)
        assert levels_of([view for page in pages for view in page]) == EXPECTED
        assert max(sum(len(view.levels) for view in page) for page in pages) <= levels_max
        # A page is not shorter than it must be: the next product would not have fitted.
        for page, following in pairwise(pages):
            levels = sum(LEVELS[view.product_id] for view in page)
            assert len(page) == limit or levels + LEVELS[following[0].product_id] > levels_max


async def test_pages_of_a_filter_with_levels(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what is listed counts; what is left out between takes no room."""
    monkeypatch.setattr(stock_reads, "LEVELS_SHOWN_MAX", 8)
    pages = await store.pages(filters=StockFilters(location="west"))
    assert [[view.product_id for view in page] for page in pages] == [["b", "d"], ["g"]]
    nothing_there = await store.pages(filters=StockFilters(location="default", out_of_stock=True))
    assert [view.product_id for page in nothing_there for view in page] == list(LEVELS)
    sold_out = await store.pages(filters=StockFilters(out_of_stock=True))
    assert [[view.product_id for view in page] for page in sold_out] == [["c", "f"]]


async def test_a_change_between_two_pages_with_levels(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next page begins with the product that had no room, though what was shown has grown since."""
    monkeypatch.setattr(stock_reads, "LEVELS_SHOWN_MAX", 7)
    first = await store.page("")
    assert ([view.product_id for view in first.stocks], first.last) == (["a", "b", "c"], "c")
    await store.keep("c", 5, "west")
    await store.do(CreateStock("bb", 1))
    await store.do(CreateStock("cc", 1))
    rest = await store.page("c")
    assert [view.product_id for view in rest.stocks] == ["cc", "d"]


async def test_expired_holds_in_a_short_page(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of due holds are told in sum and at their level, on whatever page a product comes."""
    for product_id in ("b", "d"):
        await store.do(ReserveStock(product_id, (Line(product_id, 2, "north"),), ttl_s=0.000001))
    monkeypatch.setattr(stock_reads, "LEVELS_SHOWN_MAX", 6)
    views = {view.product_id: view for page in await store.pages() for view in page}
    assert [view.expired_held for view in views.values()] == [0, 2, 0, 2, 0, 0, 0]
    for product_id in ("b", "d"):
        assert [each.expired_held for each in views[product_id].levels] == [0, 0, 2, 0]


@pytest.mark.parametrize("levels_max", range(5, ALL + 2))
async def test_an_export_is_cut_by_levels(
    store: Store, monkeypatch: pytest.MonkeyPatch, rows_read: dict[str, int], levels_max: int
) -> None:
    """No page has more levels than a message has room for; every product comes once, and whole."""
    monkeypatch.setattr(export, "PAGE_LEVELS_MAX", levels_max)
    monkeypatch.setattr(export, "PAGE_ROWS_MAX", 3)
    async with (
        desk_on(store.engine, store.database.url) as desk,
        desk.exporter.export(store.database.store, deadline_s=WAIT_S) as spool,
    ):
        pages: list[list[ExportRow]] = [page async for page in spool.pages()]
    assert {
        row.product_id: [tuple(each) for each in row.levels] for page in pages for row in page
    } == EXPECTED
    assert [row.product_id for page in pages for row in page] == list(LEVELS)
    assert spool.row_count == len(LEVELS)
    assert max(sum(len(row.levels) for row in page) for page in pages) < levels_max
    assert max(map(len, pages)) <= 3


@pytest.mark.parametrize("levels_max", [1, 2, 5, ALL + 3])
async def test_a_verification_of_named_products_is_bounded(
    store: Store, monkeypatch: pytest.MonkeyPatch, rows_read: dict[str, int], levels_max: int
) -> None:
    """A chunk reads so many levels, however many products are named; each level is verified once."""
    monkeypatch.setattr(verification, "LEVELS_MAX", levels_max)
    named = sorted({*LEVELS, "nowhere"} - {"d"})
    place, levels = FIRST, 0
    while True:
        rows_read.clear()
        chunk = await Verifier(store.reader).chunk(
            store.database.store, place, product_ids=named, deadline_s=WAIT_S
        )
        assert not chunk.violations
        assert rows_read["verify_levels"] <= levels_max
        assert rows_read["verify_logged_levels"] <= levels_max
        levels += chunk.levels
        if chunk.next_place is None:
            break
        place = chunk.next_place
    # Levels at a location that is gone have their log like any other: `b` and `g` have one.
    assert levels == ALL - LEVELS["d"] + 2
