"""The feed of a store on a real database: every entry once, in order, whoever writes and whoever resumes."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from typing import Any

import psycopg
import pytest

from inventory_server.domain.commands import CreateStock, ReserveStock
from inventory_server.domain.errors import ResumeTokenExpired, StoreNotFound
from inventory_server.domain.reservation import Line
from inventory_server.engine import feed as feed_module
from inventory_server.engine import feed_reads
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import DatabaseUnavailable, Overloaded
from inventory_server.engine.feed import Feed, ResumePoint
from inventory_server.engine.feed_reads import PART_ENTRIES_MAX, START, FeedReader, Part
from support.database import holding
from support.engine import Database, eventually, minus, plus, running_engine

WAIT_S = 20.0
# So long that a test which passes was woken.
NEVER_S = 3600.0


@asynccontextmanager
async def following(
    database: Database,
    *,
    watchers_max: int = 9,
    poll_interval_s: float = 0.05,
    heartbeat_s: float = NEVER_S,
) -> AsyncIterator[tuple[Engine, Feed]]:
    """Run an engine whose commits wake the feed beside it, as in one server."""

    def wake(store_id: str) -> None:
        feed.wake(store_id)

    async with running_engine(database.url, attempts_max=100, on_logged=wake) as (engine, reader):
        feed = Feed(
            FeedReader(reader),
            watchers_max=watchers_max,
            poll_interval_s=poll_interval_s,
            heartbeat_s=heartbeat_s,
        )
        yield engine, feed
        feed.close()


class Watcher:
    """Takes a watch in, one part after the other."""

    def __init__(self, feed: Feed, store: str, point: ResumePoint | None = None, **how: Any) -> None:
        self._parts = feed.watch(store, point, **how)
        self.point = point
        self.keys: list[tuple[str, str, int]] = []
        self._pending: asyncio.Future[tuple[ResumePoint, Part]] | None = None

    async def __aenter__(self) -> Watcher:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._parts.aclose()

    def listen(self) -> asyncio.Future[tuple[ResumePoint, Part]]:
        """Wait for the next part from now on, so that the feed is followed; `take` takes it."""
        self._pending = asyncio.ensure_future(anext(self._parts))
        return self._pending

    async def is_silent(self, wait_s: float) -> bool:
        """Whether nothing comes for a while; what comes later is still there to be taken."""
        return not (await asyncio.wait({self.listen()}, timeout=wait_s))[0]

    async def take(self, wait_s: float = WAIT_S) -> Part:
        async with asyncio.timeout(wait_s):
            self.point, part = await (self._pending or anext(self._parts))
        self._pending = None
        self.keys += [tuple(change.position[1:]) for change in part.changes]
        return part

    async def take_until(self, count: int) -> None:
        while len(self.keys) < count:
            await self.take()


def looks_of(feed: Feed) -> list[Part | None]:
    """Return a list that gets what each look at the end of the log finds."""
    reader: Any = feed._reader
    read, looks = reader.after, []

    async def after(*place: Any, **how: Any) -> Any:
        found = await read(*place, **how)
        looks.append(found[0])
        return found

    reader.after = after
    return looks


async def settled(database: Database) -> None:
    """Wait until no transaction holds back what is committed; autovacuum may have one open at any time."""

    def is_settled() -> bool:
        return not database.rows(
            "SELECT FROM stock_transaction"
            " WHERE store_id = %s AND xid >= pg_snapshot_xmin(pg_current_snapshot())",
            database.store,
        )

    await eventually(is_settled, "what is committed is settled")


def written(database: Database) -> list[tuple[str, str, int]]:
    """Return the keys of the store's log, in the order of the feed."""
    return database.rows(
        "SELECT product_id, location, version FROM stock_transaction WHERE store_id = %s"
        " ORDER BY xid, product_id, location, version",
        database.store,
    )


def insert(connection: psycopg.Connection, store: str, product_id: str, versions: range) -> None:
    """Write entries beside the engine, as another server does."""
    connection.execute(
        "INSERT INTO stock_transaction (store_id, product_id, location, version, action, quantity,"
        " available_after, allocated_after, hand_allocated_after, created_at)"
        " SELECT %s, %s, 'default', n, 'SET', 1, 1, 0, 0, now()"
        " FROM generate_series(%s::bigint, %s::bigint) AS n",
        (store, product_id, versions[0], versions[-1]),
    )


