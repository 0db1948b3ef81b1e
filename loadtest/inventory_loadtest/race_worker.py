"""The process that runs the carts: Locust as a library, a greenlet for every cart.

    python -m inventory_loadtest.race_worker PLAN HISTORY --target 127.0.0.1:50051

A process of its own, because gevent patches the standard library of the whole process. It reads the plan,
stocks the products, lets every cart walk once, appends all events to the history, prints its `Progress` as a
line of JSON ten times a second, and ends with exit status 0. A cart that a defect of ours ends is told on
stderr and counted as broken. A parent that was killed is noticed at the next line, which nobody reads.
"""

# ruff: noqa: E402 - the order of what follows is the point
from locust import User, task  # importing Locust patches the standard library

# isort: split
import grpc.experimental.gevent

grpc.experimental.gevent.init_gevent()  # after the patching, before the first channel

import argparse
import logging
import resource
import sys
import time
import traceback
from collections import deque
from pathlib import Path

import gevent  # type: ignore[import-untyped]
from gevent.pool import Pool  # type: ignore[import-untyped]
from locust.env import Environment
from locust.exception import StopUser

import inventory_client
from inventory_loadtest.history import Event, HistoryWriter
from inventory_loadtest.locust_stats import report
from inventory_loadtest.plan import RacePlan
from inventory_loadtest.progress import Progress
from inventory_loadtest.shopper import Shopper
from inventory_loadtest.starting_gun import StartingGun

PROGRESS_S = 0.1
STOCKING_AT_ONCE = 32
GUN_WAIT_S_MAX = 120.0


class StockingFailed(Exception):
    """The race can't begin."""


class Field:
    """All carts of a race, shared by the greenlets that walk them.

    Args:
        plan: the race.
        client: the server; one connection carries all carts.
        environment: Locust's, for its statistics.
        history: where events go.
    """

    def __init__(
        self,
        plan: RacePlan,
        client: inventory_client.Client,
        environment: Environment,
        history: HistoryWriter,
    ) -> None:
        self.progress = Progress()
        self._plan = plan
        self._began_s = 0.0
        self._waiting = deque(plan.carts)
        self._gun = StartingGun(len(plan.carts) if plan.gun else 0, GUN_WAIT_S_MAX)
        self._client = client
        self._environment = environment
        self._history = history

    def stock(self) -> None:
        """Make the stock of every product; the race begins with its end.

        Raises: StockingFailed where one wasn't acknowledged: the race would prove nothing.
        """
        shopper = Shopper(self._client, self._record)
        for made in Pool(STOCKING_AT_ONCE).imap_unordered(
            lambda item: shopper.stock(*item), self._plan.stock.items()
        ):
            if not made.ok:
                raise StockingFailed(f"the stock can't be made: {made.reason}: {made.message}")
        self._began_s = time.monotonic()

    def run_one(self) -> None:
        """Walk the next cart that nobody has taken."""
        cart = self._waiting.popleft()
        at_the_line = False

        def await_gun() -> None:
            nonlocal at_the_line
            at_the_line = True
            self._gun.arrive()
            self.progress.fired = True

        time.sleep(max(0.0, self._began_s + cart.arrives_s - time.monotonic()))
        try:
            Shopper(self._client, self._record, await_gun).walk(cart)
        except Exception:
            self.progress.broken += 1
            traceback.print_exc()
        finally:
            self.progress.done += 1
            if not at_the_line:
                self._gun.leave()

    def _record(self, event: Event) -> None:
        self.progress.count(event)
        self._history.write([event])
        report(self._environment.events, event)


def run(plan: RacePlan, history: HistoryWriter, target: str, store: str | None) -> None:
    """Let all carts of a plan race, and return when the last has ended."""

    class RacingCart(User):
        """A cart: one greenlet of Locust's, which walks once."""

        @task
        def walk(self) -> None:
            """Walk, and be gone."""
            field.run_one()
            raise StopUser

    environment = Environment(user_classes=[RacingCart])
    runner = environment.create_local_runner()
    with inventory_client.connect(target, store=store) as client:
        field = Field(plan, client, environment, history)
        teller = gevent.spawn(_tell_on_and_on, field.progress)
        field.stock()
        runner.start(len(plan.carts), spawn_rate=len(plan.carts))
        while field.progress.done < len(plan.carts) and not teller.dead:
            time.sleep(PROGRESS_S / 2)
        runner.quit()
        teller.kill()
        _tell(field.progress)


def _tell_on_and_on(progress: Progress) -> None:
    while True:
        _tell(progress)
        time.sleep(PROGRESS_S)


def _tell(progress: Progress) -> None:
    used = resource.getrusage(resource.RUSAGE_SELF)
    progress.cpu_s = round(used.ru_utime + used.ru_stime, 2)
    sys.stdout.write(progress.to_json() + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run with the process's arguments."""
    parser = argparse.ArgumentParser(prog="python -m inventory_loadtest.race_worker", description=__doc__)
    parser.add_argument("plan", type=Path)
    parser.add_argument("history", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--store")
    given = parser.parse_args()
    logging.getLogger("locust").setLevel(logging.ERROR)  # its advice on CPU usage is for other tests
    history = HistoryWriter(given.history)
    try:
        run(RacePlan.read(given.plan), history, given.target, given.store)
    except StockingFailed as error:
        sys.exit(str(error))
    finally:
        history.close()


if __name__ == "__main__":
    main()
