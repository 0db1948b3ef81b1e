"""The server's part of the `inventory` command: options in, one call, exit status out."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from typer.exceptions import TyperException

from inventory_server.access.role import Role
from inventory_server.config import SettingsError, load_settings
from inventory_server.operator_error import OperatorError
from inventory_server.uuid7 import uuid7

# What the load generator and the plots are needed for; imported when one of them runs.
_RACES = ("race", "demo")

CERTIFICATE_DAYS_MAX = 825
CREDENTIAL_DAYS_MAX = 3_650

_cli = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    help="An inventory service that decides who gets the last unit.",
)
_store = typer.Typer(help="Make and list stores.", rich_markup_mode=None)
_cli.add_typer(_store, name="store")
_tokens = typer.Typer(help="Make, list and revoke credentials.", rich_markup_mode=None)
_cli.add_typer(_tokens, name="tokens")

# Options are strings here and typed once, in Settings: so the same words refuse a bad option and a bad
# environment variable.
_DatabaseUrl = Annotated[
    str | None, typer.Option("--database-url", help="PostgreSQL to use [default: an embedded one]")
]
_DataDir = Annotated[str | None, typer.Option("--data-dir", help="folder of the embedded PostgreSQL")]


@_cli.command()
def serve(
    host: Annotated[
        str | None, typer.Option(help="loopback address, unix:/PATH, with TLS any address [127.0.0.1]")
    ] = None,
    port: Annotated[str | None, typer.Option(help="0 takes a free one [50051]")] = None,
    database_url: _DatabaseUrl = None,
    data_dir: _DataDir = None,
    ephemeral: Annotated[bool | None, typer.Option("--ephemeral", help="throw-away database")] = None,
    migrate: Annotated[
        bool | None, typer.Option("--migrate/--no-migrate", help="at start [an embedded database: yes]")
    ] = None,
    payment_gateway: Annotated[
        str | None, typer.Option(help="simulator, manual, none, or the gateway's HOST:PORT [simulator]")
    ] = None,
    gateway_args: Annotated[str | None, typer.Option(help="the simulator's options, in one string")] = None,
    workers: Annotated[str | None, typer.Option(help="server processes on the port [1]")] = None,
    log_level: Annotated[str | None, typer.Option(help="debug, info, warning or error [info]")] = None,
    reflection: Annotated[
        bool | None, typer.Option("--reflection/--no-reflection", help="gRPC server reflection [yes]")
    ] = None,
    until_stdin_closes: Annotated[
        bool, typer.Option("--until-stdin-closes", help="stop when standard input ends")
    ] = False,
) -> int:
    """Run the service until SIGTERM or Ctrl-C; says `ready ADDRESS` when it serves.

    Every setting is an environment variable too: INVENTORY_PORT and so on; docs/settings.md has them all.
    """
    settings = load_settings(
        {
            "host": host, "port": port, "database_url": database_url, "data_dir": data_dir,
            "ephemeral": ephemeral, "migrate": migrate, "payment_gateway": payment_gateway,
            "gateway_args": gateway_args, "log_level": log_level, "reflection": reflection,
            "workers": workers,
        }
    )  # fmt: skip
    from inventory_server import app as service
    from inventory_server.launch import stop_when_stdin_closes

    if until_stdin_closes:
        stop_when_stdin_closes()
    return service.run(settings)


@_cli.command()
def migrate(database_url: _DatabaseUrl = None) -> None:
    """Bring a database to the current schema, and print the migrations that were applied."""
    from inventory_server.db import migrate as migration

    for name in migration.migrate(_given_url(database_url)):
        typer.echo(name)


@_store.command("create")
def create_store(
    name: Annotated[str, typer.Argument(help="1 to 128 visible ASCII characters")],
    database_url: _DatabaseUrl = None,
) -> None:
    """Make a store."""
    from inventory_server.db import stores

    stores.create_store(_given_url(database_url), name)


@_store.command("list")
def list_stores(database_url: _DatabaseUrl = None) -> None:
    """Print the stores' names, one a line."""
    from inventory_server.db import stores

    for name in stores.list_stores(_given_url(database_url)):
        typer.echo(name)


