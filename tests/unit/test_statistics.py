"""What is counted of batches, second by second, on a clock that the test moves."""

from __future__ import annotations

import pytest

from inventory_server.engine.facts import Facts
from inventory_server.engine.statistics import BATCH_SIZES, SECONDS_KEPT, Counts, StoreStatistics


class Clock:
    def __init__(self) -> None:
        self.now_s = 1_000.5

    def __call__(self) -> float:
        return self.now_s


def test_each_second_counts_for_itself() -> None:
    """A batch belongs to the second of its COMMIT; the second that runs is not shown."""
    clock = Clock()
    statistics = StoreStatistics(clock)
    statistics.committed(3, Facts(logged=9, orders_paid=2, declined=1, sold_out=1))
    statistics.conflicted()
    statistics.retried()
    assert all(second.counts == Counts() for second in statistics.last_seconds())
    clock.now_s = 1_002.1
    statistics.committed(1, Facts())
    seconds = statistics.last_seconds()
    assert (len(seconds), seconds[-1].time_s) == (SECONDS_KEPT, 1_001)
    assert [second.counts for second in seconds[-2:]] == [Counts(1, 3, 1, 1, 2, 1, 1), Counts()]
    assert statistics.totals == Counts(2, 4, 1, 1, 2, 1, 1)


def test_old_seconds_are_forgotten() -> None:
    """What is kept is bounded, and what is older than that is not shown; the totals stay."""
    clock = Clock()
    statistics = StoreStatistics(clock)
    for _ in range(3 * SECONDS_KEPT):
        statistics.committed(1, Facts())
        clock.now_s += 1
    assert [second.counts.batches for second in statistics.last_seconds()] == [1] * SECONDS_KEPT
    clock.now_s += 2 * SECONDS_KEPT
    assert all(second.counts == Counts() for second in statistics.last_seconds())
    assert statistics.totals.batches == 3 * SECONDS_KEPT


@pytest.mark.parametrize(
    ("commands", "bucket"), [(0, 1), (1, 1), (2, 2), (3, 4), (4, 4), (5, 8), (1_023, 1_024), (1_024, 1_024)]
)
def test_batches_are_sorted_by_size(commands: int, bucket: int) -> None:
    """Each batch counts in the least bucket that holds it; there is one for every size there is."""
    statistics = StoreStatistics(Clock())
    statistics.committed(commands, Facts())
    counted = dict(zip(BATCH_SIZES, statistics.batch_sizes, strict=True))
    assert [size for size, count in counted.items() if count] == [bucket]
