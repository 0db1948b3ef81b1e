"""The life of a reservation that a caller made: every transition, every repeat, and the clock."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from inventory_server.domain.commands import (
    Command,
    ConfirmReservation,
    ExpireReservation,
    FulfillReservation,
    ReleaseReservation,
    ReserveStock,
)
from inventory_server.domain.errors import (
    IdReused,
    InsufficientStock,
    InvalidValue,
    LocationNotFound,
    ReservationExpired,
    ReservationNotActive,
    ReservationNotFound,
    ReservationOwnedByOrder,
    Shortage,
)
from inventory_server.domain.limits import HOLD_S_DEFAULT, HOLD_S_MAX, HOLD_S_MIN
from inventory_server.domain.location import Location
from inventory_server.domain.order import CartItem
from inventory_server.domain.reservation import Line, ReservationState
from inventory_server.domain.stock import Action
from support.world import BEGINNING, World

HELD, COMMITTED, CLOSED, RELEASED, EXPIRED = ReservationState
LINES = (Line("a", 4), Line("b", 2))
RESERVE = ReserveStock("r", LINES, ttl_s=60)
MOVES: dict[str, Callable[[str], Command]] = {
    "reserve": lambda _: RESERVE,
    "confirm": ConfirmReservation,
    "release": ReleaseReservation,
    "fulfill": FulfillReservation,
    "expire": ExpireReservation,
}


def world_with(state: str) -> World:
    """4 of 10 `a` and 2 of 5 `b` reserved as `r`, which then came to a state; "DUE" = HELD, its time over."""
    world = World()
    world.stock("a", 10)
    world.stock("b", 5)
    world.do(RESERVE)
    moves = {"COMMITTED": ConfirmReservation, "CLOSED": FulfillReservation, "RELEASED": ReleaseReservation}
    if state in moves:
        world.do(moves[state]("r"))
    if state in ("DUE", "EXPIRED"):
        world.wait(60)
    if state == "EXPIRED":
        world.do(ExpireReservation("r"))
    return world


UNITS = {HELD: (6, 4), COMMITTED: (6, 4), CLOSED: (6, 0), RELEASED: (10, 0), EXPIRED: (10, 0)}


@pytest.mark.parametrize(
    ("state", "move", "after"),
    [
        ("HELD", "confirm", COMMITTED),
        ("HELD", "release", RELEASED),
        ("HELD", "fulfill", CLOSED),
        ("COMMITTED", "release", RELEASED),
        ("COMMITTED", "fulfill", CLOSED),
        # nothing happens
        ("HELD", "reserve", HELD),
        ("HELD", "expire", HELD),
        ("COMMITTED", "reserve", COMMITTED),
        ("COMMITTED", "confirm", COMMITTED),
        ("COMMITTED", "expire", COMMITTED),
        ("CLOSED", "reserve", CLOSED),
        ("CLOSED", "expire", CLOSED),
        ("RELEASED", "release", RELEASED),
        ("RELEASED", "expire", RELEASED),
        ("EXPIRED", "release", EXPIRED),
        ("EXPIRED", "expire", EXPIRED),
        # its time is over
        ("DUE", "expire", EXPIRED),
        ("DUE", "release", EXPIRED),
        ("DUE", "confirm", COMMITTED),
        ("DUE", "fulfill", CLOSED),
        ("EXPIRED", "confirm", COMMITTED),
        ("EXPIRED", "fulfill", CLOSED),
    ],
)
def test_every_transition(state: str, move: str, after: ReservationState) -> None:
    """Each move leads where the table says, and its units are where that state says."""
    world = world_with(state)
    reservation = world.do(MOVES[move]("r"))
    assert reservation.state is after
    assert world.numbers("a") == UNITS[after]
    sums = {HELD: (4, 0, 0), COMMITTED: (4, 0, 0), CLOSED: (0, 0, 4), RELEASED: (0, 4, 0), EXPIRED: (0, 4, 0)}
    line = reservation.lines[0]
    assert (line.reserved, line.open, line.released, line.fulfilled) == (4, *sums[after])
    if after in (COMMITTED, CLOSED):
        assert reservation.expire_time is None
    world.check()


@pytest.mark.parametrize(
    ("state", "move"),
    [
        ("HELD", "reserve"),
        ("HELD", "expire"),
        ("COMMITTED", "reserve"),
        ("COMMITTED", "confirm"),
        ("CLOSED", "reserve"),
        ("RELEASED", "release"),
        ("EXPIRED", "release"),
    ],
)
def test_a_repeat_changes_nothing(state: str, move: str) -> None:
    """What is so already is answered as it is, and nothing is written."""
    world = world_with(state)
    before = world.snapshot()
    world.do(MOVES[move]("r"))
    assert world.snapshot() == before


@pytest.mark.parametrize(
    ("state", "move", "told"),
    [
        ("CLOSED", "confirm", CLOSED),
        ("CLOSED", "release", CLOSED),
        ("CLOSED", "fulfill", CLOSED),
        ("RELEASED", "reserve", RELEASED),
        ("RELEASED", "confirm", RELEASED),
        ("RELEASED", "fulfill", RELEASED),
        ("EXPIRED", "reserve", EXPIRED),
        ("DUE", "reserve", EXPIRED),
    ],
)
def test_an_ended_one_is_not_active(state: str, move: str, told: ReservationState) -> None:
    """RELEASED and CLOSED are final, and no late retry of Reserve ever holds again."""
    world = world_with(state)
    with pytest.raises(ReservationNotActive) as caught:
        world.do(MOVES[move]("r"))
    assert caught.value.state == told
    world.check()


@pytest.mark.parametrize("move", ["confirm", "release", "fulfill"])
def test_an_unknown_one_is_not_found(move: str) -> None:
    """A release that comes before its reserve is NOT_FOUND: the late hold dies by its expiry."""
    world = World()
    with pytest.raises(ReservationNotFound):
        world.do(MOVES[move]("r"))
    assert world.do(ExpireReservation("r")) is None
    assert not world.rows["reservations"]


@pytest.mark.parametrize("move", ["confirm", "release", "fulfill"])
def test_an_orders_reservation_is_moved_by_its_order_alone(move: str) -> None:
    """A reservation that the order flow made is out of every caller's reach."""
    world = World()
    world.stock("a", 1)
    world.order("o", CartItem("a", 1, 5, None))
    world.begin("o", "p", 5)
    before = world.snapshot()
    with pytest.raises(ReservationOwnedByOrder) as caught:
        world.do(MOVES[move]("hold for p"))
    assert caught.value.order_id == "o"
    assert world.snapshot() == before


