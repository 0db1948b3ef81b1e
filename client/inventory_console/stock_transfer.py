"""An import sent, followed to its end, and its errors read; an export received."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import inventory_client
from inventory_client import v1
from inventory_console.stock_file import StockRow

# What one message of an upload holds; the server takes no more rows, and 4 MiB.
MESSAGE_ROWS_MAX = 1_000
MESSAGE_LEVELS_MAX = 10_000
ATTEMPTS_MAX = 5
PAUSE_S = 1.0
POLL_INTERVAL_S = 0.1
PAGE_SIZE_MAX = 1_000

FAILED = v1.ImportState.IMPORT_STATE_FAILED
ENDED = (v1.ImportState.IMPORT_STATE_SUCCEEDED, FAILED)

T = TypeVar("T")
# Hears how many rows are done.
Watcher = Callable[[int], None]


def upload(
    client: inventory_client.Client, header: v1.ImportHeader, rows: Sequence[StockRow], watch: Watcher
) -> v1.StockImport:
    """Send an import whole; again from its beginning where the connection or the server was away.

    Raises: InventoryError: a refusal, or the last of ATTEMPTS_MAX attempts.
    """
    return _again(lambda: client.inventory.ImportStock(messages(header, rows, watch)).stock_import)


def messages(
    header: v1.ImportHeader, rows: Sequence[StockRow], watch: Watcher
) -> Iterator[v1.ImportStockRequest]:
    """Yield an upload's messages, the header in the first; `watch` hears what was taken from here."""
    message = v1.ImportStockRequest(header=header)
    level_count = 0
    for count, row in enumerate(rows):
        if len(message.rows) == MESSAGE_ROWS_MAX or level_count + len(row.levels) > MESSAGE_LEVELS_MAX:
            yield message
            watch(count)
            message, level_count = v1.ImportStockRequest(), 0
        message.rows.add(
            product_id=row.product_id,
            levels=[v1.LevelTotal(location=location, total=total) for location, total in row.levels],
            low_stock_threshold=row.low_stock_threshold,
            line=row.line,
        )
        level_count += len(row.levels)
    yield message
    watch(len(rows))


def follow(client: inventory_client.Client, import_id: str, watch: Watcher) -> v1.StockImport:
    """Wait for an import's end; `watch` hears how many rows are decided.

    Raises: InventoryError, where the server stays away; the import goes on when it is back.
    """
    request = v1.GetImportRequest(import_id=import_id)
    while True:
        job = _again(lambda: client.inventory.GetImport(request).stock_import)
        watch(job.applied_count + job.failed_count)
        if job.state in ENDED:
            return job
        time.sleep(POLL_INTERVAL_S)


def errors(client: inventory_client.Client, import_id: str, count_max: int) -> list[v1.ImportError]:
    """Return the rows that an import did not apply, at most `count_max`, in their order."""
    found: list[v1.ImportError] = []
    token = ""
    while len(found) < count_max:
        request = v1.ListImportErrorsRequest(
            import_id=import_id, page_size=min(PAGE_SIZE_MAX, count_max), page_token=token
        )
        page = client.inventory.ListImportErrors(request)
        found += page.errors
        token = page.next_page_token
        if not token:
            break
    return found[:count_max]


def _again(call: Callable[[], T]) -> T:
    """Call; the same again while its outcome is unknown."""
    for _ in range(ATTEMPTS_MAX - 1):
        try:
            return call()
        except inventory_client.InventoryError as error:
            if not error.retryable:
                raise
            time.sleep(PAUSE_S)
    return call()
