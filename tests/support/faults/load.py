"""A load of a few callers that go on whatever happens, and keep the books."""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import pairwise
from types import TracebackType
from typing import Self

from inventory_client import v1
from support.faults.books import Books, Order
from support.faults.calls import Caller, Refused
from support.faults.place import WAIT_S
from support.polling import until

WORKERS = 4
# A worker stops by itself after so many rounds, whatever its test does.
ROUNDS_MAX = 20_000
PRODUCTS = tuple("abcdef")
UNITS = 1_000_000
# Of each worker's rounds one in so many, from the first on, asks for more than there ever is.
TOO_MUCH_EVERY = 10
PRICE_MINOR = 100
# How orders are paid: one of these by chance, which steers the gateway simulator.
PAYMENT_METHODS = ("sim:accept", "sim:accept", "sim:accept", "sim:decline")
_STATE = v1.PaymentState


class Load:
    """Calls by chance, each sent again until its outcome is known.

    Args:
        address: tells where the server is now.
        pays: orders are made and paid for too.
        payment_methods: how.
        workers: how many callers at once.
    """

    def __init__(
        self,
        address: Callable[[], str],
        chance: random.Random,
        *,
        store: str = "default",
        pays: bool = False,
        payment_methods: Sequence[str] = PAYMENT_METHODS,
        workers: int = WORKERS,
    ) -> None:
        self.store = store
        self.books = Books()
        self.sold_out_count = 0
        self._pays = pays
        self._payment_methods = payment_methods
        self._stop = threading.Event()
        self._callers = [Caller(address, store) for _ in range(workers + 1)]
        self._chances = [random.Random(chance.random()) for _ in range(workers)]
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="load")
        self._workers: list[Future[None]] = []

    def __enter__(self) -> Self:
        for product_id in PRODUCTS:
            request = v1.CreateStockRequest(product_id=product_id, quantity=UNITS, request_id=product_id)
            self._callers[-1].send("CreateStock", request)
            self.books.move({product_id: UNITS}, 1, 0)
        for number in range(len(self._chances)):
            self._workers.append(self._pool.submit(self._work, number))
        self.goes_on()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let every call come to its end; raise what a worker met that it should not have."""
        self._stop.set()
        self._pool.shutdown(wait=True)
        self._callers[-1].close()
        if error is None:
            for worker in self._workers:
                worker.result()

    # --- what a test looks at ----------------------------------------------------------------------

    @property
    def acknowledged_count(self) -> int:
        return sum(len(caller.answered_at) for caller in self._callers)

    @property
    def doubts(self) -> Counter[str]:
        """Why calls were left open, and how often."""
        return sum((caller.doubts for caller in self._callers), Counter[str]())

    def goes_on(self, count: int = 40) -> None:
        """Wait until so many more calls were answered OK."""
        enough = self.acknowledged_count + count

        def look() -> bool:
            for worker in self._workers:
                if worker.done():
                    worker.result()
            return self.acknowledged_count >= enough

        until(look, f"{count} more calls are answered OK", WAIT_S)

    def wait_for_doubt(self, count: int = 1) -> None:
        """Wait until so many more calls were left open."""
        enough = sum(self.doubts.values()) + count
        until(lambda: sum(self.doubts.values()) >= enough, f"{count} calls are left open", WAIT_S)

    def figures(self) -> dict[str, object]:
        """What to tell of it when it has ended."""
        times = sorted(at for caller in self._callers for at in caller.answered_at)
        silences = [later - earlier for earlier, later in pairwise(times)]
        return {
            "calls acknowledged": self.acknowledged_count,
            "left open and resolved": sum(caller.doubtful_count for caller in self._callers),
            "sold out": self.sold_out_count,
            "longest_silence_s": max(silences, default=0.0),
        }

    # --- what a worker does ------------------------------------------------------------------------

    def _work(self, number: int) -> None:
        chance, caller = self._chances[number], self._callers[number]
        kinds = [self._change, self._hold, *([self._order] if self._pays else [])]
        try:
            for round_number in range(ROUNDS_MAX):
                if self._stop.is_set():
                    return
                try:
                    kind = chance.choice(kinds) if round_number % TOO_MUCH_EVERY else self._too_much
                    kind(caller, chance, f"{number}-{round_number}")
                except Refused as refused:
                    assert refused.reason == "INSUFFICIENT_STOCK", refused.reason
                    self.sold_out_count += 1
        finally:
            caller.close()

    def _lines(self, chance: random.Random) -> dict[str, int]:
        return {product: chance.randint(1, 3) for product in chance.sample(PRODUCTS, chance.randint(1, 3))}

    def _change(self, caller: Caller, chance: random.Random, name: str) -> None:
        """Change a level by hand."""
        product, quantity = chance.choice(PRODUCTS), chance.randint(1, 4)
        sign, action = chance.choice([(1, "INCREMENT"), (-1, "DECREMENT")])
        request = v1.CreateStockTransactionRequest(
            product_id=product,
            action=v1.StockAction.Value(f"STOCK_ACTION_{action}"),
            quantity=quantity,
            request_id=name,
        )
        caller.send("CreateStockTransaction", request)
        self.books.hand.add(name)
        self.books.move({product: quantity}, sign, 0)

    def _too_much(self, caller: Caller, _: random.Random, name: str) -> None:
        """Reserve what there is of one product and never will be of another: it is refused whole."""
        lines = {PRODUCTS[0]: 1, PRODUCTS[1]: 10 * UNITS}
        request = v1.ReserveStockRequest(
            reservation_id=name,
            lines=[v1.LineRequest(product_id=p, quantity=q) for p, q in lines.items()],
        )
        caller.send("ReserveStock", request)
        raise AssertionError(f"{name} was answered OK")

    def _hold(self, caller: Caller, chance: random.Random, name: str) -> None:
        """Reserve, and then release, fulfil, or keep it."""
        lines = self._lines(chance)
        request = v1.ReserveStockRequest(
            reservation_id=name,
            lines=[v1.LineRequest(product_id=p, quantity=q) for p, q in lines.items()],
            never_expires=True,
        )
        caller.send("ReserveStock", request)
        self.books.reservations[name] = "HELD"
        self.books.move(lines, -1, 1)
        then = chance.choice(["Release", "Fulfill", ""])
        if then:
            ending = getattr(v1, f"{then}ReservationRequest")(reservation_id=name, request_id=name)
            caller.send(f"{then}Reservation", ending)
            self.books.reservations[name] = "RELEASED" if then == "Release" else "CLOSED"
            self.books.move(lines, 1 if then == "Release" else 0, -1)

    def _order(self, caller: Caller, chance: random.Random, name: str) -> None:
        """Check out and pay, and then ship, cancel, or leave it."""
        lines = self._lines(chance)
        order = Order(lines, f"p{name}")
        caller.send("CreateCart", v1.CreateCartRequest(cart_id=name, currency="EUR"))
        items = [
            v1.CartItemRequest(product_id=p, quantity=q, unit_price_minor=PRICE_MINOR)
            for p, q in lines.items()
        ]
        caller.send("AddCartItems", v1.AddCartItemsRequest(cart_id=name, items=items, request_id=name))
        caller.send("Checkout", v1.CheckoutRequest(cart_id=name, order_id=name))
        self.books.orders[name] = order
        request = v1.PayOrderRequest(
            order_id=name,
            payment_id=order.payment_id,
            amount_minor=PRICE_MINOR * sum(lines.values()),
            payment_method=chance.choice(self._payment_methods),
        )
        payment = caller.send("PayOrder", request).payment
        if payment.state == _STATE.PAYMENT_STATE_PROCESSING:
            self.books.open_orders.append(order)
            return
        self.books.paid(order, payment)
        if order.state == "PAID":
            self._after_payment(caller, chance.choice(["ship", "cancel", ""]), name, order)

    def _after_payment(self, caller: Caller, then: str, name: str, order: Order) -> None:
        if then == "ship":
            caller.send("ShipOrder", v1.ShipOrderRequest(order_id=name, shipment_id=name))
            order.state = "SHIPPED"
            self.books.move(order.lines, 0, -1)
        elif then == "cancel":
            caller.send("CancelOrder", v1.CancelOrderRequest(order_id=name, request_id=name))
            order.state = "CANCELLED"
            self.books.move(order.lines, 1, -1)
