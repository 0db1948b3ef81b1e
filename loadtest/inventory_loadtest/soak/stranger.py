"""A careless client, in a process of its own that can be stopped and killed: it asks, and never listens.

    python -m inventory_loadtest.soak.stranger 127.0.0.1:50051

It opens watches from the beginning, exports and streams of reservations, reads one message of each, says
`ready` and does nothing more. It ends when its stdin does.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from inventory_client import InventoryError, connect, v1

WATCHES = 3


def main() -> None:
    """Be careless until stdin ends."""
    target = sys.argv[1]
    with connect(target) as client:
        calls: list[Any] = [
            *(client.inventory.WatchStock(v1.WatchStockRequest(from_beginning=True)) for _ in range(WATCHES)),
            client.inventory.ExportStock(v1.ExportStockRequest()),
            client.inventory.ReserveStockStream(_endless()),
        ]
        for call in calls:
            with suppress(InventoryError, StopIteration):  # whatever it was told, it does not care
                next(call)
        sys.stdout.write(f"ready {target}\n")
        sys.stdout.flush()
        sys.stdin.read()
        for call in calls:
            call.cancel()


def _endless() -> Iterator[v1.ReserveStockStreamRequest]:
    """Ask for what there is none of, as often as the server takes it in."""
    for number in itertools.count():
        lines = [v1.LineRequest(product_id="nothing", quantity=1)]
        item = v1.ReserveStockItem(item_id=str(number), reservation_id=f"stranger-{number}", lines=lines)
        yield v1.ReserveStockStreamRequest(items=[item])


if __name__ == "__main__":
    main()
