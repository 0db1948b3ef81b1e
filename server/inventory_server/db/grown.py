"""A store that has grown over years, made in minutes: what `inventory bench` measures its growth figures on.

The rows are what the service would have written, so the verification holds over them as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import psycopg

ENTRIES_PER_PRODUCT = 10_000
RESERVATIONS_PER_PRODUCT = 2

# A product whose every second change takes back the one before.
_HISTORY = """
WITH product AS (SELECT 'grown-' || n AS product_id FROM generate_series(%(first)s::int, %(last)s::int) n),
made AS (
    INSERT INTO stock (store_id, product_id, created_at, updated_at)
    SELECT 'default', product_id, now(), now() FROM product
), level AS (
    INSERT INTO stock_level (store_id, product_id, location, available, allocated, hand_allocated, version,
        updated_at)
    SELECT 'default', product_id, 'default', 1000 + (%(entries)s + 1) %% 2, 0, 0, %(entries)s, now()
    FROM product
)
INSERT INTO stock_transaction (store_id, product_id, location, version, action, quantity, available_after,
    allocated_after, hand_allocated_after, created_at)
SELECT 'default', product_id, 'default', version,
    CASE WHEN version = 1 THEN 'CREATE' WHEN version %% 2 = 0 THEN 'INCREMENT' ELSE 'DECREMENT' END,
    CASE WHEN version = 1 THEN 1000 ELSE 1 END, 1000 + (version + 1) %% 2, 0, 0, now()
FROM product, generate_series(1, %(entries)s::int) version
"""
# A product with units held by a few reservations that never run out.
_CATALOGUE = """
WITH product AS (SELECT 'many-' || n AS product_id FROM generate_series(%(first)s::int, %(last)s::int) n),
made AS (
    INSERT INTO stock (store_id, product_id, created_at, updated_at)
    SELECT 'default', product_id, now(), now() FROM product
), level AS (
    INSERT INTO stock_level (store_id, product_id, location, available, allocated, hand_allocated, version,
        updated_at)
    SELECT 'default', product_id, 'default', 1000 - %(held)s, %(held)s, 0, %(held)s + 1, now() FROM product
), hold AS (
    SELECT product_id, number, product_id || '-' || number AS reservation_id
    FROM product, generate_series(1, %(held)s::int) number
), held AS (
    INSERT INTO reservation (store_id, reservation_id, owned_by_order, state, content_hash, created_at,
        updated_at)
    SELECT 'default', reservation_id, false, 'HELD', sha256(reservation_id::bytea), now(), now() FROM hold
), line AS (
    INSERT INTO reservation_line (store_id, reservation_id, line_number, product_id, location, reserved,
        open, released, fulfilled)
    SELECT 'default', reservation_id, 1, product_id, 'default', 1, 1, 0, 0 FROM hold
), begun AS (
    INSERT INTO stock_transaction (store_id, product_id, location, version, action, quantity,
        available_after, allocated_after, hand_allocated_after, created_at)
    SELECT 'default', product_id, 'default', 1, 'CREATE', 1000, 1000, 0, 0, now() FROM product
)
INSERT INTO stock_transaction (store_id, product_id, location, version, action, quantity, available_after,
    allocated_after, hand_allocated_after, reservation_id, created_at)
SELECT 'default', product_id, 'default', number + 1, 'RESERVE', 1, 1000 - number, number, 0, reservation_id,
    now()
FROM hold
"""


def fill_history(url: str, count: int) -> Iterator[int]:
    """Write a log of so many entries, ENTRIES_PER_PRODUCT to a product and to the last what is left.

    Yields: how many there are.
    """
    whole, rest = divmod(count, ENTRIES_PER_PRODUCT)
    steps = [
        ({"first": first, "last": last, "entries": ENTRIES_PER_PRODUCT}, last * ENTRIES_PER_PRODUCT)
        for first, last in _steps(whole, 10)
    ]
    if rest:
        steps.append(({"first": whole + 1, "last": whole + 1, "entries": rest}, count))
    yield from _fill(url, _HISTORY, steps)


def fill_catalogue(url: str, count: int) -> Iterator[int]:
    """Write products with RESERVATIONS_PER_PRODUCT reservations each; yield how many there are."""
    steps = [
        ({"first": first, "last": last, "held": RESERVATIONS_PER_PRODUCT}, last)
        for first, last in _steps(count, 10_000)
    ]
    yield from _fill(url, _CATALOGUE, steps)


def _steps(products: int, at_once: int) -> Iterator[tuple[int, int]]:
    """The first and the last product of each statement: progress can be told, and no transaction is huge."""
    for first in range(1, products + 1, at_once):
        yield first, min(products, first + at_once - 1)


def _fill(url: str, statement: str, steps: Sequence[tuple[dict[str, int], int]]) -> Iterator[int]:
    """Run a statement with each step's parameters; yield what the step says of how many there are then."""
    with psycopg.connect(url, autocommit=True) as connection:
        for params, count in steps:
            connection.execute(statement.encode(), params)
            yield count
        # As a store that has grown slowly would be: with statistics, and with pages that are known to be old.
        connection.execute("VACUUM (ANALYZE)")
        connection.execute("CHECKPOINT")
