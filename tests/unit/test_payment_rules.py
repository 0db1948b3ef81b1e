"""Payments: the allocation rule, the balance, each verdict of the gateway, and the lease of one in doubt."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from inventory_server.domain.commands import CreateStockTransaction
from inventory_server.domain.errors import (
    AmountExceedsBalance,
    DomainError,
    IdReused,
    InsufficientStock,
    InvalidValue,
    OrderCancelled,
    OrderNotFound,
    OrderNotPayable,
    PaymentInProgress,
    PaymentNotFound,
    PaymentOperationNotFound,
    Shortage,
)
from inventory_server.domain.limits import PAYMENTS_PER_ORDER_MAX
from inventory_server.domain.order import CartItem
from inventory_server.domain.order_commands import CancelOrder
from inventory_server.domain.payment import OperationState, PaymentState
from inventory_server.domain.payment_commands import BeginPayment, ClaimOperation, SettlePayment
from inventory_server.domain.reservation import ReservationState
from inventory_server.domain.stock import Action
from support.world import World, begin

ACCEPTED, DECLINED = OperationState.ACCEPTED, OperationState.DECLINED
ENDS_IT = [DECLINED, OperationState.FAILED, OperationState.REQUIRES_ACTION]
HELD, FREE = (7, 3), (10, 0)


@pytest.fixture
def world() -> World:
    """10 of `a`; an unpaid order `o` of 3 that costs 300."""
    made = World()
    made.stock("a", 10)
    made.order("o", CartItem("a", 3, 100, None))
    return made


# --- the allocation rule -------------------------------------------------------------------------


def test_the_first_payment_allocates_the_whole_order(world: World) -> None:
    """Before the gateway hears of it, every unit of the order is held, whatever part is paid."""
    begun = world.begin("o", "p", 1)
    assert begun.is_ours and begun.payment.state is PaymentState.PROCESSING
    assert world.numbers("a") == HELD
    held = world.reservation_of("o")
    assert (held.state, held.owned_by_order, held.expire_time) == (ReservationState.HELD, True, None)
    assert world.log[-1].order_id == "o" and world.log[-1].reservation_id == held.reservation_id
    world.check()


def test_an_order_that_is_short_begins_no_payment(world: World) -> None:
    """Sold out: nothing is held, no operation is written that a gateway could be called for."""
    world.do(CreateStockTransaction("a", Action.SET, 2))
    before = world.snapshot()
    with pytest.raises(InsufficientStock) as caught:
        world.begin("o", "p", 300)
    assert caught.value.shortages == (Shortage("a", None, 3, 2, True),)
    assert world.snapshot() == before


def test_an_accepted_payment_keeps_the_units(world: World) -> None:
    """The gateway accepts: the units are the customer's, and no level moves."""
    world.begin("o", "p", 300)
    entries = len(world.log)
    assert world.settle("o", "p", ACCEPTED).state is PaymentState.CAPTURED
    assert world.numbers("a") == HELD and len(world.log) == entries
    assert world.reservation_of("o").state is ReservationState.COMMITTED


@pytest.mark.parametrize("outcome", ENDS_IT)
def test_the_transaction_that_ends_the_last_one_releases(world: World, outcome: OperationState) -> None:
    """Declined, failed or asked for more: where no other payment counts, the units are free at once."""
    world.begin("o", "p", 300)
    assert world.settle("o", "p", outcome).state.value == outcome.value
    assert world.numbers("a") == FREE
    assert world.reservation_of("o").state is ReservationState.RELEASED
    world.check()


@pytest.mark.parametrize("outcome", ENDS_IT)
def test_a_new_try_allocates_afresh(world: World, outcome: OperationState) -> None:
    """After the release a new payment holds the units again, or is refused like anybody."""
    world.begin("o", "p1", 300)
    world.settle("o", "p1", outcome)
    world.begin("o", "p2", 300)
    assert world.numbers("a") == HELD
    assert world.reservation_of("o").reservation_id == "hold for p2"
    world.settle("o", "p2", outcome)
    world.do(CreateStockTransaction("a", Action.SET, 0))
    with pytest.raises(InsufficientStock):
        world.begin("o", "p3", 300)
    world.check()


