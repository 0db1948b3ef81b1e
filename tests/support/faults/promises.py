"""What must hold after every case, whatever it did."""

from __future__ import annotations

import time
from contextlib import closing

from inventory_client import v1
from support.engine import Database
from support.faults.calls import Caller
from support.faults.load import Load
from support.faults.place import Place

# Columns that count units or money: none may ever be below 0.
_NEGATIVE = (
    ("stock_level", ("available", "allocated", "hand_allocated")),
    ("stock_transaction", ("quantity", "available_after", "allocated_after", "hand_allocated_after")),
    ("reservation_line", ("reserved", "open", "released", "fulfilled")),
    ("order_line", ("quantity", "unit_price_minor")),
    ("payment_operation", ("amount_minor",)),
)


def check(place: Place, load: Load | None = None) -> dict[str, object]:
    """Assert what holds after every case. Returns: figures to tell.

    (I1) no number is negative; (I2) VerifyStock finds nothing; (I3) with a load that has ended: every OK is
    in the database, once, and every error left no trace; (I4) health is answered in time, and the next good
    call succeeds.
    """
    began_s = time.monotonic()
    place.health()
    caller = Caller(lambda: place.server.address)
    with place.database() as database, closing(caller):
        good = v1.CreateStockRequest(product_id="afterwards", quantity=1, request_id="afterwards")
        caller.send("CreateStock", good)
        figures: dict[str, object] = {"next_call_s": time.monotonic() - began_s}
        place.wait_until_serving()
        if load is not None:
            load.books.settle(caller)
            load.books.move({"afterwards": 1}, 1, 0)
            load.books.compare(database)
            figures |= load.figures()
        nothing_negative(database)
        database.check()
        verified(caller)
    return figures


def nothing_negative(database: Database) -> None:
    """I1, from the rows alone."""
    for table, columns in _NEGATIVE:
        found = database.rows(f"SELECT count(*) FROM {table} WHERE least({', '.join(columns)}) < 0")
        assert found == [(0,)], f"{table} has negative numbers"


def verified(caller: Caller) -> None:
    """I2, page by page."""
    request = v1.VerifyStockRequest()
    while True:
        page = caller.send("VerifyStock", request)
        assert not page.violations, page.violations
        request.page_token = page.next_page_token
        if not request.page_token:
            return