@_tokens.command("create")
def create_token(
    name: Annotated[str, typer.Argument(help="who it is: the actor in the log; 1 to 128 visible ASCII")],
    role: Annotated[Role, typer.Option(help="what it may call")],
    store: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="a store of its; may be repeated")
    ] = None,
    all_stores: Annotated[bool, typer.Option("--all-stores", help="every store, later ones too")] = False,
    days: Annotated[
        int | None, typer.Option(min=1, max=CREDENTIAL_DAYS_MAX, help="how long it counts [for ever]")
    ] = None,
    certificate: Annotated[
        str | None, typer.Option(metavar="NAME", help="no token: who shows a certificate of this name")
    ] = None,
    subject: Annotated[
        str | None,
        typer.Option(metavar="SUB", help="no token: who has one of the identity provider's for it"),
    ] = None,
    calls_per_s: Annotated[int | None, typer.Option(min=1, help="[the server's setting]")] = None,
    calls_at_once: Annotated[int | None, typer.Option(min=1, help="[the server's setting]")] = None,
    database_url: _DatabaseUrl = None,
) -> None:
    """Let somebody call, and print the token, which nobody can see again.

    With --certificate or --subject there is none: callers are known by an alternative name of the certificate
    that they show, such as spiffe://shop/orders, or by the `sub` of an identity provider's token.
    """
    from inventory_server.access.credential import Kind, new_token, token_hash
    from inventory_server.db import credentials

    if bool(store) == all_stores:
        raise SettingsError(
            "name the stores of the credential: --store NAME, again for more, or --all-stores"
        )
    if certificate and subject:
        raise SettingsError("a credential is known by one thing: --certificate or --subject")
    token = "" if certificate or subject else new_token()
    credentials.create_credential(
        _given_url(database_url),
        credential_id=str(uuid7()),
        name=name,
        kind=Kind.CERTIFICATE if certificate else Kind.SUBJECT if subject else Kind.TOKEN,
        identity=certificate or subject or token_hash(token),
        role=role,
        stores=None if all_stores else store,
        expires_days=days,
        calls_per_s_max=calls_per_s,
        calls_max=calls_at_once,
    )
    if token:
        typer.echo(token)


@_tokens.command("list")
def list_tokens(database_url: _DatabaseUrl = None) -> None:
    """Print the credentials, one a line of JSON, the oldest first; of a token never more than its hash."""
    from inventory_server.db import credentials

    for listed in credentials.list_credentials(_given_url(database_url)):
        typer.echo(json.dumps(listed._asdict(), default=str))


@_tokens.command("revoke")
def revoke_token(
    credential_id: Annotated[str, typer.Argument(help="as `inventory tokens list` shows it")],
    database_url: _DatabaseUrl = None,
) -> None:
    """Let a credential count no more: servers refuse it within credentials_interval_s."""
    from inventory_server.db import credentials

    credentials.revoke_credential(_given_url(database_url), credential_id)


@_cli.command()
def certs(
    folder: Annotated[Path, typer.Argument(help="made if absent; a CA that stands there is used again")],
    server: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="the server's name or address; may be repeated")
    ] = None,
    client: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="a client's DNS name or URI; may be repeated")
    ] = None,
    days: Annotated[int, typer.Option(min=1, max=CERTIFICATE_DAYS_MAX, help="how long they are valid")] = 90,
) -> None:
    """Make a CA for development, and certificates of a server and of clients; print their files.

    Without a name the server's is for localhost, 127.0.0.1 and ::1. A key stands beside its certificate.
    """
    from inventory_server.access.authority import make_certificates

    names = server or ([] if client else ["localhost", "127.0.0.1", "::1"])
    for path in make_certificates(folder, server_names=names, client_names=client or [], days=days):
        typer.echo(str(path))


def app(args: Sequence[str] | None = None, prog_name: str = "inventory") -> NoReturn:
    """Run the command line and exit.

    Args:
        args: what stands after the command's name; None: the process's own.
    Effects: an error that the operator can mend is one line on standard error; exit status 2 for a bad
        option or setting, 1 for what went wrong later. Only defects show a traceback.
    """
    arguments = list(sys.argv[1:] if args is None else args)
    status: int | None
    try:
        if arguments[:1] and arguments[0] in _RACES:
            from inventory_server import race_command

            _cli.command("race")(race_command.race)
            _cli.command("demo")(race_command.demo)
        if arguments[:1] == ["soak"]:
            from inventory_server import soak_command

            _cli.command("soak")(soak_command.soak)
        if arguments[:1] == ["bench"]:
            from inventory_server import bench_command

            _cli.command("bench")(bench_command.bench)
        status = _cli(args=arguments, prog_name=prog_name, standalone_mode=False)
    except TyperException as error:
        status = _say(prog_name, error.format_message(), error.exit_code)
    except OperatorError as error:
        status = _say(prog_name, str(error), error.exit_status)
    sys.exit(status or 0)


def _given_url(database_url: str | None) -> str:
    """The owner's URL, of the option or the environment, validated; these subcommands start no database."""
    settings = load_settings({"database_url": database_url})
    if settings.database_url is None:
        raise SettingsError("name the database: --database-url or INVENTORY_DATABASE_URL")
    if database_url is None and settings.owner_database_url is not None:
        return settings.owner_database_url.get_secret_value()
    return settings.database_url.get_secret_value()


def _say(prog_name: str, message: str, status: int) -> int:
    typer.echo(f"{prog_name}: {message}", err=True)
    return status
