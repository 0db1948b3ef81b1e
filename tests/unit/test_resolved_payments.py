"""An administrator's word ends an operation in doubt; what the gateway says against it is moved back."""

from __future__ import annotations

import pytest

from inventory_server.domain.decide_payment import PaymentBegun
from inventory_server.domain.decide_settlement import Settled
from inventory_server.domain.errors import PaymentOperationNotFound
from inventory_server.domain.limits import (
    RESOLVED_POLL_S_MAX,
    REVERSAL_PAUSE_S_MAX,
    REVERSALS_PER_OPERATION_MAX,
)
from inventory_server.domain.order import CartItem
from inventory_server.domain.order_commands import CancelOrder
from inventory_server.domain.payment import OperationKind, OperationState, Payment, PaymentState
from inventory_server.domain.payment_commands import ClaimOperation, ResolvePayment, SettlePayment
from support.world import World, begin

ACCEPTED, DECLINED, FAILED = OperationState.ACCEPTED, OperationState.DECLINED, OperationState.FAILED
ASKS = OperationState.REQUIRES_ACTION
CAPTURE, VOID, REFUND = OperationKind.CAPTURE, OperationKind.VOID, OperationKind.REFUND
CONFIRM, AUTHORIZE = OperationKind.CONFIRM, OperationKind.AUTHORIZE
HELD, FREE = (7, 3), (10, 0)
WORD = [ACCEPTED, DECLINED, FAILED]


@pytest.fixture
def world() -> World:
    """10 of `a`; an unpaid order `o` of 3 that costs 300."""
    made = World()
    made.stock("a", 10)
    made.order("o", CartItem("a", 3, 100, None))
    return made


def resolve(world: World, outcome: OperationState, operation_id: str = "op of p") -> Payment:
    resolved: Payment = world.do(ResolvePayment("o", "p", operation_id, outcome, "seen on their page"))
    return resolved


def late(world: World, outcome: OperationState, operation_id: str = "op of p") -> Settled:
    """The gateway's word, after the administrator's."""
    settled: Settled = world.do(
        SettlePayment("o", "p", operation_id, outcome, "ref", reversal_id=f"undo {operation_id}", lease_s=12)
    )
    return settled


def claim(world: World, operation_id: str = "op of p") -> bool:
    begun: PaymentBegun = world.do(ClaimOperation("o", "p", operation_id, 12.0, 60.0))
    return begun.is_ours


# --- the word itself -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "state", "numbers"),
    [
        (ACCEPTED, PaymentState.CAPTURED, HELD),
        (DECLINED, PaymentState.DECLINED, FREE),
        (FAILED, PaymentState.FAILED, FREE),
    ],
)
def test_it_ends_as_the_gateways_would(
    world: World, outcome: OperationState, state: PaymentState, numbers: tuple[int, int]
) -> None:
    """State, money and units follow the word; who said why, and when, stands with the operation."""
    world.begin("o", "p", 300)
    world.wait(60)
    resolved = resolve(world, outcome)
    assert (resolved.state, world.numbers("a")) == (state, numbers)
    (operation,) = resolved.operations
    assert (operation.resolved_at, operation.resolve_reason) == (world.now, "seen on their page")
    world.check()


@pytest.mark.parametrize("first", WORD)
@pytest.mark.parametrize("second", WORD)
def test_what_has_ended_is_left_as_it_is(world: World, first: OperationState, second: OperationState) -> None:
    """A word on an operation that was settled, by the gateway or by another word, changes nothing."""
    world.begin("o", "p", 300)
    world.settle("o", "p", first)
    before = world.snapshot()
    assert resolve(world, second).operations[0].resolved_at is None
    assert world.snapshot() == before


def test_only_an_operation_of_the_payment(world: World) -> None:
    """An operation that is not there, or not of this payment, is not found."""
    world.begin("o", "p", 100)
    world.begin("o", "q", 100)
    for operation_id in ("ghost", "op of q"):
        with pytest.raises(PaymentOperationNotFound):
            resolve(world, DECLINED, operation_id)


def test_a_confirmation_called_failed_is_final(world: World) -> None:
    """It may have been sent, so it is not tried again as one that provably never was."""
    world.begin("o", "p", 300)
    world.settle("o", "p", ASKS)
    world.go_on("p", CONFIRM, "k")
    assert resolve(world, FAILED, "k").state is PaymentState.FAILED
    assert world.numbers("a") == FREE


