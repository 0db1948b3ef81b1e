"""When a batch closes: for whom it waits, on a clock that the test moves."""

from __future__ import annotations

import pytest

from inventory_server.engine.closing import PATIENCE, Closing

WAIT_S_MAX = 0.005
ENOUGH_MAX = 512


class Store:
    """Callers who come back `pace_s` apart, and batches that take `batch_s`."""

    def __init__(self, pace_s: float, batch_s: float) -> None:
        self.closing = Closing(WAIT_S_MAX, ENOUGH_MAX)
        self.now = 100.0
        self.pace_s, self.batch_s = pace_s, batch_s

    def come(self, count: int) -> None:
        for _ in range(count):
            self.now += self.pace_s
            self.closing.came(self.now)

    def batch(self, count: int) -> None:
        begun, self.now = self.now, self.now + self.batch_s
        self.closing.answered(count, begun, self.now)

    def rounds(self, count: int, times: int = 40) -> None:
        """Let as many callers be answered together and all come back, again and again."""
        for _ in range(times):
            self.batch(count)
            self.come(count)
        self.batch(count)

    def wait(self, waiting: int) -> tuple[int, float]:
        return self.closing.wait(waiting, self.now)


def test_nobody_waits_where_nobody_was_answered() -> None:
    """The first caller of all starts a batch at once."""
    assert Closing(WAIT_S_MAX, ENOUGH_MAX).wait(1, 100.0)[1] == 0


def test_a_lone_caller_never_waits() -> None:
    """Who comes back was the only one, so nobody else is expected."""
    store = Store(pace_s=0.0005, batch_s=0.002)
    store.rounds(1)
    store.come(1)
    assert store.wait(1) == (1, 0)


def test_all_are_waited_for_where_they_come_back_before_a_batch_would_be_done() -> None:
    """Few callers, slow batches: one batch of all beats two of half of them."""
    store = Store(pace_s=0.0005, batch_s=0.004)
    store.rounds(4)
    store.come(1)
    enough, wait_s = store.wait(1)
    assert enough == 4
    assert wait_s == pytest.approx(WAIT_S_MAX - store.pace_s)


def test_half_are_waited_for_where_it_takes_longer() -> None:
    """Many callers: while one half is in the database, the other is answered and comes back."""
    store = Store(pace_s=0.0003, batch_s=0.004)
    store.rounds(64)
    store.come(10)
    enough, wait_s = store.wait(10)
    assert enough == 32 and wait_s > 0
    store.come(22)
    assert store.wait(32)[1] == 0


def test_an_odd_half_is_the_greater_one() -> None:
    """Of three, two."""
    store = Store(pace_s=0.002, batch_s=0.003)
    store.rounds(3)
    store.come(1)
    assert store.wait(1)[0] == 2


def test_the_wait_is_bounded_from_the_answer_on() -> None:
    """At the bound nobody waits, however many are missing."""
    store = Store(pace_s=0.0003, batch_s=0.004)
    store.rounds(64)
    store.come(15)
    assert store.wait(15)[1] == pytest.approx(WAIT_S_MAX - 15 * store.pace_s)
    store.come(2)
    assert store.wait(17)[1] == 0


def test_nobody_waits_for_callers_who_come_too_slowly() -> None:
    """Where the next one is expected after the bound, waiting brings nothing but the wait."""
    store = Store(pace_s=1.5 * WAIT_S_MAX, batch_s=0.05)
    store.rounds(8)
    assert store.wait(1)[1] == 0


def test_who_was_waited_for_in_vain_is_gone() -> None:
    """After one wait in which nobody came, those who were answered are not expected any more."""
    store = Store(pace_s=0.0003, batch_s=0.004)
    store.rounds(8)
    assert store.wait(1)[1] > 0
    store.closing.waited_in_vain(store.now + WAIT_S_MAX)
    assert store.wait(1) == (1, 0)


def test_those_who_stay_away_are_gone_while_others_go_on() -> None:
    """Of 64 only 4 come back: one wait shows it, since the coming had ended before the time was over."""
    store = Store(pace_s=0.0003, batch_s=0.004)
    store.rounds(64)
    store.come(4)
    assert store.wait(4)[0] == 32
    store.closing.waited_in_vain(store.now + PATIENCE * store.pace_s + 0.0001)
    store.batch(4)
    store.come(1)
    assert store.wait(1)[0] == 4


def test_those_who_still_come_when_the_time_is_over_are_expected() -> None:
    """More callers than come back within the bound: the batch closes, and the rest is on its way."""
    store = Store(pace_s=0.0003, batch_s=0.004)
    store.rounds(64)
    store.come(16)
    store.closing.waited_in_vain(store.now + store.pace_s)
    store.batch(16)
    assert store.wait(0)[0] == 32


def test_callers_who_never_come_back_are_soon_not_waited_for() -> None:
    """Each call is another caller's: some waits in vain, then none."""
    store = Store(pace_s=0.0, batch_s=0.004)
    waits = 0
    for _ in range(50):
        store.batch(2)
        wait_s = store.wait(1)[1]
        if wait_s:
            waits += 1
            store.closing.waited_in_vain(store.now + wait_s)
    assert 0 < waits < 30


def test_a_bound_of_nothing_turns_it_off() -> None:
    """With a bound of 0 a batch takes what is there."""
    closing = Closing(0.0, ENOUGH_MAX)
    closing.answered(64, 99.0, 100.0)
    closing.came(100.0)
    assert closing.wait(1, 100.0)[1] == 0


def test_a_batch_that_holds_enough_waits_for_nobody() -> None:
    """Two callers with a thousand items each: those of one do not wait for the other's, one less does."""
    store = Store(pace_s=0.0, batch_s=0.050)
    store.rounds(2 * ENOUGH_MAX)
    store.come(ENOUGH_MAX - 1)
    assert store.wait(ENOUGH_MAX - 1) == (ENOUGH_MAX, pytest.approx(WAIT_S_MAX))
    store.come(1)
    assert store.wait(ENOUGH_MAX) == (ENOUGH_MAX, 0)
