"""The judge of a race can fail: every way to break a law is found, and a sound race breaks none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest

from inventory_client import v1
from inventory_loadtest.checker import LAWS, judge
from inventory_loadtest.gateway_ledger import Taking
from inventory_loadtest.history import Outcome, Step
from support.sound_race import Action, World, sound_world


def test_a_sound_race_breaks_no_law() -> None:
    """Paid, split, declined, sold out, in flight and cancelled: all of it is lawful."""
    world = sound_world()
    assert judge(world.history, world.state) == []


def test_every_law_says_what_it_has() -> None:
    """Each law has a sentence of its own, for the report."""
    texts = [law.text for law in LAWS.values()]
    assert all(texts)
    assert len(set(texts)) == len(texts)


# What is done to the sound world, and the law that it must break first of all.
DOCTORED: dict[str, tuple[Callable[[World], object], str]] = {}


def doctored(law: str) -> Callable[[Callable[[World], object]], Callable[[World], object]]:
    def remember(change: Callable[[World], object]) -> Callable[[World], object]:
        DOCTORED[change.__name__] = (change, law)
        return change

    return remember


@doctored("never-oversold")
def an_oversell(world: World) -> None:
    more = world.check_out("more", {"tea": 3})
    world.reserve(more, "r9")
    world.pay(more, "CAPTURED")


@doctored("never-oversold")
def an_oversell_that_only_clients_saw(world: World) -> None:
    for number in range(3):
        order_id = f"ghost-{number}"
        order = world.check_out(order_id, {"tea": 1})
        world.pay(order, "CAPTURED")
        del world.state.orders[order_id], world.state.payments[f"{order_id}.p1"]


@doctored("never-oversold")
def an_oversell_that_only_the_gateway_saw(world: World) -> None:
    assert world.state.takings is not None
    world.check_out("robbed", {"tea": 3})
    world.state.takings.append(Taking("op", "robbed", "robbed.p1", 300))


@doctored("stock-sums")
def a_total_that_is_no_sum(world: World) -> None:
    world.state.stocks["tea"].total += 1


@doctored("stock-sums")
def a_negative_number(world: World) -> None:
    stock = world.state.stocks["pot"]
    stock.available, stock.total = -1, stock.allocated - 1


@doctored("log-gapless")
def a_gap_in_the_log(world: World) -> None:
    entries = world.state.log["tea"]
    for entry in entries[2:]:
        entry.version += 1


@doctored("log-gapless")
def a_lost_entry(world: World) -> None:
    del world.state.log["tea"][1]  # type: ignore[attr-defined]


@doctored("log-gapless")
def two_entries_of_one_version(world: World) -> None:
    world.state.log["tea"][2].version = 2


@doctored("log-replays")
def a_lost_update(world: World) -> None:
    entry = world.state.log["tea"][-1]
    entry.available_after += 1
    entry.allocated_after -= 1


@doctored("log-replays")
def a_level_that_left_its_log(world: World) -> None:
    stock = world.state.stocks["tea"]
    stock.available += 1
    stock.total += 1


@doctored("log-replays")
def an_entry_below_zero(world: World) -> None:
    world.log("tea", Action.STOCK_ACTION_DECREMENT, 9, available=-9)


@doctored("log-replays")
def units_by_hand_that_nobody_allocated(world: World) -> None:
    world.state.log["tea"][-1].hand_allocated_after = 1


@doctored("log-replays")
def an_unknown_action(world: World) -> None:
    world.state.log["tea"][1].action = 99  # type: ignore[assignment]


@doctored("allocation-explained")
def units_allocated_for_nobody(world: World) -> None:
    world.log("pot", Action.STOCK_ACTION_RESERVE, 1, available=-1, allocated=1, reservation_id="r8")


@doctored("holds-match-log")
def an_order_that_holds_what_the_log_does_not_know(world: World) -> None:
    world.state.orders["late"].lines[0].open = 1


@doctored("holds-match-log")
def units_given_back_twice(world: World) -> None:
    order = world.state.orders["declined"]
    order.lines[0].open = 1
    world.release(order, "r3")


@doctored("one-live-reservation")
def two_live_reservations(world: World) -> None:
    world.log(
        "pot",
        Action.STOCK_ACTION_RESERVE,
        1,
        available=-1,
        allocated=1,
        reservation_id="r7",
        order_id="paid",
    )


@doctored("no-leaked-allocation")
def a_leaked_allocation(world: World) -> None:
    order = world.state.orders["declined"]
    world.reserve(order, "r6")


@doctored("no-leaked-allocation")
def a_cancelled_order_that_holds(world: World) -> None:
    world.reserve(world.state.orders["cancelled"], "r6")


@doctored("paid-units-kept")
def a_release_of_paid_units(world: World) -> None:
    world.release(world.state.orders["paid"], "r1")


@doctored("paid-units-kept")
def a_release_after_the_second_part_was_declined(world: World) -> None:
    world.release(world.state.orders["split"], "r2")


@doctored("paid-units-kept")
def a_release_in_flight(world: World) -> None:
    world.release(world.state.orders["flying"], "r4")


@doctored("order-amounts")
def a_total_that_is_not_its_lines(world: World) -> None:
    order = world.state.orders["late"]
    order.total_minor += 1
    order.balance_minor += 1


@doctored("order-amounts")
def a_capture_that_no_payment_made(world: World) -> None:
    world.state.orders["late"].captured_minor = 10


@doctored("order-amounts")
def a_balance_that_forgot_a_payment(world: World) -> None:
    world.state.orders["flying"].balance_minor = 100


@doctored("no-double-payment")
def a_double_payment(world: World) -> None:
    order = world.state.orders["paid"]
    world.pay(order, "CAPTURED", order.total_minor, part=2)


@doctored("no-double-payment")
def money_taken_twice_for_one_operation(world: World) -> None:
    assert world.state.takings is not None
    world.state.takings.append(world.state.takings[0])


@doctored("no-double-payment")
def two_payments_of_one_operation(world: World) -> None:
    world.state.payments["split.p1"].operation_id = "op-paid.p1"


@doctored("gateway-agrees")
def money_taken_for_a_declined_payment(world: World) -> None:
    assert world.state.takings is not None
    world.state.takings.append(Taking("op", "declined", "declined.p1", 100))


@doctored("gateway-agrees")
def a_capture_that_the_gateway_does_not_know(world: World) -> None:
    assert world.state.takings is not None
    world.state.takings.pop(0)


@doctored("gateway-agrees")
def money_taken_for_no_payment_at_all(world: World) -> None:
    assert world.state.takings is not None
    world.state.takings.append(Taking("op", "late", "late.p1", 100))


@doctored("gateway-agrees")
def a_refund_that_the_gateway_does_not_know(world: World) -> None:
    give_back(world, "paid.p1", 1)


@doctored("payments-belong")
def an_order_that_forgot_its_payment(world: World) -> None:
    del world.state.orders["paid"].payment_ids[:]


@doctored("payments-belong")
def an_order_that_calls_itself_paid(world: World) -> None:
    world.state.orders["late"].payment_state = v1.OrderPaymentState.ORDER_PAYMENT_STATE_PAID


@doctored("acknowledged-found")
def a_lost_payment(world: World) -> None:
    del world.state.payments["paid.p1"]


@doctored("acknowledged-found")
def a_payment_that_was_undone(world: World) -> None:
    world.state.payments["paid.p1"].state = v1.PaymentState.PAYMENT_STATE_DECLINED


@doctored("acknowledged-found")
def a_lost_order(world: World) -> None:
    del world.state.orders["late"]


@doctored("acknowledged-found")
def an_order_of_something_else(world: World) -> None:
    world.state.orders["late"].lines[0].product_id = "pot"


@doctored("acknowledged-found")
def a_lost_cart(world: World) -> None:
    del world.state.carts["late"]


@doctored("acknowledged-found")
def a_cart_that_lost_its_items(world: World) -> None:
    del world.state.carts["late"].items[:]


@doctored("acknowledged-found")
def a_lost_stock(world: World) -> None:
    world.see(Step.CREATE_STOCK, units={"cup": 3})


@doctored("refused-without-trace")
def a_refused_payment_that_is_there(world: World) -> None:
    world.state.payments["late.p1"] = v1.Payment(
        payment_id="late.p1", order_id="late", state=v1.PaymentState.PAYMENT_STATE_DECLINED
    )


@doctored("refused-without-trace")
def a_refused_checkout_that_made_an_order(world: World) -> None:
    world.check_out("sly", {"tea": 9})
    world.history[-1] = replace(world.history[-1], outcome=Outcome.REFUSED, reason="INSUFFICIENT_STOCK")


@doctored("refused-without-trace")
def a_refused_cart_that_is_there(world: World) -> None:
    world.see(Step.CREATE_CART, Outcome.REFUSED, reason="ID_REUSED", cart_id="sly")
    world.state.carts["sly"] = v1.Cart(cart_id="sly")


@doctored("refused-without-trace")
def refused_items_that_are_in_the_cart(world: World) -> None:
    item = v1.CartItem(product_id="tea", quantity=9)
    world.see(Step.CREATE_CART, cart_id="sly")
    world.see(Step.ADD_ITEMS, Outcome.REFUSED, reason="INSUFFICIENT_STOCK", cart_id="sly", units={"tea": 9})
    world.state.carts["sly"] = v1.Cart(cart_id="sly", items=[item])


@doctored("feeds-agree")
def a_watch_that_missed_a_change(world: World) -> None:
    brought = {product_id: list(entries) for product_id, entries in world.state.log.items()}
    del brought["tea"][1]
    world.state = replace(world.state, feeds=[brought])


@doctored("effects-once")
def a_change_that_was_made_twice(world: World) -> None:
    world.see(Step.CHANGE, call_id="c", action="INCREMENT", units={"tea": 1})
    for _ in range(2):
        world.log("tea", Action.STOCK_ACTION_INCREMENT, 1, available=1, reference="c")


@doctored("no-false-refusal")
def a_refusal_with_a_full_house(world: World) -> None:
    world.refuse_payment(world.check_out("unlucky", {"pot": 1}))


@pytest.mark.parametrize("name", DOCTORED)
def test_what_is_broken_is_found(name: str) -> None:
    """Each doctored race breaks the law that it was doctored against."""
    change, law = DOCTORED[name]
    world = sound_world()
    change(world)
    assert world.broken_laws()[law] > 0, world.broken_laws()


def test_every_law_is_shown_to_fail() -> None:
    """No law is there that nothing was shown to break."""
    assert {law for _, law in DOCTORED.values()} == set(LAWS)


def test_an_unknown_outcome_may_be_either() -> None:
    """A call whose answer was lost, and that happened or didn't, breaks no law either way."""
    for happened in (True, False):
        world = sound_world()
        order = world.check_out("lost", {"pot": 1})
        if happened:
            world.reserve(order, "r6")
            world.pay(order, "CAPTURED")
            world.history.pop()
        world.see(
            Step.PAY,
            Outcome.UNKNOWN,
            reason="DEADLINE_EXCEEDED",
            cart_id="lost",
            order_id="lost",
            payment_id="lost.p1",
            amount_minor=100,
        )
        assert judge(world.history, world.state) == []


