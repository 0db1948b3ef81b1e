"""The client's credential: sent with every call, shown nowhere, and in plaintext to this machine alone."""

from __future__ import annotations

from pathlib import Path

import pytest

import inventory_client
from inventory_client.calls import CallDefaults
from inventory_console.connection import token_of


@pytest.mark.parametrize(
    "target", ["127.0.0.1:50051", "[::1]:50051", "localhost:1", "unix:/run/inventory.sock", "127.9.9.9:1"]
)
def test_a_token_goes_to_this_machine(target: str) -> None:
    """On the machine itself plaintext may carry a token."""
    inventory_client.connect(target, token="secret").close()


@pytest.mark.parametrize(
    "target", ["inventory.internal:50051", "10.0.0.1:1", "localhost.evil.example:1", "dns:///x"]
)
def test_a_token_goes_nowhere_else_in_plaintext(target: str) -> None:
    """Beyond it there is TLS, or an error before anything is sent."""
    for connect in (inventory_client.connect, inventory_client.connect_aio):
        with pytest.raises(ValueError, match="in plaintext") as caught:
            connect(target, token="secret")
        assert "secret" not in str(caught.value)
    inventory_client.connect(target, token="secret", tls=inventory_client.Tls()).close()


def test_each_call_has_the_token_of_its_time() -> None:
    """A callable is asked before each call; a call's own authorization goes before the client's."""
    tokens = iter(["first", "second"])
    defaults = CallDefaults(None, 5, None, lambda: next(tokens))
    assert defaults.metadata(None) == [("authorization", "Bearer first")]
    assert defaults.metadata([("authorization", "Bearer own")]) == [("authorization", "Bearer own")]
    assert defaults.metadata(None) == [("authorization", "Bearer second")]


@pytest.mark.parametrize("token", ["", "secret\n", "two words"])
def test_a_token_that_can_be_none(token: str) -> None:
    """It is refused when the client connects, without being shown."""
    with pytest.raises(ValueError, match="visible ASCII") as caught:
        CallDefaults(None, 5, None, token)
    assert not token or token.strip() not in str(caught.value)
    assert "hunter2" not in repr(CallDefaults(None, 5, None, "hunter2"))


def test_the_consoles_token_comes_from_the_environment(tmp_path: Path) -> None:
    """A file goes before the variable; its line break is none of the token's."""
    (tmp_path / "token").write_text("of a file\n")
    assert token_of({}) is None and token_of({"INVENTORY_TOKEN": ""}) is None
    assert token_of({"INVENTORY_TOKEN": "t"}) == "t"
    assert token_of({"INVENTORY_TOKEN": "t", "INVENTORY_TOKEN_FILE": str(tmp_path / "token")}) == "of a file"
