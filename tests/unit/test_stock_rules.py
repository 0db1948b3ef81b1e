"""The table "Actions on a level": what each action needs, what it does, and where it ends."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_server.domain import stock
from inventory_server.domain.commands import CreateStock, CreateStockTransaction
from inventory_server.domain.errors import (
    HandAllocationTooSmall,
    InsufficientStock,
    InvalidValue,
    LocationNotFound,
    QuantityOverflow,
    Shortage,
    StockExists,
    StockNotFound,
    TotalBelowAllocated,
)
from inventory_server.domain.limits import QUANTITY_MAX
from inventory_server.domain.reservation import Line
from inventory_server.domain.stock import Action, BelowAllocated, NotEnough, StockLevel
from support.world import World

Rule = Callable[[StockLevel, int], StockLevel]
ByHand = CreateStock | CreateStockTransaction

SHORT = Shortage("a", "default", requested=8, available=7, managed=True)
# 7 available; 5 allocated, of which 2 by hand and 3 held by reservations.
LEVEL = StockLevel(available=7, allocated=5, hand_allocated=2, version=9)


@pytest.mark.parametrize(
    ("rule", "quantity", "after"),
    [
        (stock.increment, 1, StockLevel(8, 5, 2, 10)),
        (stock.increment, QUANTITY_MAX - 12, StockLevel(QUANTITY_MAX - 5, 5, 2, 10)),
        (stock.decrement, 1, StockLevel(6, 5, 2, 10)),
        (stock.decrement, 7, StockLevel(0, 5, 2, 10)),
        (stock.allocate, 1, StockLevel(6, 6, 3, 10)),
        (stock.allocate, 7, StockLevel(0, 12, 9, 10)),
        (stock.deallocate, 1, StockLevel(8, 4, 1, 10)),
        (stock.deallocate, 2, StockLevel(9, 3, 0, 10)),
        (stock.set_total, 5, StockLevel(0, 5, 2, 10)),
        (stock.set_total, 12, StockLevel(7, 5, 2, 10)),
        (stock.set_total, QUANTITY_MAX, StockLevel(QUANTITY_MAX - 5, 5, 2, 10)),
        (stock.reserve, 1, StockLevel(6, 6, 2, 10)),
        (stock.reserve, 7, StockLevel(0, 12, 2, 10)),
        (stock.release, 1, StockLevel(8, 4, 2, 10)),
        (stock.release, 3, StockLevel(10, 2, 2, 10)),
        (stock.fulfill, 1, StockLevel(7, 4, 2, 10)),
        (stock.fulfill, 3, StockLevel(7, 2, 2, 10)),
        (
            lambda level, _: stock.write_off(level._replace(allocated=0, hand_allocated=0)),
            0,
            StockLevel(0, 0, 0, 10),
        ),
    ],
)
def test_each_action_up_to_its_boundary(rule: Rule, quantity: int, after: StockLevel) -> None:
    """An action that has what it needs, to the last unit, changes exactly its columns and the version."""
    assert rule(LEVEL, quantity) == after


@pytest.mark.parametrize(
    ("rule", "quantity", "refusal"),
    [
        (stock.increment, QUANTITY_MAX - 11, QuantityOverflow),
        (stock.decrement, 8, NotEnough),
        (stock.allocate, 8, NotEnough),
        (stock.deallocate, 3, HandAllocationTooSmall),
        (stock.set_total, 4, BelowAllocated),
        (stock.reserve, 8, NotEnough),
        (stock.release, 4, AssertionError),
        (stock.fulfill, 4, AssertionError),
    ],
)
def test_each_action_one_past_its_boundary(rule: Rule, quantity: int, refusal: type[Exception]) -> None:
    """One unit more than an action has is refused; what reservations hold is out of reach by hand."""
    with pytest.raises(refusal):
        rule(LEVEL, quantity)


@given(
    level=st.builds(
        lambda available, by_hand, held: StockLevel(available, by_hand + held, by_hand, 1),
        *[st.integers(0, 30)] * 3,
    ),
    rule=st.sampled_from(
        [
            stock.increment,
            stock.decrement,
            stock.allocate,
            stock.deallocate,
            stock.set_total,
            stock.reserve,
            stock.release,
            stock.fulfill,
        ]
    ),
    quantity=st.integers(1, 60),
)
def test_no_action_makes_a_negative_number(level: StockLevel, rule: Rule, quantity: int) -> None:
    """Whatever an action is asked for: it refuses, or every number stays at or above its floor."""
    try:
        after = rule(level, quantity)
    except (NotEnough, HandAllocationTooSmall, BelowAllocated, AssertionError):
        return
    assert after.available >= 0 and 0 <= after.hand_allocated <= after.allocated
    assert after.version == level.version + 1


def by_hand(action: Action, quantity: int, product_id: str = "a") -> CreateStockTransaction:
    return CreateStockTransaction(product_id, action, quantity, reason="count", reference="#7")


@pytest.fixture
def world() -> World:
    """7 available, 2 allocated by hand, 3 held by a reservation."""
    made = World()
    made.stock("a", 12)
    made.do(by_hand(Action.ALLOCATE, 2))
    made.hold("r", stock_line(3))
    assert made.level("a") == StockLevel(7, 5, 2, 3)
    return made


def stock_line(quantity: int) -> Line:
    return Line("a", quantity)


@pytest.mark.parametrize(
    ("action", "quantity", "available", "allocated"),
    [
        (Action.INCREMENT, 4, 11, 5),
        (Action.DECREMENT, 7, 0, 5),
        (Action.ALLOCATE, 7, 0, 12),
        (Action.DEALLOCATE, 2, 9, 3),
        (Action.SET, 5, 0, 5),
        (Action.SET, 12, 7, 5),
    ],
)
def test_an_action_by_hand_is_one_log_entry(
    world: World, action: Action, quantity: int, available: int, allocated: int
) -> None:
    """An action by hand answers with its log entry: what it was, why, and the level after it.

    A SET that changes nothing is an entry too.
    """
    entry = world.do(by_hand(action, quantity)).entry
    assert (entry.action, entry.quantity, entry.reason, entry.reference) == (action, quantity, "count", "#7")
    assert (entry.level.available, entry.level.allocated) == (available, allocated)
    assert (entry.level.version, entry.reservation_id, entry.order_id) == (4, None, None)
    assert world.log[-1] == entry and world.level("a") == entry.level
    world.check()


@pytest.mark.parametrize(
    ("command", "refusal", "said"),
    [
        (
            by_hand(Action.DECREMENT, 8),
            InsufficientStock,
            {"shortages": (Shortage("a", "default", 8, 7, True),)},
        ),
        (
            by_hand(Action.ALLOCATE, 8),
            InsufficientStock,
            {"shortages": (Shortage("a", "default", 8, 7, True),)},
        ),
        (by_hand(Action.DEALLOCATE, 3), HandAllocationTooSmall, {"requested": 3, "hand_allocated": 2}),
        (by_hand(Action.SET, 4), TotalBelowAllocated, {"product_id": "a", "total": 4, "allocated": 5}),
        (by_hand(Action.INCREMENT, QUANTITY_MAX - 11), QuantityOverflow, {"limit": QUANTITY_MAX}),
        (by_hand(Action.INCREMENT, 0), InvalidValue, {"field": "quantity"}),
        (by_hand(Action.DECREMENT, 1, "b"), StockNotFound, {"key": "b"}),
        (CreateStockTransaction("a", Action.SET, 9, "attic"), LocationNotFound, {"key": "attic"}),
        (CreateStock("a", 1), StockExists, {"product_id": "a"}),
        (CreateStock("b", 1, "attic"), LocationNotFound, {"key": "attic"}),
        (CreateStock("b", QUANTITY_MAX + 1), QuantityOverflow, {"limit": QUANTITY_MAX}),
    ],
)
def test_a_refused_action_says_its_numbers_and_changes_nothing(
    world: World,
    command: CreateStock | CreateStockTransaction,
    refusal: type[Exception],
    said: dict[str, object],
) -> None:
    """A refusal carries the numbers it was decided on, and leaves neither a level nor an entry."""
    before = world.snapshot()
    with pytest.raises(refusal) as caught:
        world.do(command)
    assert {name: getattr(caught.value, name) for name in said} == said
    assert world.snapshot() == before


@pytest.mark.parametrize("quantity", [0, 1, QUANTITY_MAX])
def test_create_opens_a_level_with_its_first_entry(quantity: int) -> None:
    """CREATE makes the record, one level of that total, and entry number 1."""
    world = World()
    view = world.do(CreateStock("a", quantity))
    assert (view.available, view.allocated, view.total) == (quantity, 0, quantity)
    assert [(e.action, e.level) for e in world.log] == [(Action.CREATE, StockLevel(quantity, 0, 0, 1))]
    world.check()


def test_set_takes_zero() -> None:
    """SET alone takes 0: nothing is in the house."""
    world = World()
    world.stock("a", 3)
    assert world.do(CreateStockTransaction("a", Action.SET, 0)).entry.level == StockLevel(0, 0, 0, 2)
