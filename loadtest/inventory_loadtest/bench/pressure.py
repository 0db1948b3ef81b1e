"""More than there is room for: latency at a fixed rate of arrival, a flood, and who stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from inventory_loadtest.bench.figures import Figure, Round, at_least, at_most, rates
from inventory_loadtest.bench.sample import Sample
from inventory_loadtest.bench.suite import Load, Measure, Raw, Stage

CALL_TIMEOUT_S = 5.0
"""The client's own default."""

SHARES = (25, 50, 75, 90)
"""Of what closed loops reach, in percent."""
RAW_SHARE = 50

NARROW = {"batch_commands_max": 1, "queue_commands_max": 64, "queue_commands_max_total": 64}
"""A server that this generator can ask ten times as much as it can do: a transaction for each command."""
OVERLOAD = 10
NARROW_CALLERS = 16
"""So many keep it busy, and never fill its queue."""
CHANNELS = 16

QUIET_PER_S = 50
NARROW_STORE, QUIET_STORE, FLOOD_STORE = STORES = ("narrow", "quiet", "flood")
FLOOD_CALLERS = 1_024


def open_loop(load: Load, raw: Raw, *, seconds: int) -> Stage:
    """Latency from when a call was meant to go, at shares of what closed loops reach in the same round."""
    peak = Peak(partial(load, callers=256))
    raw_peak = Peak(lambda seconds: raw(clients=64, seconds=seconds, products=1))
    measures: dict[str, Measure] = {
        "open_raw_peak": raw_peak,
        f"open_raw_{RAW_SHARE}": lambda seconds: raw(
            clients=64, seconds=seconds, products=1, rate=raw_peak.per_s * RAW_SHARE / 100
        ),
        "open_peak": peak,
        **{f"open_{share}": peak.share_of(load, share / 100) for share in SHARES},
    }

    def ratio(round_: Round) -> float:
        return round_[f"open_{RAW_SHARE}"].p99_ms / round_[f"open_raw_{RAW_SHARE}"].p99_ms

    what = f"p99 at {RAW_SHARE}% of what closed loops reach, hot: ReserveStock / raw SQL, each of its own"
    return Stage("open loop", measures, [Figure("open_loop", what, None, ratio)], seconds)


def overload(narrow: Load, *, seconds: int) -> Stage:
    """Ten times as many calls as a server can do, beside as many as it can."""
    load = partial(narrow, store=NARROW_STORE)
    peak = Peak(partial(load, callers=NARROW_CALLERS))
    flooded = peak.share_of(load, OVERLOAD, is_tolerant=True, timeout_s=CALL_TIMEOUT_S, channels=CHANNELS)
    figures = [
        Figure("overload", f"orders/s at {OVERLOAD} times what a server can do / at most, a narrow server",
               at_least(0.8), rates(f"overload_{OVERLOAD}x", "overload_peak")),
        Figure("refusal_ms", "ms that half of the refused waited for it, the same flood", None,
               lambda round_: round_[f"overload_{OVERLOAD}x"].refused_p50_ms),
    ]  # fmt: skip
    measures: dict[str, Measure] = {"overload_peak": peak, f"overload_{OVERLOAD}x": flooded}
    return Stage("overload", measures, figures, seconds, elsewhere=set(measures))


def fairness(load: Load, tell: Callable[[Sample], None], *, seconds: int) -> Stage:
    """A store that is asked little, alone and beside one that is flooded, and beside as many empty calls.

    Args:
        tell: hears what became of each flood.
    """
    patient = partial(load, is_tolerant=True, timeout_s=CALL_TIMEOUT_S)
    quiet = partial(patient, store=QUIET_STORE, rate=QUIET_PER_S, callers=8)

    def beside(kind: str) -> Measure:
        flood = partial(load.beside, tell, kind=kind, store=FLOOD_STORE, callers=FLOOD_CALLERS)

        def measure(seconds: int) -> Sample:
            with flood(is_tolerant=True, timeout_s=CALL_TIMEOUT_S):
                return quiet(seconds)

        return measure

    def share(round_: Round) -> float:
        return round_["quiet_beside_flood"].count / round_["quiet_alone"].count

    def tail(round_: Round) -> float:
        return round_["quiet_beside_flood"].p99_ms / round_["quiet_beside_echo"].p99_ms

    figures = [
        Figure("fairness", "orders answered of a store that is asked little, beside a flooded one / alone",
               at_least(0.95), share),
        Figure("fairness_p99", f"its p99, the other having {FLOOD_CALLERS:,} callers / beside empty calls",
               at_most(2), tail),
    ]  # fmt: skip
    measures: dict[str, Measure] = {
        "quiet_alone": quiet, "quiet_beside_flood": beside("reserve"), "quiet_beside_echo": beside("echo"),
    }  # fmt: skip
    return Stage("fairness", measures, figures, seconds, elsewhere=set(measures))


class Peak:
    """A measurement whose rate those after it in its round take a share of."""

    def __init__(self, measure: Measure) -> None:
        self._measure = measure
        self.per_s = 0.0

    def __call__(self, seconds: int) -> Sample:
        sample = self._measure(seconds)
        self.per_s = sample.per_s
        return sample

    def share_of(self, load: Callable[..., Sample], share: float, **options: object) -> Measure:
        """An open loop at a share of it, on the same server."""
        return lambda seconds: load(seconds, rate=self.per_s * share, **options)
