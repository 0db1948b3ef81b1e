"""Reservations in parts: some units leave the house, the rest later or never, and some of them come back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory_server.domain.commands import (
    ConfirmReservation,
    CreateStockTransaction,
    ExpireReservation,
    FulfillReservation,
    ReleaseReservation,
)
from inventory_server.domain.errors import (
    IdReused,
    LocationNotFound,
    QuantityExceedsHeld,
    QuantityOverflow,
    ReservationExpired,
    ReservationNotActive,
    ReservationNotFound,
    ReservationOwnedByOrder,
    ReturnExceedsShipped,
    StockNotFound,
)
from inventory_server.domain.limits import HOLD_S_MAX, QUANTITY_MAX
from inventory_server.domain.location import Location
from inventory_server.domain.order import CartItem
from inventory_server.domain.reservation import Line, LineUnits, ReservationState, merge_units
from inventory_server.domain.reservation_commands import ReturnReservationItems
from inventory_server.domain.stock import Action
from support.world import World

HELD, COMMITTED, CLOSED, RELEASED, EXPIRED = ReservationState


def held_world(*locations: Location) -> World:
    """4 of 10 `a` (line 1) and 2 of 5 `b` (line 2) held as `r` for a minute."""
    world = World(locations or (Location("default"),))
    world.stock("a", 10)
    world.stock("b", 5)
    world.hold("r", Line("a", 4), Line("b", 2), ttl_s=60)
    return world


def units(**by_line: int) -> tuple[LineUnits, ...]:
    """units(a=2) = 2 units of line 1; `b` is line 2, `z` one that isn't there."""
    numbers = {"a": 1, "b": 2, "z": 9}
    return tuple(LineUnits(numbers[name], quantity) for name, quantity in by_line.items())


def fulfill(world: World, **by_line: int) -> Any:
    return world.do(FulfillReservation("r", units(**by_line)))


def bring_back(world: World, return_id: str = "t", restock: bool = True, **by_line: int) -> Any:
    return world.do(ReturnReservationItems("r", return_id, units(**by_line), restock))


def sums(reservation: Any) -> list[tuple[int, int, int, int]]:
    return [(line.open, line.released, line.fulfilled, line.returned) for line in reservation.lines]


# --- leaving in parts ----------------------------------------------------------------------------


def test_units_leave_in_parts() -> None:
    """Parts of lines leave one after the other; with the last open unit the reservation is CLOSED."""
    world = held_world()
    first = fulfill(world, a=1)
    assert (first.state, sums(first)) == (COMMITTED, [(3, 0, 1, 0), (2, 0, 0, 0)])
    assert world.numbers("a") == (6, 3)
    second = fulfill(world, a=3, b=1)
    assert (second.state, sums(second)) == (COMMITTED, [(0, 0, 4, 0), (1, 0, 1, 0)])
    last = world.do(FulfillReservation("r"))
    assert (last.state, sums(last)) == (CLOSED, [(0, 0, 4, 0), (0, 0, 2, 0)])
    assert [(e.product_id, e.quantity) for e in world.log if e.action is Action.FULFILL] == [
        ("a", 1), ("a", 3), ("b", 1), ("b", 1),
    ]  # fmt: skip
    world.check()


def test_a_hold_of_which_a_part_left_never_expires() -> None:
    """What leaves in part is confirmed by it: no clock gives the rest away."""
    world = held_world()
    assert fulfill(world, a=1).expire_time is None
    world.wait(HOLD_S_MAX)
    assert world.do(ExpireReservation("r")).state is COMMITTED
    assert world.numbers("a") == (6, 3)


@pytest.mark.parametrize(
    ("by_line", "told"),
    [({"a": 5}, (1, 5, 4)), ({"a": 4, "b": 3}, (2, 3, 2)), ({"z": 1}, (9, 1, 0))],
)
def test_no_more_leaves_than_is_open(by_line: dict[str, int], told: tuple[int, int, int]) -> None:
    """One line that asks for more than it holds, or that isn't there, and nothing leaves."""
    world = held_world()
    before = world.snapshot()
    with pytest.raises(QuantityExceedsHeld) as caught:
        fulfill(world, **by_line)
    assert (caught.value.line_number, caught.value.requested, caught.value.open_count) == told
    assert world.snapshot() == before