def test_split_payments_allocate_once(world: World) -> None:
    """Later split payments find the units held: nothing more to allocate, nothing to check."""
    world.pay("o", "p1", 100)
    world.do(CreateStockTransaction("a", Action.SET, 3))
    entries = len(world.log)
    world.pay("o", "p2", 200)
    assert len(world.log) == entries
    assert world.view("o").is_paid
    world.check()


@pytest.mark.parametrize("outcome", ENDS_IT)
def test_two_at_once_the_first_ends_without_money(world: World, outcome: OperationState) -> None:
    """A and B in flight, A ends first: held until B ends; B accepted: held."""
    for last, numbers in ((outcome, FREE), (ACCEPTED, HELD)):
        world.begin("o", f"A {last}", 100)
        world.begin("o", f"B {last}", 100)
        world.settle("o", f"A {last}", outcome)
        assert world.numbers("a") == HELD
        world.settle("o", f"B {last}", last)
        assert world.numbers("a") == numbers
    world.check()


def test_half_paid_stays_held(world: World) -> None:
    """A captured part holds the whole order, though the rest is declined."""
    world.pay("o", "p1", 100)
    world.begin("o", "p2", 200)
    world.settle("o", "p2", DECLINED)
    assert world.numbers("a") == HELD
    assert world.reservation_of("o").state is ReservationState.COMMITTED
    world.check()


def test_paying_again_after_cancelling(world: World) -> None:
    """A cancelled order is not paid."""
    world.do(CancelOrder("o"))
    with pytest.raises(OrderCancelled):
        world.begin("o", "p", 300)


# --- the balance ---------------------------------------------------------------------------------


@pytest.mark.parametrize("amount_minor", [1, 300])
def test_any_part_of_the_balance(world: World, amount_minor: int) -> None:
    """A payment may take any part of the balance, up to all of it."""
    world.pay("o", "p", amount_minor)
    view = world.view("o")
    assert (view.captured_minor, view.balance_minor) == (amount_minor, 300 - amount_minor)


def test_more_than_the_balance(world: World) -> None:
    """One minor unit over the balance is refused with both numbers, before any unit is held."""
    with pytest.raises(AmountExceedsBalance) as caught:
        world.begin("o", "p", 301)
    assert (caught.value.amount_minor, caught.value.left_minor) == (301, 300)
    world.pay("o", "p1", 120)
    with pytest.raises(AmountExceedsBalance) as caught:
        world.begin("o", "p2", 181)
    assert caught.value.left_minor == 180
    world.pay("o", "p3", 180)
    with pytest.raises(AmountExceedsBalance):
        world.begin("o", "p4", 1)


def test_over_the_balance_only_because_of_what_is_in_flight(world: World) -> None:
    """What would fit if a payment in flight fell away is PAYMENT_IN_PROGRESS; what never fits is not."""
    world.begin("o", "p1", 200)
    assert world.view("o").balance_minor == 100
    for amount_minor in (101, 300):
        with pytest.raises(PaymentInProgress):
            world.begin("o", "p2", amount_minor)
    with pytest.raises(AmountExceedsBalance):
        world.begin("o", "p2", 301)
    assert world.begin("o", "p2", 100).is_ours
    world.check()


@pytest.mark.parametrize("outcome", ENDS_IT)
def test_what_ended_without_money_reopens_the_balance(world: World, outcome: OperationState) -> None:
    """A payment that took nothing leaves the whole balance to the next."""
    world.begin("o", "p1", 300)
    world.settle("o", "p1", outcome)
    assert world.view("o").balance_minor == 300
    assert world.pay("o", "p2", 300).state is PaymentState.CAPTURED


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (begin("o", "p", 0), InvalidValue),
        (begin("x", "p", 300), OrderNotFound),
        (begin("o", "p", 300, has_gateway=False), OrderNotPayable),
        # the amount is looked at first
        (begin("o", "p", 301, has_gateway=False), AmountExceedsBalance),
    ],
)
def test_what_is_not_payable(world: World, command: BeginPayment, refusal: type[DomainError]) -> None:
    """A payment of 0, of an unknown order, or without a gateway begins nothing."""
    before = world.snapshot()
    with pytest.raises(refusal):
        world.do(command)
    assert world.snapshot() == before


