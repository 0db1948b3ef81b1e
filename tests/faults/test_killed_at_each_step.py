"""Fault 6: SIGKILL of the server at each step of a call; a new server, and the same call again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from typing import NamedTuple

import psycopg
import pytest

from inventory_client import v1
from support.engine import Database
from support.faults.calls import Caller
from support.faults.place import WAIT_S, Place, placed
from support.faults.promises import check
from support.gateway import StagedGateway, serving
from support.imports import messages, row
from support.polling import until
from support.shop import word
from support.sites import PATIENT

ROWS = 20


class Scene(NamedTuple):
    """A server whose gateway answers when a test says so, on a database whose COMMITs can be held back."""

    place: Place
    caller: Caller
    gateway: StagedGateway
    database: Database

    def stock(self, product_id: str) -> None:
        request = v1.CreateStockRequest(product_id=product_id, quantity=10, request_id=product_id)
        self.caller.send("CreateStock", request)

    def order(self, name: str) -> None:
        """Make an unpaid order of 3 units of a product of its name."""
        self.stock(name)
        self.caller.send("CreateCart", v1.CreateCartRequest(cart_id=name, currency="EUR"))
        item = v1.CartItemRequest(product_id=name, quantity=3, unit_price_minor=100)
        self.caller.send("AddCartItems", v1.AddCartItemsRequest(cart_id=name, items=[item], request_id=name))
        self.caller.send("Checkout", v1.CheckoutRequest(cart_id=name, order_id=name))

    def pay_request(self, name: str) -> v1.PayOrderRequest:
        return v1.PayOrderRequest(order_id=name, payment_id=name, amount_minor=300, payment_method="card")

    def held_at_load(self, product_id: str) -> AbstractContextManager[psycopg.Connection]:
        held: AbstractContextManager[psycopg.Connection] = self.database.level_locked(product_id)
        return held

    def held_at_commit(self, _: str) -> AbstractContextManager[psycopg.Connection]:
        held: AbstractContextManager[psycopg.Connection] = self.database.gate_closed()
        return held

    def held_at_settlement(self, order_id: str) -> AbstractContextManager[psycopg.Connection]:
        """Hold an order's row: whoever records the gateway's word waits."""
        return self.database.locked(
            "SELECT FROM sales_order WHERE store_id = 'default' AND order_id = %s FOR UPDATE", order_id
        )

    def kill_when_blocked(self, holder: psycopg.Connection) -> None:
        until(lambda: self.database.blocked(holder), "a batch is held", WAIT_S)
        self.place.kill_server()

    def start_again(self) -> None:
        self.place.wait_for_idle_backends()
        self.place.start_server(**PATIENT)

    def payment(self, payment_id: str) -> str:
        found = self.caller.send("GetPayment", v1.GetPaymentRequest(payment_id=payment_id)).payment
        return word(found)

    def asked_about(self, payment_id: str, result: str) -> None:
        """Let the gateway say this about the payment's operation, and let the reconciler ask now."""
        operation_id = self.database.one(
            "SELECT operation_id FROM payment_operation WHERE payment_id = %s", payment_id
        )
        self.gateway.said[operation_id] = v1.GatewayResult.Value(f"GATEWAY_RESULT_{result}")
        self.database.rows(
            "UPDATE payment_operation SET lease_until = now() WHERE operation_id = %s RETURNING 1",
            operation_id,
        )

    def purchases(self, payment_id: str) -> int:
        return sum(visit.request.payment_id == payment_id for visit in self.gateway.seen["default"])


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    gateway = StagedGateway()
    with serving(gateway) as address, placed(address) as place:
        place.build_gate()
        place.start_server(**PATIENT)
        caller = Caller(lambda: place.server.address)
        with place.database() as database:
            yield Scene(place, caller, gateway, database)
            gateway.let_go()
        caller.close()


@pytest.mark.fault(6)
@pytest.mark.parametrize("step", ["load", "commit"])
def test_killed_while_it_reserves(scene: Scene, step: str, tell: Callable[..., None]) -> None:
    """Before COMMIT nothing is held, after it all is, though nobody heard; the same call holds once."""
    name = f"reserve-{step}"
    scene.stock(name)
    line = v1.LineRequest(product_id=name, quantity=3)
    request = v1.ReserveStockRequest(reservation_id=name, lines=[line], never_expires=True)
    held = scene.held_at_load if step == "load" else scene.held_at_commit
    with held(name) as holder:
        call = scene.caller.start("ReserveStock", request, WAIT_S)
        scene.kill_when_blocked(holder)
    assert call.code().name == "UNAVAILABLE"
    scene.start_again()
    assert scene.database.level(name) == ((10, 0) if step == "load" else (7, 3))
    for _ in range(2):
        assert word(scene.caller.send("ReserveStock", request).reservation) == "HELD"
    assert scene.database.level(name) == (7, 3)
    tell(check(scene.place))


@pytest.mark.fault(6)
@pytest.mark.parametrize("step", ["load", "commit"])
def test_killed_before_the_gateway_is_called(scene: Scene, step: str, tell: Callable[..., None]) -> None:
    """At the load nothing was begun; at COMMIT the payment is found, and sent to the gateway once."""
    name = f"begin-{step}"
    scene.order(name)
    request = scene.pay_request(name)
    held = scene.held_at_load if step == "load" else scene.held_at_commit
    with held(name) as holder:
        call = scene.caller.start("PayOrder", request, WAIT_S)
        scene.kill_when_blocked(holder)
    assert call.code().name == "UNAVAILABLE"
    scene.start_again()
    assert scene.database.level(name) == ((10, 0) if step == "load" else (7, 3))
    if step == "load":
        call = scene.caller.start("PayOrder", request, WAIT_S)
        scene.gateway.next("default").accept()
        assert word(call.result().payment) == "CAPTURED"
    else:
        assert word(scene.caller.send("PayOrder", request).payment) == "PROCESSING"
        scene.asked_about(name, "NEVER_SEEN")
        scene.gateway.next("default").accept()
        until(lambda: scene.payment(name) == "CAPTURED", "it is settled", WAIT_S)
    assert (scene.purchases(name), scene.database.level(name)) == (1, (7, 3))
    tell(check(scene.place))


