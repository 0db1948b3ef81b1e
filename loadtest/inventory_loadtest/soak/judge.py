"""Judging one shift: its calls beside what is there, the watches, the gateway's books, and VerifyStock."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from inventory_client import Client, InventoryError, v1
from inventory_loadtest.checker import judge
from inventory_loadtest.evidence import FinalState, Violation
from inventory_loadtest.history import Event, Outcome
from inventory_loadtest.reading import read_final_state
from inventory_loadtest.soak.follower import Follower
from inventory_loadtest.soak.shift import Shift

PATIENCE_S = 180.0
"""For reading while things are hurt, and for a watch to bring what the log has."""
_PAUSE_S = 0.5
_TIMEOUT_S = 60.0

USUAL_REFUSALS = frozenset(
    {
        *("INSUFFICIENT_STOCK", "TOTAL_BELOW_ALLOCATED", "HAND_ALLOCATION_TOO_SMALL"),
        *("RESERVATION_NOT_ACTIVE", "RESERVATION_EXPIRED", "PAYMENT_IN_PROGRESS"),
        # A refund of more than so small a payment was.
        "AMOUNT_EXCEEDS_BALANCE",
        *("ORDER_NOT_SHIPPABLE", "PAYMENT_NOT_REFUNDABLE", "PAYMENT_NOT_CAPTURABLE", "PAYMENT_NOT_VOIDABLE"),
    }
)
"""What a correct service may answer to calls like a soak's."""


class Unjudged(Exception):
    """A shift could not be read within PATIENCE_S; the text says why."""


@dataclasses.dataclass(frozen=True)
class Judge:
    """Judges shifts that are over, in one thread. Close it.

    Args:
        client: of a server to verify by.
        target: its address, to read from.
        ledger: the gateway simulator's.
        followers: watches that went on from the beginning.
    """

    client: Client
    target: str
    ledger: Path
    followers: Sequence[Follower]
    # One event loop for all readings: what comes late of a channel must find the loop that it was made in.
    _runner: asyncio.Runner = dataclasses.field(default_factory=asyncio.Runner)

    def close(self) -> None:
        """End the event loop."""
        self._runner.close()

    def judge(self, shift: Shift) -> tuple[FinalState, list[Violation]]:
        """Read what came of a shift, and hold it against every law.

        Returns: what was read, what does not hold. Raises: Unjudged.
        """
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            try:
                reading = read_final_state(self.target, shift.plan, shift.events, ledger=self.ledger)
                state = self._runner.run(reading)
                broken = list(verified(self.client, shift.products))
            except* InventoryError as errors:
                # Something was being hurt meanwhile: all of it is read afresh.
                if time.monotonic() > give_up_s:
                    raise Unjudged(f"{shift.name} can't be read: {errors.exceptions[0]}") from errors
                time.sleep(_PAUSE_S)
            else:
                break
        found = [*judge(shift.events, self._fed(shift, state)), *broken, *unusual(shift.events)]
        for follower in self.followers:
            follower.forget(shift.products)
        return state, found

    def _fed(self, shift: Shift, state: FinalState) -> FinalState:
        """The state with what the watches brought, once they have brought as much as there is."""
        wanted = sum(map(len, state.log.values()))
        give_up_s = time.monotonic() + PATIENCE_S
        while True:
            feeds = self._feeds(shift)
            come = min(sum(map(len, feed.values())) for feed in feeds)
            if come >= wanted or time.monotonic() > give_up_s:
                return dataclasses.replace(state, feeds=feeds)
            time.sleep(_PAUSE_S)

    def _feeds(self, shift: Shift) -> list[dict[str, Sequence[v1.StockTransaction]]]:
        return [follower.brought(shift.products) for follower in self.followers]


def verified(client: Client, products: Sequence[str] = ()) -> Iterator[Violation]:
    """Let the server verify some products, or the whole store. Raises: InventoryError."""
    request = v1.VerifyStockRequest(product_ids=products)
    while True:
        page = client.inventory.VerifyStock(request, timeout=_TIMEOUT_S)
        for found in page.violations:
            subject = found.product_id or found.reservation_id or found.order_id or found.payment_id
            yield Violation(f"VerifyStock: {found.law}", subject, found.description)
        request.page_token = page.next_page_token
        if not request.page_token:
            return


def unusual(events: Sequence[Event]) -> Iterator[Violation]:
    """Refusals that no state of the stock or of an order explains."""
    for event in events:
        if event.outcome is Outcome.REFUSED and event.reason not in USUAL_REFUSALS:
            subject = event.call_id or event.payment_id or event.order_id or event.cart_id
            yield Violation("usual-refusals", subject, f"{event.step}: {event.reason}: {event.message}")
