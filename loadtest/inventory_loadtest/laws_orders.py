"""Laws of orders: who holds units, who may, and that no more is paid for than was there (2, 4, 5)."""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator

from inventory_client import v1
from inventory_loadtest.evidence import COUNTING, FinalState, Violation, cancelled
from inventory_loadtest.history import Event, Outcome, Step


def allocation_explained(state: FinalState) -> Iterator[Violation]:
    """What is allocated is what was allocated by hand plus what orders and reservations hold open."""
    held: Counter[str] = Counter()
    orders = (line for order in state.orders.values() for line in order.lines)
    reservations = (line for reservation in state.reservations.values() for line in reservation.lines)
    for line in itertools.chain[v1.OrderLine | v1.ReservationLine](orders, reservations):
        held[line.product_id] += line.open
    for product_id, stock in state.stocks.items():
        by_hand = {entry.location: entry.hand_allocated_after for entry in state.log.get(product_id, ())}
        explained = sum(by_hand.values()) + held[product_id]
        if stock.allocated != explained:
            text = (
                f"allocated {stock.allocated}, but {sum(by_hand.values())} by hand "
                f"and {held[product_id]} held open"
            )
            yield Violation("allocation-explained", product_id, text)


def holds_match_log(state: FinalState) -> Iterator[Violation]:
    """Orders and reservations hold open what the log gave them and hasn't taken back, never below nothing."""
    for reservation_id in state.reservations.keys() | state.held_by_log.get("", {}).keys():
        units = state.held_by_log.get("", {}).get(reservation_id, Counter())
        reservation = state.reservations.get(reservation_id, v1.Reservation())
        yield from _unlike(reservation_id, units, reservation.lines)
    for order_id in (state.orders.keys() | state.held_by_log.keys()) - {""}:
        by_log: Counter[str] = Counter()
        for reservation_id, units in state.held_by_log.get(order_id, {}).items():
            by_log.update(units)
            for product_id, count in units.items():
                if count < 0:
                    text = (
                        f"reservation {reservation_id} gave back {-count} of {product_id} more than it held"
                    )
                    yield Violation("holds-match-log", order_id, text)
        yield from _unlike(order_id, by_log, state.orders.get(order_id, v1.Order()).lines)


def _unlike(
    subject: str, by_log: Counter[str], lines: Iterable[v1.OrderLine | v1.ReservationLine]
) -> Iterator[Violation]:
    """Where what lines hold open is not what the log says."""
    by_lines: Counter[str] = Counter()
    for line in lines:
        by_lines[line.product_id] += line.open
    for product_id in sorted(by_log.keys() | by_lines.keys()):
        if by_log[product_id] != by_lines[product_id]:
            text = f"{product_id}: holds {by_lines[product_id]}, by the log {by_log[product_id]}"
            yield Violation("holds-match-log", subject, text)


def one_live_reservation(state: FinalState) -> Iterator[Violation]:
    """At no version of any level does an order hold units by two reservations."""
    for product_id, entries in state.log.items():
        live: dict[str, Counter[str]] = defaultdict(Counter)
        for entry in entries:
            if not entry.order_id:
                continue
            held = live[entry.order_id]
            is_reserve = entry.action == v1.StockAction.STOCK_ACTION_RESERVE
            held[entry.reservation_id] += entry.quantity if is_reserve else -entry.quantity
            if is_reserve and sum(count > 0 for count in held.values()) > 1:
                text = f"two reservations hold {product_id} at version {entry.version}"
                yield Violation("one-live-reservation", entry.order_id, text)
    for order_id, reservations in state.held_by_log.items():
        live_ones = [r for r, units in reservations.items() if any(count > 0 for count in units.values())]
        if order_id and len(live_ones) > 1:
            text = f"{len(live_ones)} reservations are live at the end"
            yield Violation("one-live-reservation", order_id, text)


def no_leaked_allocation(history: Iterable[Event], state: FinalState) -> Iterator[Violation]:
    """An order that no payment counts for, or that is cancelled, holds nothing, unless it was given units."""
    given = {e.call_id for e in history if e.step is Step.CANCEL and e.outcome is not Outcome.REFUSED}
    for order_id, order in state.orders.items():
        held = sum(line.open for line in order.lines)
        if held and cancelled(order):
            yield Violation("no-leaked-allocation", order_id, f"cancelled, and holds {held} units")
        elif held and not _counts(state, order_id) and order_id not in given:
            text = f"holds {held} units, and no payment of it is captured or in flight"
            yield Violation("no-leaked-allocation", order_id, text)


