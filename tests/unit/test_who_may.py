"""Who is let in, and to what: every method of every service, with every role and with none."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc
import pytest

import inventory_client
from inventory_client import v1
from inventory_server.access.credential import Kind
from inventory_server.access.role import Role
from inventory_server.rpc.echo import add_echo
from inventory_server.rpc.server import Built, build_server
from support.certificates import Papers
from support.credentials import Keys, bearing
from unit.test_rpc_server import Anything

INVENTORY, CHECKOUT = "inventory.v1.InventoryService", "inventory.v1.CheckoutService"
SHIPS = {"ShipOrder", "ReturnOrderItems", "FulfillReservation", "ReturnReservationItems"}
LEAST: dict[Role, set[str]] = {
    Role.VIEWER: {
        "GetStock", "BatchGetStock", "ListStock", "GetStockTransaction", "ListStockTransactions",
        "GetLocation", "ListLocations", "GetStoreSettings", "CheckAvailability", "GetReservation",
        "ListReservations", "GetImport", "ListImports", "ListImportErrors", "ExportStock",
        "GetServiceStatistics", "WatchStock", "GetCart", "ListCarts", "GetOrder", "ListOrders", "GetPayment",
        "ListPayments", "ServerReflectionInfo",
    },
    Role.SELLER: {
        "ReserveStock", "BatchReserveStock", "ReserveStockStream", "ConfirmReservation", "ReleaseReservation",
        "ExtendReservation", "CreateCart", "AddCartItems", "UpdateCartItem", "RemoveCartItem", "DeleteCart",
        "Checkout", "PayOrder", "CapturePayment", "VoidPayment", "RefundPayment", "ConfirmPayment",
        "CancelOrder", "Echo",
    },
    Role.STOCK_KEEPER: {
        "CreateStock", "UpdateStock", "DeleteStock", "CreateStockTransaction", "BatchCreateStockTransactions",
        "TransferStock", "CreateLocation", "UpdateLocation", "DeleteLocation", "ImportStock", *SHIPS,
    },
    Role.ADMIN: {"ResolvePayment", "UpdateStoreSettings", "VerifyStock"},
}  # fmt: skip
OPEN = {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}
DENIED = (grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED)


def least_of(path: str) -> Role:
    (role,) = [role for role, names in LEAST.items() if path.rpartition("/")[2] in names]
    return role


class Willing(Anything):
    """Answers whatever it is asked, streams with one answer."""

    def __getattr__(self, name: str) -> Any:
        if name in ("watch_stock", "export_stock", "reserve_stock_stream"):
            return self._stream
        return super().__getattr__(name)

    async def _stream(self, request: Any, call: Any) -> Any:
        yield await self._act(request, call)


class Listening:
    """A server, the handlers that it was given, and the keys to it."""

    def __init__(self, built: Built, handlers: dict[str, Any], keys: Keys) -> None:
        self.built = built
        self.handlers = handlers
        self.keys = keys

    async def code(self, channel: grpc.aio.Channel, path: str, metadata: Any = ()) -> grpc.StatusCode:
        """Call a method with no bytes; return how that ends, OK for a stream that begins."""
        streams = self.handlers[path].request_streaming, self.handlers[path].response_streaming
        kind = {
            (False, False): channel.unary_unary, (False, True): channel.unary_stream,
            (True, False): channel.stream_unary, (True, True): channel.stream_stream,
        }[streams]  # fmt: skip
        call: Any = kind(path)(iter([b""]) if streams[0] else b"", timeout=60, metadata=metadata)
        try:
            await (call.read() if streams[1] else call)
        except grpc.aio.AioRpcError as error:
            return error.code()
        call.cancel()
        return grpc.StatusCode.OK


@pytest.fixture
async def listening(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Listening]:
    """A server as it is with reflection and the bench's echo, all of whose handlers are seen."""
    handlers: dict[str, Any] = {}
    kind = type(grpc.aio.server())
    add_generic = kind.add_generic_rpc_handlers

    def seen(server: Any, generic: Any) -> None:
        for one in generic:
            handlers.update({str(path): found for path, found in one._method_handlers.items()})
        add_generic(server, generic)

    monkeypatch.setattr(kind, "add_generic_rpc_handlers", seen)
    keys, servicer = Keys(), Willing()
    arguments: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "reflection": True, "guard": keys.guard}
    built = await build_server(servicer, servicer, **arguments)  # type: ignore[arg-type]
    add_echo(built)
    await built.server.start()
    yield Listening(built, handlers, keys)
    await built.server.stop(None)
    keys.audit.flush()


@pytest.fixture
async def channel(listening: Listening) -> AsyncIterator[grpc.aio.Channel]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{listening.built.port}") as opened:
        yield opened


