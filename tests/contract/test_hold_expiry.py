"""Holds that run out: their units are free at that moment, whether or not the sweeper came by.

`staged` has a sweeper that never comes; on `shop` it comes every second.
"""

from __future__ import annotations

import pytest

from inventory_client import v1
from support.polling import until
from support.shop import Shop, word


def test_the_sweeper_ends_a_due_hold(shop: Shop) -> None:
    """Nobody needs the units: still, the hold ends by itself and reads show its units available."""
    shop.stock("a", 5)
    shop.reserve_until_soon("r", ("a", 2))
    until(lambda: word(shop.reservation("r")) == "EXPIRED", "the sweeper came by")
    assert shop.numbers("a") == (5, 5, 0)
    assert shop.actions("a") == [("RESERVE", 2), ("EXPIRE", 2)]
    (line,) = shop.reservation("r").lines
    assert (line.reserved, line.open, line.released, line.fulfilled) == (2, 0, 2, 0)


def test_whoever_needs_units_takes_those_of_due_holds(staged: Shop) -> None:
    """A reservation that is short gets the units of a due hold, in one transaction: EXPIRE, then RESERVE."""
    staged.stock("a", 5)
    staged.reserve_until_soon("late", ("a", 4))
    staged.wait_until_due(("a", 5))
    assert word(staged.reservation("late")) == "HELD"

    assert word(staged.reserve("next", ("a", 5))) == "HELD"

    assert word(staged.reservation("late")) == "EXPIRED"
    reserve, expire, again = staged.log("a")[1:]
    assert [word(entry, "action") for entry in (reserve, expire, again)] == ["RESERVE", "EXPIRE", "RESERVE"]
    assert (expire.reservation_id, again.reservation_id) == ("late", "next")
    assert expire.create_time == again.create_time


def test_reads_tell_the_units_of_due_holds(staged: Shop) -> None:
    """A read shows the stored numbers, and as `expired_held` what due holds still hold; then nobody does."""
    staged.stocks(a=9, b=3)
    staged.reserve_until_soon("late", ("a", 4), ("b", 1))
    staged.reserve("live", ("a", 2))
    staged.reserve("part", ("a", 3))
    staged.fulfill("part", by_line={1: 1})
    before = staged.get("a")
    staged.wait_until_due(("a", 4))
    assert staged.numbers("a") == (8, 0, 8)
    assert staged.get("a").expired_held == 4
    assert staged.get("a").etag == before.etag
    got = staged.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=["b", "a"]))
    assert [stock.expired_held for stock in got.stocks] == [1, 4]
    listed = staged.inventory.ListStock(v1.ListStockRequest()).stocks
    assert {stock.product_id: stock.expired_held for stock in listed} == {"a": 4, "b": 1}

    staged.reserve("next", ("a", 1))

    assert staged.numbers("a") == (8, 3, 5)
    assert (staged.get("a").expired_held, staged.get("b").expired_held) == (0, 0)


@pytest.mark.parametrize("action", ["ALLOCATE", "DECREMENT"])
def test_hand_actions_take_units_of_due_holds(staged: Shop, action: str) -> None:
    """Units of a due hold are free for actions by hand too."""
    staged.stock("a", 5)
    staged.reserve_until_soon("late", ("a", 4))
    staged.wait_until_due(("a", 5))
    assert staged.change("a", action, 5).available_after == 0


def test_carts_and_checkout_count_units_of_due_holds(staged: Shop) -> None:
    """What a due hold has is there for carts and for checkout."""
    staged.stock("a", 5)
    staged.reserve_until_soon("late", ("a", 4))
    staged.wait_until_due(("a", 5))
    assert staged.order("o", ("a", 5)).total_minor == 500


def test_an_expiry_stands_though_the_taker_is_refused(staged: Shop) -> None:
    """Expiring is a command of its own: it stays, although even with its units there are too few."""
    staged.stock("a", 5)
    staged.reserve_until_soon("late", ("a", 4))
    staged.wait_until_due(("a", 5))
    call = staged.inventory.ReserveStock.future(staged.reserve_request("next", ("a", 6)))
    assert staged.reason_of(call) == "INSUFFICIENT_STOCK"
    assert [(s.available, s.requested) for s in call.exception().shortages] == [(5, 6)]
    assert word(staged.reservation("late")) == "EXPIRED"
    assert staged.numbers("a") == (5, 5, 0)


def test_nobody_is_refused_while_due_holds_are_left(staged: Shop) -> None:
    """More due holds than one batch ends: whoever is short waits for the next batch, not for the sweeper."""
    staged.stock("a", 150)
    calls = []
    for number in range(150):
        request = staged.reserve_request(f"late-{number}", ("a", 1))
        request.ttl.seconds = 1
        calls.append(staged.inventory.ReserveStock.future(request))
    assert {staged.reason_of(call) for call in calls} == {"OK"}
    staged.wait_until_due(("a", 150))
    assert staged.numbers("a") == (150, 0, 150)

    staged.reserve("all", ("a", 150))

    assert [line.open for line in staged.reservation("all").lines] == [150]
    assert staged.numbers("a") == (150, 0, 150)
    assert staged.actions("a").count(("EXPIRE", 1)) == 150


