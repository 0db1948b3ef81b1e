"""What is measured beside what: the service at its everyday work, beside raw SQL and an empty call."""

from __future__ import annotations

from functools import partial

from inventory_loadtest.bench.asks import ORDER_LINES
from inventory_loadtest.bench.figures import Figure, Found, Round, at_least, at_most, rates
from inventory_loadtest.bench.sample import Sample
from inventory_loadtest.bench.suite import COLD, COLD_PRODUCTS, Load, Measure, Raw, Stage

CARTS = (64, 256, 1_024, 2_048)
CHANNELS_MANY = 16
"""So many connections that the kernel spreads them over all processes of a port."""
BATCH_CALLERS = 2
"""One batch is made while the other is decided."""
ORDER_CALLERS = 8


def headline(load: Load, raw: Raw, *, seconds: int) -> list[Stage]:
    """The figures that matter most, in under three minutes with `seconds` = 1."""
    return [
        Stage(
            "64 carts",
            {
                "raw_hot_64": partial(_raw, raw, 64, 1),
                "reserve_hot_64": load,
                "reserve_cold_64": partial(load, product=COLD, products=COLD_PRODUCTS),
                "echo_64": partial(load, kind="echo"),
                "bare_echo_64": partial(load, kind="bare-echo"),
                "batch_1000": partial(load, kind="batch", callers=BATCH_CALLERS),
                "stream_64": partial(load, kind="stream"),
                "flow_64": partial(load, kind="flow"),
            },
            [
                Figure("contention_64", "ReserveStock, one hot product, 64 carts / raw SQL, 64 clients",
                       at_least(10), rates("reserve_hot_64", "raw_hot_64")),
                Figure("flatness", "one hot product / 10,000 products, 64 carts",
                       at_least(0.95), rates("reserve_hot_64", "reserve_cold_64")),
                Figure("ceiling", "ReserveStock, hot, 64 carts / echo through the same door, 64 callers",
                       at_least(0.8), rates("reserve_hot_64", "echo_64")),
                Figure("stream", "64 callers sharing one session (a packed stream) / 64 unary callers",
                       at_least(3), rates("stream_64", "reserve_hot_64")),
                Figure("batch", "reservations in BatchReserveStock of 1,000, hot / raw SQL, hot, 64 clients",
                       at_least(100), rates("batch_1000", "raw_hot_64")),
                Figure("flow", "full orders (cart, item, checkout, payment) / ReserveStock, 64 carts",
                       None, rates("flow_64", "reserve_hot_64")),
                Figure("door", "echo through the door / bare echo, 64 callers",
                       None, rates("echo_64", "bare_echo_64")),
            ],
            seconds,
        ),
        Stage(
            "256 carts",
            {"raw_hot_256": partial(_raw, raw, 256, 1), "reserve_hot_256": partial(load, callers=256)},
            [
                Figure("contention_256", "ReserveStock, one hot product, 256 carts / raw SQL, 256 clients",
                       at_least(30), rates("reserve_hot_256", "raw_hot_256")),
                Figure("tail_256", "p99 / p50 of ReserveStock, 256 carts", at_most(2.5), _tail),
            ],
            seconds,
        ),
        Stage(
            "one caller",
            {
                "raw_hot_1": partial(_raw, raw, 1, 1),
                "echo_1": partial(load, kind="echo", callers=1),
                "reserve_hot_1": partial(load, callers=1),
            },
            [Figure("idle", "p50 of ReserveStock / (raw SQL's p50 + echo's p50), one caller",
                    at_most(1.3), _idle)],
            seconds,
        ),
    ]  # fmt: skip


