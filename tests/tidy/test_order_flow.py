"""The pictures of the order flow leave no command out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from inventory_server.domain.commands import Command
from inventory_server.domain.decide import _HANDLERS

TOOLS = Path(__file__).resolve().parents[2] / "tools"


@pytest.fixture
def order_flow(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The script that draws them; what it is made of is no package."""
    with monkeypatch.context() as patched:
        patched.syspath_prepend(TOOLS)
        import order_flow

        yield order_flow
    for name in ("order_flow", "situations"):
        sys.modules.pop(name)


@pytest.mark.parametrize("named", ["reservation_id", "cart_id", "order_id", "payment_id"])
def test_every_command_is_tried_for_the_pictures(order_flow: Any, named: str) -> None:
    """Whatever can be asked of a reservation, a cart, an order or a payment is tried for its picture.

    What a command is asked of it names first or second: a payment after its order, an order after its cart.
    """
    asked: set[type[Command]] = {
        kind for kind in _HANDLERS if named in [field.name for field in fields(kind)[:2]]
    }
    tried = {type(command) for step in order_flow.STEPS[named]() for command in step.commands}
    assert asked
    assert sorted(kind.__name__ for kind in asked - tried) == []


def test_a_step_that_nothing_leads_to_is_no_try(order_flow: Any) -> None:
    """A command that the rules refuse wherever it is tried does not count as tried."""
    steps = [step for step in order_flow.reservation_steps() if step.label != "Reserve"]
    with pytest.raises(AssertionError, match="nothing leads to where these are possible"):
        order_flow.arrows(order_flow.a_shop(2), steps, lambda state: ("",), lambda state: None)
