"""Fault 14: a gateway that does wrong in every way it can, and stands still for a while."""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from inventory_loadtest.gateway_ledger import takings
from inventory_server.launch import gateway_simulator
from support.faults.load import PRICE_MINOR, Load
from support.faults.place import WAIT_S, placed
from support.faults.promises import check
from support.polling import until

# One in twenty of each.
LIES = (
    "sim:decline", "sim:requires-action", "sim:pending-250ms", "sim:lost-reply", "sim:no-reply",
    "sim:outage-3", "sim:duplicate", "sim:slow-2000ms",
)  # fmt: skip
METHODS = (*LIES, *["sim:accept"] * (20 - len(LIES)))
ORDERS = 200
ORDERS_LONG = 10_000


@pytest.mark.fault(14)
def test_a_gateway_that_lies(
    chance: random.Random, load_factor: int, tmp_path: Path, tell: Callable[..., None]
) -> None:
    """No unit is held for a payment that failed, none released for one that succeeded; all are settled."""
    ledger = tmp_path / "ledger.jsonl"
    orders = ORDERS if load_factor == 1 else ORDERS_LONG
    with (
        gateway_simulator(["--latency-ms", "2", "--ledger", str(ledger)]) as gateway,
        placed(gateway.address) as place,
    ):
        place.start_server(gateway_timeout_s=1)
        with Load(
            lambda: place.server.address, chance, pays=True, payment_methods=METHODS, workers=16
        ) as load:
            while len(load.books.orders) < orders / 2:
                load.goes_on()
            os.kill(gateway.pid, signal.SIGSTOP)
            try:
                in_doubt = len(load.books.open_orders)
                until(lambda: len(load.books.open_orders) > in_doubt + 4, "payments are left open", WAIT_S)
            finally:
                os.kill(gateway.pid, signal.SIGCONT)
            while len(load.books.orders) < orders:
                load.goes_on()
        began_s = time.monotonic()
        figures = check(place, load)
        settled_s = time.monotonic() - began_s
        taken: Counter[str] = Counter()
        with ledger.open() as lines:
            for taking in takings(lines):
                taken[taking.order_id] += taking.amount_minor
        kept = {
            order_id: sum(order.lines.values()) * PRICE_MINOR
            for order_id, order in load.books.orders.items()
            if order.state != "UNPAID"
        }
        assert taken == kept
        tell(figures | {"orders": len(load.books.orders), "in doubt": len(load.books.open_orders),
                        "all_settled_within_s": settled_s})  # fmt: skip
