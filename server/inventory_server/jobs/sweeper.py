"""The sweeper: ends holds that are due, so that reads show their units again, and forgets old request ids.

Correctness never waits for it: whoever lacks units takes those of due holds in the same transaction.
"""

from __future__ import annotations

import asyncio

from inventory_server.domain.commands import ExpireReservation, ForgetAnswers
from inventory_server.engine.engine import Engine
from inventory_server.engine.reads import Reader

# Behind waiting carts: a round takes at most so many places of a batch; more follow while there is more.
HOLDS_PER_ROUND_MAX = 256
ROUNDS_MAX = 64
FORGET_INTERVAL_S = 60.0
DEADLINE_S = 5.0


class Sweeper:
    def __init__(self, engine: Engine, reader: Reader, *, request_log_retention_h: int) -> None:
        self._engine = engine
        self._reader = reader
        self._request_log_retention_h = request_log_retention_h
        self._forget_at = 0.0

    async def sweep(self) -> None:
        """End the oldest due holds of every store; now and then forget old request ids too."""
        now = asyncio.get_running_loop().time()
        forgets = now >= self._forget_at
        if forgets:
            self._forget_at = now + FORGET_INTERVAL_S
        store_ids = await self._reader.all_stores(deadline_s=DEADLINE_S)
        for _ in range(ROUNDS_MAX):
            due = await self._reader.due_reservations(
                store_ids, limit=HOLDS_PER_ROUND_MAX, deadline_s=DEADLINE_S
            )
            for store_id, reservation_ids in due.items():
                await asyncio.gather(
                    *(
                        self._engine.change(
                            store_id, ExpireReservation(reservation_id), deadline_s=DEADLINE_S
                        )
                        for reservation_id in reservation_ids
                    )
                )
            if all(len(reservation_ids) < HOLDS_PER_ROUND_MAX for reservation_ids in due.values()):
                break
        if forgets:
            for store_id in store_ids:
                forget = ForgetAnswers(self._request_log_retention_h)
                await self._engine.change(store_id, forget, deadline_s=DEADLINE_S)
