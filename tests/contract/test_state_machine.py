"""Random calls from several callers at once, on the real server, against the rules in miniature.

Each step sends a burst of calls side by side. Some serial order of them must explain every verdict, and what
the API shows afterwards must be what that order comes to. A failure prints the seed and the steps; the same
seed replays them: `STATE_MACHINE_SEED=n pytest tests/contract/test_state_machine.py`. STATE_MACHINE_RUNS
makes more runs than the suite does; `--log-cli-level=INFO` tells how many steps there were.
"""

from __future__ import annotations

import logging
import os
import random
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

import inventory_client
from inventory_client import v1
from inventory_server.db.stores import create_store
from inventory_server.launch import LaunchedProcess
from support.model import Call, Model, explanations
from support.model_calls import Callers, expected

log = logging.getLogger(__name__)

RUNS = int(os.environ.get("STATE_MACHINE_RUNS", "12"))
SEED = int(os.environ.get("STATE_MACHINE_SEED", random.randrange(2**32)))
STEPS_PER_RUN = 30
CALLERS = 4

PRODUCTS = "abc"
PLACES = ("default", "shelf")
QUANTITIES = (1, 1, 2, 3, 5)
HAND_ACTIONS = ("INCREMENT", "INCREMENT", "DECREMENT", "ALLOCATE", "DEALLOCATE", "SET")