def test_every_method_is_told_here() -> None:
    """The protos give each method the role that the design gives it, and no method is forgotten."""
    from inventory_client.v1 import checkout_service_pb2, inventory_service_pb2, options_pb2

    said = {
        method.name: options_pb2.Role.Name(method.GetOptions().Extensions[options_pb2.role])
        for file, name in (
            (inventory_service_pb2, "InventoryService"),
            (checkout_service_pb2, "CheckoutService"),
        )
        for method in file.DESCRIPTOR.services_by_name[name].methods
    }
    beside = {"ServerReflectionInfo", "Echo"}
    told = {name: f"ROLE_{role.name}" for role, names in LEAST.items() for name in names - beside}
    assert said == told


@pytest.mark.fault(37, 39)
async def test_each_role_and_every_method(listening: Listening, channel: grpc.aio.Channel) -> None:
    """Every method of every service lets in whom it is for, and no others; health is everybody's."""
    assert {path.split("/")[1] for path in listening.handlers} == {
        INVENTORY, CHECKOUT, "grpc.health.v1.Health", "grpc.reflection.v1alpha.ServerReflection",
        "inventory.bench.v1.EchoService",
    }  # fmt: skip
    tokens = {role: listening.keys.token(role) for role in Role}
    bad = [(), bearing("inventory_wrong"), bearing(listening.keys.expired())]
    for path in listening.handlers:
        if path in OPEN:
            assert await listening.code(channel, path) is grpc.StatusCode.OK
            continue
        for metadata in bad:
            assert await listening.code(channel, path, metadata) is grpc.StatusCode.UNAUTHENTICATED, path
        for role, token in tokens.items():
            code = await listening.code(channel, path, bearing(token))
            may = least_of(path) in (Role.VIEWER, role) or role is Role.ADMIN
            assert (code not in DENIED) if may else (code is grpc.StatusCode.PERMISSION_DENIED), (path, role)


async def test_a_method_that_says_no_role_is_nobodys(
    listening: Listening, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the protos give a method no role, an administrator is denied too."""
    for role in Role:
        assert not role.may(None)
    from inventory_server.rpc import edge

    monkeypatch.setattr(edge, "_ROLES", dict.fromkeys(range(5)))
    keys, servicer = Keys(), Willing()
    arguments: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "reflection": False, "guard": keys.guard}
    built = await build_server(servicer, servicer, **arguments)  # type: ignore[arg-type]
    await built.server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{built.port}") as opened:
        path = f"/{INVENTORY}/GetStock"
        assert await listening.code(opened, path, bearing(keys.token())) is grpc.StatusCode.PERMISSION_DENIED
    await built.server.stop(None)


@pytest.mark.fault(37)
@pytest.mark.parametrize("form", ["{}", "Basic {}", "Bearer", "Bearer  {}", "Bearer {} ", "Bearer {}\u00e9x"])
async def test_what_is_no_bearer_token(listening: Listening, channel: grpc.aio.Channel, form: str) -> None:
    """A token stands after `Bearer` and one blank, alone, and once."""
    token, path = listening.keys.token(), f"/{INVENTORY}/GetStock"
    value = form.format(token).encode("utf-8", "surrogateescape").decode("latin-1")
    if value.isascii():
        metadata: Any = (("authorization", value),)
    else:
        metadata = (*bearing(token), *bearing(token))
    assert await listening.code(channel, path, metadata) is grpc.StatusCode.UNAUTHENTICATED
    assert await listening.code(channel, path, bearing(token)) is grpc.StatusCode.INVALID_ARGUMENT


# --- certificates ---------------------------------------------------------------------------------


async def test_who_shows_a_certificate(tmp_path: Path) -> None:
    """A certificate's name is its caller; one that nobody knows is nobody; a token goes before it."""
    papers = Papers(tmp_path, client="spiffe://shop/orders")
    keys, servicer = Keys(), Willing()
    arguments: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "reflection": False, "guard": keys.guard}
    built = await build_server(servicer, servicer, tls=papers.files(mutual=True), **arguments)  # type: ignore[arg-type]
    await built.server.start()
    ask = v1.GetStockRequest(product_id="tea")
    target = f"localhost:{built.port}"
    async with inventory_client.connect_aio(target, tls=papers.tls(), timeout_s=60) as client:
        with pytest.raises(inventory_client.Unauthenticated):
            await client.inventory.GetStock(ask)
        keys.add(Kind.CERTIFICATE, "spiffe://shop/orders", Role.VIEWER)
        await client.inventory.GetStock(ask)
        with pytest.raises(inventory_client.PermissionDenied) as caught:
            await client.inventory.VerifyStock(v1.VerifyStockRequest())
        assert caught.value.metadata["role"] == "viewer"
        with pytest.raises(inventory_client.Unauthenticated):
            await client.inventory.GetStock(ask, metadata=bearing("inventory_wrong"))
    async with inventory_client.connect_aio(
        target, tls=papers.tls(), token=keys.token, timeout_s=60
    ) as client:
        await client.inventory.VerifyStock(v1.VerifyStockRequest())
    await built.server.stop(None)