# --- asked about for 7 days ----------------------------------------------------------------------


def test_it_is_asked_about_for_7_days(world: World) -> None:
    """At once, then at the poll's pace, up to the end of the seventh day and not after it."""
    world.begin("o", "p", 300)
    resolve(world, DECLINED)
    assert claim(world) and not claim(world)
    world.wait(60)
    assert claim(world)
    world.wait(RESOLVED_POLL_S_MAX - 60 - 0.000001)
    assert claim(world)
    world.wait(60)
    assert not claim(world)
    assert world.rows["payments"]["p"].operations[0].poll_until is None
    assert late(world, ACCEPTED).reversal is None


@pytest.mark.parametrize("outcome", [ACCEPTED, DECLINED])
def test_what_needs_no_more_asking(world: World, outcome: OperationState) -> None:
    """A word of acceptance is not asked about, nor one that the gateway has agreed with."""
    world.begin("o", "p", 300)
    resolve(world, outcome)
    if outcome is DECLINED:
        assert late(world, DECLINED).payment.state is PaymentState.DECLINED
    assert not claim(world)


@pytest.mark.parametrize("said", [FAILED, ASKS])
def test_what_moved_no_money_reverses_nothing(world: World, said: OperationState) -> None:
    """Only an acceptance contradicts; anything else leaves it to be asked about again."""
    world.begin("o", "p", 300)
    resolve(world, DECLINED)
    before = world.snapshot()
    assert late(world, said).reversal is None
    assert world.snapshot() == before


# --- the contrary acceptance ---------------------------------------------------------------------


@pytest.mark.parametrize("word", [DECLINED, FAILED])
@pytest.mark.parametrize(("kind", "undone_by"), [(OperationKind.PURCHASE, REFUND), (AUTHORIZE, VOID)])
def test_what_was_accepted_after_all_is_moved_back(
    world: World, kind: OperationKind, undone_by: OperationKind, word: OperationState
) -> None:
    """Money taken is refunded, money set aside let go; units and balance may be somebody else's by now."""
    world.do(begin("o", "p", 300, kind=kind))
    ended = resolve(world, word).state
    world.pay("o", "q", 300)
    entries = len(world.log)
    reversal = late(world, ACCEPTED).reversal
    assert reversal is not None
    assert (reversal.kind, reversal.amount_minor) == (undone_by, 300)
    assert (reversal.reverses_operation_id, reversal.refund_id) == ("op of p", None)
    world.check()
    payment = world.settle("o", "p", ACCEPTED, "undo op of p")
    assert (payment.state, payment.captured_minor, payment.refunded_minor) == (ended, 0, 0)
    assert world.view("o").captured_minor == 300 and len(world.log) == entries
    assert not claim(world)
    world.check()


def test_a_confirmation_accepted_after_all(world: World) -> None:
    """What the confirmation took goes back by a refund, under the first operation's name at the gateway."""
    world.begin("o", "p", 300)
    world.settle("o", "p", ASKS)
    world.go_on("p", CONFIRM, "k")
    resolve(world, DECLINED, "k")
    settled = late(world, ACCEPTED, "k")
    assert settled.reversal is not None and settled.reversal.kind is REFUND
    target = settled.payment.target_of(settled.reversal)
    assert target is not None and target.operation_id == "op of p"


def test_a_capture_accepted_after_all(world: World) -> None:
    """The capture's money goes back, and the authorization is used up: not captured again, but still held."""
    world.authorize("o", "p", 300)
    world.go_on("p", CAPTURE, "c", 200)
    assert resolve(world, DECLINED, "c").state is PaymentState.AUTHORIZED
    settled = late(world, ACCEPTED, "c")
    assert settled.reversal is not None
    assert (settled.reversal.kind, settled.reversal.amount_minor) == (REFUND, 200)
    target = settled.payment.target_of(settled.reversal)
    assert target is not None and (target.operation_id, target.gateway_reference) == ("c", "ref")
    payment = world.settle("o", "p", ACCEPTED, "undo c")
    assert (payment.state, payment.is_capturable) == (PaymentState.AUTHORIZED, False)
    assert world.numbers("a") == HELD
    world.check()
    world.do(CancelOrder("o"))
    world.check()