class Pencil:
    """Draws calls that mostly mean something: ids that are there, now and then a new one or nobody's."""

    def __init__(self, data: st.DataObject, model: Model) -> None:
        self._data, self._model = data, model

    def one_of(self, choices: Sequence[Any]) -> Any:
        return self._data.draw(st.sampled_from(choices))

    def an_id(self, rows: Mapping[str, Any], prefix: str, new: int = 1) -> str:
        """Return one that is there, or with a chance of `new` in some the next one."""
        there = [key for key in rows if key.startswith(prefix)]
        return str(self.one_of([*there[-4:] * 2, *[f"{prefix}{len(there)}"] * new]))

    def call(self) -> Call:
        step = self.one_of(STEPS)
        args = getattr(self, step)()
        again = step in REPEATED and self._data.draw(st.booleans())
        return Call(step, args, self.one_of([f"q{number}" for number in range(8)]) if again else "")

    def create(self) -> tuple[Any, ...]:
        return self.one_of(PRODUCTS), self.one_of((2, 5, 10))

    def delete(self) -> tuple[Any, ...]:
        return (self.one_of(PRODUCTS),)

    def switch(self) -> tuple[Any, ...]:
        return self.one_of(PLACES), self.one_of((True, True, False))

    def transfer(self) -> tuple[Any, ...]:
        source, target = self.one_of((PLACES, PLACES[::-1]))
        return self.one_of(PRODUCTS), source, target, self.one_of(QUANTITIES)

    def change(self) -> tuple[Any, ...]:
        product, action = self.one_of(PRODUCTS), self.one_of(HAND_ACTIONS)
        return product, action, self.one_of(QUANTITIES), self.one_of(PLACES)

    def reserve(self) -> tuple[Any, ...]:
        products = self._data.draw(st.lists(st.sampled_from(PRODUCTS), min_size=1, max_size=2, unique=True))
        lines = tuple((p, self.one_of(QUANTITIES), self.one_of(("", "", "shelf"))) for p in products)
        return self.an_id(self._model.reservations, "r", new=4), lines

    def confirm(self) -> tuple[Any, ...]:
        return (self.an_id(self._model.reservations, "r"),)

    release = confirm

    def fulfill(self) -> tuple[Any, ...]:
        units = self.one_of(((), (), ((1, 1),), ((1, 1), (2, 1)), ((1, 3),)))
        return self.an_id(self._model.reservations, "r"), units

    def give_back(self) -> tuple[Any, ...]:
        return_id = self.an_id(self._model.returns, "b", new=4)
        unit = self.one_of(((1, 1), (1, 2), (2, 1)))
        return self.an_id(self._model.reservations, "r"), return_id, unit, self.one_of((True, True, False))

    def cart(self) -> tuple[Any, ...]:
        return (self.an_id(self._model.carts, "c", new=4),)

    def add(self) -> tuple[Any, ...]:
        place = self.one_of(("", "", *PLACES))
        product, quantity = self.one_of(PRODUCTS), self.one_of(QUANTITIES)
        return self.an_id(self._model.carts, "c"), product, quantity, self.one_of((100, 200)), place

    def remove(self) -> tuple[Any, ...]:
        return self.an_id(self._model.carts, "c"), self.one_of(PRODUCTS)

    def check_out(self) -> tuple[Any, ...]:
        return self.an_id(self._model.carts, "c"), self.an_id(self._model.orders, "o", new=6)

    def pay(self) -> tuple[Any, ...]:
        order_id = self.an_id(self._model.orders, "o")
        total = self._model.orders[order_id]["total"] if order_id in self._model.orders else 100
        amount = self.one_of((total, total, total // 2, 100))
        kind = self.one_of(("PURCHASE", "PURCHASE", "AUTHORIZE"))
        how = self.one_of(("accept", "accept", "accept", "decline", "requires-action"))
        return order_id, self.an_id(self._model.payments, "p", new=8), amount, kind, how

    def capture(self) -> tuple[Any, ...]:
        payment_id = self.an_id(self._model.payments, "p")
        amount = self._model.payments[payment_id]["amount"] if payment_id in self._model.payments else 100
        return payment_id, self.one_of((amount, amount, 100))

    def void(self) -> tuple[Any, ...]:
        return (self.an_id(self._model.payments, "p"),)

    confirm_payment = void

    def refund(self) -> tuple[Any, ...]:
        payment_id, amount = self.capture()
        return payment_id, self.an_id(self._model.refunds, "f", new=4), amount

    def cancel(self) -> tuple[Any, ...]:
        target = self.an_id(self._model.orders, "o") if self._data.draw(st.booleans()) else ""
        return self.an_id(self._model.orders, "o"), target

    def ship(self) -> tuple[Any, ...]:
        units = self.one_of(((), (), ((1, 1),), ((1, 1), (2, 1))))
        return self.an_id(self._model.orders, "o"), self.an_id(self._model.shipments, "s", new=4), units

    def take_back(self) -> tuple[Any, ...]:
        return_id = self.an_id(self._model.order_returns, "t", new=4)
        unit = self.one_of(((1, 1), (1, 2), (2, 1)))
        return self.an_id(self._model.orders, "o"), return_id, unit, self.one_of((True, True, False))


# Each as often as it stands here.
STEPS = (
    "create", "change", "change", "change", "delete", "switch", "transfer", "transfer", "reserve",
    "reserve", "reserve",
    "confirm", "release", "fulfill", "fulfill", "give_back", "give_back", "cart", "add", "add",
    "add", "remove", "check_out", "check_out", "pay", "pay", "pay", "pay", "pay", "capture", "capture",
    "void", "refund", "refund", "confirm_payment", "cancel", "cancel", "ship", "ship", "ship", "take_back",
)  # fmt: skip
REPEATED = frozenset(
    {"change", "transfer", "delete", "confirm", "release", "fulfill", "add", "remove", "cancel"}
)


class Machine(RuleBasedStateMachine):
    """One store; `server` and `database_url` are set by the test."""

    server: ClassVar[LaunchedProcess]
    database_url: ClassVar[str]
    bursts: ClassVar[int] = 0
    calls_made: ClassVar[int] = 0
    verdicts: ClassVar[dict[str, int]] = {}

    def __init__(self) -> None:
        super().__init__()
        store = f"machine-{uuid.uuid4().hex}"
        create_store(self.database_url, store)
        self._client = inventory_client.connect(self.server.address, store=store, timeout_s=20)
        self._callers = Callers(self._client)
        self._pool = ThreadPoolExecutor(CALLERS)
        self._model = Model()

    def teardown(self) -> None:
        self._pool.shutdown()
        self._client.close()

    @initialize()
    def begin(self) -> None:
        """Something to race for, and an order to pay."""
        self._client.inventory.CreateLocation(v1.CreateLocationRequest(slug="shelf"))
        for product, quantity in (("a", 5), ("b", 3)):
            self._burst([Call("create", (product, quantity))])
        for number in "01":
            self._burst([Call("cart", (f"c{number}",))])
            self._burst([Call("add", (f"c{number}", "a", 3, 100, ""))])
            self._burst([Call("check_out", (f"c{number}", f"o{number}"))])

    @rule(data=st.data(), count=st.integers(1, CALLERS))
    def several_at_once(self, data: st.DataObject, count: int) -> None:
        """Calls that know of each other what was there before, which they may all want at once."""
        pencil = Pencil(data, self._model)
        self._burst([pencil.call() for _ in range(count)])

    def _burst(self, burst: list[Call]) -> None:
        told = list(self._pool.map(self._callers.send, burst))
        note(f"{burst} -> {told}")
        Machine.bursts += 1
        Machine.calls_made += len(burst)
        for verdict in told:
            Machine.verdicts[verdict] = Machine.verdicts.get(verdict, 0) + 1
        shown: dict[str, Any] | None = None
        came_close = []
        for model in explanations(self._model, burst, told):
            shown = shown if shown is not None else self._callers.shown(model)
            wanted = expected(model)
            if wanted == shown:
                self._model = model
                return
            differs = [key for key in wanted | shown if wanted.get(key) != shown.get(key)]
            came_close.append({key: (wanted.get(key), shown.get(key)) for key in differs})
        raise AssertionError(
            f"seed {SEED}: {list(zip(burst, told, strict=True))}: "
            + (
                f"shown otherwise than explained: {came_close}"
                if came_close
                else "no order explains the verdicts"
            )
        )


@pytest.fixture
def machine(server: LaunchedProcess, database_url: str) -> Iterator[type[Machine]]:
    Machine.server, Machine.database_url = server, database_url
    yield Machine
    log.info("%d bursts of %d calls, seed %d", Machine.bursts, Machine.calls_made, SEED)
    log.info("%s", sorted(Machine.verdicts.items(), key=lambda found: -found[1]))


def test_some_serial_order_explains_what_several_callers_see(machine: type[Machine]) -> None:
    """Whatever callers do side by side, it is as if they had come one after the other, by the rules."""

    # A burst may end otherwise when it is sent again, so hypothesis neither shrinks nor explains.
    @settings(
        max_examples=RUNS, stateful_step_count=STEPS_PER_RUN, deadline=None, database=None,
        phases=(Phase.generate,), suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    class Seeded(machine):  # type: ignore[misc, valid-type]
        pass

    run_state_machine_as_test(seed(SEED)(Seeded))
