"""The delay of WatchStock under a steady rate of changes, and how quickly VerifyStock goes through a store.

    python tools/watch_delay.py [--rate 1000] [--seconds 10] [--watchers 1] [--products 20000]

The server as a process of its own. A change is sent every 1/rate s, whether or not the ones before it were
answered, to 100 products; its delay counts from its answer's arrival to that of the log entry at a watcher:
less than 0 where the watcher is told first, so those count as 0. Prints p50 and p99, those from the moment
the change was sent, and the load of the machine. Then makes `--products` products, and verifies them all.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time

import inventory_client
from inventory_client import v1
from inventory_server.db import embedded, migrate
from inventory_server.launch import INVENTORY_COMMAND, UNTIL_STDIN_CLOSES, start_process

PRODUCTS = 100
PARALLEL_MAX = 500


async def watch(client: inventory_client.AioClient, seen: dict[str, float], count: int) -> None:
    """Note when each change, by its reference, arrives."""
    async for message in client.inventory.WatchStock(v1.WatchStockRequest()):
        now = time.perf_counter()
        for change in message.changes:
            if change.reference:
                seen[change.reference] = now
        if len(seen) >= count:
            return


async def measure_delay(address: str, rate: int, seconds: int, watcher_count: int) -> None:
    async with inventory_client.connect_aio(address, timeout_s=60) as client:
        await asyncio.gather(*(_create(client, f"w-{number}", 10**9) for number in range(PRODUCTS)))
        count = rate * seconds
        seen: list[dict[str, float]] = [{} for _ in range(watcher_count)]
        watchers = [asyncio.create_task(watch(client, each, count)) for each in seen]
        await asyncio.sleep(1)
        sent: dict[str, float] = {}
        answered: dict[str, float] = {}

        async def change(number: int) -> None:
            reference = f"c-{number}"
            sent[reference] = time.perf_counter()
            await client.inventory.CreateStockTransaction(
                v1.CreateStockTransactionRequest(
                    product_id=f"w-{number % PRODUCTS}",
                    action=v1.StockAction.STOCK_ACTION_DECREMENT,
                    quantity=1,
                    reference=reference,
                )
            )
            answered[reference] = time.perf_counter()

        started = time.perf_counter()
        changes = []
        for number in range(count):
            ahead_s = started + number / rate - time.perf_counter()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            changes.append(asyncio.create_task(change(number)))
        await asyncio.gather(*changes)
        took_s = time.perf_counter() - started
        await asyncio.wait_for(asyncio.gather(*watchers), 30)
    after_answer = sorted(max(0.0, each[key] - answered[key]) * 1000 for each in seen for key in answered)
    after_sending = sorted((each[key] - sent[key]) * 1000 for each in seen for key in answered)
    print(f"{count} changes, {count / took_s:.0f}/s, {watcher_count} watchers, {_load()}")
    print(f"  from the answer to the watcher: {_percentiles(after_answer)}")
    print(f"  from sending to the watcher:    {_percentiles(after_sending)}")


async def measure_verification(address: str, product_count: int) -> None:
    async with inventory_client.connect_aio(address, timeout_s=60) as client:
        for first in range(0, product_count, PARALLEL_MAX):
            numbers = range(first, min(first + PARALLEL_MAX, product_count))
            await asyncio.gather(*(_create(client, f"v-{number:07}", 5) for number in numbers))
        rates = []
        for _ in range(3):
            started = time.perf_counter()
            request = v1.VerifyStockRequest()
            levels = entries = 0
            while True:
                page = await client.inventory.VerifyStock(request, timeout=60)
                levels, entries = levels + page.level_count, entries + page.entry_count
                assert not page.violations
                if not page.next_page_token:
                    break
                request.page_token = page.next_page_token
            rates.append((levels / (time.perf_counter() - started), entries))
    per_s = statistics.median(rate for rate, _ in rates)
    print(f"VerifyStock: {per_s:.0f} products/s ({product_count} products, {rates[0][1]} entries, {_load()})")


async def _create(client: inventory_client.AioClient, product_id: str, quantity: int) -> None:
    await client.inventory.CreateStock(v1.CreateStockRequest(product_id=product_id, quantity=quantity))


def _percentiles(values_ms: list[float]) -> str:
    p50, p99 = (values_ms[int(len(values_ms) * share)] for share in (0.5, 0.99))
    return f"p50 {p50:.1f} ms, p99 {p99:.1f} ms, most {values_ms[-1]:.1f} ms"


def _load() -> str:
    return f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"


def main() -> None:
    parser = argparse.ArgumentParser(description="The delay of WatchStock, and the speed of VerifyStock.")
    parser.add_argument("--rate", type=int, default=1_000)
    parser.add_argument("--seconds", type=int, default=10)
    parser.add_argument("--watchers", type=int, default=1)
    parser.add_argument("--products", type=int, default=20_000)
    options = parser.parse_args()
    with embedded.ephemeral() as postgres:
        migrate.migrate(postgres.url)
        with start_process(
            [*INVENTORY_COMMAND, "serve", "--port", "0", "--payment-gateway", "none", UNTIL_STDIN_CLOSES],
            env={**os.environ, "INVENTORY_DATABASE_URL": postgres.url, "INVENTORY_LOG_LEVEL": "error"},
        ) as server:
            asyncio.run(measure_delay(server.address, options.rate, options.seconds, options.watchers))
            asyncio.run(measure_verification(server.address, options.products))


if __name__ == "__main__":
    main()
