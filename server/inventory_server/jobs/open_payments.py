"""What of payments waits for the gateway or for people, by store: looked up now and then, for the metrics."""

from __future__ import annotations

from inventory_server.engine.reads import Reader

INTERVAL_S = 5.0
DEADLINE_S = 5.0


class OpenPayments:
    """By store; one without any is not there.

    Attributes:
        doubt_age_s: the age in seconds of the oldest operation in doubt.
        reversal_count: operations that were accepted against an administrator's word, and not undone so far.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.doubt_age_s: dict[str, float] = {}
        self.reversal_count: dict[str, int] = {}

    async def look(self) -> None:
        store_ids = await self._reader.all_stores(deadline_s=DEADLINE_S)
        self.doubt_age_s = await self._reader.oldest_doubt_age_s(store_ids, deadline_s=DEADLINE_S)
        self.reversal_count = await self._reader.open_reversals(store_ids, deadline_s=DEADLINE_S)
