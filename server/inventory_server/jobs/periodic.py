"""A job that runs again and again until it is stopped, whatever happens to one run."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import structlog

from inventory_server.engine.errors import NotDecided

log = structlog.get_logger(__name__)


async def run_periodically(
    name: str,
    interval_s: float,
    work: Callable[[], Awaitable[None]],
    has_work: asyncio.Event | None = None,
) -> None:
    """Run `work` every `interval_s` seconds, counted from end to start; at once where `has_work` is set.

    A database that does not answer is worth a debug line (health says it already); a defect is logged with
    its traceback, and the next run comes all the same.
    """
    while True:
        try:
            await work()
        except NotDecided as error:
            log.debug("job_waits", job=name, error=type(error).__name__)
        except Exception:
            log.exception("job_failed", job=name)
        with suppress(TimeoutError):
            async with asyncio.timeout(interval_s):
                await (has_work or asyncio.Event()).wait()
        if has_work:
            has_work.clear()
