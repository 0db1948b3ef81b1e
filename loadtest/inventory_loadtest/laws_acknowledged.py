"""Laws of answers: an OK is durable, an error left no trace, and nobody is sent away without cause (6)."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from inventory_client import v1
from inventory_loadtest.evidence import FinalState, Violation, payment_state_name
from inventory_loadtest.history import Event, Outcome, Step
from inventory_loadtest.laws_effects import missing_effect, trace_of

_GO_ON = ("AUTHORIZED", "CAPTURED", "PARTIALLY_REFUNDED")
_DEFINITE = (*_GO_ON, "DECLINED", "FAILED", "REQUIRES_ACTION", "VOIDED", "REFUNDED")
# What a payment may be after a call that was not refused.
_LATER = {
    Step.CAPTURE: ("CAPTURED",),
    Step.VOID: ("VOIDED",),
    Step.REFUND: ("PARTIALLY_REFUNDED", "REFUNDED"),
}


def acknowledged_found(history: Sequence[Event], state: FinalState) -> Iterator[Violation]:
    """Everything that a client was told OK is in the final state as it was told."""
    tried = {(e.payment_id, e.step) for e in history if e.payment_id and e.outcome is not Outcome.REFUSED}
    for event in history:
        if event.ok:
            missing = what_is_missing(event, state)
            if event.payment_id and not missing:
                missing = _other_state(event, state, tried)
            if missing:
                ids = (event.payment_id, event.order_id, event.cart_id, event.call_id, ", ".join(event.units))
                subject = next(filter(None, ids), "")
                yield Violation("acknowledged-found", subject, f"{event.step} was acknowledged; {missing}")


def what_is_missing(event: Event, state: FinalState) -> str:
    """What of a call that has happened isn't there, in words; "" where all is."""
    return _MISSING.get(event.step, missing_effect)(event, state)


def _missing_stock(event: Event, state: FinalState) -> str:
    for product_id, quantity in event.units.items():
        made = [e for e in state.log.get(product_id, ()) if e.action == v1.StockAction.STOCK_ACTION_CREATE]
        if product_id not in state.stocks or [entry.quantity for entry in made] != [quantity]:
            return f"the stock has no record of {quantity} units made"
    return ""


def _missing_cart(event: Event, state: FinalState) -> str:
    return "" if event.cart_id in state.carts else "the cart is not there"


def _missing_items(event: Event, state: FinalState) -> str:
    if event.cart_id not in state.carts:
        return "the cart is not there"
    there = _cart_units(state, event.cart_id)
    short = [product_id for product_id, units in event.units.items() if there[product_id] < units]
    return f"not in the cart: {', '.join(short)}" if short else ""


def _missing_order(event: Event, state: FinalState) -> str:
    order = state.orders.get(event.order_id)
    if order is None:
        return "the order is not there"
    units = {line.product_id: line.quantity for line in order.lines}
    if (order.total_minor, units, order.cart_id) != (event.total_minor, event.units, event.cart_id):
        return f"the order is another one: {order.total_minor} for {units} of cart {order.cart_id}"
    return ""


def _missing_payment(event: Event, state: FinalState) -> str:
    payment = state.payments.get(event.payment_id)
    if payment is None:
        return "the payment is not there"
    if payment.order_id != event.order_id or (
        event.amount_minor and payment.amount_minor != event.amount_minor
    ):
        return f"the payment is another one: {payment.amount_minor} of order {payment.order_id}"
    return ""


def _other_state(event: Event, state: FinalState, tried: set[tuple[str, Step]]) -> str:
    """What a payment is that was told to be something else, where no later call explains it."""
    payment = state.payments.get(event.payment_id)
    if payment is None or event.state not in _DEFINITE:
        return ""
    name = payment_state_name(payment)
    later = {name for step, names in _LATER.items() if (event.payment_id, step) in tried for name in names}
    may_be = {event.state} | (later if event.state in _GO_ON else set())
    return "" if name in may_be else f"as {event.state}, it is {name}"