@pytest.mark.parametrize(
    "other",
    [
        ReserveStock("r", (Line("a", 5), Line("b", 2)), ttl_s=60),
        ReserveStock("r", (Line("a", 4),), ttl_s=60),
        ReserveStock("r", (Line("a", 4, "default"), Line("b", 2)), ttl_s=60),
        ReserveStock("r", LINES, ttl_s=61),
        ReserveStock("r", LINES, never_expires=True),
        ReserveStock("r", LINES, order_id="o", ttl_s=60),
    ],
)
@pytest.mark.parametrize("state", ["HELD", "CLOSED", "RELEASED", "DUE"])
def test_other_content_under_a_used_id(state: str, other: ReserveStock) -> None:
    """An id with other content is ID_REUSED, in whatever state: before anything else is looked at."""
    world = world_with(state)
    before = world.snapshot()
    with pytest.raises(IdReused) as caught:
        world.do(other)
    assert (caught.value.field, caught.value.value) == ("reservation_id", "r")
    assert world.snapshot() == before


def test_all_lines_or_none() -> None:
    """One short line, and nothing of the others is held."""
    world = World()
    world.stock("a", 10)
    world.stock("b", 1)
    before = world.snapshot()
    with pytest.raises(InsufficientStock) as caught:
        world.hold("r", Line("a", 10), Line("b", 2), Line("c", 1))
    assert caught.value.shortages == (Shortage("b", None, 2, 1, True), Shortage("c", None, 1, 0, False))
    assert world.snapshot() == before


def test_an_unknown_location_is_refused_at_input() -> None:
    """ReserveStock refuses a slug that no location has."""
    world = World()
    world.stock("a", 1)
    with pytest.raises(LocationNotFound):
        world.hold("r", Line("a", 1, "attic"))


