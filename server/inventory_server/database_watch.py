"""Keeps the health of the server true to its database."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import structlog
from pydantic import SecretStr

from inventory_server.config import Settings
from inventory_server.db import check, migrate
from inventory_server.db.read_pool import ReadPool
from inventory_server.db.sqlstate import DatabaseError
from inventory_server.engine.errors import NotDecided
from inventory_server.engine.reads import Reader
from inventory_server.operator_error import OperatorError
from inventory_server.rpc.health import Health

log = structlog.get_logger(__name__)

INTERVAL_S = 1.0
DEADLINE_S = 3.0
BACKOFF_S_MIN = 0.25
BACKOFF_S_MAX = 5.0
# Before we say that we are ready the database is waited for: while it is being looked at, however busy the
# machine is, and for a moment where it can't be had.
FIRST_LOOK_S = 30.0
ABSENCE_S = 3.0


class DatabaseWatch:
    """NOT_SERVING until the database can be served from, and whenever it is gone.

    Args:
        pools: opened once there is a database that fits.
        reader: that of the calls is asked, since its pool needs a moment to see that the database is back.
    """

    def __init__(
        self,
        settings: Settings,
        database_url: str,
        *,
        pools: Sequence[ReadPool],
        reader: Reader,
        health: Health,
    ) -> None:
        self._settings = settings
        self._database_url = database_url
        self._owner_url = (settings.owner_database_url or SecretStr(database_url)).get_secret_value()
        self._pools = pools
        self._reader = reader
        self._health = health
        self._seen, self._missed = asyncio.Event(), asyncio.Event()

    async def first_look(self) -> None:
        """Wait until the database was seen for the first time, or ABSENCE_S after it was not to be had."""
        looks = [asyncio.create_task(event.wait()) for event in (self._seen, self._missed)]
        await asyncio.wait(looks, timeout=FIRST_LOOK_S, return_when=asyncio.FIRST_COMPLETED)
        if not self._seen.is_set():
            await asyncio.wait(looks[:1], timeout=ABSENCE_S)
        for look in looks:
            look.cancel()

    async def run(self) -> None:
        """Watch until cancelled."""
        await self._until_fit()
        for pool in self._pools:
            await pool.open()
        is_serving = False
        while True:
            try:
                await self._reader.all_stores(deadline_s=DEADLINE_S)
            except NotDecided:
                is_serving = False
                await self._health.set_serving(False)
                await self._until_fit()
                await asyncio.sleep(BACKOFF_S_MIN)
            else:
                if not is_serving:
                    log.info("database_available")
                is_serving = True
                await self._health.set_serving(True)
                self._seen.set()
                await asyncio.sleep(INTERVAL_S)

    async def _until_fit(self) -> None:
        """Wait for a database that can be served from; what is wrong is one log line, not one a try."""
        complaint = ""
        backoff_s = BACKOFF_S_MIN
        while True:
            try:
                if self._settings.migrate:
                    await asyncio.to_thread(migrate.migrate, self._owner_url)
                for advice in await check.check(
                    self._database_url, refuses_mighty=self._settings.refuse_mighty_login
                ):
                    log.warning("database_setting", advice=advice)
                return
            except (OperatorError, DatabaseError) as error:
                self._missed.set()
                if str(error) != complaint:
                    log.error("database_unavailable", error=str(error))
                    complaint = str(error)
                await asyncio.sleep(backoff_s)
                backoff_s = min(BACKOFF_S_MAX, backoff_s * 2)
