"""Laws of calls that bear an id of their own in what they do: done once, and found as they were told (6)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping

from inventory_client import v1
from inventory_loadtest.evidence import FinalState, Violation, action_name, cancelled
from inventory_loadtest.history import RESERVING, Event, Outcome, Step

_Reservation = v1.ReservationState

ENDED = "RESERVATION_NOT_ACTIVE"
"""The reason of a refusal that says itself that the id was there: a late repeat must not hold again."""


def effects_once(history: Iterable[Event], state: FinalState) -> Iterator[Violation]:
    """What the log has under a call's own reference is there once where it was told OK, never twice."""
    for event in history:
        if event.step not in _LOGGED:
            continue
        entries = state.referenced.get(event.call_id, ())
        there = Counter((e.product_id, action_name(e), e.quantity) for e in entries)
        wanted = _LOGGED[event.step](event, state)
        if event.outcome is Outcome.REFUSED:
            wanted.clear()
        if there != wanted and (there or event.ok):
            text = (
                f"{event.step} was {event.outcome} {event.reason}; the log has "
                f"{sorted(there.elements())}, not {sorted(wanted.elements())}"
            )
            yield Violation("effects-once", event.call_id, text)


def _changed(event: Event, _: FinalState) -> Counter[tuple[str, str, int]]:
    return Counter((product_id, event.action, quantity) for product_id, quantity in event.units.items())


def _transferred(event: Event, _: FinalState) -> Counter[tuple[str, str, int]]:
    return Counter(
        (product_id, action, quantity)
        for product_id, quantity in event.units.items()
        for action in ("TRANSFER_OUT", "TRANSFER_IN")
    )


def _imported(event: Event, state: FinalState) -> Counter[tuple[str, str, int]]:
    """Rows may have failed: those that the log has, as many as the job says."""
    there = {entry.product_id for entry in state.referenced.get(event.call_id, ())}
    applied = state.imports.get(event.call_id, v1.StockImport()).applied_count
    rows = Counter((p, "SET", total) for p, total in event.units.items() if p in there)
    return rows if len(rows) == applied else Counter({("rows applied", "SET", applied): 1})


_LOGGED = {Step.CHANGE: _changed, Step.TRANSFER: _transferred, Step.IMPORT: _imported}


def missing_effect(event: Event, state: FinalState) -> str:
    """What of a call that has happened isn't there, in words; "" where all is."""
    if event.step in RESERVING:
        return _missing_reservation(event, state)
    if event.step in _MISSING:
        return _MISSING[event.step](event, state)
    return "" if event.call_id in _named(event, state) else f"{event.call_id} is not there"


def _missing_entry(event: Event, state: FinalState) -> str:
    return "" if event.call_id in state.referenced else "the log has no entry of it"


def _missing_import(event: Event, state: FinalState) -> str:
    job = state.imports.get(event.call_id)
    if job is None or job.row_count != len(event.units):
        return "the import is not there as it was uploaded"
    is_done = job.state == v1.ImportState.IMPORT_STATE_SUCCEEDED
    return "" if is_done else f"it is {v1.ImportState.Name(job.state)}: {job.failure}"


def _missing_cancellation(event: Event, state: FinalState) -> str:
    if event.call_id and not state.orders.get(event.call_id, v1.Order()).reservation_id:
        return "the order that got the units has no reservation"
    is_cancelled = cancelled(state.orders.get(event.order_id, v1.Order()))
    return "" if is_cancelled else "the order is not cancelled"


def trace_of(event: Event, state: FinalState, undone: set[str]) -> str:
    """What a refused call left behind, in words; "" where nothing is.

    Args:
        undone: orders that another call cancelled, or may have cancelled.
    """
    if event.step is Step.RESERVE:
        is_there = event.call_id in state.reservations and event.reason != ENDED
        return "the reservation is there" if is_there else ""
    if event.step is Step.CANCEL:
        order = state.orders.get(event.order_id, v1.Order())
        return "the order is cancelled" if cancelled(order) and event.order_id not in undone else ""
    if event.step is Step.IMPORT:
        return "the import is there" if event.call_id in state.imports else ""
    if event.step in (Step.SHIP, Step.RETURN, Step.REFUND):
        return f"{event.call_id} is there" if event.call_id in _named(event, state) else ""
    return ""


def _named(event: Event, state: FinalState) -> set[str]:
    """The ids of what was done with the event's order or payment, of the event's kind."""
    order = state.orders.get(event.order_id, v1.Order())
    payment = state.payments.get(event.payment_id, v1.Payment())
    if event.step is Step.SHIP:
        return {shipment.shipment_id for shipment in order.shipments}
    if event.step is Step.RETURN:
        return {returned.return_id for returned in order.returns}
    return {operation.refund_id for operation in payment.operations}


def _missing_reservation(event: Event, state: FinalState) -> str:
    reservation = state.reservations.get(event.call_id)
    if reservation is None:
        return "the reservation is not there"
    units: Counter[str] = Counter()
    for line in reservation.lines:
        units[line.product_id] += line.reserved
    if event.step is Step.RESERVE:
        return "" if units == event.units else f"it is of {dict(units)}, not {event.units}"
    name = _Reservation.Name(reservation.state).removeprefix("RESERVATION_STATE_")
    return "" if name in _AFTER[event.step] else f"it is {name}"


# What a reservation can be after the one call that was made about it once it was held.
_AFTER = {
    Step.CONFIRM: ("COMMITTED", "CLOSED", "RELEASED"),
    Step.FULFILL: ("CLOSED",),
    Step.RELEASE: ("RELEASED", "EXPIRED"),
}


def _never_so(event: Event, state: FinalState) -> str:
    """Whether an export showed a total that a level never had."""
    totals: dict[str, set[int]] = {}
    for entries in state.log.values():
        for entry in entries:
            total = entry.available_after + entry.allocated_after
            totals.setdefault(f"{entry.product_id} {entry.location}", set()).add(total)
    never = [
        f"{level}: {total}" for level, total in event.units.items() if total not in totals.get(level, ())
    ]
    return f"totals that were never so: {', '.join(never)}" if never else ""


_MISSING: Mapping[Step, Callable[[Event, FinalState], str]] = {
    Step.CHANGE: _missing_entry,
    Step.TRANSFER: _missing_entry,
    Step.IMPORT: _missing_import,
    Step.EXPORT: _never_so,
    Step.CANCEL: _missing_cancellation,
}
