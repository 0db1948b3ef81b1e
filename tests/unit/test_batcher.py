"""The batcher without a database: what it tells of the time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvloop

from inventory_server.domain.commands import DeleteStock
from inventory_server.domain.decide import Request
from inventory_server.engine import batcher as batcher_module
from inventory_server.engine.batcher import Batcher, BatchLimits, Entry


class Closing:
    """Takes down when somebody came, and lets every batch close at once."""

    def __init__(self) -> None:
        self.came_at: list[float] = []

    def came(self, now: float) -> None:
        self.came_at.append(now)

    def wait(self, waiting: int, now: float) -> tuple[int, float]:
        return waiting, 0.0


def test_callers_of_one_turn_come_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers who come within one turn of the loop are told apart, though uvloop's clock stands still."""
    closing = Closing()
    monkeypatch.setattr(batcher_module, "Closing", lambda *_: closing)

    async def come() -> None:
        limits = BatchLimits(commands_max=10, lines_max=10, attempts_max=1, linger_s_max=0.0)
        connections: Any = None  # nobody waits any more, so nothing is decided
        batcher = Batcher("store", connections, limits, lambda _: None, lambda _: None)
        for _ in range(3):
            verdict = asyncio.get_running_loop().create_future()
            batcher.put(Entry(Request(DeleteStock("a")), 0.0, verdict))
        await batcher.idle()

    uvloop.run(come())
    assert closing.came_at == sorted(set(closing.came_at))
    assert len(closing.came_at) == 3
