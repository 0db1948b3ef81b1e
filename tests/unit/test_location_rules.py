"""Locations: their rules alone, and how far one is from another."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_server.domain.commands import CreateStockTransaction
from inventory_server.domain.decide import Request, decide
from inventory_server.domain.errors import (
    EtagMismatch,
    LocationExists,
    LocationNotEmpty,
    LocationNotFound,
    QuantityOverflow,
)
from inventory_server.domain.limits import LOCATIONS_MAX
from inventory_server.domain.location import EARTH_RADIUS_M, Location, Point, distance_m
from inventory_server.domain.location_commands import CreateLocation, DeleteLocation, UpdateLocation
from inventory_server.domain.reservation import Line
from inventory_server.domain.stock import Action, StockLevel
from support.world import DEFAULT, World

NORTH = Location("north", name="North")
POINTS = st.builds(Point, st.floats(-90, 90), st.floats(-180, 180))


def set_to(quantity: int, location: str = "north") -> CreateStockTransaction:
    return CreateStockTransaction("a", Action.SET, quantity, location)


@pytest.fixture
def world() -> World:
    """`default` and `north`, and a product `a` with 3 units at each."""
    made = World((*DEFAULT, NORTH))
    made.stock("a", 3)
    made.do(set_to(3))
    return made


def test_a_location_is_made_at_the_batchs_time(world: World) -> None:
    """Whatever times come with it, it is made now; its slug is taken then."""
    made = world.do(CreateLocation(Location("south", created_at=world.now - timedelta(1))))
    assert made == Location("south", created_at=world.now, updated_at=world.now)
    for slug in ("south", "north", "default"):
        with pytest.raises(LocationExists):
            world.do(CreateLocation(Location(slug)))


def test_a_store_has_at_most_1024() -> None:
    """One more is refused; where one is deleted there is room for another, in the same batch too."""
    world = World([*DEFAULT, *(Location(f"l-{number}") for number in range(LOCATIONS_MAX - 2))])
    assert isinstance(world.do(CreateLocation(Location("last"))), Location)
    with pytest.raises(QuantityOverflow):
        world.do(CreateLocation(Location("one-more")))
    verdicts = world.batch(DeleteLocation("l-7"), CreateLocation(Location("one-more")))
    assert verdicts[0] is None and isinstance(verdicts[1], Location)
    assert len(world.rows["locations"]) == LOCATIONS_MAX


def test_an_update_changes_what_it_names(world: World) -> None:
    """The rest stays, its time moves; an update that changes nothing writes nothing."""
    world.wait(5)
    changed = world.do(UpdateLocation("north", (("enabled", False), ("priority", 7))))
    assert changed == NORTH._replace(enabled=False, priority=7, updated_at=world.now)
    world.wait(5)
    before = world.snapshot()
    assert world.do(UpdateLocation("north", (("priority", 7),))) == changed
    assert world.snapshot() == before


def test_an_etag_is_what_was_read(world: World) -> None:
    """Any change makes another etag; what was decided on an old one is refused, before anything else."""
    read = NORTH.etag
    assert world.do(UpdateLocation("north", (("name", "N"),), read)).etag != read
    for late in (UpdateLocation("north", (("name", "M"),), read), DeleteLocation("north", read)):
        with pytest.raises(EtagMismatch) as caught:
            world.do(late)
        assert (caught.value.field, caught.value.current) == ("etag", world.rows["locations"]["north"].etag)
    with pytest.raises(LocationNotFound):
        world.do(UpdateLocation("south", (), read))


def test_only_an_empty_location_is_deleted(world: World) -> None:
    """A unit there, available or allocated, keeps it; so it does one command earlier in the same batch."""
    world.hold("r", Line("a", 3, "north"))
    with pytest.raises(LocationNotEmpty):
        world.do(DeleteLocation("north"))
    world.batch(CreateLocation(Location("south")), set_to(1, "south"))
    verdicts = world.batch(set_to(0, "south"), set_to(2, "south"), DeleteLocation("south"))
    assert isinstance(verdicts[2], LocationNotEmpty)
    verdicts = world.batch(set_to(0, "south"), DeleteLocation("south"), set_to(1, "south"))
    assert verdicts[1] is None and isinstance(verdicts[2], LocationNotFound)
    world.check()


def test_versions_go_on_where_a_slug_is_made_again(world: World) -> None:
    """A location's log outlives it: entry n of a level has version n, whatever was deleted between."""
    world.batch(set_to(0), DeleteLocation("north"), CreateLocation(Location("north")), set_to(5))
    assert world.level("a", "north") == StockLevel(5, 0, 0, 3)
    view = world.state().stock_view("a")
    assert view is not None and (view.available, view.allocated) == (8, 0)
    world.check()


def test_what_a_batch_deletes_and_makes_again_is_written_once(world: World) -> None:
    """Deleted and made in one batch is a change; made and deleted is nothing at all."""
    state = world.state()
    decide(
        state,
        [
            Request(command)
            for command in (
                set_to(0),
                DeleteLocation("north"),
                CreateLocation(NORTH._replace(name="again")),
                CreateLocation(Location("brief")),
                DeleteLocation("brief"),
            )
        ],
    )
    assert [slug for slug, _ in state.locations.written()] == ["north"]
    assert state.locations.deleted() == []


# --- distance ------------------------------------------------------------------------------------

# (from, to, metres): a quarter and a half of the way round, and places with a known way between.
WAYS: list[tuple[Any, Any, float]] = [
    ((0, 0), (0, 0), 0),
    ((0, 0), (0, 90), EARTH_RADIUS_M * 3.141592653589793 / 2),
    ((90, 0), (-90, 0), EARTH_RADIUS_M * 3.141592653589793),
    ((0, 180), (0, -180), 0),
    ((90, 17), (90, -100), 0),
    ((0, 179.5), (0, -179.5), 111_195),
    ((48.8566, 2.3522), (52.52, 13.405), 877_464),  # Paris to Berlin
]


@pytest.mark.parametrize(("one", "other", "metres"), WAYS)
def test_distances_are_known(one: Any, other: Any, metres: float) -> None:
    """The great circle, also over a pole and over the date line."""
    assert distance_m(Point(*one), Point(*other)) == pytest.approx(metres, abs=10)


@given(one=POINTS, other=POINTS)
def test_distance_is_a_distance(one: Point, other: Point) -> None:
    """None to itself, the same in both directions, never more than half of the way round."""
    assert distance_m(one, one) == 0
    assert distance_m(one, other) == distance_m(other, one)
    assert 0 <= distance_m(one, other) <= EARTH_RADIUS_M * 3.1415927