@pytest.mark.fault(6)
@pytest.mark.parametrize("result", ["ACCEPTED", "DECLINED"])
@pytest.mark.parametrize("step", ["gateway", "load", "commit"])
def test_killed_after_the_gateway_was_called(
    scene: Scene, step: str, result: str, tell: Callable[..., None]
) -> None:
    """Between the two transactions or in the second: the gateway's word is found out, money moves once."""
    name = f"settle-{step}-{result}"
    scene.order(name)
    call = scene.caller.start("PayOrder", scene.pay_request(name), WAIT_S)
    visit = scene.gateway.next("default")
    answer = visit.accept if result == "ACCEPTED" else visit.decline
    if step == "gateway":
        scene.place.kill_server()
        answer()
    else:
        held = scene.held_at_settlement if step == "load" else scene.held_at_commit
        with held(name) as holder:
            answer()
            scene.kill_when_blocked(holder)
    assert call.code().name == "UNAVAILABLE"
    scene.start_again()
    ended = "CAPTURED" if result == "ACCEPTED" else "DECLINED"
    if step == "commit":
        assert scene.payment(name) == ended
    else:
        assert (scene.payment(name), scene.database.level(name)) == ("PROCESSING", (7, 3))
        scene.asked_about(name, result)
        until(lambda: scene.payment(name) == ended, "it is settled", WAIT_S)
    assert word(scene.caller.send("PayOrder", scene.pay_request(name)).payment) == ended
    left = (7, 3) if result == "ACCEPTED" else (10, 0)
    assert (scene.purchases(name), scene.database.level(name)) == (1, left)
    tell(check(scene.place))


@pytest.mark.fault(6)
@pytest.mark.parametrize("step", ["load", "commit"])
def test_killed_while_it_ships(scene: Scene, step: str, tell: Callable[..., None]) -> None:
    """Before COMMIT nothing left the house, after it all did; the same shipment again ships once."""
    name = f"ship-{step}"
    scene.order(name)
    call = scene.caller.start("PayOrder", scene.pay_request(name), WAIT_S)
    scene.gateway.next("default").accept()
    assert word(call.result().payment) == "CAPTURED"
    request = v1.ShipOrderRequest(order_id=name, shipment_id=name)
    held = scene.held_at_load if step == "load" else scene.held_at_commit
    with held(name) as holder:
        call = scene.caller.start("ShipOrder", request, WAIT_S)
        scene.kill_when_blocked(holder)
    assert call.code().name == "UNAVAILABLE"
    scene.start_again()
    assert scene.database.level(name) == ((7, 3) if step == "load" else (7, 0))
    for _ in range(2):
        assert scene.caller.send("ShipOrder", request).shipment.shipment_id == name
    assert scene.database.level(name) == (7, 0)
    tell(check(scene.place))


@pytest.mark.fault(6)
@pytest.mark.parametrize("step", ["job", "load", "commit"])
def test_killed_while_it_imports(scene: Scene, step: str, tell: Callable[..., None]) -> None:
    """While the job is made, a chunk loaded or committed: after the same upload each row is applied once."""
    name = f"import-{step}"
    scene.stock(name)
    rows = [row(f"{name}-{number:02}", number) for number in range(ROWS)] + [row(name, 50)]
    with ExitStack() as stack:
        if step == "job":
            holder = stack.enter_context(scene.held_at_commit(name))
            call = scene.caller.start("ImportStock", upload_of(name, rows), WAIT_S)
        else:
            with scene.held_at_load(name) as holder:
                scene.caller.try_once("ImportStock", upload_of(name, rows), WAIT_S)
                until(lambda: scene.database.blocked(holder), "a chunk is being loaded", WAIT_S)
                if step == "load":
                    scene.place.kill_server()
                else:
                    gate = stack.enter_context(scene.held_at_commit(name))
            holder = gate if step == "commit" else holder
        if step != "load":
            scene.kill_when_blocked(holder)
    assert step != "job" or call.code().name == "UNAVAILABLE"
    scene.start_again()
    scene.caller.try_once("ImportStock", upload_of(name, rows), WAIT_S)
    look = v1.GetImportRequest(import_id=name)

    def is_applied() -> bool:
        return word(scene.caller.send("GetImport", look).stock_import) == "SUCCEEDED"

    until(is_applied, "it is applied", WAIT_S)
    assert scene.database.level(name) == (50, 0)
    entries = scene.database.rows(
        "SELECT product_id, version, quantity FROM stock_transaction"
        " WHERE product_id LIKE %s ORDER BY product_id, version",
        f"{name}-%",
    )
    assert entries == [(f"{name}-{number:02}", 1, number) for number in range(ROWS)]
    assert [action for _, action, _ in scene.database.entries(name)] == ["CREATE", "SET"]
    tell(check(scene.place))


def upload_of(name: str, rows: list[v1.StockRow]) -> Iterator[v1.ImportStockRequest]:
    return messages(rows, name, row_count=len(rows))
