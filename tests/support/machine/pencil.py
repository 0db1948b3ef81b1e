"""Draws calls that mostly mean something: ids that are there, now and then a new one or nobody's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from support.machine.model import Call, Model

PRODUCTS = "abc"
PLACES = ("default", "default", "shelf", "shelf", "attic")
QUANTITIES = (1, 1, 2, 3, 5)
HAND_ACTIONS = ("INCREMENT", "INCREMENT", "DECREMENT", "ALLOCATE", "DEALLOCATE", "SET")
WAYS_TO_PAY = (
    *["accept"] * 6, "decline", "decline", "requires-action", "requires-action", *["down"] * 4,
    "capture-down",
    "capture-decline", "void-down", "void-decline", "refund-down", "refund-decline", "confirm-decline",
)  # fmt: skip

CHANGES = {
    "create": 2, "threshold": 1, "delete": 1, "change": 4, "transfer": 2, "import_rows": 1,
    "create_place": 2, "update_place": 1, "delete_place": 1, "set_up": 1,
    "reserve": 6, "confirm": 3, "release": 1, "extend": 2, "fulfill": 3, "bring_back": 2,
    "cart": 1, "add": 4, "update": 2, "remove": 1, "delete_cart": 1, "check_out": 3,
    "pay": 6, "capture": 2, "void": 1, "refund": 2, "confirm_payment": 2, "resolve": 3,
    "cancel": 3, "ship": 3, "take_back": 2,
}  # fmt: skip
LOOKS = (
    "look_at_stock", "look_at_levels", "list_stock", "check", "look_at_entry", "look_at_log", "look_at_place",
    "list_places", "look_at_settings", "list_imports", "export", "verify", "look_at_reservation",
    "list_reservations", "look_at_cart", "list_carts", "look_at_order", "list_orders", "look_at_payment",
    "list_payments",
)  # fmt: skip
STEPS = [step for step, often in CHANGES.items() for _ in range(often)] + list(LOOKS)
FORMS = {"change": ("change_many",), "reserve": ("reserve_many", "reserve_on_a_stream")}
"""How several calls of one kind may be one request."""

OF = {
    **dict.fromkeys(("confirm", "release", "extend", "fulfill", "bring_back"), "reservations"),
    **dict.fromkeys(("capture", "void", "refund", "confirm_payment", "resolve"), "payments"),
    **dict.fromkeys(("look_at_payment", "list_payments"), "payments"),
}
"""What must be there, that a call is worth drawing."""

REPEATED = frozenset({
    "create", "threshold", "delete", "change", "transfer", "create_place", "update_place", "delete_place",
    "set_up", "confirm", "release", "extend", "fulfill", "add", "update", "remove", "delete_cart", "cancel",
})  # fmt: skip
"""Those that take a `request_id`, but for the ones that the gateway ends."""


class Sending(NamedTuple):
    """What one caller sends: a call, or several as one request of that form."""

    calls: tuple[Call, ...]
    form: str = ""


class Pencil:
    """`one_of` draws one of a sequence."""

    def __init__(self, one_of: Callable[[Sequence[Any]], Any], model: Model) -> None:
        self.one_of, self._model = one_of, model

    def burst(self, calls_max: int) -> Iterator[Sending]:
        """Yield what is sent side by side."""
        left = self.one_of(range(1, calls_max + 1))
        meaning = [step for step in STEPS if step not in OF or getattr(self._model, OF[step])]
        while left > 0:
            step = self.one_of(meaning)
            form = self.one_of(("", "", *FORMS[step])) if step in FORMS and left >= 2 else ""
            calls = tuple(self.call(step, is_alone=not form) for _ in range(2 if form else 1))
            yield Sending(calls, form)
            left -= len(calls)

    def call(self, step: str, *, is_alone: bool = True) -> Call:
        args = getattr(self, step)()
        again = is_alone and step in REPEATED and self.one_of((True, False))
        return Call(step, args, f"q{self.one_of(range(8))}" if again else "")

    def a_ripe(self, rows: Mapping[str, Any], prefix: str, is_ripe: Callable[[Any], object]) -> str:
        """Return one of which the call may be true, mostly; else any."""
        ripe = [key for key, row in rows.items() if key.startswith(prefix) and is_ripe(row)]
        return (
            str(self.one_of(ripe[-3:]))
            if ripe and self.one_of((True, True, False))
            else self.an_id(rows, prefix)
        )

    def an_id(self, rows: Mapping[str, Any], prefix: str, new: int = 1) -> str:
        """Return one that is there, or with a chance of `new` in some the next one."""
        there = [key for key in rows if key.startswith(prefix)]
        return str(self.one_of([*there[-4:] * 2, *[f"{prefix}{len(there)}"] * new]))

    def over(self) -> tuple[list[str], list[str]]:
        """Return holds and carts whose time may be over now: two and one at most."""
        held = self._model.reservations.items()
        ticking = [id_ for id_, hold in held if hold["state"] == "HELD" and hold["clock"] == "ticking"]
        waiting = [id_ for id_ in self._model.carts if self._model.cart_word(id_) == "OPEN"]
        owned = [id_ for id_ in ticking if self._model.reservations[id_]["owner"]]
        holds = {self.one_of(ticking + owned) for _ in range(self.one_of((1, 2)))} if ticking else set()
        carts = [self.one_of(waiting)] if waiting and self.one_of((True, False, False)) else []
        return sorted(holds), carts

    # --- stock -------------------------------------------------------------------------------------

    def create(self) -> tuple[Any, ...]:
        return self.one_of(PRODUCTS), self.one_of((2, 5, 10))

    def threshold(self) -> tuple[Any, ...]:
        return self.one_of(PRODUCTS), self.one_of((-1, 1, 4))

    def delete(self) -> tuple[Any, ...]:
        return (self.one_of(PRODUCTS),)

    def create_place(self) -> tuple[Any, ...]:
        return (self.one_of(("shelf", "attic", "attic")),)

    def update_place(self) -> tuple[Any, ...]:
        return self.one_of(PLACES), self.one_of((-1, 0, 1)), self.one_of((True, True, False))

    delete_place = create_place

    def set_up(self) -> tuple[Any, ...]:
        return self.one_of(("defer", "unmanaged")), self.one_of((True, False))

    def change(self) -> tuple[Any, ...]:
        product, action = self.one_of(PRODUCTS), self.one_of(HAND_ACTIONS)
        return product, action, self.one_of(QUANTITIES), self.one_of(PLACES)

    def transfer(self) -> tuple[Any, ...]:
        source = self.one_of(PLACES)
        target = self.one_of([place for place in PLACES if place != source])
        return self.one_of(PRODUCTS), source, target, self.one_of(QUANTITIES)

    def import_rows(self) -> tuple[Any, ...]:
        rows = []
        for product in self.one_of(("a", "c", "ab", "bc")):
            places = self.one_of((("default",), ("shelf",), ("default", "attic")))
            rows.append((product, tuple((place, self.one_of((0, 2, 5, 10))) for place in places)))
        return f"i{len(self._model.imports)}-{self.one_of(range(1 << 30))}", tuple(rows)

    # --- reservations ------------------------------------------------------------------------------

    def lines(self) -> tuple[Any, ...]:
        products = self.one_of(("a", "b", "c", "ab", "ba", "bc"))
        return tuple((p, self.one_of(QUANTITIES), self.one_of(("", "", "shelf", "attic"))) for p in products)

    def reserve(self) -> tuple[Any, ...]:
        reservation_id = self.an_id(self._model.reservations, "r", new=6)
        return reservation_id, self.lines(), self.one_of((True, True, False))

    def confirm(self) -> tuple[Any, ...]:
        return (self.a_hold(),)

    release = confirm

    def a_hold(self) -> str:
        """Return one that runs out, mostly, or has."""
        return self.a_ripe(self._model.reservations, "r", lambda held: held["clock"])

    def extend(self) -> tuple[Any, ...]:
        return self.a_hold(), self.one_of((True, False))

    def fulfill(self) -> tuple[Any, ...]:
        units = self.one_of(((), (), ((1, 1),), ((1, 1), (2, 1)), ((1, 3),)))
        return self.a_hold(), units

    def unit(self) -> tuple[Any, ...]:
        return self.one_of(((1, 1), (1, 2), (2, 1))), self.one_of((True, True, False))

    def bring_back(self) -> tuple[Any, ...]:
        return_id = self.an_id(self._model.returns, "b", new=4)
        left = self.a_ripe(self._model.reservations, "r", lambda held: held["state"] == "CLOSED")
        return left, return_id, *self.unit()

    # --- carts and orders --------------------------------------------------------------------------

    def cart(self) -> tuple[Any, ...]:
        return (self.an_id(self._model.carts, "c", new=6),)

    def an_open_cart(self) -> str:
        return self.a_ripe(self._model.carts, "c", lambda cart: not cart["order"])

    def add(self) -> tuple[Any, ...]:
        place, track = self.one_of(("", "", *PLACES)), self.one_of((None, None, None, True, False))
        product, quantity = self.one_of(PRODUCTS), self.one_of(QUANTITIES)
        return self.an_open_cart(), product, quantity, self.one_of((100, 200)), place, track

    def an_item(self) -> tuple[str, str]:
        cart_id = self.an_open_cart()
        items = self._model.carts[cart_id]["items"] if cart_id in self._model.carts else {}
        return cart_id, self.one_of([*items] * 2 + [self.one_of(PRODUCTS)])

    def update(self) -> tuple[Any, ...]:
        values = {"quantity": QUANTITIES, "price": (100, 200), "place": ("", *PLACES), "track": (True, False)}
        names = self.one_of((*((name,) for name in values), ("quantity", "track"), ("price", "place")))
        return *self.an_item(), tuple((name, self.one_of(values[name])) for name in names)

    def remove(self) -> tuple[Any, ...]:
        return self.an_item()

    def delete_cart(self) -> tuple[Any, ...]:
        return (self.an_open_cart(),)

    def check_out(self) -> tuple[Any, ...]:
        cart_id = self.a_ripe(self._model.carts, "c", lambda cart: cart["items"] and not cart["order"])
        return cart_id, self.an_id(self._model.orders, "o", new=6)

    def cancel(self) -> tuple[Any, ...]:
        order_id = self.an_id(self._model.orders, "o")
        target = self.a_ripe(self._model.orders, "o", lambda order: not order["cancelled"])
        return order_id, target if target != order_id and self.one_of((True, False)) else ""

    def ship(self) -> tuple[Any, ...]:
        units = self.one_of(((), (), ((1, 1),), ((1, 1), (2, 1))))
        return self.a_paid_order(), self.an_id(self._model.shipments, "s", new=4), units

    def take_back(self) -> tuple[Any, ...]:
        return_id = self.an_id(self._model.order_returns, "t", new=4)
        return self.a_paid_order(), return_id, *self.unit()

    def a_paid_order(self) -> str:
        paid = {each["order"] for each in self._model.payments.values() if each["captured"]}
        return str(self.one_of(sorted(paid) * 2 + [self.an_id(self._model.orders, "o")]))

    # --- payments ----------------------------------------------------------------------------------

    def pay(self) -> tuple[Any, ...]:
        lent = {held["owner"] for held in self._model.reservations.values() if held["clock"]} - {""}
        to_pay = self.a_ripe(self._model.orders, "o", lambda order: not order["cancelled"])
        order_id = self.one_of((*sorted(lent)[:2], to_pay))
        total = self._model.orders[order_id]["total"] if order_id in self._model.orders else 100
        amount = self.one_of((total, total, total // 2, 100))
        kind = self.one_of(("PURCHASE", "PURCHASE", "AUTHORIZE"))
        return order_id, self.an_id(self._model.payments, "p", new=8), amount, kind, self.one_of(WAYS_TO_PAY)

    def capture(self) -> tuple[Any, ...]:
        payment_id = self.a_payment("AUTHORIZED")
        return payment_id, self.an_amount(payment_id)

    def void(self) -> tuple[Any, ...]:
        return (self.a_payment("AUTHORIZED", "REQUIRES_ACTION"),)

    def confirm_payment(self) -> tuple[Any, ...]:
        return (self.a_payment("REQUIRES_ACTION"),)

    def refund(self) -> tuple[Any, ...]:
        payment_id = self.a_payment("CAPTURED")
        return payment_id, self.an_id(self._model.refunds, "f", new=4), self.an_amount(payment_id)

    def a_payment(self, *stages: str) -> str:
        return self.a_ripe(self._model.payments, "p", lambda paid: paid["stage"] in stages)

    def an_amount(self, payment_id: str) -> int:
        amount = self._model.payments[payment_id]["amount"] if payment_id in self._model.payments else 100
        return int(self.one_of((amount, amount, 100)))

    def resolve(self) -> tuple[Any, ...]:
        """Of one in doubt, where there is one: an operation that is being asked about is nobody's to end."""
        paid = self._model.payments
        payment_id = self.one_of([id_ for id_ in paid if paid[id_]["pending"]] or list(paid) or ["p0"])
        operation = paid[payment_id]["operations"] if payment_id in paid else 1
        return payment_id, operation, self.one_of(("ACCEPTED", "DECLINED", "FAILED"))

    # --- looks -------------------------------------------------------------------------------------

    def look_at_stock(self) -> tuple[Any, ...]:
        return (tuple(PRODUCTS),)

    def look_at_levels(self) -> tuple[Any, ...]:
        return (self.one_of(PRODUCTS),)

    look_at_log = look_at_levels

    def list_stock(self) -> tuple[Any, ...]:
        return self.one_of((True, False)), self.one_of((True, False))

    def check(self) -> tuple[Any, ...]:
        return (self.lines(),)

    def look_at_entry(self) -> tuple[Any, ...]:
        return self.one_of(PRODUCTS), self.one_of(("default", "shelf")), self.one_of((1, 3, 6, 9))

    def look_at_place(self) -> tuple[Any, ...]:
        return (self.one_of(PLACES),)

    def list_places(self) -> tuple[Any, ...]:
        return ()

    look_at_settings = list_imports = export = verify = list_places

    def look_at_reservation(self) -> tuple[Any, ...]:
        return (self.an_id(self._model.reservations, "r"),)

    def list_reservations(self) -> tuple[Any, ...]:
        return (self.one_of(("HELD", "COMMITTED", "CLOSED", "RELEASED", "EXPIRED")),)

    def look_at_cart(self) -> tuple[Any, ...]:
        return (self.an_id(self._model.carts, "c"),)

    def list_carts(self) -> tuple[Any, ...]:
        return (self.one_of(("OPEN", "CHECKED_OUT", "EXPIRED")),)

    def look_at_order(self) -> tuple[Any, ...]:
        return (self.an_id(self._model.orders, "o"),)

    def list_orders(self) -> tuple[Any, ...]:
        return (self.one_of(("INCOMPLETE", "PROCESSING", "COMPLETE", "CANCELLED")),)

    def look_at_payment(self) -> tuple[Any, ...]:
        return (self.an_id(self._model.payments, "p"),)

    def list_payments(self) -> tuple[Any, ...]:
        return (self.one_of(("PROCESSING", "AUTHORIZED", "CAPTURED", "VOIDED", "REFUNDED", "DECLINED")),)
