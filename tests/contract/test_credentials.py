"""Credentials on the real server: made and revoked by the command line, heard of without a restart."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

import inventory_client
from inventory_client import v1
from inventory_server.access.credential import CREDENTIALS_MAX
from inventory_server.access.role import Role
from inventory_server.db import credentials
from inventory_server.db.embedded import EmbeddedPostgres
from inventory_server.launch import INVENTORY_COMMAND, LaunchedProcess
from inventory_server.operator_error import OperatorError
from support.credentials import grant
from support.polling import until
from support.sites import Site, serving_on, started

ASK = v1.ListStockRequest()


@pytest.fixture(scope="module")
def site(postgres: EmbeddedPostgres) -> Iterator[Site]:
    """A database, with a server that nobody may call."""
    with started(postgres, authentication=True, credentials_interval_s=0.1) as site:
        yield site


@pytest.fixture(scope="module")
def second(site: Site) -> Iterator[LaunchedProcess]:
    """A second server of the same, whose standard error can be read."""
    with serving_on(site.database_url, authentication=True, credentials_interval_s=0.1) as server:
        yield server


def command(site: Site, *args: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "INVENTORY_DATABASE_URL": site.database_url}
    return subprocess.run([*INVENTORY_COMMAND, *args], env=env, capture_output=True, text=True, check=False)


def live_count(database_url: str) -> int:
    now = datetime.now(UTC)
    listed = credentials.list_credentials(database_url)
    return sum(
        each.revoked_at is None and (each.expires_at is None or each.expires_at > now) for each in listed
    )


def is_let_in(address: str, token: str | None) -> bool:
    with inventory_client.connect(address, token=token, timeout_s=60) as client:
        try:
            client.inventory.ListStock(ASK)
        except inventory_client.Unauthenticated:
            return False
        return True


@pytest.mark.fault(37)
def test_the_life_of_a_token(site: Site) -> None:
    """Made, it is let in without a restart; revoked it is refused, and what it had open ends."""
    made = command(site, "tokens", "create", "shop", "--role", "viewer", "--store", "default")
    token = made.stdout.strip()
    assert made.returncode == 0 and token.startswith("inventory_")
    assert not is_let_in(site.address, None) and not is_let_in(site.address, token[:-1])
    until(lambda: is_let_in(site.address, token), "the server has heard of the token")

    listed = command(site, "tokens", "list").stdout
    (shop,) = [told for line in listed.splitlines() if (told := json.loads(line))["name"] == "shop"]
    assert token not in listed and shop["stores"] == ["default"] and shop["revoked_at"] is None
    with inventory_client.connect(site.address, token=token, timeout_s=60) as client:
        watching = client.inventory.WatchStock(v1.WatchStockRequest())
        assert command(site, "tokens", "revoke", shop["credential_id"]).returncode == 0
        with pytest.raises(inventory_client.Unauthenticated):
            for _ in watching:
                pass
    assert not is_let_in(site.address, token)
    assert command(site, "tokens", "revoke", shop["credential_id"]).returncode == 0
    assert command(site, "tokens", "revoke", "nobody").returncode == 1


@pytest.mark.fault(37)
def test_a_token_that_expires(site: Site) -> None:
    """After its time it is refused, whether or not anybody revokes it."""
    token = grant(site.database_url, "brief", Role.VIEWER, ["default"], expires_days=1)
    until(lambda: is_let_in(site.address, token), "the server has heard of the token")
    with psycopg.connect(site.database_url) as connection:
        connection.execute("UPDATE credential SET expires_at = now() WHERE name = 'brief'")
    until(lambda: not is_let_in(site.address, token), "it has expired")


def test_who_acted_stands_in_the_log(site: Site, second: LaunchedProcess) -> None:
    """The credential's name is the actor of each entry, whoever the caller says he is; audited are both."""
    token = grant(site.database_url, "warehouse", Role.STOCK_KEEPER, ["default"])
    until(lambda: is_let_in(second.address, token), "the server has heard of the token")
    product = f"tea-{uuid.uuid4().hex}"
    with inventory_client.connect(second.address, token=token, actor="somebody", timeout_s=60) as client:
        client.inventory.CreateStock(v1.CreateStockRequest(product_id=product, quantity=3))
        (entry,) = client.inventory.ListStockTransactions(
            v1.ListStockTransactionsRequest(product_id=product)
        ).stock_transactions
    assert entry.actor == "warehouse"

    def told() -> list[str]:
        return [line for line in second.last_errors if product in line and "inventory.audit" in line]

    until(lambda: bool(told()), "the audit log has its line")
    (line,) = map(json.loads, told())
    assert (line["actor"], line["on_behalf_of"], line["outcome"]) == ("warehouse", "somebody", "OK")


def test_no_secret_is_seen(site: Site, second: LaunchedProcess, tmp_path: Path) -> None:
    """No token in the server's log, in errors, in the database or on a command line: a file has it."""
    token = grant(site.database_url, "console", Role.ADMIN, ["default"])
    until(lambda: is_let_in(second.address, token), "the server has heard of the token")
    wrong = f"{token}x"
    assert not is_let_in(second.address, wrong)
    path = tmp_path / "token"
    path.write_text(f"{token}\n")
    env = {**os.environ, "INVENTORY_TOKEN_FILE": str(path), "INVENTORY_ADDRESS": second.address}
    verified = subprocess.run(
        [*INVENTORY_COMMAND, "verify"], env=env, capture_output=True, text=True, check=False
    )
    assert verified.returncode == 0, verified.stderr
    path.write_text(f"{wrong}\n")
    refused = subprocess.run(
        [*INVENTORY_COMMAND, "verify"], env=env, capture_output=True, text=True, check=False
    )
    assert refused.returncode == 1 and "UNAUTHENTICATED" in refused.stderr
    with psycopg.connect(site.database_url) as connection:
        kept = connection.execute("SELECT credential::text FROM credential").fetchall()
    seen = "\n".join([*second.last_errors, refused.stderr, verified.stdout, str(kept)])
    assert token not in seen
    options = [line for name in ("serve", "verify") for line in command(site, name, "--help").stdout.split()]
    assert not [option for option in options if option.startswith("--token")]


def test_what_cannot_be_granted(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """No store, one that is not there, an identity of another's, one credential too many: one line each."""
    said = command(site, "tokens", "create", "shop", "--role", "viewer")
    assert said.returncode == 2 and "name the stores" in said.stderr
    shows = ("--certificate", "spiffe://shop/one", "--store")
    said = command(site, "tokens", "create", "shop", "--role", "viewer", *shows, "nowhere")
    assert said.returncode == 1 and "there is no store 'nowhere'" in said.stderr
    for expected in (0, 1):
        said = command(site, "tokens", "create", "shop", "--role", "viewer", *shows, "default")
        assert said.returncode == expected and said.stdout == ""
    assert "another credential has" in said.stderr

    assert CREDENTIALS_MAX == 1_000
    monkeypatch.setattr(credentials, "CREDENTIALS_MAX", live_count(site.database_url) + 1)
    grant(site.database_url, "the-last", Role.VIEWER, None)
    with pytest.raises(OperatorError, match="revoke one that is not needed"):
        grant(site.database_url, "one-more", Role.VIEWER, None)
