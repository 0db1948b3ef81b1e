"""Which server and which store: the two options that every subcommand takes; how they know each other.

The latter comes from the environment alone, since everybody on a machine may read what stands on a command
line: INVENTORY_TOKEN_FILE or INVENTORY_TOKEN; and INVENTORY_CA_FILE, INVENTORY_CLIENT_CERTIFICATE_FILE and
INVENTORY_CLIENT_KEY_FILE, with any of which the server is spoken to over TLS.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

import inventory_client
from inventory_console.console_error import ConsoleError

DEFAULT_ADDRESS = "127.0.0.1:50051"

Address = Annotated[
    str,
    typer.Option("--address", envvar="INVENTORY_ADDRESS", metavar="HOST:PORT", help="the server"),
]
Store = Annotated[
    str | None,
    typer.Option("--store", envvar="INVENTORY_STORE", metavar="NAME", help="the store [default]"),
]


def connect(address: str, store: str | None) -> inventory_client.Client:
    """Connect as the options and the environment say.

    Raises: ConsoleError for a store that can be none, or a file that cannot be read.
    """
    try:
        return inventory_client.connect(
            address, store=store, tls=tls_of(os.environ), token=token_of(os.environ)
        )
    except ValueError as error:
        raise ConsoleError(str(error), exit_status=2) from error
    except OSError as error:
        raise ConsoleError(f"cannot read {error.filename}: {error.strerror}", exit_status=2) from error


def token_of(environment: Mapping[str, str]) -> str | None:
    """Return the token that the environment names; None = none. Raises: OSError for its file."""
    if path := environment.get("INVENTORY_TOKEN_FILE"):
        return Path(path).read_text(encoding="utf-8").strip()
    return environment.get("INVENTORY_TOKEN") or None


def tls_of(environment: Mapping[str, str]) -> inventory_client.Tls | None:
    """Return the TLS that the environment asks for; None = plaintext. Raises: ValueError as Tls."""
    names = ("INVENTORY_CA_FILE", "INVENTORY_CLIENT_CERTIFICATE_FILE", "INVENTORY_CLIENT_KEY_FILE")
    ca, certificate, key = (environment.get(name) or None for name in names)
    if ca is certificate is key is None:
        return None
    return inventory_client.Tls(ca_file=ca, certificate_file=certificate, key_file=key)


def refusal(error: inventory_client.InventoryError) -> ConsoleError:
    """Return what a call that was refused, or not answered, is told as."""
    return ConsoleError(f"{error.reason_name or error.code.name}: {error.message}")
