"""What a client without our stubs finds: reflection and health."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import grpc
import pytest
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message_factory import GetMessageClass
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from inventory_server.launch import LaunchedProcess
from support.requests import METHODS
from support.shop import Shop

SERVICES = ["inventory.v1.InventoryService", "inventory.v1.CheckoutService"]


def test_reflection_lists_both_services(server: LaunchedProcess) -> None:
    """Reflection names both services, with every method and its messages."""
    with grpc.insecure_channel(server.address) as channel:
        database = ProtoReflectionDescriptorDatabase(channel)
        assert set(SERVICES) <= set(database.get_services())
        pool = DescriptorPool(database)
        found = [method for name in SERVICES for method in pool.FindServiceByName(name).methods]
        assert [method.full_name for method in found] == [method.full_name for method in METHODS]


def test_a_first_call_by_reflection_alone(shop: Shop, server: LaunchedProcess) -> None:
    """A call can be made with nothing but what the server says about itself."""
    shop.stock("tea", 5)
    with grpc.insecure_channel(server.address) as channel:
        pool = DescriptorPool(ProtoReflectionDescriptorDatabase(channel))
        method = pool.FindServiceByName(SERVICES[0]).FindMethodByName("GetStock")
        request = GetMessageClass(method.input_type)(product_id="tea")
        answer = channel.unary_unary(
            f"/{SERVICES[0]}/GetStock",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=GetMessageClass(method.output_type).FromString,
        )(request, metadata=(("x-inventory-store", shop.store),))
    assert answer.stock.available == 5


def test_buf_curl(shop: Shop, server: LaunchedProcess) -> None:
    """`buf curl`, as docs/clients.md has it, makes a call by reflection."""
    shop.stock("tea", 5)
    buf = Path(sys.executable).parent / "buf"
    told = subprocess.run(
        [
            buf, "curl", "--http2-prior-knowledge", "--protocol", "grpc",
            "-H", f"x-inventory-store: {shop.store}", "-d", '{"product_id": "tea"}',
            f"http://{server.address}/{SERVICES[0]}/GetStock",
        ],
        capture_output=True,
        check=True,
    )  # fmt: skip
    assert json.loads(told.stdout)["stock"]["available"] == "5"


@pytest.mark.parametrize("service", ["", *SERVICES])
def test_health_answers_serving(server: LaunchedProcess, service: str) -> None:
    """The server as a whole and each service are SERVING."""
    with grpc.insecure_channel(server.address) as channel:
        answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=service))
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


def test_health_of_a_service_that_is_not_there(server: LaunchedProcess) -> None:
    """A service that nobody serves is NOT_FOUND."""
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as raised:
        health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service="nothing"))
    assert raised.value.code() is grpc.StatusCode.NOT_FOUND


def test_a_method_that_is_not_there(server: LaunchedProcess) -> None:
    """An unknown method is the transport's UNIMPLEMENTED."""
    with grpc.insecure_channel(server.address) as channel, pytest.raises(grpc.RpcError) as raised:
        channel.unary_unary(f"/{SERVICES[0]}/DeleteEverything")(b"")
    assert raised.value.code() is grpc.StatusCode.UNIMPLEMENTED