def test_a_void_accepted_after_all(world: World) -> None:
    """The authorization is gone: the books follow, and the last that counted releases."""
    world.authorize("o", "p", 300)
    world.go_on("p", VOID, "v")
    assert resolve(world, DECLINED, "v").state is PaymentState.AUTHORIZED
    settled = late(world, ACCEPTED, "v")
    assert (settled.payment.state, settled.reversal) == (PaymentState.VOIDED, None)
    assert world.numbers("a") == FREE
    world.check()


@pytest.mark.parametrize("meanwhile_minor", [100, 300])
def test_a_refund_accepted_after_all(world: World, meanwhile_minor: int) -> None:
    """The money went back: the books follow, as far as there is captured money left to have gone back."""
    world.pay("o", "p", 300)
    world.go_on("p", REFUND, "f", 200)
    assert resolve(world, FAILED, "f").refundable_minor == 300
    world.go_on("p", REFUND, "f2", meanwhile_minor, ACCEPTED)
    settled = late(world, ACCEPTED, "f")
    assert settled.payment.refunded_minor == 300 and settled.reversal is None
    assert not claim(world, "f")
    world.check()


@pytest.mark.parametrize("outcome", [DECLINED, FAILED])
def test_a_reversal_that_fails_is_begun_again(world: World, outcome: OperationState) -> None:
    """Until one is accepted the operation is asked about, and each contrary word begins another."""
    world.begin("o", "p", 300)
    resolve(world, DECLINED)
    assert late(world, ACCEPTED).reversal is not None
    assert late(world, ACCEPTED).reversal is None  # one is in flight
    world.settle("o", "p", outcome, "undo op of p")
    again = world.do(
        SettlePayment("o", "p", "op of p", ACCEPTED, reversal_id="undo it again", lease_s=12)
    ).reversal
    assert again is not None and again.operation_id == "undo it again"
    world.settle("o", "p", ACCEPTED, "undo it again")
    assert not claim(world)
    world.check()


def reverse_in_vain(world: World, times: int) -> None:
    """Have the gateway contradict the word on `p` so often, and decline each time what undoes it."""
    for number in range(times):
        undo = SettlePayment("o", "p", "op of p", ACCEPTED, reversal_id=f"undo {number}", lease_s=12)
        assert world.do(undo).reversal is not None
        world.settle("o", "p", DECLINED, f"undo {number}")


def test_what_was_not_moved_back_is_not_forgotten(world: World) -> None:
    """The 7 days are over and no reversal was accepted: it is asked about until one is."""
    world.begin("o", "p", 300)
    resolve(world, FAILED)
    reverse_in_vain(world, 1)
    for _ in range(2):
        world.wait(RESOLVED_POLL_S_MAX)
        assert claim(world)
    assert late(world, ACCEPTED).reversal is not None
    assert world.settle("o", "p", ACCEPTED, "undo op of p").state is PaymentState.FAILED
    world.wait(RESOLVED_POLL_S_MAX)
    assert not claim(world)
    world.check()


def test_it_is_asked_about_while_another_is_in_flight(world: World) -> None:
    """The end of the 7 days waits for an operation in doubt, which is in the way of any reversal."""
    world.authorize("o", "p", 300)
    world.go_on("p", CAPTURE, "c", 200)
    resolve(world, DECLINED, "c")
    world.go_on("p", VOID, "v")
    assert late(world, ACCEPTED, "c").reversal is None
    world.wait(RESOLVED_POLL_S_MAX)
    assert claim(world, "c")
    world.settle("o", "p", DECLINED, "v")
    assert late(world, ACCEPTED, "c").reversal is not None


def test_a_gateway_that_comes_round_needs_no_reversal(world: World) -> None:
    """Declined after all, as the administrator said: there is nothing to move back any more."""
    world.begin("o", "p", 300)
    resolve(world, DECLINED)
    reverse_in_vain(world, 1)
    assert late(world, DECLINED).reversal is None
    world.wait(RESOLVED_POLL_S_MAX)
    assert not claim(world)


