"""Who watches the stock from the beginning to the end, and goes on after every break where it was."""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence

from inventory_client import Client, InventoryError, v1

_PAUSE_S = 0.2


class Follower:
    """A watch of the whole store in a thread of its own. Start it; stop it.

    Args:
        client: of the server that is watched.
    Attributes:
        breaks: how often it was broken off and went on, by the reason.
        trouble: what ended it, if something did that must not.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._brought: dict[str, list[v1.StockTransaction]] = defaultdict(list)
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._call: object | None = None
        self._token = ""
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)
        self.breaks: Counter[str] = Counter()
        self.trouble: Exception | None = None

    def start(self) -> None:
        """Begin with the first entry of the log."""
        self._thread.start()

    def brought(self, products: Iterable[str]) -> dict[str, Sequence[v1.StockTransaction]]:
        """What came so far of some products, as it came."""
        with self._lock:
            return {product_id: list(self._brought[product_id]) for product_id in products}

    def forget(self, products: Iterable[str]) -> None:
        """Keep nothing of some products any more."""
        with self._lock:
            for product_id in products:
                self._brought.pop(product_id, None)

    def stop(self) -> None:
        """End the watch, and its thread."""
        self._stop.set()
        if self._call is not None:
            self._call.cancel()  # type: ignore[attr-defined]
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._follow()
            except InventoryError as error:
                if self._stop.is_set():
                    return
                self.breaks[error.reason_name or error.code.name] += 1
                if not error.retryable:
                    self.trouble = error
                    return
                time.sleep(_PAUSE_S)

    def _follow(self) -> None:
        """Watch until it breaks. Raises: InventoryError."""
        start = {"resume_token": self._token} if self._token else {"from_beginning": True}
        self._call = call = self._client.inventory.WatchStock(v1.WatchStockRequest(**start))
        for message in call:
            with self._lock:
                for change in message.changes:
                    self._brought[change.product_id].append(change)
            self._token = message.resume_token
            if self._stop.is_set():
                return
