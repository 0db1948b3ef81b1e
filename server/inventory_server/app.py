"""The composition root: what is built from what, in which order it starts, drains and stops."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress

import structlog

from inventory_server import launch, welcome
from inventory_server.config import Settings, without_password
from inventory_server.db import check, embedded, migrate
from inventory_server.db.connection import EngineConnections
from inventory_server.db.read_pool import ReadPool, Snapshot
from inventory_server.db.sqlstate import DatabaseError
from inventory_server.engine.batcher import BatchLimits
from inventory_server.engine.engine import Engine
from inventory_server.engine.errors import NotDecided
from inventory_server.engine.export import Exporter
from inventory_server.engine.feed import Feed
from inventory_server.engine.feed_reads import FeedReader
from inventory_server.engine.import_reads import ImportReader
from inventory_server.engine.import_staging import ImportStaging
from inventory_server.engine.imports import Imports
from inventory_server.engine.reads import Reader
from inventory_server.engine.statistics import BATCH_SIZES
from inventory_server.engine.verification import Verifier
from inventory_server.jobs.doubt_age import INTERVAL_S as DOUBT_AGE_INTERVAL_S
from inventory_server.jobs.doubt_age import DoubtAge
from inventory_server.jobs.importer import Importer
from inventory_server.jobs.periodic import run_periodically
from inventory_server.jobs.reconciler import Reconciler
from inventory_server.jobs.sweeper import Sweeper
from inventory_server.jobs.verification import ContinuousVerification
from inventory_server.metrics import ServerCollector, serve_metrics
from inventory_server.observability import configure_logging
from inventory_server.operator_error import OperatorError
from inventory_server.payments.gateway import Gateway
from inventory_server.payments.manual_gateway import ManualGateway
from inventory_server.payments.processor import PaymentProcessor
from inventory_server.rpc.checkout_service import CheckoutServicer
from inventory_server.rpc.gateway_client import GrpcGateway
from inventory_server.rpc.health import Health
from inventory_server.rpc.inventory_service import InventoryServicer
from inventory_server.rpc.server import build_server

log = structlog.get_logger(__name__)

# Beside the engine's connections and those of reads.
STAGING_CONNECTIONS_MAX = 2
EXPORT_CONNECTIONS_MAX = 2
STREAMS_GRACE_S = 1.0
# A verification may wait for its snapshot; it must not do so on the connections of other reads.
VERIFY_CONNECTIONS_MAX = 2
WATCH_INTERVAL_S = 1.0
WATCH_DEADLINE_S = 3.0
BACKOFF_S_MIN = 0.25
BACKOFF_S_MAX = 5.0
# A database that answers at once is waited for before we say that we are ready.
FIRST_LOOK_S = 3.0


def run(settings: Settings) -> int:
    """Serve until SIGTERM or SIGINT. Returns: the exit status.

    Raises: OperatorError for what must be mended before it can start.
    Effects: starts and stops the embedded PostgreSQL and the gateway simulator, where the settings say so.
    """
    configure_logging(settings.log_level)
    with ExitStack() as outside, ThreadPoolExecutor(max_workers=1) as beside:
        # The database and the simulator start side by side: each takes about a second.
        database_url = beside.submit(_database_url, settings, outside)
        gateway_address = _gateway_address(settings, outside)
        asyncio.run(_serve(settings, database_url.result(), gateway_address))
    return 0


def _database_url(settings: Settings, outside: ExitStack) -> str:
    """Return the URL given, or that of an embedded PostgreSQL which is stopped with `outside`."""
    if settings.database_url is not None:
        return settings.database_url.get_secret_value()
    postgres = (
        embedded.ephemeral()
        if settings.ephemeral
        else embedded.start(settings.data_dir or embedded.default_data_dir())
    )
    outside.callback(postgres.stop)
    return postgres.url


def _gateway_address(settings: Settings, outside: ExitStack) -> str | None:
    if settings.payment_gateway in ("none", "manual"):
        return None
    if settings.payment_gateway == "simulator":
        return outside.enter_context(launch.gateway_simulator(settings.gateway_args)).address
    return settings.payment_gateway


def _gateway(settings: Settings, address: str | None) -> Gateway | None:
    if address is not None:
        return GrpcGateway(address, connect_timeout_s=settings.gateway_connect_timeout_s)
    return ManualGateway() if settings.payment_gateway == "manual" else None


def _reconciling(
    settings: Settings, gateway: Gateway | None, reconciler: Reconciler
) -> list[asyncio.Task[None]]:
    """Start to ask about operations in doubt. With `manual` there is nobody to ask: they wait for people."""
    if isinstance(gateway, ManualGateway):
        return []
    look = run_periodically("reconciler", settings.reconcile_interval_s, reconciler.reconcile)
    return [asyncio.create_task(look)]


async def _serve(settings: Settings, database_url: str, gateway_address: str | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    pool = ReadPool(database_url, settings.read_pool_size_max)
    reader = Reader(pool)
    engine, feed = _engine(settings, database_url, reader)
    gateway = _gateway(settings, gateway_address)
    processor = PaymentProcessor(
        engine,
        reader,
        gateway,
        gateway_timeout_s=settings.gateway_timeout_s,
        resolved_poll_interval_s=settings.resolved_poll_interval_s,
    )
    staging_connections = EngineConnections(database_url, STAGING_CONNECTIONS_MAX)
    staging = ImportStaging(staging_connections)
    import_reader = ImportReader(pool)
    imports = Imports(engine, import_reader, staging)
    importer = Importer(engine, import_reader, staging, imports)
    export_pool = ReadPool(database_url, EXPORT_CONNECTIONS_MAX, snapshot=Snapshot.SAFE)
    exporter = Exporter(export_pool, spool_bytes_max=settings.export_spool_mib_max * 2**20)
    verify_pool = ReadPool(database_url, VERIFY_CONNECTIONS_MAX, snapshot=Snapshot.SAFE)
    verifier = Verifier(Reader(verify_pool))
    server, port, health, edge = await build_server(
        InventoryServicer(engine, reader, feed, verifier, imports, import_reader, exporter),
        CheckoutServicer(engine, reader, processor),
        host=settings.host,
        port=settings.port,
        reflection=settings.reflection,
        call_timeout_s=settings.call_timeout_s,
        write_timeout_s=settings.stream_write_timeout_s,
    )
    sweeper = Sweeper(engine, reader, request_log_retention_h=settings.request_log_retention_h)
    verification = ContinuousVerification(reader, verifier)
    doubt_age = DoubtAge(reader)

    seen = asyncio.Event()
    watch = asyncio.create_task(
        _watch(settings, database_url, (pool, export_pool, verify_pool), reader, health, seen)
    )
    with suppress(TimeoutError):
        async with asyncio.timeout(FIRST_LOOK_S):
            await seen.wait()
    stop_metrics = _serve_metrics(settings, engine, feed, verification, doubt_age)
    await server.start()
    jobs = [
        watch,
        *_reconciling(settings, gateway, Reconciler(reader, processor)),
        asyncio.create_task(run_periodically("sweeper", settings.sweep_interval_s, sweeper.sweep)),
        asyncio.create_task(
            run_periodically("importer", settings.import_interval_s, importer.look, imports.has_work)
        ),
        asyncio.create_task(
            run_periodically("verification", settings.verify_interval_s, verification.verify_next)
        ),
        asyncio.create_task(run_periodically("doubt_age", DOUBT_AGE_INTERVAL_S, doubt_age.look)),
        asyncio.create_task(
            run_periodically("clearing", settings.import_interval_s, importer.clear_away, imports.has_work)
        ),
    ]
    address = settings.model_copy(update={"port": port}).address
    log.info("serving", address=address, database=without_password(database_url))
    welcome.announce(address)
    await stop.wait()

    log.info("stopping", grace_s=settings.stop_grace_s)
    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)
    await importer.stop()
    await health.close()
    feed.close()
    # One grace time for all of them; a second is left to each whatever those before it took.
    until = loop.time() + settings.stop_grace_s
    await edge.drain(settings.stop_grace_s)
    # What remains are answers on their way, and streams.
    await server.stop(min(STREAMS_GRACE_S, max(0.0, until - loop.time())))
    await processor.drain(max(1.0, until - loop.time()))
    await engine.drain(max(1.0, until - loop.time()))
    if gateway is not None:
        await gateway.close()
    for connections in (staging_connections, export_pool, verify_pool, pool):
        await connections.close()
    stop_metrics()
    log.info("stopped")


def _engine(settings: Settings, database_url: str, reader: Reader) -> tuple[Engine, Feed]:
    """Build the engine, and the feed that its commits wake."""
    feed = Feed(
        FeedReader(reader),
        watchers_max=settings.watchers_max,
        poll_interval_s=settings.watch_poll_interval_s,
        heartbeat_s=settings.watch_heartbeat_s,
    )
    engine = Engine(
        EngineConnections(database_url, settings.engine_connections_max),
        reader,
        BatchLimits(
            commands_max=settings.batch_commands_max,
            lines_max=settings.batch_lines_max,
            attempts_max=settings.batch_attempts_max,
            linger_s_max=settings.linger_ms_max / 1000,
        ),
        queue_commands_max=settings.queue_commands_max,
        queue_commands_max_total=settings.queue_commands_max_total,
        on_logged=feed.wake,
    )
    return engine, feed


def _serve_metrics(
    settings: Settings,
    engine: Engine,
    feed: Feed,
    verification: ContinuousVerification,
    doubt_age: DoubtAge,
) -> Callable[[], None]:
    """Serve metrics where the settings say so. Returns: what ends that."""
    if settings.metrics_port is None:
        return lambda: None
    collector = ServerCollector(
        statistics=engine.all_statistics,
        batch_sizes=BATCH_SIZES,
        watcher_count=lambda: feed.watcher_count,
        stalled_s=lambda: feed.stalled_s,
        verification=lambda: verification.progress,
        doubt_age_s=lambda: doubt_age.by_store,
    )
    port, stop = serve_metrics(collector, settings.metrics_port)
    log.info("serving_metrics", address=f"127.0.0.1:{port}")
    return stop


async def _watch(
    settings: Settings,
    database_url: str,
    pools: Sequence[ReadPool],
    reader: Reader,
    health: Health,
    seen: asyncio.Event,
) -> None:
    """Keep health true to the database: NOT_SERVING until it can be served from, and whenever it is gone."""
    await _until_fit(settings, database_url)
    for pool in pools:
        await pool.open()
    is_serving = False
    while True:
        try:
            # What answers calls is asked: the pool needs a moment to find out that the database is back.
            await reader.all_stores(deadline_s=WATCH_DEADLINE_S)
        except NotDecided:
            is_serving = False
            await health.set_serving(False)
            await _until_fit(settings, database_url)
            await asyncio.sleep(BACKOFF_S_MIN)
        else:
            if not is_serving:
                log.info("database_available")
            is_serving = True
            await health.set_serving(True)
            seen.set()
            await asyncio.sleep(WATCH_INTERVAL_S)


async def _until_fit(settings: Settings, database_url: str) -> None:
    """Wait for a database that can be served from; what is wrong with it is one log line, not one a try."""
    complaint = ""
    backoff_s = BACKOFF_S_MIN
    while True:
        try:
            if settings.migrate:
                await asyncio.to_thread(migrate.migrate, database_url)
            for advice in await check.check(database_url):
                log.warning("database_setting", advice=advice)
            return
        except (OperatorError, DatabaseError) as error:
            if str(error) != complaint:
                log.error("database_unavailable", error=str(error))
                complaint = str(error)
            await asyncio.sleep(backoff_s)
            backoff_s = min(BACKOFF_S_MAX, backoff_s * 2)
