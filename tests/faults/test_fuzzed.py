"""Fault 31: whatever bytes come to whatever method."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest

from inventory_client import v1
from support.faults.calls import Caller
from support.faults.fuzz import bent, message
from support.faults.place import WAIT_S, Place
from support.faults.promises import check
from support.requests import METHODS, raw_call_of

WORKERS = 8
INPUTS = 2_000
INPUTS_LONG = 100_000
# What a caller may be told for bytes of his own making.
ALLOWED = {"OK", "INVALID_ARGUMENT", "NOT_FOUND", "ALREADY_EXISTS", "FAILED_PRECONDITION", "ABORTED",
           "OUT_OF_RANGE", "UNAVAILABLE"}  # fmt: skip


@pytest.mark.fault(31)
def test_any_bytes_to_any_method(
    shop_place: Place, chance: random.Random, load_factor: int, tell: Callable[..., None]
) -> None:
    """Never a defect, a hang, or a broken law, whatever the bytes: an answer, or a refusal that says why."""
    place = shop_place
    caller = Caller(lambda: place.server.address)
    for product_id in ("a", "b"):
        stock = v1.CreateStockRequest(product_id=product_id, quantity=1_000, request_id=product_id)
        caller.send("CreateStock", stock)
    caller.close()
    inputs = INPUTS if load_factor == 1 else INPUTS_LONG
    seeds = [chance.random() for _ in range(WORKERS)]
    with ThreadPoolExecutor(WORKERS) as pool:
        counts = pool.map(lambda seed: fuzz(place.server.address, seed, inputs // WORKERS), seeds)
        outcomes = sum(counts, Counter[str]())
    tell(check(place) | {"inputs": outcomes.total(), "answered OK": outcomes["OK"]})


def fuzz(address: str, seed: float, count: int) -> Counter[str]:
    """Send so many inputs. Returns: how often each code was the answer."""
    chance = random.Random(seed)
    outcomes: Counter[str] = Counter()
    with grpc.insecure_channel(address, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        for _ in range(count):
            method = chance.choice(METHODS)
            data = bent(message(method.input_type, chance).SerializeToString(), chance)
            outcome = outcome_of(channel, method, data)
            is_stream = method.client_streaming or method.server_streaming
            # A watch goes on for as long as it is listened to.
            allowed = ALLOWED | ({"DEADLINE_EXCEEDED"} if is_stream else set())
            assert outcome in allowed, (method.name, outcome, data)
            outcomes[outcome] += 1
    return outcomes


def outcome_of(channel: grpc.Channel, method: Any, data: bytes) -> str:
    """Send bytes to a method; return the code of the answer."""
    call = raw_call_of(channel, method)
    more = {} if method.client_streaming or method.server_streaming else {"timeout": WAIT_S}
    try:
        call(data, **more)
    except grpc.RpcError as error:
        code: grpc.StatusCode = error.code()  # type: ignore[attr-defined]
        return code.name
    return "OK"
