"""The composition root: what is built from what, in which order it starts, drains and stops."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Self

import structlog

from inventory_server.access.audit import Audit
from inventory_server.access.certificates import TlsFiles
from inventory_server.access.directory import Directory, Limits
from inventory_server.access.id_tokens import IdTokens, Provider
from inventory_server.config import Settings
from inventory_server.database_watch import DatabaseWatch
from inventory_server.db.connection import EngineConnections
from inventory_server.db.read_pool import ReadPool, Snapshot
from inventory_server.engine.batcher import BatchLimits
from inventory_server.engine.credentials import CredentialBook
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
from inventory_server.jobs.credentials import CredentialWatch
from inventory_server.jobs.importer import Importer
from inventory_server.jobs.open_payments import INTERVAL_S as OPEN_PAYMENTS_INTERVAL_S
from inventory_server.jobs.open_payments import OpenPayments
from inventory_server.jobs.periodic import run_periodically
from inventory_server.jobs.reconciler import Reconciler
from inventory_server.jobs.sweeper import Sweeper
from inventory_server.jobs.verification import ContinuousVerification
from inventory_server.metrics import ServerCollector, serve_metrics
from inventory_server.payments.gateway import Gateway
from inventory_server.payments.manual_gateway import ManualGateway
from inventory_server.payments.processor import PaymentProcessor
from inventory_server.rpc.checkout_service import CheckoutServicer
from inventory_server.rpc.gateway_client import GrpcGateway
from inventory_server.rpc.guard import Guard
from inventory_server.rpc.inventory_service import InventoryServicer
from inventory_server.rpc.server import Built, build_server

log = structlog.get_logger(__name__)

# Beside the engine's connections and those of reads.
STAGING_CONNECTIONS_MAX = 2
EXPORT_CONNECTIONS_MAX = 2
# A verification may wait for its snapshot; it must not do so on the connections of other reads.
VERIFY_CONNECTIONS_MAX = 2
# The sum of what is held of one product goes through all its open lines: of a million in
# 10 s on a busy machine.
VERIFY_STATEMENT_TIMEOUT_S = 60
STREAMS_GRACE_S = 1.0
# What each part of a stop may take, whatever those before it took.
LAST_GRACE_S = 1.0


@dataclass(frozen=True)
class _Pools:
    """The connections beside the engine's own."""

    reads: ReadPool
    export: ReadPool
    verify: ReadPool
    staging: EngineConnections

    @classmethod
    def of(cls, settings: Settings, database_url: str) -> Self:
        return cls(
            reads=ReadPool(database_url, settings.read_pool_size_max),
            export=ReadPool(database_url, EXPORT_CONNECTIONS_MAX, snapshot=Snapshot.SAFE),
            verify=ReadPool(
                database_url,
                VERIFY_CONNECTIONS_MAX,
                snapshot=Snapshot.SAFE,
                statement_timeout_s=VERIFY_STATEMENT_TIMEOUT_S,
            ),
            staging=EngineConnections(database_url, STAGING_CONNECTIONS_MAX),
        )

    @property
    def opened(self) -> tuple[ReadPool, ...]:
        """Those that are opened once there is a database."""
        return (self.reads, self.export, self.verify)

    async def close(self) -> None:
        await self.staging.close()
        for pool in self.opened:
            await pool.close()