def test_an_order_that_costs_nothing_is_paid_at_once(world: World) -> None:
    """Total 0: pay 0, no operation, so no gateway call, also where there is none; the stock is held."""
    world.order("free", CartItem("a", 4, 0, None))
    with pytest.raises(AmountExceedsBalance):
        world.begin("free", "p", 1)
    begun = world.do(begin("free", "p", 0, has_gateway=False))
    assert (begun.is_ours, begun.operation, begun.payment.state) == (False, None, "CAPTURED")
    assert world.numbers("a") == (6, 4)
    assert world.reservation_of("free").state is ReservationState.COMMITTED
    with pytest.raises(OrderNotPayable):
        world.begin("free", "p2", 0)
    world.check()


def test_an_order_that_costs_nothing_needs_its_stock(world: World) -> None:
    """Free of charge is not free of stock."""
    world.order("free", CartItem("a", 4, 0, None))
    world.do(CreateStockTransaction("a", Action.SET, 3))
    with pytest.raises(InsufficientStock):
        world.begin("free", "p", 0)
    assert not world.rows["payments"]


def test_so_many_payments_of_an_order_and_no_more(world: World) -> None:
    """At the limit the last begins; past it none, though there is balance; a repeat is still answered."""
    world.pay("o", "p", 1)
    (payment,) = world.view("o").payments
    payments = world.rows["payments"]
    for number in range(1, PAYMENTS_PER_ORDER_MAX - 1):
        ended = replace(payment.operations[0], operation_id=f"op {number}", state=DECLINED)
        payments[f"p{number}"] = replace(payment, payment_id=f"p{number}", operations=(ended,))
    world.pay("o", "last", 1)
    before = world.snapshot()
    with pytest.raises(OrderNotPayable, match="it has 1000 payments, and no more are taken"):
        world.begin("o", "one more", 1)
    assert world.begin("o", "last", 1).payment.state is PaymentState.CAPTURED
    assert world.snapshot() == before


# --- repeats -------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", [None, ACCEPTED, *ENDS_IT])
def test_the_same_payment_again(world: World, outcome: OperationState | None) -> None:
    """The same payment_id and content answers its current state; it is not the repeat's to see through."""
    world.begin("o", "p", 300)
    if outcome is not None:
        world.settle("o", "p", outcome)
    before = world.snapshot()
    again = world.do(
        BeginPayment("o", "p", 300, "card", operation_id="op 2", reservation_id="hold 2", lease_s=9)
    )
    assert not again.is_ours
    assert again.payment == world.rows["payments"]["p"]
    assert world.snapshot() == before


def test_fifty_at_once_are_one_operation(world: World) -> None:
    """The same payment_id many times in one batch: one of them begins it."""
    commands = [BeginPayment("o", "p", 300, "card", f"op {n}", f"hold {n}", 9) for n in range(50)]
    begun = world.batch(*commands)
    assert [b.is_ours for b in begun] == [True] + [False] * 49
    assert {b.operation.operation_id for b in begun} == {"op 0"}
    assert world.numbers("a") == HELD


def test_a_batch_run_again_knows_its_own_work(world: World) -> None:
    """The very same command finds its operation and is told that it is its own to see through."""
    world.begin("o", "p", 300)
    before = world.snapshot()
    assert world.begin("o", "p", 300).is_ours
    assert world.snapshot() == before


