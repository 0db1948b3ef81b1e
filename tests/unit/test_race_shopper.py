"""The walk of one cart: the same call again while the outcome is unknown, and no step too many."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import grpc
import pytest

from inventory_client import errors, v1
from inventory_loadtest.asking import ATTEMPTS_MAX
from inventory_loadtest.history import Event, Outcome, Step
from inventory_loadtest.plan import CartPlan, Line
from inventory_loadtest.shopper import Shopper
from inventory_loadtest.starting_gun import StartingGun

TEN_OF_TEA = (Line("tea", 4, 100), Line("tea", 6, 90))


def unavailable() -> errors.InventoryError:
    return errors.Unavailable("try again", code=grpc.StatusCode.UNAVAILABLE)


def sold_out() -> errors.InventoryError:
    return errors.InsufficientStock(
        "sold out", code=grpc.StatusCode.FAILED_PRECONDITION, reason_name="INSUFFICIENT_STOCK"
    )


class Till:
    """A server of one cart: answers what the script has next for a method, else what is usual."""

    def __init__(self, **script: list[Any]) -> None:
        self.script = script
        self.calls: list[tuple[str, Any]] = []
        self.checkout = self.inventory = self

    def __getattr__(self, method: str) -> Callable[..., Any]:
        def call(request: Any, timeout: float) -> Any:
            kept = type(request)()
            kept.CopyFrom(request)
            self.calls.append((method, kept))
            scripted = self.script.get(method)
            answer = scripted.pop(0) if scripted else self.usual(method, request)
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call

    @staticmethod
    def usual(method: str, request: Any) -> Any:
        payment = v1.Payment(state=v1.PaymentState.PAYMENT_STATE_CAPTURED)
        return {
            "CreateStock": v1.CreateStockResponse(),
            "CreateCart": v1.CreateCartResponse(),
            "AddCartItems": v1.AddCartItemsResponse(cart=v1.Cart(total_minor=901)),
            "Checkout": v1.CheckoutResponse(
                order=v1.Order(total_minor=901, lines=[v1.OrderLine(product_id="tea", quantity=10)])
            ),
            "PayOrder": v1.PayOrderResponse(payment=payment),
            "GetPayment": v1.GetPaymentResponse(payment=payment),
        }[method]

    def methods(self) -> list[str]:
        return [method for method, _ in self.calls]


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let time go on by what is slept alone."""
    now_s = 0.0

    def sleep(pause_s: float) -> None:
        nonlocal now_s
        now_s += pause_s

    clock = SimpleNamespace(sleep=sleep, monotonic=lambda: now_s)
    for module in ("shopper", "asking"):
        monkeypatch.setattr(f"inventory_loadtest.{module}.time", clock)


def walk(
    till: Till, *, split: bool = False, lines: tuple[Line, ...] = TEN_OF_TEA, **options: Any
) -> list[Event]:
    seen: list[Event] = []
    Shopper(till, seen.append, **options).walk(CartPlan("r.c1", lines, split))  # type: ignore[arg-type]
    return seen


def test_a_walk_to_the_end() -> None:
    """Cart, items, checkout, the gun, payment: the total is the order's, never the plan's."""
    till = Till()
    at_gun: list[list[str]] = []
    events = walk(till, await_gun=lambda: at_gun.append(till.methods()))
    assert [event.step for event in events] == [Step.CREATE_CART, Step.ADD_ITEMS, Step.CHECKOUT, Step.PAY]
    assert at_gun == [["CreateCart", "AddCartItems", "Checkout"]]
    assert events[1].units == {"tea": 10}
    assert events[2].units == {"tea": 10}
    pay = till.calls[-1][1]
    assert (pay.order_id, pay.payment_id, pay.amount_minor) == ("r.c1", "r.c1.p1", 901)
    assert events[-1].state == "CAPTURED"


def test_both_prices_are_sent() -> None:
    """A product at two prices goes into the cart as two items; the server decides."""
    till = Till()
    walk(till)
    assert [(item.quantity, item.unit_price_minor) for item in till.calls[1][1].items] == [(4, 100), (6, 90)]


def test_two_parts() -> None:
    """A split cart pays half, then the rest, which is a unit more where the total is odd."""
    till = Till()
    walk(till, split=True)
    assert [(call.payment_id, call.amount_minor) for method, call in till.calls if method == "PayOrder"] == [
        ("r.c1.p1", 450),
        ("r.c1.p2", 451),
    ]


def test_the_second_part_needs_the_first() -> None:
    """After a decline of the first part nothing more is paid."""
    declined = v1.PayOrderResponse(payment=v1.Payment(state=v1.PaymentState.PAYMENT_STATE_DECLINED))
    till = Till(PayOrder=[declined])
    events = walk(till, split=True)
    assert till.methods().count("PayOrder") == 1
    assert events[-1].state == "DECLINED"


