"""Rows found by order or by refund: as the command at hand sees them, without a look at all the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from inventory_server.domain.order import CartItem, Shipment, UnitSums
from inventory_server.domain.order_commands import ShipOrder
from inventory_server.domain.payment import OperationKind, OperationState, Payment, PaymentSums
from inventory_server.domain.payment_commands import SettlePayment
from inventory_server.domain.reservation import LineUnits
from inventory_server.domain.state import State
from inventory_server.domain.tables import OrderParts, Table
from support.world import World, begin, further

REFUND = OperationKind.REFUND


@pytest.fixture
def world() -> World:
    """10 of `a`; orders `o` and `x` of 1 that cost 100, each half paid by `p` and by `y`."""
    made = World()
    made.stock("a", 10)
    for order_id, payment_id in (("o", "p"), ("x", "y")):
        made.order(order_id, CartItem("a", 1, 100, None))
        made.pay(order_id, payment_id, 50)
    return made


def test_rows_that_are_new_and_rows_that_changed() -> None:
    """Each is told apart, what is as the database has it and what is gone is neither."""
    table: Table[str, int] = Table()
    for key, row in (("kept", 1), ("changed", 1), ("gone", 1)):
        table.load(key, row)
    for key, row in (("new", 3), ("kept", 2), ("changed", 2), ("passing", 4)):
        table.put(key, row)
    table.keep()
    table.put("kept", 1)
    for key in ("gone", "passing"):
        table.delete(key)
    table.keep()
    assert (table.inserted(), table.updated(), table.deleted()) == ([("new", 3)], [("changed", 2)], ["gone"])
    assert table.written() == [*table.inserted(), *table.updated()]


def paid_by(state: State, order_id: str) -> list[str]:
    return [payment.payment_id for payment in state.payments.of_order(order_id)]


def test_an_orders_own_payments(world: World) -> None:
    """Those loaded and those made, of this order alone, each once however often it is changed."""
    state = world.state()
    (loaded,) = state.payments.of_order("o")
    state.payments.put("q", replace(loaded, payment_id="q"))
    state.payments.put("p", replace(loaded, payment_method="cash"))
    assert [p.payment_method for p in state.payments.of_order("o")] == ["cash", "card"]
    state.keep()
    state.payments.put("q", replace(loaded, payment_id="q"))
    assert (paid_by(state, "o"), paid_by(state, "x"), paid_by(state, "?")) == (["p", "q"], ["y"], [])


def test_what_a_refused_command_drafted_is_nobodys(world: World) -> None:
    """A payment or a refund that was drafted and dropped is not found, and may be made after all."""
    state = world.state()
    (loaded,) = state.payments.of_order("o")
    assert loaded.first is not None
    refund = replace(loaded.first, operation_id="f", kind=REFUND, refund_id="f")
    refunded = replace(loaded, operations=(loaded.first, refund))
    for _ in range(2):
        state.payments.put("q", replace(loaded, payment_id="q"))
        state.payments.put("p", refunded)
        assert paid_by(state, "o") == ["p", "q"] and state.payments.of_refund("f") == refunded
        state.drop()
        assert paid_by(state, "o") == ["p"] and state.payments.of_refund("f") is None
    state.payments.put("p", refunded)
    state.keep()
    assert state.payments.of_refund("f") == refunded


def test_no_command_looks_at_every_payment(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch of many commands would cost the square of them."""

    def all_rows(_table: OrderParts[Any, Any]) -> None:
        raise AssertionError("looked at every row of the batch")

    monkeypatch.setattr(OrderParts, "items", all_rows, raising=False)
    verdicts = world.batch(
        begin("o", "q", 50),
        SettlePayment("o", "q", "op of q", OperationState.ACCEPTED),
        ShipOrder("o", "s"),
        further(REFUND, "o", "p", "f", 10),
        further(REFUND, "o", "p", "f", 10),
        further(REFUND, "x", "y", "g", 10),
    )
    assert not any(isinstance(verdict, Exception) for verdict in verdicts)


def money(state: State, order_id: str) -> PaymentSums:
    """Add up an order's payments, one by one."""
    of_order = state.payments.of_order(order_id)
    return PaymentSums(
        captured_minor=sum(p.captured_minor for p in of_order),
        refunded_minor=sum(p.refunded_minor for p in of_order),
        authorized_minor=sum(p.authorized_minor for p in of_order),
        in_flight_minor=sum(p.in_flight_minor for p in of_order),
        payment_count=len(of_order),
        in_flight_count=sum(p.in_flight is not None for p in of_order),
        counting_count=sum(p.counts for p in of_order),
        definite_count=sum(p.is_definite for p in of_order),
    )


def test_the_sums_are_what_the_command_at_hand_sees(world: World) -> None:
    """Loaded, drafted, dropped, kept and changed again: at each moment as if all were added up anew."""
    state = world.state()
    (loaded,) = state.payments.of_order("o")
    assert loaded.first is not None
    begun = replace(loaded.first, state=OperationState.PROCESSING)
    other = replace(loaded, payment_id="q", operations=(begun,))

    def put(payment: Payment) -> None:
        state.payments.put(payment.payment_id, payment)

    def load() -> None:
        state.payments.load("r", replace(loaded, payment_id="r"))

    refund = replace(begun, operation_id="f", kind=REFUND, refund_id="f")
    steps = [
        lambda: None, lambda: put(other), state.drop, lambda: put(other), lambda: put(replace(other)),
        state.keep, lambda: put(replace(loaded, operations=(loaded.first, refund))), state.drop,
        lambda: put(replace(other, operations=(loaded.first,))),
        lambda: put(replace(loaded, operations=(begun,))),
        state.keep, load, lambda: put(loaded), state.keep,
    ]  # fmt: skip
    seen = []
    for step in steps:
        step()
        assert state.payments.sums_of("o") == money(state, "o")
        assert state.payments.sums_of("x") == money(state, "x")
        seen.append(state.payments.sums_of("o"))
    assert len(set(seen)) > 4 and seen[0][:5] == (50, 0, 0, 0, 1)


def test_the_units_moved_of_an_order(world: World) -> None:
    """What shipments moved is added up by line; one that was drafted and dropped moved nothing."""
    state = world.state()
    for shipment_id, quantity in (("s", 2), ("t", 3)):
        for end in (state.drop, state.keep):
            moved = Shipment(shipment_id, "o", (LineUnits(1, quantity), LineUnits(2, 1)), b"", world.now)
            state.shipments.put(shipment_id, moved)
            end()
    assert state.shipments.sums_of("o") == UnitSums(2, 4, {1: 5, 2: 2})
    assert state.shipments.sums_of("x") == UnitSums()


def test_a_decision_costs_the_same_however_many_payments_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch on one order adds its payments up once, and then follows what each command changes."""
    changes = []
    changed = PaymentSums.changed

    def counted(sums: PaymentSums, before: Payment | None, after: Payment | None) -> PaymentSums:
        changes.append(after)
        return changed(sums, before, after)

    monkeypatch.setattr(PaymentSums, "changed", counted)
    by_size = []
    for size in (50, 100):
        many = World()
        many.stock("a", 1)
        many.order("o", CartItem("a", 1, size, None))
        changes.clear()
        verdicts = many.batch(*(begin("o", f"p{number}", 1) for number in range(size)))
        assert not any(isinstance(verdict, Exception) for verdict in verdicts)
        by_size.append(len(changes))
    assert by_size[1] == 2 * by_size[0]
