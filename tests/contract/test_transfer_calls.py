"""InventoryService: units that go from one location to another."""

from __future__ import annotations

import pytest

from inventory_client import v1
from support.shop import Shop, StagedShop, word

QUANTITY_MAX = 2**43 - 1


@pytest.fixture
def at_two(shop: Shop) -> Shop:
    """5 units of `a` at `default`; `north` was never opened."""
    shop.location("north")
    shop.stock("a", 5)
    return shop


def test_units_go_from_one_location_to_another(at_two: Shop) -> None:
    """Two entries of the log, written at one moment, with both balances after each; the sum stays."""
    answer = at_two.transfer("a", 3, "default", "north", reason="no room", reference="t-7")
    out, into = answer.transfer_out, answer.transfer_in
    assert (word(out, "action"), out.location, out.version, out.available_after) == (
        "TRANSFER_OUT",
        "default",
        2,
        2,
    )
    assert (word(into, "action"), into.location, into.version, into.available_after) == (
        "TRANSFER_IN",
        "north",
        1,
        3,
    )
    assert out.create_time == into.create_time
    for entry in (out, into):
        assert (entry.quantity, entry.reason, entry.reference) == (3, "no room", "t-7")
    assert at_two.log("a")[1:] == [out, into]
    assert at_two.numbers("a") == (5, 5, 0)
    at_two.transfer("a", 3, "north", "")
    assert at_two.level("a", "north") == (0, 0, 0)


def test_only_what_nobody_has_allocated_goes(at_two: Shop) -> None:
    """All that is available may go, one more is short; held and hand-allocated units stay."""
    at_two.reserve("r", ("a", 1))
    at_two.change("a", "ALLOCATE", 1)
    with at_two.refused("INSUFFICIENT_STOCK") as refusal:
        at_two.transfer("a", 4, "default", "north")
    assert refusal.short_lines == [("a", "default", 4, 3, True)]
    at_two.transfer("a", 3, "default", "north")
    assert (at_two.level("a", "default"), at_two.level("a", "north")) == ((2, 0, 2), (3, 3, 0))


def test_a_due_holds_units_are_free(staged: StagedShop) -> None:
    """A transfer gets the units of a hold that has run out, though no sweeper came by."""
    staged.location("north")
    staged.stock("a", 5)
    staged.reserve_until_soon("late", ("a", 5))
    staged.wait_until_due(("a", 5))
    staged.transfer("a", 4, "default", "north")
    assert staged.actions("a") == [("RESERVE", 5), ("EXPIRE", 5), ("TRANSFER_OUT", 4), ("TRANSFER_IN", 4)]


def test_a_version_that_was_read(at_two: Shop) -> None:
    """The level at the source is as it was read, or nothing goes; 0 = it was never opened."""
    at_two.transfer("a", 1, "default", "north", expected_version=1)
    with at_two.refused("ETAG_MISMATCH") as refusal:
        at_two.transfer("a", 1, "default", "north", expected_version=1)
    assert refusal.metadata == {"field": "expected_version", "current": "2"}
    at_two.location("south")
    with at_two.refused("INSUFFICIENT_STOCK"):
        at_two.transfer("a", 1, "south", "north", expected_version=0)


def test_a_transfer_needs_two_locations(at_two: Shop) -> None:
    """To where they are already: refused, also where `default` is not said; so is an unknown end."""
    for source, target in (("north", "north"), ("", ""), ("default", ""), ("", "default")):
        with at_two.refused("INVALID_FIELD") as refusal:
            at_two.transfer("a", 1, source, target)
        assert refusal.fields == ["target_location"]
    for source, target in (("gone", "north"), ("north", "gone")):
        with at_two.refused("LOCATION_NOT_FOUND") as refusal:
            at_two.transfer("a", 1, source, target)
        assert refusal.metadata == {"location": "gone"}
    with at_two.refused("STOCK_NOT_FOUND"):
        at_two.transfer("ghost", 1, "default", "north")


def test_the_limits_of_a_transfer(at_two: Shop) -> None:
    """As many units as a level holds may go at once; past the target's limit none does."""
    at_two.change("a", "SET", QUANTITY_MAX)
    at_two.transfer("a", QUANTITY_MAX, "default", "north")
    at_two.change("a", "INCREMENT", 1)
    with at_two.refused("QUANTITY_OVERFLOW") as refusal:
        at_two.transfer("a", 1, "default", "north")
    assert refusal.metadata == {"limit": str(QUANTITY_MAX)}


def test_a_disabled_location_gives_and_takes(at_two: Shop) -> None:
    """Neither end of a transfer allocates, so either may be disabled; nothing is sold from it meanwhile."""
    at_two.disable("north")
    at_two.transfer("a", 5, "default", "north")
    with at_two.refused("INSUFFICIENT_STOCK"):
        at_two.reserve("r", ("a", 1))
    at_two.transfer("a", 1, "north", "default")
    assert [line.location for line in at_two.reserve("r", ("a", 1)).lines] == ["default"]


def test_who_moved_them_stands_in_both_entries(at_two: Shop) -> None:
    """The actor of the call, at either end."""
    request = v1.TransferStockRequest(product_id="a", quantity=1, target_location="north")
    answer = at_two.inventory.TransferStock(request, metadata=(("x-inventory-actor", "ann"),))
    assert (answer.transfer_out.actor, answer.transfer_in.actor) == ("ann", "ann")
