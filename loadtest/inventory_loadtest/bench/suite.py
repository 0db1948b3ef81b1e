"""Measurements in turn, round after round: the stages of `inventory bench`, and running them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from inventory_loadtest.bench.figures import Figure, Found, Round
from inventory_loadtest.bench.load import TOKEN_VARIABLE
from inventory_loadtest.bench.sample import Sample

HOT = "hot"
COLD = "cold"
COLD_PRODUCTS = 10_000
ROUNDS = 5

# A load beside another ends with that; never later than this, should it be forgotten.
_BESIDE_S_MAX = 600

Measure = Callable[[int], Sample]
"""Takes seconds."""


class BenchError(Exception):
    """A measurement could not be made; one line that says why."""


class Raw(Protocol):
    """The reference that runs beside the server, on the same database: raw SQL."""

    def __call__(self, *, clients: int, seconds: int, products: int, rate: float | None = None) -> Sample: ...


@dataclass(frozen=True)
class Stage:
    """Measurements that are made in turn, round after round, and the figures of a round.

    Attributes:
        title: a few words.
        measures: by name, in their order.
        figures: of each round.
        seconds: of each measurement.
        rounds: how often all of them are made.
        elsewhere: the measures whose units are not in the bench's own database and store.
    """

    title: str
    measures: Mapping[str, Measure]
    figures: Sequence[Figure]
    seconds: int
    rounds: int = ROUNDS
    elsewhere: Collection[str] = ()


@dataclass
class StageResult:
    stage: Stage
    rounds: list[Round] = field(default_factory=list)

    def found(self) -> list[Found]:
        return [Found(figure, [figure.of(round_) for round_ in self.rounds]) for figure in self.stage.figures]

    def units_held(self, *, elsewhere: bool = False) -> int:
        """What was acknowledged in all of it, in the bench's own database and store or elsewhere."""
        return sum(
            sample.units_held
            for round_ in self.rounds
            for name, sample in round_.items()
            if (name in self.stage.elsewhere) is elsewhere
        )


def run(stage: Stage, tell: Callable[[str], None]) -> StageResult:
    """Make a stage's measurements.

    Args:
        tell: called with the name of each measurement, before it.
    Raises: BenchError, also where nothing at all was answered: no ratio can be made of it.
    """
    result = StageResult(stage)
    for _ in range(stage.rounds):
        round_: dict[str, Sample] = {}
        for name, measure in stage.measures.items():
            tell(name)
            round_[name] = measure(stage.seconds)
            if not round_[name].count:
                raise BenchError(f"{name}: nothing was answered")
        result.rounds.append(round_)
    return result


@dataclass(frozen=True)
class Load:
    """Loads on one server, each from a process of its own.

    Attributes:
        target: `host:port` of a bench server, which has the products HOT and COLD-0 .. COLD-9999.
        token: the credential of all callers, where the server tells them apart.
    """

    target: str
    token: str | None = field(default=None, repr=False)

    def __call__(self, seconds: int, **options: object) -> Sample:
        """Run a load for some seconds. Args: options: those of `load.load`. Raises: BenchError."""
        with self._process(seconds, options) as process:
            return _sample_of(process)

    @contextmanager
    def beside(self, tell: Callable[[Sample], None], **options: object) -> Iterator[None]:
        """Keep a load running for the block, from when all its callers are connected.

        Args:
            tell: hears what it found.
        Raises: BenchError.
        """
        with self._process(_BESIDE_S_MAX, options) as process:
            assert process.stdout is not None
            if process.stdout.readline():
                yield
                process.terminate()
            tell(_sample_of(process))

    @contextmanager
    def _process(self, seconds: int, options: Mapping[str, object]) -> Iterator[subprocess.Popen[str]]:
        options = {"target": self.target, "seconds": seconds, "product": HOT, **options}
        argv = [sys.executable, "-m", "inventory_loadtest.bench.load"]
        for name, value in options.items():
            option = f"--{name.replace('_', '-')}"
            argv += [option] if value is True else [f"{option}={value}"]
        env = os.environ | ({TOKEN_VARIABLE: self.token} if self.token else {})
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env
        ) as process:
            try:
                yield process
            finally:
                process.kill()


def _sample_of(process: subprocess.Popen[str]) -> Sample:
    """Wait for a load's end. Raises: BenchError with its last word."""
    said, errors = process.communicate()
    if process.returncode:
        lines = errors.strip().splitlines() or [f"exit status {process.returncode}"]
        raise BenchError(f"load: {lines[-1]}")
    return Sample(**json.loads(said.splitlines()[-1]))