def test_the_pause_doubles_with_each_reversal(world: World) -> None:
    """From the poll's pace to an hour; a slower poll stays as slow as it is."""
    world.begin("o", "p", 300)
    resolve(world, DECLINED)
    pauses = []
    for number in range(9):
        assert claim(world)
        payment = world.rows["payments"]["p"]
        pauses.append((payment.operations[0].lease_until - world.now).total_seconds())
        world.wait(pauses[-1])
        undo = SettlePayment("o", "p", "op of p", ACCEPTED, reversal_id=f"undo {number}", lease_s=12)
        assert world.do(undo).reversal is not None
        world.settle("o", "p", DECLINED, f"undo {number}")
    assert pauses == [60, 120, 240, 480, 960, 1920, *[REVERSAL_PAUSE_S_MAX] * 3]
    slow = world.do(ClaimOperation("o", "p", "op of p", 12.0, 86400.0)).operation
    assert (slow.lease_until - world.now).total_seconds() == 86400


def test_so_many_reversals_begin_and_no_more(world: World) -> None:
    """At the limit the last begins; past it none does, and it is still asked about."""
    world.begin("o", "p", 300)
    resolve(world, DECLINED)
    reverse_in_vain(world, REVERSALS_PER_OPERATION_MAX)
    before = world.snapshot()
    settled = late(world, ACCEPTED)
    assert (settled.reversal, settled.gave_up) == (None, True)
    assert world.snapshot() == before
    world.wait(RESOLVED_POLL_S_MAX)
    assert claim(world)
    world.check()


def test_a_reversal_that_is_resolved(world: World) -> None:
    """An administrator may end a reversal too; called accepted, there is nothing more to undo."""
    world.begin("o", "p", 300)
    resolve(world, DECLINED)
    assert late(world, ACCEPTED).reversal is not None
    assert resolve(world, ACCEPTED, "undo op of p").state is PaymentState.DECLINED
    assert not claim(world)


@pytest.mark.parametrize("how", [DECLINED, FAILED])
@pytest.mark.parametrize("times", [1, REVERSALS_PER_OPERATION_MAX])
def test_what_people_have_moved_back_is_settled(world: World, how: OperationState, times: int) -> None:
    """A reversal that failed, called accepted by hand, ends the asking; who said why stands with it."""
    world.begin("o", "p", 300)
    ended = resolve(world, DECLINED).state
    reverse_in_vain(world, times - 1)
    assert late(world, ACCEPTED).reversal is not None
    world.settle("o", "p", how, "undo op of p")
    payment = resolve(world, ACCEPTED, "undo op of p")
    assert (payment.state, payment.captured_minor, payment.refunded_minor) == (ended, 0, 0)
    reversal = payment.reversals_of("op of p")[-1]
    assert (reversal.state, reversal.resolve_reason) == (ACCEPTED, "seen on their page")
    assert (reversal.resolved_at, reversal.poll_until) == (world.now, None)
    for operation_id in ("op of p", "undo op of p"):
        assert not claim(world, operation_id)
    before = world.snapshot()
    assert (late(world, ACCEPTED).reversal, late(world, ACCEPTED).gave_up) == (None, False)
    resolve(world, ACCEPTED, "undo op of p")
    assert world.snapshot() == before
    world.check()


def test_a_reversal_by_hand_says_only_that_it_was_done(world: World) -> None:
    """Called declined or failed it is as it was; so is every other one while one is in flight."""
    world.begin("o", "p", 300)
    resolve(world, DECLINED)
    reverse_in_vain(world, 1)
    before = world.snapshot()
    for outcome in (DECLINED, FAILED):
        resolve(world, outcome, "undo 0")
    assert world.snapshot() == before
    assert late(world, ACCEPTED).reversal is not None
    before = world.snapshot()
    resolve(world, ACCEPTED, "undo 0")
    assert world.snapshot() == before
    assert resolve(world, DECLINED, "undo op of p").state is PaymentState.DECLINED
    resolve(world, ACCEPTED, "undo op of p")
    assert not claim(world) and not claim(world, "undo op of p")
    world.check()


def test_a_void_of_what_has_lapsed_undoes_it_too(world: World) -> None:
    """An authorization that came too late and has run out since needs no letting go."""
    world.do(begin("o", "p", 300, kind=AUTHORIZE))
    resolve(world, DECLINED)
    late(world, ACCEPTED)
    world.settle("o", "p", DECLINED, "undo op of p", lapsed=True)
    assert not claim(world)
