"""The rows of "Interleavings" about reservations of callers, each test named after its row.

`together` decides what is sent in one batch, in order, and again after another writer's change has undone the
first run by 40001: the verdicts are the same. No sweeper helps.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from inventory_client import v1
from support.interleavings import Together
from support.shop import StagedShop, word


def due(staged: StagedShop, units: int) -> None:
    """`late` holds all 2 of `a`, and its time is over."""
    staged.stock("a", units)
    staged.reserve_until_soon("late", ("a", 2))
    staged.wait_until_due(("a", units))
    assert word(staged.reservation("late")) == "HELD"


def reserving(staged: StagedShop, reservation_id: str) -> Callable[[], Any]:
    request = staged.reserve_request(reservation_id, ("a", 2))
    return lambda: staged.inventory.ReserveStock.future(request)


# --- expiry x confirm / extend ---------------------------------------------------------------------


@pytest.mark.parametrize("first", ["taker", "confirm"])
@pytest.mark.parametrize("move", ["Confirm", "Fulfill"])
def test_expiry_x_confirm(staged: StagedShop, together: Together, first: str, move: str) -> None:
    """Due and wanted by another: whoever comes first gets the units, afresh; the other is refused."""
    due(staged, 2)
    request = getattr(v1, f"{move}ReservationRequest")(reservation_id="late")
    call = getattr(staged.inventory, f"{move}Reservation")
    told = together.told(
        first,
        {"taker": reserving(staged, "taker"), "confirm": lambda: call.future(request)},
    )
    if first == "confirm":
        assert told == {"confirm": "OK", "taker": "INSUFFICIENT_STOCK"}
        assert word(staged.reservation("late")) == ("COMMITTED" if move == "Confirm" else "CLOSED")
        assert staged.actions("a")[:3] == [("RESERVE", 2), ("EXPIRE", 2), ("RESERVE", 2)]
    else:
        assert told == {"taker": "OK", "confirm": "RESERVATION_EXPIRED"}
        assert word(staged.reservation("late")) == "EXPIRED"
        assert word(staged.reservation("taker")) == "HELD"
        assert staged.actions("a") == [("RESERVE", 2), ("EXPIRE", 2), ("RESERVE", 2)]


def test_expiry_x_confirm_with_units_to_spare(staged: StagedShop, together: Together) -> None:
    """Where there is enough for both, a confirmation that is late allocates the whole again."""
    due(staged, 4)
    request = v1.ConfirmReservationRequest(reservation_id="late")
    told = together.told(
        "taker",
        {
            "taker": reserving(staged, "taker"),
            "confirm": lambda: staged.inventory.ConfirmReservation.future(request),
        },
    )
    assert told == {"taker": "OK", "confirm": "OK"}
    assert word(staged.reservation("late")) == "COMMITTED"
    assert staged.numbers("a") == (4, 0, 4)


@pytest.mark.parametrize("first", ["taker", "extend"])
def test_expiry_x_extend(staged: StagedShop, together: Together, first: str) -> None:
    """A due hold is not extended, whether or not somebody took its units yet: the taker has them."""
    due(staged, 2)
    request = v1.ExtendReservationRequest(reservation_id="late", never_expires=True)
    told = together.told(
        first,
        {
            "taker": reserving(staged, "taker"),
            "extend": lambda: staged.inventory.ExtendReservation.future(request),
        },
    )
    assert told == {"taker": "OK", "extend": "RESERVATION_NOT_ACTIVE"}
    assert word(staged.reservation("late")) == "EXPIRED"
    assert staged.actions("a") == [("RESERVE", 2), ("EXPIRE", 2), ("RESERVE", 2)]


def test_expiry_x_extend_in_time(staged: StagedShop, together: Together) -> None:
    """Extended before its time, it holds on when that time has come: the taker is refused."""
    staged.stock("a", 3)
    staged.stock("clock", 1)
    until_ns = time.time_ns() + 3_000_000_000  # enough for a slow machine to extend it in time
    for reservation_id, item in (("late", ("a", 2)), ("clock", ("clock", 1))):
        request = staged.reserve_request(reservation_id, item)
        request.expire_time.FromNanoseconds(until_ns)
        staged.inventory.ReserveStock(request)
    extend = v1.ExtendReservationRequest(reservation_id="late")
    extend.expire_time.FromNanoseconds(until_ns + 60_000_000_000)
    with together():
        call = staged.inventory.ExtendReservation.future(extend)
    assert staged.reason_of(call) == "OK"
    staged.wait_until_due(("clock", 1))
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("taker", ("a", 2))
    assert word(staged.reservation("late")) == "HELD"


# --- expiry x pay ----------------------------------------------------------------------------------


@pytest.mark.fault(18)
@pytest.mark.parametrize("first", ["pay", "confirm"])
def test_expiry_x_pay_of_another(staged: StagedShop, together: Together, first: str) -> None:
    """A due hold gives its units to the order that is paid, swept or not; confirmed first, it has them."""
    staged.stock("a", 2)
    staged.order("o", ("a", 2))
    staged.reserve_until_soon("late", ("a", 2))
    staged.wait_until_due(("a", 2))
    confirm = v1.ConfirmReservationRequest(reservation_id="late")
    told = together.told(
        first,
        {
            "pay": lambda: staged.start_paying("o", "p", 200),
            "confirm": lambda: staged.inventory.ConfirmReservation.future(confirm),
        },
        is_paid=first == "pay",
    )
    if first == "pay":
        assert told == {"pay": "OK", "confirm": "RESERVATION_EXPIRED"}
        assert staged.actions("a") == [("RESERVE", 2), ("EXPIRE", 2), ("RESERVE", 2)]
    else:
        assert told == {"confirm": "OK", "pay": "INSUFFICIENT_STOCK"}
        assert staged.purchases == []
    assert word(staged.reservation("late")) == ("EXPIRED" if first == "pay" else "COMMITTED")


# --- release before its reserve arrives ------------------------------------------------------------


@pytest.mark.parametrize("first", ["release", "reserve"])
def test_release_before_its_reserve_arrives(staged: StagedShop, together: Together, first: str) -> None:
    """Too early it finds nothing, and the hold that comes after it lives until its time."""
    staged.stock("a", 2)
    release = v1.ReleaseReservationRequest(reservation_id="r")
    told = together.told(
        first,
        {
            "release": lambda: staged.inventory.ReleaseReservation.future(release),
            "reserve": reserving(staged, "r"),
        },
    )
    if first == "reserve":
        assert told == {"release": "OK", "reserve": "OK"}
        assert word(staged.reservation("r")) == "RELEASED"
        with staged.refused("RESERVATION_NOT_ACTIVE"):
            staged.reserve("r", ("a", 2))
    else:
        assert told == {"release": "RESERVATION_NOT_FOUND", "reserve": "OK"}
        held = staged.reservation("r")
        assert (word(held), held.HasField("expire_time")) == ("HELD", True)


def test_release_before_its_reserve_arrives_the_late_hold_dies(staged: StagedShop) -> None:
    """Nobody knows of the late hold any more: at its time its units are whoever's needs them."""
    staged.stock("a", 2)
    with staged.refused("RESERVATION_NOT_FOUND"):
        staged.release("late")
    staged.reserve_until_soon("late", ("a", 2))
    staged.wait_until_due(("a", 2))
    staged.reserve("next", ("a", 2))
    assert word(staged.reservation("late")) == "EXPIRED"