@dataclass(kw_only=True)
class Service:
    """All parts of a server, built from each other and not started."""

    settings: Settings
    database_url: str
    pools: _Pools
    reader: Reader
    engine: Engine
    feed: Feed
    verifier: Verifier
    imports: Imports
    importer: Importer
    processor: PaymentProcessor
    gateway: Gateway | None
    door: Built
    credentials: CredentialWatch | None
    id_tokens: IdTokens | None
    audit: Audit | None
    _jobs: list[asyncio.Task[None]] = field(default_factory=list)
    _stop_metrics: Callable[[], None] = lambda: None

    @classmethod
    async def build(cls, settings: Settings, database_url: str, gateway_address: str | None) -> Self:
        """Build every part and bind the address; nothing connects to the database yet.

        Raises: AddressRefused, CertificateRefused, as `build_server`.
        """
        pools = _Pools.of(settings, database_url)
        reader = Reader(pools.reads)
        feed = _feed(settings, reader)
        engine = _engine(settings, database_url, reader, feed)
        gateway = _gateway(settings, gateway_address)
        processor = PaymentProcessor(
            engine,
            reader,
            gateway,
            gateway_timeout_s=settings.gateway_timeout_s,
            resolved_poll_interval_s=settings.resolved_poll_interval_s,
        )
        staging = ImportStaging(pools.staging)
        import_reader = ImportReader(pools.reads)
        imports = Imports(engine, import_reader, staging)
        exporter = Exporter(pools.export, spool_bytes_max=settings.export_spool_mib_max * 2**20)
        verifier = Verifier(Reader(pools.verify))
        audit = Audit() if settings.authentication else None
        directory = Directory(_limits(settings))
        id_tokens = _id_tokens(settings)
        book = CredentialBook(reader, pools.staging)
        door = await build_server(
            InventoryServicer(engine, reader, feed, verifier, imports, import_reader, exporter),
            CheckoutServicer(engine, reader, processor),
            host=settings.host,
            port=settings.port,
            reflection=settings.reflection,
            reuse_port=settings.reuse_port,
            call_timeout_s=settings.call_timeout_s,
            write_timeout_s=settings.stream_write_timeout_s,
            tls=_tls(settings),
            guard=Guard(directory, audit, id_tokens) if audit else None,
        )
        return cls(
            settings=settings, database_url=database_url, pools=pools, reader=reader, engine=engine,
            feed=feed, verifier=verifier, imports=imports, processor=processor, gateway=gateway, door=door,
            audit=audit, credentials=CredentialWatch(book, directory) if audit else None,
            id_tokens=id_tokens,
            importer=Importer(engine, import_reader, staging, imports),
        )  # fmt: skip

    @property
    def address(self) -> str:
        """Where calls are taken: host and the port that is bound."""
        return self.settings.model_copy(update={"port": self.door.port}).address

    async def start(self) -> None:
        """Take calls, and begin the jobs. A database that isn't there yet is waited for by the watch."""
        settings = self.settings
        verification = ContinuousVerification(self.reader, self.verifier)
        open_payments = OpenPayments(self.reader)
        # First what can fail: pools that are open and not closed keep the process from ending at times.
        self._serve_metrics(verification, open_payments)
        watch = DatabaseWatch(
            settings, self.database_url, pools=self.pools.opened, reader=self.reader, health=self.door.health
        )
        self._jobs.append(asyncio.create_task(watch.run()))
        await watch.first_look()
        if self.credentials is not None:
            with suppress(NotDecided):
                await self.credentials.look()
        if self.id_tokens is not None:
            await asyncio.to_thread(self.id_tokens.refresh)
        await self.door.server.start()

        sweeper = Sweeper(self.engine, self.reader, request_log_retention_h=settings.request_log_retention_h)
        imported_s, has_work = settings.import_interval_s, self.imports.has_work
        jobs = [
            run_periodically("sweeper", settings.sweep_interval_s, sweeper.sweep),
            run_periodically("importer", imported_s, self.importer.look, has_work),
            run_periodically("clearing", imported_s, self.importer.clear_away, has_work),
            run_periodically("verification", settings.verify_interval_s, verification.verify_next),
            run_periodically("open_payments", OPEN_PAYMENTS_INTERVAL_S, open_payments.look),
        ]
        if self.credentials is not None:
            looked_s = settings.credentials_interval_s
            jobs.append(run_periodically("credentials", looked_s, self.credentials.look))
        if self.id_tokens is not None:
            refresh = partial(asyncio.to_thread, self.id_tokens.refresh)
            jobs.append(run_periodically("id_tokens", settings.jwt_keys_interval_s, refresh))
        # With `manual` there is nobody to ask about operations in doubt: they wait for people.
        if not isinstance(self.gateway, ManualGateway):
            reconciler = Reconciler(self.reader, self.processor)
            jobs.append(run_periodically("reconciler", settings.reconcile_interval_s, reconciler.reconcile))
        self._jobs += map(asyncio.create_task, jobs)

    async def stop(self) -> None:
        """Refuse what is new, let what is under way end within one grace time, and close."""
        until = asyncio.get_running_loop().time() + self.settings.stop_grace_s

        def left_s() -> float:
            return until - asyncio.get_running_loop().time()

        for job in self._jobs:
            job.cancel()
        await asyncio.gather(*self._jobs, return_exceptions=True)
        await self.importer.stop()
        await self.door.health.close()
        self.feed.close()
        await self.door.edge.drain(self.settings.stop_grace_s)
        # What remains are answers on their way, and streams.
        await self.door.server.stop(min(STREAMS_GRACE_S, max(0.0, left_s())))
        await self.processor.drain(max(LAST_GRACE_S, left_s()))
        await self.engine.drain(max(LAST_GRACE_S, left_s()))
        if self.gateway is not None:
            await self.gateway.close()
        await self.pools.close()
        if self.audit is not None:
            self.audit.close()
        self._stop_metrics()

    def _serve_metrics(self, verification: ContinuousVerification, open_payments: OpenPayments) -> None:
        """Serve metrics where the settings say so."""
        if self.settings.metrics_port is None:
            return
        loop = asyncio.get_running_loop()
        collector = ServerCollector(
            statistics=self.engine.all_statistics,
            batch_sizes=BATCH_SIZES,
            task_count=lambda: len(asyncio.all_tasks(loop)),
            watcher_count=lambda: self.feed.watcher_count,
            stalled_s=lambda: self.feed.stalled_s,
            verification=lambda: verification.progress,
            doubt_age_s=lambda: open_payments.doubt_age_s,
            reversal_count=lambda: open_payments.reversal_count,
        )
        port, self._stop_metrics = serve_metrics(collector, self.settings.metrics_port)
        log.info("serving_metrics", address=f"127.0.0.1:{port}")