def test_what_left_is_not_open_any_more() -> None:
    """The bound of a part is what the parts before have left of the line."""
    world = held_world()
    fulfill(world, a=3)
    with pytest.raises(QuantityExceedsHeld):
        fulfill(world, a=2)
    assert sums(fulfill(world, a=1))[0] == (0, 0, 4, 0)


def test_units_named_twice_count_together() -> None:
    """A line that is named twice is asked for the sum."""
    named = merge_units([LineUnits(2, 1), LineUnits(1, 2), LineUnits(2, 1)])
    assert named == (LineUnits(2, 2), LineUnits(1, 2))


def test_the_rest_of_it_is_released() -> None:
    """Releasing what is left of a part gives back the rest alone, and it is CLOSED, not RELEASED."""
    world = held_world()
    fulfill(world, a=1)
    released = world.do(ReleaseReservation("r"))
    assert (released.state, sums(released)) == (CLOSED, [(0, 3, 1, 0), (0, 2, 0, 0)])
    assert (world.numbers("a"), world.numbers("b")) == ((9, 0), (5, 0))
    for again in (ReleaseReservation("r"), FulfillReservation("r", units(a=1)), ConfirmReservation("r")):
        with pytest.raises(ReservationNotActive):
            world.do(again)
    world.check()


def test_a_part_of_an_expired_one() -> None:
    """A part of an expired hold allocates the whole afresh, or nothing leaves."""
    world = held_world()
    world.wait(60)
    part = fulfill(world, a=1)
    assert (part.state, sums(part)) == (COMMITTED, [(3, 0, 1, 0), (2, 0, 0, 0)])
    world.check()
    gone = held_world()
    gone.wait(60)
    gone.do(ExpireReservation("r"))
    gone.hold("other", Line("b", 4))
    with pytest.raises(ReservationExpired):
        fulfill(gone, a=1)
    gone.check()


# --- coming back ---------------------------------------------------------------------------------


def test_units_come_back_restocked() -> None:
    """A restocked unit is available again where its line was served, and the log says so."""
    world = held_world()
    fulfill(world, a=3)
    item_return, reservation = world.do(
        ReturnReservationItems("r", "t", units(a=2), True, reason="wrong size", reference="#7")
    )
    assert (reservation.state, sums(reservation)[0]) == (COMMITTED, (1, 0, 3, 2))
    assert item_return.lines == (LineUnits(1, 2),)
    assert world.numbers("a") == (8, 1)
    entry = world.log[-1]
    assert (entry.action, entry.quantity, entry.reservation_id) == (Action.RETURN, 2, "r")
    assert (entry.reason, entry.reference) == ("wrong size", "#7")
    world.check()


def test_units_come_back_and_are_not_restocked() -> None:
    """A unit that is not restocked counts as returned, and no level changes."""
    world = held_world()
    world.do(FulfillReservation("r"))
    entries = len(world.log)
    reservation = bring_back(world, restock=False, a=4, b=1).reservation
    assert (reservation.state, sums(reservation)) == (CLOSED, [(0, 0, 4, 4), (0, 0, 2, 1)])
    assert len(world.log) == entries
    assert world.numbers("a") == (6, 0)
    world.check()


@pytest.mark.parametrize("restock", [True, False])
def test_no_more_comes_back_than_left(restock: bool) -> None:
    """Per line, what comes back is at most what left and did not come back before; open units never do."""
    world = held_world()
    fulfill(world, a=3)
    bring_back(world, restock=restock, a=2)
    before = world.snapshot()
    for number, (by_line, told) in enumerate(
        [({"a": 2}, (1, 2, 1)), ({"a": 1, "b": 1}, (2, 1, 0)), ({"z": 1}, (9, 1, 0))]
    ):
        with pytest.raises(ReturnExceedsShipped) as caught:
            bring_back(world, f"t{number}", restock, **by_line)
        assert (caught.value.line_number, caught.value.requested, caught.value.returnable) == told
        assert world.snapshot() == before
    bring_back(world, "rest", restock, a=1)
    world.check()


def test_a_return_is_made_once() -> None:
    """The same return_id again answers the return as it was made; other content is ID_REUSED."""
    world = held_world()
    fulfill(world, a=2)
    made = bring_back(world, a=1).item_return
    bring_back(world, "t2", a=1)
    before = world.snapshot()
    again = bring_back(world, a=1)
    assert again.item_return == made
    assert sums(again.reservation)[0] == (2, 0, 2, 2)
    for other in (
        ReturnReservationItems("r", "t", units(a=2), True),
        ReturnReservationItems("r", "t", units(a=1), False),
        ReturnReservationItems("r2", "t", units(a=1), True),
    ):
        with pytest.raises(IdReused) as caught:
            world.do(other)
        assert (caught.value.field, caught.value.value) == ("return_id", "t")
    assert world.snapshot() == before