def carts_growth(load: Load, *, seconds: int) -> Stage:
    """Ours beside the echo at ever more carts."""
    measures: dict[str, Measure] = {}
    for carts in CARTS:
        measures[f"reserve_hot_{carts}"] = partial(load, callers=carts)
        measures[f"echo_{carts}"] = partial(load, kind="echo", callers=carts)

    def growth(round_: Round) -> float:
        shares = [rates(f"reserve_hot_{carts}", f"echo_{carts}")(round_) for carts in CARTS]
        return min(shares) / max(shares)

    what = (
        f"lowest / highest of (ReserveStock / echo) over {', '.join(f'{carts:,}' for carts in CARTS)} carts"
    )
    return Stage("ever more carts", measures, [Figure("carts_growth", what, at_least(0.9), growth)], seconds)


def workers(one: Load, several: Load, count: int, *, seconds: int) -> Stage:
    """Several server processes on one port beside one, on the same database."""
    measures = {
        "reserve_workers_1": partial(one, channels=CHANNELS_MANY),
        f"reserve_workers_{count}": partial(several, channels=CHANNELS_MANY),
        "echo_workers_1": partial(one, kind="echo", channels=CHANNELS_MANY),
        f"echo_workers_{count}": partial(several, kind="echo", channels=CHANNELS_MANY),
    }
    figures = [
        Figure(f"workers_{count}", f"ReserveStock, hot, 64 carts: {count} server processes / 1",
               None, rates(f"reserve_workers_{count}", "reserve_workers_1")),
        Figure(f"workers_{count}_echo", f"echo, 64 callers: {count} server processes / 1",
               None, rates(f"echo_workers_{count}", "echo_workers_1")),
    ]  # fmt: skip
    return Stage(f"{count} workers", measures, figures, seconds)


def auth(open_: Load, guarded: Load, *, seconds: int) -> Stage:
    """A server that tells callers apart beside one that does not, on the same database."""
    measures: dict[str, Measure] = {"reserve_open": open_, "reserve_guarded": guarded}
    figure = Figure(
        "auth",
        "ReserveStock, hot, 64 carts: with a token, role, limits and the audit log / without",
        at_least(0.95),
        rates("reserve_guarded", "reserve_open"),
    )
    return Stage("authentication", measures, [figure], seconds)


def memory(peak_mb: float, *, quick: bool) -> Found:
    """The server's largest resident size, after all stages."""
    carts = 256 if quick else max(CARTS)
    what = f"MB, the server's largest resident size, after up to {carts:,} carts and all else of this run"
    return Found(Figure("memory_mb", what, at_most(250), lambda _: peak_mb), [peak_mb])


def growth(key: str, what: str, plain: Load, grown: Load, *, seconds: int) -> Stage:
    """A server whose database has grown beside one whose hasn't."""
    ours, reference = f"{key}_grown", f"{key}_plain"
    figure = Figure(key, f"ReserveStock, hot, 64 carts: {what}", at_least(0.9), rates(ours, reference))
    measures: dict[str, Measure] = {reference: plain, ours: grown}
    return Stage(key.replace("_", " "), measures, [figure], seconds, elsewhere={ours})


def orders(load: Load, *, seconds: int) -> Stage:
    """Orders of ORDER_LINES lines beside orders of one, over the same products."""
    wide = partial(load, product=COLD, products=COLD_PRODUCTS)
    measures: dict[str, Measure] = {
        f"order_{ORDER_LINES}": partial(wide, kind="order", callers=ORDER_CALLERS),
        "order_1": wide,
    }
    figure = Figure(
        "order_lines",
        f"lines/s in ReserveStock of {ORDER_LINES:,} lines, {ORDER_CALLERS} callers / of one line, 64 carts",
        None,
        rates(f"order_{ORDER_LINES}", "order_1"),
    )
    return Stage("1,000 lines", measures, [figure], seconds)


def _raw(raw: Raw, clients: int, products: int, seconds: int) -> Sample:
    return raw(clients=clients, seconds=seconds, products=products)


def _tail(round_: Round) -> float:
    sample = round_["reserve_hot_256"]
    return sample.p99_ms / sample.p50_ms


def _idle(round_: Round) -> float:
    return round_["reserve_hot_1"].p50_ms / (round_["raw_hot_1"].p50_ms + round_["echo_1"].p50_ms)
