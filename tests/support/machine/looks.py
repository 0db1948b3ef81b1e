"""What the reading calls answer of a store in miniature, at a point of the order of calls."""

from __future__ import annotations

from typing import Any

from support.machine.payments import Payments
from support.machine.stock import Line, found


class Looks(Payments):
    """Every answer is `OK:` and a plain value, as `looking` makes it of the real one."""

    def look_at_stock(self, products: tuple[str, ...]) -> str:
        """BatchGetStock: sums and threshold of those that are managed."""
        managed = sorted(set(products) & set(self.thresholds))
        return told({product: (*self.sums(product), self.thresholds[product]) for product in managed})

    def look_at_levels(self, product: str) -> str:
        """GetStock."""
        self._need_managed(product)
        return told(self.levels(product))

    def levels(self, product: str) -> dict[str, tuple[int, int, int, int]]:
        """(available, allocated, by hand, entries) at every location that has a level."""
        return {
            place: (self.available[key], self.allocated(key), self.by_hand.get(key, 0), self.entries[key])
            for place in sorted(self.places)
            if (key := (product, place)) in self.available
        }

    def list_stock(self, only_out_of_stock: bool, only_few: bool) -> str:
        listed = {product: self.sums(product)[0] for product in sorted(self.thresholds)}
        return told([
            product
            for product, free in listed.items()
            if not (only_out_of_stock and free) and not (only_few and free >= self.thresholds[product])
        ])  # fmt: skip

    def check(self, lines: tuple[Line, ...]) -> str:
        """CheckAvailability: the products that are short, units of holds that are due counted as free."""
        for _, _, place in lines:
            self._need_place(place)
        places = self.source(lines)
        if "" in places and self.due():
            self.end_due(self.due())
            places = self.source(lines)
        return told([line[0] for line, place in zip(lines, places, strict=True) if not place])

    def look_at_entry(self, product: str, place: str, version: int) -> str:
        """GetStockTransaction: whether it is there."""
        return told(version <= self.entries.get((product, place), 0))

    def look_at_log(self, product: str) -> str:
        """ListStockTransactions: how many entries every location has."""
        return told({place: n for (name, place), n in sorted(self.entries.items()) if name == product})

    def look_at_place(self, place: str) -> str:
        self._need_place(place)
        return told(self.places[place])

    def list_places(self) -> str:
        return told({slug: self.places[slug] for slug in sorted(self.places)})

    def look_at_settings(self) -> str:
        return told((self.settings["defer"], self.settings["unmanaged"]))

    def list_imports(self) -> str:
        return told(sorted(self.imports))

    def export(self) -> str:
        """Every product's totals."""
        return told({
            product: {place: free + allocated for place, (free, allocated, _, _) in levels.items()}
            for product in sorted(self.thresholds)
            if (levels := self.levels(product))
        })  # fmt: skip

    def verify(self) -> str:
        """Nothing is ever broken."""
        return told([])

    def look_at_reservation(self, reservation_id: str) -> str:
        return told(held_shown(found(self.reservations, reservation_id, "RESERVATION_NOT_FOUND")))

    def look_at_cart(self, cart_id: str) -> str:
        found(self.carts, cart_id, "CART_NOT_FOUND")
        return told(self.cart_shown(cart_id))

    def look_at_order(self, order_id: str) -> str:
        self._order(order_id)
        return told(self.order_shown(order_id))

    def look_at_payment(self, payment_id: str) -> str:
        self._payment(payment_id)
        return told(self.payment_shown(payment_id))

    def list_reservations(self, state: str) -> str:
        """Those of callers; the ids of an order's are the server's."""
        states = {reservation_id: held["state"] for reservation_id, held in self.reservations.items()}
        owned = [id_ for id_, held in self.reservations.items() if held["owner"]]
        listed = [id_ for id_, is_now in states.items() if is_now == state]
        return told((sorted(set(listed) - set(owned)), len(set(listed) & set(owned))))

    def list_carts(self, state: str) -> str:
        return told(sorted(cart_id for cart_id in self.carts if self.cart_word(cart_id) == state))

    def cart_word(self, cart_id: str) -> str:
        cart = self.carts[cart_id]
        return "CHECKED_OUT" if cart["order"] else "EXPIRED" if cart["late"] else "OPEN"

    def list_orders(self, state: str) -> str:
        return told(sorted(order_id for order_id in self.orders if self.order_word(order_id) == state))

    def list_payments(self, state: str) -> str:
        return told(sorted(id_ for id_ in self.payments if self.payment_word(id_) == state))

    # --- the messages, in plain values ---------------------------------------------------------------

    def cart_shown(self, cart_id: str) -> tuple[Any, ...]:
        cart = self.carts[cart_id]
        items = [
            (product, item["quantity"], item["price"], item["place"], item["track"])
            for product, item in cart["items"].items()
        ]
        return self.cart_word(cart_id), items, cart["order"], cart["defers"]

    def order_shown(self, order_id: str) -> tuple[Any, ...]:
        order = self.orders[order_id]
        lines = [
            (self._unit(order, number).get("open", 0), line["shipped"], line["returned"], line["unmanaged"])
            for number, line in order["lines"].items()
        ]
        return self.order_word(order_id), order["total"], order["cancelled"], lines

    def payment_shown(self, payment_id: str) -> tuple[Any, ...]:
        paid = self.payments[payment_id]
        return self.payment_word(payment_id), paid["captured"], paid["refunded"], paid["operations"]


def told(answer: Any) -> str:
    return f"OK:{answer}"


def held_shown(held: dict[str, Any]) -> tuple[str, list[tuple[Any, ...]]]:
    names = ("product", "at", "reserved", "open", "fulfilled", "returned")
    return held["state"], [
        (number, *(line[name] for name in names)) for number, line in held["lines"].items()
    ]


def expected(model: Looks) -> dict[str, Any]:
    """Return what the API has to show of a store at rest."""
    seen: dict[str, Any] = {f"stock {product}": model.levels(product) for product in model.thresholds}
    seen |= {f"threshold {product}": least for product, least in model.thresholds.items()}
    seen |= {f"log {product} {place}": count for (product, place), count in model.entries.items()}
    for reservation_id, held in model.reservations.items():
        if not held["owner"]:
            seen[f"reservation {reservation_id}"] = held_shown(held)
    seen |= {f"cart {cart_id}": model.cart_shown(cart_id) for cart_id in model.carts}
    for order_id, order in model.orders.items():
        held = held_shown(model.reservations[order["hold"]]) if order["hold"] else None
        seen[f"order {order_id}"] = (*model.order_shown(order_id), held)
    seen |= {f"payment {payment_id}": model.payment_shown(payment_id) for payment_id in model.payments}
    return seen
