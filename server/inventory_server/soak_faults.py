"""What a soak does to its servers, database, connections, gateway and clients: at random, from a seed."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from types import TracebackType
from typing import Self

from inventory_loadtest.proxy import Fault
from inventory_loadtest.soak.blows import Blow
from inventory_loadtest.soak.gauges import children, serves_a_client
from inventory_loadtest.soak.load import Load
from inventory_loadtest.wire import Wire
from inventory_server.launch import start_process
from inventory_server.soak_place import Place

PAUSE_S = 4.0
"""Between one that is over and the next, in the middle."""
_OUTAGE_S = (1.0, 4.0)
_LISTENS_NOT_S = 8.0
_STRIKE_S = 10.0
_COMMIT_FAULTS = {
    "connection cut before COMMIT": Fault.CUT_BEFORE,
    "connection cut after COMMIT": Fault.CUT_AFTER,
    "COMMIT's reply never heard": Fault.BLACK_HOLE_AFTER,
}


class Faults:
    """Hurts one thing after the other while its block runs; at its end everything is well again.

    Every kind comes once before any comes again.

    Args:
        place: the database and the servers; the first is never killed, so that its memory tells of the
            whole soak, the last one is.
        database: the way of all servers to the database.
        gateway: their way to the payment gateway, and the gateway's process id.
        load: tells whether all is well.
        chance: what comes when, and for how long.
        pause_s: seconds from one to the next, about.
    Attributes:
        blows: all that is over.
        now: the kind that is at work; "" where none is.
    """

    def __init__(
        self,
        place: Place,
        database: Wire,
        gateway: tuple[Wire, int],
        load: Load,
        chance: random.Random,
        *,
        pause_s: float = PAUSE_S,
    ) -> None:
        self._place = place
        self._database = database
        self._gateway, self._gateway_pid = gateway
        self._load = load
        self._chance = chance
        self._pause_s = pause_s
        self._began_s = time.monotonic()
        self._stop = threading.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="faults")
        self._kinds: dict[str, Callable[[], object]] = {
            "server killed": self._kill_server,
            "server stopped": self._stop_server,
            "backend killed": self._kill_backend,
            "PostgreSQL killed": self._kill_postgres,
            "PostgreSQL restarted": self._restart_postgres,
            "all connections cut": database.cut,
            **{kind: self._striking(fault) for kind, fault in _COMMIT_FAULTS.items()},
            "gateway away": self._take_gateway_away,
            "gateway silent": self._silence_gateway,
            "client that never listens, then killed": self._suffer_stranger,
        }
        self.blows: list[Blow] = []
        self.now = ""

    def __enter__(self) -> Self:
        self._running = self._thread.submit(self._run)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.shutdown(wait=True)
        if error is None:
            self.look()

    def look(self) -> None:
        """Raise what went wrong with the faults themselves."""
        if self._running.done():
            self._running.result()

    def _run(self) -> None:
        while True:
            kinds = list(self._kinds)
            self._chance.shuffle(kinds)
            for kind in kinds:
                if self._stop.wait(self._chance.uniform(0.5, 1.5) * self._pause_s):
                    return
                self._hurt(kind)

    def _hurt(self, kind: str) -> None:
        """Let it happen, and wait until all is well again."""
        self.now, at_s = kind, time.monotonic()
        self._kinds[kind]()
        over_s, over_time_s = time.monotonic(), time.time()
        self._load.probe()
        if kind.startswith("gateway"):
            self._load.await_gateway(over_time_s)
        recovery_s = time.monotonic() - over_s
        self.blows.append(Blow(kind, at_s - self._began_s, over_s - at_s, recovery_s))
        self.now = ""

    def _outage(self) -> None:
        self._stop.wait(self._chance.uniform(*_OUTAGE_S))

    # --- the server --------------------------------------------------------------------------------

    def _kill_server(self) -> None:
        self._place.kill_server()
        self._start_server_again()

    def _stop_server(self) -> None:
        self._place.server.stop()
        self._start_server_again()

    def _start_server_again(self) -> None:
        port = self._place.server.address.rpartition(":")[2]
        self._place.start_server(self._database.url, port=port)

    # --- the database ------------------------------------------------------------------------------

    def _kill_backend(self) -> None:
        """SIGKILL one that serves a client: PostgreSQL ends all others and recovers."""
        backends = [pid for pid in children(self._place.postgres.pid) if serves_a_client(pid)]
        with suppress(IndexError, ProcessLookupError):  # none is there, or it has just ended
            os.kill(self._chance.choice(backends), signal.SIGKILL)

    def _kill_postgres(self) -> None:
        self._place.kill_postgres()
        self._outage()
        self._place.start_postgres()

    def _restart_postgres(self) -> None:
        self._place.postgres.stop()
        self._outage()
        self._place.start_postgres()

    def _striking(self, fault: Fault) -> Callable[[], None]:
        return lambda: self._database.strike(fault, _STRIKE_S)

    # --- the payment gateway -----------------------------------------------------------------------

    def _take_gateway_away(self) -> None:
        """What was asked is cut off, what is asked now is provably never sent."""
        self._gateway.cut(then_refuse=True)
        self._outage()
        self._gateway.mend()

    def _silence_gateway(self) -> None:
        """It takes in what is asked, and says nothing."""
        os.kill(self._gateway_pid, signal.SIGSTOP)
        try:
            self._outage()
        finally:
            os.kill(self._gateway_pid, signal.SIGCONT)

    # --- clients -----------------------------------------------------------------------------------

    def _suffer_stranger(self) -> None:
        """Who asks and never listens, stands still, and dies."""
        address = self._place.servers[0].address
        stranger = start_process([sys.executable, "-m", "inventory_loadtest.soak.stranger", address])
        os.kill(stranger.pid, signal.SIGSTOP)
        self._stop.wait(_LISTENS_NOT_S)
        stranger.process.kill()
        stranger.stop()
