"""What a decided batch counts: orders that became paid and payments that were declined, each once."""

from __future__ import annotations

from dataclasses import replace

import pytest

from inventory_server.domain.commands import Command
from inventory_server.domain.decide import Request, decide
from inventory_server.domain.order import CartItem
from inventory_server.domain.payment import OperationKind, OperationState
from inventory_server.domain.payment_commands import ResolvePayment, SettlePayment
from inventory_server.engine.facts import Facts, facts_of
from support.world import World, begin, further

ACCEPTED, DECLINED = OperationState.ACCEPTED, OperationState.DECLINED
ACTION = OperationState.REQUIRES_ACTION
PAID, SAID_NO, NEITHER = (1, 0), (0, 1), (0, 0)


@pytest.fixture
def world() -> World:
    """One order, `o`, of two units at 5."""
    world = World()
    world.stock("a", 9)
    world.order("o", CartItem("a", 2, 5, None))
    return world


def facts(world: World, *commands: Command) -> Facts:
    """Decide one batch, keep it, and count it."""
    state = world.state()
    verdicts = decide(state, [Request(command) for command in commands])
    world.keep(state)
    return facts_of(state, verdicts)


def counts(world: World, *commands: Command) -> tuple[int, int]:
    """Return (orders paid, declined) of one batch."""
    counted = facts(world, *commands)
    return counted.orders_paid, counted.declined


def settled(outcome: OperationState, operation_id: str = "op of p", payment_id: str = "p") -> SettlePayment:
    return SettlePayment("o", payment_id, operation_id, outcome, lease_s=12.0)


@pytest.mark.parametrize(("outcome", "counted"), [(ACCEPTED, PAID), (DECLINED, SAID_NO), (ACTION, NEITHER)])
def test_a_purchase(world: World, outcome: OperationState, counted: tuple[int, int]) -> None:
    """Counted when the gateway's word is recorded, not when it is begun, nor a second time."""
    assert counts(world, begin("o", "p", 10)) == NEITHER
    assert counts(world, settled(outcome)) == counted
    assert counts(world, settled(outcome)) == NEITHER


def test_an_order_that_is_paid_in_parts(world: World) -> None:
    """It is paid by the last part."""
    world.pay("o", "p", 4)
    world.begin("o", "q", 6)
    assert counts(world, settled(ACCEPTED, "op of q", "q")) == PAID


def test_an_order_that_costs_nothing(world: World) -> None:
    """It is paid by its payment of 0, which no gateway hears of."""
    world.order("free", CartItem("a", 1, 0, None))
    assert counts(world, begin("free", "f", 0)) == PAID
    assert counts(world, begin("free", "f", 0)) == NEITHER


@pytest.mark.parametrize("outcome", [ACCEPTED, DECLINED])
def test_a_refund_is_neither(world: World, outcome: OperationState) -> None:
    """Given back or not, the order became paid before, and the payment was not declined."""
    world.pay("o", "p", 10)
    assert counts(world, further(OperationKind.REFUND, "o", "p", "back", 4)) == NEITHER
    assert counts(world, settled(outcome, "back")) == NEITHER


def test_an_authorization_and_what_goes_on_with_it(world: World) -> None:
    """Declined is the payment itself alone; paid is what a capture takes."""
    world.do(begin("o", "no", 10, kind=OperationKind.AUTHORIZE))
    assert counts(world, settled(DECLINED, "op of no", "no")) == SAID_NO
    world.authorize("o", "p", 10)
    for kind in (OperationKind.VOID, OperationKind.CAPTURE):
        world.go_on("p", kind, f"refused {kind}", 0)
        assert counts(world, settled(DECLINED, f"refused {kind}")) == NEITHER
    world.go_on("p", OperationKind.CAPTURE, "taken", 10)
    assert counts(world, settled(ACCEPTED, "taken")) == PAID


@pytest.mark.parametrize(("outcome", "counted"), [(ACCEPTED, PAID), (DECLINED, SAID_NO)])
def test_a_confirmation(world: World, outcome: OperationState, counted: tuple[int, int]) -> None:
    """It decides about a payment that waited for the shopper."""
    world.begin("o", "p", 10)
    world.settle("o", "p", ACTION)
    world.go_on("p", OperationKind.CONFIRM, "confirmed")
    assert counts(world, settled(outcome, "confirmed")) == counted


@pytest.mark.parametrize("word", [DECLINED, OperationState.FAILED])
def test_what_is_moved_back_is_neither(world: World, word: OperationState) -> None:
    """A payment that was ended by hand and accepted after all is reversed; the reversal's word counts not."""
    world.begin("o", "p", 10)
    world.do(ResolvePayment("o", "p", "op of p", word, "seen on their page"))
    world.pay("o", "q", 10)
    assert counts(world, replace(settled(ACCEPTED), reversal_id="undo")) == NEITHER
    assert counts(world, settled(DECLINED, "undo")) == NEITHER