@pytest.mark.parametrize(
    "other",
    [
        begin("o", "p", 299),
        begin("x", "p", 300),
        BeginPayment("o", "p", 300, "cash", "op of p", "hold for p", 9),
    ],
)
def test_other_content_under_a_used_payment_id(world: World, other: BeginPayment) -> None:
    """Another amount, order or method under a used payment_id is ID_REUSED."""
    world.begin("o", "p", 300)
    before = world.snapshot()
    with pytest.raises(IdReused) as caught:
        world.do(other)
    assert caught.value.field == "payment_id"
    assert world.snapshot() == before


# --- settling and the lease ----------------------------------------------------------------------


@pytest.mark.parametrize("first", [ACCEPTED, *ENDS_IT])
@pytest.mark.parametrize("second", [ACCEPTED, *ENDS_IT])
def test_an_operation_is_settled_once(world: World, first: OperationState, second: OperationState) -> None:
    """The first word stands: whatever is said later changes nothing."""
    world.begin("o", "p", 300)
    settled = world.settle("o", "p", first)
    before = world.snapshot()
    assert world.settle("o", "p", second) == settled
    assert world.snapshot() == before


def test_settling_records_what_the_gateway_said(world: World) -> None:
    """Reference and reason of the gateway stand on the operation."""
    world.begin("o", "p", 300)
    world.wait(3)
    command = SettlePayment("o", "p", "op of p", DECLINED, "ref-9", "no funds")
    operation = world.do(command).payment.first
    assert (operation.gateway_reference, operation.failure_reason) == ("ref-9", "no funds")
    assert operation.updated_at == world.now > operation.created_at


@pytest.mark.parametrize(("payment_id", "operation_id"), [("x", "op of p"), ("p", "op of x")])
def test_a_foreign_operation_is_not_settled(world: World, payment_id: str, operation_id: str) -> None:
    """Only the payment's own operation can be settled or claimed."""
    world.begin("o", "p", 300)
    before = world.snapshot()
    refusal = PaymentNotFound if payment_id == "x" else PaymentOperationNotFound
    with pytest.raises(refusal):
        world.do(SettlePayment("o", payment_id, operation_id, ACCEPTED))
    with pytest.raises(refusal):
        world.do(ClaimOperation("o", payment_id, operation_id, 12))
    assert world.snapshot() == before


def test_the_lease_is_taken_when_it_has_run_out(world: World) -> None:
    """A lease belongs to one until its very end; whoever takes it then has it anew."""
    world.do(begin("o", "p", 300, lease_s=12))
    claim = ClaimOperation("o", "p", "op of p", 5)
    world.wait(12 - 0.000001)
    assert not world.do(claim).is_ours
    world.wait(0.000001)
    first, second = world.batch(claim, claim)
    assert (first.is_ours, second.is_ours) == (True, False)
    assert world.rows["payments"]["p"].first.lease_until == world.now + timedelta(seconds=5)
    assert world.rows["payments"]["p"].state is PaymentState.PROCESSING


def test_what_was_claimed_is_the_claimants(world: World) -> None:
    """Who finds its own operation after a lost COMMIT, claimed meanwhile, neither sends it nor fails it."""
    first = begin("o", "p", 300, lease_s=12)
    assert world.do(first).is_ours
    assert world.do(first).is_ours  # the batch ran again, nobody came between
    world.wait(12)
    assert world.do(ClaimOperation("o", "p", "op of p", 12)).is_ours
    assert not world.do(first).is_ours
    level = world.level("a")
    assert world.settle("o", "p", OperationState.FAILED).state is PaymentState.PROCESSING
    assert world.level("a") == level
    assert world.settle("o", "p", ACCEPTED).state is PaymentState.CAPTURED
    world.check()


def test_a_settled_operation_is_nobodys_to_claim(world: World) -> None:
    """What is settled is in no doubt."""
    world.pay("o", "p", 300)
    world.wait(1000)
    before = world.snapshot()
    assert not world.do(ClaimOperation("o", "p", "op of p", 5)).is_ours
    assert world.snapshot() == before
