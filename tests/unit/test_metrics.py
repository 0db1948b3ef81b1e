"""The metrics as a scraper reads them, from parts that say what the test says."""

from __future__ import annotations

import urllib.request
from datetime import UTC, datetime

import pytest
from prometheus_client.parser import text_string_to_metric_families

from inventory_server.engine.engine import Statistics
from inventory_server.engine.facts import Facts
from inventory_server.engine.statistics import BATCH_SIZES, StoreStatistics
from inventory_server.engine.verification import Chunk, Place
from inventory_server.jobs.verification import Progress
from inventory_server.metrics import ServerCollector, serve_metrics
from inventory_server.operator_error import OperatorError
from inventory_server.verify.violation import Violation


def collector() -> ServerCollector:
    store = StoreStatistics()
    store.committed(3, Facts(orders_paid=2, declined=1, sold_out=1))
    store.committed(1_024, Facts())
    store.conflicted()
    progress = Progress()
    progress.take(Chunk([Violation("log-gapless", "x")], Place("orders"), levels=5, entries=7))
    return ServerCollector(
        statistics=lambda: {"north": Statistics(datetime.now(UTC), 4, store)},
        batch_sizes=BATCH_SIZES,
        task_count=lambda: 5,
        watcher_count=lambda: 6,
        stalled_s=lambda: {"north": 1.5},
        verification=lambda: {"north": progress},
        doubt_age_s=lambda: {"north": 12.0},
        reversal_count=lambda: {"north": 2},
    )


def test_what_a_scraper_reads() -> None:
    """Each number under its name, by store; the histogram's buckets add up."""
    port, stop = serve_metrics(collector(), 0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
    finally:
        stop()
    read = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert {
        key[0]: value for key, value in read.items() if key[1:] == ("north",) and "batch_size" not in key[0]
    } == {
        "inventory_batches_total": 2,
        "inventory_commands_total": 1_027,
        "inventory_batch_conflicts_total": 1,
        "inventory_batch_retries_total": 0,
        "inventory_orders_paid_total": 2,
        "inventory_sold_out_total": 1,
        "inventory_payments_declined_total": 1,
        "inventory_queue_length": 4,
        "inventory_feed_stalled_seconds": 1.5,
        "inventory_payment_doubt_age_seconds": 12,
        "inventory_payment_reversals_open": 2,
        "inventory_invariant_violations": 1,
        "inventory_verify_rounds_total": 0,
    }
    assert (read["inventory_tasks",], read["inventory_watchers",]) == (5, 6)
    assert read["inventory_verified_rows_total", "entries", "north"] == 7
    buckets = {key[1]: value for key, value in read.items() if key[0] == "inventory_batch_size_bucket"}
    assert [buckets[bound] for bound in ("2.0", "4.0", "512.0", "1024.0", "+Inf")] == [0, 1, 1, 2, 2]
    assert read["inventory_batch_size_count", "north"] == 2


def test_a_port_that_is_taken() -> None:
    """One line for the operator."""
    port, stop = serve_metrics(collector(), 0)
    try:
        with pytest.raises(OperatorError, match=f"cannot serve metrics on 127.0.0.1:{port}"):
            serve_metrics(collector(), port)
    finally:
        stop()


def test_a_violation_is_told_once_and_forgotten_when_it_is_mended() -> None:
    """It counts until a whole round did not find it; each round tells only what is new."""
    one, two = Violation("log-gapless", "x", "a"), Violation("log-replays", "y", "b")
    progress = Progress()
    assert progress.take(Chunk([one], Place("orders"))) == [one]
    assert progress.take(Chunk([one, two], None)) == [two]
    assert (progress.violation_count, progress.rounds) == (2, 1)
    assert progress.take(Chunk([one], Place("orders"))) == []
    assert progress.violation_count == 2
    assert progress.take(Chunk([], None)) == []
    assert (progress.violation_count, progress.rounds) == (1, 2)
    assert progress.take(Chunk([two], None)) == [two]
