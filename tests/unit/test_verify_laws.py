"""Laws by the verification's own reckoning: where the money of a payment is, what a level may keep."""

from __future__ import annotations

import pytest

from inventory_server.domain.limits import QUANTITY_MAX
from inventory_server.verify.laws_orders import Money, Operation, Payment, money_of
from inventory_server.verify.laws_stock import TOTAL_MAX, Level, Numbers, level_laws

AUTHORIZED = ("AUTHORIZE", "ACCEPTED", 9, False)


@pytest.mark.parametrize(
    ("operations", "money"),
    [
        ([], Money(0, 0, 0, 0, True)),
        ([("PURCHASE", "PROCESSING", 9, False)], Money(9, 0, 0, 0, True)),
        ([("PURCHASE", "ACCEPTED", 9, False)], Money(0, 0, 9, 0, True)),
        ([("PURCHASE", "DECLINED", 9, False)], Money(0, 0, 0, 0, False)),
        ([("PURCHASE", "REQUIRES_ACTION", 9, False)], Money(0, 0, 0, 0, False)),
        (
            [("PURCHASE", "REQUIRES_ACTION", 9, False), ("CONFIRM", "ACCEPTED", 9, False)],
            Money(0, 0, 9, 0, True),
        ),
        ([AUTHORIZED], Money(0, 9, 0, 0, True)),
        ([AUTHORIZED, ("CAPTURE", "ACCEPTED", 4, False)], Money(0, 0, 4, 0, True)),
        ([AUTHORIZED, ("CAPTURE", "DECLINED", 9, True)], Money(0, 0, 0, 0, True)),
        ([AUTHORIZED, ("VOID", "ACCEPTED", 9, False)], Money(0, 0, 0, 0, False)),
        ([AUTHORIZED, ("VOID", "DECLINED", 9, False)], Money(0, 9, 0, 0, True)),
        ([AUTHORIZED, ("VOID", "DECLINED", 9, True)], Money(0, 0, 0, 0, False)),
        (
            [
                ("PURCHASE", "ACCEPTED", 9, False),
                ("REFUND", "ACCEPTED", 4, False),
                ("REFUND", "PROCESSING", 2, False),
            ],
            Money(0, 0, 9, 6, True),
        ),
    ],
)
def test_where_the_money_is(operations: list[tuple[str, str, int, bool]], money: Money) -> None:
    """Each operation's word moves the amount; a lapsed authorization counts until it is called off."""
    payment = Payment("p", 9, [Operation(*operation, undoes=False) for operation in operations])
    assert money_of(payment) == money


def test_what_is_undone_by_itself_is_no_refund_of_the_callers() -> None:
    """A refund that the service began, of what came too late, is left out."""
    operations = [
        Operation("PURCHASE", "FAILED", 9, False, undoes=False),
        Operation("REFUND", "ACCEPTED", 9, False, undoes=True),
    ]
    assert money_of(Payment("p", 9, operations)) == Money(0, 0, 0, 0, counts=False)


@pytest.mark.parametrize(("more", "broken"), [(0, []), (1, ["level-floors"])])
def test_as_much_as_a_level_keeps(more: int, broken: list[str]) -> None:
    """A level keeps 2^43-1 units, allocated ones included; a unit more breaks its law."""
    assert TOTAL_MAX == QUANTITY_MAX
    level = Level("a", "default", Numbers(TOTAL_MAX - 2 + more, 2, 2), 1, is_managed=True)
    assert [violation.law for violation in level_laws(level, held=0)] == broken
