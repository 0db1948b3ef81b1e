"""The payment gateway's own books: a file with one line of JSON for every thing that happened to money.

It is what the checker believes about money, since the server has no hand in it. Three kinds of lines:

    {"kind": "settled", "result": "ACCEPTED", ...}   an operation ended; ACCEPTED = it was done
    {"kind": "absorbed", ...}                        a delivery of an operation that was here before: no money
    {"kind": "refused", ...}                         a delivery that an outage refused: no money

`operation` says what was asked: Purchase, Authorize, Capture, Void, Refund or Confirm; `taken_minor` of a
settled one how much money it moved from the shopper, below 0 for what was given back.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from inventory_client import v1

_RESULT_PREFIX = "GATEWAY_RESULT_"

OperationRequest = (
    v1.PurchaseRequest
    | v1.AuthorizeRequest
    | v1.CaptureRequest
    | v1.VoidRequest
    | v1.RefundRequest
    | v1.ConfirmRequest
)


def kind_of(request: OperationRequest) -> str:
    """Return the method that a request is of: Purchase, Authorize and so on."""
    return request.DESCRIPTOR.name.removesuffix("Request")


class LedgerWriter:
    """Appends to a ledger file; a line is with the operating system before the answer is sent.

    Args:
        path: made or appended to; None = nothing is kept.
    Raises: OSError if the file can't be opened for writing.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: TextIO | None = path.open("a", encoding="utf-8") if path else None

    def settled(
        self, request: OperationRequest, result: v1.GatewayResult.ValueType, taken_minor: int
    ) -> None:
        """Note how an operation ended, and what it took."""
        name = v1.GatewayResult.Name(result).removeprefix(_RESULT_PREFIX)
        self._write("settled", request, result=name, taken_minor=taken_minor)

    def absorbed(self, request: OperationRequest) -> None:
        """Note a repeated delivery, which moved nothing."""
        self._write("absorbed", request)

    def refused(self, request: OperationRequest) -> None:
        """Note a delivery that an outage refused."""
        self._write("refused", request)

    def close(self) -> None:
        """Close the file."""
        if self._file:
            self._file.close()

    def _write(self, kind: str, request: OperationRequest, **more: str | int) -> None:
        if self._file is None:
            return
        line = {
            "kind": kind,
            "operation": kind_of(request),
            "operation_id": request.operation_id,
            "store_id": request.store_id,
            "order_id": request.order_id,
            "payment_id": request.payment_id,
            "amount_minor": request.amount_minor,
            "currency": request.currency,
            "time_s": round(time.time(), 6),
            **more,
        }
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()


@dataclass(frozen=True)
class Taking:
    """Money that the gateway moved: one operation that took some, or gave some back.

    Args:
        operation_id: the idempotency key.
        order_id: the order that was paid.
        payment_id: the payment.
        amount_minor: how much, in minor units; below 0 = given back.
    """

    operation_id: str
    order_id: str
    payment_id: str
    amount_minor: int


def takings(lines: Iterable[str]) -> list[Taking]:
    """Read the money that was moved out of a ledger's lines, in the order it was moved.

    Raises: ValueError for a line that is not one of the ledger's. A last line without its end is left out:
        the simulator may have been killed over it.
    """
    taken = []
    for line in lines:
        if not line.endswith("\n"):
            break
        entry: dict[str, Any] = json.loads(line)
        if entry["kind"] == "settled" and entry["taken_minor"]:
            taken.append(
                Taking(entry["operation_id"], entry["order_id"], entry["payment_id"], entry["taken_minor"])
            )
    return taken
