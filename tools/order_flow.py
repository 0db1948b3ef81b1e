"""Write docs/order-flow.md: the flow in pictures, its state machines drawn from what the rules do.

python tools/order_flow.py            writes it
python tools/order_flow.py --print    prints it

Nothing is drawn by hand: from an empty store every command is tried in every situation that the rules lead
to, breadth first, and each change of state that is seen becomes an arrow. One test says when the page is
stale, another when a command of the rules is among no picture's steps.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from situations import Situation, Step, after, arrows, drawn

from inventory_server.domain import commands, order_commands, reservation_commands
from inventory_server.domain.limits import CART_EXPIRY_S_DEFAULT, DEFAULT_LOCATION, EXPIRED_CART_KEPT_S
from inventory_server.domain.location import Location
from inventory_server.domain.order import CartItem
from inventory_server.domain.payment import OperationKind, OperationState, Payment
from inventory_server.domain.payment_commands import (
    BeginCapture,
    BeginConfirm,
    BeginPayment,
    BeginRefund,
    BeginVoid,
    ClaimOperation,
    ResolvePayment,
    SettlePayment,
)
from inventory_server.domain.reservation import Line, LineUnits
from inventory_server.domain.state import State

PAGE = Path(__file__).resolve().parent.parent / "docs" / "order-flow.md"
LEASE_S = 10.0
# --- a reservation -------------------------------------------------------------------------------


def a_shop(units: int) -> Situation:
    """A product with so many units at `default`."""
    empty = Situation({"locations": {DEFAULT_LOCATION: Location(DEFAULT_LOCATION)}})
    made = after(empty, Step("", (commands.CreateStock("tea", units),)))
    assert made is not None
    return made


def reservation_steps() -> list[Step]:
    return [
        Step("Reserve", (commands.ReserveStock("r", (Line("tea", 2),), ttl_s=60),)),
        Step("Confirm", (commands.ConfirmReservation("r"),)),
        Step("Extend", (reservation_commands.ExtendReservation("r", never_expires=True),)),
        Step("Release", (commands.ReleaseReservation("r"),)),
        Step("Fulfill", (commands.FulfillReservation("r"),)),
        Step("Fulfill a part", (commands.FulfillReservation("r", (LineUnits(1, 1),)),)),
        Step("Return", (reservation_commands.ReturnReservationItems("r", "b", (LineUnits(1, 1),), True),)),
        Step("its time is over", (commands.ExpireReservation("r"),), wait_s=60),
    ]


def reservation_picture() -> str:
    def look(state: State) -> tuple[str]:
        held = state.reservations.get("r")
        return (held.state.value if held else "",)

    def apart(state: State) -> object:
        held = state.reservations.get("r")
        lines = held and [line[3:] for line in held.lines]
        return held and (held.state, held.expire_time is None, lines, state.levels.get(("tea", "default")))

    (found,) = arrows(a_shop(2), reservation_steps(), look, apart)
    return drawn(found)


# --- a cart --------------------------------------------------------------------------------------


def cart_steps() -> list[Step]:
    tea = CartItem("tea", 1, 100, None)
    return [
        Step("CreateCart", (commands.CreateCart("c", "EUR"),)),
        Step("AddCartItems", (commands.AddCartItems("c", (tea,)),)),
        Step("UpdateCartItem", (commands.UpdateCartItem("c", "tea", quantity=2),)),
        Step("RemoveCartItem", (commands.RemoveCartItem("c", "tea"),)),
        Step("Checkout", (commands.Checkout("c", "o"),)),
        Step("DeleteCart", (commands.DeleteCart("c"),)),
        Step("its time is over", (), wait_s=CART_EXPIRY_S_DEFAULT),
        Step("the sweeper, a day later", (commands.RemoveExpiredCart("c"),), wait_s=EXPIRED_CART_KEPT_S),
    ]


def cart_picture() -> str:
    def look(state: State) -> tuple[str]:
        cart = state.carts.get("c")
        return (cart.state.value if cart else "",)

    def apart(state: State) -> object:
        cart = state.carts.get("c")
        # More than there is is all alike. An order outlives its cart, and there is no second one of its id.
        wanted = cart and [min(item.quantity, 3) for item in cart.items]
        return state.orders.get("o") is None, wanted, cart and cart.state

    (found,) = arrows(a_shop(2), cart_steps(), look, apart)
    return drawn(found)


# --- a payment -----------------------------------------------------------------------------------


def a_cart(units: int, price_minor: int) -> Situation:
    """A cart `c` with all there is."""
    filled = (
        commands.CreateCart("c", "EUR"),
        commands.AddCartItems("c", (CartItem("tea", units, price_minor, None),)),
    )
    made = after(a_shop(units), Step("", filled))
    assert made is not None
    return made


def an_order(units: int, price_minor: int) -> Situation:
    """An unpaid order `o` of it."""
    made = after(a_cart(units, price_minor), Step("", (commands.Checkout("c", "o"),)))
    assert made is not None
    return made


Begin = BeginPayment | BeginCapture | BeginVoid | BeginConfirm | BeginRefund

_ACCEPTED, _DECLINED = OperationState.ACCEPTED, OperationState.DECLINED
_ANSWERS = (_ACCEPTED, _DECLINED, OperationState.FAILED)
_ASKS_THE_SHOPPER = ("purchase", "authorize", "confirm")
_MAY_LAPSE = ("capture", "capture of a part", "void")
_GIVES = ("void", "refund")
_OF_HALVES = ("purchase", "authorize", "capture", "void")


def payment_calls(payment_id: str, whole_minor: int) -> list[tuple[str, Begin]]:
    """Every call on a payment of so much, whole and in halves."""
    half_minor = whole_minor // 2

    def of(operation_id: str) -> tuple[str, str, str, float]:
        return "o", payment_id, f"{operation_id} {payment_id}", LEASE_S

    def first(kind: OperationKind) -> BeginPayment:
        _, _, operation_id, lease_s = of(kind.value)
        hold_id = f"hold for {operation_id}"
        return BeginPayment("o", payment_id, whole_minor, "", operation_id, hold_id, lease_s, kind=kind)

    def refund(number: int, amount_minor: int) -> BeginRefund:
        refund_id = f"{number} {payment_id}"
        return BeginRefund(*of(f"refund {number}"), refund_id=refund_id, amount_minor=amount_minor)

    return [
        ("purchase", first(OperationKind.PURCHASE)),
        ("authorize", first(OperationKind.AUTHORIZE)),
        ("capture", BeginCapture(*of("capture"), amount_minor=whole_minor)),
        ("capture of a part", BeginCapture(*of("capture a part"), amount_minor=half_minor)),
        ("void", BeginVoid(*of("void"))),
        ("confirm", BeginConfirm(*of("confirm"), reservation_id=f"hold confirmed {payment_id}")),
        ("refund", refund(1, half_minor)),
        ("refund", refund(2, half_minor)),
        ("refund", refund(3, whole_minor)),
    ]


def payment_steps() -> list[Step]:
    return [step for name, begin in payment_calls("p", 200) for step in _answered(name, begin)]


def _answered(name: str, begin: Begin) -> Iterator[Step]:
    """Each answer by each who can give it: the gateway, an administrator, the reconciler who asked."""
    of = (begin.order_id or "", begin.payment_id, begin.operation_id)
    for outcome in _ANSWERS:
        label = f"{name} {outcome.value.lower()}"
        yield Step(label, (begin, SettlePayment(*of, outcome, lease_s=LEASE_S)))
    yield Step(f"{name} failed", (begin, ResolvePayment(*of, OperationState.FAILED, "seen at the gateway")))
    yield from _found_out(name, begin)
    yield from _asked(name, begin)
    yield from _contradicted(name, begin)


def _found_out(name: str, begin: Begin) -> Iterator[Step]:
    """Each answer that says what happened to the money, by who finds out after a time in doubt."""
    of = (begin.order_id or "", begin.payment_id, begin.operation_id)
    in_doubt = (replace(begin, lease_s=0.0), ClaimOperation(*of, LEASE_S))
    yield Step(f"{name} accepted", (*in_doubt, SettlePayment(*of, _ACCEPTED)))
    yield Step(f"{name} declined", (*in_doubt, ResolvePayment(*of, _DECLINED, "seen at the gateway")))
    if name in _MAY_LAPSE:
        lapsed = SettlePayment(*of, _DECLINED, lapsed=True)
        yield Step(f"{name.removesuffix(' of a part')} finds it lapsed", (*in_doubt, lapsed))


def _asked(name: str, begin: Begin) -> Iterator[Step]:
    if name in _ASKS_THE_SHOPPER:
        of = (begin.order_id or "", begin.payment_id, begin.operation_id)
        asks = SettlePayment(*of, OperationState.REQUIRES_ACTION)
        yield Step(f"{name} requires action", (begin, asks))


def _contradicted(name: str, begin: Begin) -> Iterator[Step]:
    """The gateway accepts what an administrator has called declined: the books stand, but for what gives."""
    of = (begin.order_id or "", begin.payment_id, begin.operation_id)
    undo_id = f"undo {begin.operation_id}"
    late = (
        begin,
        ResolvePayment(*of, _DECLINED, "seen at the gateway"),
        SettlePayment(*of, _ACCEPTED, reversal_id=undo_id, lease_s=LEASE_S),
    )
    if name in _GIVES:
        yield Step(f"{name} accepted", late)
    else:
        undone = SettlePayment(*of[:2], undo_id, _ACCEPTED, lease_s=LEASE_S)
        yield Step(f"{name} declined", (*late, undone))


def _behaviour(paid: Payment) -> tuple[object, ...]:
    """What tells payments apart that may be in the same state."""
    assert paid.first is not None
    return (
        paid.state,
        paid.first.kind,
        paid.is_lapsed,
        paid.amount_minor,
        paid.captured_minor,
        paid.refunded_minor,
    )


def payment_picture() -> str:
    def look(state: State) -> tuple[str]:
        paid = state.payments.get("p")
        return (paid.state.value if paid else "",)

    def apart(state: State) -> object:
        paid = state.payments.get("p")
        return paid and _behaviour(paid)

    (found,) = arrows(an_order(2, 100), payment_steps(), look, apart)
    return drawn(found)


# --- an order ------------------------------------------------------------------------------------


def order_steps() -> list[Step]:
    """An order paid whole, by each call, or in halves; cancelled, shipped and returned."""
    whole = payment_calls("p", 200)
    halves = [each for each in payment_calls("q", 100) + payment_calls("r", 100) if each[0] in _OF_HALVES]
    return [
        Step("Checkout", (commands.Checkout("c", "o"),)),
        *(step for name, begin in whole + halves for step in _found_out(name, begin)),
        # More payments that wait for their shopper would only make for more situations that are alike.
        *(step for name, begin in whole for step in _asked(name, begin)),
        Step("CancelOrder", (order_commands.CancelOrder("o"),)),
        Step("ShipOrder", (order_commands.ShipOrder("o", "s1"),)),
        Step("ShipOrder, a part", (order_commands.ShipOrder("o", "s2", (LineUnits(1, 1),)),)),
        Step("ReturnOrderItems", (order_commands.ReturnOrderItems("o", "b", (LineUnits(1, 1),), True),)),
    ]


def order_pictures() -> tuple[str, ...]:
    """The order's state, that of its payments together, and that of its shipments."""

    def look(state: State) -> tuple[str, ...]:
        if not state.orders.get("o"):
            return "", "", ""
        view = state.order_view("o")
        return view.state.value, view.payment_state.value, view.shipping_state.value

    def apart(state: State) -> object:
        if not state.orders.get("o"):
            return None
        view = state.order_view("o")
        held = view.reservation and (view.reservation.state, view.held_count)
        # An order is the same to all that comes after a payment that came to nothing, and before it.
        return look(state), held, sorted(_behaviour(p) for p in view.payments if p.counts or p.is_voidable)

    return tuple(drawn(found) for found in arrows(a_cart(2, 100), order_steps(), look, apart))


