"""Importing products: the stock that a bench begins with, and its import as a measurement."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence

import inventory_client
from inventory_client import Client, new_id, v1
from inventory_loadtest.bench.figures import Figure, at_least, rates
from inventory_loadtest.bench.sample import Sample
from inventory_loadtest.bench.suite import BenchError, Measure, Stage

ROWS = 100_000
_STORE = "import"
FIRST_STORE = f"{_STORE}-0"
_MESSAGE_ROWS = 1_000
_POLL_S = 0.02
_TIMEOUT_S = 120.0

Rows = Sequence[tuple[str, int]]
"""Products, each with its total at the default location."""


def import_stock(client: Client, rows: Rows) -> None:
    """Import products, and wait for the end. Raises: InventoryError; BenchError where one isn't taken."""
    import_id = new_id()
    client.inventory.ImportStock(messages(import_id, rows), timeout=_TIMEOUT_S)
    while True:
        job = client.inventory.GetImport(v1.GetImportRequest(import_id=import_id)).stock_import
        if job.HasField("end_time"):
            break
        time.sleep(_POLL_S)
    if job.applied_count != len(rows):
        raise BenchError(f"an import of products ended as {v1.ImportState.Name(job.state)}")


def messages(import_id: str, rows: Rows, reference: str = "") -> Iterator[v1.ImportStockRequest]:
    """The messages of an upload. Args: reference: what the log entries of its rows bear."""
    header = v1.ImportHeader(import_id=import_id, row_count=len(rows), reference=reference)
    yield v1.ImportStockRequest(header=header)
    for begin in range(0, len(rows), _MESSAGE_ROWS):
        part = rows[begin : begin + _MESSAGE_ROWS]
        yield v1.ImportStockRequest(
            rows=[
                v1.StockRow(product_id=name, levels=[v1.LevelTotal(location="default", total=total)])
                for name, total in part
            ]
        )


def products(count: int) -> list[tuple[str, int]]:
    """Make rows in no order: a file's products seldom come sorted."""
    return [(f"sku-{number * 7_919 % count:07}", number) for number in range(count)]


def stage(
    target: str, make_store: Callable[[str], None], copy: Callable[[str, Rows], Sample], *, rows: int = ROWS
) -> Stage:
    """ImportStock from its first message to its last row, beside COPY of the same rows.

    Args:
        make_store: makes a store, once the import before it has left nothing to do.
        copy: the reference; makes its store itself.
    """
    imported, copied = itertools.count(), itertools.count()
    wanted = products(rows)

    def ours(_seconds: int) -> Sample:
        store = f"{_STORE}-{next(imported)}"
        make_store(store)
        with inventory_client.connect(target, store=store, timeout_s=_TIMEOUT_S) as client:
            begun, cpu_begun_s = time.perf_counter(), time.process_time()
            import_stock(client, wanted)
            took_s = time.perf_counter() - begun
        return Sample.of(rows, took_s, [took_s], cpu_s=time.process_time() - cpu_begun_s)

    def reference(_seconds: int) -> Sample:
        return copy(f"copy-{next(copied)}", wanted)

    figure = Figure(
        "import",
        f"rows/s of ImportStock, {rows:,} products / of COPY into the same tables",
        at_least(0.3),
        rates("import_rows", "copy_rows"),
    )
    measures: dict[str, Measure] = {"import_rows": ours, "copy_rows": reference}
    return Stage("import", measures, [figure], 0)