def forget(database: Database) -> None:
    """Take entries that no level explains away again, before the laws of the log are checked."""
    database.rows("DELETE FROM stock_transaction WHERE store_id = %s RETURNING 1", database.store)
    database.rows("DELETE FROM stock_level WHERE store_id = %s RETURNING 1", database.store)


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_every_entry_comes_once_and_in_order(database: Database, seed: int) -> None:
    """Two servers write at once; a watcher breaks off anywhere and goes on at either of them."""
    chance = random.Random(seed)
    products = ["a", "b", "c"]
    async with following(database) as (one, feed_one), following(database) as (two, feed_two):
        for product in products:
            await one.change(database.store, CreateStock(product, 100), deadline_s=WAIT_S)

        async def write(engine: Engine, name: str) -> None:
            for number in range(15):
                lines = tuple(Line(product, 1) for product in chance.sample(products, 2))
                commands = [ReserveStock(f"{name}{number}", lines), plus(chance.choice(products))]
                await asyncio.gather(*(engine.change(database.store, c, deadline_s=WAIT_S) for c in commands))

        writers = [asyncio.create_task(write(*pair)) for pair in ((one, "x"), (two, "y"), (one, "z"))]
        keys: list[tuple[str, str, int]] = []
        point: ResumePoint | None = None
        while not (all(writer.done() for writer in writers) and len(keys) >= len(written(database))):
            feed = chance.choice([feed_one, feed_two])
            async with Watcher(feed, database.store, point, from_beginning=point is None) as watcher:
                for _ in range(chance.randint(1, 4)):
                    if len(keys) + len(watcher.keys) >= len(written(database)) and watcher.point is not point:
                        break
                    await watcher.take()
                keys += watcher.keys
                point = watcher.point
        await asyncio.gather(*writers)
    assert keys == written(database)
    for product in products:
        assert [version for p, _, version in keys if p == product] == list(
            range(1, len(database.entries(product)) + 1)
        )


async def test_a_transaction_that_commits_late_is_not_missed(database: Database) -> None:
    """An open writer with a lower transaction id, in whatever database, holds the feed back until it ends."""
    async with following(database) as (engine, feed):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
        with holding(database.url) as late:
            insert(late, database.store, "late", range(1, 2))
            async with Watcher(feed, database.store, from_beginning=True) as watcher:
                await watcher.take_until(1)
                await engine.change(database.store, plus("a"), deadline_s=WAIT_S)
                assert await watcher.is_silent(0.2)
                await eventually(lambda: feed.stalled_s[database.store] > 0, "it is held back")
                late.commit()
                await watcher.take_until(3)
                assert watcher.keys[1:] == [("late", "default", 1), ("a", "default", 2)]
                await eventually(lambda: feed.stalled_s[database.store] == 0, "nothing is held back")
    database.rows("DELETE FROM stock_transaction WHERE product_id = 'late' RETURNING 1")


async def test_a_foreign_database_holds_the_feed_back(database: Database, postgres: Any) -> None:
    """Transaction ids are the cluster's: an idle writer elsewhere delays the feed; nothing is lost by it."""
    async with following(database) as (engine, feed), Watcher(feed, database.store) as watcher:
        await watcher.take()
        with holding(postgres.database_url("postgres")) as foreign:
            foreign.execute("SELECT pg_current_xact_id()")
            await engine.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
            assert await watcher.is_silent(0.2)
            await eventually(lambda: feed.stalled_s[database.store] > 0, "it is held back")
            foreign.rollback()
        await watcher.take_until(1)


async def test_a_commit_wakes_the_watchers(database: Database) -> None:
    """A change by the same server is told at once, without the poll."""
    async with (
        following(database, poll_interval_s=NEVER_S) as (engine, feed),
        Watcher(feed, database.store) as watcher,
    ):
        await watcher.take()
        looks = looks_of(feed)
        watcher.listen()
        await eventually(lambda: looks, "a first look")
        await engine.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
        await watcher.take()
    assert watcher.keys == [("a", "default", 1)]
    assert looks[0] is None


async def test_a_missed_wake_up_costs_one_poll(database: Database) -> None:
    """A change by another server, of which nobody tells, comes by the poll."""
    async with (
        following(database) as (_, feed),
        running_engine(database.url) as (other, _),
        Watcher(feed, database.store) as watcher,
    ):
        await watcher.take()
        looks = looks_of(feed)
        watcher.listen()
        await eventually(lambda: looks, "a first look")
        await other.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
        await watcher.take()
    assert watcher.keys == [("a", "default", 1)]
    assert looks[0] is None


