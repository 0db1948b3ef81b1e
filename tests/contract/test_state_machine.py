"""Random calls from several callers at once, on the real server, against the rules in miniature.

Each step sends a burst of calls side by side. Some serial order of them must explain every verdict and every
answer, and what the API shows afterwards must be what that order comes to. Between bursts the time of holds
and carts may be over. A failure prints the seed and the steps; the same seed replays them:
`STATE_MACHINE_SEED=n pytest tests/contract/test_state_machine.py`. STATE_MACHINE_RUNS makes more runs than
the suite does; `--log-cli-level=INFO` tells how many steps there were.
"""

from __future__ import annotations

import logging
import os
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, ClassVar

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, Phase, note, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from inventory_server.db.embedded import EmbeddedPostgres
from support.gateway import ToldGateway, serving
from support.machine.looking import Callers
from support.machine.looks import expected
from support.machine.model import Call, Model, explanations
from support.machine.pencil import CHANGES, FORMS, LOOKS, Pencil, Sending
from support.requests import METHODS
from support.sites import Site, started

log = logging.getLogger(__name__)

RUNS = int(os.environ.get("STATE_MACHINE_RUNS", "8"))
SEED = int(os.environ.get("STATE_MACHINE_SEED", random.randrange(2**32)))
STEPS_PER_RUN = 30
CALLS_MAX = 4

NOT_DRIVEN = {
    "WatchStock": "it has no end that an order could explain: test_watch_calls, test_feed",
    "GetServiceStatistics": "it is about the server, not about the store: test_verify_calls",
}


class Machine(RuleBasedStateMachine):
    """One store; `site` is set by the test."""

    site: ClassVar[Site]
    bursts: ClassVar[int] = 0
    verdicts: ClassVar[Counter[str]] = Counter()

    def __init__(self) -> None:
        super().__init__()
        self._opened = self.site.new_store()
        client, self._store = self._opened.__enter__()
        self._callers = Callers(client)
        self._pool = ThreadPoolExecutor(CALLS_MAX)
        self._model = Model()

    def teardown(self) -> None:
        self._pool.shutdown()
        self._opened.__exit__(None, None, None)

    @initialize(luck=st.integers(0, 2**64))
    def begin(self, luck: int) -> None:
        """Something to race for, and orders to pay."""
        # Of single calls hypothesis would draw the same few again and again.
        self._random = random.Random(luck)
        for place in ("shelf", "attic"):
            self._one("create_place", place)
        for product, quantity in (("a", 5), ("b", 3)):
            self._one("create", product, quantity)
        for number in "01":
            self._one("cart", f"c{number}")
            self._one("add", f"c{number}", "a", 3, 100, "", None)
            self._one("check_out", f"c{number}", f"o{number}")

    @rule()
    def several_at_once(self) -> None:
        """Calls that know of each other what was there before, which they may all want at once."""
        self._burst(list(Pencil(self._random.choice, self._model).burst(CALLS_MAX)))

    @rule()
    def time_passes(self) -> None:
        """The time of some holds and of a cart is over, swept or not, when the next calls come."""
        model, pencil = self._model, Pencil(self._random.choice, self._model)
        holds, carts = pencil.over()
        note(f"over: {holds} {carts}")
        for hold in holds:
            owner = model.reservations[hold]["owner"]
            self.site.observer.runs_out(self._store, self._callers.hold_of(owner) if owner else hold, 0)
        for cart_id in carts:
            self.site.observer.cart_runs_out(self._store, cart_id)
        model.time_passes(holds, carts)
        self.several_at_once()

    def _one(self, step: str, *args: Any) -> None:
        self._burst([Sending((Call(step, args),))])

    def _burst(self, burst: list[Sending]) -> None:
        calls = [call for sending in burst for call in sending.calls]
        told = [verdict for verdicts in self._pool.map(self._send, burst) for verdict in verdicts]
        note(f"{burst} -> {told}")
        Machine.bursts += 1
        Machine.verdicts.update(verdict.partition("[")[0].partition("{")[0][:30] for verdict in told)
        shown: dict[str, Any] | None = None
        came_close = []
        for model in explanations(self._model, calls, told):
            if shown is None:
                self._callers.wait_until_swept()
                shown = self._callers.shown()
            wanted = expected(model)
            if wanted == shown:
                self._model = model
                return
            differs = [key for key in wanted | shown if wanted.get(key) != shown.get(key)]
            came_close.append({key: (wanted.get(key), shown.get(key)) for key in differs})
        why = f"shown otherwise than explained: {came_close}" if came_close else "no order explains it"
        raise AssertionError(f"seed {SEED}: {list(zip(calls, told, strict=True))}: {why}")

    def _send(self, sending: Sending) -> list[str]:
        return self._callers.send(sending.calls, sending.form)


@pytest.fixture
def machine(postgres: EmbeddedPostgres) -> Iterator[type[Machine]]:
    with (
        serving(ToldGateway()) as address,
        started(
            postgres,
            payment_gateway=address,
            sweep_interval_s=0.1,
            import_interval_s=0.1,
            resolved_poll_interval_s=3600,
        ) as site,
    ):
        Machine.site = site
        yield Machine
    log.info("%d bursts of %d calls, seed %d", Machine.bursts, Machine.verdicts.total(), SEED)
    log.info("%s", Machine.verdicts.most_common())


@pytest.mark.fault(20)
def test_some_serial_order_explains_what_several_callers_see(machine: type[Machine]) -> None:
    """Whatever callers do side by side, it is as if they had come one after the other, by the rules."""

    # A burst may end otherwise when it is sent again, so hypothesis neither shrinks nor explains.
    @settings(
        max_examples=RUNS, stateful_step_count=STEPS_PER_RUN, database=None,
        phases=(Phase.generate,), suppress_health_check=list(HealthCheck), print_blob=False,
    )  # fmt: skip
    class Seeded(machine):  # type: ignore[misc, valid-type]
        pass

    run_state_machine_as_test(seed(SEED)(Seeded))


class Listening:
    """A client that answers every call with an empty answer, and knows which there were."""

    def __init__(self) -> None:
        self.heard: set[str] = set()
        self._methods = {method.name: method for method in METHODS}
        self.inventory = self.checkout = self

    def __getattr__(self, name: str) -> Any:
        method = self._methods[name]

        def call(_request: Any, **_options: Any) -> Any:
            self.heard.add(name)
            answer = GetMessageClass(method.output_type)()
            _put_one_into_each_list(answer)
            if name == "ListStockTransactions":
                answer.stock_transactions[0].version = 1  # a log without a gap
            return [answer] if method.server_streaming else answer

        return call


def _put_one_into_each_list(message: Any) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.type != FieldDescriptor.TYPE_MESSAGE:
            continue
        if field.is_repeated:
            getattr(message, field.name).add()
        elif field.name == "payment":
            _put_one_into_each_list(message.payment)


def test_every_method_is_driven() -> None:
    """The random calls and their forms are all that the two services have, but for those with a reason."""
    client = Listening()
    callers, pencil = Callers(client), Pencil(random.Random(0).choice, Model())
    for step in (*CHANGES, *LOOKS):
        callers.send([pencil.call(step)])
    for step, forms in FORMS.items():
        for form in forms:
            callers.send([pencil.call(step, is_alone=False)], form)
    assert client.heard | NOT_DRIVEN.keys() == {method.name for method in METHODS}
    assert not client.heard & NOT_DRIVEN.keys()
