"""The grpc.aio server, put together: options, services, health, reflection, address."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import grpc

from inventory_client.v1 import checkout_service_pb2, inventory_service_pb2
from inventory_server.access.certificates import TlsFiles
from inventory_server.rpc.address import AddressRefused, need_loopback
from inventory_server.rpc.checkout_service import CheckoutServicer
from inventory_server.rpc.edge import CALL_TIMEOUT_S, CALLS_MAX, WRITE_TIMEOUT_S, Edge
from inventory_server.rpc.guard import Guard
from inventory_server.rpc.health import SERVICE_NAME as HEALTH
from inventory_server.rpc.health import Health
from inventory_server.rpc.inventory_service import InventoryServicer
from inventory_server.rpc.reflection import SERVICE_NAME as REFLECTION
from inventory_server.rpc.reflection import add_reflection
from inventory_server.rpc.transport import server_credentials
from inventory_server.rpc.unread import Unread

MESSAGE_BYTES_MAX = 4 * 1024 * 1024
METADATA_BYTES_MAX = 16 * 1024
CONNECTIONS_MAX = 4_096
STREAMS_PER_CONNECTION_MAX = 4_096
HANDSHAKE_TIMEOUT_MS = 10_000
# Twice as often as our own client pings, so that an honest one never meets the limit.
PING_INTERVAL_MS_MIN = 10_000
CONNECTION_IDLE_MS_MAX = 600_000
KEEPALIVE_INTERVAL_MS = 60_000
KEEPALIVE_TIMEOUT_MS = 20_000
# Certificates are looked at when a connection begins: so long after it a client must show its own again.
CONNECTION_AGE_MS_MAX = 1_800_000
# What its streams get to end by themselves; they go on where they were on the next one.
CONNECTION_GRACE_MS = 60_000
# Of a unix socket: its owner and the owner's group may call.
_SOCKET_UMASK = 0o117

_INVENTORY = inventory_service_pb2.DESCRIPTOR.services_by_name["InventoryService"]
_CHECKOUT = checkout_service_pb2.DESCRIPTOR.services_by_name["CheckoutService"]
_SERVICES = (_INVENTORY.full_name, _CHECKOUT.full_name)


class Built(NamedTuple):
    """A server that is bound and not started."""

    server: grpc.aio.Server
    port: int
    health: Health
    edge: Edge


async def build_server(
    inventory: InventoryServicer,
    checkout: CheckoutServicer,
    *,
    host: str,
    port: int,
    reflection: bool,
    call_timeout_s: float = CALL_TIMEOUT_S,
    write_timeout_s: float = WRITE_TIMEOUT_S,
    calls_max: int = CALLS_MAX,
    reuse_port: bool = False,
    tls: TlsFiles | None = None,
    guard: Guard | None = None,
) -> Built:
    """Put the server together and bind its address; `server.start()` is the caller's.

    Args:
        host: a loopback address or `unix:/PATH`; with TLS any address.
        port: 0 = any that is free; of no meaning for a unix socket.
        reflection: whether to describe the services to generic clients.
        call_timeout_s: what a call gets that names no deadline.
        write_timeout_s: how long a stream's caller may take to make room for a message.
        calls_max: calls inside at once; one more is OVERLOADED.
        reuse_port: whether other processes may listen on the same port.
        tls: None = plaintext.
        guard: tells callers apart; None: everybody may all.
    Returns: the server, the port it is bound to, its health, which is NOT_SERVING, and its door.
    Raises: AddressRefused, one line for the operator: in use, or not on this machine and without TLS;
        CertificateRefused.
    """
    if tls is None and not host.startswith("unix:"):
        need_loopback(host, "listen address")
    credentials = None if tls is None else server_credentials(tls)
    options = _options(reuse_port)
    if tls is not None:
        options.append(("grpc.max_connection_age_ms", CONNECTION_AGE_MS_MAX))
        options.append(("grpc.max_connection_age_grace_ms", CONNECTION_GRACE_MS))
    server = grpc.aio.server(options=options)
    unread = Unread()
    edge = Edge(
        call_timeout_s=call_timeout_s,
        write_timeout_s=write_timeout_s,
        calls_max=calls_max,
        unread=unread,
        guard=guard,
    )
    edge.add_service(server, inventory, _INVENTORY)
    edge.add_service(server, checkout, _CHECKOUT)
    health = Health(_SERVICES, unread)
    health.add_to(server)
    if reflection:
        names = (*_SERVICES, HEALTH, REFLECTION)
        add_reflection(server, names, edge)
    return Built(server, _bind(server, host, port, credentials), health, edge)


def _bind(
    server: grpc.aio.Server, host: str, port: int, credentials: grpc.ServerCredentials | None = None
) -> int:
    if host.startswith("unix:"):
        return _bind_socket(server, Path(host.removeprefix("unix:")))
    address = f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if credentials is None:
            bound_port = server.add_insecure_port(address)
        else:
            bound_port = server.add_secure_port(address, credentials)
    except RuntimeError:
        bound_port = 0
    if not bound_port:
        raise AddressRefused(f"cannot listen on {address}: is another server running there?")
    return bound_port


def _bind_socket(server: grpc.aio.Server, path: Path) -> int:
    """Listen on a unix socket. gRPC would take the path from another server that listens there."""
    with socket.socket(socket.AF_UNIX) as other, suppress(OSError):
        other.connect(str(path))
        raise AddressRefused(f"cannot listen on unix:{path}: is another server running there?")
    umask = os.umask(_SOCKET_UMASK)
    try:
        return server.add_insecure_port(f"unix:{path}")
    except RuntimeError as error:
        raise AddressRefused(f"cannot listen on unix:{path}: may a socket be made there?") from error
    finally:
        os.umask(umask)


def _options(reuse_port: bool) -> list[tuple[str, Any]]:
    return [
        ("grpc.max_receive_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_send_message_length", MESSAGE_BYTES_MAX),
        ("grpc.max_metadata_size", METADATA_BYTES_MAX),
        ("grpc.absolute_max_metadata_size", METADATA_BYTES_MAX),
        # It pings to find a window for large streams; on small calls it is 5% to 20% of the cost.
        ("grpc.http2.bdp_probe", 0),
        # One more is closed as soon as it is there, before a byte of it is read.
        ("grpc.max_allowed_incoming_connections", CONNECTIONS_MAX),
        ("grpc.max_concurrent_streams", STREAMS_PER_CONNECTION_MAX),
        # gRPC's own are 1,000 and 3,000, and what waits past them to be taken in ends as a bare CANCELLED,
        # which says nothing; ours is OVERLOADED at CALLS_MAX.
        ("grpc.server.max_pending_requests", 2 * CALLS_MAX),
        ("grpc.server.max_pending_requests_hard_limit", 4 * CALLS_MAX),
        ("grpc.so_reuseport", int(reuse_port)),
        # A connection that says nothing is dropped, before and after its handshake.
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_TIMEOUT_MS),
        # One that answers pings and has had no call for long is told to go, which its client mends unseen.
        ("grpc.max_connection_idle_ms", CONNECTION_IDLE_MS_MAX),
        ("grpc.keepalive_time_ms", KEEPALIVE_INTERVAL_MS),
        # The second is what counts where nothing comes at all; it is a minute unless it is said.
        ("grpc.keepalive_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.ping_timeout_ms", KEEPALIVE_TIMEOUT_MS),
        ("grpc.http2.settings_timeout", KEEPALIVE_TIMEOUT_MS),
        # Clients may ping an idle connection, but not flood it.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", PING_INTERVAL_MS_MIN),
    ]