def give_back(world: World, payment_id: str, amount_minor: int) -> None:
    """Refund a part of a captured payment, as the server tells it."""
    payment = world.state.payments[payment_id]
    payment.state = v1.PaymentState.PAYMENT_STATE_PARTIALLY_REFUNDED
    payment.refunded_minor = amount_minor
    order = world.state.orders[payment.order_id]
    order.refunded_minor = amount_minor
    order.payment_state = v1.OrderPaymentState.ORDER_PAYMENT_STATE_PARTIALLY_REFUNDED


def test_a_refund_that_the_gateway_knows() -> None:
    """Money given back stands in both books; the units are still the customer's."""
    world = sound_world()
    give_back(world, "paid.p1", 1)
    assert world.state.takings is not None
    world.state.takings.append(Taking("op-back", "paid", "paid.p1", -1))
    # A cart of the race is paid or not: that one was acknowledged as captured is another law's matter.
    assert {violation.law for violation in judge(world.history, world.state)} == {"acknowledged-found"}


def test_shipped_units_are_kept_units() -> None:
    """A paid order that was shipped holds nothing and lacks nothing."""
    world = sound_world()
    order = world.state.orders["paid"]
    for line in order.lines:
        q = line.quantity
        world.log(
            line.product_id,
            Action.STOCK_ACTION_FULFILL,
            q,
            allocated=-q,
            reservation_id="r1",
            order_id="paid",
        )
        line.open, line.fulfilled = 0, q
    order.state = v1.OrderState.ORDER_STATE_COMPLETE
    assert judge(world.history, world.state) == []


