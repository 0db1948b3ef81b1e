"""Carts and orders in miniature."""

from __future__ import annotations

from typing import Any

from support.machine.reservations import Reservations, Units
from support.machine.stock import LIVE, Line, Refused, found

# A payment counts while one of these is in flight; a capture, void or refund is of one that counts anyway.
TAKING = ("PURCHASE", "AUTHORIZE", "CONFIRM")


class Orders(Reservations):
    def __init__(self) -> None:
        super().__init__()
        self.carts: dict[str, dict[str, Any]] = {}
        self.orders: dict[str, dict[str, Any]] = {}
        self.payments: dict[str, dict[str, Any]] = {}
        self.shipments: dict[str, tuple[Any, ...]] = {}
        self.order_returns: dict[str, tuple[Any, ...]] = {}
        self.owned = 0

    # --- carts -------------------------------------------------------------------------------------

    def cart(self, cart_id: str) -> str:
        if cart_id not in self.carts:
            defers = self.settings["defer"]
            self.carts[cart_id] = {"items": {}, "order": "", "defers": defers, "late": False, "changes": 0}
        return "OK"

    def add(
        self, cart_id: str, product: str, quantity: int, price: int, place: str, track: bool | None
    ) -> str:
        """`track`: None = as it is."""
        cart = found(self.carts, cart_id, "CART_NOT_FOUND")
        self._need_place(place)
        self._need_open(cart)
        had = cart["items"].get(product, {"quantity": 0, "place": "", "track": True})
        item = {"quantity": had["quantity"] + quantity, "price": price}
        item |= {"place": place or had["place"], "track": had["track"] if track is None else track}
        self._change_cart(cart, {**cart["items"], product: item})
        self._check(cart, product, item | {"quantity": quantity})
        return "OK"

    def update(self, cart_id: str, product: str, changes: tuple[tuple[str, Any], ...]) -> str:
        """`changes`: of quantity, price, place, track."""
        cart, new = found(self.carts, cart_id, "CART_NOT_FOUND"), dict(changes)
        item = found(cart["items"], product, "CART_ITEM_NOT_FOUND") | new
        self._need_place(new.get("place", ""))
        self._need_open(cart)
        self._change_cart(cart, cart["items"] | {product: item})
        if "quantity" in new or "place" in new or new.get("track"):
            self._check(cart, product, item)
        return "OK"

    def remove(self, cart_id: str, product: str) -> str:
        cart = found(self.carts, cart_id, "CART_NOT_FOUND")
        found(cart["items"], product, "CART_ITEM_NOT_FOUND")
        self._need_open(cart)
        self._change_cart(cart, {name: item for name, item in cart["items"].items() if name != product})
        return "OK"

    def delete_cart(self, cart_id: str) -> str:
        if found(self.carts, cart_id, "CART_NOT_FOUND")["order"]:
            raise Refused("CART_NOT_OPEN")
        del self.carts[cart_id]
        return "OK"

    def _need_open(self, cart: dict[str, Any]) -> None:
        if cart["order"] or cart["late"]:
            raise Refused("CART_NOT_OPEN")

    def _change_cart(self, cart: dict[str, Any], items: dict[str, Any]) -> None:
        cart["items"] = items
        cart["changes"] += 1  # puts its expiry off, even where nothing that shows differs

    def _check(self, cart: dict[str, Any], product: str, item: dict[str, Any]) -> None:
        if not cart["defers"]:
            self._need_stock(tuple(self._taking({1: item | {"product": product}}).values()))

    # --- orders ------------------------------------------------------------------------------------

    def check_out(self, cart_id: str, order_id: str) -> str:
        seen = self.orders.get(order_id)
        if seen is not None:
            if seen["cart"] != cart_id:
                raise Refused("ID_REUSED")
            return "OK"
        cart = found(self.carts, cart_id, "CART_NOT_FOUND")
        self._need_open(cart)
        if not cart["items"]:
            raise Refused("CART_EMPTY")
        lines = {
            number: {"product": product, "shipped": 0, "returned": 0, "unmanaged": False, **item}
            for number, (product, item) in enumerate(cart["items"].items(), 1)
        }
        self._need_stock(tuple(self._taking(lines).values()))
        cart["order"] = order_id
        total = sum(line["quantity"] * line["price"] for line in lines.values())
        self.orders[order_id] = {
            "cart": cart_id, "lines": lines, "total": total, "hold": "", "cancelled": False,
        }  # fmt: skip
        return "OK"

    def cancel(self, order_id: str, target_id: str) -> str:
        order = self._order(order_id)
        target = self._order(target_id) if target_id else None
        if order["cancelled"]:
            if target:
                raise Refused("ORDER_CANCELLED")
            return "OK"
        self._need_quiet(order_id)
        if self._is_shipped(order):
            raise Refused("ORDER_NOT_CANCELLABLE")
        if target:
            self._need_unpaid(target_id, target)
        order["cancelled"] = True
        if self._is_held(order):
            self.give_back(self.reservations[order["hold"]])
        if target:
            self._hold_order(target_id, "ticking")
        return "OK"

    def ship(self, order_id: str, shipment_id: str, units: Units) -> str:
        seen = self.shipments.get(shipment_id)
        if seen is not None:
            if seen != (order_id, units):
                raise Refused("ID_REUSED")
            return "OK"
        order = self._order(order_id)
        if order["cancelled"]:
            raise Refused("ORDER_CANCELLED")
        self._need_quiet(order_id)
        captured = sum(paid["captured"] for paid in self._payments_of(order_id))
        refunded = sum(paid["refunded"] for paid in self._payments_of(order_id))
        if self._is_shipped(order) or captured != order["total"] or refunded == captured:
            raise Refused("ORDER_NOT_SHIPPABLE")
        left = {n: line["quantity"] - line["shipped"] for n, line in order["lines"].items()}
        shipped = dict(units) or {number: quantity for number, quantity in left.items() if quantity}
        if any(left.get(number, 0) < quantity for number, quantity in shipped.items()):
            raise Refused("QUANTITY_EXCEEDS_HELD")
        stocked = {number: quantity for number, quantity in shipped.items() if self._unit(order, number)}
        if stocked:
            self.take_out(self.reservations[order["hold"]], stocked)
        for number, quantity in shipped.items():
            order["lines"][number]["shipped"] += quantity
        self.shipments[shipment_id] = (order_id, units)
        return "OK"

    def take_back(self, order_id: str, return_id: str, unit: tuple[int, int], restock: bool) -> str:
        asked = (order_id, unit, restock)
        seen = self.order_returns.get(return_id)
        if seen is not None and seen != asked:
            raise Refused("ID_REUSED")
        order = self._order(order_id)
        if seen is None:
            line, stocked = order["lines"].get(unit[0]), self._unit(order, unit[0])
            if restock and stocked:
                self._need_place(stocked["at"])
                self._need_managed(stocked["product"])
            if not line or line["shipped"] - line["returned"] < unit[1]:
                raise Refused("RETURN_EXCEEDS_SHIPPED")
            line["returned"] += unit[1]
            if stocked:
                self.restock(stocked, unit[1], restock)
            self.order_returns[return_id] = asked
        return "OK"

    def order_word(self, order_id: str) -> str:
        order, paid = self.orders[order_id], self._payments_of(order_id)
        shipped = any(line["shipped"] for line in order["lines"].values())
        if shipped and (order["cancelled"] or self._is_shipped(order)):
            return "COMPLETE"
        if order["cancelled"]:
            return "CANCELLED"
        definite = [each for each in paid if each["stage"] in ("AUTHORIZED", "CAPTURED")]
        covered = sum(each["captured"] or each["amount"] for each in definite)
        return "PROCESSING" if covered == order["total"] else "INCOMPLETE"

    # --- holding -----------------------------------------------------------------------------------

    def allocate(self, order_id: str) -> None:
        """Hold the whole order for a payment; what it holds by a clock is kept while it is enough."""
        order = self._order(order_id)
        if any(self._counts(paid) for paid in self._payments_of(order_id)):
            return
        if order["hold"]:
            self._look_at_the_clock(order["hold"])
        if self._is_held(order):
            held = self.reservations[order["hold"]]
            if set(self._taking(order["lines"])) <= set(held["lines"]):
                return
            self.give_back(held)
        self._hold_order(order_id, "")

    def _hold_order(self, order_id: str, clock: str) -> None:
        order = self.orders[order_id]
        taking = self._taking(order["lines"])
        order["hold"] = ""
        if taking:
            self.owned += 1
            self.hold(f"owned {self.owned}", taking, clock, owner=order_id)
            order["hold"] = f"owned {self.owned}"
        for number, line in order["lines"].items():
            line["unmanaged"] = line["track"] and number not in taking

    def _taking(self, lines: dict[int, dict[str, Any]]) -> dict[int, Line]:
        """The lines that take stock."""
        return {
            number: (line["product"], line["quantity"], line["place"])
            for number, line in lines.items()
            if line["track"] and (line["product"] in self.thresholds or not self.settings["unmanaged"])
        }

    def _is_suspended(self, held: dict[str, Any]) -> bool:
        return any(self._counts(paid) for paid in self._payments_of(held["owner"]))

    # --- what they share ---------------------------------------------------------------------------

    def _need_unpaid(self, order_id: str, order: dict[str, Any]) -> None:
        if order["cancelled"]:
            raise Refused("ORDER_CANCELLED")
        self._need_quiet(order_id)
        if order["hold"]:
            self._look_at_the_clock(order["hold"])
        if self._is_held(order) or any(self._counts(paid) for paid in self._payments_of(order_id)):
            raise Refused("ORDER_NOT_CANCELLABLE")

    def _need_quiet(self, order_id: str) -> None:
        if any(paid["pending"] for paid in self._payments_of(order_id)):
            raise Refused("PAYMENT_IN_PROGRESS")

    def _counts(self, paid: dict[str, Any]) -> bool:
        return paid["stage"] in ("AUTHORIZED", "CAPTURED") or paid["pending"] in TAKING

    def _is_held(self, order: dict[str, Any]) -> bool:
        return bool(order["hold"]) and self.reservations[order["hold"]]["state"] in LIVE

    def _is_shipped(self, order: dict[str, Any]) -> bool:
        return all(line["shipped"] == line["quantity"] for line in order["lines"].values())

    def _unit(self, order: dict[str, Any], number: int) -> dict[str, Any]:
        """The line of the order's reservation; nothing where it takes no stock."""
        lines = self.reservations[order["hold"]]["lines"] if order["hold"] else {}
        line: dict[str, Any] = lines.get(number, {})
        return line

    def _order(self, order_id: str) -> dict[str, Any]:
        return found(self.orders, order_id, "ORDER_NOT_FOUND")

    def _payments_of(self, order_id: str) -> list[dict[str, Any]]:
        return [paid for paid in self.payments.values() if paid["order"] == order_id]
