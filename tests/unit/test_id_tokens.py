"""JWTs of an identity provider: who has one that counts is its subject, and nobody else is."""

from __future__ import annotations

import base64
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import grpc
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from structlog.testing import capture_logs

import inventory_client
from inventory_client import v1
from inventory_server.access import id_tokens as id_tokens_module
from inventory_server.access.credential import Kind
from inventory_server.access.errors import Unauthenticated
from inventory_server.access.id_tokens import KEYS_BYTES_MAX, VERIFIED_MAX, IdTokens, Provider
from inventory_server.access.role import Role
from inventory_server.rpc.guard import Guard
from inventory_server.rpc.server import build_server
from support.credentials import Keys
from unit.test_rpc_server import Anything

ISSUER, AUDIENCE, SUBJECT = "https://id.example", "inventory", "system:orders"


class Identity:
    """An identity provider: its signing keys, and the file that has their public halves."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        self.publish({"r": self.rsa, "e": self.ec})

    def publish(self, keys: dict[str, Any]) -> None:
        told = []
        for key_id, key in keys.items():
            kind = RSAAlgorithm if isinstance(key, rsa.RSAPrivateKey) else ECAlgorithm
            told.append({**json.loads(kind.to_jwk(key.public_key())), "kid": key_id, "use": "sig"})
        self.path.write_text(json.dumps({"keys": told}))

    def token(
        self, key: Any = None, algorithm: str = "RS256", key_id: str | None = "r", **claims: Any
    ) -> str:
        now = int(time.time())
        good = {"iss": ISSUER, "aud": AUDIENCE, "sub": SUBJECT, "exp": now + 3600, "iat": now}
        told = {name: value for name, value in {**good, **claims}.items() if value is not None}
        headers = {} if key_id is None else {"kid": key_id}
        return jwt.encode(told, self.rsa if key is None else key, algorithm, headers)

    def signed_by_what_is_public(self) -> str:
        """A token as an attacker makes it: HMAC, with the public key for its secret."""
        public = self.rsa.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        head, body, _ = self.token("s" * 32, "HS256").split(".")
        signature = hmac.new(public, f"{head}.{body}".encode(), "sha256").digest()
        return f"{head}.{body}." + base64.urlsafe_b64encode(signature).decode().rstrip("=")

    def provider(self, **given: Any) -> Provider:
        told = {"keys": str(self.path), "algorithms": ("RS256", "ES256"), "leeway_s": 30.0}
        return Provider(**{"issuer": ISSUER, "audience": AUDIENCE, **told, **given})


@pytest.fixture
def identity(tmp_path: Path) -> Identity:
    return Identity(tmp_path / "keys.json")


def reading(provider: Provider) -> IdTokens:
    tokens = IdTokens(provider)
    tokens.refresh()
    return tokens


def test_a_token_that_counts(identity: Identity) -> None:
    """Signed by a key of the provider's, for us, in its time: it is its subject's, each time it comes."""
    tokens = reading(identity.provider())
    for token in (
        identity.token(),
        identity.token(identity.ec, "ES256", "e"),
        identity.token(aud=["other", AUDIENCE]),
        identity.token(exp=int(time.time()) - 20),  # within the leeway
    ):
        assert tokens.subject(token) == tokens.subject(token) == SUBJECT


@pytest.mark.fault(37)
@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda i: i.token(exp=int(time.time()) - 40), id="expired"),
        pytest.param(lambda i: i.token(exp=None), id="for ever"),
        pytest.param(lambda i: i.token(nbf=int(time.time()) + 60), id="not yet"),
        pytest.param(lambda i: i.token(iss="https://other.example"), id="of another issuer"),
        pytest.param(lambda i: i.token(iss=None), id="of nobody"),
        pytest.param(lambda i: i.token(aud="other"), id="for others"),
        pytest.param(lambda i: i.token(aud=None), id="for nobody"),
        pytest.param(lambda i: i.token(sub=None), id="about nobody"),
        pytest.param(
            lambda i: i.token(rsa.generate_private_key(public_exponent=65537, key_size=2048)), id="forged"
        ),
        pytest.param(lambda i: i.token(key_id="x"), id="unknown key"),
        pytest.param(lambda i: i.token(key_id=None), id="no key"),
        pytest.param(lambda i: i.token(key_id="e"), id="another key"),
        pytest.param(lambda i: i.token(algorithm="PS256"), id="algorithm that is not pinned"),
        pytest.param(lambda i: jwt.encode({"sub": SUBJECT}, None, "none", {"kid": "r"}), id="unsigned"),
        pytest.param(lambda i: i.token("s" * 32, "HS256"), id="a shared secret"),
        pytest.param(lambda i: i.signed_by_what_is_public(), id="what is public as a secret"),
        pytest.param(lambda i: i.token()[:-4] + "AAAA", id="bent"),
        pytest.param(lambda i: "a.b.c", id="no token"),
        pytest.param(lambda i: "", id="nothing"),
    ],
)
def test_a_token_that_does_not(identity: Identity, make: Callable[[Identity], str]) -> None:
    """Anything else is nobody's, whatever is wrong with it."""
    with pytest.raises(Unauthenticated):
        reading(identity.provider()).subject(make(identity))


