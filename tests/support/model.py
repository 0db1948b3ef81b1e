"""The rules in miniature, written from the product's text alone: what any order of calls must come to.

It shares no line and no shape with the server: units held are never counted up and down here, they are what
the live reservations say; a payment is a stage and three amounts. A call is one step, or two where the
gateway is asked between them; between the steps of one call those of others may fall.

A verdict is a word: `OK`, `OK:` and the state answered, or the reason of a refusal.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

Line = tuple[str, int, str]  # product, quantity, location ("" = any)

_DEFINITE = ("AUTHORIZED", "CAPTURED")
LIVE = ("HELD", "COMMITTED")


class Later(NamedTuple):
    """The second step of a call: what the gateway's answer does."""

    step: str
    args: tuple[Any, ...]


class Refused(Exception):
    """A verdict that changes nothing."""


class Model:
    """One store."""

    def __init__(self) -> None:
        self.managed: set[str] = set()
        self.available: dict[tuple[str, str], int] = {}
        self.by_hand: dict[tuple[str, str], int] = {}
        self.entries: dict[tuple[str, str], int] = {}
        self.places = {"default": True, "shelf": True}  # slug -> enabled, in the order that they serve
        self.reservations: dict[str, dict[str, Any]] = {}
        self.carts: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.payments: dict[str, dict[str, Any]] = {}
        self.shipments: dict[str, tuple[Any, ...]] = {}
        self.refunds: dict[str, tuple[Any, ...]] = {}
        self.returns: dict[str, tuple[Any, ...]] = {}
        self.order_returns: dict[str, tuple[Any, ...]] = {}
        self.owned = 0
        self.answers: dict[tuple[str, str], tuple[Any, ...]] = {}

    def clone(self) -> Model:
        return copy.deepcopy(self)

    def apply(self, step: str, args: tuple[Any, ...], request_id: str = "") -> str | Later:
        """Take one step. A refusal leaves everything as it was; what changed something is answered again."""
        key = (step, request_id)
        if request_id and key in self.answers:
            asked, answer = self.answers[key]
            return answer if asked == args else "ID_REUSED"
        before = self.clone()
        try:
            verdict: str | Later = getattr(self, step)(*args)
        except Refused as refused:
            vars(self).update(vars(before))
            return str(refused)
        if request_id and vars(self) != vars(before):
            self.answers[key] = (args, verdict)
        return verdict

    # --- what can be seen --------------------------------------------------------------------------

    def held(self, key: tuple[str, str]) -> int:
        live = (r for r in self.reservations.values() if r["state"] in LIVE)
        return sum(line["open"] for r in live for line in r["lines"] if (line["product"], line["at"]) == key)

    def stock(self, product: str) -> tuple[int, int]:
        """(available, allocated) over all locations."""
        keys = [key for key in self.available if key[0] == product]
        return (
            sum(self.available[key] for key in keys),
            sum(self.by_hand.get(key, 0) + self.held(key) for key in keys),
        )

    def payment_word(self, payment_id: str) -> str:
        paid = self.payments[payment_id]
        if paid["pending"]:
            return "PROCESSING"
        if paid["stage"] != "CAPTURED" or not paid["refunded"]:
            return str(paid["stage"])
        return "REFUNDED" if paid["refunded"] == paid["captured"] else "PARTIALLY_REFUNDED"

    # --- stock by hand -----------------------------------------------------------------------------

    def create(self, product: str, quantity: int) -> str:
        if product in self.managed:
            raise Refused("STOCK_EXISTS")
        self.managed.add(product)
        self._log((product, "default"))
        self.available[product, "default"] = quantity
        return "OK"

    def delete(self, product: str) -> str:
        if product not in self.managed:
            raise Refused("STOCK_NOT_FOUND")
        if self.stock(product)[1]:
            raise Refused("STOCK_IN_USE")
        self.managed.remove(product)
        for key in [key for key in self.entries if key[0] == product]:
            self._log(key)
            self.available[key] = 0
        return "OK"

    def switch(self, place: str, enabled: bool) -> str:
        self.places[place] = enabled
        return "OK"

    def change(self, product: str, action: str, quantity: int, place: str) -> str:
        key = (product, place)
        if product not in self.managed:
            raise Refused("STOCK_NOT_FOUND")
        if action == "ALLOCATE" and not self.places[place]:
            raise Refused("LOCATION_DISABLED")
        free, by_hand = self.available.get(key, 0), self.by_hand.get(key, 0)
        if action in ("DECREMENT", "ALLOCATE") and free < quantity:
            raise Refused("INSUFFICIENT_STOCK")
        if action == "DEALLOCATE" and by_hand < quantity:
            raise Refused("HAND_ALLOCATION_TOO_SMALL")
        if action == "SET" and quantity < by_hand + self.held(key):
            raise Refused("TOTAL_BELOW_ALLOCATED")
        self._log(key)
        self.available[key] = {
            "INCREMENT": free + quantity,
            "DECREMENT": free - quantity,
            "ALLOCATE": free - quantity,
            "DEALLOCATE": free + quantity,
            "SET": quantity - by_hand - self.held(key),
        }[action]
        self.by_hand[key] = by_hand + {"ALLOCATE": quantity, "DEALLOCATE": -quantity}.get(action, 0)
        return "OK"

    def transfer(self, product: str, source: str, target: str, quantity: int) -> str:
        if product not in self.managed:
            raise Refused("STOCK_NOT_FOUND")
        if self.available.get((product, source), 0) < quantity:
            raise Refused("INSUFFICIENT_STOCK")
        for place, count in ((source, -quantity), (target, quantity)):
            self._log((product, place))
            self.available[product, place] = self.available.get((product, place), 0) + count
        return "OK"

    # --- reservations ------------------------------------------------------------------------------

    def reserve(self, reservation_id: str, lines: tuple[Line, ...]) -> str:
        seen = self.reservations.get(reservation_id)
        if seen is not None:
            if seen["asked"] != lines:
                raise Refused("ID_REUSED")
            if seen["state"] in ("RELEASED", "EXPIRED"):
                raise Refused("RESERVATION_NOT_ACTIVE")
            return f"OK:{seen['state']}"
        self._need_places(lines)
        self._hold(reservation_id, lines, "HELD", owner="")
        return "OK:HELD"

    def confirm(self, reservation_id: str) -> str:
        held = self._callers(reservation_id)
        if held["state"] not in LIVE:
            raise Refused("RESERVATION_NOT_ACTIVE")
        held["state"] = "COMMITTED"
        return "OK:COMMITTED"

    def release(self, reservation_id: str) -> str:
        held = self._callers(reservation_id)
        if held["state"] == "CLOSED":
            raise Refused("RESERVATION_NOT_ACTIVE")
        if held["state"] in LIVE:
            self._give_back(held)
        return f"OK:{held['state']}"

    def fulfill(self, reservation_id: str, units: tuple[tuple[int, int], ...]) -> str:
        """`units`: (line, quantity); none = all that are open."""
        held = self._callers(reservation_id)
        if held["state"] not in LIVE:
            raise Refused("RESERVATION_NOT_ACTIVE")
        if any(self._line(held, n).get("open", 0) < quantity for n, quantity in units):
            raise Refused("QUANTITY_EXCEEDS_HELD")
        self._take_out(held, dict(units) or _open(held))
        return f"OK:{held['state']}"

    def give_back(self, reservation_id: str, return_id: str, unit: tuple[int, int], restock: bool) -> str:
        asked = (reservation_id, unit, restock)
        seen = self.returns.get(return_id)
        if seen is not None and seen != asked:
            raise Refused("ID_REUSED")
        held = self._callers(reservation_id)
        if seen is not None:
            return f"OK:{held['state']}"
        self._bring_back(held, unit, restock)
        self.returns[return_id] = asked
        return f"OK:{held['state']}"

    # --- carts and orders --------------------------------------------------------------------------

    def cart(self, cart_id: str) -> str:
        self.carts.setdefault(cart_id, {"items": {}, "order": ""})
        return "OK"

    def add(self, cart_id: str, product: str, quantity: int, price: int, place: str) -> str:
        cart = self._cart(cart_id)
        self._need_places(((product, quantity, place),))
        self._need_open(cart)
        had, _, at = cart["items"].get(product, (0, 0, ""))
        self._need(self._source(((product, quantity, place or at),)))
        cart["items"][product] = (had + quantity, price, place or at)
        return "OK"

    def remove(self, cart_id: str, product: str) -> str:
        cart = self._cart(cart_id)
        if product not in cart["items"]:
            raise Refused("CART_ITEM_NOT_FOUND")
        self._need_open(cart)
        del cart["items"][product]
        return "OK"

    def check_out(self, cart_id: str, order_id: str) -> str:
        seen = self.orders.get(order_id)
        if seen is not None:
            if seen["cart"] != cart_id:
                raise Refused("ID_REUSED")
            return "OK"
        cart = self._cart(cart_id)
        self._need_open(cart)
        if not cart["items"]:
            raise Refused("CART_EMPTY")
        lines = tuple((product, quantity, at) for product, (quantity, _, at) in cart["items"].items())
        self._need(self._source(lines))
        cart["order"] = order_id
        self.orders[order_id] = {
            "cart": cart_id,
            "lines": lines,
            "total": sum(quantity * price for quantity, price, _ in cart["items"].values()),
            "hold": "",
            "cancelled": False,
        }
        return "OK"

    def cancel(self, order_id: str, target_id: str) -> str:
        if order_id == target_id:
            raise Refused("INVALID_FIELD")
        order = self._order(order_id)
        target = self._order(target_id) if target_id else None
        if order["cancelled"]:
            if target:
                raise Refused("ORDER_CANCELLED")
            return "OK"
        if any(paid["pending"] for paid in self._payments_of(order_id)):
            raise Refused("PAYMENT_IN_PROGRESS")
        if self._is_shipped(order):
            raise Refused("ORDER_NOT_CANCELLABLE")
        if target:
            self._need_unpaid(target_id, target)
        order["cancelled"] = True
        self._let_go(order)
        if target:
            self._allocate(target_id)
            self.reservations[target["hold"]]["lent"] = True
        return "OK"

    def _need_unpaid(self, order_id: str, order: dict[str, Any]) -> None:
        paid = self._payments_of(order_id)
        if order["cancelled"]:
            raise Refused("ORDER_CANCELLED")
        if any(each["pending"] for each in paid):
            raise Refused("PAYMENT_IN_PROGRESS")
        if self._is_held(order) or any(self._counts(each) for each in paid):
            raise Refused("ORDER_NOT_CANCELLABLE")

    def take_back(self, order_id: str, return_id: str, unit: tuple[int, int], restock: bool) -> str:
        asked = (order_id, unit, restock)
        seen = self.order_returns.get(return_id)
        if seen is not None and seen != asked:
            raise Refused("ID_REUSED")
        order = self._order(order_id)
        if seen is None:
            held = self.reservations[order["hold"]] if order["hold"] else {"lines": []}
            self._bring_back(held, unit, restock)
            self.order_returns[return_id] = asked
        return "OK"

    def ship(self, order_id: str, shipment_id: str, units: tuple[tuple[int, int], ...]) -> str:
        seen = self.shipments.get(shipment_id)
        if seen is not None:
            if seen != (order_id, units):
                raise Refused("ID_REUSED")
            return "OK"
        order = self._order(order_id)
        if order["cancelled"]:
            raise Refused("ORDER_CANCELLED")
        paid = self._payments_of(order_id)
        if any(each["pending"] for each in paid):
            raise Refused("PAYMENT_IN_PROGRESS")
        captured = sum(each["captured"] for each in paid)
        refunded = sum(each["refunded"] for each in paid)
        if self._is_shipped(order) or captured != order["total"] or refunded == captured:
            raise Refused("ORDER_NOT_SHIPPABLE")
        held = self.reservations[order["hold"]]
        if any(self._line(held, n).get("open", 0) < quantity for n, quantity in units):
            raise Refused("QUANTITY_EXCEEDS_HELD")
        self._take_out(held, dict(units) or _open(held))
        self.shipments[shipment_id] = (order_id, units)
        return "OK"

    # --- payments: the first step, and what the gateway's answer does -------------------------------

    def pay(self, order_id: str, payment_id: str, amount: int, kind: str, how: str) -> str | Later:
        asked = (order_id, amount, kind, how)
        seen = self.payments.get(payment_id)
        if seen is not None:
            if seen["asked"] != asked:
                raise Refused("ID_REUSED")
            return f"OK:{self.payment_word(payment_id)}"
        order = self._order(order_id)
        if order["cancelled"]:
            raise Refused("ORDER_CANCELLED")
        self._need_balance(order_id, amount)
        self._allocate(order_id)
        self.payments[payment_id] = {
            "asked": asked, "order": order_id, "amount": amount, "stage": "", "captured": 0, "refunded": 0,
            "pending": kind, "returning": 0,
        }  # fmt: skip
        return Later("settle", (payment_id, how))

    def confirm_payment(self, payment_id: str) -> str | Later:
        paid = self._payment(payment_id)
        if self.orders[paid["order"]]["cancelled"]:
            raise Refused("ORDER_CANCELLED")
        self._need_idle(paid)
        if paid["stage"] != "REQUIRES_ACTION":
            raise Refused("ORDER_NOT_PAYABLE")
        self._need_balance(paid["order"], paid["amount"])
        order = self.orders[paid["order"]]
        if not self._is_held(order) and self._source(order["lines"]) is None:
            return self._begin(paid, "VOID", payment_id)
        self._allocate(paid["order"])
        return self._begin(paid, "CONFIRM", payment_id)

    def capture(self, payment_id: str, amount: int) -> str | Later:
        paid = self._payment(payment_id)
        if self.orders[paid["order"]]["cancelled"]:
            raise Refused("ORDER_CANCELLED")
        self._need_idle(paid)
        if paid["stage"] != "AUTHORIZED":
            raise Refused("PAYMENT_NOT_CAPTURABLE")
        if amount > paid["amount"]:
            raise Refused("AMOUNT_EXCEEDS_BALANCE")
        paid["returning"] = amount
        return self._begin(paid, "CAPTURE", payment_id)

    def void(self, payment_id: str) -> str | Later:
        paid = self._payment(payment_id)
        self._need_idle(paid)
        if paid["stage"] not in ("AUTHORIZED", "REQUIRES_ACTION"):
            raise Refused("PAYMENT_NOT_VOIDABLE")
        return self._begin(paid, "VOID", payment_id)

    def refund(self, payment_id: str, refund_id: str, amount: int) -> str | Later:
        seen = self.refunds.get(refund_id)
        if seen is not None:
            if seen != (payment_id, amount):
                raise Refused("ID_REUSED")
            return f"OK:{self.payment_word(payment_id)}"
        paid = self._payment(payment_id)
        self._need_idle(paid)
        left = paid["captured"] - paid["refunded"]
        if not left:
            raise Refused("PAYMENT_NOT_REFUNDABLE")
        if amount > left:
            raise Refused("AMOUNT_EXCEEDS_BALANCE")
        self.refunds[refund_id] = (payment_id, amount)
        paid["returning"] = amount
        return self._begin(paid, "REFUND", payment_id)

    def settle(self, payment_id: str, how: str) -> str:
        """The gateway has answered: `how` steers a first operation, what comes later is accepted."""
        paid = self.payments[payment_id]
        pending, paid["pending"] = paid["pending"], ""
        if pending in ("PURCHASE", "AUTHORIZE") and how != "accept":
            paid["stage"] = {"decline": "DECLINED", "requires-action": "REQUIRES_ACTION"}[how]
        elif pending == "AUTHORIZE" or (pending == "CONFIRM" and paid["asked"][2] == "AUTHORIZE"):
            paid["stage"] = "AUTHORIZED"
        elif pending in ("PURCHASE", "CONFIRM"):
            paid["stage"], paid["captured"] = "CAPTURED", paid["amount"]
        elif pending == "CAPTURE":
            paid["stage"], paid["captured"] = "CAPTURED", paid["returning"]
        elif pending == "VOID":
            paid["stage"] = "VOIDED"
        else:
            paid["refunded"] += paid["returning"]
        paid["returning"] = 0
        order = self.orders[paid["order"]]
        if self._is_held(order):
            held = self.reservations[order["hold"]]
            if any(self._counts(each) for each in self._payments_of(paid["order"])):
                if self._counts(paid):
                    held["state"], held["lent"] = "COMMITTED", False
            elif not held["lent"]:  # a hold from before goes on
                self._let_go(order)
        return f"OK:{self.payment_word(payment_id)}"

    # --- what they share ---------------------------------------------------------------------------

    def _source(self, lines: tuple[Line, ...]) -> list[str] | None:
        """Where each line is served: whole, named places first; None where one is short."""
        free = dict(self.available)
        found = [""] * len(lines)
        for index in sorted(range(len(lines)), key=lambda i: not lines[i][2]):
            product, quantity, named = lines[index]
            if product not in self.managed:
                return None
            for place, enabled in self.places.items():
                key = (product, place)
                if enabled and named in ("", place) and free.get(key, 0) >= quantity:
                    free[key] -= quantity
                    found[index] = place
                    break
            else:
                return None
        return found

    def _hold(self, reservation_id: str, lines: tuple[Line, ...], state: str, owner: str) -> None:
        found = self._source(lines)
        if found is None:
            raise Refused("INSUFFICIENT_STOCK")
        self.reservations[reservation_id] = {
            "asked": lines,
            "state": state,
            "owner": owner,
            "lent": False,
            "lines": [
                {
                    "product": product,
                    "at": place,
                    "reserved": quantity,
                    "open": quantity,
                    "fulfilled": 0,
                    "returned": 0,
                }
                for (product, quantity, _), place in zip(lines, found, strict=True)
            ],
        }
        for (product, quantity, _), place in zip(lines, found, strict=True):
            self._log((product, place))
            self.available[product, place] -= quantity

    def _give_back(self, held: dict[str, Any]) -> None:
        for line in held["lines"]:
            if line["open"]:
                self._log((line["product"], line["at"]))
                self.available[line["product"], line["at"]] += line["open"]
                line["open"] = 0
        self._end(held)

    def _take_out(self, held: dict[str, Any], quantities: dict[int, int]) -> None:
        for number, quantity in quantities.items():
            line = held["lines"][number - 1]
            self._log((line["product"], line["at"]))
            line["open"] -= quantity
            line["fulfilled"] += quantity
        held["state"] = "COMMITTED"
        self._end(held)

    def _bring_back(self, held: dict[str, Any], unit: tuple[int, int], restock: bool) -> None:
        line = self._line(held, unit[0])
        if restock and line and line["product"] not in self.managed:
            raise Refused("STOCK_NOT_FOUND")
        if not line or line["fulfilled"] - line["returned"] < unit[1]:
            raise Refused("RETURN_EXCEEDS_SHIPPED")
        line["returned"] += unit[1]
        if restock:
            self._log((line["product"], line["at"]))
            self.available[line["product"], line["at"]] += unit[1]

    def _line(self, held: dict[str, Any], number: int) -> dict[str, Any]:
        """The line of a number; nothing where there is none."""
        return held["lines"][number - 1] if number <= len(held["lines"]) else {}

    def _end(self, held: dict[str, Any]) -> None:
        if not any(line["open"] for line in held["lines"]):
            held["state"] = "CLOSED" if any(line["fulfilled"] for line in held["lines"]) else "RELEASED"

    def _let_go(self, order: dict[str, Any]) -> None:
        if self._is_held(order):
            self._give_back(self.reservations[order["hold"]])

    def _allocate(self, order_id: str) -> None:
        order = self.orders[order_id]
        if not self._is_held(order):
            self.owned += 1
            hold = f"owned {self.owned}"
            self._hold(hold, order["lines"], "HELD", owner=order_id)
            order["hold"] = hold

    def _begin(self, paid: dict[str, Any], kind: str, payment_id: str) -> Later:
        paid["pending"] = kind
        return Later("settle", (payment_id, "accept"))

    def _is_held(self, order: dict[str, Any]) -> bool:
        return bool(order["hold"]) and self.reservations[order["hold"]]["state"] in LIVE

    def _is_shipped(self, order: dict[str, Any]) -> bool:
        lines = self.reservations[order["hold"]]["lines"] if order["hold"] else []
        return bool(lines) and all(line["fulfilled"] == line["reserved"] for line in lines)

    def order_word(self, order_id: str) -> str:
        order, paid = self.orders[order_id], self._payments_of(order_id)
        lines = self.reservations[order["hold"]]["lines"] if order["hold"] else []
        if any(line["fulfilled"] for line in lines) and (order["cancelled"] or self._is_shipped(order)):
            return "COMPLETE"
        if order["cancelled"]:
            return "CANCELLED"
        covered = sum(each["captured"] or each["amount"] for each in paid if each["stage"] in _DEFINITE)
        return "PROCESSING" if covered == order["total"] else "INCOMPLETE"

    def _counts(self, paid: dict[str, Any]) -> bool:
        return paid["stage"] in ("AUTHORIZED", "CAPTURED") or paid["pending"] in (
            "PURCHASE", "AUTHORIZE", "CONFIRM",
        )  # fmt: skip

    def _need_balance(self, order_id: str, amount: int) -> None:
        taken = in_flight = 0
        for paid in self._payments_of(order_id):
            if paid["pending"] in ("PURCHASE", "AUTHORIZE", "CONFIRM"):
                in_flight += paid["amount"]
            elif paid["stage"] == "AUTHORIZED":
                taken += paid["amount"]
            else:
                taken += paid["captured"]
        left = self.orders[order_id]["total"] - taken
        if amount > left - in_flight:
            raise Refused("PAYMENT_IN_PROGRESS" if amount <= left else "AMOUNT_EXCEEDS_BALANCE")

    def _need_idle(self, paid: dict[str, Any]) -> None:
        if paid["pending"]:
            raise Refused("PAYMENT_IN_PROGRESS")

    def _need_places(self, lines: tuple[Line, ...]) -> None:
        if any(place and place not in self.places for _, _, place in lines):
            raise Refused("LOCATION_NOT_FOUND")

    def _need(self, found: list[str] | None) -> None:
        if found is None:
            raise Refused("INSUFFICIENT_STOCK")

    def _need_open(self, cart: dict[str, Any]) -> None:
        if cart["order"]:
            raise Refused("CART_NOT_OPEN")

    def _callers(self, reservation_id: str) -> dict[str, Any]:
        return _found(self.reservations, reservation_id, "RESERVATION_NOT_FOUND")

    def _cart(self, cart_id: str) -> dict[str, Any]:
        return _found(self.carts, cart_id, "CART_NOT_FOUND")

    def _order(self, order_id: str) -> dict[str, Any]:
        return _found(self.orders, order_id, "ORDER_NOT_FOUND")

    def _payment(self, payment_id: str) -> dict[str, Any]:
        return _found(self.payments, payment_id, "PAYMENT_NOT_FOUND")

    def _payments_of(self, order_id: str) -> list[dict[str, Any]]:
        return [paid for paid in self.payments.values() if paid["order"] == order_id]

    def _log(self, key: tuple[str, str]) -> None:
        self.entries[key] = self.entries.get(key, 0) + 1


