"""What a batch knows of levels that it did not load all of, and what it turns out to need."""

from __future__ import annotations

import pytest

from inventory_server.domain.commands import ReleaseReservation
from inventory_server.domain.decide import Request, decide
from inventory_server.domain.location import Location
from inventory_server.domain.reservation import Line, Reservation, ReservationLine, ReservationState
from inventory_server.domain.sourcing import source
from inventory_server.domain.state import State
from inventory_server.domain.stock import Stock, StockLevel
from support.world import BEGINNING

SLUGS = ("a", "b", "c", "d")


def state(**units: int) -> State:
    """A store with four locations where `p` is managed, and the levels named are loaded."""
    made = State(now=BEGINNING)
    for slug in SLUGS:
        made.locations.load(slug, Location(slug))
    made.stocks.load("p", Stock("p", BEGINNING, BEGINNING))
    for slug, available in units.items():
        made.levels.load(("p", slug), StockLevel(available, 0, 0, 1))
        made.coverage.named("p", slug)
    made.coverage.is_whole = False
    return made


def lacking(made: State, quantity: int) -> bool:
    source(made, [Line("p", quantity)])
    return "p" in made.coverage.lines_lacking


def test_a_state_that_is_whole_lacks_nothing() -> None:
    """Where all levels of all products are loaded, one that is not there was never opened."""
    made = State(now=BEGINNING)
    made.stocks.load("p", Stock("p", BEGINNING, BEGINNING))
    assert made.level("p", "a") == StockLevel()
    assert not lacking(made, 1)
    assert not made.coverage.levels_lacking


def test_a_level_that_was_asked_for_is_known() -> None:
    """One that is not there though it was asked for was never opened; any other is lacking."""
    made = state()
    made.coverage.named("p", "a")
    assert (made.level("p", "a"), made.coverage.levels_lacking) == (StockLevel(), set())
    assert (made.level("p", "b"), made.coverage.levels_lacking) == (StockLevel(), {("p", "b")})


def test_a_product_that_is_known_whole() -> None:
    """Of it neither a level nor a line is lacking."""
    made = state(a=1)
    made.coverage.known("p", 0, None)
    made.level("p", "d")
    assert not made.coverage.levels_lacking
    assert not lacking(made, 5)


@pytest.mark.parametrize(
    ("known", "last", "quantity", "is_lacking"),
    [
        (5, "c", 5, False),
        (5, "c", 6, False),
        (5, "b", 5, True),
        (5, "d", 5, False),
        (5, None, 5, False),
        (6, None, 5, True),
        (6, "d", 5, True),
    ],
)
def test_how_far_is_known(known: int, last: str | None, quantity: int, is_lacking: bool) -> None:
    """A line is served for sure where all levels that have as much are known up to there."""
    made = state(c=9)
    made.coverage.known("p", known, last)
    assert lacking(made, quantity) is is_lacking


def test_a_shortage_is_sure_when_it_was_asked_for() -> None:
    """Before that the most that a location has is not known; a look that ended somewhere is never enough."""
    made = state(c=4)
    made.coverage.known("p", 5, None)
    assert lacking(made, 5)
    made = state(c=4)
    made.coverage.known("p", 5, None)
    made.coverage.asked_again.add("p")
    assert not lacking(made, 5)
    assert lacking(made, 4) is True
    made = state(c=4)
    made.coverage.known("p", 5, "d")
    made.coverage.asked_again.add("p")
    assert lacking(made, 5)


def test_changed_locations_leave_nothing_sure() -> None:
    """Levels were looked for in the order of locations that was; a change that was refused is none."""
    made = state(c=9)
    made.coverage.known("p", 5, "c")
    made.locations.put("a", Location("a", priority=9))
    made.drop()
    assert not lacking(made, 5)
    made.locations.put("a", Location("a", priority=9))
    made.keep()
    assert lacking(made, 5)


def test_a_defect_without_a_level_need_be_none_with_it() -> None:
    """A command that fails for what was not loaded has no verdict yet; where nothing lacks it is a defect."""
    hold = Reservation(
        "x", None, False, ReservationState.HELD, (ReservationLine(1, "p", "d", 2, 2),), None, b"", BEGINNING,
        BEGINNING,
    )  # fmt: skip
    made = state()
    made.reservations.load("x", hold)
    assert decide(made, [Request(ReleaseReservation("x")), Request(ReleaseReservation("y"))])[0] is None
    assert made.coverage.levels_lacking == {("p", "d")}
    assert made.reservations.get("x") == hold
    made = state(d=0)
    made.reservations.load("x", hold)
    with pytest.raises(AssertionError, match="2 units are open"):
        decide(made, [Request(ReleaseReservation("x"))])


def test_what_is_lacking_is_counted() -> None:
    """The least of the quantities, and how many lines want it or more."""
    made = state()
    source(made, [Line("p", 5), Line("p", 3, "b")])
    source(made, [Line("p", 4)])
    assert made.coverage.lines_lacking == {"p": (4, 2)}
    assert made.coverage.levels_lacking == {("p", "b")}


@pytest.mark.parametrize(("number", "slug"), [(1, "b"), (3, "d"), (4, None)])
def test_locations_by_rank(number: int, slug: str | None) -> None:
    """By priority, then slug; disabled ones have none."""
    made = state()
    made.locations.load("a", Location("a", enabled=False))
    made.locations.load("b", Location("b", priority=-1))
    assert made.location_by_rank(number) == slug
