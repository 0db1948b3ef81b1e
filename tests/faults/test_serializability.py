"""Fault 22: several servers decide at once, and one order of all calls must explain every answer.

The servers don't take turns at a store, so that PostgreSQL's isolation alone decides. To show that the judge
would find it if it did not, the same servers are run on a wire that begins their transactions at REPEATABLE
READ (tests/support/serial/wire.py): nothing of the product is changed.
"""

from __future__ import annotations

import random
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import grpc
import psycopg
import pytest

from inventory_client import v1
from inventory_client.errors import decode_error
from inventory_loadtest.proxy import Connect
from inventory_loadtest.wire import proxy_in_thread
from inventory_server.db.stores import create_store
from support.faults.calls import Caller
from support.faults.place import WAIT_S, Place, placed
from support.polling import until
from support.serial.history import Call, read_history, write_history
from support.serial.judge import Verdict, judge
from support.serial.mixture import Mixture
from support.serial.wire import IsolationWire

Tell = Callable[..., None]

SERIALIZABLE, REPEATABLE_READ = "SERIALIZABLE", "REPEATABLE READ"
COMMIT_DELAY_S = 0.05
CALLS, PLACES = 800, 24
# At REPEATABLE READ about every second history has a cycle.
HISTORIES_MAX = 100
# The calls of a staged history, each with its own moments.
_FIRST, _SECOND, _THIRD = (0.0, 9.0), (1.0, 2.0), (3.0, 4.0)


@contextmanager
def two_servers(place: Place, level: str, chance: random.Random, delay_s: float = 0.0) -> Iterator[list[str]]:
    """Start two servers on a wire where transactions begin at a level; yield their addresses."""

    def make(connect: Connect) -> IsolationWire:
        return IsolationWire(connect, level=level, chance=chance, delay_s=delay_s)

    with proxy_in_thread(place.url, make) as (_, url, _):
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY")
            assert connection.execute("SHOW transaction_isolation").fetchone() == (level.lower(),)
        servers = [place.start_server(url, lock_stores=False, call_timeout_s=60) for _ in range(2)]
        yield [server.address for server in servers]
        for server in servers:
            server.stop()


class Historian:
    """Writes histories, each in a store of its own, and judges what was written."""

    def __init__(self, place: Place, addresses: Sequence[str], chance: random.Random, folder: Path) -> None:
        self._place = place
        self._addresses = addresses
        self._chance = chance
        self._folder = folder
        self.figures: Counter[str] = Counter()
        self.violations: list[str] = []

    def verdict(self) -> Verdict:
        """Return what is found of one more history, whose file is told where the test fails."""
        store = f"store-{uuid.uuid4().hex}"
        create_store(self._place.url, store)
        mixture = Mixture(self._addresses, store, self._chance, CALLS, PLACES)
        path = self._folder / f"{store}.jsonl"
        write_history(path, mixture.run())
        verdict = judge(read_history(path))
        print(f"{path}\n{verdict}")  # noqa: T201
        self.violations += mixture.violations
        self.figures.update(histories=1, calls=verdict.call_count, groups_in_no_order=verdict.knots)
        self.figures["ties_between_them"] += verdict.tie_counts.total()
        return verdict


@pytest.fixture
def histories(request: pytest.FixtureRequest, chance: random.Random, tmp_path: Path) -> Iterator[Historian]:
    """Two servers; the test names the isolation level."""
    with (
        placed() as place,
        two_servers(place, request.param, chance, COMMIT_DELAY_S) as addresses,
    ):
        yield Historian(place, addresses, chance, tmp_path)


@pytest.mark.fault(22)
@pytest.mark.parametrize("histories", [SERIALIZABLE], indirect=True)
def test_one_order_explains_a_history(histories: Historian, tell: Tell) -> None:
    """What callers of two servers are told is as if calls came one by one, each while it was under way."""
    verdict = histories.verdict()
    assert verdict.holds, verdict
    assert not histories.violations
    tell(histories.figures)


@pytest.mark.fault(22, full=True)
@pytest.mark.parametrize("histories", [SERIALIZABLE], indirect=True)
def test_one_order_explains_each_history(histories: Historian, load_factor: int, tell: Tell) -> None:
    """The same, history after history."""
    for _ in range(10 * load_factor):
        verdict = histories.verdict()
        assert verdict.holds, verdict
    assert not histories.violations
    tell(histories.figures)


