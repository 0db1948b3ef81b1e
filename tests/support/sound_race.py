"""A little race that breaks no law: what a correct service leaves behind, and what its clients saw."""

from __future__ import annotations

from collections import Counter

from inventory_client import v1
from inventory_loadtest.checker import judge
from inventory_loadtest.evidence import FinalState
from inventory_loadtest.gateway_ledger import Taking
from inventory_loadtest.history import Event, Outcome, Step

PRICE_MINOR = 100
Action = v1.StockAction


class World:
    """A sound little race: what a correct service leaves behind, and what its clients saw."""

    def __init__(self) -> None:
        self.history: list[Event] = []
        self.state = FinalState(takings=[])

    def stock(self, product_id: str, units: int) -> None:
        self.see(Step.CREATE_STOCK, units={product_id: units})
        self.state.stocks[product_id] = v1.Stock(product_id=product_id)
        self.log(product_id, Action.STOCK_ACTION_CREATE, units, available=units)

    def see(self, step: Step, outcome: Outcome = Outcome.OK, **values: object) -> None:
        now_s = float(len(self.history))
        self.history.append(
            Event(step=step, outcome=outcome, started_s=now_s, ended_s=now_s + 0.5, **values)  # type: ignore[arg-type]
        )

    def log(
        self, product_id: str, action: int, quantity: int, available: int = 0, allocated: int = 0, **more: str
    ) -> None:
        """Append an entry that changes the balances by so much, and change the stock with it."""
        entries = self.state.log.setdefault(product_id, [])
        stock = self.state.stocks[product_id]
        stock.available += available
        stock.allocated += allocated
        stock.total = stock.available + stock.allocated
        entries.append(  # type: ignore[attr-defined]
            v1.StockTransaction(
                product_id=product_id,
                location="default",
                version=len(entries) + 1,
                action=action,  # type: ignore[arg-type]
                quantity=quantity,
                available_after=stock.available,
                allocated_after=stock.allocated,
                **more,
            )
        )

    def check_out(self, order_id: str, units: dict[str, int]) -> v1.Order:
        total_minor = sum(units.values()) * PRICE_MINOR
        self.see(Step.CREATE_CART, cart_id=order_id)
        self.see(Step.ADD_ITEMS, cart_id=order_id, units=units, total_minor=total_minor)
        self.see(Step.CHECKOUT, cart_id=order_id, order_id=order_id, units=units, total_minor=total_minor)
        self.state.carts[order_id] = v1.Cart(
            cart_id=order_id, items=[v1.CartItem(product_id=p, quantity=q) for p, q in units.items()]
        )
        order = v1.Order(
            order_id=order_id,
            cart_id=order_id,
            state=v1.OrderState.ORDER_STATE_INCOMPLETE,
            payment_state=v1.OrderPaymentState.ORDER_PAYMENT_STATE_UNPAID,
            lines=[
                v1.OrderLine(line_number=n, product_id=p, quantity=q, unit_price_minor=PRICE_MINOR)
                for n, (p, q) in enumerate(units.items(), start=1)
            ],
            total_minor=total_minor,
            balance_minor=total_minor,
        )
        self.state.orders[order_id] = order
        return order

    def reserve(self, order: v1.Order, reservation_id: str) -> None:
        for line in order.lines:
            q = line.quantity
            self.log(
                line.product_id,
                Action.STOCK_ACTION_RESERVE,
                q,
                available=-q,
                allocated=q,
                reservation_id=reservation_id,
                order_id=order.order_id,
            )
            line.open = q

    def release(self, order: v1.Order, reservation_id: str) -> None:
        for line in order.lines:
            q = line.open
            self.log(
                line.product_id,
                Action.STOCK_ACTION_RELEASE,
                q,
                available=q,
                allocated=-q,
                reservation_id=reservation_id,
                order_id=order.order_id,
            )
            line.open = 0

    def pay(self, order: v1.Order, state: str, amount_minor: int | None = None, part: int = 1) -> None:
        amount = order.balance_minor if amount_minor is None else amount_minor
        payment_id = f"{order.order_id}.p{part}"
        payment = v1.Payment(
            payment_id=payment_id,
            order_id=order.order_id,
            state=v1.PaymentState.Value(f"PAYMENT_STATE_{state}"),
            amount_minor=amount,
            captured_minor=amount if state == "CAPTURED" else 0,
            operation_id=f"op-{payment_id}",
        )
        if state == "PROCESSING":
            payment.operations.add(
                amount_minor=amount,
                kind=v1.PaymentOperationKind.PAYMENT_OPERATION_KIND_PURCHASE,
                state=v1.PaymentOperationState.PAYMENT_OPERATION_STATE_PROCESSING,
            )
        self.state.payments[payment_id] = payment
        order.payment_ids.append(payment_id)
        if state in ("CAPTURED", "PROCESSING"):
            order.balance_minor -= amount
        if state == "CAPTURED":
            order.captured_minor += amount
            order.payment_state = (
                v1.OrderPaymentState.ORDER_PAYMENT_STATE_PAID
                if order.captured_minor == order.total_minor
                else v1.OrderPaymentState.ORDER_PAYMENT_STATE_PARTIALLY_PAID
            )
            assert self.state.takings is not None
            self.state.takings.append(Taking(payment.operation_id, order.order_id, payment_id, amount))
        self.see(
            Step.PAY,
            cart_id=order.order_id,
            order_id=order.order_id,
            payment_id=payment_id,
            amount_minor=amount,
            state=state,
        )

    def refuse_payment(self, order: v1.Order) -> None:
        self.see(
            Step.PAY,
            Outcome.REFUSED,
            reason="INSUFFICIENT_STOCK",
            cart_id=order.order_id,
            order_id=order.order_id,
            payment_id=f"{order.order_id}.p1",
            amount_minor=order.total_minor,
        )

    def broken_laws(self) -> Counter[str]:
        return Counter(violation.law for violation in judge(self.history, self.state))


def sound_world() -> World:
    """Every fate once: paid, split, declined, sold out, in flight, cancelled after it was paid."""
    world = World()
    world.stock("tea", 5)
    world.stock("pot", 4)
    paid = world.check_out("paid", {"tea": 2, "pot": 1})
    world.reserve(paid, "r1")
    world.pay(paid, "CAPTURED")
    split = world.check_out("split", {"tea": 1})
    world.reserve(split, "r2")
    world.pay(split, "CAPTURED", 40)
    world.pay(split, "DECLINED", 60, part=2)
    declined = world.check_out("declined", {"pot": 1})
    world.reserve(declined, "r3")
    world.pay(declined, "DECLINED")
    world.release(declined, "r3")
    flying = world.check_out("flying", {"tea": 1})
    world.reserve(flying, "r4")
    world.pay(flying, "PROCESSING")
    world.refuse_payment(world.check_out("late", {"tea": 2}))
    cancelled = world.check_out("cancelled", {"pot": 1})
    world.reserve(cancelled, "r5")
    world.pay(cancelled, "CAPTURED")
    world.release(cancelled, "r5")
    cancelled.state = v1.OrderState.ORDER_STATE_CANCELLED
    return world