_MISSING = {
    Step.CREATE_STOCK: _missing_stock,
    Step.CREATE_CART: _missing_cart,
    Step.ADD_ITEMS: _missing_items,
    Step.CHECKOUT: _missing_order,
    Step.PAY: _missing_payment,
    Step.POLL: _missing_payment,
    Step.CAPTURE: _missing_payment,
    Step.VOID: _missing_payment,
}


def refused_without_trace(history: Sequence[Event], state: FinalState) -> Iterator[Violation]:
    """What a client was refused left nothing behind."""
    acknowledged = {event.cart_id for event in history if event.step is Step.CHECKOUT and event.ok}
    undone = {e.order_id for e in history if e.step is Step.CANCEL and e.outcome is not Outcome.REFUSED}
    for event in history:
        if event.outcome is not Outcome.REFUSED:
            continue
        if event.step is Step.CREATE_CART and event.cart_id in state.carts:
            yield _trace(event, event.cart_id, "the cart is there")
        elif event.step is Step.CHECKOUT and event.order_id in state.orders:
            yield _trace(event, event.order_id, "the order is there")
        elif event.step is Step.PAY and event.payment_id in state.payments:
            yield _trace(event, event.payment_id, "the payment is there")
        elif event.step is Step.ADD_ITEMS and event.cart_id in acknowledged:
            yield _trace(event, event.cart_id, "the cart was checked out")
        elif trace := trace_of(event, state, undone):
            yield _trace(event, event.call_id or event.order_id, trace)
    for cart_id, most in _most_units(history).items():
        more = _cart_units(state, cart_id) - most
        if more:
            text = f"more in the cart than was acknowledged or in doubt: {dict(more)}"
            yield Violation("refused-without-trace", cart_id, text)


def _most_units(history: Iterable[Event]) -> dict[str, Counter[str]]:
    """The most that each cart may hold: what wasn't refused."""
    most: dict[str, Counter[str]] = defaultdict(Counter)
    for event in history:
        if event.step is Step.ADD_ITEMS:
            most[event.cart_id].update({} if event.outcome is Outcome.REFUSED else event.units)
    return most


def no_false_refusal(history: Sequence[Event], state: FinalState) -> Iterator[Violation]:
    """Whoever was refused for want of stock lacked some: once at least too little of a line was available.

    Sound whatever was released meanwhile: the least that a level ever had is at most what it had then.
    """
    least_at: dict[str, dict[str, int]] = defaultdict(dict)
    for product_id, entries in state.log.items():
        for entry in entries:
            # What no CREATE has made was opened later: before that there was none.
            made = 0 if entry.version == 1 and entry.action != v1.StockAction.STOCK_ACTION_CREATE else None
            known = (least_at[product_id].get(entry.location), made, entry.available_after)
            least_at[product_id][entry.location] = min(each for each in known if each is not None)
    wanted: dict[str, Counter[str]] = defaultdict(Counter)
    for event in history:
        if event.step is Step.ADD_ITEMS:
            wanted[event.cart_id].update(event.units)
    for event in history:
        units = wanted[event.cart_id] if event.cart_id else Counter(event.units)
        if event.sold_out and all(_always_had(least_at[p], event.location) >= n for p, n in units.items()):
            text = f"{event.step} was refused for want of stock, of which there always was enough"
            yield Violation("no-false-refusal", event.cart_id or event.call_id, text)


def _always_had(least: Mapping[str, int], location: str) -> int:
    """What a product had at one location at any time; where none is named, at the one that had most."""
    return least.get(location, 0) if location else max(least.values(), default=0)


def _trace(event: Event, subject: str, found: str) -> Violation:
    return Violation(
        "refused-without-trace", subject, f"{event.step} was refused ({event.reason}), but {found}"
    )


def _cart_units(state: FinalState, cart_id: str) -> Counter[str]:
    cart = state.carts.get(cart_id, v1.Cart())
    return Counter({item.product_id: item.quantity for item in cart.items})