def paid_units_kept(state: FinalState) -> Iterator[Violation]:
    """An order that a payment counts for, and that isn't cancelled, holds or has shipped every unit."""
    for order_id, order in state.orders.items():
        if cancelled(order) or not _counts(state, order_id):
            continue
        for line in order.lines:
            if line.open + line.fulfilled != line.quantity:
                text = (
                    f"{line.product_id}: a payment counts for {line.quantity} units, "
                    f"{line.open} are held and {line.fulfilled} shipped"
                )
                yield Violation("paid-units-kept", order_id, text)


def never_oversold(history: Iterable[Event], state: FinalState) -> Iterator[Violation]:
    """Of no product are more units paid for than were stocked, and not taken away since in other ways."""
    for product_id, (paid, stocked) in sorted(paid_and_stocked(history, state).items()):
        if paid > stocked:
            text = f"{paid} units paid for, {stocked} stocked"
            yield Violation("never-oversold", product_id, text)


def paid_and_stocked(history: Iterable[Event], state: FinalState) -> dict[str, tuple[int, int]]:
    """Units paid for and units stocked, by product; what the log has come and go beside orders is counted in.

    An order is paid for, whole, where any witness has it so: the final state, a client that was told
    CAPTURED, the gateway's books. Its units are those of the order, else those that the client saw.
    """
    stocked: Counter[str] = Counter()
    seen_units: dict[str, dict[str, int]] = {}
    paid_orders = {payment.order_id for payment in state.payments.values() if payment.state in _CAPTURED}
    paid_orders.update(taking.order_id for taking in state.takings or ())
    for event in history:
        if event.step is Step.CREATE_STOCK and event.ok:
            stocked.update(event.units)
        elif event.step is Step.CHECKOUT and event.ok:
            seen_units[event.order_id] = event.units
        elif event.state == "CAPTURED":
            paid_orders.add(event.order_id)
    paid: Counter[str] = Counter()
    for order_id in paid_orders:
        order = state.orders.get(order_id)
        if order is None:
            paid.update(seen_units.get(order_id, {}))
        elif not cancelled(order):
            for line in order.lines:
                paid[line.product_id] += line.quantity
    for product_id in paid.keys() | stocked.keys():
        stocked[product_id] += _come_beside_orders(state.log.get(product_id, ()))
    return {
        product_id: (paid[product_id], stocked[product_id]) for product_id in paid.keys() | stocked.keys()
    }


def _come_beside_orders(entries: Iterable[v1.StockTransaction]) -> int:
    """Units of a product that came after it was made, less those that somebody else than an order has."""
    units = 0
    totals: Counter[str] = Counter()
    for entry in entries:
        if entry.order_id and entry.action != v1.StockAction.STOCK_ACTION_RETURN:
            pass  # what orders take and give is what is judged
        elif entry.action == v1.StockAction.STOCK_ACTION_SET:
            units += entry.quantity - totals[entry.location]
        else:
            units += _COMES.get(entry.action, 0) * entry.quantity
        totals[entry.location] = entry.available_after + entry.allocated_after
    return units


_COMES = {
    v1.StockAction.STOCK_ACTION_INCREMENT: 1,
    v1.StockAction.STOCK_ACTION_DECREMENT: -1,
    v1.StockAction.STOCK_ACTION_ALLOCATE: -1,
    v1.StockAction.STOCK_ACTION_DEALLOCATE: 1,
    v1.StockAction.STOCK_ACTION_RESERVE: -1,
    v1.StockAction.STOCK_ACTION_RELEASE: 1,
    v1.StockAction.STOCK_ACTION_EXPIRE: 1,
    v1.StockAction.STOCK_ACTION_RETURN: 1,
}


_CAPTURED = (v1.PaymentState.PAYMENT_STATE_CAPTURED,)


def _counts(state: FinalState, order_id: str) -> bool:
    return any(payment.state in COUNTING for payment in state.payments_by_order.get(order_id, ()))
