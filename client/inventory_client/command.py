"""The `inventory` command: finds a subcommand's module, or says which extra brings it.

It needs the bare package alone; what a subcommand needs is imported when it runs.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import sys
from typing import NamedTuple, NoReturn

DISTRIBUTION = "inventory-service"
_OWN_PACKAGES = ("inventory_client", "inventory_console", "inventory_server", "inventory_loadtest")


class Subcommand(NamedTuple):
    """Where a subcommand lives.

    Args:
        module: a module with a callable `app(args, prog_name)`, which gets the whole command line.
        extras: what of the distribution it needs, as pip writes it: names, separated by commas.
        help: one line for `inventory --help`.
    """

    module: str
    extras: str
    help: str


SUBCOMMANDS = {
    "serve": Subcommand("inventory_server.cli", "server", "run the service"),
    "migrate": Subcommand("inventory_server.cli", "server", "bring a database to the current schema"),
    "store": Subcommand("inventory_server.cli", "server", "make and list stores"),
    "tokens": Subcommand("inventory_server.cli", "server", "make, list and revoke credentials"),
    "certs": Subcommand("inventory_server.cli", "server", "make certificates for development"),
    "import": Subcommand("inventory_console.cli", "console", "set a store's totals from a file"),
    "verify": Subcommand("inventory_console.cli", "console", "prove that a store's stock adds up"),
    "export": Subcommand("inventory_console.cli", "console", "write a store's totals to a file"),
    "race": Subcommand(
        "inventory_server.cli", "server,loadtest", "let carts race for few units, and judge it"
    ),
    "bench": Subcommand(
        "inventory_server.cli", "server,loadtest", "measure the service beside raw SQL and an empty call"
    ),
    "soak": Subcommand(
        "inventory_server.cli",
        "server,loadtest",
        "hurt the service for hours, and prove that nothing is lost",
    ),
    "demo": Subcommand("inventory_server.cli", "server,loadtest", "a server, a race, the proof, a report"),
}


def main() -> NoReturn:
    """Run the `inventory` command with the process's arguments, and exit.

    Effects: exit status 2 with one line on stderr for a subcommand that doesn't exist or whose extra is
        missing; otherwise as the subcommand has it.
    Raises: what the subcommand raises, a missing module of our own included: that is a defect.
    """
    arguments = sys.argv[1:]
    first = arguments[0] if arguments else ""
    if first == "--version":
        print(f"inventory {importlib.metadata.version(DISTRIBUTION)}")  # noqa: T201 - this is the answer
        sys.exit(0)
    if first in ("--help", "-h"):
        print(_usage())  # noqa: T201
        sys.exit(0)
    if not first:
        _refuse(_usage())
    if first not in SUBCOMMANDS:
        _refuse(f"inventory: no subcommand {first!r}; see 'inventory --help'")
    subcommand = SUBCOMMANDS[first]
    try:
        # The call stands inside too: race imports the load generator when it runs, not before.
        importlib.import_module(subcommand.module).app(args=arguments, prog_name="inventory")
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] in _OWN_PACKAGES:
            raise
        _refuse(
            f"inventory: {first!r} needs an extra: pip install '{DISTRIBUTION}[{subcommand.extras}]'"
            f" (there is no module {error.name!r})"
        )
    sys.exit(0)


def _usage() -> str:
    rows = [f"  {name:<10}{subcommand.help}" for name, subcommand in SUBCOMMANDS.items()]
    return "\n".join(
        [
            "usage: inventory [--version] [--help] SUBCOMMAND ...",
            "",
            *rows,
            "",
            "'inventory SUBCOMMAND --help' says more about one.",
        ]
    )


def _refuse(line: str) -> NoReturn:
    print(line, file=sys.stderr)  # noqa: T201
    sys.exit(2)
