"""Metrics for Prometheus: read when they are asked for, so that they cost the calls nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from inventory_server.operator_error import OperatorError

# What a store's statistics count (engine/statistics.py), by the metric's name.
_COUNTERS = {
    "inventory_batches": ("batches", "Batches committed, each a transaction"),
    "inventory_commands": ("commands", "Commands decided in committed batches"),
    "inventory_batch_conflicts": ("conflicts", "Runs of a batch that another writer aborted"),
    "inventory_batch_retries": ("retries", "Runs of a batch after its first"),
    "inventory_orders_paid": ("orders_paid", "Orders that became wholly paid"),
    "inventory_sold_out": ("sold_out", "Commands refused for lack of stock"),
    "inventory_payments_declined": ("declined", "Payments that the gateway declined"),
}


class ServerCollector(Collector):
    """Asks the parts of a running server; each argument is called at every scrape, in the scraper's thread.

    Args:
        statistics: by store, what engine/engine.py has as Statistics.
        batch_sizes: the greatest batch size of each of the statistics' buckets.
        task_count: tasks of the server's event loop.
        watcher_count: watches that are open.
        stalled_s: by store that is watched, for how long its feed is held back.
        verification: by store, what jobs/verification.py has as Progress.
        doubt_age_s: by store, the age of its oldest payment operation in doubt.
        reversal_count: by store, what jobs/open_payments.py has of this name.
    """

    def __init__(
        self,
        *,
        statistics: Callable[[], Mapping[str, Any]],
        batch_sizes: tuple[int, ...],
        task_count: Callable[[], int],
        watcher_count: Callable[[], int],
        stalled_s: Callable[[], Mapping[str, float]],
        verification: Callable[[], Mapping[str, Any]],
        doubt_age_s: Callable[[], Mapping[str, float]],
        reversal_count: Callable[[], Mapping[str, float]],
    ) -> None:
        self._statistics = statistics
        self._batch_sizes = batch_sizes
        self._task_count = task_count
        self._watcher_count = watcher_count
        self._stalled_s = stalled_s
        self._verification = verification
        self._doubt_age_s = doubt_age_s
        self._reversal_count = reversal_count

    def collect(self) -> Iterable[Metric]:
        yield from self._engine_metrics(dict(self._statistics()))
        yield GaugeMetricFamily("inventory_tasks", "Tasks of the server's event loop", self._task_count())
        yield GaugeMetricFamily("inventory_watchers", "Watches that are open", self._watcher_count())
        yield _gauge(
            "inventory_feed_stalled_seconds", "How long committed changes are held back", self._stalled_s()
        )
        yield _gauge(
            "inventory_payment_doubt_age_seconds", "Age of the oldest operation in doubt", self._doubt_age_s()
        )
        yield _gauge(
            "inventory_payment_reversals_open", "Money taken against the books", self._reversal_count()
        )
        yield from self._verification_metrics(dict(self._verification()))

    def _engine_metrics(self, by_store: dict[str, Any]) -> Iterable[Metric]:
        for name, (field, text) in _COUNTERS.items():
            counter = CounterMetricFamily(name, text, labels=["store"])
            for store_id, statistics in by_store.items():
                counter.add_metric([store_id], getattr(statistics.store.totals, field))
            yield counter
        queues = {store_id: statistics.queue_length for store_id, statistics in by_store.items()}
        yield _gauge("inventory_queue_length", "Commands that wait", queues)
        sizes = HistogramMetricFamily("inventory_batch_size", "Commands in a batch", labels=["store"])
        for store_id, statistics in by_store.items():
            buckets, seen = [], 0
            for size, count in zip(self._batch_sizes, statistics.store.batch_sizes, strict=True):
                seen += count
                buckets.append((str(float(size)), float(seen)))
            buckets.append(("+Inf", float(seen)))
            sizes.add_metric([store_id], buckets, statistics.store.totals.commands)
        yield sizes

    def _verification_metrics(self, by_store: dict[str, Any]) -> Iterable[Metric]:
        yield _gauge(
            "inventory_invariant_violations",
            "Laws that the verification finds broken",
            {store_id: progress.violation_count for store_id, progress in by_store.items()},
        )
        rounds = CounterMetricFamily("inventory_verify_rounds", "Whole verifications", labels=["store"])
        rows = CounterMetricFamily("inventory_verified_rows", "Rows verified", labels=["store", "kind"])
        for store_id, progress in by_store.items():
            rounds.add_metric([store_id], progress.rounds)
            for kind, count in dict(progress.looked_at).items():
                rows.add_metric([store_id, kind], count)
        yield rounds
        yield rows


def _gauge(name: str, text: str, by_store: Mapping[str, float]) -> GaugeMetricFamily:
    gauge = GaugeMetricFamily(name, text, labels=["store"])
    for store_id, value in dict(by_store).items():
        gauge.add_metric([store_id], value)
    return gauge


def serve_metrics(collector: ServerCollector, port: int) -> tuple[int, Callable[[], None]]:
    """Answer scrapes over HTTP on 127.0.0.1, in a thread.

    Args:
        port: 0 takes a free one.
    Returns: the port, and what stops it. Raises: OperatorError where the port is in use.
    """
    registry = CollectorRegistry(auto_describe=False)
    registry.register(collector)
    try:
        server, thread = start_http_server(port, addr="127.0.0.1", registry=registry)
    except OSError as error:
        raise OperatorError(f"cannot serve metrics on 127.0.0.1:{port}: {error.strerror}") from error

    def stop() -> None:
        server.shutdown()
        server.server_close()
        thread.join()

    return server.server_port, stop