@pytest.mark.parametrize("first", ["release", "repeat"])
def test_release_then_a_late_repeat_of_its_reserve(
    staged: StagedShop, together: Together, first: str
) -> None:
    """A retry that arrives after the release never holds again."""
    staged.stock("a", 2)
    request = staged.reserve_request("r", ("a", 2))
    staged.inventory.ReserveStock(request)
    release = v1.ReleaseReservationRequest(reservation_id="r")
    told = together.told(
        first,
        {
            "release": lambda: staged.inventory.ReleaseReservation.future(release),
            "repeat": lambda: staged.inventory.ReserveStock.future(request),
        },
    )
    assert told == {"release": "OK", "repeat": "RESERVATION_NOT_ACTIVE" if first == "release" else "OK"}
    assert word(staged.reservation("r")) == "RELEASED"
    assert staged.numbers("a") == (2, 2, 0)


# --- return to a deleted location ------------------------------------------------------------------


@pytest.mark.parametrize("first", ["delete", "return"])
def test_return_to_a_deleted_location(staged: StagedShop, together: Together, first: str) -> None:
    """Deleted first: LOCATION_NOT_FOUND, name another. Returned first: the location is not empty."""
    staged.location("north")
    staged.stock("a", 5)
    staged.change("a", "INCREMENT", 2, location="north")
    request = staged.reserve_request("r", ("a", 2))
    request.lines[0].location = "north"
    staged.inventory.ReserveStock(request)
    staged.fulfill("r")
    delete = v1.DeleteLocationRequest(slug="north")
    back = v1.ReturnReservationItemsRequest(
        reservation_id="r", return_id="t", lines=staged.parts({1: 2}), restock=True
    )
    told = together.told(
        first,
        {
            "delete": lambda: staged.inventory.DeleteLocation.future(delete),
            "return": lambda: staged.inventory.ReturnReservationItems.future(back),
        },
    )
    if first == "return":
        assert told == {"return": "OK", "delete": "LOCATION_NOT_EMPTY"}
        assert staged.numbers("a") == (7, 7, 0)
        return
    assert told == {"return": "LOCATION_NOT_FOUND", "delete": "OK"}
    with staged.refused("LOCATION_NOT_FOUND") as refusal:
        staged.bring_back("r", "t", {1: 2})
    assert refusal.metadata == {"location": "north"}
    staged.bring_back("r", "t", {1: 2}, location="default")
    assert staged.numbers("a") == (7, 7, 0)
    assert [e.location for e in staged.log("a") if word(e, "action") == "RETURN"] == ["default"]