def _found(rows: dict[str, dict[str, Any]], key: str, reason: str) -> dict[str, Any]:
    if key not in rows:
        raise Refused(reason)
    return rows[key]


def _open(held: dict[str, Any]) -> dict[int, int]:
    return {number: line["open"] for number, line in enumerate(held["lines"], 1) if line["open"]}


class Call(NamedTuple):
    """What a caller asks. `request_id`: for a call that may come again, "" = it is new."""

    step: str
    args: tuple[Any, ...]
    request_id: str = ""


def explanations(model: Model, calls: list[Call], verdicts: list[str]) -> Iterator[Model]:
    """Yield what the store may be after calls that ran side by side.

    One model for each serial order of their steps that gives exactly these verdicts; none where no order
    explains what the callers were told.
    """
    yield from _orders(model, dict(enumerate(calls)), verdicts)


def _orders(model: Model, left: dict[int, Call], verdicts: list[str]) -> Iterator[Model]:
    if not left:
        yield model
    for index, call in left.items():
        tried = model.clone()
        verdict = tried.apply(*call)
        rest = {other: waiting for other, waiting in left.items() if other != index}
        if isinstance(verdict, Later):
            yield from _orders(tried, {**rest, index: Call(*verdict)}, verdicts)
        elif verdict == verdicts[index]:
            yield from _orders(tried, rest, verdicts)