def test_a_hold_that_is_not_due_is_left_alone(staged: Shop) -> None:
    """Only what is due gives way, however short somebody is."""
    staged.stock("a", 5)
    staged.reserve("mine", ("a", 4))
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("next", ("a", 5))
    staged.reserve("for-good", ("a", 1), never_expires=True)
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("next", ("a", 1))


def test_a_confirmed_hold_does_not_expire(staged: Shop) -> None:
    """COMMITTED has no expiry: after its time another one of the same moment is free, it is not."""
    staged.stock("a", 2)
    staged.stock("b", 1)
    staged.reserve_until_soon("kept", ("a", 2))
    staged.confirm("kept")
    staged.reserve_until_soon("late", ("b", 1))
    staged.wait_until_due(("b", 1))
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("next", ("a", 1))
    assert word(staged.reservation("kept")) == "COMMITTED"


def test_release_of_a_due_hold(staged: Shop) -> None:
    """A hold that is due is EXPIRED when its owner releases it: OK, and the units are back once."""
    staged.stock("a", 5)
    staged.reserve_until_soon("late", ("a", 4))
    staged.wait_until_due(("a", 5))
    assert word(staged.release("late")) == "EXPIRED"
    assert staged.numbers("a") == (5, 5, 0)
    assert staged.actions("a") == [("RESERVE", 4), ("EXPIRE", 4)]


@pytest.mark.parametrize("move", ["confirm", "fulfill"])
def test_an_expired_hold_is_sourced_afresh(staged: Shop, move: str) -> None:
    """Confirming or fulfilling an expired hold allocates the whole of it again where that can be had."""
    staged.stock("a", 5)
    staged.reserve_until_soon("late", ("a", 4))
    staged.wait_until_due(("a", 5))
    moved = getattr(staged, move)("late")
    assert word(moved) == {"confirm": "COMMITTED", "fulfill": "CLOSED"}[move]
    assert staged.actions("a")[:3] == [("RESERVE", 4), ("EXPIRE", 4), ("RESERVE", 4)]
    assert staged.numbers("a") == {"confirm": (5, 1, 4), "fulfill": (1, 1, 0)}[move]
    (line,) = moved.lines
    assert (line.reserved, line.open + line.fulfilled, line.released) == (4, 4, 0)


@pytest.mark.parametrize("move", ["confirm", "fulfill"])
def test_an_expired_hold_whose_units_are_gone(staged: Shop, move: str) -> None:
    """Sold meanwhile, in part: RESERVATION_EXPIRED with the shortages, and nothing is held."""
    staged.stocks(a=5, b=5)
    staged.reserve_until_soon("late", ("a", 4), ("b", 5))
    staged.wait_until_due(("a", 5), ("b", 5))
    staged.reserve("next", ("b", 1))
    staged.release("late")
    for _ in range(2):
        with staged.refused("RESERVATION_EXPIRED") as refusal:
            getattr(staged, move)("late")
        assert refusal.short_lines == [("b", "", 5, 4, True)]
        assert refusal.metadata["shortage_count"] == "1"
        assert refusal.message == "The reservation has expired and its stock is no longer available."
    assert word(staged.reservation("late")) == "EXPIRED"

    staged.release("next")
    assert word(getattr(staged, move)("late")) in ("COMMITTED", "CLOSED")


def test_a_due_hold_is_expired_by_its_own_repeat(staged: Shop) -> None:
    """Reserving again under the id of a hold that ran out never holds again, though units are free."""
    staged.stock("a", 5)
    request = staged.reserve_until_soon("late", ("a", 4))
    staged.wait_until_due(("a", 5))
    call = staged.inventory.ReserveStock.future(request)
    assert staged.reason_of(call) == "RESERVATION_NOT_ACTIVE"
    assert call.exception().metadata == {"reservation_id": "late", "state": "EXPIRED"}
    with staged.refused("RESERVATION_NOT_ACTIVE"):
        staged.inventory.ReserveStock(request)
    assert staged.numbers("a") == (5, 5, 0)


def test_expired_lines_keep_the_location_they_named(staged: Shop) -> None:
    """Sourced afresh means as it was asked for: a line that named a location stays a line of its own."""
    staged.stock("a", 5)
    request = staged.reserve_request("late", ("a", 2), ("a", 3))
    request.lines[1].location = "default"
    request.ttl.seconds = 1
    staged.inventory.ReserveStock(request)
    staged.wait_until_due(("a", 5))
    confirmed = staged.confirm("late")
    assert [(ln.reserved, ln.open, ln.location) for ln in confirmed.lines] == [
        (2, 2, "default"),
        (3, 3, "default"),
    ]
    assert word(staged.inventory.ReserveStock(request).reservation) == "COMMITTED"


def test_get_stock_shows_what_is_stored(staged: Shop) -> None:
    """Reads show the numbers as they were written; the sum stays the sum while a hold is due."""
    staged.stock("a", 5)
    staged.reserve_until_soon("late", ("a", 4))
    staged.wait_until_due(("a", 5))
    listed = staged.inventory.ListStock(v1.ListStockRequest()).stocks
    assert [(s.total, s.available, s.allocated) for s in listed] == [staged.numbers("a")] == [(5, 1, 4)]
