"""Write docs/order-flow.md: the flow in pictures, its state machines drawn from what the rules do.

python tools/order_flow.py            writes it
python tools/order_flow.py --print    prints it

Nothing is drawn by hand: from an empty store every command is tried in every situation that the rules lead
to, breadth first, and each change of state that is seen becomes an arrow. A test says when the page is stale.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

from inventory_server.domain import commands, order_commands
from inventory_server.domain.commands import Command
from inventory_server.domain.decide import Request, decide
from inventory_server.domain.limits import DEFAULT_LOCATION
from inventory_server.domain.location import Location
from inventory_server.domain.order import CartItem
from inventory_server.domain.payment import OperationKind, OperationState
from inventory_server.domain.payment_commands import (
    BeginCapture,
    BeginConfirm,
    BeginPayment,
    BeginRefund,
    BeginVoid,
    SettlePayment,
)
from inventory_server.domain.reservation import Line, LineUnits
from inventory_server.domain.state import State
from inventory_server.domain.tables import Table

PAGE = Path(__file__).resolve().parent.parent / "docs" / "order-flow.md"
SITUATIONS_MAX = 10_000
LEASE_S = 10.0
_NOW = datetime(2026, 1, 1, tzinfo=UTC)


class Situation(NamedTuple):
    """A store: the rows of each table, and how much time went by."""

    rows: dict[str, dict[Any, Any]]
    waited_s: float = 0.0

    def state(self) -> State:
        state = State(now=_NOW + timedelta(seconds=self.waited_s))
        for name, rows in self.rows.items():
            for key, row in rows.items():
                getattr(state, name).load(key, row)
        return state


class Step(NamedTuple):
    """What somebody does: a label for the arrow, how long they wait before it, and the commands of it."""

    label: str
    commands: tuple[Command, ...]
    wait_s: float = 0.0


def after(situation: Situation, step: Step) -> Situation | None:
    """Return what a step leads to; None where the rules refuse it."""
    now = situation._replace(waited_s=situation.waited_s + step.wait_s)
    for command in step.commands:
        state = now.state()
        (verdict,) = decide(state, [Request(command)])
        if isinstance(verdict, Exception):
            return None
        now = now._replace(
            rows={name: {**now.rows.get(name, {}), **dict(t.written())} for name, t in _tables(state)}
        )
    return now


def _tables(state: State) -> Iterator[tuple[str, Table[Any, Any]]]:
    for name in State.__dataclass_fields__:
        if isinstance(table := getattr(state, name), Table):
            yield name, table


def arrows(
    start: Situation, steps: Sequence[Step], look: Callable[[State], str], apart: Callable[[State], object]
) -> dict[tuple[str, str], list[str]]:
    """Try every step in every situation that the rules lead to; return the changes of state.

    Args:
        look: names the state that the picture shows; "" = there is none yet.
        apart: tells situations apart that look the same and do not behave so.
    """
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    seen = {repr(apart(start.state()))}
    layer = [start]
    while layer:
        following = []
        for situation in layer:
            before = look(situation.state())
            for step in steps:
                then = after(situation, step)
                if then is None:
                    continue
                state = then.state()
                now = look(state)
                if now != before and step.label not in found[before, now]:
                    found[before, now].append(step.label)
                if (key := repr(apart(state))) not in seen:
                    seen.add(key)
                    following.append(then)
        assert len(seen) < SITUATIONS_MAX
        layer = following
    return found


def picture(found: dict[tuple[str, str], list[str]]) -> str:
    """Return a state diagram in Mermaid's words."""
    lines = ["```mermaid", "stateDiagram-v2"]
    for (before, now), labels in found.items():
        if labels:
            lines.append(f"    {before or '[*]'} --> {now}: {', '.join(labels)}")
    return "\n".join([*lines, "```"])


# --- a reservation -------------------------------------------------------------------------------


def a_shop(units: int) -> Situation:
    """A product with so many units at `default`."""
    empty = Situation({"locations": {DEFAULT_LOCATION: Location(DEFAULT_LOCATION)}})
    made = after(empty, Step("", (commands.CreateStock("tea", units),)))
    assert made is not None
    return made


def reservation_picture() -> str:
    steps = (
        Step("Reserve", (commands.ReserveStock("r", (Line("tea", 2),), ttl_s=60),)),
        Step("Confirm", (commands.ConfirmReservation("r"),)),
        Step("Release", (commands.ReleaseReservation("r"),)),
        Step("Fulfill", (commands.FulfillReservation("r"),)),
        Step("Fulfill a part", (commands.FulfillReservation("r", (LineUnits(1, 1),)),)),
        Step("its time is over", (commands.ExpireReservation("r"),), wait_s=60),
    )

    def look(state: State) -> str:
        held = state.reservations.get("r")
        return held.state.value if held else ""

    def apart(state: State) -> object:
        held = state.reservations.get("r")
        return held and (held.state, [line[3:] for line in held.lines], state.levels.get(("tea", "default")))

    return picture(arrows(a_shop(2), steps, look, apart))


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