@pytest.mark.fault(22, full=True)
@pytest.mark.parametrize("histories", [REPEATABLE_READ], indirect=True)
def test_no_order_explains_histories_at_repeatable_read(
    histories: Historian, load_factor: int, tell: Tell
) -> None:
    """The same calls, with the wire beginning transactions at REPEATABLE READ: the judge finds cycles."""
    while histories.figures["groups_in_no_order"] < 2 * load_factor:
        assert histories.figures["histories"] < HISTORIES_MAX
        histories.verdict()
    tell(histories.figures)


class Staged(NamedTuple):
    """A batch that stands before its COMMIT while others, who are answered, change what it decided on.

    Args:
        method, request: what is held back; it is sent to the other server.
        meanwhile: what is called then, one after the other.
        refusal: what the first is told when it is decided again.
        history: the calls if it was answered OK.
    """

    method: str
    request: Any
    meanwhile: Sequence[tuple[str, Any]]
    refusal: str
    history: Sequence[Call]


_INCREMENT = v1.StockAction.STOCK_ACTION_INCREMENT
_STAGED = (
    # Write skew: units come to a location while it is deleted, because it is empty.
    Staged(
        "CreateStockTransaction",
        v1.CreateStockTransactionRequest(
            product_id="a", action=_INCREMENT, quantity=1, location="attic", request_id="brings"
        ),
        [("DeleteLocation", v1.DeleteLocationRequest(slug="attic", request_id="deletes"))],
        "LOCATION_NOT_FOUND",
        [
            Call("brings", 0, *_FIRST, {"attic": 0}, {"a@attic": 1}),
            Call("deletes", 1, *_SECOND, {"a@attic": 0}, {"attic": 1}),
        ],
    ),
    # A reader sees a location disabled and, later, units unreserved that are reserved there after all.
    Staged(
        "ReserveStock",
        v1.ReserveStockRequest(
            reservation_id="r", lines=[v1.LineRequest(product_id="a", quantity=1, location="shelf")]
        ),
        [
            ("UpdateLocation", v1.UpdateLocationRequest(slug="shelf", disabled=True, request_id="disables")),
            ("BatchGetStock", v1.BatchGetStockRequest(product_ids=["a"])),
        ],
        "INSUFFICIENT_STOCK",
        [
            Call("reserves", 0, *_FIRST, {"shelf": 0}, {"a@shelf": 2}),
            Call("disables", 1, *_SECOND, writes={"shelf": 1}),
            Call("looks", 1, *_THIRD, {"a@shelf": 1}),
        ],
    ),
)


@pytest.mark.fault(22)
def test_what_repeatable_read_would_let_through(place_without_server: Place, chance: random.Random) -> None:
    """Write skew, and a reader in between: both are done at REPEATABLE READ; SERIALIZABLE decides again."""
    place = place_without_server
    place.build_gate()
    for level in (SERIALIZABLE, REPEATABLE_READ):
        with two_servers(place, level, chance) as addresses:
            for staged in _STAGED:
                told = _play(place, addresses, staged)
                assert told == (staged.refusal if level == SERIALIZABLE else "OK")
    for staged in _STAGED:
        assert not judge(staged.history).holds


def _play(place: Place, addresses: Sequence[str], staged: Staged) -> str:
    """Let the one be overtaken by the others, in a store of its own.

    Returns: OK, or the reason that it is told.
    """
    store = f"store-{uuid.uuid4().hex}"
    create_store(place.url, store)
    one, other = (Caller(partial(str, address), store) for address in addresses)
    with closing(one), closing(other), place.database(store) as database:
        other.send("CreateStock", v1.CreateStockRequest(product_id="a", quantity=1, request_id="a"))
        for slug in ("attic", "shelf"):
            other.send("CreateLocation", v1.CreateLocationRequest(slug=slug, request_id=slug))
        stocked = v1.CreateStockTransactionRequest(
            product_id="a", action=_INCREMENT, quantity=1, location="shelf", request_id="stocked"
        )
        other.send("CreateStockTransaction", stocked)
        with database.gate_closed() as gate:
            call = one.start(staged.method, staged.request, WAIT_S)
            until(lambda: database.blocked(gate), "COMMIT waits", WAIT_S)
            for method, request in staged.meanwhile:
                answer = other.send(method, request)
        if staged.method == "ReserveStock":
            assert answer.stocks[0].allocated == 0
        try:
            call.result(WAIT_S)
        except grpc.RpcError as error:
            return decode_error(error).reason_name
        return "OK"