def test_keys_that_change(identity: Identity) -> None:
    """A new key counts from the next look on; what one that is gone has signed counts no more."""
    tokens = reading(identity.provider())
    old, new = identity.token(), identity.token(identity.ec, "ES256", "n")
    assert tokens.subject(old) == SUBJECT
    with pytest.raises(Unauthenticated):
        tokens.subject(new)
    identity.publish({"n": identity.ec})
    tokens.refresh()
    assert tokens.subject(new) == SUBJECT
    with pytest.raises(Unauthenticated):
        tokens.subject(old)


def test_keys_that_cannot_be_read(identity: Identity) -> None:
    """Those that were read before go on; what is wrong is one line, not one a look."""
    tokens = reading(identity.provider())
    with capture_logs() as logs:
        for text in ("no json", "{}", "x" * (KEYS_BYTES_MAX + 1)):
            identity.path.write_text(text)
            tokens.refresh()
            tokens.refresh()
        identity.path.unlink()
        tokens.refresh()
    assert len(logs) == 4 and {line["log_level"] for line in logs} == {"error"}
    assert tokens.subject(identity.token()) == SUBJECT


def test_as_many_keys_as_are_read(identity: Identity) -> None:
    """A file of the greatest length is read whole."""
    text = identity.path.read_bytes()
    identity.path.write_bytes(text + b" " * (KEYS_BYTES_MAX - len(text)))
    assert reading(identity.provider()).subject(identity.token()) == SUBJECT


def test_what_was_verified_is_kept_up_to_a_bound(identity: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many tokens are remembered, and their time is looked at all the same."""
    assert VERIFIED_MAX == 10_000
    monkeypatch.setattr(id_tokens_module, "VERIFIED_MAX", 2)
    tokens = reading(identity.provider(leeway_s=0.0))
    brief = identity.token(exp=int(time.time()) + 1000)
    for token in (brief, identity.token(jti="2"), identity.token(jti="3"), identity.token(jti="4")):
        assert tokens.subject(token) == SUBJECT
        assert len(tokens._verified) <= 2
    assert tokens.subject(brief) == SUBJECT
    then = time.time() + 1001
    monkeypatch.setattr(id_tokens_module.time, "time", lambda: then)
    with pytest.raises(Unauthenticated):
        tokens.subject(brief)


@pytest.fixture
def served(identity: Identity) -> Iterator[str]:
    """The provider's keys on a loopback URL; `/away` leads to another host."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/keys":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(identity.path.read_bytes())
            else:
                self.send_response(302)
                self.send_header("Location", "ftp://id.example/keys")
                self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - http.server's name
            pass

    server = HTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


def test_keys_from_a_url(identity: Identity, served: str) -> None:
    """Keys come from a URL too, and not from where it leads if nobody answers for that."""
    assert reading(identity.provider(keys=f"{served}/keys")).subject(identity.token()) == SUBJECT
    with capture_logs() as logs, pytest.raises(Unauthenticated):
        reading(identity.provider(keys=f"{served}/away")).subject(identity.token())
    assert [line["event"] for line in logs] == ["identity_provider_keys_not_read"]


async def test_a_subject_is_a_caller_like_any_other(identity: Identity) -> None:
    """The provider says who it is; a credential, what he may. Without one he is nobody."""
    keys = Keys()
    guard = Guard(keys.directory, keys.audit, reading(identity.provider()))
    servicer: Any = Anything()
    arguments: dict[str, Any] = {"host": "127.0.0.1", "port": 0, "reflection": False, "guard": guard}
    built = await build_server(servicer, servicer, **arguments)
    await built.server.start()
    ask = v1.GetStockRequest(product_id="tea")
    async with inventory_client.connect_aio(
        f"127.0.0.1:{built.port}", token=identity.token, timeout_s=60
    ) as client:
        with pytest.raises(inventory_client.Unauthenticated):
            await client.inventory.GetStock(ask)
        keys.add(Kind.SUBJECT, SUBJECT, Role.VIEWER)
        await client.inventory.GetStock(ask)
        with pytest.raises(inventory_client.PermissionDenied) as caught:
            await client.inventory.VerifyStock(v1.VerifyStockRequest())
        assert caught.value.code is grpc.StatusCode.PERMISSION_DENIED
        own = keys.token(Role.ADMIN)
        await client.inventory.VerifyStock(
            v1.VerifyStockRequest(), metadata=(("authorization", f"Bearer {own}"),)
        )
    await built.server.stop(None)
