"""How old the oldest payment operation in doubt is, by store: looked up now and then, for the metrics."""

from __future__ import annotations

from inventory_server.engine.reads import Reader

INTERVAL_S = 5.0
DEADLINE_S = 5.0


class DoubtAge:
    """`by_store`: in seconds; a store without any is not there."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.by_store: dict[str, float] = {}

    async def look(self) -> None:
        store_ids = await self._reader.all_stores(deadline_s=DEADLINE_S)
        self.by_store = await self._reader.oldest_doubt_age_s(store_ids, deadline_s=DEADLINE_S)
