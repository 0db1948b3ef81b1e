"""Start a server or the gateway simulator as a process of its own, and never leave it behind.

A child started here says `ready ADDRESS` on its standard output when it serves, and ends when its standard
input does: the pipe closes however we end, so that nothing outlives us. (PR_SET_PDEATHSIG would fire when
the *thread* that started the child ends.)
"""

from __future__ import annotations

import collections
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType
from typing import IO, Self

from inventory_server.operator_error import OperatorError

READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 60.0  # above the server's own grace time, stop_grace_s, on a machine that is busy
UNTIL_STDIN_CLOSES = "--until-stdin-closes"
KEPT_LINES = 200
LAST_WORDS_TIMEOUT_S = 10.0  # a grandchild may keep the pipe of a child that has ended
INVENTORY_COMMAND = (sys.executable, "-c", "from inventory_client.command import main; main()")


class LaunchError(OperatorError):
    """A child ended, or said nothing, before it was ready; the text has its last line."""


class LaunchedProcess:
    """A running child that is ready. Its output is read to the end, the last lines of it are kept."""

    def __init__(self, process: subprocess.Popen[str], address: str, errors: collections.deque[str]) -> None:
        self.process = process
        self.address = address
        self._errors = errors

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def last_errors(self) -> tuple[str, ...]:
        """The last lines of its standard error, at most KEPT_LINES, oldest first."""
        return tuple(self._errors)

    def stop(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """End the child: SIGTERM, after `timeout_s` SIGKILL. Returns its exit status; a second call too."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
        status = self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()
        return status

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def start_process(
    argv: Sequence[str],
    *,
    ready_timeout_s: float = READY_TIMEOUT_S,
    pass_errors_on: bool = False,
    env: dict[str, str] | None = None,
) -> LaunchedProcess:
    """Start a child and wait until it says `ready ADDRESS`.

    Args:
        argv: the command; it must understand the end of its standard input as the order to stop.
        ready_timeout_s: seconds to wait for the line.
        pass_errors_on: write the child's standard error to ours as well.
        env: the child's environment; None: ours.
    Returns: the child with its address.
    Raises: LaunchError: it can't be started, ended before, or wasn't ready in time (then it is killed).
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=env,
            start_new_session=True,  # a Ctrl-C of the terminal comes to us; we stop the child in our order
        )
    except OSError as error:
        raise LaunchError(f"{argv[0]}: {error.strerror}") from error
    errors: collections.deque[str] = collections.deque(maxlen=KEPT_LINES)
    ready = threading.Event()
    addresses: list[str] = []

    def read_output(line: str) -> None:
        if line.startswith("ready ") and not addresses:
            addresses.append(line.split()[1])
            ready.set()

    def read_errors(line: str) -> None:
        errors.append(line)
        if pass_errors_on:
            sys.stderr.write(line + "\n")

    assert process.stdout is not None and process.stderr is not None
    readers = [
        _drain(process.stdout, read_output, at_end=ready.set),
        _drain(process.stderr, read_errors),
    ]
    in_time = ready.wait(ready_timeout_s)
    if addresses:
        return LaunchedProcess(process, addresses[0], errors)
    process.kill()
    status = process.wait()
    if process.stdin is not None:
        process.stdin.close()
    for reader in readers:
        reader.join(LAST_WORDS_TIMEOUT_S)
    name = _name(argv)
    if not in_time:
        raise LaunchError(f"{name}: not ready after {ready_timeout_s:g} s")
    last = next((line for line in reversed(errors) if line.strip()), f"exit status {status}")
    raise LaunchError(f"{name}: {last.strip()}")


@contextmanager
def ephemeral_server(*args: str) -> Iterator[str]:
    """Run `inventory serve --ephemeral` on a free port, and yield its address HOST:PORT.

    Args:
        args: further options of `inventory serve`.
    Raises: LaunchError.
    Effects: server, database and simulator are gone after the block. Settings in our environment don't
        reach it: a throw-away server must not find the real database's URL there.
    """
    argv = [*INVENTORY_COMMAND, "serve", "--ephemeral", "--port", "0", UNTIL_STDIN_CLOSES, *args]
    env = {name: value for name, value in os.environ.items() if not name.startswith("INVENTORY_")}
    with start_process(argv, env=env) as server:
        yield server.address


def gateway_simulator(args: Sequence[str] = ()) -> LaunchedProcess:
    """Start the payment gateway simulator on a free port.

    Args:
        args: its options: rates, latencies, seed.
    Raises: LaunchError.
    """
    return start_process(
        [sys.executable, "-m", "inventory_loadtest.gateway", "--port", "0", UNTIL_STDIN_CLOSES, *args]
    )


@contextmanager
def reserved_address() -> Iterator[str]:
    """Keep a port that nobody listens on; only a server that shares its port can take it meanwhile."""
    with socket.socket() as kept:
        kept.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        kept.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{kept.getsockname()[1]}"


def stop_when_stdin_closes() -> None:
    """Send ourselves SIGTERM when standard input ends. Effects: a daemon thread reads it from now on."""

    def watch() -> None:
        while os.read(0, 4096):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="until-stdin-closes", daemon=True).start()


def _name(argv: Sequence[str]) -> str:
    """What a child is called in an error: `inventory serve`, not the interpreter's path."""
    if tuple(argv[: len(INVENTORY_COMMAND)]) == INVENTORY_COMMAND:
        return " ".join(["inventory", *argv[len(INVENTORY_COMMAND) :][:1]])
    return argv[2] if argv[0] == sys.executable and argv[1:2] == ["-m"] else argv[0]


def _drain(
    stream: IO[str], take: Callable[[str], None], at_end: Callable[[], None] = lambda: None
) -> threading.Thread:
    """Read a stream to its end in a thread, so that the child never blocks on a full pipe."""

    def read() -> None:
        with stream:
            for line in stream:
                take(line.rstrip("\n"))
        at_end()

    thread = threading.Thread(target=read, name="drain", daemon=True)
    thread.start()
    return thread
