"""Extending a hold: later or never, never sooner, and not once it is due."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from inventory_server.domain.commands import (
    ConfirmReservation,
    ExpireReservation,
    FulfillReservation,
    ReleaseReservation,
    ReserveStock,
)
from inventory_server.domain.errors import (
    InvalidValue,
    ReservationNotActive,
    ReservationNotFound,
    ReservationOwnedByOrder,
)
from inventory_server.domain.limits import HOLD_S_DEFAULT, HOLD_S_MAX
from inventory_server.domain.order import CartItem
from inventory_server.domain.reservation import Line, ReservationState
from inventory_server.domain.reservation_commands import ExtendReservation
from inventory_server.domain.state import State
from inventory_server.domain.store import StoreSettings
from support.world import BEGINNING, World

HELD, COMMITTED, CLOSED, RELEASED, EXPIRED = ReservationState


def after(seconds: float) -> Any:
    return BEGINNING + timedelta(seconds=seconds)


@pytest.fixture
def world() -> World:
    """4 of 10 `a` held as `r` for a minute; half of it has gone by."""
    made = World()
    made.stock("a", 10)
    made.hold("r", Line("a", 4), ttl_s=60)
    made.wait(30)
    return made


@pytest.mark.parametrize(
    ("extension", "until"),
    [
        (ExtendReservation("r", ttl_s=60), after(90)),
        (ExtendReservation("r", ttl_s=HOLD_S_MAX), after(30 + HOLD_S_MAX)),
        (ExtendReservation("r", expire_time=after(60.000001)), after(60.000001)),
        (ExtendReservation("r", expire_time=after(30 + HOLD_S_MAX)), after(30 + HOLD_S_MAX)),
        (ExtendReservation("r", never_expires=True), None),
    ],
)
def test_a_hold_runs_out_later(world: World, extension: ExtendReservation, until: Any) -> None:
    """The new time counts from the decision; units don't move, and the hold lasts exactly so long."""
    entries = len(world.log)
    extended = world.do(extension)
    assert (extended.state, extended.expire_time) == (HELD, until)
    assert len(world.log) == entries
    world.now = (until or after(100 * HOLD_S_MAX)) - timedelta(microseconds=1)
    assert world.do(ExpireReservation("r")).state is HELD
    if until is not None:
        world.now = until
        assert world.do(ExpireReservation("r")).state is EXPIRED
    world.check()


@pytest.mark.parametrize("extension", [{"ttl_s": 30}, {"ttl_s": 1}, {"expire_time": after(31)}])
def test_a_hold_never_runs_out_sooner(world: World, extension: dict[str, Any]) -> None:
    """A time that is not later than what it has changes nothing: extensions may arrive in any order."""
    before = world.snapshot()
    assert world.do(ExtendReservation("r", **extension)).expire_time == after(60)
    assert world.snapshot() == before
    endless = world.do(ExtendReservation("r", never_expires=True))
    assert world.do(ExtendReservation("r", **extension)) == endless


def test_a_confirmed_one_has_no_time_any_more(world: World) -> None:
    """Extending a COMMITTED one is OK and changes nothing, a part of it gone or not."""
    world.do(ConfirmReservation("r"))
    before = world.snapshot()
    assert world.do(ExtendReservation("r", ttl_s=60)).state is COMMITTED
    assert world.snapshot() == before


@pytest.mark.parametrize("is_swept", [True, False])
def test_one_that_is_due_is_refused(world: World, is_swept: bool) -> None:
    """At its time a hold has ended, whether or not the sweeper came by; its units are free."""
    world.wait(30)
    if is_swept:
        world.do(ExpireReservation("r"))
    with pytest.raises(ReservationNotActive) as caught:
        world.do(ExtendReservation("r", ttl_s=60))
    assert caught.value.state == EXPIRED
    assert world.rows["reservations"]["r"].state is EXPIRED
    assert world.numbers("a") == (10, 0)
    world.check()


@pytest.mark.parametrize(("end", "state"), [(ReleaseReservation, RELEASED), (FulfillReservation, CLOSED)])
def test_one_that_has_ended_is_refused(world: World, end: Any, state: ReservationState) -> None:
    """RELEASED and CLOSED are final."""
    world.do(end("r"))
    with pytest.raises(ReservationNotActive) as caught:
        world.do(ExtendReservation("r", never_expires=True))
    assert caught.value.state == state


def test_whose_hold_is_extended(world: World) -> None:
    """There has to be one, and it is no order's."""
    with pytest.raises(ReservationNotFound):
        world.do(ExtendReservation("ghost", ttl_s=60))
    world.order("o", CartItem("a", 1, 5, None))
    world.begin("o", "p", 5)
    with pytest.raises(ReservationOwnedByOrder):
        world.do(ExtendReservation("hold for p", ttl_s=60))


@pytest.mark.parametrize("ahead_s", [0, -1, HOLD_S_MAX + 0.000001])
def test_a_time_out_of_its_range(world: World, ahead_s: float) -> None:
    """expire_time lies ahead of the database's time, by 90 days at most."""
    with pytest.raises(InvalidValue) as caught:
        world.do(ExtendReservation("r", expire_time=world.now + timedelta(seconds=ahead_s)))
    assert caught.value.field == "expire_time"


@pytest.mark.parametrize("default_hold_s", [1, HOLD_S_DEFAULT, HOLD_S_MAX])
def test_a_hold_without_a_word_lasts_as_the_store_says(
    world: World, default_hold_s: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store's settings say how long units are held where the call does not."""
    load = world.state

    def state() -> State:
        loaded = load()
        loaded.settings = StoreSettings(default_hold_s=default_hold_s)
        return loaded

    monkeypatch.setattr(world, "state", state)
    held = world.do(ReserveStock("later", (Line("a", 1),)))
    assert held.expire_time == after(30 + default_hold_s)
