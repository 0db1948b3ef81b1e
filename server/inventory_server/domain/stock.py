"""The rules of one level: each action checks what it needs and returns the level after it.

Source: the table "Stock" in docs/concepts.md. Each floor has a CHECK constraint as its second wall.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from inventory_server.domain.errors import HandAllocationTooSmall, QuantityOverflow
from inventory_server.domain.limits import QUANTITY_MAX


class Action(StrEnum):
    """What changed a level; the names stand in the log."""

    CREATE = "CREATE"
    INCREMENT = "INCREMENT"
    DECREMENT = "DECREMENT"
    ALLOCATE = "ALLOCATE"
    DEALLOCATE = "DEALLOCATE"
    SET = "SET"
    RESERVE = "RESERVE"
    RELEASE = "RELEASE"
    EXPIRE = "EXPIRE"
    FULFILL = "FULFILL"
    RETURN = "RETURN"
    DELETE = "DELETE"
    TRANSFER_OUT = "TRANSFER_OUT"
    TRANSFER_IN = "TRANSFER_IN"


class StockLevel(NamedTuple):
    """The numbers of one (product, location). A tuple, since the hot path makes many.

    allocated = hand_allocated + what live reservations hold; version = entries in the log.
    """

    available: int = 0
    allocated: int = 0
    hand_allocated: int = 0
    version: int = 0

    @property
    def total(self) -> int:
        return self.available + self.allocated


class Stock(NamedTuple):
    """The record of one product; managed = it is there and not deleted.

    A deleted one stays as a tombstone, since the versions of its levels go on.
    """

    product_id: str
    created_at: datetime
    updated_at: datetime
    low_stock_threshold: int | None = None
    deleted_at: datetime | None = None


class LogEntry(NamedTuple):
    """One entry of the append-only log: what happened to a level, and the level after it."""

    product_id: str
    location: str
    action: Action
    quantity: int
    level: StockLevel
    reservation_id: str | None = None
    order_id: str | None = None
    reason: str = ""
    reference: str = ""
    request_id: str | None = None
    actor: str = ""


class LogRecord(NamedTuple):
    """A log entry as it stands in the database."""

    entry: LogEntry
    created_at: datetime


class NotEnough(Exception):
    """A level has fewer units than asked for. Callers name the line: see InsufficientStock."""


class BelowAllocated(Exception):
    """A total that what is allocated does not fit into. Callers name the product: see TotalBelowAllocated."""


def increment(level: StockLevel, count: int) -> StockLevel:
    if level.total + count > QUANTITY_MAX:
        raise QuantityOverflow("the level's total", QUANTITY_MAX)
    return StockLevel(level.available + count, level.allocated, level.hand_allocated, level.version + 1)


def decrement(level: StockLevel, count: int) -> StockLevel:
    if level.available < count:
        raise NotEnough
    return level._replace(available=level.available - count, version=level.version + 1)


def allocate(level: StockLevel, count: int) -> StockLevel:
    if level.available < count:
        raise NotEnough
    return StockLevel(
        level.available - count, level.allocated + count, level.hand_allocated + count, level.version + 1
    )


def deallocate(level: StockLevel, count: int) -> StockLevel:
    """Give back units allocated by hand; those of reservations are out of its reach."""
    if level.hand_allocated < count:
        raise HandAllocationTooSmall(count, level.hand_allocated)
    return StockLevel(
        level.available + count, level.allocated - count, level.hand_allocated - count, level.version + 1
    )


def set_total(level: StockLevel, total: int) -> StockLevel:
    """Count the stock anew. A set that changes nothing is still an entry of the log."""
    if total < level.allocated:
        raise BelowAllocated
    return StockLevel(total - level.allocated, level.allocated, level.hand_allocated, level.version + 1)


def write_off(level: StockLevel) -> StockLevel:
    """Empty a level whose record is deleted. Its versions go on where the product is made again."""
    if level.allocated:
        raise AssertionError(f"a record that is in use is deleted: {level}")
    return StockLevel(version=level.version + 1)


def reserve(level: StockLevel, count: int) -> StockLevel:
    if level.available < count:
        raise NotEnough
    return StockLevel(
        level.available - count, level.allocated + count, level.hand_allocated, level.version + 1
    )


def release(level: StockLevel, count: int) -> StockLevel:
    _need_held(level, count)
    return StockLevel(
        level.available + count, level.allocated - count, level.hand_allocated, level.version + 1
    )


def fulfill(level: StockLevel, count: int) -> StockLevel:
    _need_held(level, count)
    return level._replace(allocated=level.allocated - count, version=level.version + 1)


def _need_held(level: StockLevel, count: int) -> None:
    """A reservation's open units are held by its level; anything else is a defect, not a refusal."""
    if level.allocated - level.hand_allocated < count:
        raise AssertionError(f"{count} units are open, but the level is {level}")
