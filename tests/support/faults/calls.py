"""Calls as a careful caller makes them: what was left open is sent again until it is told OK or no."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import grpc

from inventory_client import v1
from inventory_client.errors import decode_error

CALL_TIMEOUT_S = 6.0
# So long a call is sent again before it counts as never answered.
PATIENCE_S = 120.0
PAUSE_S = 0.05

_OPEN = {
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
}
_CHANNEL_OPTIONS = [
    # No retry of a client stands between a test and the server's answer.
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # A server that was killed is back within a second or two.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class Refused(Exception):
    """The call was told no; `reason` is the service's word for why, or gRPC's code where it has none."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class NeverAnswered(AssertionError):
    """The call was sent again and again and nobody said yes or no."""


class Caller:
    """One connection to whatever server there is. Close it.

    `doubts` counts why calls were left open, `answered_at` has the time of each OK.
    """

    def __init__(self, address: Callable[[], str], store: str = "default") -> None:
        self._address = address
        self._metadata = (("x-inventory-store", store),)
        self._connected_to = ""
        self._channel: grpc.Channel | None = None
        self.doubts: Counter[str] = Counter()
        self.doubtful_count = 0
        self.answered_at: list[float] = []

    def send(self, method: str, request: Any) -> Any:
        """Call a method of either service until it is answered OK or refused.

        Raises: Refused, NeverAnswered.
        """
        give_up_at = time.monotonic() + PATIENCE_S
        was_open = False
        while True:
            try:
                answer = self.try_once(method, request)
            except grpc.RpcError as error:
                code = error.code()  # type: ignore[attr-defined]
                reason = decode_error(error).reason_name or code.name
                if code not in _OPEN:
                    raise Refused(reason) from error
                self.doubts[reason] += 1
                self.doubtful_count += not was_open
                was_open = True
                if time.monotonic() > give_up_at:
                    raise NeverAnswered(f"{method}: {dict(self.doubts)}") from error
                time.sleep(PAUSE_S)
            else:
                self.answered_at.append(time.monotonic())
                return answer

    def try_once(self, method: str, request: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Call a method once. Raises: grpc.RpcError."""
        return self._method(method)(request, timeout=timeout_s, metadata=self._metadata)

    def start(self, method: str, request: Any, timeout_s: float = CALL_TIMEOUT_S) -> Any:
        """Call a method once, and return the call's future; it ends with the last reference to it."""
        return self._method(method).future(request, timeout=timeout_s, metadata=self._metadata)

    def listen(self, method: str, request: Any) -> Any:
        """Call a method that answers with a stream; return the call, to be read and cancelled."""
        return self._method(method)(request, timeout=PATIENCE_S, metadata=self._metadata)

    def _method(self, name: str) -> Any:
        if self._channel is None or self._connected_to != self._address():
            self.close()
            self._connected_to = self._address()
            self._channel = grpc.insecure_channel(self._connected_to, options=_CHANNEL_OPTIONS)
            self._inventory = v1.InventoryServiceStub(self._channel)
            self._checkout = v1.CheckoutServiceStub(self._channel)
        return getattr(self._inventory, name, None) or getattr(self._checkout, name)

    def close(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
