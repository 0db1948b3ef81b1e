"""Laws of stock: the sums, and the log that proves them (1 and 3 of "What holds, always")."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from inventory_client import v1
from inventory_loadtest.evidence import FinalState, Violation, action_name

_Action = v1.StockAction

# What an action of quantity 1 adds to available, allocated, and the part of it that was allocated by hand.
_EFFECTS: dict[int, tuple[int, int, int]] = {
    _Action.STOCK_ACTION_INCREMENT: (1, 0, 0),
    _Action.STOCK_ACTION_DECREMENT: (-1, 0, 0),
    _Action.STOCK_ACTION_ALLOCATE: (-1, 1, 1),
    _Action.STOCK_ACTION_DEALLOCATE: (1, -1, -1),
    _Action.STOCK_ACTION_RESERVE: (-1, 1, 0),
    _Action.STOCK_ACTION_RELEASE: (1, -1, 0),
    _Action.STOCK_ACTION_EXPIRE: (1, -1, 0),
    _Action.STOCK_ACTION_FULFILL: (0, -1, 0),
    _Action.STOCK_ACTION_RETURN: (1, 0, 0),
    _Action.STOCK_ACTION_TRANSFER_OUT: (-1, 0, 0),
    _Action.STOCK_ACTION_TRANSFER_IN: (1, 0, 0),
}


def stock_sums(state: FinalState) -> Iterator[Violation]:
    """total = available + allocated, and none of them is negative."""
    for product_id, stock in state.stocks.items():
        if stock.total != stock.available + stock.allocated:
            text = f"total {stock.total} is not available {stock.available} + allocated {stock.allocated}"
            yield Violation("stock-sums", product_id, text)
        if min(stock.total, stock.available, stock.allocated) < 0:
            yield Violation("stock-sums", product_id, f"a negative number: {_numbers(stock)}")


def log_gapless(state: FinalState) -> Iterator[Violation]:
    """Entry n of a level has version n."""
    for product_id, location, entries in _levels(state):
        versions = [entry.version for entry in entries]
        if versions != list(range(1, len(entries) + 1)):
            wrong = next(n for n, version in enumerate(versions, start=1) if version != n)
            text = f"{location}: entry {wrong} of {len(versions)} has version {versions[wrong - 1]}"
            yield Violation("log-gapless", product_id, text)


def log_replays(state: FinalState) -> Iterator[Violation]:
    """Each entry's balances follow from those before it, none is negative, and the last are the stock's."""
    for product_id in state.stocks.keys() | state.log.keys():
        last_available, last_allocated = 0, 0
        for _, location, entries in _levels_of(product_id, state.log.get(product_id, ())):
            available, allocated, hand = 0, 0, 0
            for entry in entries:
                after = _after(entry, available, allocated, hand)
                available, allocated, hand = (
                    entry.available_after,
                    entry.allocated_after,
                    entry.hand_allocated_after,
                )
                if after != (available, allocated, hand):
                    text = (
                        f"{location}, version {entry.version}, {action_name(entry)} {entry.quantity}: "
                        f"(available, allocated, by hand) are {available, allocated, hand}, not {after}"
                    )
                    yield Violation("log-replays", product_id, text)
                if available < 0 or not 0 <= hand <= allocated:
                    text = (
                        f"{location}, version {entry.version}: available {available}, "
                        f"allocated {allocated}, by hand {hand}"
                    )
                    yield Violation("log-replays", product_id, text)
            last_available += available
            last_allocated += allocated
        stock = state.stocks.get(product_id, v1.Stock())
        if (stock.available, stock.allocated) != (last_available, last_allocated):
            text = (
                f"the log ends at available {last_available}, allocated {last_allocated}; "
                f"the stock is {_numbers(stock)}"
            )
            yield Violation("log-replays", product_id, text)


def feeds_agree(state: FinalState) -> Iterator[Violation]:
    """A watch that went on, through every break, has brought each entry of the log once, in its order."""
    for number, feed in enumerate(state.feeds, start=1):
        for product_id, location, entries in _levels(state):
            brought = [entry for entry in feed.get(product_id, ()) if entry.location == location]
            if brought == entries:
                continue
            versions = [entry.version for entry in brought]
            text = f"{location}: watch {number} brought {len(brought)} of {len(entries)} entries"
            if versions != list(range(1, len(versions) + 1)):
                wrong = next(n for n, version in enumerate(versions, start=1) if version != n)
                text += f", number {wrong} of them with version {versions[wrong - 1]}"
            yield Violation("feeds-agree", product_id, text)


def _after(
    entry: v1.StockTransaction, available: int, allocated: int, hand: int
) -> tuple[int, int, int] | None:
    """The balances that the entry should have; None for an action that nobody knows."""
    if entry.action == _Action.STOCK_ACTION_CREATE:
        return entry.quantity, 0, 0
    if entry.action == _Action.STOCK_ACTION_SET:
        return entry.quantity - allocated, allocated, hand
    if entry.action not in _EFFECTS:
        return None
    effect = _EFFECTS[entry.action]
    return (
        available + effect[0] * entry.quantity,
        allocated + effect[1] * entry.quantity,
        hand + effect[2] * entry.quantity,
    )


def _levels(state: FinalState) -> Iterator[tuple[str, str, Sequence[v1.StockTransaction]]]:
    for product_id, entries in state.log.items():
        yield from _levels_of(product_id, entries)


def _levels_of(
    product_id: str, entries: Sequence[v1.StockTransaction]
) -> Iterator[tuple[str, str, Sequence[v1.StockTransaction]]]:
    by_location: dict[str, list[v1.StockTransaction]] = defaultdict(list)
    for entry in entries:
        by_location[entry.location].append(entry)
    for location, level in by_location.items():
        yield product_id, location, level


def _numbers(stock: v1.Stock) -> str:
    return f"total {stock.total}, available {stock.available}, allocated {stock.allocated}"
