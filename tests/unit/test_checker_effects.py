"""The judge of a soak's calls: what the race has none of, each sound and each broken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from inventory_client import v1
from inventory_loadtest.history import Outcome, Step
from support.sound_race import Action, World, sound_world

ORDER = "paid"


def soaked_world() -> World:
    """The sound race, and beside it every kind of call that a soak makes, all of them lawful."""
    world = sound_world()
    order = world.state.orders[ORDER]
    world.see(Step.SHIP, order_id=ORDER, call_id="ship")
    order.shipments.add(shipment_id="ship", order_id=ORDER)
    for line in order.lines:
        world.log(
            line.product_id, Action.STOCK_ACTION_FULFILL, line.open, allocated=-line.open,
            reservation_id="r1", order_id=ORDER,
        )  # fmt: skip
        line.fulfilled, line.open = line.quantity, 0
    world.see(Step.RETURN, order_id=ORDER, call_id="back")
    order.returns.add(return_id="back", order_id=ORDER)
    world.see(Step.REFUND, order_id=ORDER, payment_id="paid.p1", call_id="refund", state="PARTIALLY_REFUNDED")
    world.state.payments["paid.p1"].operations.add(refund_id="refund")
    world.see(Step.CANCEL, order_id="cancelled")
    world.see(Step.CHANGE, call_id="change", action="INCREMENT", location="default", units={"tea": 4})
    world.log("tea", Action.STOCK_ACTION_INCREMENT, 4, available=4, reference="change")
    reserve(world, "held", 2)
    world.see(Step.EXPORT, units={"tea default": 5, "pot default": 4})
    world.see(Step.IMPORT, call_id="import", units={"pot": 9, "tea": 0})
    allocated = world.state.stocks["pot"].allocated
    available = world.state.stocks["pot"].available
    world.log("pot", Action.STOCK_ACTION_SET, 9, available=9 - allocated - available, reference="import")
    world.state.imports["import"] = v1.StockImport(
        state=v1.ImportState.IMPORT_STATE_SUCCEEDED, row_count=2, applied_count=1, failed_count=1
    )
    return world


def reserve(world: World, reservation_id: str, units: int) -> None:
    world.see(Step.RESERVE, call_id=reservation_id, units={"tea": units})
    world.log(
        "tea", Action.STOCK_ACTION_RESERVE, units, available=-units, allocated=units,
        reservation_id=reservation_id,
    )  # fmt: skip
    world.state.reservations[reservation_id] = v1.Reservation(
        reservation_id=reservation_id,
        state=v1.ReservationState.RESERVATION_STATE_HELD,
        lines=[v1.ReservationLine(product_id="tea", reserved=units, open=units)],
    )


def broken(change: Callable[[World], object]) -> dict[str, int]:
    world = soaked_world()
    world.state.payments["paid.p1"].state = v1.PaymentState.PAYMENT_STATE_PARTIALLY_REFUNDED
    before = world.broken_laws()
    change(world)
    return dict(world.broken_laws() - before)


def refuse(step: Step, **values: object) -> Callable[[World], object]:
    return lambda world: world.see(step, Outcome.REFUSED, reason="NO", **values)


def forget_reservation(world: World) -> None:
    del world.state.reservations["held"]


def forget_shipment(world: World) -> None:
    del world.state.orders[ORDER].shipments[:]


def forget_return(world: World) -> None:
    del world.state.orders[ORDER].returns[:]


def forget_refund(world: World) -> None:
    del world.state.payments["paid.p1"].operations[:]


def forget_change(world: World) -> None:
    world.see(Step.CHANGE, call_id="more", action="DECREMENT", units={"tea": 1})


def undo_cancellation(world: World) -> None:
    world.state.orders["cancelled"].state = v1.OrderState.ORDER_STATE_INCOMPLETE


def fail_import(world: World) -> None:
    world.state.imports["import"].state = v1.ImportState.IMPORT_STATE_FAILED


def lose_row(world: World) -> None:
    world.state.imports["import"].applied_count = 2


def export_what_never_was(world: World) -> None:
    world.see(Step.EXPORT, units={"tea default": 77})


def end_otherwise(world: World) -> None:
    world.see(Step.FULFILL, call_id="held")


def give_away_and_forget(world: World) -> None:
    world.see(Step.CANCEL, order_id="cancelled", call_id="late")


def refuse_with_enough(world: World) -> None:
    world.see(Step.RESERVE, Outcome.REFUSED, reason="INSUFFICIENT_STOCK", call_id="x", units={"pot": 1})


@pytest.mark.parametrize(
    ("change", "law"),
    [
        (forget_reservation, "acknowledged-found"),
        (forget_shipment, "acknowledged-found"),
        (forget_return, "acknowledged-found"),
        (forget_refund, "acknowledged-found"),
        (forget_change, "effects-once"),
        (undo_cancellation, "acknowledged-found"),
        (fail_import, "acknowledged-found"),
        (lose_row, "effects-once"),
        (export_what_never_was, "acknowledged-found"),
        (end_otherwise, "acknowledged-found"),
        (give_away_and_forget, "acknowledged-found"),
        (refuse_with_enough, "no-false-refusal"),
        (refuse(Step.RESERVE, call_id="held"), "refused-without-trace"),
        (refuse(Step.SHIP, order_id=ORDER, call_id="ship"), "refused-without-trace"),
        (refuse(Step.RETURN, order_id=ORDER, call_id="back"), "refused-without-trace"),
        (refuse(Step.REFUND, payment_id="paid.p1", call_id="refund"), "refused-without-trace"),
        (refuse(Step.IMPORT, call_id="import"), "refused-without-trace"),
        (refuse(Step.CHANGE, call_id="change", action="INCREMENT", units={"tea": 4}), "effects-once"),
    ],
)
def test_what_is_broken_is_found(change: Callable[[World], object], law: str) -> None:
    """What was acknowledged and is gone, or refused and is there, breaks the law of it."""
    assert broken(change).get(law, 0) > 0


def test_a_sound_soak_breaks_no_law() -> None:
    """Shipped, returned, cancelled, counted, reserved, exported, imported: all of it is lawful."""
    world = soaked_world()
    # The money of the refund is told in full: state, amounts and the gateway's books.
    payment, order = world.state.payments["paid.p1"], world.state.orders[ORDER]
    payment.state = v1.PaymentState.PAYMENT_STATE_PARTIALLY_REFUNDED
    payment.refunded_minor = 1
    order.payment_state = v1.OrderPaymentState.ORDER_PAYMENT_STATE_PARTIALLY_REFUNDED
    assert world.state.takings is not None
    world.state.takings.append(replace(world.state.takings[0], operation_id="op-refund", amount_minor=-1))
    assert world.broken_laws() == {}


@pytest.mark.parametrize("step", [Step.RESERVE, Step.CHANGE, Step.SHIP, Step.IMPORT, Step.CANCEL])
def test_an_unknown_outcome_may_be_either(step: Step) -> None:
    """A call that nobody answered, and that did not happen, breaks no law."""
    change: Callable[[World], object] = lambda world: world.see(  # noqa: E731
        step, Outcome.UNKNOWN, call_id="open", order_id="late", action="SET", units={"tea": 1}
    )
    assert broken(change) == {}


def test_what_a_late_repeat_is_refused_was_there() -> None:
    """A hold that ran out before its call was sent again leaves a trace, and is refused: both are right."""
    ended = replace(
        soaked_world().history[-1], step=Step.RESERVE, outcome=Outcome.REFUSED,
        reason="RESERVATION_NOT_ACTIVE", call_id="held",
    )  # fmt: skip
    assert broken(lambda world: world.history.append(ended)) == {}
