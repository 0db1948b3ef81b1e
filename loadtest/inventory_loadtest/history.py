"""What clients sent and what they saw: the one witness of a race, or of a soak, that isn't the server.

An event is a call with all its attempts, written when the client stops trying. Times are of the machine's
monotonic clock, the same in every process of it.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import TextIO


class Step(StrEnum):
    """What a client did, by the name of its RPC."""

    CREATE_STOCK = "CreateStock"
    CREATE_CART = "CreateCart"
    ADD_ITEMS = "AddCartItems"
    CHECKOUT = "Checkout"
    PAY = "PayOrder"
    POLL = "GetPayment"
    CAPTURE = "CapturePayment"
    VOID = "VoidPayment"
    REFUND = "RefundPayment"
    CANCEL = "CancelOrder"
    SHIP = "ShipOrder"
    RETURN = "ReturnOrderItems"
    CHANGE = "CreateStockTransaction"
    TRANSFER = "TransferStock"
    RESERVE = "ReserveStock"
    CONFIRM = "ConfirmReservation"
    FULFILL = "FulfillReservation"
    RELEASE = "ReleaseReservation"
    IMPORT = "ImportStock"
    EXPORT = "ExportStock"


class Outcome(StrEnum):
    """What a client knows after its last attempt."""

    OK = "ok"
    """Acknowledged: it happened and is durable."""
    REFUSED = "refused"
    """An error that is final: nothing was changed."""
    UNKNOWN = "unknown"
    """UNAVAILABLE, DEADLINE_EXCEEDED or CANCELLED to the end: it happened or it didn't."""


RESERVING = (Step.RESERVE, Step.CONFIRM, Step.FULFILL, Step.RELEASE)
"""Steps about a reservation that no order is behind."""

SOLD_OUT = "INSUFFICIENT_STOCK"
"""The reason of a refusal that is no failure: somebody else was faster."""


@dataclass(frozen=True)
class Event:
    """One call. Fields that a step has no use for keep their defaults.

    Args:
        step: what was done.
        outcome: what the client knows.
        started_s: when the first attempt was sent, on the monotonic clock.
        ended_s: when the last attempt was answered or given up.
        attempts: how often it was sent.
        repeated_for: the reason of the last attempt that was repeated; "" where there was one attempt.
        reason: the ErrorReason, else the status code's name; "" where it was OK.
        message: the error's text; "" where it was OK.
        cart_id: whose call it was; "" where no cart is behind it.
        order_id: of CHECKOUT, PAY and POLL, and of what is done with the order and its payments after them.
        payment_id: of PAY, POLL, CAPTURE, VOID and REFUND.
        call_id: what the call's effect bears: the refund_id, shipment_id or return_id, the order that CANCEL
            gives the units to, the reservation_id, the reference in the log, the import_id.
        action: of CHANGE: the stock action without its prefix.
        location: of CHANGE and TRANSFER: the slug of where it happens, or begins.
        units: units by product: sent with CREATE_STOCK, ADD_ITEMS and what changes stock, answered by
            CHECKOUT; of EXPORT: totals by product and location, with a space between them.
        amount_minor: sent with PAY and REFUND.
        total_minor: answered by ADD_ITEMS and CHECKOUT.
        state: answered by PAY and POLL: the payment's state without its prefix, as in CAPTURED.
    """

    step: Step
    outcome: Outcome
    started_s: float
    ended_s: float
    attempts: int = 1
    repeated_for: str = ""
    reason: str = ""
    message: str = ""
    cart_id: str = ""
    order_id: str = ""
    payment_id: str = ""
    call_id: str = ""
    action: str = ""
    location: str = ""
    units: dict[str, int] = field(default_factory=dict)
    amount_minor: int = 0
    total_minor: int = 0
    state: str = ""

    @property
    def ok(self) -> bool:
        """Whether it was acknowledged."""
        return self.outcome is Outcome.OK

    @property
    def left_open(self) -> bool:
        """Whether an attempt ended without an answer: it had happened or it had not."""
        return bool(self.repeated_for) or self.outcome is Outcome.UNKNOWN

    @property
    def sold_out(self) -> bool:
        """Whether it was refused for want of stock."""
        return self.outcome is Outcome.REFUSED and self.reason == SOLD_OUT

    def to_json(self) -> str:
        """One line of JSON, without its end; what is empty or 0 is left out."""
        values = {name: getattr(self, name) for name in _NAMES}
        return json.dumps({name: value for name, value in values.items() if value or name in _NEVER_LEFT_OUT})

    @classmethod
    def from_json(cls, line: str) -> Event:
        """Read what `to_json` wrote."""
        values = json.loads(line)
        values["step"] = Step(values["step"])
        values["outcome"] = Outcome(values["outcome"])
        return cls(**values)


_NAMES = tuple(f.name for f in dataclasses.fields(Event))
_NEVER_LEFT_OUT = ("started_s", "ended_s")


class HistoryWriter:
    """Appends events to a JSONL file.

    Args:
        path: made or appended to.
    """

    def __init__(self, path: Path) -> None:
        self._file: TextIO = path.open("a", encoding="utf-8")

    def write(self, events: Iterable[Event]) -> None:
        """Append events."""
        self._file.writelines(event.to_json() + "\n" for event in events)

    def close(self) -> None:
        """Close the file; only then is everything with the operating system."""
        self._file.close()


def read_history(path: Path) -> Iterator[Event]:
    """Read a file of events, in the order they ended."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield Event.from_json(line)
