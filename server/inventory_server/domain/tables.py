"""Rows of one kind, as a batch sees them, and the ways to find them but by key.

Every row is immutable. A command drafts; the draft is kept when the command succeeds and dropped when it is
refused.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any, Generic, Protocol, Self, TypeVar

from inventory_server.domain.coverage import LevelKey
from inventory_server.domain.order import OrderReturn, Shipment, UnitSums
from inventory_server.domain.payment import Payment, PaymentSums
from inventory_server.domain.stock import StockLevel

K = TypeVar("K")
V = TypeVar("V")
P = TypeVar("P", bound=Payment | Shipment | OrderReturn)
M = TypeVar("M", bound=Shipment | OrderReturn)
P_contra = TypeVar("P_contra", contravariant=True)
S = TypeVar("S", bound="Sums[Any]")


class Table(Generic[K, V]):
    """Rows of one kind, by key."""

    __slots__ = ("_changed", "_rows", "draft", "loaded")

    def __init__(self) -> None:
        self.loaded: dict[K, V] = {}
        # None = deleted.
        self._rows: dict[K, V | None] = {}
        # What the command at hand has put or deleted.
        self.draft: dict[K, V | None] = {}
        self._changed: dict[K, V | None] = {}

    def load(self, key: K, row: V) -> None:
        """Take a row as the database has it."""
        self.loaded[key] = row
        self._rows[key] = row

    def get(self, key: K) -> V | None:
        """Return the row as the command at hand sees it."""
        return self.draft[key] if key in self.draft else self._rows.get(key)

    def items(self) -> Iterator[tuple[K, V]]:
        """Yield every row with its key as the command at hand sees it, in the order loaded or made."""
        for key, row in self._rows.items():
            seen = self.draft.get(key, row)
            if seen is not None:
                yield key, seen
        for key, row in self.draft.items():
            if row is not None and key not in self._rows:
                yield key, row

    def values(self) -> Iterator[V]:
        """Yield every row as the command at hand sees it, in the order loaded or made."""
        return (row for _, row in self.items())

    def put(self, key: K, row: V) -> None:
        self.draft[key] = row

    def delete(self, key: K) -> None:
        self.draft[key] = None

    @property
    def is_drafted(self) -> bool:
        return bool(self.draft)

    @property
    def has_changed(self) -> bool:
        """Whether a command has made, changed or deleted a row."""
        return bool(self.draft or self._changed)

    def keep(self) -> None:
        for key, row in self.draft.items():
            self._rows[key] = self._changed[key] = row
        self.draft.clear()

    def drop(self) -> None:
        self.draft.clear()

    def take_as_saved(self) -> None:
        """Take what was kept so far as what the database has; nothing of it may be deleted."""
        self.loaded.update((key, row) for key, row in self._changed.items() if row is not None)
        self._changed.clear()

    def inserted(self) -> list[tuple[K, V]]:
        """Return the rows that the database does not have yet, in the order made."""
        loaded = self.loaded
        return [(key, row) for key, row in self._changed.items() if row is not None and key not in loaded]

    def written(self) -> list[tuple[K, V]]:
        """Return the rows that the database does not have so, in the order first touched."""
        changed = self._changed.items()
        return [(key, row) for key, row in changed if row is not None and self.loaded.get(key) != row]

    def updated(self) -> list[tuple[K, V]]:
        """Return the rows that the database has otherwise, in the order first touched."""
        known = ((key, row) for key, row in self._changed.items() if key in self.loaded)
        return [(key, row) for key, row in known if row is not None and self.loaded[key] != row]

    def deleted(self) -> list[K]:
        """Return the keys of the rows that the database still has, in the order first touched."""
        return [key for key, row in self._changed.items() if row is None and key in self.loaded]


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
        self.draft[key] = row
        if key not in self._rows:
            self._opened.setdefault(key[0], {})[key[1]] = None

    def open(self, product_id: str, slug: str) -> None:
        """Note that there is a level, whether it is loaded or not."""
        self._opened.setdefault(product_id, {})[slug] = None

    def opened(self, product_id: str) -> Collection[str]:
        """Return the slugs where a product has, or had in a draft, a level: those elsewhere are empty."""
        return self._opened.get(product_id, ())


class Sums(Protocol[P_contra]):
    """What an order's parts of one kind come to together."""

    def changed(self, before: P_contra | None, after: P_contra | None) -> Self:
        """Return the sums with one part changed; None = it was not there."""
        ...


class OrderParts(Table[str, P], Generic[P, S]):
    """Payments, shipments or returns, and of each order which are its own: that never changes.

    Their sums are kept, so that a decision costs the same however many an order has.
    """

    __slots__ = ("_nothing", "_of_order", "_sums", "_sums_drafted")

    def __init__(self, nothing: S) -> None:
        super().__init__()
        self._nothing = nothing
        self._of_order: dict[str, dict[str, None]] = {}
        # Of those orders alone that were asked for; what the command at hand drafts is in the second.
        self._sums: dict[str, S] = {}
        self._sums_drafted: dict[str, S] = {}

    def load(self, key: str, row: P) -> None:
        super().load(key, row)
        self._of_order.setdefault(row.order_id, {})[key] = None
        self._sums.pop(row.order_id, None)

    def put(self, key: str, row: P) -> None:
        super().put(key, row)
        self._of_order.setdefault(row.order_id, {})[key] = None
        self._sums_drafted.pop(row.order_id, None)

    def keep(self) -> None:
        for order_id in self._drafted_orders:
            if order_id in self._sums or order_id in self._sums_drafted:
                self._sums[order_id] = self.sums_of(order_id)
        self._sums_drafted.clear()
        super().keep()

    def drop(self) -> None:
        self._sums_drafted.clear()
        super().drop()

    def of_order(self, order_id: str) -> tuple[P, ...]:
        """Return an order's own as the command at hand sees them, in the order loaded or made."""
        rows = (self.get(key) for key in self._of_order.get(order_id, ()))
        # One that was drafted by a command that was refused is none.
        return tuple(row for row in rows if row is not None)

    def sums_of(self, order_id: str) -> S:
        """Return what an order's own come to together, as the command at hand sees them."""
        if order_id not in self._of_order:
            return self._nothing
        if not self.draft or order_id not in self._drafted_orders:
            return self._added_up(order_id, self._sums)
        if order_id not in self._sums:
            return self._added_up(order_id, self._sums_drafted)
        sums = self._sums_drafted.get(order_id)
        if sums is None:
            sums = self._sums[order_id]
            for key, row in self.draft.items():
                if row is not None and row.order_id == order_id:
                    sums = sums.changed(self._rows.get(key), row)
            self._sums_drafted[order_id] = sums
        return sums

    @property
    def _drafted_orders(self) -> set[str]:
        return {row.order_id for row in self.draft.values() if row is not None}

    def _added_up(self, order_id: str, known: dict[str, S]) -> S:
        sums = known.get(order_id)
        if sums is None:
            sums = self._nothing
            for row in self.of_order(order_id):
                sums = sums.changed(None, row)
            known[order_id] = sums
        return sums


class Movements(OrderParts[M, UnitSums]):
    """Shipments, or returns."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__(UnitSums())


class Payments(OrderParts[Payment, PaymentSums]):
    """Payments, and of each refund that a caller named which payment it is of."""

    __slots__ = ("_of_refund",)

    def __init__(self) -> None:
        super().__init__(PaymentSums())
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