def test_more_lines_than_a_request_takes() -> None:
    """1,001 lines go in two requests, with ids of their own."""
    till = Till()
    walk(till, lines=tuple(Line(f"p{n % 500}", 1, 1) for n in range(1001)))
    adds = [call for method, call in till.calls if method == "AddCartItems"]
    assert [len(call.items) for call in adds] == [1000, 1]
    assert len({call.request_id for call in adds}) == 2


@pytest.mark.parametrize("method", ["CreateCart", "AddCartItems", "Checkout", "PayOrder"])
def test_sold_out_ends_the_walk(method: str) -> None:
    """A refusal is final, at whichever step: nothing is sent again, nothing after it."""
    till = Till(**{method: [sold_out()]})
    events = walk(till)
    assert till.methods()[-1] == method
    assert till.methods().count(method) == 1
    assert (events[-1].outcome, events[-1].sold_out) == (Outcome.REFUSED, True)


@pytest.mark.parametrize("method", ["CreateCart", "AddCartItems", "Checkout", "PayOrder"])
def test_unavailable_is_sent_again_unchanged(method: str) -> None:
    """UNAVAILABLE twice, then an answer: three times the same bytes, one event."""
    till = Till(**{method: [unavailable(), unavailable()]})
    events = walk(till)
    sent = [call for name, call in till.calls if name == method]
    assert len(sent) == 3
    assert len({call.SerializeToString(deterministic=True) for call in sent}) == 1
    assert [event.attempts for event in events if event.step == method] == [3]
    assert events[-1].state == "CAPTURED"


@pytest.mark.parametrize("method", ["CreateCart", "AddCartItems", "Checkout"])
def test_attempts_are_bounded(method: str) -> None:
    """After the last attempt the outcome is unknown, and the walk ends."""
    till = Till(**{method: [unavailable()] * 99})
    events = walk(till)
    assert till.methods().count(method) == ATTEMPTS_MAX
    assert (events[-1].outcome, events[-1].reason) == (Outcome.UNKNOWN, "UNAVAILABLE")
    assert till.methods()[-1] == method


def test_a_payment_in_doubt_is_asked_for() -> None:
    """PROCESSING is followed until it is definite."""
    processing = v1.Payment(state=v1.PaymentState.PAYMENT_STATE_PROCESSING)
    till = Till(
        PayOrder=[v1.PayOrderResponse(payment=processing)],
        GetPayment=[v1.GetPaymentResponse(payment=processing)] * 2,
    )
    events = walk(till)
    assert [event.state for event in events if event.step is Step.POLL] == [
        "PROCESSING",
        "PROCESSING",
        "CAPTURED",
    ]


def test_a_payment_of_unknown_outcome_is_asked_for() -> None:
    """When all attempts to pay were lost, the server is asked what became of the payment."""
    till = Till(PayOrder=[unavailable()] * ATTEMPTS_MAX)
    events = walk(till, split=True)
    assert till.methods()[-2:] == ["GetPayment", "PayOrder"]  # found captured: the second part follows
    assert [event.outcome for event in events][-3:] == [Outcome.UNKNOWN, Outcome.OK, Outcome.OK]


def test_asking_ends() -> None:
    """A payment that stays in doubt is given up after the time for it."""
    processing = v1.Payment(state=v1.PaymentState.PAYMENT_STATE_PROCESSING)
    till = Till(
        PayOrder=[v1.PayOrderResponse(payment=processing)],
        GetPayment=[v1.GetPaymentResponse(payment=processing)] * 10_000,
    )
    events = walk(till, settle_s=0.05)
    assert events[-1].state == "PROCESSING"
    assert len(events) < 10_000


def test_stock_is_made() -> None:
    """The stock of a product, 0 units too, under a request id that repeats with it."""
    till = Till(CreateStock=[unavailable()])
    seen: list[Event] = []
    assert Shopper(till, seen.append).stock("r.tea", 0).ok  # type: ignore[arg-type]
    (_, first), (_, second) = till.calls
    assert first == second
    assert first.HasField("quantity")
    assert first.request_id == "r.tea.s"
    assert seen[0].units == {"r.tea": 0}


def test_the_gun_waits_for_everyone_still_in_the_race() -> None:
    """Two at the line and one that gave up: it fires for all when the last of them is there."""
    gun = StartingGun(3, wait_s_max=30)
    started = [threading.Thread(target=gun.arrive) for _ in range(2)]
    started[0].start()
    gun.leave()
    assert not gun.fired
    started[1].start()
    for thread in started:
        thread.join(60)
    assert gun.fired


def test_the_gun_fires_for_whoever_came_in_time() -> None:
    """A runner that never comes doesn't hold up the others for ever; a race without a gun never waits."""
    gun = StartingGun(2, wait_s_max=0.05)
    gun.arrive()
    assert gun.fired
    StartingGun(0, wait_s_max=30).arrive()
