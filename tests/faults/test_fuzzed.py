"""Fault 31: whatever bytes come to whatever method."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice

import grpc
import hypothesis
import pytest
from hypothesis import HealthCheck, Phase, given
from hypothesis import strategies as st

from inventory_client import v1
from inventory_client.errors import decode_error
from inventory_server.rpc.server import MESSAGE_BYTES_MAX
from inventory_server.rpc.status import INTERNAL_MESSAGE
from support.faults.calls import Caller
from support.faults.fuzz import Input, inputs
from support.faults.place import WAIT_S, Place
from support.faults.plugin import ALL, LONG, QUICK
from support.faults.promises import check
from support.requests import raw_stub_of

INPUTS = {QUICK: 500, ALL: 5_000, LONG: 100_000}
AT_ONCE_MAX = 16
EXAMPLES = 500
TOO_LONG = "RESOURCE_EXHAUSTED past 4 MiB"
# What a caller may be told for bytes of his own making; where other inputs were in the way, to try again.
ALLOWED = {
    "OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE",
    "UNAVAILABLE TRANSACTION_CONFLICT", "UNAVAILABLE OVERLOADED", TOO_LONG,
}  # fmt: skip


@pytest.mark.fault(31)
def test_any_bytes_to_any_method(
    shop_place: Place, chance: random.Random, run: str, tell: Callable[..., None]
) -> None:
    """Never a defect, a hang, or a broken law, whatever the bytes: an answer, or a refusal that says why."""
    place = shop_place
    caller = Caller(lambda: place.server.address)
    for product_id in ("a", "b"):
        stock = v1.CreateStockRequest(product_id=product_id, quantity=1_000, request_id=product_id)
        caller.send("CreateStock", stock)
    caller.close()
    with fuzzing(place.server.address) as fuzz:
        while fuzz.outcomes.total() < INPUTS[run]:
            fuzz.run(EXAMPLES if run == LONG else 50, chance.randrange(2**32))
    assert not [line for line in place.server.last_errors if "call_failed" in line]
    tell(check(place) | {"inputs": fuzz.outcomes.total()} | dict(fuzz.outcomes.most_common()))


class Fuzz:
    """Sends inputs, several at once; `outcomes` counts by status code how they were answered."""

    def __init__(self, channel: grpc.Channel, pool: ThreadPoolExecutor) -> None:
        self.outcomes: Counter[str] = Counter()
        self._channel = channel
        self._pool = pool

    def run(self, examples: int, seed: int) -> None:
        """Let hypothesis make so many groups of inputs, and one that is smaller where an outcome is wrong."""

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            phases=[Phase.reuse, Phase.generate, Phase.shrink],
            suppress_health_check=list(HealthCheck),
        )
        @given(st.lists(inputs(), min_size=1, max_size=AT_ONCE_MAX))
        def send(group: list[Input]) -> None:
            self._send(group)

        send()

    def _send(self, group: list[Input]) -> None:
        outcomes = list(self._pool.map(self._outcome_of, group))
        self.outcomes.update(outcomes)
        wrong = [pair for pair in zip(outcomes, group, strict=True) if pair[0] not in ALLOWED]
        assert not wrong, wrong

    def _outcome_of(self, one: Input) -> str:
        """Send one input. Returns: the code of the answer, with a reason where it says try again."""
        try:
            answers = self._answers(one)
        except grpc.RpcError as error:
            code: str = error.code().name  # type: ignore[attr-defined]
            if code == "RESOURCE_EXHAUSTED" and max(map(len, one.messages)) > MESSAGE_BYTES_MAX:
                return TOO_LONG
            return f"{code} {decode_error(error).reason_name}" if code == "UNAVAILABLE" else code
        # An item of a batch has an error of its own, in an answer that is OK.
        return "INTERNAL" if any(INTERNAL_MESSAGE.encode() in answer for answer in answers) else "OK"

    def _answers(self, one: Input) -> list[bytes]:
        method = one.method
        given = iter(one.messages) if method.client_streaming else one.messages[0]
        answered = raw_stub_of(self._channel, method)(given, timeout=WAIT_S)
        if not method.server_streaming:
            return [answered]
        # A watch goes on for as long as it is listened to.
        answers = list(islice(answered, 1 if method.name == "WatchStock" else None))
        answered.cancel()
        return answers


@contextmanager
def fuzzing(address: str) -> Iterator[Fuzz]:
    options = [("grpc.use_local_subchannel_pool", 1)]
    with grpc.insecure_channel(address, options) as channel, ThreadPoolExecutor(AT_ONCE_MAX) as pool:
        yield Fuzz(channel, pool)