# By what a command names first, or after the order: what it is asked of.
STEPS: dict[str, Callable[[], list[Step]]] = {
    "reservation_id": reservation_steps,
    "cart_id": cart_steps,
    "order_id": order_steps,
    "payment_id": payment_steps,
}


_PAGE = """\
# The order flow

<!-- Written by `make docs`: tools/order_flow.py draws the state machines from what the rules do. -->

What each step checks and moves is a table in [concepts.md](concepts.md#the-order-flow); every call is in
[api.md](api.md). The state machines are not drawn by hand: from two units in stock, each command on a cart,
an order, a payment or a reservation was tried in every situation that the rules lead to, and each change of
state that was seen is an arrow.

## From the cart to the shelf's edge

```mermaid
flowchart TD
    cart["AddCartItems: does the stock have this request's quantity?"]
    cart -->|no| sold["INSUFFICIENT_STOCK: final"]
    cart -->|yes| checkout["Checkout: does it have each product's sum, now?"]
    checkout -->|no| sold
    checkout -->|yes| unpaid["an unpaid order: nothing is held"]
    unpaid --> pay["PayOrder, transaction 1: allocate the whole order, write the operation as PROCESSING"]
    pay -->|short| lost["INSUFFICIENT_STOCK: somebody was faster; the gateway is never called"]
    pay -->|held| gateway["the gateway is called, outside any transaction"]
    gateway -->|accepted| kept["transaction 2: the units are the customer's"]
    gateway -->|declined| released["transaction 2: released, unless another payment counts"]
    gateway -->|no answer| doubt["PROCESSING: the units stay held, the reconciler finds out"]
    doubt --> gateway
    kept --> ship["ShipOrder: the units leave the house"]
    kept --> cancel["CancelOrder: what is not shipped goes back to stock; no automatic refund"]
```

Of many who pay for the last unit, transaction 1 of exactly one finds it.

## A cart

{cart}

## An order

Its state is derived from its payments and shipments and stored nowhere. It was paid whole or in two halves;
`capture accepted` is a call with the answer to it, as below.

{order}

`payment_state`, of all its payments together:

{paid}

`shipping_state`:

{shipped}

## A payment

Each arrow is a call with the answer to it: the gateway's, at once or asked later, or an administrator's.
Between the two the payment is PROCESSING; where the answer is in doubt it stays so, and the units stay held,
until the reconciler has asked, or an administrator has said (ResolvePayment). What the gateway accepts
against that word is moved back by itself or, where it refuses, by people, who then say so (ResolvePayment on
the reversal that failed); no state follows from it. A void or a refund can't be moved back: the books follow.

{payment}

## A reservation

Made by a caller, or by the order flow itself, which then alone moves it.

{reservation}
"""


def page() -> str:
    """Return the page's text."""
    order, paid, shipped = order_pictures()
    return _PAGE.format(
        cart=cart_picture(),
        order=order,
        paid=paid,
        shipped=shipped,
        payment=payment_picture(),
        reservation=reservation_picture(),
    )


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page())
