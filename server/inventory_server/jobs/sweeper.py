"""The sweeper: ends holds that are due, so that reads show their units again; forgets what is old.

Correctness never waits for it: whoever lacks units takes those of due holds in the same transaction, and a
cart that has expired is not open, whether or not it is still there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from inventory_server.domain.commands import ExpireReservation, ForgetAnswers, RemoveExpiredCart
from inventory_server.engine.engine import Engine
from inventory_server.engine.reads import Reader

# Behind waiting carts: a round takes at most so many places of a batch; more follow while there is more.
PER_ROUND_MAX = 256
ROUNDS_MAX = 64
FORGET_INTERVAL_S = 60.0
DEADLINE_S = 5.0

Ending = ExpireReservation | RemoveExpiredCart


class Sweeper:
    def __init__(self, engine: Engine, reader: Reader, *, request_log_retention_h: int) -> None:
        self._engine = engine
        self._reader = reader
        self._request_log_retention_h = request_log_retention_h
        self._forget_at = 0.0

    async def sweep(self) -> None:
        """End the oldest due holds of every store; now and then forget old carts and request ids too."""
        now = asyncio.get_running_loop().time()
        store_ids = await self._reader.all_stores(deadline_s=DEADLINE_S)
        await self._end_all(store_ids, self._reader.due_reservations, ExpireReservation)
        if now >= self._forget_at:
            await self._end_all(store_ids, self._reader.expired_carts, RemoveExpiredCart)
            await self._forget_answers(store_ids)
            # Only now: what was cut off by a failure is tried again in the next round.
            self._forget_at = now + FORGET_INTERVAL_S

    async def _forget_answers(self, store_ids: list[str]) -> None:
        """Forget what is older than the retention, round by round: one transaction forgets so many."""
        forget = ForgetAnswers(self._request_log_retention_h)
        for _ in range(ROUNDS_MAX):
            store_ids = await self._reader.stores_with_old_answers(
                store_ids, retention_h=self._request_log_retention_h, deadline_s=DEADLINE_S
            )
            if not store_ids:
                return
            for store_id in store_ids:
                await self._engine.change(store_id, forget, deadline_s=DEADLINE_S)

    async def _end_all(
        self,
        store_ids: list[str],
        find: Callable[..., Awaitable[dict[str, list[str]]]],
        end: Callable[[str], Ending],
    ) -> None:
        """Find what is over and end it, round by round while a store has more than one takes."""
        for _ in range(ROUNDS_MAX):
            over = await find(store_ids, limit=PER_ROUND_MAX, deadline_s=DEADLINE_S)
            for store_id, keys in over.items():
                await asyncio.gather(
                    *(self._engine.change(store_id, end(key), deadline_s=DEADLINE_S) for key in keys)
                )
            if all(len(keys) < PER_ROUND_MAX for keys in over.values()):
                return
