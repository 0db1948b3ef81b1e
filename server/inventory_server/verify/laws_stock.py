"""Laws of a level and of its log: the floors, what the allocated units are for, and the replay."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from inventory_server.verify.violation import Violation

TOTAL_MAX = 8_796_093_022_207

# What one unit of an action adds to available, to allocated, and to the part allocated by hand.
EFFECTS = {
    "INCREMENT": (1, 0, 0),
    "DECREMENT": (-1, 0, 0),
    "ALLOCATE": (-1, 1, 1),
    "DEALLOCATE": (1, -1, -1),
    "RESERVE": (-1, 1, 0),
    "RELEASE": (1, -1, 0),
    "EXPIRE": (1, -1, 0),
    "FULFILL": (0, -1, 0),
    "RETURN": (1, 0, 0),
    "TRANSFER_OUT": (-1, 0, 0),
    "TRANSFER_IN": (1, 0, 0),
}


class Numbers(NamedTuple):
    """Available, allocated, and the part of it that was allocated by hand."""

    available: int
    allocated: int
    by_hand: int


NOTHING = Numbers(0, 0, 0)


class Level(NamedTuple):
    """A level as it is stored; `is_managed` None = its product has no record at all, not even a tombstone."""

    product_id: str
    location: str
    numbers: Numbers
    version: int
    is_managed: bool | None


class Entry(NamedTuple):
    """A log entry of a level, with the numbers that it says were there after it."""

    version: int
    action: str
    quantity: int
    after: Numbers


def level_laws(level: Level, held: int) -> Iterator[Violation]:
    """Check a level by itself.

    Args:
        held: open units of live reservations there.
    """
    here = Violation(product_id=level.product_id, location=level.location)
    available, allocated, by_hand = level.numbers
    if available < 0 or not 0 <= by_hand <= allocated or available + allocated > TOTAL_MAX:
        yield here.of("level-floors", _said(level.numbers))
    if allocated != by_hand + held:
        text = f"{allocated} allocated, but {by_hand} by hand and {held} held by live reservations"
        yield here.of("allocation-explained", text)
    if level.is_managed is None:
        yield here.of("level-managed", "the product has no stock record")
    elif not level.is_managed and level.numbers != NOTHING:
        text = f"the stock is deleted, and the level has {_said(level.numbers)}"
        yield here.of("deleted-empty", text)


def log_laws(
    product_id: str,
    location: str,
    level: Level | None,
    before: Entry | None,
    entries: Sequence[Entry],
    is_end: bool,
) -> Iterator[Violation]:
    """Check a stretch of a level's log; at most one violation an entry, and one for its end.

    Args:
        level: None where the log has no level.
        before: the entry that the stretch goes on after; None = it begins with the first.
        is_end: the stretch reaches the end of the log.
    """
    version, numbers = (before.version, before.after) if before else (0, NOTHING)
    for entry in entries:
        expected = numbers_after(entry, numbers)
        here = Violation(product_id=product_id, location=location, version=entry.version)
        if entry.version != version + 1:
            yield here.of("log-gapless", f"it comes after version {version}")
        elif expected != entry.after:
            text = f"{entry.action} {entry.quantity} on {_said(numbers)} says {_said(entry.after)}"
            yield here.of("log-replays", text)
        elif min(entry.after) < 0 or entry.after.by_hand > entry.after.allocated:
            yield here.of("log-floors", _said(entry.after))
        version, numbers = entry.version, entry.after
    if not is_end:
        return
    if level is None:
        text = f"the log ends at version {version}, and there is no level"
        yield Violation("log-ends-at-level", text, product_id, location, version)
    elif (level.version, level.numbers) != (version, numbers):
        text = (
            f"the log ends at version {version} with {_said(numbers)},"
            f" the level is at {level.version} with {_said(level.numbers)}"
        )
        yield Violation("log-ends-at-level", text, product_id, location, version)


def numbers_after(entry: Entry, before: Numbers) -> Numbers | None:
    """Return what an entry makes of the numbers before it; None for an action that nobody knows."""
    if entry.action == "CREATE":
        # Where there is nothing: at first, and again after a DELETE.
        return Numbers(entry.quantity, 0, 0) if before == NOTHING else None
    if entry.action == "SET":
        return Numbers(entry.quantity - before.allocated, before.allocated, before.by_hand)
    if entry.action == "DELETE":
        return NOTHING if before.allocated == 0 else None
    effect = EFFECTS.get(entry.action)
    if effect is None:
        return None
    return Numbers(*(have + each * entry.quantity for have, each in zip(before, effect, strict=True)))


def _said(numbers: Numbers) -> str:
    return f"{numbers.available} available, {numbers.allocated} allocated, {numbers.by_hand} of them by hand"
