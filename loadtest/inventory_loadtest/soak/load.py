"""The load of a soak: callers that work shift after shift on its servers, whatever happens, and the judge."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from inventory_client import AlreadyExists, Client, InventoryError, v1
from inventory_client.calls import CallDefaults
from inventory_client.channel import SyncChannel
from inventory_loadtest.asking import CALL_TIMEOUT_S, Asker
from inventory_loadtest.history import Step
from inventory_loadtest.shopper import Shopper
from inventory_loadtest.soak.customer import Customer
from inventory_loadtest.soak.follower import Follower
from inventory_loadtest.soak.judge import Judge, verified
from inventory_loadtest.soak.keeper import Keeper
from inventory_loadtest.soak.reserver import Reserver
from inventory_loadtest.soak.shift import LOCATION, Shift
from inventory_loadtest.soak.tally import Tally

SHIFT_S = 10.0
WAITING_SHIFTS_AT_MOST = 2
"""Where the judge is so far behind, the shift at work goes on instead of a new one."""
_PAUSE_S = (0.02, 0.1)
_LOOK_S = 0.1
_PROBE_UNITS = 1

_CHANNEL_OPTIONS = [
    # No retry of gRPC's stands between a caller and what he is told: it would hide what was left open.
    ("grpc.enable_retries", 0),
    ("grpc.use_local_subchannel_pool", 1),
    # A server that was killed is back within a second or two.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 500),
]


class SoakError(Exception):
    """The soak could not be run to its end; one line that says why."""


def connect_plainly(address: str) -> Client:
    """Connect to a server without any retry below its callers."""
    channel: Any = SyncChannel(
        grpc.insecure_channel(address, _CHANNEL_OPTIONS), CallDefaults(None, CALL_TIMEOUT_S)
    )
    return Client(channel)


class Load:
    """Callers at work from the block's begin to its end, when all they began has ended and is judged.

    Args:
        addresses: the servers; each has callers of every kind, and a watch.
        ledger: the gateway simulator's.
        seed: what chance depends on.
        shift_s: seconds, > 0, that a shift takes callers for.
    Attributes:
        tally: what became of the calls.
        followers: the watches.
    Raises: SoakError at the end of the block, or by `look`.
    """

    def __init__(
        self, addresses: Sequence[str], ledger: Path, seed: int, *, shift_s: float = SHIFT_S
    ) -> None:
        self._clients = [connect_plainly(address) for address in addresses]
        self._shift_s = shift_s
        self.tally = Tally()
        self.followers = [Follower(client) for client in self._clients]
        self._judge = Judge(self._clients[0], addresses[0], ledger, self.followers)
        self._kinds: list[Callable[[Client], Customer | Reserver | Keeper]] = [
            *(Customer, Customer, Customer, Reserver, Keeper)
        ]
        self._chance = random.Random(seed)
        self._stop = threading.Event()
        self._shift = Shift(0, self.tally.count)
        self._worked: list[Shift] = []
        self._probes = itertools.count(1)
        workers = len(self._clients) * len(self._kinds)
        self._pool = ThreadPoolExecutor(workers + 2, thread_name_prefix="soak")
        self._running: list[Future[None]] = []

    def __enter__(self) -> Self:
        with suppress(AlreadyExists):
            self._clients[0].inventory.CreateLocation(
                v1.CreateLocationRequest(slug=LOCATION, request_id=LOCATION)
            )
        Shopper(self._clients[0], lambda _: None).stock("probe", 1)
        for follower in self.followers:
            follower.start()
        self._shift = self._opened(1)
        self._running = [self._pool.submit(self._lead), self._pool.submit(self._judge_all)]
        for client, kind in itertools.product(self._clients, self._kinds):
            number = len(self._running)
            chance = random.Random(self._chance.random())
            self._running.append(self._pool.submit(self._work, kind(client).go, number, chance))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._pool.shutdown(wait=True)
        for follower in self.followers:
            follower.stop()
        for client in self._clients:
            client.close()
        self._judge.close()
        if error is None:
            self.look()

    def look(self) -> None:
        """See that everybody is at work. Raises: SoakError, or what somebody met that must not be."""
        for running in self._running:
            if running.done():
                running.result()
        for follower in self.followers:
            if follower.trouble is not None:
                raise SoakError(f"a watch ended: {follower.trouble}") from follower.trouble

    def end(self) -> None:
        """Let nobody begin anything more; what was begun goes on, the judge too."""
        self._stop.set()

    @property
    def has_ended(self) -> bool:
        """Whether everything that was begun has ended, and is judged."""
        return all(running.done() for running in self._running)

    def probe(self) -> float:
        """Wait until each server has done a change once more; the seconds that it took."""
        began_s = time.monotonic()
        for client in self._clients:
            name = f"probe-{next(self._probes)}"
            request = v1.CreateStockTransactionRequest(
                product_id="probe",
                action=v1.StockAction.STOCK_ACTION_INCREMENT,
                quantity=_PROBE_UNITS,
                request_id=name,
            )
            asker = Asker(client, lambda _: None)
            while not asker.ask(Step.CHANGE, lambda: client.inventory.CreateStockTransaction(request)).ok:  # noqa: B023
                self.look()
        return time.monotonic() - began_s

    def await_gateway(self, until_s: float) -> None:
        """Wait until no payment from before a time is in flight. Args: until_s: as of time.time()."""
        request = v1.ListPaymentsRequest(states=[v1.PaymentState.PAYMENT_STATE_PROCESSING])
        request.created_until.FromNanoseconds(int(until_s * 1e9))
        while True:
            with suppress(InventoryError):
                if not self._clients[0].checkout.ListPayments(request).payments:
                    return
            self.look()
            time.sleep(_LOOK_S)

    # --- those at work -----------------------------------------------------------------------------

    def _work(
        self, go: Callable[[Shift, str, random.Random], None], number: int, chance: random.Random
    ) -> None:
        for turn in itertools.count(1):
            if self._stop.is_set():
                return
            shift = self._shift
            with shift.work() as takes:
                if takes:
                    go(shift, f"{shift.name}.{number}-{turn}", chance)
            time.sleep(chance.uniform(*_PAUSE_S))

    def _lead(self) -> None:
        """Open shift after shift, and close each behind it."""
        while not self._stop.wait(self._shift_s):
            if len(self._worked) < WAITING_SHIFTS_AT_MOST:
                self._change_to(self._opened(self._shift.number + 1))
        self._shift.close()
        self._worked.append(self._shift)

    def _change_to(self, shift: Shift) -> None:
        last, self._shift = self._shift, shift
        last.close()
        self._worked.append(last)

    def _opened(self, number: int) -> Shift:
        """A new shift whose products have their units. Raises: SoakError."""
        shift = Shift(number, self.tally.count)
        shopper = Shopper(self._clients[0], shift.record)
        for product_id, units in shift.plan.stock.items():
            made = shopper.stock(product_id, units)
            if not made.ok:
                raise SoakError(f"{product_id} can't be made: {made.reason}: {made.message}")
        return shift

    def _judge_all(self) -> None:
        """Judge each shift when it is over, until the last."""
        while not (self._stop.is_set() and self._running[0].done() and not self._worked):
            if self._worked and self._worked[0].is_over:
                shift = self._worked[0]
                state, violations = self._judge.judge(shift)
                self.tally.judged(shift.events, state, violations)
                self._worked.pop(0)
            else:
                time.sleep(_LOOK_S)

    def verify_all(self) -> None:
        """Let the server verify the whole store. Raises: SoakError."""
        try:
            self.tally.violations += verified(self._clients[0])
        except InventoryError as error:
            raise SoakError(f"the store can't be verified: {error}") from error