def _limits(settings: Settings) -> Limits:
    return Limits(calls_per_s=settings.credential_calls_per_s_max, calls=settings.credential_calls_max)


def _id_tokens(settings: Settings) -> IdTokens | None:
    if settings.jwt_issuer is None or settings.jwt_audience is None or settings.jwt_keys is None:
        return None
    return IdTokens(
        Provider(
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
            keys=settings.jwt_keys,
            algorithms=settings.jwt_algorithms,
            leeway_s=settings.jwt_leeway_s,
        )
    )


def _tls(settings: Settings) -> TlsFiles | None:
    if settings.tls_certificate_file is None or settings.tls_key_file is None:
        return None
    return TlsFiles(settings.tls_certificate_file, settings.tls_key_file, settings.tls_client_ca_file)


def _feed(settings: Settings, reader: Reader) -> Feed:
    return Feed(
        FeedReader(reader),
        watchers_max=settings.watchers_max,
        poll_interval_s=settings.watch_poll_interval_s,
        heartbeat_s=settings.watch_heartbeat_s,
    )


def _engine(settings: Settings, database_url: str, reader: Reader, feed: Feed) -> Engine:
    """Build the engine, whose commits wake the feed."""
    return Engine(
        EngineConnections(database_url, settings.engine_connections_max, locks_stores=settings.lock_stores),
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


def _gateway(settings: Settings, address: str | None) -> Gateway | None:
    if address is not None:
        return GrpcGateway(address, connect_timeout_s=settings.gateway_connect_timeout_s)
    return ManualGateway() if settings.payment_gateway == "manual" else None
