"""Stock, locations and settings in miniature, and where lines are served from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

Line = tuple[str, int, str]  # product, quantity, location ("" = any)
Key = tuple[str, str]  # product, location
Row = tuple[str, tuple[tuple[str, int], ...]]  # product, totals by location

LIVE = ("HELD", "COMMITTED")


class Later(NamedTuple):
    """The second step of a call, which comes some time after the first."""

    step: str
    args: tuple[Any, ...]


class Refused(Exception):
    """A verdict that changes nothing."""


class Stock:
    """What is kept where. Units held are not counted: they are what the live reservations say."""

    def __init__(self) -> None:
        self.settings = {"defer": False, "unmanaged": False}
        self.thresholds: dict[str, int] = {}  # by managed product; -1 = none
        self.available: dict[Key, int] = {}
        self.by_hand: dict[Key, int] = {}
        self.entries: dict[Key, int] = {}
        self.places = {"default": (0, True)}  # slug: priority, enabled
        self.imports: list[str] = []
        self.reservations: dict[str, dict[str, Any]] = {}

    # --- what can be seen --------------------------------------------------------------------------

    def held(self, key: Key) -> int:
        live = (r for r in self.reservations.values() if r["state"] in LIVE)
        return sum(
            line["open"] for r in live for line in r["lines"].values() if (line["product"], line["at"]) == key
        )

    def allocated(self, key: Key) -> int:
        return self.by_hand.get(key, 0) + self.held(key)

    def sums(self, product: str) -> tuple[int, int]:
        """(available, allocated) over all locations."""
        keys = [key for key in self.available if key[0] == product]
        return sum(self.available[key] for key in keys), sum(self.allocated(key) for key in keys)

    # --- records and locations ---------------------------------------------------------------------

    def create(self, product: str, quantity: int) -> str:
        if product in self.thresholds:
            raise Refused("STOCK_EXISTS")
        self.thresholds[product] = -1
        self._log((product, "default"))
        self.available[product, "default"] = quantity
        return "OK"

    def threshold(self, product: str, least: int) -> str:
        self._need_managed(product)
        self.thresholds[product] = least
        return "OK"

    def delete(self, product: str) -> str:
        self._need_managed(product)
        if self.sums(product)[1]:
            raise Refused("STOCK_IN_USE")
        del self.thresholds[product]
        for key in [key for key in self.entries if key[0] == product]:
            self._log(key)
            self.available[key] = 0
        return "OK"

    def create_place(self, place: str) -> str:
        if place in self.places:
            raise Refused("LOCATION_EXISTS")
        self.places[place] = (0, True)
        return "OK"

    def update_place(self, place: str, priority: int, enabled: bool) -> str:
        self._need_place(place)
        self.places[place] = (priority, enabled)
        return "OK"

    def delete_place(self, place: str) -> str:
        self._need_place(place)
        keys = [key for key in self.available if key[1] == place]
        if any(self.available[key] or self.allocated(key) for key in keys):
            raise Refused("LOCATION_NOT_EMPTY")
        del self.places[place]
        return "OK"

    def set_up(self, name: str, value: bool) -> str:
        self.settings[name] = value
        return "OK"

    # --- by hand -----------------------------------------------------------------------------------

    def change(self, product: str, action: str, quantity: int, place: str) -> str:
        key = (product, place)
        self._need_place(place)
        self._need_managed(product)
        if action == "ALLOCATE" and not self.places[place][1]:
            raise Refused("LOCATION_DISABLED")
        free, by_hand = self.available.get(key, 0), self.by_hand.get(key, 0)
        if action in ("DECREMENT", "ALLOCATE") and free < quantity:
            raise Refused("INSUFFICIENT_STOCK")
        if action == "DEALLOCATE" and by_hand < quantity:
            raise Refused("HAND_ALLOCATION_TOO_SMALL")
        if action == "SET" and quantity < self.allocated(key):
            raise Refused("TOTAL_BELOW_ALLOCATED")
        self._log(key)
        self.available[key] = {
            "INCREMENT": free + quantity,
            "DECREMENT": free - quantity,
            "ALLOCATE": free - quantity,
            "DEALLOCATE": free + quantity,
            "SET": quantity - self.allocated(key),
        }[action]
        self.by_hand[key] = by_hand + {"ALLOCATE": quantity, "DEALLOCATE": -quantity}.get(action, 0)
        return "OK"

    def transfer(self, product: str, source: str, target: str, quantity: int) -> str:
        for place in (source, target):
            self._need_place(place)
        self._need_managed(product)
        if self.available.get((product, source), 0) < quantity:
            raise Refused("INSUFFICIENT_STOCK")
        for place, count in ((source, -quantity), (target, quantity)):
            self._log((product, place))
            self.available[product, place] = self.available.get((product, place), 0) + count
        return "OK"

    # --- imports -----------------------------------------------------------------------------------

    def import_rows(self, import_id: str, rows: tuple[Row, ...]) -> Later:
        self.imports.append(import_id)
        return Later("apply_rows", (rows,))

    def apply_rows(self, rows: tuple[Row, ...]) -> str:
        """Each row is applied whole, or is an error of its line."""
        errors = []
        for line, row in enumerate(rows, 1):
            refusal = self._unless_due(lambda row=row: self._apply_row(*row))  # type: ignore[misc]
            if refusal:
                errors.append((line, refusal))
        return f"OK:{errors}"

    def _apply_row(self, product: str, totals: tuple[tuple[str, int], ...]) -> None:
        for place, total in totals:
            self._need_place(place)
            if total < self.allocated((product, place)):
                raise Refused("TOTAL_BELOW_ALLOCATED")
        self.thresholds.setdefault(product, -1)
        for place, total in totals:
            self._log((product, place))
            self.available[product, place] = total - self.allocated((product, place))

    # --- what they share ---------------------------------------------------------------------------

    def source(self, lines: tuple[Line, ...]) -> list[str]:
        """Where each line is served, "" where it is short: whole, named places first."""
        free = dict(self.available)
        found = [""] * len(lines)
        serving = sorted((at, slug) for slug, (at, enabled) in self.places.items() if enabled)
        for index in sorted(range(len(lines)), key=lambda i: not lines[i][2]):
            product, quantity, named = lines[index]
            for _, place in serving if product in self.thresholds else ():
                if named in ("", place) and free.get((product, place), 0) >= quantity:
                    free[product, place] -= quantity
                    found[index] = place
                    break
        return found

    def due(self) -> list[str]:
        """The holds whose time is over and that nobody ended yet."""
        raise NotImplementedError

    def end_due(self, reservation_ids: Iterable[str]) -> None:
        raise NotImplementedError

    def _unless_due(self, do: Callable[[], object]) -> str:
        """Do it, or say why not: nobody is refused while units of a hold that is due are to be had."""
        before = copy.deepcopy(vars(self))
        try:
            do()
        except Refused as refused:
            vars(self).update(before)
            if not self.due():
                return str(refused)
            self.end_due(self.due())
            return self._unless_due(do)
        return ""

    def _need_stock(self, lines: tuple[Line, ...]) -> list[str]:
        found = self.source(lines)
        if "" in found:
            raise Refused("INSUFFICIENT_STOCK")
        return found

    def _need_managed(self, product: str) -> None:
        if product not in self.thresholds:
            raise Refused("STOCK_NOT_FOUND")

    def _need_place(self, place: str) -> None:
        """ "" is any."""
        if place and place not in self.places:
            raise Refused("LOCATION_NOT_FOUND")

    def _log(self, key: Key) -> None:
        self.entries[key] = self.entries.get(key, 0) + 1


def found(rows: dict[str, dict[str, Any]], key: str, reason: str) -> dict[str, Any]:
    if key not in rows:
        raise Refused(reason)
    return rows[key]
