"""What processes use, read from /proc, and what a server says of itself; by the second, in a thread."""

from __future__ import annotations

import os
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

PERIOD_S = 1.0
_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
_TIMEOUT_S = 5.0
_CLIENT = b"[local]"
"""In the title of a PostgreSQL process: it serves a client through the socket."""


@dataclass(frozen=True)
class Watched:
    """What is measured; each is asked for anew every time, since processes come and go.

    Args:
        server: the process id of the server that is never killed.
        victim: of the one that is killed again and again; None while it is down.
        postgres: PostgreSQL's postmaster; None while it is down.
        metrics: URL of the first server's metrics.
        acknowledged: how many calls were acknowledged so far.
        left_open: how many calls were left open so far.
    """

    server: Callable[[], int]
    victim: Callable[[], int | None]
    postgres: Callable[[], int | None]
    metrics: str
    acknowledged: Callable[[], int]
    left_open: Callable[[], int]


@dataclass(frozen=True)
class Sample:
    """One look. Sizes in MB (10^6 bytes).

    Attributes:
        at_s: seconds since the soak's begin.
        server_mb, victim_mb: resident size; 0 of a process that is down.
        postgres_mb: what all its processes have for themselves: how large shared buffers get is a setting.
        files: open files of the server, connections among them.
        threads: of the server.
        tasks: of the server's event loop; None where it did not say.
        watches: open at the server; None where it did not say.
        connections: to PostgreSQL.
        acknowledged, left_open: calls so far.
    """

    at_s: float
    server_mb: float
    victim_mb: float
    postgres_mb: float
    files: int
    threads: int
    tasks: int | None
    watches: int | None
    connections: int
    acknowledged: int
    left_open: int

    def as_json(self) -> dict[str, float | None]:
        return asdict(self)


class Gauges:
    """Looks once a second while its block runs.

    Args:
        watched: at what.
    Attributes:
        samples: all looks so far.
        violations: the most that the server's own verification said is broken.
    """

    def __init__(self, watched: Watched) -> None:
        self._watched = watched
        self._began_s = time.monotonic()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gauges", daemon=True)
        self.samples: list[Sample] = []
        self.violations = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    @property
    def now_s(self) -> float:
        """Seconds since the begin."""
        return time.monotonic() - self._began_s

    def _run(self) -> None:
        while not self._stop.is_set():
            self.samples.append(self._look())
            self._stop.wait(PERIOD_S - self.now_s % PERIOD_S)

    def _look(self) -> Sample:
        watched, said = self._watched, metrics(self._watched.metrics)
        server, victim, postmaster = watched.server(), watched.victim(), watched.postgres()
        family = [] if postmaster is None else [postmaster, *children(postmaster)]
        self.violations = max(self.violations, int(said.get("inventory_invariant_violations", 0)))
        return Sample(
            at_s=round(self.now_s, 2),
            server_mb=resident_mb(server),
            victim_mb=0.0 if victim is None else resident_mb(victim),
            postgres_mb=round(sum(map(private_mb, family)), 2),
            files=_count(Path(f"/proc/{server}/fd")),
            threads=_count(Path(f"/proc/{server}/task")),
            tasks=_whole(said.get("inventory_tasks")),
            watches=_whole(said.get("inventory_watchers")),
            connections=sum(map(serves_a_client, family)),
            acknowledged=watched.acknowledged(),
            left_open=watched.left_open(),
        )


def metrics(url: str) -> dict[str, float]:
    """What a server's metrics say, summed over their labels; nothing where it doesn't answer."""
    found: dict[str, float] = {}
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return {}
    for line in lines:
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            name = name.partition("{")[0]
            found[name] = found.get(name, 0.0) + float(value)
    return found


def resident_mb(pid: int) -> float:
    """A process's resident size; 0 where it is gone (proc_pid_statm(5))."""
    pages = _pages(pid)
    return round(pages[1] * _PAGE_BYTES / 1e6, 2) if pages else 0.0


def private_mb(pid: int) -> float:
    """What of it is neither a file's nor shared memory's."""
    pages = _pages(pid)
    return (pages[1] - pages[2]) * _PAGE_BYTES / 1e6 if pages else 0.0


def children(pid: int) -> Iterator[int]:
    """The processes that a process has started; PostgreSQL forks from its main thread alone."""
    yield from map(int, _read(Path(f"/proc/{pid}/task/{pid}/children")).split())


def serves_a_client(pid: int) -> bool:
    """Whether a process of PostgreSQL is a client's session."""
    return _CLIENT in _read(Path(f"/proc/{pid}/cmdline"))


def _pages(pid: int) -> list[int]:
    return [int(part) for part in _read(Path(f"/proc/{pid}/statm")).split()]


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # it has ended meanwhile


def _count(folder: Path) -> int:
    try:
        return sum(1 for _ in folder.iterdir())
    except OSError:
        return 0


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
