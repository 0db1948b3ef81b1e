"""Rows of one kind, as a batch sees them, and the ways to find them but by key.

Every row is immutable. A command drafts; the draft is kept when the command succeeds and dropped when it is
refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Generic, TypeVar

from inventory_server.domain.order import OrderReturn, Shipment
from inventory_server.domain.payment import Payment
from inventory_server.domain.stock import StockLevel

K = TypeVar("K")
V = TypeVar("V")
P = TypeVar("P", bound=Payment | Shipment | OrderReturn)
LevelKey = tuple[str, str]


class Table(Generic[K, V]):
    """Rows of one kind, by key."""

    __slots__ = ("_changed", "_draft", "_rows", "loaded")

    def __init__(self) -> None:
        self.loaded: dict[K, V] = {}
        # None = deleted.
        self._rows: dict[K, V | None] = {}
        self._draft: dict[K, V | None] = {}
        self._changed: dict[K, None] = {}

    def load(self, key: K, row: V) -> None:
        """Take a row as the database has it."""
        self.loaded[key] = row
        self._rows[key] = row

    def get(self, key: K) -> V | None:
        """Return the row as the command at hand sees it."""
        return self._draft[key] if key in self._draft else self._rows.get(key)

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield every row with its key as the command at hand sees it, in the order loaded or made."""
        for key, row in self._rows.items():
            seen = self._draft.get(key, row)
            if seen is not None:
                yield key, seen
        for key, row in self._draft.items():
            if row is not None and key not in self._rows:
                yield key, row

    def values(self) -> Iterator[V]:
        """Yield every row as the command at hand sees it, in the order loaded or made."""
        return (row for _, row in self.items())

    def put(self, key: K, row: V) -> None:
        self._draft[key] = row

    def delete(self, key: K) -> None:
        self._draft[key] = None

    @property
    def is_drafted(self) -> bool:
        return bool(self._draft)

    def keep(self) -> None:
        self._rows.update(self._draft)
        self._changed.update(dict.fromkeys(self._draft))
        self._draft.clear()

    def drop(self) -> None:
        self._draft.clear()

    def inserted(self) -> list[tuple[K, V]]:
        """Return the rows that the database does not have yet, in the order made."""
        made = ((key, self._rows[key]) for key in self._changed if key not in self.loaded)
        return [(key, row) for key, row in made if row is not None]

    def written(self) -> list[tuple[K, V]]:
        """Return the rows that the database does not have so, in the order first touched."""
        changed = ((key, self._rows[key]) for key in self._changed)
        return [(key, row) for key, row in changed if row is not None and self.loaded.get(key) != row]

    def updated(self) -> list[tuple[K, V]]:
        """Return the rows that the database has otherwise, in the order first touched."""
        known = ((key, self._rows[key]) for key in self._changed if key in self.loaded)
        return [(key, row) for key, row in known if row is not None and self.loaded[key] != row]

    def deleted(self) -> list[K]:
        """Return the keys of the rows that the database still has, in the order first touched."""
        return [key for key in self._changed if self._rows[key] is None and key in self.loaded]


class Levels(Table[LevelKey, StockLevel]):
    """Levels, and of each product the locations that it has one at."""

    __slots__ = ("_opened",)

    def __init__(self) -> None:
        super().__init__()
        self._opened: dict[str, dict[str, None]] = {}

    def load(self, key: LevelKey, row: StockLevel) -> None:
        super().load(key, row)
        self._opened.setdefault(key[0], {})[key[1]] = None

    def put(self, key: LevelKey, row: StockLevel) -> None:
        self._draft[key] = row
        if key not in self._rows:
            self._opened.setdefault(key[0], {})[key[1]] = None

    def opened(self, product_id: str) -> Collection[str]:
        """Return the slugs where a product has, or had in a draft, a level: those elsewhere are empty."""
        return self._opened.get(product_id, ())


class OrderParts(Table[str, P]):
    """Payments, shipments or returns, and of each order which are its own: that never changes."""

    __slots__ = ("_of_order",)

    def __init__(self) -> None:
        super().__init__()
        self._of_order: dict[str, dict[str, None]] = {}

    def load(self, key: str, row: P) -> None:
        super().load(key, row)
        self._of_order.setdefault(row.order_id, {})[key] = None

    def put(self, key: str, row: P) -> None:
        super().put(key, row)
        self._of_order.setdefault(row.order_id, {})[key] = None

    def of_order(self, order_id: str) -> tuple[P, ...]:
        """Return an order's own as the command at hand sees them, in the order loaded or made."""
        rows = (self.get(key) for key in self._of_order.get(order_id, ()))
        # One that was drafted by a command that was refused is none.
        return tuple(row for row in rows if row is not None)


class Payments(OrderParts[Payment]):
    """Payments, and of each refund that a caller named which payment it is of."""

    __slots__ = ("_of_refund",)

    def __init__(self) -> None:
        super().__init__()
        self._of_refund: dict[str, str] = {}

    def load(self, key: str, row: Payment) -> None:
        super().load(key, row)
        self._index(row)

    def put(self, key: str, row: Payment) -> None:
        super().put(key, row)
        self._index(row)

    def of_refund(self, refund_id: str) -> Payment | None:
        """Return the payment that has a refund of this id, as the command at hand sees it."""
        payment = self.get(self._of_refund.get(refund_id, ""))
        has_it = payment is not None and any(o.refund_id == refund_id for o in payment.operations)
        return payment if has_it else None

    def _index(self, row: Payment) -> None:
        for operation in row.operations:
            if operation.refund_id is not None:
                self._of_refund[operation.refund_id] = row.payment_id
