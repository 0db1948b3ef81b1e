"""Payments page by page. Their states are derived, so a filter by state looks at one after the other."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from inventory_server.db.read_pool import ReadTransaction
from inventory_server.domain.commands import Wanted
from inventory_server.domain.payment import Payment, PaymentState
from inventory_server.engine import load

# How many payments one call looks at: a page may be short where states are named.
LOOKED_AT_MAX = 4_000
LOOKED_AT_ONCE = 500

PaymentKey = tuple[datetime, str]

FIRST_KEY: PaymentKey = (datetime(1, 1, 1, tzinfo=UTC), "")
_END_OF_TIME = datetime(9999, 12, 31, tzinfo=UTC)


class PaymentFilters(NamedTuple):
    """None, and no states, = all. Both times are included."""

    order_id: str | None = None
    states: frozenset[PaymentState] = frozenset()
    created_from: datetime | None = None
    created_until: datetime | None = None


class PaymentPage(NamedTuple):
    """Payments by (created_at, payment_id); `last` is the key to go on after, None = there are no more."""

    payments: list[Payment]
    last: PaymentKey | None


async def read_payments(
    transaction: ReadTransaction, filters: PaymentFilters, after: PaymentKey, limit: int
) -> PaymentPage:
    """Return at most `limit` payments after a key.

    Fewer, though there are more, where states are named and LOOKED_AT_MAX payments were looked at. Payments
    in flight are found by an index of their own, however many others there are.
    """
    found: list[Payment] = []
    looked_at = 0
    # All that is in flight is PROCESSING, so nothing is looked at for others.
    is_searched = bool(filters.states) and not _is_in_flight(filters)
    chunk_size = max(limit + 1, LOOKED_AT_ONCE) if is_searched else limit + 1
    while True:
        payments = await _chunk(transaction, filters, after, chunk_size)
        looked_at += len(payments)
        for payment in payments:
            if filters.states and payment.state not in filters.states:
                after = _key(payment)
            elif len(found) < limit:
                after = _key(payment)
                found.append(payment)
            else:
                return PaymentPage(found, _key(found[-1]))
        if len(payments) < chunk_size:
            return PaymentPage(found, None)
        if looked_at >= LOOKED_AT_MAX:
            return PaymentPage(found, after)


def _is_in_flight(filters: PaymentFilters) -> bool:
    """Whether the index of what is in flight serves them."""
    return filters.order_id is None and filters.states == {PaymentState.PROCESSING}


def _key(payment: Payment) -> PaymentKey:
    return payment.created_at, payment.payment_id


async def _chunk(
    transaction: ReadTransaction, filters: PaymentFilters, after: PaymentKey, limit: int
) -> list[Payment]:
    asked = {
        "after_time": max(after[0], filters.created_from or after[0]),
        # A key before the first time asked for is no key: the id counts only at its own moment.
        "after_id": after[1] if filters.created_from is None or after[0] >= filters.created_from else "",
        "until": filters.created_until or _END_OF_TIME,
        "limit": limit,
    }
    if filters.order_id is not None:
        page = ("payments_of_order_page", {**asked, "order_id": filters.order_id})
    elif _is_in_flight(filters):
        page = ("payments_in_flight_page", asked)
    else:
        page = ("payment_page", asked)
    payment_ids = [row[0] for row in (await transaction.fetch([page]))[0]]
    if not payment_ids:
        return []
    calls = load.calls_for(Wanted(payments=set(payment_ids)))
    state = load.state_from(calls, await transaction.fetch(calls))
    return list(state.payments.values())