_ANSWERS = (OperationState.ACCEPTED, OperationState.DECLINED, OperationState.FAILED)
_ASK_THE_SHOPPER = ("purchase", "authorize", "confirm")


def payment_picture() -> str:
    """Each call with the gateway's answer to it; PROCESSING stands between, and lasts while in doubt."""
    kind = OperationKind
    begins: list[tuple[str, BeginPayment | BeginCapture | BeginVoid | BeginConfirm | BeginRefund]] = [
        ("purchase", BeginPayment("o", "p", 200, "", "PURCHASE", "hold 1", LEASE_S)),
        ("authorize", BeginPayment("o", "p", 200, "", "AUTHORIZE", "hold 2", LEASE_S, kind=kind.AUTHORIZE)),
        ("capture", BeginCapture("o", "p", "CAPTURE", LEASE_S, amount_minor=200)),
        ("void", BeginVoid("o", "p", "VOID", LEASE_S)),
        ("confirm", BeginConfirm("o", "p", "CONFIRM", LEASE_S, reservation_id="hold 3")),
        ("refund of a part", BeginRefund("o", "p", "REFUND 1", LEASE_S, refund_id="1", amount_minor=100)),
        ("refund of a part", BeginRefund("o", "p", "REFUND 2", LEASE_S, refund_id="2", amount_minor=100)),
        ("refund", BeginRefund("o", "p", "REFUND 3", LEASE_S, refund_id="3", amount_minor=200)),
    ]
    steps = [
        Step(
            f"{name} {outcome.value.lower().replace('_', ' ')}",
            (begin, SettlePayment("o", "p", begin.operation_id, outcome, lease_s=LEASE_S)),
        )
        for name, begin in begins
        for outcome in OperationState
        if outcome in _ANSWERS or (outcome is OperationState.REQUIRES_ACTION and name in _ASK_THE_SHOPPER)
    ]

    def look(state: State) -> str:
        paid = state.payments.get("p")
        return paid.state.value if paid else ""

    def apart(state: State) -> object:
        paid = state.payments.get("p")
        return paid and [(o.operation_id, o.state) for o in paid.operations]

    return picture(arrows(an_order(2, 100), steps, look, apart))


# --- an order ------------------------------------------------------------------------------------


def order_picture() -> str:
    """An order paid in one part or in two, cancelled and shipped, whole and in parts."""

    def paid(name: str, payment_id: str, amount_minor: int, outcome: OperationState) -> Step:
        begin = BeginPayment("o", payment_id, amount_minor, "", payment_id, f"hold for {payment_id}", LEASE_S)
        settle = SettlePayment("o", payment_id, payment_id, outcome, lease_s=LEASE_S)
        return Step(name, (begin, settle))

    steps = [
        Step("Checkout", (commands.Checkout("c", "o"),)),
        paid("first half paid", "p1", 100, OperationState.ACCEPTED),
        paid("second half paid", "p2", 100, OperationState.ACCEPTED),
        paid("paid in full", "p3", 200, OperationState.ACCEPTED),
        paid("declined", "p4", 200, OperationState.DECLINED),
        Step("CancelOrder", (order_commands.CancelOrder("o"),)),
        Step("ShipOrder", (order_commands.ShipOrder("o", "s1"),)),
        Step("ShipOrder, a part", (order_commands.ShipOrder("o", "s2", (LineUnits(1, 1),)),)),
    ]

    def look(state: State) -> str:
        return state.order_view("o").state.value if state.orders.get("o") else ""

    def apart(state: State) -> object:
        if not state.orders.get("o"):
            return None
        view = state.order_view("o")
        held = view.reservation and (view.reservation.state, [line.open for line in view.reservation.lines])
        return view.state, view.payment_state, view.shipping_state, held, [p.state for p in view.payments]

    return picture(arrows(a_cart(2, 100), steps, look, apart))


_PAGE = """\
# The order flow

<!-- Written by `make docs`: tools/order_flow.py draws the state machines from what the rules do. -->

What each step checks and moves is a table in [concepts.md](concepts.md#the-order-flow); every call is in
[api.md](api.md). The state machines are not drawn by hand: each command was tried in every situation that the
rules lead to, and each change of state that was seen is an arrow.

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

## An order

Its state is derived from its payments and shipments and stored nowhere.

{order}

## A payment

Each arrow is a call with the gateway's answer to it. Between the two the payment is PROCESSING; where the
answer is in doubt it stays so, and the units stay held, until the reconciler has asked, or an administrator
has said (ResolvePayment). What the gateway accepts against that word is moved back by itself or, where it
refuses, by people, who then say so (ResolvePayment on the reversal that failed); no state follows from it.

{payment}

## A reservation

Made by a caller, or by the order flow itself, which then alone moves it.

{reservation}
"""


def page() -> str:
    """Return the page's text."""
    return _PAGE.format(order=order_picture(), payment=payment_picture(), reservation=reservation_picture())


if __name__ == "__main__":
    if "--print" in sys.argv:
        sys.stdout.write(page())
    else:
        PAGE.write_text(page())
