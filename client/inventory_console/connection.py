"""Which server and which store: the two options that every subcommand takes."""

from __future__ import annotations

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
    """Connect as the options say. Raises: ConsoleError for a store that can be none."""
    try:
        return inventory_client.connect(address, store=store)
    except ValueError as error:
        raise ConsoleError(str(error), exit_status=2) from error


def refusal(error: inventory_client.InventoryError) -> ConsoleError:
    """Return what a call that was refused, or not answered, is told as."""
    return ConsoleError(f"{error.reason_name or error.code.name}: {error.message}")
