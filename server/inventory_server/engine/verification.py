"""The verification of a store or of products, chunk by chunk: each chunk is one snapshot, bounded, and judged
by the laws of verify/."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

from inventory_server.db.read_pool import ReadTransaction, Snapshot
from inventory_server.engine.load import Row
from inventory_server.engine.reads import Reader
from inventory_server.verify.laws_orders import Hold, Operation, Order, Payment, order_laws
from inventory_server.verify.laws_reservations import Line, Reservation, reservation_laws
from inventory_server.verify.laws_stock import Entry, Level, Numbers, level_laws, log_laws
from inventory_server.verify.violation import Violation

# What one chunk reads at most.
LEVELS_MAX = 500
ENTRIES_MAX = 4_000
RESERVATIONS_MAX = 200
ORDERS_MAX = 100

LEVELS, RESERVATIONS, ORDERS = "levels", "reservations", "orders"
# After every id there is.
_LAST_ID = "~" * 128


class Place(NamedTuple):
    """Where the next chunk begins: after a key of this phase.

    Of levels `key` is the product; `version` > 0: the level's log was checked up to there and goes on.
    """

    phase: str = LEVELS
    key: str = ""
    location: str = ""
    version: int = 0


FIRST = Place()


class Chunk(NamedTuple):
    """What one chunk found; `next_place` None = everything has been looked at."""

    violations: list[Violation]
    next_place: Place | None
    levels: int = 0
    entries: int = 0
    reservations: int = 0
    orders: int = 0


class Verifier:
    def __init__(self, reader: Reader) -> None:
        self._reader = reader

    async def chunk(
        self, store_id: str, place: Place, *, product_ids: Sequence[str] = (), deadline_s: float
    ) -> Chunk:
        """Verify what comes next after a place.

        Args:
            product_ids: sorted; whose levels, and their logs, are verified. None named: the whole store, its
                levels, then its reservations, then its orders.
        Raises: StoreNotFound, DatabaseUnavailable, TransactionConflict, DeadlinePassed.
        """

        async def read(transaction: ReadTransaction) -> Chunk:
            if place.phase == RESERVATIONS:
                return await _reservations(transaction, place.key)
            if place.phase == ORDERS:
                return await _orders(transaction, place.key)
            return await _levels(transaction, place, product_ids)

        return await self._reader.run(store_id, read, deadline_s=deadline_s, snapshot=Snapshot.SAFE)


class _Stretch(NamedTuple):
    """A part of a level's log: the entries of these versions, and whether the level has no more."""

    product_id: str
    location: str
    level: Level | None
    first_version: int
    last_version: int
    is_end: bool


async def _levels(transaction: ReadTransaction, place: Place, product_ids: Sequence[str]) -> Chunk:
    found = await _level_page(transaction, place, product_ids)
    stretches = list(_stretches(found, place))
    is_last = len(stretches) == len(found) < LEVELS_MAX and all(stretch.is_end for stretch in stretches)
    after_all = None if product_ids else Place(RESERVATIONS)
    if not stretches:
        return Chunk([], after_all)
    # Once for a level: the sum goes through every open line of its product, however long its log is.
    begun = sorted({stretch.product_id for stretch in stretches if stretch.first_version == 1})
    held_rows, log_rows = await transaction.fetch(
        [
            ("verify_held", {"products": begun}),
            (
                "verify_log",
                {
                    "products": [stretch.product_id for stretch in stretches],
                    "locations": [stretch.location for stretch in stretches],
                    # The entry before a stretch is what it is replayed on.
                    "first_versions": [stretch.first_version - 1 for stretch in stretches],
                    # One more than there should be shows a log that goes on beyond its level.
                    "last_versions": [stretch.last_version + stretch.is_end for stretch in stretches],
                },
            ),
        ]
    )
    held = {(row[0], row[1]): row[2] for row in held_rows}
    logs = {key: [_entry(row) for row in rows] for key, rows in groupby(log_rows, key=itemgetter(0, 1))}
    violations: list[Violation] = []
    for stretch in stretches:
        key = (stretch.product_id, stretch.location)
        entries = logs.get(key, [])
        before = entries.pop(0) if entries and entries[0].version < stretch.first_version else None
        if stretch.first_version == 1 and stretch.level is not None:
            violations += level_laws(stretch.level, held.get(key, 0))
        violations += log_laws(*key, stretch.level, before, entries, stretch.is_end)
    last = stretches[-1]
    here = Place(LEVELS, last.product_id, last.location, 0 if last.is_end else last.last_version)
    return Chunk(violations, after_all if is_last else here, levels=len(stretches), entries=len(log_rows))


