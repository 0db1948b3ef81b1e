"""The console's part of the `inventory` command: options in, calls, exit status out."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import NoReturn

import typer
from typer.exceptions import TyperException

import inventory_client
from inventory_console.connection import refusal
from inventory_console.console_error import ConsoleError
from inventory_console.stock_commands import export_stock, import_stock
from inventory_console.verify_command import verify

cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)

INTERRUPTED_STATUS = 130

cli.command("import")(import_stock)
cli.command("export")(export_stock)
cli.command("verify")(verify)


@cli.callback()
def _subcommands() -> None:
    """Look after a server's stock from the command line."""


def app(args: Sequence[str] | None = None, prog_name: str = "inventory") -> NoReturn:
    """Run the command line and exit.

    Args:
        args: what stands after the command's name; None: the process's own.
    Effects: what can be mended is said in one line each on standard error; exit status 2 where nothing was
        begun (an option, a file), 1 for what went wrong later, a refusal of the server included. Only
        defects show a traceback.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    status: int | None
    try:
        status = cli(args=arguments, prog_name=prog_name, standalone_mode=False)
    except TyperException as error:
        status = _say(prog_name, error.format_message(), error.exit_code)
    except ConsoleError as error:
        status = _say(prog_name, str(error), error.exit_status)
    except inventory_client.InventoryError as error:
        told = refusal(error)
        status = _say(prog_name, str(told), told.exit_status)
    except (KeyboardInterrupt, typer.Abort):
        status = _say(prog_name, "interrupted", INTERRUPTED_STATUS)
    sys.exit(status or 0)


def _say(prog_name: str, message: str, status: int) -> int:
    for line in message.splitlines():
        typer.echo(f"{prog_name}: {line}", err=True)
    return status