def test_back_to_another_place_than_it_came_from() -> None:
    """A return opens a missing level, at a disabled location too; the line still says where it was served."""
    world = held_world(Location("default"), Location("shut", enabled=False))
    fulfill(world, a=2)
    world.do(ReturnReservationItems("r", "t", units(a=2), True, "shut"))
    assert world.level("a", "shut")[:2] == (2, 0)
    assert world.numbers("a") == (6, 2)
    assert world.rows["reservations"]["r"].lines[0].location == "default"
    world.check()


def test_back_to_where_is_nothing_any_more() -> None:
    """The line's own location was deleted: LOCATION_NOT_FOUND, unless another is named or nothing stocked."""
    world = held_world(Location("default"), Location("other"))
    fulfill(world, a=2)
    del world.rows["locations"]["default"]
    before = world.snapshot()
    for location in (None, "default", "nowhere"):
        with pytest.raises(LocationNotFound):
            world.do(ReturnReservationItems("r", "t", units(a=1), True, location))
    assert world.snapshot() == before
    bring_back(world, "thrown away", restock=False, a=1)
    world.do(ReturnReservationItems("r", "t", units(a=1), True, "other"))
    assert world.level("a", "other")[:2] == (1, 0)


def test_back_to_a_product_that_is_unmanaged() -> None:
    """Units of a product without a record can come back, but not into stock."""
    world = held_world()
    fulfill(world, a=2)
    del world.rows["stocks"]["a"]
    with pytest.raises(StockNotFound):
        bring_back(world, a=1)
    assert sums(bring_back(world, restock=False, a=1).reservation)[0] == (2, 0, 2, 1)


def test_back_to_a_level_that_is_full() -> None:
    """A level holds at most 2^43-1: one unit more can't be put there."""
    world = held_world()
    world.do(FulfillReservation("r"))
    world.do(CreateStockTransaction("a", Action.SET, QUANTITY_MAX - 1))
    before = world.snapshot()
    with pytest.raises(QuantityOverflow):
        bring_back(world, a=2)
    assert world.snapshot() == before
    bring_back(world, a=1)
    assert world.level("a").total == QUANTITY_MAX


def test_whose_units_come_back() -> None:
    """A return needs a reservation, and one of the caller's own."""
    world = held_world()
    with pytest.raises(ReservationNotFound):
        world.do(ReturnReservationItems("nothing", "t", units(a=1), True))
    world.order("o", CartItem("a", 1, 5, None))
    world.pay("o", "p", 5)
    with pytest.raises(ReservationOwnedByOrder):
        world.do(ReturnReservationItems("hold for p", "t", units(a=1), True))


# --- any order -----------------------------------------------------------------------------------

some = st.lists(st.builds(LineUnits, st.integers(1, 2), st.integers(1, 3)), min_size=1, max_size=2).map(
    merge_units
)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("fulfill"), some),
        st.tuples(st.just("return"), some),
        st.tuples(st.just("discard"), some),
        st.tuples(st.sampled_from(["release", "wait"]), st.just(())),
    ),
    max_size=12,
)


@settings(max_examples=80)
@given(steps)
def test_no_unit_is_counted_twice(taken: list[tuple[str, tuple[LineUnits, ...]]]) -> None:
    """Whatever leaves and comes back in whatever parts: no unit is lost, none is there twice."""
    world = held_world()
    for number, (step, named) in enumerate(taken):
        command: Any = {
            "fulfill": FulfillReservation("r", named),
            "return": ReturnReservationItems("r", f"t{number}", named, True),
            "discard": ReturnReservationItems("r", f"t{number}", named, False),
            "release": ReleaseReservation("r"),
            "wait": ExpireReservation("r"),
        }[step]
        if step == "wait":
            world.wait(60)
        world.batch(command)
        world.check()
    lines = world.rows["reservations"]["r"].lines
    restocked = [e for e in world.log if e.action is Action.RETURN]
    for line, total in zip(lines, (10, 5), strict=True):
        back = sum(e.quantity for e in restocked if e.product_id == line.product_id)
        assert world.level(line.product_id).total == total - line.fulfilled + back