async def _level_page(
    transaction: ReadTransaction, place: Place, product_ids: Sequence[str]
) -> list[tuple[tuple[str, str], Level | None]]:
    """Return the next levels by key, also those that only the log knows; the one of `place` again, where its
    log goes on."""
    # Nothing stands between a slug and the same with this character, the least that text can hold.
    location = place.location if place.version else place.location + "\x01"
    # All products from one on, or each that is named by itself.
    named = [product_id for product_id in product_ids if product_id >= place.key]
    asked = {
        "first_products": named if product_ids else [place.key],
        "last_products": named if product_ids else [_LAST_ID],
        "product_id": place.key,
        "location": location,
        "limit": LEVELS_MAX,
    }
    levels, logged = await transaction.fetch([("verify_levels", asked), ("verify_logged_levels", asked)])
    found: dict[tuple[str, str], Level | None] = dict.fromkeys((row[0], row[1]) for row in logged)
    for product_id, slug, *numbers, version, is_managed in levels:
        found[product_id, slug] = Level(product_id, slug, Numbers(*numbers), version, is_managed)
    return sorted(found.items(), key=itemgetter(0))[:LEVELS_MAX]


def _stretches(found: Sequence[tuple[tuple[str, str], Level | None]], place: Place) -> Iterator[_Stretch]:
    """Choose whose logs fit into one chunk; of a log that does not fit by itself, a part."""
    left = ENTRIES_MAX
    for index, ((product_id, location), level) in enumerate(found):
        is_begun = place.version and (product_id, location) == (place.key, place.location)
        first = place.version + 1 if is_begun else 1
        last = max(level.version if level else 0, first)
        if last - first >= left:
            if index == 0:
                yield _Stretch(product_id, location, level, first, first + left - 1, is_end=False)
            return
        left -= last - first + 1
        yield _Stretch(product_id, location, level, first, last, is_end=True)


def _entry(row: Row) -> Entry:
    _, _, version, action, quantity, *after = row
    return Entry(version, action, quantity, Numbers(*after))


async def _reservations(transaction: ReadTransaction, after: str) -> Chunk:
    asked = {"after": after, "limit": RESERVATIONS_MAX}
    rows = (await transaction.fetch([("verify_reservations", asked)]))[0]
    found = [
        Reservation(
            reservation_id, first[1], first[2], first[3] or "", first[4],
            [Line(*row[5:]) for row in (first, *more) if row[5] is not None],
        )
        for reservation_id, (first, *more) in groupby(rows, key=itemgetter(0))
    ]  # fmt: skip
    violations = [violation for reservation in found for violation in reservation_laws(reservation)]
    is_last = len(found) < RESERVATIONS_MAX
    next_place = Place(ORDERS) if is_last else Place(RESERVATIONS, found[-1].reservation_id)
    return Chunk(violations, next_place, reservations=len(found))


async def _orders(transaction: ReadTransaction, after: str) -> Chunk:
    rows = (await transaction.fetch([("verify_orders", {"after": after, "limit": ORDERS_MAX})]))[0]
    if not rows:
        return Chunk([], None)
    orders = {"orders": [row[0] for row in rows]}
    holds = {"reservations": sorted(row[3] for row in rows if row[3] is not None)}
    lines, held, paid, shipped = await transaction.fetch(
        [
            ("verify_order_lines", orders),
            ("verify_order_holds", holds),
            ("verify_payments", orders),
            ("verify_shipped", orders),
        ]
    )
    units: dict[str, Counter[str]] = {row[0]: Counter() for row in rows}
    costs: Counter[str] = Counter()
    for order_id, product_id, quantity, unit_price_minor, takes_stock in lines:
        units[order_id][product_id] += quantity if takes_stock else 0
        costs[order_id] += quantity * unit_price_minor
    hold_of = {key: _hold(list(group)) for key, group in groupby(held, key=itemgetter(0))}
    payments_of = {key: _payments(group) for key, group in groupby(paid, key=itemgetter(0))}
    shipped_of = {row[0]: row[1] for row in shipped}
    violations: list[Violation] = []
    for order_id, total_minor, is_cancelled, reservation_id in rows:
        order = Order(
            order_id, total_minor, costs[order_id], is_cancelled, units[order_id],
            hold_of.get(reservation_id), payments_of.get(order_id, []), shipped_of.get(order_id, 0),
        )  # fmt: skip
        violations += order_laws(order)
    next_place = Place(ORDERS, rows[-1][0]) if len(rows) == ORDERS_MAX else None
    return Chunk(violations, next_place, orders=len(rows))


def _hold(rows: Sequence[Row]) -> Hold:
    open_units: Counter[str] = Counter()
    fulfilled: Counter[str] = Counter()
    for _, _, _, product_id, line_open, line_fulfilled in rows:
        open_units[product_id] += line_open
        fulfilled[product_id] += line_fulfilled
    return Hold(rows[0][1], rows[0][2], open_units, fulfilled)


def _payments(rows: Iterator[Row]) -> list[Payment]:
    return [
        Payment(payment_id, first[2], [Operation(*row[3:]) for row in (first, *more) if row[3] is not None])
        for payment_id, (first, *more) in groupby(rows, key=itemgetter(1))
    ]
