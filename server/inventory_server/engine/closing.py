"""When a batch closes: how many it waits for, and how long (docs/decisions/0027-half-or-all.md).

Callers that were answered together come back one by one, and each batch costs two round trips and a COMMIT,
however few it holds. What pays depends on how fast they come back and how long a batch takes: both are
measured.
"""

from __future__ import annotations

# How much the latest time counts against those before it.
WEIGHT = 1 / 8
# Who has not come after so many times as long as the next one usually takes does not come any more.
PATIENCE = 4


class Closing:
    """What one store's callers were seen to do.

    Times are those of time.monotonic(), in seconds: the event loop's are whole milliseconds.

    Args:
        wait_s_max: after an answer nobody waits longer than this for others.
        enough_max: where so many wait, 1 and up, nobody waits for more: of what they cost in all, what a
            batch costs by itself is little.
    """

    def __init__(self, wait_s_max: float, enough_max: int) -> None:
        self._wait_s_max = wait_s_max
        self._enough_max = enough_max
        # Callers that were answered and may be back any moment.
        self._returning = 0
        self._answered_at = self._came_at = 0.0
        # How long the next of them takes to come, and how long a batch takes.
        self._pace_s = 0.0
        self._batch_s = 0.0

    def came(self, now: float) -> None:
        """Somebody asks."""
        if self._returning:
            self._returning -= 1
            self._pace(now - max(self._answered_at, self._came_at))
        self._came_at = now

    def answered(self, count: int, begun: float, now: float) -> None:
        """A batch that began at a time has been answered now."""
        self._returning += count
        self._answered_at = now
        self._batch_s = _towards(self._batch_s, now - begun)

    def waited_in_vain(self, now: float) -> None:
        """The time is over and not enough have come. Were they on their way, they would still be coming."""
        if self._came_at < self._answered_at:
            self._returning = 0
            self._pace(2 * self._wait_s_max)
        elif now - self._came_at > PATIENCE * self._pace_s:
            self._returning = 0

    def wait(self, waiting: int, now: float) -> tuple[int, float]:
        """Return how many should wait before the batch closes, and for how many seconds; 0 = close now.

        All, where they are back before a batch would have been done without them. Else half: while those are
        in the database the other half is answered and comes back, so that neither side stands still.
        """
        everyone = waiting + self._returning
        enough = everyone if everyone * self._pace_s <= self._batch_s else (everyone + 1) // 2
        enough = min(enough, self._enough_max)
        left_s = self._answered_at + self._wait_s_max - now
        return enough, left_s if enough > waiting and left_s > self._pace_s else 0.0

    def _pace(self, took_s: float) -> None:
        # The bound is above all waits, so that callers who come more slowly are not waited for.
        self._pace_s = _towards(self._pace_s, min(took_s, 2 * self._wait_s_max))


def _towards(mean_s: float, latest_s: float) -> float:
    """Return the mean with one more time in it; the first is the mean."""
    return mean_s + (latest_s - mean_s) * WEIGHT if mean_s else latest_s
