"""Who shops, and what becomes of the order after it was paid."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from inventory_client import Client, v1
from inventory_loadtest.asking import CALL_TIMEOUT_S, Asker
from inventory_loadtest.evidence import payment_state_name
from inventory_loadtest.history import Step
from inventory_loadtest.plan import CartPlan
from inventory_loadtest.shopper import Shopper
from inventory_loadtest.soak.shift import Shift

_AUTHORIZE_SHARE = 0.25
_SPLIT_SHARE = 0.3


class Customer:
    """Takes carts from their creation to whatever becomes of their orders.

    Args:
        client: of the server that is asked.
    """

    def __init__(self, client: Client) -> None:
        self._checkout = client.checkout
        self._client = client

    def go(self, shift: Shift, name: str, chance: random.Random) -> None:
        """Walk one cart. Args: name: what its ids are made of, new to the shift."""
        shopper, asker = Shopper(self._client, shift.record), Asker(self._client, shift.record)
        cart = CartPlan(name, shift.lines(chance), split=chance.random() < _SPLIT_SHARE)
        if chance.random() < _AUTHORIZE_SHARE:
            paid = self._authorize(shopper, asker, cart, chance)
        else:
            paid = shopper.walk(cart)
        if paid:
            afterwards: list[Callable[..., None]] = [
                self._ship, self._ship_in_parts, self._ship_and_return, self._refund, self._cancel,
                self._cancel_and_refund, self._give_away, lambda *_: None,
            ]  # fmt: skip
            chance.choice(afterwards)(asker, cart, chance)

    def _authorize(self, shopper: Shopper, asker: Asker, cart: CartPlan, chance: random.Random) -> bool:
        """Set the money aside, and take it or let it go; whether it was taken."""
        total_minor = shopper.check_out(cart)
        if total_minor is None:
            return False
        authorize = v1.PaymentKind.PAYMENT_KIND_AUTHORIZE
        if shopper.pay(cart, 1, total_minor, authorize) != "AUTHORIZED":
            return False
        ids = {"order_id": cart.order_id, "payment_id": cart.payment_id(1)}
        name = chance.choice([Step.CAPTURE, Step.CAPTURE, Step.VOID])
        request: Any = {
            Step.CAPTURE: v1.CapturePaymentRequest(amount_minor=total_minor),
            Step.VOID: v1.VoidPaymentRequest(),
        }[name]
        request.payment_id, request.request_id = cart.payment_id(1), f"{cart.cart_id}.{name}"
        method = getattr(self._checkout, name)
        event = asker.ask(name, lambda: method(request, timeout=CALL_TIMEOUT_S), _state, **ids)
        in_doubt = event.state in ("", "PROCESSING", "AUTHORIZED") and event.reason == ""
        state = shopper.settle(cart, cart.payment_id(1)) if in_doubt else event.state
        return state == "CAPTURED"

    def _ship(self, asker: Asker, cart: CartPlan, _: random.Random) -> None:
        self._shipped(asker, cart, 1, [])

    def _ship_in_parts(self, asker: Asker, cart: CartPlan, _: random.Random) -> None:
        """One unit of the first line, then all that is left."""
        self._shipped(asker, cart, 1, [v1.LineQuantity(line_number=1, quantity=1)])
        self._shipped(asker, cart, 2, [])

    def _ship_and_return(self, asker: Asker, cart: CartPlan, chance: random.Random) -> None:
        if not self._shipped(asker, cart, 1, []):
            return
        request = v1.ReturnOrderItemsRequest(
            order_id=cart.order_id,
            return_id=f"{cart.cart_id}.r1",
            lines=[v1.LineQuantity(line_number=1, quantity=1)],
            restock=chance.random() < 0.5,
        )
        asker.ask(
            Step.RETURN,
            lambda: self._checkout.ReturnOrderItems(request, timeout=CALL_TIMEOUT_S),
            order_id=cart.order_id,
            call_id=request.return_id,
        )

    def _shipped(self, asker: Asker, cart: CartPlan, number: int, lines: list[v1.LineQuantity]) -> bool:
        request = v1.ShipOrderRequest(
            order_id=cart.order_id, shipment_id=f"{cart.cart_id}.s{number}", lines=lines
        )
        return asker.ask(
            Step.SHIP,
            lambda: self._checkout.ShipOrder(request, timeout=CALL_TIMEOUT_S),
            order_id=cart.order_id,
            call_id=request.shipment_id,
        ).ok

    def _refund(self, asker: Asker, cart: CartPlan, chance: random.Random) -> None:
        """Give back a part of the first payment, or all of it that can be had for a fixed amount."""
        amount_minor = chance.randint(1, 100)
        request = v1.RefundPaymentRequest(
            payment_id=cart.payment_id(1), refund_id=f"{cart.cart_id}.f1", amount_minor=amount_minor
        )
        asker.ask(
            Step.REFUND,
            lambda: self._checkout.RefundPayment(request, timeout=CALL_TIMEOUT_S),
            _state,
            order_id=cart.order_id,
            payment_id=request.payment_id,
            call_id=request.refund_id,
            amount_minor=amount_minor,
        )

    def _cancel(self, asker: Asker, cart: CartPlan, _: random.Random) -> None:
        self._cancelled(asker, cart, None)

    def _cancel_and_refund(self, asker: Asker, cart: CartPlan, chance: random.Random) -> None:
        self._cancelled(asker, cart, None)
        self._refund(asker, cart, chance)

    def _give_away(self, asker: Asker, cart: CartPlan, chance: random.Random) -> None:
        """Cancel for the good of another order, which is then paid, or is not."""
        other = CartPlan(f"{cart.cart_id}o", cart.lines)
        shopper = Shopper(self._client, asker.record)
        total_minor = shopper.check_out(other)
        if total_minor is None:
            return
        if self._cancelled(asker, cart, other) and chance.random() < 0.5:
            shopper.pay(other, 1, total_minor)

    def _cancelled(self, asker: Asker, cart: CartPlan, target: CartPlan | None) -> bool:
        request = v1.CancelOrderRequest(
            order_id=cart.order_id,
            request_id=f"{cart.cart_id}.c",
            target_order_id=target.order_id if target else "",
        )
        return asker.ask(
            Step.CANCEL,
            lambda: self._checkout.CancelOrder(request, timeout=CALL_TIMEOUT_S),
            order_id=cart.order_id,
            call_id=request.target_order_id,
            units=dict(target.units()) if target else {},
        ).ok


def _state(answer: Any) -> dict[str, str]:
    return {"state": payment_state_name(answer.payment)}
