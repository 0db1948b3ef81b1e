"""The walk of one cart: fill it, check out, wait for the gun, pay, and ask until the payment is definite.

It knows no Locust and no gevent: whoever runs it says where events go and what the gun is. It never raises
for what a server answers; that is what the events are for.
"""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from inventory_client import Client, v1
from inventory_loadtest.asking import CALL_TIMEOUT_S, Asker
from inventory_loadtest.evidence import payment_state_name
from inventory_loadtest.history import Event, Outcome, Step
from inventory_loadtest.plan import CURRENCY, PRODUCTS_PER_CART_MAX, CartPlan, Line


@dataclass
class Shopper:
    """Walks carts, one after the other.

    Args:
        client: the server.
        record: gets every event when it ends.
        await_gun: called between checkout and payment; returns when paying may start.
        settle_s: seconds, > 0, to go on asking about a payment that is PROCESSING.
    """

    client: Client
    record: Callable[[Event], None]
    await_gun: Callable[[], None] = field(default=lambda: None)
    settle_s: float = 60.0

    def __post_init__(self) -> None:
        self._asker = Asker(self.client, self.record)

    def stock(self, product_id: str, units: int) -> Event:
        """Make the stock of a product, 0 units or more."""
        request = v1.CreateStockRequest(product_id=product_id, quantity=units, request_id=f"{product_id}.s")
        return self._asker.ask(
            Step.CREATE_STOCK,
            lambda: self.client.inventory.CreateStock(request, timeout=CALL_TIMEOUT_S),
            units={product_id: units},
        )

    def walk(self, cart: CartPlan) -> bool:
        """Take one cart from its creation to the end, or to the first refusal.

        Returns: whether the whole of it was captured.
        Effects: an event for every call; a call whose outcome stays unknown ends the walk too.
        """
        total_minor = self.check_out(cart)
        if total_minor is None:
            return False
        self.await_gun()
        parts = enumerate(_parts(total_minor, split=cart.split), start=1)
        return all(self.pay(cart, part, amount_minor) == "CAPTURED" for part, amount_minor in parts)

    def check_out(self, cart: CartPlan) -> int | None:
        """Fill a cart and make its order; the total in minor units, None where that wasn't acknowledged."""
        return self._check_out(cart) if self._fill(cart) else None

    def _fill(self, cart: CartPlan) -> bool:
        """Make the cart and put everything into it; whether that was acknowledged."""
        request = v1.CreateCartRequest(cart_id=cart.cart_id, currency=CURRENCY)
        made = self._asker.ask(
            Step.CREATE_CART,
            lambda: self.client.checkout.CreateCart(request, timeout=CALL_TIMEOUT_S),
            cart_id=cart.cart_id,
        )
        return made.ok and all(
            self._add(cart, number, lines).ok
            for number, lines in enumerate(_batched(cart.lines, PRODUCTS_PER_CART_MAX), start=1)
        )

    def _add(self, cart: CartPlan, number: int, lines: Sequence[Line]) -> Event:
        units: Counter[str] = Counter()
        for line in lines:
            units[line.product_id] += line.quantity
        request = v1.AddCartItemsRequest(
            cart_id=cart.cart_id,
            items=[
                v1.CartItemRequest(
                    product_id=line.product_id, quantity=line.quantity, unit_price_minor=line.unit_price_minor
                )
                for line in lines
            ],
            request_id=f"{cart.cart_id}.a{number}",
        )
        return self._asker.ask(
            Step.ADD_ITEMS,
            lambda: self.client.checkout.AddCartItems(request, timeout=CALL_TIMEOUT_S),
            lambda answer: {"total_minor": answer.cart.total_minor},
            cart_id=cart.cart_id,
            units=dict(units),
        )

    def _check_out(self, cart: CartPlan) -> int | None:
        """Make the order; its total in minor units, None where that wasn't acknowledged."""
        request = v1.CheckoutRequest(cart_id=cart.cart_id, order_id=cart.order_id)
        done = self._asker.ask(
            Step.CHECKOUT,
            lambda: self.client.checkout.Checkout(request, timeout=CALL_TIMEOUT_S),
            lambda answer: {
                "total_minor": answer.order.total_minor,
                "units": {line.product_id: line.quantity for line in answer.order.lines},
            },
            cart_id=cart.cart_id,
            order_id=cart.order_id,
        )
        return done.total_minor if done.ok else None

    def pay(
        self,
        cart: CartPlan,
        part: int,
        amount_minor: int,
        kind: v1.PaymentKind.ValueType = v1.PaymentKind.PAYMENT_KIND_UNSPECIFIED,
    ) -> str:
        """Pay once and see it through; the payment's last known state, "" where it was refused."""
        payment_id = cart.payment_id(part)
        request = v1.PayOrderRequest(
            order_id=cart.order_id, payment_id=payment_id, amount_minor=amount_minor, kind=kind
        )
        paid = self._asker.ask(
            Step.PAY,
            lambda: self.client.checkout.PayOrder(request, timeout=CALL_TIMEOUT_S),
            _state,
            cart_id=cart.cart_id,
            order_id=cart.order_id,
            payment_id=payment_id,
            amount_minor=amount_minor,
        )
        if paid.outcome is Outcome.REFUSED:
            return ""
        return paid.state if paid.state not in ("", "PROCESSING") else self.settle(cart, payment_id)

    def settle(self, cart: CartPlan, payment_id: str) -> str:
        """Ask about a payment until it is definite; its last known state, "" where none is known."""
        request = v1.GetPaymentRequest(payment_id=payment_id)
        give_up_s = time.monotonic() + self.settle_s
        state = ""
        for pause_s in itertools.chain((0.05, 0.1, 0.2, 0.4), itertools.repeat(0.8)):
            time.sleep(pause_s)
            seen = self._asker.ask(
                Step.POLL,
                lambda: self.client.checkout.GetPayment(request, timeout=CALL_TIMEOUT_S),
                _state,
                cart_id=cart.cart_id,
                order_id=cart.order_id,
                payment_id=payment_id,
            )
            state = seen.state
            if (
                state not in ("", "PROCESSING")
                or seen.outcome is Outcome.REFUSED
                or time.monotonic() > give_up_s
            ):
                break
        return state


def _parts(total_minor: int, *, split: bool) -> list[int]:
    """The amounts to pay; one minor unit can't be split."""
    first = total_minor // 2
    return [first, total_minor - first] if split and first else [total_minor]


def _batched(lines: Sequence[Line], size: int) -> list[Sequence[Line]]:
    return [lines[start : start + size] for start in range(0, len(lines), size)]


def _state(answer: v1.PayOrderResponse | v1.GetPaymentResponse) -> dict[str, str]:
    return {"state": payment_state_name(answer.payment)}
