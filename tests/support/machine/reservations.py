"""The life of a reservation in miniature."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from support.machine.stock import LIVE, Line, Refused, Stock, found

Units = tuple[tuple[int, int], ...]  # line number, quantity


class Reservations(Stock):
    def __init__(self) -> None:
        super().__init__()
        self.returns: dict[str, tuple[Any, ...]] = {}

    def reserve(self, reservation_id: str, lines: tuple[Line, ...], timed: bool) -> str:
        seen = self.reservations.get(reservation_id)
        if seen is not None:
            if seen["asked"] != (lines, timed):
                raise Refused("ID_REUSED")
            self._look_at_the_clock(reservation_id)
            if seen["state"] in ("RELEASED", "EXPIRED"):
                raise Refused("RESERVATION_NOT_ACTIVE")
            return f"OK:{seen['state']}"
        for _, _, place in lines:
            self._need_place(place)
        self.hold(reservation_id, dict(enumerate(lines, 1)), "ticking" if timed else "")
        self.reservations[reservation_id]["asked"] = (lines, timed)
        return "OK:HELD"

    def confirm(self, reservation_id: str) -> str:
        held = self._kept(reservation_id)
        held["state"], held["clock"] = "COMMITTED", ""
        return "OK:COMMITTED"

    def release(self, reservation_id: str) -> str:
        held = self._callers(reservation_id)
        if held["state"] == "CLOSED":
            raise Refused("RESERVATION_NOT_ACTIVE")
        if held["state"] in LIVE:
            self.give_back(held)
        return f"OK:{held['state']}"

    def extend(self, reservation_id: str, forever: bool) -> str:
        held = self._callers(reservation_id)
        if held["state"] not in LIVE:
            raise Refused("RESERVATION_NOT_ACTIVE")
        if forever:
            held["clock"] = ""
        return f"OK:{held['state']}"

    def fulfill(self, reservation_id: str, units: Units) -> str:
        """`units`: none = all that are open."""
        held = self._kept(reservation_id)
        self.take_out(held, dict(units) or open_units(held))
        return f"OK:{held['state']}"

    def bring_back(self, reservation_id: str, return_id: str, unit: tuple[int, int], restock: bool) -> str:
        asked = (reservation_id, unit, restock)
        seen = self.returns.get(return_id)
        if seen is not None and seen != asked:
            raise Refused("ID_REUSED")
        held = self._callers(reservation_id)
        if seen is None:
            line = held["lines"].get(unit[0])
            if restock and line:
                self._need_place(line["at"])
                self._need_managed(line["product"])
            if not line or line["fulfilled"] - line["returned"] < unit[1]:
                raise Refused("RETURN_EXCEEDS_SHIPPED")
            self.restock(line, unit[1], restock)
            self.returns[return_id] = asked
        return f"OK:{held['state']}"

    # --- the clock ---------------------------------------------------------------------------------

    def due(self) -> list[str]:
        return [
            reservation_id
            for reservation_id, held in self.reservations.items()
            if held["state"] == "HELD" and held["clock"] == "due" and not self._is_suspended(held)
        ]

    def end_due(self, reservation_ids: Iterable[str]) -> None:
        for reservation_id in reservation_ids:
            self.give_back(self.reservations[reservation_id], "EXPIRED")

    def _is_suspended(self, held: dict[str, Any]) -> bool:
        return False

    def _look_at_the_clock(self, reservation_id: str) -> None:
        if reservation_id in self.due():
            self.end_due([reservation_id])

    # --- what they share ---------------------------------------------------------------------------

    def hold(self, reservation_id: str, lines: dict[int, Line], clock: str, owner: str = "") -> None:
        """Hold all lines, by their numbers. `clock`: "" = it doesn't run out."""
        places = self._need_stock(tuple(lines.values()))
        self.reservations[reservation_id] = {
            "asked": (tuple(lines.values()), bool(clock)),
            "state": "HELD",
            "owner": owner,
            "clock": clock,
            "lines": {
                number: {
                    "product": product,
                    "named": named,
                    "at": place,
                    "reserved": quantity,
                    "open": quantity,
                    "fulfilled": 0,
                    "returned": 0,
                }
                for (number, (product, quantity, named)), place in zip(lines.items(), places, strict=True)
            },
        }
        for (product, quantity, _), place in zip(lines.values(), places, strict=True):
            self._log((product, place))
            self.available[product, place] -= quantity

    def _kept(self, reservation_id: str) -> dict[str, Any]:
        """One that is live; an expired one is allocated afresh."""
        held = self._callers(reservation_id)
        if held["state"] == "EXPIRED":
            lines = {n: (ln["product"], ln["reserved"], ln["named"]) for n, ln in held["lines"].items()}
            asked = held["asked"]
            try:
                self.hold(reservation_id, lines, "")
            except Refused:
                raise Refused("RESERVATION_EXPIRED") from None
            held = self.reservations[reservation_id]
            held["asked"] = asked
        if held["state"] not in LIVE:
            raise Refused("RESERVATION_NOT_ACTIVE")
        return held

    def give_back(self, held: dict[str, Any], ended: str = "RELEASED") -> None:
        for line in held["lines"].values():
            if line["open"]:
                self._log((line["product"], line["at"]))
                self.available[line["product"], line["at"]] += line["open"]
                line["open"] = 0
        self._end(held, ended)

    def take_out(self, held: dict[str, Any], units: dict[int, int]) -> None:
        if any(held["lines"].get(n, {}).get("open", 0) < quantity for n, quantity in units.items()):
            raise Refused("QUANTITY_EXCEEDS_HELD")
        for number, quantity in units.items():
            line = held["lines"][number]
            self._log((line["product"], line["at"]))
            line["open"] -= quantity
            line["fulfilled"] += quantity
        held["state"], held["clock"] = "COMMITTED", ""
        self._end(held, "RELEASED")

    def restock(self, line: dict[str, Any], quantity: int, restock: bool) -> None:
        line["returned"] += quantity
        if restock:
            self._log((line["product"], line["at"]))
            self.available[line["product"], line["at"]] += quantity

    def _end(self, held: dict[str, Any], ended: str) -> None:
        if not any(line["open"] for line in held["lines"].values()):
            is_closed = any(line["fulfilled"] for line in held["lines"].values())
            held["state"] = "CLOSED" if is_closed else ended

    def _callers(self, reservation_id: str) -> dict[str, Any]:
        self._look_at_the_clock(reservation_id)
        return found(self.reservations, reservation_id, "RESERVATION_NOT_FOUND")


def open_units(held: dict[str, Any]) -> dict[int, int]:
    return {number: line["open"] for number, line in held["lines"].items() if line["open"]}
