"""Transfers: the rules of units that go from one location to another, and that no sum of them changes."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_server.domain.commands import CreateStockTransaction
from inventory_server.domain.errors import (
    EtagMismatch,
    InsufficientStock,
    LocationNotFound,
    QuantityOverflow,
    Shortage,
    StockNotFound,
)
from inventory_server.domain.limits import QUANTITY_MAX
from inventory_server.domain.location import Location
from inventory_server.domain.location_commands import TransferStock
from inventory_server.domain.reservation import Line
from inventory_server.domain.stock import Action, StockLevel
from support.world import DEFAULT, World

PLACES = ("default", "north", "shut")


@pytest.fixture
def world() -> World:
    """5 units of `a` at `default`, 2 of them held; `north` was never opened, `shut` is disabled."""
    made = World((*DEFAULT, Location("north"), Location("shut", enabled=False)))
    made.stock("a", 5)
    made.hold("r", Line("a", 2))
    return made


def test_units_go_and_two_entries_say_so(world: World) -> None:
    """The source loses what the target gains; a level that is missing is opened; both entries say why."""
    out, into = world.do(TransferStock("a", 3, "default", "north", "room", "#7"))
    assert (out.entry.action, out.entry.level) == (Action.TRANSFER_OUT, StockLevel(0, 2, 0, 3))
    assert (into.entry.action, into.entry.level) == (Action.TRANSFER_IN, StockLevel(3, 0, 0, 1))
    for record in (out, into):
        assert (record.entry.quantity, record.entry.reason, record.entry.reference) == (3, "room", "#7")
    world.check()


def test_what_is_allocated_never_moves(world: World) -> None:
    """Only available units go: one more is short, with the source named."""
    with pytest.raises(InsufficientStock) as caught:
        world.do(TransferStock("a", 4, "default", "north"))
    assert caught.value.shortages == (Shortage("a", "default", 4, 3, managed=True),)
    with pytest.raises(InsufficientStock):
        world.do(TransferStock("a", 1, "north", "default"))


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        (TransferStock("b", 9, "gone", "north", expected_version=9), LocationNotFound),
        (TransferStock("b", 9, "north", "gone", expected_version=9), LocationNotFound),
        (TransferStock("b", 9, "default", "north", expected_version=9), StockNotFound),
        (TransferStock("a", 9, "default", "north", expected_version=9), EtagMismatch),
        (TransferStock("a", 9, "default", "north", expected_version=2), InsufficientStock),
    ],
)
def test_refusals_in_their_order(world: World, command: TransferStock, refusal: type[Exception]) -> None:
    """Location, record, version, units; nothing is written at either end."""
    before = world.snapshot()
    with pytest.raises(refusal):
        world.do(command)
    assert world.snapshot() == before


def test_the_target_holds_no_more_than_a_level_can(world: World) -> None:
    """One unit past the limit of the target's total is refused, and the source keeps it."""
    world.stock("a", QUANTITY_MAX - 3, "north")
    world.do(TransferStock("a", 2, "default", "north"))
    world.do(TransferStock("a", 1, "default", "north"))
    world.do(CreateStockTransaction("a", Action.INCREMENT, 1))
    with pytest.raises(QuantityOverflow):
        world.do(TransferStock("a", 1, "default", "north"))
    assert world.numbers("a") == (1, 2)


def test_a_disabled_location_gives_and_takes(world: World) -> None:
    """It allocates nothing new; a transfer allocates nothing."""
    world.do(TransferStock("a", 3, "default", "shut"))
    world.do(TransferStock("a", 1, "shut", "default"))
    assert world.level("a", "shut") == StockLevel(2, 0, 0, 2)
    world.check()


@given(
    moves=st.lists(
        st.tuples(st.integers(1, 4), st.sampled_from(PLACES), st.sampled_from(PLACES)).filter(
            lambda move: move[1] != move[2]
        ),
        max_size=20,
    )
)
def test_no_transfer_changes_the_sum(moves: list[tuple[int, str, str]]) -> None:
    """Whatever goes where: what there is in all stays, and the log replays."""
    world = World((*DEFAULT, Location("north"), Location("shut", enabled=False)))
    world.stock("a", 5)
    world.batch(*(TransferStock("a", *move) for move in moves))
    assert sum(world.level("a", slug).available for slug in PLACES) == 5
    world.check()