def hand_actions() -> Iterator[tuple[int, int, int, int, int]]:
    """(action, quantity, available, allocated, by hand) in an order that works on 10 units."""
    yield Action.STOCK_ACTION_INCREMENT, 5, 15, 0, 0
    yield Action.STOCK_ACTION_DECREMENT, 3, 12, 0, 0
    yield Action.STOCK_ACTION_ALLOCATE, 4, 8, 4, 4
    yield Action.STOCK_ACTION_DEALLOCATE, 1, 9, 3, 3
    yield Action.STOCK_ACTION_SET, 7, 4, 3, 3
    yield Action.STOCK_ACTION_RESERVE, 2, 2, 5, 3
    yield Action.STOCK_ACTION_EXPIRE, 2, 4, 3, 3


def test_every_action_replays() -> None:
    """Actions by hand and expiry replay as the product's table of actions has them."""
    world = World()
    world.stock("tea", 10)
    for action, quantity, available, allocated, hand in hand_actions():
        stock = world.state.stocks["tea"]
        world.log("tea", action, quantity, available - stock.available, allocated - stock.allocated)
        world.state.log["tea"][-1].hand_allocated_after = hand
    assert judge(world.history, world.state) == []


def test_units_between_locations_add_up() -> None:
    """Each location's log replays by itself, the sums are the stock's; a unit made on the way is found."""
    world = World()
    world.stock("tea", 10)
    out = v1.StockTransaction(
        product_id="tea", location="default", version=2, quantity=4, available_after=6,
        action=Action.STOCK_ACTION_TRANSFER_OUT,
    )  # fmt: skip
    into = v1.StockTransaction(
        product_id="tea", location="north", version=1, quantity=4, available_after=4,
        action=Action.STOCK_ACTION_TRANSFER_IN,
    )  # fmt: skip
    world.state.log["tea"] += [out, into]  # type: ignore[operator]
    assert judge(world.history, world.state) == []
    into.available_after = 5
    assert {violation.law for violation in judge(world.history, world.state)} == {"log-replays"}
