"""The order service of client/examples/python: whatever happens, units and money agree."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import inventory_client
from inventory_client import v1
from inventory_server.launch import LaunchedProcess
from support.polling import until

SCRIPT = Path(__file__).parents[2] / "client" / "examples" / "python" / "order_service.py"

spec = importlib.util.spec_from_file_location("order_service", SCRIPT)
assert spec is not None and spec.loader is not None
order_service = importlib.util.module_from_spec(spec)
spec.loader.exec_module(order_service)
Outcome = order_service.Outcome


class Till:
    """A payment provider that says what the test wants, and does something else meanwhile."""

    def __init__(self, accepts: bool = True, meanwhile: Callable[[], Any] = lambda: None) -> None:
        self.accepts, self.meanwhile = accepts, meanwhile
        self.refunded: list[str] = []

    def charge(self, order_id: str, amount_minor: int) -> bool:
        self.meanwhile()
        return self.accepts

    def refund(self, order_id: str) -> None:
        self.refunded.append(order_id)


@pytest.fixture
def tea(client: inventory_client.Client) -> Callable[[], tuple[int, int]]:
    """One unit of tea; returns what is (available, allocated) of it."""
    client.inventory.CreateStock(v1.CreateStockRequest(product_id="tea", quantity=1))

    def look() -> tuple[int, int]:
        stock = client.inventory.GetStock(v1.GetStockRequest(product_id="tea")).stock
        return stock.available, stock.allocated

    return look


def test_the_last_unit_is_sold_once(client: inventory_client.Client, tea: Callable[[], Any]) -> None:
    """The first order is paid and keeps its unit, however often it is placed; the second is sold out."""
    service = order_service.OrderService(client, Till())
    assert service.place("o-1", {"tea": 1}, 100) is Outcome.PAID
    assert service.place("o-1", {"tea": 1}, 100) is Outcome.PAID
    till = Till(meanwhile=lambda: pytest.fail("nothing is charged for what is sold out"))
    assert order_service.OrderService(client, till).place("o-2", {"tea": 1}, 100) is Outcome.SOLD_OUT
    assert tea() == (0, 1)


def test_a_decline_gives_the_unit_back(client: inventory_client.Client, tea: Callable[[], Any]) -> None:
    """Declined: the unit is free again, and nothing has to be given back."""
    till = Till(accepts=False)
    assert order_service.OrderService(client, till).place("o-1", {"tea": 1}, 100) is Outcome.DECLINED
    assert (tea(), till.refunded) == ((1, 0), [])


def test_who_pays_too_late_gets_the_money_back(
    client: inventory_client.Client, tea: Callable[[], Any]
) -> None:
    """The hold ran out while the money was taken, and another has the unit: sold out, and refunded."""
    other = v1.ReserveStockRequest(
        reservation_id="other", lines=[v1.LineRequest(product_id="tea", quantity=1)], never_expires=True
    )

    def is_held_by_another() -> bool:
        try:
            client.inventory.ReserveStock(other)
        except inventory_client.InsufficientStock:
            return False
        return True

    till = Till(meanwhile=lambda: until(is_held_by_another, "the hold of 1 s runs out"))
    service = order_service.OrderService(client, till, hold_s=1)
    assert service.place("o-1", {"tea": 1}, 100) is Outcome.SOLD_OUT
    assert (tea(), till.refunded) == ((0, 1), ["o-1"])
    till.meanwhile = lambda: pytest.fail("an order whose hold has ended is not charged again")
    assert service.place("o-1", {"tea": 1}, 100) is Outcome.ENDED


def test_the_script_runs(server: LaunchedProcess) -> None:
    """As its README has it: it sells what there is, and says so."""
    product_id = f"tea-{inventory_client.new_id()}"
    with inventory_client.connect(server.address, timeout_s=60) as client:
        client.inventory.CreateStock(v1.CreateStockRequest(product_id=product_id, quantity=2))
    for printed in ("paid\n", "sold out\n"):
        told = subprocess.run(
            [sys.executable, SCRIPT, server.address, product_id, "2"],
            capture_output=True,
            text=True,
            check=True,
        )
        assert told.stdout == printed
