"""The payment reconciler: finds out what became of operations that were left PROCESSING.

A crash, a timeout or a lost reply leaves them so; the lease in the row keeps two reconcilers, and the task
that still waits for the gateway, out of each other's way.
"""

from __future__ import annotations

import asyncio

from inventory_server.engine.reads import Reader
from inventory_server.payments.processor import PaymentProcessor

OPERATIONS_PER_RUN_MAX = 64
DEADLINE_S = 5.0


class Reconciler:
    def __init__(self, reader: Reader, processor: PaymentProcessor) -> None:
        self._reader = reader
        self._processor = processor

    async def reconcile(self) -> None:
        """Ask about the operations whose lease has run out, the oldest first."""
        store_ids = await self._reader.all_stores(deadline_s=DEADLINE_S)
        doubts = await self._reader.operations_in_doubt(
            store_ids, limit=OPERATIONS_PER_RUN_MAX, deadline_s=DEADLINE_S
        )
        asked = [
            self._processor.settle_doubt(store_id, *operation)
            for store_id, operations in doubts.items()
            for operation in operations
        ]
        # One that fails must not keep the others, of any store, from being asked about.
        failures = [e for e in await asyncio.gather(*asked, return_exceptions=True) if e is not None]
        if failures:
            raise failures[0]
