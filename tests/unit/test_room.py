"""Places that stores share: a store alone has its own bound, several leave room for others."""

from __future__ import annotations

import pytest

from inventory_server.engine.room import has_room
from inventory_server.rpc.edge import CALLS_MAX, STORE_CALLS_MAX


def flooded(stores: int, own_max: int, together_max: int) -> list[int]:
    """Let stores take all that they get, in turn; return how many each has."""
    places = [0] * stores
    while True:
        before = sum(places)
        for store in range(stores):
            if has_room(places[store], sum(places), own_max=own_max, together_max=together_max):
                places[store] += 1
        if sum(places) == before:
            return places


@pytest.mark.parametrize(
    ("stores", "own_max", "together_max", "each"),
    [
        (1, 6_144, 8_192, 6_144),
        (2, 6_144, 8_192, 3_511),
        (10, 6_144, 8_192, 793),
        (1, 10_000, 20_000, 10_000),
        (2, 10_000, 20_000, 6_667),
        (1, 3, 4, 3),
        (1, 64, 64, 64),
        (2, 64, 64, 32),
    ],
)
def test_what_flooded_stores_take(stores: int, own_max: int, together_max: int, each: int) -> None:
    """One alone takes its bound; several share alike, and leave room where all have a greater bound."""
    places = flooded(stores, own_max, together_max)
    assert max(places) == each and max(places) - min(places) <= 1
    is_left = has_room(0, sum(places), own_max=own_max, together_max=together_max)
    assert is_left == (own_max < together_max)


def test_who_came_first_gives_way() -> None:
    """A store that filled its bound before another came gets no more, until it has no more than the other."""
    first, second = STORE_CALLS_MAX, 0
    bounds = {"own_max": STORE_CALLS_MAX, "together_max": CALLS_MAX}
    while has_room(second, first + second, **bounds):
        second += 1
    assert CALLS_MAX - first - second > 0
    while first > second:
        assert not has_room(first, first + second, **bounds)
        first -= 1
        second += has_room(second, first + second, **bounds)


def test_all_places_together_are_a_bound() -> None:
    """However many stores take a place each, there are no more than there are."""
    assert has_room(0, 7, own_max=6, together_max=8)
    assert not has_room(0, 8, own_max=6, together_max=8)
