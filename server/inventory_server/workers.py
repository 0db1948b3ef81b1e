"""Several server processes on one port: started, watched, replaced when one dies, stopped together.

Python runs one thread at a time, so one process uses one core. The kernel spreads new connections over all
processes that listen on the port (SO_REUSEPORT). They share nothing but the database; what holds between any
two servers holds between them.
"""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog
from pydantic import SecretStr

from inventory_server import welcome
from inventory_server.config import Settings
from inventory_server.launch import (
    INVENTORY_COMMAND,
    UNTIL_STDIN_CLOSES,
    LaunchedProcess,
    LaunchError,
    start_process,
)
from inventory_server.rpc.address import AddressRefused

log = structlog.get_logger(__name__)

SERVE = (*INVENTORY_COMMAND, "serve", UNTIL_STDIN_CLOSES)
# Beside the grace time that a worker's own stop takes.
STOP_MARGIN_S = 5.0
LOOK_INTERVAL_S = 0.05
BACKOFF_S_MIN = 0.1
BACKOFF_S_MAX = 5.0
# A worker that lived so long is replaced at once when it dies.
LIVED_S = 10.0


class Workers:
    """The workers of one port.

    Args:
        settings: of all of them; `workers` says how many.
        database_url: that of `settings`, or the embedded one's.
        payment_gateway: as the setting, or the simulator's address.
        command: what a worker is started as; it understands the environment of `inventory serve`.
    """

    def __init__(
        self, settings: Settings, database_url: str, payment_gateway: str, command: Sequence[str] = SERVE
    ) -> None:
        self._settings = settings.model_copy(update={"payment_gateway": payment_gateway, "gateway_args": ()})
        self._database_url = database_url
        self._command = command
        # Set by the signal's handler, which may run in the midst of anything: no lock is safe in there.
        self._is_told_to_stop = False
        self._stopping = threading.Event()
        self._running: dict[int, LaunchedProcess] = {}

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT.

        Raises: OperatorError: the port is in use, or a worker can't be started in the first place.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._tell_to_stop)
        count = self._settings.workers
        with (
            _held_port(self._settings.host, self._settings.port) as held,
            ThreadPoolExecutor(count) as threads,
        ):
            port = held.getsockname()[1]
            keeping = [threads.submit(self._keep, index, port) for index in range(count)]
            try:
                if self._until(lambda: len(self._running) == count):
                    address = self._settings.model_copy(update={"port": port}).address
                    log.info("serving", address=address, workers=count)
                    welcome.announce(address, is_open=self._settings.is_open)
                self._until(lambda: False)
            finally:
                log.info("stopping", grace_s=self._settings.stop_grace_s)
                self._stop()
        for kept in keeping:
            kept.result()
        log.info("stopped")

    def _tell_to_stop(self, *_: object) -> None:
        self._is_told_to_stop = True

    def _until(self, condition: Callable[[], bool]) -> bool:
        """Wait for a condition, or for the end; return whether it was the condition."""
        while not (self._is_told_to_stop or self._stopping.is_set()):
            if condition():
                return True
            time.sleep(LOOK_INTERVAL_S)
        return False

    def _keep(self, index: int, port: int) -> None:
        """Keep one worker alive. Raises: LaunchError where its first start fails, which stops them all."""
        backoff_s = BACKOFF_S_MIN
        is_first = True
        while not self._stopping.is_set():
            begun_s = time.monotonic()
            try:
                worker = start_process(self._command, env=self._environment(index, port), pass_errors_on=True)
            except LaunchError as error:
                if is_first:
                    self._stopping.set()
                    raise
                log.error("worker_not_started", worker=index, error=str(error))
            else:
                self._running[index] = worker
                if self._stopping.is_set():
                    worker.stop()
                    return
                status = worker.process.wait()
                if self._stopping.is_set():
                    return
                log.error("worker_died", worker=index, pid=worker.pid, exit_status=status)
            is_first = False
            backoff_s = (
                BACKOFF_S_MIN if time.monotonic() - begun_s > LIVED_S else min(BACKOFF_S_MAX, 2 * backoff_s)
            )
            self._stopping.wait(backoff_s)

    def _stop(self) -> None:
        """Stop all at once: each may take its whole grace time."""
        self._stopping.set()
        workers = list(self._running.values())
        for worker in workers:
            with suppress(ProcessLookupError):
                worker.process.send_signal(signal.SIGTERM)
        for worker in workers:
            with suppress(subprocess.TimeoutExpired):
                worker.process.wait(self._settings.stop_grace_s + STOP_MARGIN_S)
            worker.stop(0)

    def _environment(self, index: int, port: int) -> dict[str, str]:
        """The settings of a worker, as it reads them."""
        base = self._settings.metrics_port
        own = {
            "database_url": self._database_url,
            "owner_database_url": self._settings.owner_database_url,
            "data_dir": None,
            "ephemeral": False,
            "port": port,
            "workers": 1,
            "reuse_port": True,
            "metrics_port": base + index if base else base,
        }
        settings = self._settings.model_dump(mode="json") | own
        return {
            **os.environ,
            **{f"INVENTORY_{name.upper()}": _text(value) for name, value in settings.items()},
        }


def _text(value: object) -> str:
    """A setting as an environment variable has it; an empty one is as none."""
    if value is None:
        return ""
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, list | tuple):
        return shlex.join(map(str, value))
    return str(value)


def _held_port(host: str, port: int) -> socket.socket:
    """Take a port for the workers, and keep it while none of them has it.

    Args:
        port: 0 = any that is free.
    Returns: a socket that listens to nothing; only those who set SO_REUSEPORT can have its port too.
    Raises: AddressRefused: it is in use.
    """
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        # Another service's workers would let us in.
        with socket.socket(family) as alone:
            alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            alone.bind((host, port))
            alone.listen(1)
        held = socket.socket(family)
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind((host, port))
    except OSError as error:
        raise AddressRefused(
            f"cannot listen on {host}:{port}: {error.strerror}; is another server running there?"
        ) from error
    return held