# --- the clock -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "hold_s"),
    [
        (ReserveStock("r", LINES), HOLD_S_DEFAULT),
        (ReserveStock("r", LINES, ttl_s=HOLD_S_MIN), HOLD_S_MIN),
        (ReserveStock("r", LINES, ttl_s=1.5), 1.5),
        (ReserveStock("r", LINES, ttl_s=HOLD_S_MAX), HOLD_S_MAX),
        (ReserveStock("r", LINES, expire_time=BEGINNING + timedelta(microseconds=1)), 0.000001),
        (ReserveStock("r", LINES, expire_time=BEGINNING + timedelta(seconds=HOLD_S_MAX)), HOLD_S_MAX),
    ],
)
def test_a_hold_lasts_as_long_as_was_said(command: ReserveStock, hold_s: float) -> None:
    """A hold is due at its expire_time, not a microsecond before; 15 minutes if nothing was said."""
    world = World()
    world.stock("a", 10)
    world.stock("b", 5)
    held = world.do(command)
    assert held.expire_time == BEGINNING + timedelta(seconds=hold_s)
    world.now = held.expire_time - timedelta(microseconds=1)
    assert world.do(ExpireReservation("r")).state is HELD
    world.now = held.expire_time
    assert world.do(ExpireReservation("r")).state is EXPIRED
    assert [entry.action for entry in world.log[-2:]] == [Action.EXPIRE] * 2
    world.check()


def test_a_hold_without_end() -> None:
    """A hold that never expires is never due."""
    world = World()
    world.stock("a", 10)
    world.stock("b", 5)
    assert world.do(ReserveStock("r", LINES, never_expires=True)).expire_time is None
    world.wait(10 * HOLD_S_MAX)
    assert world.do(ExpireReservation("r")).state is HELD


@pytest.mark.parametrize(
    "ahead",
    [
        timedelta(0),
        timedelta(microseconds=-1),
        timedelta(seconds=HOLD_S_MAX, microseconds=1),
    ],
)
def test_an_expire_time_out_of_its_range(ahead: timedelta) -> None:
    """expire_time lies ahead of the database's time, by 90 days at most."""
    world = World()
    world.stock("a", 10)
    with pytest.raises(InvalidValue) as caught:
        world.do(ReserveStock("r", (Line("a", 1),), expire_time=BEGINNING + ahead))
    assert caught.value.field == "expire_time"
    assert not world.rows["reservations"]


def test_confirmed_holds_are_not_due() -> None:
    """Only a HELD reservation expires: a confirmed one stays, however long it takes."""
    world = world_with("COMMITTED")
    world.wait(HOLD_S_MAX)
    assert world.do(ExpireReservation("r")).state is COMMITTED
    assert world.numbers("a") == (6, 4)


@pytest.mark.parametrize("move", ["confirm", "fulfill"])
def test_an_expired_one_whose_units_are_gone(move: str) -> None:
    """Confirm and Fulfill of an expired hold need the whole again, or are refused with the shortages."""
    world = world_with("EXPIRED")
    world.hold("other", Line("a", 7))
    before = world.snapshot()
    with pytest.raises(ReservationExpired) as caught:
        world.do(MOVES[move]("r"))
    assert caught.value.shortages == (Shortage("a", None, 4, 3, True),)
    assert world.snapshot() == before


@pytest.mark.parametrize("move", ["confirm", "fulfill"])
def test_the_expiry_stands_though_its_cause_is_refused(move: str) -> None:
    """A due hold that is confirmed too late ends, even where the confirmation itself is refused."""
    world = world_with("DUE")
    world.rows["locations"]["default"] = Location("default", enabled=False)
    with pytest.raises(ReservationExpired):
        world.do(MOVES[move]("r"))
    assert world.rows["reservations"]["r"].state is EXPIRED
    assert world.numbers("a") == (10, 0)
    world.check()


@pytest.mark.parametrize(("named", "served"), [(None, "far"), ("near", "")])
def test_an_expired_one_is_sourced_afresh(named: str | None, served: str) -> None:
    """A late confirmation is served from wherever the line may be served now, as it was asked for."""
    world = World([Location("near"), Location("far", priority=1)])
    world.stock("a", 4, "near")
    world.stock("a", 9, "far")
    world.hold("r", Line("a", 4, named), ttl_s=60)
    world.wait(60)
    taken = world.batch(ExpireReservation("r"), ReserveStock("other", (Line("a", 1, "near"),)))
    assert taken[0].lines[0].location == "near"
    if served:
        assert world.do(ConfirmReservation("r")).lines[0].location == served
    else:
        with pytest.raises(ReservationExpired):
            world.do(ConfirmReservation("r"))
    world.check()