# --- stores ---------------------------------------------------------------------------------------


async def test_the_stores_of_a_credential(listening: Listening) -> None:
    """Its only store needs no name; of several one is named; another's is as one that is not there."""
    keys, ask = listening.keys, v1.GetStockRequest(product_id="tea")
    async with inventory_client.connect_aio(f"127.0.0.1:{listening.built.port}", timeout_s=60) as client:

        async def called(stores: list[str] | None, named: str | None) -> Any:
            further = [] if named is None else [("x-inventory-store", named)]
            return await client.inventory.GetStock(ask, metadata=bearing(keys.token(stores=stores), *further))

        await called(["north"], None)
        await called(["north", "south"], "south")
        await called(None, "anywhere")
        for stores in (["north", "south"], None):
            with pytest.raises(inventory_client.StoreRequired):
                await called(stores, None)
        with pytest.raises(inventory_client.StoreNotFound) as caught:
            await called(["north"], "south")
        assert caught.value.metadata == {"store_id": "south"}


# --- the audit log --------------------------------------------------------------------------------


async def test_what_the_audit_log_tells(listening: Listening) -> None:
    """A line for each change, with its ids and its end, and for each refusal; none for a look; no token."""
    keys = listening.keys
    seller, viewer = keys.token(Role.SELLER, name="shop"), keys.token(Role.VIEWER, name="desk")
    async with inventory_client.connect_aio(f"127.0.0.1:{listening.built.port}", timeout_s=60) as client:
        line = v1.LineRequest(product_id="tea", quantity=1)
        reserve = v1.ReserveStockRequest(reservation_id='r"1', lines=[line])
        await client.inventory.ReserveStock(reserve, metadata=bearing(seller, ("x-inventory-actor", "ann")))
        await client.inventory.GetStock(v1.GetStockRequest(product_id="tea"), metadata=bearing(viewer))
        for token, refused in (
            (seller, inventory_client.InvalidField),
            (viewer, inventory_client.PermissionDenied),
            ("inventory_wrong", inventory_client.Unauthenticated),
        ):
            with pytest.raises(refused):
                await client.inventory.ReserveStock(v1.ReserveStockRequest(), metadata=bearing(token))
    keys.audit.flush()
    lines = [json.loads(line) for line in "".join(keys.told).splitlines()]
    method = f"{INVENTORY}.ReserveStock"
    assert all(line["method"] == method and line["logger"] == "inventory.audit" for line in lines)
    told = [(line["event"], line.get("actor"), line["outcome"]) for line in lines]
    assert told == [
        ("call", "shop", "OK"), ("call", "shop", "INVALID_FIELD"),
        ("refused", "desk", "PERMISSION_DENIED"), ("refused", None, "UNAUTHENTICATED"),
    ]  # fmt: skip
    assert (lines[0]["reservation_id"], lines[0]["on_behalf_of"]) == ('r"1', "ann")
    assert lines[3]["peer"].startswith("ipv4:127.0.0.1:")
    for secret in (seller, viewer, "inventory_wrong"):
        assert secret not in "".join(keys.told)


# --- limits ---------------------------------------------------------------------------------------


async def test_who_calls_too_much(listening: Listening) -> None:
    """One call more than a credential may is RATE_LIMITED, with the time to wait; others call on."""
    keys, ask = listening.keys, v1.GetStockRequest(product_id="tea")
    async with inventory_client.connect_aio(f"127.0.0.1:{listening.built.port}", timeout_s=60) as client:
        eager, other = keys.token(calls_per_s_max=1), keys.token()
        await client.inventory.GetStock(ask, metadata=bearing(eager))
        with pytest.raises(inventory_client.RateLimited) as caught:
            for _ in range(100):
                await client.inventory.GetStock(ask, metadata=bearing(eager))
        assert caught.value.retry_after_s == 1 and not caught.value.retryable
        assert caught.value.code is grpc.StatusCode.RESOURCE_EXHAUSTED
        await client.inventory.GetStock(ask, metadata=bearing(other))


async def test_a_server_that_knows_nothing_lets_nobody_in(
    listening: Listening, channel: grpc.aio.Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the credentials could not be read for too long, everybody is UNAVAILABLE."""
    token, path = listening.keys.token(), f"/{INVENTORY}/GetStock"
    monkeypatch.setattr(listening.keys.directory, "_stale_at", 0.0)
    for metadata in (bearing(token), ()):
        assert await listening.code(channel, path, metadata) is grpc.StatusCode.UNAVAILABLE
    listening.keys.directory.replace([])
    assert await listening.code(channel, path) is grpc.StatusCode.UNAUTHENTICATED
