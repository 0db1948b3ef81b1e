"""A generator in C that asks the same empty calls, where h2load is installed: is ours the limit?

h2load can't vary what it sends, so it asks Echo alone: a reservation's id would repeat.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from inventory_loadtest.bench.asks import ECHO, Products, reservation
from inventory_loadtest.bench.figures import Figure, rates
from inventory_loadtest.bench.load import CHANNELS
from inventory_loadtest.bench.sample import Sample
from inventory_loadtest.bench.suite import HOT, BenchError, Load, Measure, Stage

PROGRAM = "h2load"
CALLERS = 64


def stage(load: Load, *, seconds: int) -> Stage | None:
    """Empty calls as our generator asks them, beside the same of h2load; None where there is no h2load."""
    if shutil.which(PROGRAM) is None:
        return None
    measures: dict[str, Measure] = {
        "echo_by_h2load": partial(_ask, load.target),
        "echo_by_ours": partial(load, kind="echo", callers=CALLERS, channels=CHANNELS),
    }
    figure = Figure(
        "generator",
        f"empty calls, {CALLERS} callers, as our generator asks them / as h2load does",
        None,
        rates("echo_by_ours", "echo_by_h2load"),
    )
    return Stage("generator", measures, [figure], seconds)


def _ask(target: str, seconds: int) -> Sample:
    with tempfile.TemporaryDirectory(prefix="inventory-h2load-") as folder:
        body, log = Path(folder) / "body", Path(folder) / "log"
        body.write_bytes(framed(reservation(Products(HOT, 1)).SerializeToString()))
        done = subprocess.run(
            [
                PROGRAM, f"--duration={seconds}", f"--clients={CHANNELS}", "--threads=1",
                f"--max-concurrent-streams={CALLERS // CHANNELS}", f"--data={body}", f"--log-file={log}",
                "--header=content-type: application/grpc", "--header=te: trailers", f"http://{target}{ECHO}",
            ],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        if done.returncode or not log.exists():
            lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
            raise BenchError(f"{PROGRAM}: {lines[-1]}")
        latencies_s = latencies(log.read_text())
    return Sample.of(len(latencies_s), seconds, latencies_s)


def framed(message: bytes) -> bytes:
    """A message as gRPC sends it over HTTP/2: not compressed, its length, itself."""
    return struct.pack(">BI", 0, len(message)) + message


def latencies(log: str) -> list[float]:
    """The seconds of each answer that was one: begin in microseconds, HTTP status, microseconds."""
    lines = (line.split() for line in log.splitlines())
    return [int(took_us) / 1e6 for _, status, took_us in lines if status == "200"]
