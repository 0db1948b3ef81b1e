"""A call that is sent until its outcome is known, a bounded number of times, and the event of it."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import grpc

from inventory_client import Client, InventoryError
from inventory_loadtest.history import Event, Outcome, Step

CALL_TIMEOUT_S = 20.0
"""Longer than the server's own deadline: a caller that waits in a long queue is no failure."""
ATTEMPTS_MAX = 30
"""About half a minute: enough for a server that is killed and started again on a busy machine; gRPC makes up
to 5 of each on UNAVAILABLE."""
BACKOFF_S_MAX = 2.0

_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Asker:
    """Asks, and never raises for what a server answers; that is what the events are for.

    Args:
        client: the server.
        record: gets every event when it ends.
    """

    client: Client
    record: Callable[[Event], None]

    def ask(
        self,
        step: Step,
        send: Callable[[], _Answer],
        read: Callable[[_Answer], dict[str, Any]] = lambda _: {},
        **sent: Any,
    ) -> Event:
        """Send until the outcome is known, always the same; record the event and return it.

        Args:
            step: what is done.
            send: makes one attempt.
            read: what of the answer becomes fields of the event.
            sent: further fields of the event.
        """
        event = self.tried(step, send, read, **sent)
        self.record(event)
        return event

    def tried(
        self,
        step: Step,
        send: Callable[[], _Answer],
        read: Callable[[_Answer], dict[str, Any]] = lambda _: {},
        **sent: Any,
    ) -> Event:
        """As `ask`, without recording: for a call of many parts, each of which has an event of its own."""
        started_s = time.monotonic()
        repeated_for = ""
        for attempt in range(1, ATTEMPTS_MAX + 1):
            try:
                answered = {"outcome": Outcome.OK, **read(send())}
                break
            except InventoryError as error:
                outcome = Outcome.UNKNOWN if error.retryable else Outcome.REFUSED
                answered = {"outcome": outcome, "reason": reason_of(error), "message": error.message}
                if outcome is Outcome.REFUSED or attempt == ATTEMPTS_MAX:
                    break
                repeated_for = reason_of(error)
                # Full jitter, so that carts refused together don't come back together.
                time.sleep(random.uniform(0, min(0.1 * 2**attempt, BACKOFF_S_MAX)))
        return Event(
            step=step,
            started_s=started_s,
            ended_s=time.monotonic(),
            attempts=attempt,
            repeated_for=repeated_for,
            **{**sent, **answered},
        )


def reason_of(error: InventoryError) -> str:
    """The service's word for why, else the status code's name."""
    code: grpc.StatusCode = error.code
    return error.reason_name or code.name
