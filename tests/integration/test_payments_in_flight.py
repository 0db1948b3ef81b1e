"""The list of what is in flight: a page costs what it shows, however many payments there are."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from inventory_server.db.connection import _ENGINE_SETTINGS, connection_string
from inventory_server.db.queries import statement
from inventory_server.domain.payment import PaymentState
from inventory_server.engine.payment_reads import FIRST_KEY, PaymentFilters, PaymentKey
from support.engine import Database, running_engine

IN_FLIGHT = 2_500
# So many begin in one batch, which has one time.
BATCH = 50
# A page of 100 reads its rows' index pages and their heap's; all that is in flight would be thousands.
BUFFERS_MAX = 60

_PAYMENTS = """
INSERT INTO payment
    (store_id, payment_id, order_id, amount_minor, currency, payment_method, content_hash, created_at)
SELECT %(store)s, format('p-%%s', lpad(n::text, 5, '0')), 'o', 1, 'EUR', 'card', '',
    '2026-01-01Z'::timestamptz + (n / %(batch)s) * interval '1 s'
FROM generate_series(0, 2 * %(count)s - 1) AS n
"""
# Every second payment was paid; of what is in flight the newest operation stands behind the oldest payment.
_OPERATIONS = """
INSERT INTO payment_operation
    (store_id, operation_id, payment_id, order_id, kind, amount_minor, state, lease_until, gateway_reference,
    failure_reason, created_at, updated_at, payment_created_at)
SELECT store_id, 'op of ' || payment_id, payment_id, order_id, 'PURCHASE', 1,
    CASE WHEN payment_id ~ '[02468]$' THEN 'PROCESSING' ELSE 'ACCEPTED' END, now(), '', '',
    '2027-01-01Z'::timestamptz - (created_at - '2026-01-01Z'), now(), created_at
FROM payment WHERE store_id = %(store)s
"""


@pytest.fixture
def many(database: Database) -> Database:
    """So many payments in flight, and as many that were paid."""
    asked = {"store": database.store, "batch": BATCH, "count": IN_FLIGHT}
    for text in (_PAYMENTS, _OPERATIONS):
        database.connection.execute(text, asked)
    return database


async def test_pages_over_many(many: Database) -> None:
    """Each once, by the age of its payment and then its id, also where a page ends within a batch."""
    filters = PaymentFilters(states=frozenset({PaymentState.PROCESSING}))
    async with running_engine(many.url) as (_, reader):
        pages: list[list[str]] = []
        last: PaymentKey | None = FIRST_KEY
        while last is not None:
            page, last = await reader.list_payments(many.store, filters, after=last, limit=999, deadline_s=20)
            pages.append([payment.payment_id for payment in page])
    assert [len(page) for page in pages] == [999, 999, 502]
    assert [payment_id for page in pages for payment_id in page] == [
        f"p-{number:05}" for number in range(0, 2 * IN_FLIGHT, 2)
    ]


@pytest.mark.parametrize("after", [FIRST_KEY, (datetime(2026, 1, 1, 0, 0, 40, tzinfo=UTC), "p-02010")])
def test_a_page_reads_what_it_shows(many: Database, after: PaymentKey) -> None:
    """The first page and one in the middle read their own rows, and not all that is in flight."""
    explained: Any = f"EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) {statement('payments_in_flight_page').text}"
    place = {"after_time": after[0], "after_id": after[1]}
    asked = {**place, "store_id": many.store, "until": "9999-12-31Z", "limit": 100}
    conninfo = connection_string(many.url, _ENGINE_SETTINGS, "plans")
    with psycopg.connect(conninfo) as connection:
        row = psycopg.ClientCursor(connection).execute(explained, asked).fetchone()
    assert row is not None
    plan = row[0][0]["Plan"]
    assert plan["Actual Rows"] == 100
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] <= BUFFERS_MAX
