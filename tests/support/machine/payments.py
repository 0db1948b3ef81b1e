"""Payments in miniature: a stage and three amounts, and the operation that is pending."""

from __future__ import annotations

from typing import Any

from support.machine.orders import TAKING, Orders
from support.machine.stock import Later, Refused, found


class Payments(Orders):
    """A call asks the gateway between its two steps. `how`: what that does with one of the operations.

    `decline`, `requires-action` or `down` (nobody knows what became of it) of the first, and the same words
    behind `capture-`, `void-`, `refund-`, `confirm-`; all others are accepted.
    """

    def __init__(self) -> None:
        super().__init__()
        self.refunds: dict[str, tuple[Any, ...]] = {}

    def payment_word(self, payment_id: str) -> str:
        paid = self.payments[payment_id]
        if paid["pending"]:
            return "PROCESSING"
        if paid["stage"] != "CAPTURED" or not paid["refunded"]:
            return str(paid["stage"])
        return "REFUNDED" if paid["refunded"] == paid["captured"] else "PARTIALLY_REFUNDED"

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
        self.allocate(order_id)
        self.payments[payment_id] = {
            "asked": asked, "order": order_id, "amount": amount, "stage": "", "captured": 0, "refunded": 0,
            "pending": "", "moving": 0, "operations": 0,
        }  # fmt: skip
        return self._begin(payment_id, kind)

    def confirm_payment(self, payment_id: str) -> str | Later:
        paid = self._payment(payment_id)
        self._need_uncancelled(paid)
        self._need_idle(paid)
        if paid["stage"] != "REQUIRES_ACTION":
            raise Refused("ORDER_NOT_PAYABLE")
        self._need_balance(paid["order"], paid["amount"])
        short = self._unless_due(lambda: self.allocate(paid["order"]))
        return self._begin(payment_id, "VOID" if short else "CONFIRM")

    def capture(self, payment_id: str, amount: int) -> str | Later:
        paid = self._payment(payment_id)
        self._need_uncancelled(paid)
        self._need_idle(paid)
        if paid["stage"] != "AUTHORIZED":
            raise Refused("PAYMENT_NOT_CAPTURABLE")
        if amount > paid["amount"]:
            raise Refused("AMOUNT_EXCEEDS_BALANCE")
        return self._begin(payment_id, "CAPTURE", amount)

    def void(self, payment_id: str) -> str | Later:
        paid = self._payment(payment_id)
        self._need_idle(paid)
        if paid["stage"] not in ("AUTHORIZED", "REQUIRES_ACTION"):
            raise Refused("PAYMENT_NOT_VOIDABLE")
        return self._begin(payment_id, "VOID")

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
        return self._begin(payment_id, "REFUND", amount)

    def resolve(self, payment_id: str, operation: int, outcome: str) -> str:
        """An administrator's word on the operation of that number; one that has ended is as it was."""
        paid = self._payment(payment_id)
        if paid["pending"] and paid["operations"] == operation:
            self._settle(payment_id, outcome)
        return f"OK:{self.payment_word(payment_id)}"

    def answer(self, payment_id: str, answer: str) -> str:
        """The gateway has answered, or its answer was lost."""
        if answer != "down":
            self._settle(payment_id, {"accept": "ACCEPTED", "decline": "DECLINED"}.get(answer, answer))
        return f"OK:{self.payment_word(payment_id)}"

    def _begin(self, payment_id: str, kind: str, amount: int = 0) -> Later:
        paid = self.payments[payment_id]
        paid["pending"], paid["moving"] = kind, amount
        paid["operations"] += 1
        how: str = paid["asked"][3]
        if kind in ("PURCHASE", "AUTHORIZE"):
            answer = how if how in ("decline", "requires-action", "down") else "accept"
        else:
            answer = how.removeprefix(f"{kind.lower()}-") if how.startswith(f"{kind.lower()}-") else "accept"
        return Later("answer", (payment_id, answer))

    def _settle(self, payment_id: str, outcome: str) -> None:
        paid = self.payments[payment_id]
        pending, paid["pending"] = paid["pending"], ""
        if outcome != "ACCEPTED":
            if pending in TAKING:
                paid["stage"] = "REQUIRES_ACTION" if outcome == "requires-action" else outcome
        elif pending == "AUTHORIZE" or (pending == "CONFIRM" and paid["asked"][2] == "AUTHORIZE"):
            paid["stage"] = "AUTHORIZED"
        elif pending in ("PURCHASE", "CONFIRM"):
            paid["stage"], paid["captured"] = "CAPTURED", paid["amount"]
        elif pending == "CAPTURE":
            paid["stage"], paid["captured"] = "CAPTURED", paid["moving"]
        elif pending == "VOID":
            paid["stage"] = "VOIDED"
        else:
            paid["refunded"] += paid["moving"]
        self._keep_or_release(paid)

    def _keep_or_release(self, paid: dict[str, Any]) -> None:
        """Units are held while a payment counts; a hold from before goes on until its time."""
        order = self.orders[paid["order"]]
        if not self._is_held(order):
            return
        held = self.reservations[order["hold"]]
        if any(self._counts(each) for each in self._payments_of(paid["order"])):
            if self._counts(paid):
                held["state"], held["clock"] = "COMMITTED", ""
        elif not held["clock"]:
            self.give_back(held)
        else:
            self._look_at_the_clock(order["hold"])

    def _need_balance(self, order_id: str, amount: int) -> None:
        taken = in_flight = 0
        for paid in self._payments_of(order_id):
            if paid["pending"] in TAKING:
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

    def _need_uncancelled(self, paid: dict[str, Any]) -> None:
        if self.orders[paid["order"]]["cancelled"]:
            raise Refused("ORDER_CANCELLED")

    def _payment(self, payment_id: str) -> dict[str, Any]:
        return found(self.payments, payment_id, "PAYMENT_NOT_FOUND")
