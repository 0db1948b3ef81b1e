"""The one rule of where lines are served from, and that every caller of it obeys it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inventory_server.domain.commands import AddCartItems, CreateCart
from inventory_server.domain.errors import InsufficientStock, Shortage
from inventory_server.domain.limits import QUANTITY_MAX
from inventory_server.domain.location import Location
from inventory_server.domain.order import CartItem
from inventory_server.domain.reservation import Line, merge
from inventory_server.domain.sourcing import source
from support.world import World

# In the order the rule goes by: priority, then slug. The second is disabled.
LOCATIONS = (
    Location("near", priority=-1),
    Location("shut", enabled=False),
    Location("far", priority=1),
    Location("farther", priority=1),
)


def world(**quantities: int) -> World:
    """A product `a` with so many units at each location named."""
    made = World(LOCATIONS)
    for slug, quantity in quantities.items():
        made.stock("a", quantity, slug)
    return made


def found(made: World, *lines: Line) -> list[str]:
    slugs, shortages = source(made.state(), lines)
    assert not shortages
    return slugs


def short(made: World, *lines: Line) -> tuple[Shortage, ...]:
    return source(made.state(), lines)[1]


def test_the_first_that_has_the_whole_quantity_serves() -> None:
    """A line that names no location is served by the first, in the order given, that has all of it."""
    made = world(near=3, far=5, farther=9)
    assert [found(made, Line("a", n))[0] for n in (1, 3, 4, 5, 6, 9)] == [
        "near",
        "near",
        "far",
        "far",
        "farther",
        "farther",
    ]


def test_a_line_is_never_split() -> None:
    """Units enough in sum, but nowhere together, are a shortage; it tells the most that one place has."""
    made = world(near=3, far=5, farther=4)
    assert short(made, Line("a", 6)) == (Shortage("a", None, 6, 5, True),)


def test_a_named_location_serves_alone() -> None:
    """A line that names a location is served there or nowhere."""
    made = world(near=3, far=5)
    assert found(made, Line("a", 5, "far")) == ["far"]
    assert short(made, Line("a", 4, "near")) == (Shortage("a", "near", 4, 3, True),)
    assert short(made, Line("a", 1, "farther")) == (Shortage("a", "farther", 1, 0, True),)


def test_a_disabled_location_allocates_nothing() -> None:
    """A disabled location serves no line, named or not, whatever it has."""
    made = world(near=1, shut=100, far=2)
    assert found(made, Line("a", 2)) == ["far"]
    assert short(made, Line("a", 3), Line("a", 1, "shut")) == (
        Shortage("a", None, 3, 2, True),
        Shortage("a", "shut", 1, 0, True),
    )


def test_a_location_that_is_not_there_is_a_shortage() -> None:
    """Here, after the input was checked, an unknown slug counts as a place that has nothing."""
    assert short(world(near=5), Line("a", 1, "gone")) == (Shortage("a", "gone", 1, 0, True),)


def test_a_product_without_a_record_is_unmanaged() -> None:
    """No record is a shortage of its own kind: not the same as 0."""
    assert short(world(near=0), Line("a", 1), Line("b", 1)) == (
        Shortage("a", None, 1, 0, True),
        Shortage("b", None, 1, 0, False),
    )


def test_lines_that_name_a_location_go_first() -> None:
    """Named lines are decided before those that any place may serve, whatever the order given."""
    made = world(near=5, far=4)
    assert found(made, Line("a", 3), Line("a", 4, "near")) == ["far", "near"]
    assert short(made, Line("a", 5), Line("a", 1, "near")) == (Shortage("a", None, 5, 4, True),)


def test_lines_count_together() -> None:
    """Two lines of one product never both get the same unit."""
    made = world(near=5)
    assert found(made, Line("a", 2), Line("a", 3)) == ["near", "near"]
    assert short(made, Line("a", 3), Line("a", 3)) == (Shortage("a", None, 3, 2, True),)


def test_shortages_come_in_the_order_given() -> None:
    """Every short line is told, in the order the lines were given, though named ones are decided first."""
    told = short(world(near=1), Line("a", 2), Line("b", 1), Line("a", 9, "near"), Line("a", 1))
    assert [(s.product_id, s.location, s.requested) for s in told] == [
        ("a", None, 2),
        ("b", None, 1),
        ("a", "near", 9),
    ]


def test_units_told_as_free_count() -> None:
    """Units of due holds count as free where they lie, and not twice."""
    made = world(near=1)
    free = {"a": {"near": 2}}
    assert source(made.state(), [Line("a", 3)], free) == (["near"], ())
    assert source(made.state(), [Line("a", 2), Line("a", 2)], free)[1] == (Shortage("a", None, 2, 1, True),)


@given(
    units=st.tuples(*[st.integers(0, 6)] * 4),
    lines=st.lists(
        st.builds(
            Line,
            st.just("a"),
            st.integers(1, 7),
            st.sampled_from([None, "near", "shut", "far", "farther", "gone"]),
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_what_is_sourced_is_there(units: tuple[int, ...], lines: list[Line]) -> None:
    """What sourcing finds can be held: no level gives more than it has, a named place is kept to."""
    made = world(**{location.slug: count for location, count in zip(LOCATIONS, units, strict=True)})
    slugs, shortages = source(made.state(), lines)
    taken = dict.fromkeys((location.slug for location in LOCATIONS), 0)
    for line, slug in zip(lines, slugs, strict=True):
        if slug:
            assert line.location in (None, slug)
            taken[slug] += line.quantity
    assert taken["shut"] == 0
    assert all(taken[loc.slug] <= count for loc, count in zip(LOCATIONS, units, strict=True))
    assert len(shortages) == slugs.count("")
    assert all(s.available < s.requested for s in shortages)


def test_merging_adds_up_in_the_order_first_named() -> None:
    """Lines of one (product, named location) are one line; another location is another line."""
    lines = (Line("b", 1), Line("a", 2), Line("b", 3, "near"), Line("b", 4), Line("b", QUANTITY_MAX, "near"))
    assert merge(lines) == (Line("b", 5), Line("a", 2), Line("b", QUANTITY_MAX + 3, "near"))


@pytest.mark.parametrize("location", [None, "far"])
def test_reservation_cart_and_order_source_alike(location: str | None) -> None:
    """ReserveStock, the cart, the checkout and the payment go by the same rule."""
    made = world(near=3, far=5)
    assert made.hold("r", Line("a", 4, location)).lines[0].location == "far"
    made = world(near=3, far=5)
    item = CartItem("a", 4, 1, location)
    made.order("o", item)
    made.begin("o", "p", 4)
    assert made.reservation_of("o").lines[0].location == "far"
    made.do(CreateCart("c", "EUR"))
    with pytest.raises(InsufficientStock) as caught:
        made.do(AddCartItems("c", (item,)))
    assert caught.value.shortages == (Shortage("a", location, 4, 1 if location else 3, True),)
    made.check()