async def test_a_large_transaction_comes_in_parts(database: Database) -> None:
    """Up to the bound whole, past it in parts that say so; from within each part the rest can be had."""
    with psycopg.connect(database.url) as other:
        for product_id, count in (
            ("a", 3),
            ("b", PART_ENTRIES_MAX),
            ("c", 2 * PART_ENTRIES_MAX + 1),
            ("d", 1),
        ):
            insert(other, database.store, product_id, range(1, count + 1))
            other.commit()
    expected = written(database)
    async with following(database) as (_, feed):
        async with Watcher(feed, database.store, from_beginning=True) as watcher:
            await watcher.take()
            parts, points = [], []
            while len(watcher.keys) < len(expected):
                parts.append(await watcher.take())
                points.append((watcher.point, len(watcher.keys)))
        assert watcher.keys == expected
        told = [(len(part.changes), part.continues) for part in parts]
        n = PART_ENTRIES_MAX
        assert told == [(3, False), (n, False), (n, True), (n, True), (1, False), (1, False)]
        for point, known in points[:-1]:
            async with Watcher(feed, database.store, point) as again:
                await again.take_until(len(expected) - known)
                assert again.keys == expected[known:]
    forget(database)


async def test_who_falls_behind_reads_for_himself(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is kept for all is bounded; a slow watcher misses nothing by that, a quick one neither."""
    monkeypatch.setattr(feed_module, "ENTRIES_KEPT_MAX", 3)
    async with following(database) as (engine, feed):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
        async with (
            Watcher(feed, database.store, from_beginning=True) as slow,
            Watcher(feed, database.store, from_beginning=True) as quick,
        ):
            await slow.take()
            for number in range(2, 22):
                await engine.change(database.store, plus("a"), deadline_s=WAIT_S)
                await quick.take_until(number)
            await slow.take_until(21)
    assert slow.keys == quick.keys == [("a", "default", version) for version in range(1, 22)]


async def test_a_watch_of_some_products(database: Database) -> None:
    """Others' changes are left out, and the point moves past them; a transaction that was begun is ended."""
    with psycopg.connect(database.url) as other:
        insert(other, database.store, "a", range(1, 2))
        insert(other, database.store, "b", range(1, 2 * PART_ENTRIES_MAX))
    async with (
        following(database) as (_, feed),
        Watcher(feed, database.store, from_beginning=True, product_ids={"a"}) as watcher,
    ):
        await watcher.take()
        parts = [await watcher.take(), await watcher.take()]
        assert [(len(part.changes), part.continues) for part in parts] == [(1, True), (0, False)]
    async with (
        following(database, heartbeat_s=0.05) as (_, feed),
        Watcher(feed, database.store, watcher.point, product_ids={"a"}) as watcher,
    ):
        await watcher.take()
        with psycopg.connect(database.url) as other:
            insert(other, database.store, "z", range(1, 2))
        before = watcher.point
        while watcher.point == before:
            assert (await watcher.take()).changes == ()
        assert watcher.point is not None
        assert watcher.point.position.product_id == "z"
    forget(database)


async def test_from_now_on(database: Database) -> None:
    """Without a point only what is committed after the first part comes; the quiet hear where they are."""
    async with following(database, heartbeat_s=0.05) as (engine, feed):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
        await settled(database)
        async with Watcher(feed, database.store) as watcher:
            first = await watcher.take()
            assert (first.changes, first.last.version) == ((), 1)
            quiet = await watcher.take()
            assert (quiet.changes, quiet.last) == ((), first.last)
            await engine.change(database.store, minus("a"), deadline_s=WAIT_S)
            await watcher.take_until(1)
        assert watcher.keys == [("a", "default", 2)]


async def test_a_point_that_is_not_in_the_log(database: Database) -> None:
    """A point of another database or store, or whose entry or transaction is not there, is refused."""
    async with following(database) as (engine, feed):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
        async with Watcher(feed, database.store, from_beginning=True) as watcher:
            begun = (await watcher.take(), watcher.point)[1]
            await watcher.take()
            point = watcher.point
        assert begun is not None and point is not None and begun.position == START
        async with Watcher(feed, database.store, begun) as watcher:
            await watcher.take_until(1)
        position = point.position
        for expired in (
            point._replace(origin="another:1"),
            point._replace(store_id="another"),
            begun._replace(origin="another:1"),
            point._replace(position=position._replace(version=2)),
            point._replace(position=position._replace(product_id="b")),
            point._replace(position=position._replace(xid=position.xid + 1)),
            point._replace(position=position._replace(xid=2**62)),
        ):
            with pytest.raises(ResumeTokenExpired):
                await Watcher(feed, database.store, expired).take()
        with pytest.raises(StoreNotFound):
            await Watcher(feed, "nowhere").take()
        assert feed.watcher_count == 0


async def test_the_bound_on_watchers(database: Database) -> None:
    """One watch past the bound is Overloaded; one that ends makes room."""
    async with following(database, watchers_max=2) as (_, feed):
        async with Watcher(feed, database.store) as one, Watcher(feed, database.store) as two:
            await one.take()
            await two.take()
            with pytest.raises(Overloaded):
                await Watcher(feed, database.store).take()
        async with Watcher(feed, database.store) as third:
            await third.take()
        assert (feed.watcher_count, feed.stalled_s) == (0, {})


async def test_a_stop_ends_the_watches(database: Database) -> None:
    """Who waits is told at once, who comes later too."""
    async with following(database) as (_, feed), Watcher(feed, database.store) as watcher:
        await watcher.take()
        waiting = asyncio.create_task(watcher.take())
        await asyncio.sleep(0)
        feed.close()
        with pytest.raises(Overloaded):
            await waiting
        with pytest.raises(Overloaded):
            await Watcher(feed, database.store).take()


async def test_a_database_that_is_gone_ends_the_watches(database: Database, postgres: Any) -> None:
    """A watch does not stay silent over a database that cannot be read; a new one begins when it can."""
    async with following(database) as (engine, feed):
        reader: Any = feed._reader
        read = reader.after

        async def gone(*_: object, **__: object) -> None:
            raise DatabaseUnavailable

        async with Watcher(feed, database.store) as watcher:
            await watcher.take()
            reader.after = gone
            with pytest.raises(DatabaseUnavailable):
                await watcher.take()
        reader.after = read
        async with Watcher(feed, database.store, watcher.point) as watcher:
            await watcher.take()
            await engine.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
            await watcher.take_until(1)


async def test_what_was_kept_goes_with_its_feed(database: Database) -> None:
    """Ended by an error, a feed keeps nothing, though nobody looks for circles of objects meanwhile."""
    gc.collect()
    gc.disable()
    try:
        async with following(database) as (engine, feed):
            reader: Any = feed._reader
            await engine.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
            async with Watcher(feed, database.store) as watcher:
                await watcher.take()
                for number in range(20):
                    watcher.listen()
                    await engine.change(database.store, plus("a", number + 1), deadline_s=WAIT_S)
                    await watcher.take()
                assert parts_alive() >= 20

                async def gone(*_: object, **__: object) -> None:
                    raise DatabaseUnavailable

                reader.after = gone
                with pytest.raises(DatabaseUnavailable):
                    await watcher.take()
            assert parts_alive() < 5
    finally:
        gc.enable()


def parts_alive() -> int:
    return sum(isinstance(each, Part) for each in gc.get_objects())


async def test_a_connection_that_is_slow_to_come(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment without a connection ends no watch; so long without one does."""
    async with following(database) as (engine, feed):
        await engine.change(database.store, CreateStock("a", 5), deadline_s=WAIT_S)
        reader: Any = feed._reader
        run, missing = reader._reader.run, 2

        async def slow(*asked: Any, **how: Any) -> Any:
            nonlocal missing
            missing -= 1
            if missing >= 0:
                raise DatabaseUnavailable
            return await run(*asked, **how)

        reader._reader.run = slow
        async with Watcher(feed, database.store, from_beginning=True) as watcher:
            await watcher.take_until(1)
            missing = 10**9
            monkeypatch.setattr(feed_reads, "READ_TIMEOUT_S", 0.3)
            with pytest.raises(DatabaseUnavailable):
                await watcher.take()
        assert missing < 10**9 - 1


async def test_what_is_abandoned_is_let_go(database: Database) -> None:
    """A watcher that is cancelled in the middle leaves no task and no place behind."""
    async with following(database) as (_, feed):
        watch = feed.watch(database.store, None)

        async def follow() -> None:
            async with aclosing(watch) as parts:
                async for _part in parts:
                    pass

        task = asyncio.create_task(follow())
        await eventually(lambda: feed.stalled_s, "the feed is read")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (feed.watcher_count, feed.stalled_s) == (0, {})
