"""The port to the outside system that takes money: what the server needs of it, and nothing of its wire."""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple, Protocol

from inventory_server.domain.payment import OperationKind


class GatewayResult(StrEnum):
    """What the gateway did. ACCEPTED, DECLINED and REQUIRES_ACTION are definite; PENDING is still doubt.

    NEVER_SEEN answers `get_operation` alone, and is no failure: send the same operation again.
    """

    ACCEPTED = "ACCEPTED"
    DECLINED = "DECLINED"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    PENDING = "PENDING"
    NEVER_SEEN = "NEVER_SEEN"


class Outcome(NamedTuple):
    """The gateway's answer; `gateway_reference` at most 128 bytes, `reason` at most 512 ("" = not said).

    `lapsed`: a capture or void was declined because there is no authorization any more.
    """

    result: GatewayResult
    gateway_reference: str = ""
    reason: str = ""
    lapsed: bool = False


class NeverSent(Exception):
    """Provably nothing was sent: the channel was never ready. The payment failed and moved no money."""


class InDoubt(Exception):
    """The call was sent, or may have been, and no answer came that counts. Money may have moved."""


class Task(NamedTuple):
    """What the gateway is to do. `operation_id` is the idempotency key: the same on every repeat.

    `target_*` name the operation that it goes on with; "" for a purchase or an authorization. The method is
    said with those two alone.
    """

    kind: OperationKind
    operation_id: str
    store_id: str
    order_id: str
    payment_id: str
    amount_minor: int
    currency: str
    payment_method: str = ""
    target_operation_id: str = ""
    target_reference: str = ""


class Gateway(Protocol):
    """A payment gateway. Never called inside a database transaction."""

    async def perform(self, task: Task, *, timeout_s: float) -> Outcome:
        """Move money, or set it aside or let it go; an operation_id seen before moves none again.

        Args:
            task: what to do, > 0 minor units.
            timeout_s: seconds until the answer no longer counts, > 0.
        Returns: an Outcome, never NEVER_SEEN.
        Raises: NeverSent, InDoubt.
        """
        ...

    async def get_operation(self, operation_id: str, *, timeout_s: float) -> Outcome:
        """Ask what became of an operation.

        Returns: an Outcome; NEVER_SEEN where the gateway knows no such operation.
        Raises: InDoubt, whatever went wrong: a question that was not answered settles nothing.
        """
        ...

    async def close(self) -> None:
        """Let go of the connection; calls in flight end as InDoubt."""
        ...
