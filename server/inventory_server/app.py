"""A server as an operator runs it: with what it needs outside, from the first signal to the last."""

from __future__ import annotations

import asyncio
import gc
import resource
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import structlog
import uvloop
from pydantic import SecretStr

from inventory_server import launch, welcome
from inventory_server.config import Settings, without_password
from inventory_server.db import embedded
from inventory_server.observability import configure_logging
from inventory_server.rpc.server import CONNECTIONS_MAX, Built
from inventory_server.service import Service
from inventory_server.workers import SERVE, Workers

# What one server process opens at the most with the settings as they are, and some for operators.
WORKER_CONNECTIONS = 30

log = structlog.get_logger(__name__)

# Objects made since the last look for cycles that begin the next one: more than a batch makes.
OBJECTS_YOUNG_MAX = 20_000
# Beside callers' connections: those to the database, what is listened on, spools of exports.
FILES_MAX = CONNECTIONS_MAX + 1_024


def run(
    settings: Settings,
    beside: Callable[[Built], None] | None = None,
    worker_command: Sequence[str] = SERVE,
) -> int:
    """Serve until SIGTERM or SIGINT.

    Args:
        beside: adds further services to the server, before it starts.
        worker_command: as what each of several workers is started.
    Returns: the exit status.
    Raises: OperatorError for what must be mended before it can start.
    Effects: starts and stops the embedded PostgreSQL and the gateway simulator, where the settings say so.
    """
    configure_logging(settings.log_level)
    with ExitStack() as outside, ThreadPoolExecutor(max_workers=1) as thread:
        # The database and the simulator start side by side: each takes about a second.
        databases = thread.submit(_databases, settings, outside)
        gateway_address = _gateway_address(settings, outside)
        database_url, owner_url = databases.result()
        settings = settings.model_copy(update={"owner_database_url": SecretStr(owner_url)})
        if settings.workers > 1:
            payment_gateway = gateway_address or settings.payment_gateway
            Workers(settings, database_url, payment_gateway, worker_command).run()
            return 0
        uvloop.run(_serve(settings, database_url, gateway_address, beside))
    return 0


def _databases(settings: Settings, outside: ExitStack) -> tuple[str, str]:
    """Return the URLs of the service's login and of the owner's.

    Those given, or those of an embedded PostgreSQL which is stopped with `outside`.
    """
    if settings.database_url is not None:
        owner_url = settings.owner_database_url or settings.database_url
        return settings.database_url.get_secret_value(), owner_url.get_secret_value()
    room = {"max_connections": str(max(200, settings.workers * WORKER_CONNECTIONS))}
    postgres = (
        embedded.ephemeral(room)
        if settings.ephemeral
        else embedded.start(settings.data_dir or embedded.default_data_dir(), room)
    )
    outside.callback(postgres.stop)
    log.info("database_started", owner_database=postgres.url)
    return postgres.service_url, postgres.url


def _gateway_address(settings: Settings, outside: ExitStack) -> str | None:
    if settings.payment_gateway in ("none", "manual"):
        return None
    if settings.payment_gateway == "simulator":
        return outside.enter_context(launch.gateway_simulator(settings.gateway_args)).address
    return settings.payment_gateway


async def _serve(
    settings: Settings,
    database_url: str,
    gateway_address: str | None,
    beside: Callable[[Built], None] | None,
) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    allow_files()
    service = await Service.build(settings, database_url, gateway_address)
    if beside is not None:
        beside(service.door)
    await service.start()
    settle_memory()
    log.info("serving", address=service.address, database=without_password(database_url))
    welcome.announce(service.address, is_open=settings.is_open)
    await stop.wait()
    log.info("stopping", grace_s=settings.stop_grace_s)
    await service.stop()
    log.info("stopped")


def allow_files() -> None:
    """Let this process have FILES_MAX files open, or as many as the system lets it.

    Each connection is one, and many systems give a process 1,024 unless it asks for more: past them no caller
    gets in any more.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = FILES_MAX if hard == resource.RLIM_INFINITY else min(FILES_MAX, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def settle_memory() -> None:
    """Keep what was made so far out of the looks for cycles, and look less often.

    All of it stays to the end, and to walk it takes 50 ms in which no call goes on: with the bounds as they
    come, a fifth of what an import takes of the server (docs/decisions/0023).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_YOUNG_MAX, *gc.get_threshold()[1:])
