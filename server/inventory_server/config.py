"""Every setting of the server: its name with the unit, its default, its range, its environment variable.

The environment variable is INVENTORY_ and the name in capitals; the commonest are options of
`inventory serve` too. docs/settings.md lists them all, and a test compares it with this file.
"""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from inventory_server.operator_error import OperatorError

PORT_MAX = 65_535
# All sign with a key that the server does not have, so that none can be made of what is public.
JWT_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
# A socket's address has room for 107 bytes, the temporary folders of macOS for few more.
SOCKET_PATH = r"unix:/[!-~]{1,100}"


class SettingsError(OperatorError):
    """A setting that can't be used; the text is one line that names every bad one."""

    exit_status = 2


class LogLevel(StrEnum):
    """From which level on a log line is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Settings(BaseSettings):
    """What the server is started with; frozen. Made by `load_settings`."""

    model_config = SettingsConfigDict(
        env_prefix="INVENTORY_", env_ignore_empty=True, frozen=True, extra="forbid", hide_input_in_errors=True
    )

    # Where it listens. In plaintext nobody but this machine may reach it.
    tls_certificate_file: Path | None = Field(
        None, description="PEM of the server's certificate and those up to its CA; none: plaintext"
    )
    tls_key_file: Path | None = Field(None, description="PEM of its private key, not encrypted")
    tls_client_ca_file: Path | None = Field(
        None, description="PEM of the CAs that vouch for clients, who must then show a certificate"
    )
    host: str = Field(
        "127.0.0.1",
        description="a loopback address (127.0.0.1, ::1, localhost) or unix:/PATH; with TLS any address",
    )
    authentication: bool = Field(
        description="refuse calls without a credential that counts; by default beyond the loopback"
    )
    credentials_interval_s: float = Field(
        1.0,
        gt=0,
        le=10,
        description="between looks at the credentials: so long a revoked one may still count",
    )
    credential_calls_per_s_max: int = Field(
        20_000, ge=1, le=1_000_000, description="calls a second of a credential that has no limit of its own"
    )
    credential_calls_max: int = Field(
        4_096, ge=1, le=1_000_000, description="calls at once of a credential that has no limit of its own"
    )
    jwt_issuer: str | None = Field(
        None, description="`iss` of an identity provider's tokens; none: no JWT counts"
    )
    jwt_audience: str | None = Field(None, description="what its tokens for us have among their `aud`")
    jwt_keys: str | None = Field(None, description="its JWKS: an absolute path or an https URL")
    jwt_algorithms: Annotated[tuple[str, ...], NoDecode] = Field(
        ("RS256", "ES256"), description="by which its tokens may be signed, parted by blanks"
    )
    jwt_leeway_s: float = Field(30.0, ge=0, le=300, description="how far its clock may be from ours")
    jwt_keys_interval_s: float = Field(60.0, gt=0, le=3600, description="between looks at its keys")
    port: int = Field(50051, ge=0, le=PORT_MAX, description="0 takes a free one")
    workers: int = Field(1, ge=1, le=64, description="server processes on the port; each uses one core")
    reuse_port: bool = Field(False, description="let other servers that say so listen on the same port")
    reflection: bool = Field(True, description="answer gRPC server reflection")

    # The database.
    database_url: SecretStr | None = Field(None, description="PostgreSQL 15 or newer; none: an embedded one")
    owner_database_url: SecretStr | None = Field(
        None, description="the login that migrates, makes stores and tokens; none: database_url's"
    )
    refuse_mighty_login: bool = Field(
        False,
        description="refuse a login that can do more to the database than the service needs; else warn",
    )
    data_dir: Path | None = Field(None, description="folder of the embedded PostgreSQL; none: the user's own")
    ephemeral: bool = Field(False, description="embedded PostgreSQL on a throw-away folder")
    migrate: bool = Field(description="migrate at start; by default an embedded database, never a given one")
    export_spool_mib_max: int = Field(1024, ge=1, le=1_048_576, description="disk space of one export, MiB")
    read_pool_size_max: int = Field(8, ge=1, le=100, description="connections for reads")
    engine_connections_max: int = Field(4, ge=1, le=100, description="connections for batches, of all stores")
    lock_stores: bool = Field(
        description="wait while another server decides for the store; by default with several workers"
    )

    # The payment gateway.
    payment_gateway: str = Field("simulator", description="simulator, manual, none, or HOST:PORT")
    gateway_args: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="the simulator's own options, as on a command line"
    )
    gateway_timeout_s: float = Field(10.0, gt=0, le=300, description="deadline of one gateway call")
    gateway_connect_timeout_s: float = Field(
        1.0, gt=0, le=60, description="wait for the channel; past it the payment failed, provably never sent"
    )

    # The engine.
    call_timeout_s: float = Field(5.0, gt=0, le=300, description="deadline of a call that brings none")
    batch_commands_max: int = Field(1024, ge=1, le=1024, description="commands in one transaction")
    batch_lines_max: int = Field(10_000, ge=1_000, le=10_000, description="lines in one transaction")
    batch_attempts_max: int = Field(10, ge=1, le=100, description="runs of one batch on 40001 and 40P01")
    linger_ms_max: float = Field(5.0, ge=0, le=100, description="wait for callers just answered to return")
    queue_commands_max: int = Field(
        10_000, ge=1, le=1_000_000, description="waiting commands of a store that is alone"
    )
    queue_commands_max_total: int = Field(20_000, ge=1, le=1_000_000, description="of all stores together")

    # Watching.
    watchers_max: int = Field(1_000, ge=1, le=100_000, description="watches at once, of all stores")
    watch_poll_interval_s: float = Field(
        0.5, gt=0, le=1, description="what a change by another server costs a watch at most"
    )
    watch_heartbeat_s: float = Field(10.0, gt=0, le=300, description="so long a watch is silent")
    stream_write_timeout_s: float = Field(
        30.0, gt=0, le=300, description="a stream's reader who makes no room for so long is cut off"
    )

    # Time.
    sweep_interval_s: float = Field(1.0, gt=0, le=3600, description="between looks for due holds")
    reconcile_interval_s: float = Field(1.0, gt=0, le=3600, description="between looks for payments in doubt")
    resolved_poll_interval_s: float = Field(
        60.0, gt=0, le=3600 * 24, description="between questions about a payment ended by hand, for 7 days"
    )
    import_interval_s: float = Field(1.0, gt=0, le=3600, description="between looks for imports to apply")
    request_log_retention_h: int = Field(24, ge=24, le=24 * 90, description="how long request ids are kept")
    stop_grace_s: float = Field(10.0, ge=0, le=300, description="calls in flight may take this long at stop")

    # Looking after itself.
    verify_interval_s: float = Field(1.0, gt=0, le=3600, description="between two chunks of verification")
    metrics_port: int | None = Field(
        None,
        ge=0,
        le=PORT_MAX,
        description="Prometheus metrics on 127.0.0.1, each worker the next; 0 takes a free one; none: off",
    )

    log_level: LogLevel = Field(LogLevel.INFO, description="debug, info, warning or error")

    @property
    def address(self) -> str:
        """What clients connect to: HOST:PORT, [HOST]:PORT, or unix:/PATH."""
        if self.host.startswith("unix:"):
            return self.host
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_open(self) -> bool:
        """Whether a call needs no more than the address."""
        return self.tls_certificate_file is None and not self.authentication

    @model_validator(mode="before")
    @classmethod
    def _defaults_that_depend(cls, values: dict[str, Any]) -> dict[str, Any]:
        ours = values.get("database_url") is None
        return {
            "migrate": ours,
            "lock_stores": str(values.get("workers", 1)) != "1",
            "authentication": not _is_local(str(values.get("host", "127.0.0.1"))),
            **values,
        }

    @field_validator("host")
    @classmethod
    def _plaintext_stays_here(cls, host: str, info: ValidationInfo) -> str:
        if _is_local(host):
            return host
        if info.data.get("tls_certificate_file") is None:
            raise ValueError(
                "plaintext is served on the loopback (127.0.0.1, ::1, localhost) and on unix:/PATH only:"
                " give one of them, or set tls_certificate_file and tls_key_file"
            )
        if not re.fullmatch(r"[A-Za-z0-9.-]+|[0-9A-Fa-f:]+", host):
            raise ValueError("give an IP address or a name")
        return host

    @field_validator("database_url", "owner_database_url")
    @classmethod
    def _libpq_url(cls, url: SecretStr | None) -> SecretStr | None:
        if url is not None and not re.match(r"postgres(ql)?://|\w+\s*=", url.get_secret_value()):
            raise ValueError("give a libpq URL (postgresql://USER@HOST/DATABASE) or key=value pairs")
        return url

    @field_validator("payment_gateway")
    @classmethod
    def _gateway_address(cls, gateway: str) -> str:
        host, _, port = gateway.rpartition(":")
        if gateway in ("simulator", "manual", "none") or (
            _is_loopback(host) and re.fullmatch(r"\d{1,5}", port)
        ):
            return gateway
        raise ValueError(
            "give simulator, manual, none, or HOST:PORT on the loopback (it is called in plaintext)"
        )

    @field_validator("jwt_keys")
    @classmethod
    def _keys_place(cls, place: str | None) -> str | None:
        return None if place is None else need_keys_place(place)

    @field_validator("jwt_algorithms")
    @classmethod
    def _signed_by_a_key_of_theirs(cls, algorithms: tuple[str, ...]) -> tuple[str, ...]:
        if not algorithms or set(algorithms) - set(JWT_ALGORITHMS):
            raise ValueError(f"give some of {', '.join(JWT_ALGORITHMS)}")
        return algorithms

    @field_validator("gateway_args", "jwt_algorithms", mode="before")
    @classmethod
    def _split_as_the_shell(cls, args: object) -> object:
        return tuple(shlex.split(args)) if isinstance(args, str) else args

    @model_validator(mode="after")
    def _fit_together(self, info: ValidationInfo) -> Self:
        if self.ephemeral and (self.database_url or self.data_dir):
            raise ValueError("ephemeral takes neither database_url nor data_dir")
        if self.database_url and self.data_dir:
            raise ValueError("database_url and data_dir exclude each other")
        if not (self.authentication or _is_local(self.host)):
            raise ValueError("authentication can be off on the loopback and on unix:/PATH only")
        provider = (self.jwt_issuer, self.jwt_audience, self.jwt_keys)
        if any(provider) and not (all(provider) and self.authentication):
            raise ValueError("jwt_issuer, jwt_audience and jwt_keys come together, with authentication")
        if self.owner_database_url and not self.database_url:
            raise ValueError("owner_database_url is beside a database_url: an embedded database has its own")
        if (self.tls_certificate_file is None) != (self.tls_key_file is None):
            raise ValueError("tls_certificate_file and tls_key_file come together")
        if self.tls_client_ca_file and not self.tls_certificate_file:
            raise ValueError("tls_client_ca_file is of no use without tls_certificate_file")
        if self.host.startswith("unix:") and (self.tls_certificate_file or self.workers > 1):
            raise ValueError("a unix socket takes neither TLS nor several workers")
        if (self.metrics_port or 0) + self.workers - 1 > PORT_MAX:
            raise ValueError(f"metrics_port leaves no room for that of the last worker below {PORT_MAX}")
        if self.gateway_args and self.payment_gateway != "simulator":
            raise ValueError("gateway_args are the simulator's: payment_gateway must be simulator")
        if self.queue_commands_max > self.queue_commands_max_total:
            raise ValueError("queue_commands_max must not be above queue_commands_max_total")
        return self


def _is_loopback(host: str) -> bool:
    try:
        return (
            host == "localhost" or ipaddress.ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
        )
    except ValueError:
        return False


def _is_local(host: str) -> bool:
    return _is_loopback(host) or re.fullmatch(SOCKET_PATH, host) is not None


def need_keys_place(place: str) -> str:
    """Return where keys may stand: an absolute path, or a URL for which nobody on the way can answer.

    Raises: ValueError.
    """
    parts = urlsplit(place)
    is_url = parts.scheme == "https" or (parts.scheme == "http" and _is_loopback(parts.hostname or ""))
    if (is_url and parts.hostname) or place.startswith("/"):
        return place
    raise ValueError("give an absolute path or an https URL")


def load_settings(given: Mapping[str, object] | None = None) -> Settings:
    """Read the settings from the environment, and over it what the command line gave.

    Args:
        given: values by field name; None stands for "not given".
    Returns: valid, frozen settings.
    Raises: SettingsError, with every bad setting in one line, and no value of any.
    """
    try:
        return Settings(**{name: value for name, value in (given or {}).items() if value is not None})  # type: ignore[arg-type]
    except ValidationError as error:
        raise SettingsError(
            "; ".join(_in_words(part["loc"], part["msg"]) for part in error.errors())
        ) from None


def without_password(url: str) -> str:
    """Return a database URL or conninfo that can be shown: the password is replaced by ***."""
    if "://" not in url:
        return re.sub(r"(password\s*=\s*)('(?:[^'\\]|\\.)*'|\S+)", r"\1***", url, flags=re.IGNORECASE)
    netloc = urlsplit(url).netloc
    user, at, place = netloc.rpartition("@")
    shown = url.replace(netloc, user.partition(":")[0] + ":***@" + place, 1) if at and ":" in user else url
    return re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", shown, flags=re.IGNORECASE)


def _in_words(location: tuple[int | str, ...], message: str) -> str:
    message = message.removeprefix("Value error, ")
    if not location:
        return message
    name = str(location[0])
    return f"{name} (INVENTORY_{name.upper()}): {message[:1].lower()}{message[1:]}"
