"""How callers reach the server: TLS with and without certificates of clients, unix sockets, renewals."""

from __future__ import annotations

import asyncio
import datetime
import socket
import stat
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

import inventory_client
from inventory_client import v1
from inventory_console.connection import tls_of
from inventory_server.rpc import server as rpc_server
from inventory_server.rpc.address import AddressRefused
from inventory_server.rpc.server import Built, build_server
from support.certificates import Papers
from unit.test_rpc_server import Anything

ASK = v1.GetStockRequest(product_id="tea")


@pytest.fixture
def papers(tmp_path: Path) -> Papers:
    return Papers(tmp_path / "ours")


async def serving(**given: Any) -> Built:
    servicer: Any = Anything()
    arguments = {"host": "127.0.0.1", "port": 0, "reflection": False, **given}
    built = await build_server(servicer, servicer, **arguments)
    await built.server.start()
    return built


async def ask(target: str, tls: inventory_client.Tls | None) -> None:
    async with inventory_client.connect_aio(target, tls=tls, timeout_s=60) as client:
        await client.inventory.GetStock(ASK)


async def is_refused(target: str, tls: inventory_client.Tls | None) -> bool:
    """Whether a caller gets no connection; without the client's retries, which change nothing."""
    if tls is None:
        channel = grpc.aio.insecure_channel(target)
    else:
        channel = grpc.aio.secure_channel(target, tls.credentials())
    async with channel:
        call: Any = channel.unary_unary("/inventory.v1.InventoryService/GetStock")
        try:
            await call(ASK.SerializeToString(), timeout=60)
        except grpc.aio.AioRpcError as error:
            return error.code() is grpc.StatusCode.UNAVAILABLE
    return False


def expire(papers: Papers) -> None:
    """Put a client's certificate in the place of the good one: of the same CA, and over since an hour."""
    ca = x509.load_pem_x509_certificate(papers.ca_file.read_bytes())
    ca_key: Any = serialization.load_pem_private_key(
        (papers.folder / "ca-key.pem").read_bytes(), password=None
    )
    good = x509.load_pem_x509_certificate(papers.client_file.read_bytes())
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(
        ca.subject, good.subject, key.public_key(), x509.random_serial_number(),
        now - datetime.timedelta(hours=2), now - datetime.timedelta(hours=1),
    )  # fmt: skip
    for extension in good.extensions:
        if not isinstance(extension.value, x509.SubjectKeyIdentifier):
            builder = builder.add_extension(extension.value, extension.critical)
    expired = builder.sign(ca_key, hashes.SHA256())
    papers.client_file.write_bytes(expired.public_bytes(serialization.Encoding.PEM))
    papers.client_key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


async def test_tls_alone(papers: Papers) -> None:
    """With TLS alone whoever trusts the server's CA calls, by any of its names; both clients can."""
    built = await serving(tls=papers.files())
    for host in ("localhost", "127.0.0.1"):
        await ask(f"{host}:{built.port}", papers.tls(shows=False))
    await built.server.stop(None)


@pytest.mark.fault(36)
async def test_whom_mutual_tls_lets_in(papers: Papers, tmp_path: Path) -> None:
    """A certificate of the CA is let in; none, a foreign, an expired one, and plaintext are not."""
    built = await serving(tls=papers.files(mutual=True))
    target = f"localhost:{built.port}"
    await ask(target, papers.tls())
    foreign = Papers(tmp_path / "foreign")
    for tls in (None, papers.tls(shows=False), foreign.tls(trusting=papers.ca_file)):
        assert await is_refused(target, tls)
    expire(papers)
    assert await is_refused(target, papers.tls())
    await built.server.stop(None)


@pytest.mark.fault(36)
async def test_a_server_that_the_client_does_not_know(papers: Papers, tmp_path: Path) -> None:
    """A server of another CA, or under a name that its certificate has not, hears nothing."""
    foreign = Papers(tmp_path / "foreign")
    built = await serving(tls=papers.files(mutual=True))
    assert await is_refused(f"localhost:{built.port}", papers.tls(trusting=foreign.ca_file))
    assert await is_refused(f"127.0.0.2:{built.port}", papers.tls())
    await built.server.stop(None)


async def test_certificates_are_renewed_without_a_restart(papers: Papers, tmp_path: Path) -> None:
    """New connections meet the new certificate and the new CA of clients; one that stands goes on."""
    built = await serving(tls=papers.files(mutual=True))
    target = f"localhost:{built.port}"
    async with inventory_client.connect_aio(target, tls=papers.tls(), timeout_s=60) as standing:
        await standing.inventory.GetStock(ASK)
        before = papers.tls().credentials()
        successor = Papers(tmp_path / "successor")
        for path in successor.folder.iterdir():
            path.replace(papers.folder / path.name)
        await ask(target, papers.tls())
        async with grpc.aio.secure_channel(target, before) as channel:
            call: Any = channel.unary_unary("/inventory.v1.InventoryService/GetStock")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(ASK.SerializeToString(), timeout=60)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        await standing.inventory.GetStock(ASK)
    await built.server.stop(None)


async def test_a_standing_connection_is_looked_at_again(
    papers: Papers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A connection ends by its age: whose certificate counts no more is let in no more."""
    monkeypatch.setattr(rpc_server, "CONNECTION_AGE_MS_MAX", 500)
    built = await serving(tls=papers.files(mutual=True))
    credentials = papers.tls().credentials()
    async with grpc.aio.secure_channel(f"localhost:{built.port}", credentials) as channel:
        call: Any = channel.unary_unary("/inventory.v1.InventoryService/GetStock")
        await call(ASK.SerializeToString(), timeout=60)
        successor = Papers(tmp_path / "successor")
        successor.ca_file.replace(papers.ca_file)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            async with asyncio.timeout(60):
                while True:
                    await call(ASK.SerializeToString(), timeout=60)
                    await asyncio.sleep(0.05)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    await built.server.stop(None)


async def test_a_unix_socket(tmp_path: Path) -> None:
    """It is there for its owner and his group; a server that lives keeps it, a dead one does not."""
    path = tmp_path / "socket"
    built = await serving(host=f"unix:{path}")
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    await ask(f"unix:{path}", None)
    with pytest.raises(AddressRefused, match="another server"):
        await serving(host=f"unix:{path}")
    await built.server.stop(None)
    with pytest.raises(AddressRefused, match="may a socket be made there"):
        await serving(host=f"unix:{tmp_path}/nowhere/socket")
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(path))
    again = await serving(host=f"unix:{path}")
    await ask(f"unix:{path}", None)
    await again.server.stop(None)


def test_the_consoles_tls_comes_from_the_environment() -> None:
    """None of the names is plaintext; a certificate and its key come together."""
    assert tls_of({"INVENTORY_CA_FILE": ""}) is None
    assert tls_of({"INVENTORY_CA_FILE": "ca.pem"}) == inventory_client.Tls("ca.pem")
    files = {"INVENTORY_CLIENT_CERTIFICATE_FILE": "c.pem", "INVENTORY_CLIENT_KEY_FILE": "k.pem"}
    assert tls_of(files) == inventory_client.Tls(None, "c.pem", "k.pem")
    with pytest.raises(ValueError, match="come together"):
        tls_of({"INVENTORY_CLIENT_KEY_FILE": "k.pem"})
