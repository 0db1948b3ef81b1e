"""What a store's locations cost the decision of a batch: 1,024 reservations of one unit each.

    python tools/sourcing.py [--rounds 30]

Prints microseconds of CPU a reservation, the least of the rounds, for a store with one location and for one
with as many as there may be. No database, no network.
"""

from __future__ import annotations

import argparse
import time
from datetime import UTC, datetime

from inventory_server.domain.commands import ReserveStock
from inventory_server.domain.decide import Request, decide
from inventory_server.domain.location import Location
from inventory_server.domain.reservation import Line
from inventory_server.domain.state import State
from inventory_server.domain.stock import Stock, StockLevel

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMMANDS = 1_024
CASES = {
    "1 location": (1, range(1), 0),
    "1,024, kept at the first alone": (1_024, range(1), 0),
    "1,024, kept at the last alone": (1_024, range(1_023, 1_024), 1_023),
    "1,024, kept at all": (1_024, range(1_024), 0),
    "1,024, a level at all, units at the last": (1_024, range(1_024), 1_023),
}


def state_of(locations: int, levels: range, stocked: int) -> State:
    """Return a store with so many locations; a product has these levels, and units from one of them on."""
    state = State(now=NOW)
    for number in range(locations):
        slug = f"l-{number:04}"
        state.locations.load(slug, Location(slug))
    state.stocks.load("a", Stock("a", NOW, NOW))
    for number in levels:
        units = 10**6 if number >= stocked else 0
        state.levels.load(("a", f"l-{number:04}"), StockLevel(units, 0, 0, 1))
    return state


def microseconds_a_command(locations: int, levels: range, stocked: int, rounds: int) -> float:
    requests = [Request(ReserveStock(f"r-{number}", (Line("a", 1),))) for number in range(COMMANDS)]
    took = []
    for _ in range(rounds):
        state = state_of(locations, levels, stocked)
        began = time.process_time()
        decide(state, requests)
        took.append((time.process_time() - began) / COMMANDS * 1e6)
    return min(took)


def main() -> None:
    parser = argparse.ArgumentParser(description="What a store's locations cost a batch.")
    parser.add_argument("--rounds", type=int, default=30)
    rounds = parser.parse_args().rounds
    for name, case in CASES.items():
        print(f"{name:42} {microseconds_a_command(*case, rounds):8.1f} us a reservation")


if __name__ == "__main__":
    main()
