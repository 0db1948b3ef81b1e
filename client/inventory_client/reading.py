"""What doesn't fit into one answer: pages, and a watch that outlives its stream. Sync and aio share it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

from google.protobuf.message import Message

from inventory_client.errors import InventoryError, Unavailable
from inventory_client.v1.watch_pb2 import WatchStockRequest, WatchStockResponse

BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 2.0

_Message = TypeVar("_Message", bound=Message)


class Pages:
    """Where a list is: what to ask for next. The caller's own request stays as it is."""

    def __init__(self, request: Message) -> None:
        self.request = copy_of(request)

    def goes_on(self, page: Message) -> bool:
        """Take a page in; return whether another follows."""
        token: str = getattr(page, "next_page_token")  # noqa: B009 - typed as any message
        setattr(self.request, "page_token", token)  # noqa: B010
        return token != ""


class Watch:
    """Where a watch is: what to ask for next, and how long to wait before it."""

    def __init__(self, request: WatchStockRequest) -> None:
        self.request = copy_of(request)
        self._backoffs_s = _backoffs_s()

    def take(self, message: WatchStockResponse) -> None:
        """Take a message in: a stream that is opened from now on goes on after it."""
        self.request.resume_token = message.resume_token
        self._backoffs_s = _backoffs_s()

    def pause_s(self, error: InventoryError) -> float:
        """Return for how long to wait before a stream that broke is opened again, in seconds.

        Raises: the error itself, where the same watch would end so again.
        """
        if not isinstance(error, Unavailable):
            raise error
        backoff_s = next(self._backoffs_s)
        return error.retry_after_s or backoff_s


def copy_of(request: _Message) -> _Message:
    copied = type(request)()
    copied.CopyFrom(request)
    return copied


def _backoffs_s() -> Iterator[float]:
    backoff_s = BACKOFF_S_MIN
    while True:
        yield backoff_s
        backoff_s = min(BACKOFF_S_MAX, 2 * backoff_s)
