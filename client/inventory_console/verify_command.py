"""`inventory verify`: the invariants of a store, or of some products, proved by the server page by page."""

from __future__ import annotations

import json
from collections import Counter
from typing import Annotated

import typer
from rich.console import Console
from rich.status import Status

from inventory_client import v1
from inventory_console.connection import DEFAULT_ADDRESS, Address, Store, connect

# A page waits for a moment at which no writer can put it in doubt.
PAGE_TIMEOUT_S = 60.0
_KINDS = ("level", "entry", "reservation", "order")
_FIELDS = tuple(field.name for field in v1.StockViolation.DESCRIPTOR.fields)
_PLACES = ("product_id", "location", "version", "reservation_id", "order_id", "payment_id")


def verify(
    address: Address = DEFAULT_ADDRESS,
    store: Store = None,
    product: Annotated[
        list[str] | None, typer.Option("--product", metavar="ID", help="this one; may be repeated [all]")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="write the outcome as JSON")] = False,
) -> int:
    """Prove that the stock adds up: levels, logs, reservations, orders. Exit status 1 where it does not."""
    looked_at: Counter[str] = Counter()
    violations: list[v1.StockViolation] = []
    request = v1.VerifyStockRequest(product_ids=product or [])
    with (
        connect(address, store) as client,
        Status("verifying", console=Console(stderr=True, quiet=as_json)) as status,
    ):
        while True:
            page = client.inventory.VerifyStock(request, timeout=PAGE_TIMEOUT_S)
            looked_at.update({kind: getattr(page, f"{kind}_count") for kind in _KINDS})
            for violation in page.violations:
                violations.append(violation)
                if not as_json:
                    typer.echo(_line(violation))
            status.update(f"verifying: {_counted(looked_at)}")
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
    if as_json:
        found = [
            {name: getattr(each, name) for name in _FIELDS if getattr(each, name)} for each in violations
        ]
        counts = {f"{kind}_count": looked_at[kind] for kind in _KINDS}
        typer.echo(json.dumps({**counts, "violations": found}))
    else:
        outcome = f"{len(violations)} violations" if violations else "every law holds"
        typer.echo(f"{outcome}: {_counted(looked_at)}")
    return 1 if violations else 0


def _line(violation: v1.StockViolation) -> str:
    place = " ".join(f"{name}={value!r}" for name in _PLACES if (value := getattr(violation, name)))
    return f"{violation.law} {place}: {violation.description}"


def _counted(looked_at: Counter[str]) -> str:
    levels, entries, reservations, orders = (f"{looked_at[kind]:,}" for kind in _KINDS)
    return f"{levels} levels, {entries} log entries, {reservations} reservations, {orders} orders"
