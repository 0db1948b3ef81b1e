"""A process of carts that reserve one unit each, again and again: the load of `tools/contention.py`.

    python -m inventory_loadtest.reserve_load --target 127.0.0.1:50051 --carts 64 --seconds 5 --product hot

Closed loop: every cart waits for its answer before it asks again. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

import inventory_client
from inventory_client import v1

CHANNELS = 4  # one connection's flow control would be the limit before the server is


async def _cart(
    client: inventory_client.AioClient, product_id: str, until: float, times_s: list[float]
) -> None:
    while (begun := time.perf_counter()) < until:
        line = v1.LineRequest(product_id=product_id, quantity=1)
        request = v1.ReserveStockRequest(reservation_id=inventory_client.new_id(), lines=[line])
        await client.inventory.ReserveStock(request, timeout=10)
        times_s.append(time.perf_counter() - begun)


async def load(target: str, product_id: str, carts: int, seconds: float) -> dict[str, float]:
    """Race `carts` callers for a bounded time.

    Args:
        product_id: must have ample stock: a refusal ends the run.
        seconds: how long, > 0.
    Returns: counts and latencies of the answers that were OK.
    Raises: InventoryError with the first refusal.
    """
    clients = [inventory_client.connect_aio(target) for _ in range(min(CHANNELS, carts))]
    times_s: list[float] = []
    cpu_begun_s, begun = time.process_time(), time.perf_counter()
    await asyncio.gather(
        *(_cart(clients[n % len(clients)], product_id, begun + seconds, times_s) for n in range(carts))
    )
    took_s = time.perf_counter() - begun
    for client in clients:
        await client.close()
    times_s.sort()
    return {
        "carts": carts,
        "reservations": len(times_s),
        "per_s": len(times_s) / took_s,
        "p50_ms": 1000 * times_s[len(times_s) // 2],
        "p99_ms": 1000 * times_s[int(len(times_s) * 0.99)],
        "generator_cpu_share": (time.process_time() - cpu_begun_s) / took_s,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Carts that reserve one unit each, again and again.")
    parser.add_argument("--target", required=True)
    parser.add_argument("--product", required=True)
    parser.add_argument("--carts", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=5.0)
    options = parser.parse_args()
    figures = asyncio.run(load(options.target, options.product, options.carts, options.seconds))
    sys.stdout.write(json.dumps(figures) + "\n")


if __name__ == "__main__":
    main()
