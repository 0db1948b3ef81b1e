"""Fault 13: a client that was made from the first protos there were, and a server of today."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.json_format import ParseDict
from google.protobuf.message_factory import GetMessageClass

from inventory_client import v1
from support.faults.place import WAIT_S, Place
from support.faults.promises import check
from support.requests import METHODS, minimal, raw_stub_of

ROOT = Path(__file__).parents[2]
# What `buf build --exclude-source-info` makes of protos/ as they were in the first commit that had them.
FIRST = ROOT / "tests" / "support" / "first_contract.binpb"


def first_methods() -> dict[str, MethodDescriptor]:
    """Return the methods of the first protos, whose messages are classes of their own."""
    pool = descriptor_pool.DescriptorPool()
    for file in descriptor_pb2.FileDescriptorSet.FromString(FIRST.read_bytes()).file:
        pool.Add(file)
    services = (pool.FindServiceByName(f"inventory.v1.{name}Service") for name in ("Inventory", "Checkout"))
    return {method.name: method for service in services for method in service.methods}


class OldClient:
    """Calls methods as the first stubs do: it knows no field that came later."""

    def __init__(self, channel: grpc.Channel) -> None:
        self._channel = channel
        self.methods = first_methods()

    def send(self, name: str, request: Any) -> Any:
        method = self.methods[name]
        answer = raw_stub_of(self._channel, method)(request.SerializeToString(), timeout=WAIT_S)
        return GetMessageClass(method.output_type).FromString(answer)

    def call(self, name: str, **fields: object) -> Any:
        return self.send(name, ParseDict(fields, GetMessageClass(self.methods[name].input_type)()))


@pytest.mark.fault(13)
def test_the_first_stubs_and_the_server_of_today(shop_place: Place, tell: Callable[..., None]) -> None:
    """From stock to shipment as it was written then; what it made, today's stubs see as it was meant."""
    line = {"product_id": "a", "quantity": 3}
    with grpc.insecure_channel(shop_place.server.address) as channel:
        old = OldClient(channel)
        assert old.call("CreateStock", product_id="a", quantity=10, request_id="s").stock.total == 10
        old.call("ReserveStock", reservation_id="r", lines=[line])
        old.call("ReleaseReservation", reservation_id="r", request_id="release")
        assert old.call("GetReservation", reservation_id="r").reservation.state
        old.call("CreateCart", cart_id="c", currency="EUR")
        old.call("AddCartItems", cart_id="c", items=[{**line, "unit_price_minor": 5}], request_id="add")
        assert old.call("Checkout", cart_id="c", order_id="o").order.total_minor == 15
        paid = {"payment_id": "p", "amount_minor": 15, "payment_method": "sim:accept"}
        assert old.call("PayOrder", order_id="o", **paid).payment.amount_minor == 15
        old.call("ShipOrder", order_id="o", shipment_id="sh")
        assert old.call("GetStock", product_id="a").stock.total == 7
        inventory, checkout = v1.InventoryServiceStub(channel), v1.CheckoutServiceStub(channel)
        order = checkout.GetOrder(v1.GetOrderRequest(order_id="o"), timeout=WAIT_S).order
        assert (order.captured_minor, order.lines[0].fulfilled) == (15, 3)
        asked = v1.GetReservationRequest(reservation_id="r")
        held = inventory.GetReservation(asked, timeout=WAIT_S).reservation
        assert held.state == v1.ReservationState.RESERVATION_STATE_RELEASED
    tell(check(shop_place))


@pytest.mark.fault(13)
def test_no_rule_became_stricter(place: Place) -> None:
    """Every method of the first protos is there, and takes what it needed then and no more."""
    with grpc.insecure_channel(place.server.address) as channel:
        old = OldClient(channel)
        assert old.methods.keys() < {method.name for method in METHODS}
        for name, method in old.methods.items():
            try:
                old.send(name, minimal(method))
            except grpc.RpcError as error:
                # Nothing is there that it asks for.
                allowed = (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.FAILED_PRECONDITION)
                assert error.code() in allowed, (name, error.details())  # type: ignore[attr-defined]


@pytest.mark.fault(13)
def test_the_protos_are_compatible_with_the_first() -> None:
    """No number, name or type of the first protos has gone or changed: files, messages, enums, methods."""
    buf = Path(sys.executable).with_name("buf")
    told = subprocess.run(
        [buf, "breaking", "--against", FIRST], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0, told.stdout + told.stderr
