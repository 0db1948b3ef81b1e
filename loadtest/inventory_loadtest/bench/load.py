"""A process of callers that ask again and again, for a bounded time: the load of `inventory bench`.

    python -m inventory_loadtest.bench.load --target 127.0.0.1:50051 --kind reserve --callers 64 --product hot

Closed loop: every caller waits for its answer before it asks again. With `--rate` an open loop: calls are
sent at fixed times whatever became of those before, and a latency counts from the time that was meant.
Prints `running` once every caller is connected, and at its end one line of JSON: a `Sample`. SIGTERM ends it
early.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import signal
import sys
import time

import grpc

import inventory_client
from inventory_client.calls import CallDefaults
from inventory_client.channel import AioChannel
from inventory_client.client import channel_options
from inventory_loadtest.bench.asks import HOLDING_NOTHING, KINDS, Ask, Products
from inventory_loadtest.bench.sample import Sample

TOKEN_VARIABLE = "INVENTORY_TOKEN"
"""Where the token stands, if the server wants one: nobody reads it on a command line."""
CHANNELS = 4  # one connection's flow control would be the limit before the server is
TIMEOUT_S = 30.0


class Tally:
    """What became of a load's calls.

    Args:
        is_tolerant: whether a refusal for want of room, and a deadline that passed, are counted; else the
            first of them ends the load.
    """

    def __init__(self, is_tolerant: bool = False) -> None:
        self._is_tolerant = is_tolerant
        self.units = 0
        self.latencies_s: list[float] = []
        self.refusals_s: list[float] = []
        self.late = 0

    async def one(self, ask: Ask, since: float) -> None:
        """Make a call; its latency counts from a time. Raises: InventoryError."""
        try:
            units = await ask()
        except inventory_client.Overloaded:
            if not self._is_tolerant:
                raise
            self.refusals_s.append(time.perf_counter() - since)
        except inventory_client.DeadlineExceeded:
            if not self._is_tolerant:
                raise
            self.late += 1
        else:
            self.units += units
            self.latencies_s.append(time.perf_counter() - since)

    @property
    def count(self) -> int:
        return len(self.latencies_s) + len(self.refusals_s) + self.late


async def closed_loop(asks: list[Ask], tally: Tally, seconds: float, stop: asyncio.Event) -> None:
    """Let every caller ask, wait, and ask again, until the time is over or somebody says stop."""
    until = time.perf_counter() + seconds

    async def caller(ask: Ask) -> None:
        while (asked := time.perf_counter()) < until and not stop.is_set():
            await tally.one(ask, asked)

    await asyncio.gather(*map(caller, asks))


async def open_loop(asks: list[Ask], tally: Tally, seconds: float, per_s: float) -> None:
    """Send `per_s` calls a second, come what may; a latency counts from when the call was meant to go."""
    begun = time.perf_counter()
    calls = []
    for number in range(int(seconds * per_s)):
        meant = begun + number / per_s
        # Behind the time too, so that answers are seen and not sending alone goes on.
        await asyncio.sleep(max(0.0, meant - time.perf_counter()))
        calls.append(asyncio.create_task(tally.one(asks[number % len(asks)], meant)))
    await asyncio.gather(*calls)


async def load(
    target: str,
    kind: str,
    products: Products,
    *,
    callers: int,
    seconds: float,
    channels: int = CHANNELS,
    rate: float | None = None,
    store: str | None = None,
    timeout_s: float = TIMEOUT_S,
    is_tolerant: bool = False,
) -> Sample:
    """Ask a server for a bounded time.

    Args:
        target: `host:port` of the bench's server.
        kind: one of KINDS.
        products: must have ample stock: a refusal for lack of it ends the run.
        callers: how many ask at once, 1 and up.
        seconds: how long, > 0.
        channels: connections, at most one for each caller; a session has one.
        rate: for an open loop, calls a second; None = closed.
        store: whose products they are; None = `default`.
        timeout_s: of a call, > 0.
        is_tolerant: count calls that are refused for want of room, which are then not sent again, and those
            that are late.
    Returns: what was answered. Each caller's first call, which connects, is in its units alone.
    Raises: InventoryError with the first refusal.
    Effects: prints `running` when all are connected.
    """
    count = 1 if kind == "stream" else min(channels, callers)
    clients = [_client(target, store, timeout_s, retries=not is_tolerant) for _ in range(count)]
    each = [KINDS[kind](client, products) for client in clients]
    asks = [each[number % count] for number in range(callers)]
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    first, tally = Tally(is_tolerant), Tally(is_tolerant)
    try:
        await asyncio.gather(*(first.one(ask, 0.0) for ask in asks))
        sys.stdout.write("running\n")
        sys.stdout.flush()
        cpu_begun_s, begun = time.process_time(), time.perf_counter()
        if rate is None:
            await closed_loop(asks, tally, seconds, stop)
        else:
            await open_loop(asks, tally, seconds, rate)
        took_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu_begun_s
    finally:
        for client in clients:
            await client.close()
    held = 0 if kind in HOLDING_NOTHING else first.units + tally.units
    return Sample.of(
        tally.units, took_s, tally.latencies_s, cpu_s=cpu_s, units_held=held,
        asked=tally.count, refusals_s=tally.refusals_s, late=first.late + tally.late,
    )  # fmt: skip


def _client(target: str, store: str | None, timeout_s: float, *, retries: bool) -> inventory_client.AioClient:
    if retries:
        token = os.environ.get(TOKEN_VARIABLE)
        return inventory_client.connect_aio(target, store=store, timeout_s=timeout_s, token=token)
    options = [*channel_options(), ("grpc.enable_retries", 0)]
    channel = AioChannel(grpc.aio.insecure_channel(target, options), CallDefaults(store, timeout_s))
    return inventory_client.AioClient(channel, timeout_s)  # type: ignore[arg-type]


def main() -> None:
    parser = argparse.ArgumentParser(description="Callers that ask again and again, for a bounded time.")
    parser.add_argument("--target", required=True)
    parser.add_argument("--kind", choices=KINDS, default="reserve")
    parser.add_argument("--product", required=True)
    parser.add_argument("--products", type=int, default=1)
    parser.add_argument("--callers", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--channels", type=int, default=CHANNELS)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--store")
    parser.add_argument("--timeout-s", type=float, default=TIMEOUT_S)
    parser.add_argument("--is-tolerant", action="store_true")
    options = vars(parser.parse_args())
    products = Products(options.pop("product"), options.pop("products"))
    sample = asyncio.run(load(options.pop("target"), options.pop("kind"), products, **options))
    sys.stdout.write(json.dumps(sample.as_json()) + "\n")


if __name__ == "__main__":
    main()
