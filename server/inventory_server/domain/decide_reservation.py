"""The life of a reservation that a caller made."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from inventory_server.domain.commands import (
    ConfirmReservation,
    ExpireReservation,
    FulfillReservation,
    ReleaseReservation,
    ReserveStock,
    content_hash,
)
from inventory_server.domain.errors import (
    IdReused,
    InvalidValue,
    ReservationExpired,
    ReservationNotActive,
    ReservationNotFound,
    ReservationOwnedByOrder,
)
from inventory_server.domain.holding import bring_back, give_back, hold, take_out
from inventory_server.domain.limits import HOLD_S_MAX
from inventory_server.domain.reservation import ItemReturn, Line, Reservation, ReservationState
from inventory_server.domain.reservation_commands import ExtendReservation, ReturnReservationItems
from inventory_server.domain.state import State


class Returned(NamedTuple):
    """A return, and the reservation as it stands with it."""

    item_return: ItemReturn
    reservation: Reservation


def reserve_stock(state: State, command: ReserveStock, _request_id: str | None) -> Reservation:
    content = content_hash(command)
    seen = state.reservations.get(command.reservation_id)
    if seen is not None and seen.content_hash != content:
        raise IdReused("reservation_id", command.reservation_id)
    if seen is not None:
        # The same content names the same products, so the levels that an expiry moves are loaded.
        seen = expire_if_due(state, seen)
        if seen.state in (ReservationState.RELEASED, ReservationState.EXPIRED):
            # A late retry must not hold again what was given back.
            raise ReservationNotActive(command.reservation_id, seen.state)
        return seen
    expire_time = _expire_time(command, state)
    for line in command.lines:
        state.need_location(line.location)
    reservation = Reservation(
        reservation_id=command.reservation_id,
        order_id=command.order_id,
        owned_by_order=False,
        state=ReservationState.HELD,
        lines=(),
        expire_time=expire_time,
        content_hash=content,
        created_at=state.now,
        updated_at=state.now,
    )
    return hold(state, reservation, command.lines)


def confirm_reservation(state: State, command: ConfirmReservation, _request_id: str | None) -> Reservation:
    return _confirm(state, _callers_own(state, command.reservation_id))


def release_reservation(state: State, command: ReleaseReservation, _request_id: str | None) -> Reservation:
    reservation = _callers_own(state, command.reservation_id)
    if reservation.state is ReservationState.CLOSED:
        raise ReservationNotActive(command.reservation_id, reservation.state)
    if not reservation.is_live:
        return reservation
    return give_back(
        state, reservation, ReservationState.RELEASED, reason=command.reason, reference=command.reference
    )


def fulfill_reservation(state: State, command: FulfillReservation, _request_id: str | None) -> Reservation:
    confirmed = _confirm(state, _callers_own(state, command.reservation_id))
    return take_out(
        state, confirmed, command.units or None, reason=command.reason, reference=command.reference
    )


def extend_reservation(state: State, command: ExtendReservation, _request_id: str | None) -> Reservation:
    """Let a hold run out later, never sooner; one that is confirmed has no time to extend any more."""
    expire_time = _expire_time(command, state)
    reservation = _callers_own(state, command.reservation_id)
    if not reservation.is_live:
        raise ReservationNotActive(command.reservation_id, reservation.state)
    if reservation.expire_time is None or (
        expire_time is not None and expire_time <= reservation.expire_time
    ):
        return reservation
    extended = reservation._replace(expire_time=expire_time, updated_at=state.now)
    state.reservations.put(extended.reservation_id, extended)
    return extended


def return_reservation_items(
    state: State, command: ReturnReservationItems, _request_id: str | None
) -> Returned:
    content = content_hash(command)
    seen = state.item_returns.get(command.return_id)
    if seen is not None and seen.content_hash != content:
        raise IdReused("return_id", command.return_id)
    reservation = _callers_own(state, command.reservation_id)
    if seen is not None:
        return Returned(seen, reservation)
    item_return = ItemReturn(
        command.return_id, command.reservation_id, command.units, command.restock, command.location,
        command.reason, command.reference, state.actor, content, state.now,
    )  # fmt: skip
    state.item_returns.put(item_return.return_id, item_return)
    reservation = bring_back(
        state, reservation, command.units, restock=command.restock, location=command.location,
        reason=command.reason, reference=command.reference,
    )  # fmt: skip
    return Returned(item_return, reservation)


def expire_reservation(
    state: State, command: ExpireReservation, _request_id: str | None
) -> Reservation | None:
    reservation = state.reservations.get(command.reservation_id)
    return None if reservation is None else expire_if_due(state, reservation)


def expire_if_due(state: State, reservation: Reservation) -> Reservation:
    """End a hold whose time is over: a command of its own, which stands if what follows is refused."""
    if not reservation.is_due(state.now):
        return reservation
    expired = give_back(state, reservation, ReservationState.EXPIRED)
    state.keep()
    return expired


def _callers_own(state: State, reservation_id: str) -> Reservation:
    reservation = state.reservations.get(reservation_id)
    if reservation is None:
        raise ReservationNotFound(reservation_id)
    if reservation.owned_by_order:
        raise ReservationOwnedByOrder(reservation_id, reservation.order_id or "")
    return expire_if_due(state, reservation)


def _confirm(state: State, reservation: Reservation) -> Reservation:
    """HELD -> COMMITTED; an expired one allocates the whole again, sourced afresh."""
    if reservation.state is ReservationState.COMMITTED:
        return reservation
    if reservation.state in (ReservationState.RELEASED, ReservationState.CLOSED):
        raise ReservationNotActive(reservation.reservation_id, reservation.state)
    if reservation.state is ReservationState.EXPIRED:
        lines = [Line(line.product_id, line.reserved, line.named_location) for line in reservation.lines]
        reservation = hold(state, reservation, lines, refusal=ReservationExpired)
    committed = reservation._replace(state=ReservationState.COMMITTED, expire_time=None, updated_at=state.now)
    state.reservations.put(committed.reservation_id, committed)
    return committed


def _expire_time(command: ReserveStock | ExtendReservation, state: State) -> datetime | None:
    if command.never_expires:
        return None
    if command.expire_time is None:
        return state.now + timedelta(seconds=command.ttl_s or state.settings.default_hold_s)
    if not state.now < command.expire_time <= state.now + timedelta(seconds=HOLD_S_MAX):
        raise InvalidValue("expire_time", f"must be ahead of now, by at most {HOLD_S_MAX} s")
    return command.expire_time
