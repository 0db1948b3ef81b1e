"""Carts that shop on and on, for Locust's own page or its command line, against any server.

    locust -f loadtest/locustfile.py --host 127.0.0.1:50051 --web-host 127.0.0.1
    locust -f loadtest/locustfile.py --host 127.0.0.1:50051 --headless --users 50 --run-time 30s

Every user fills a cart, checks out, pays, and begins again with a new cart. When the test starts it makes the
stock of its own products; when that is gone, carts are turned away, which stands under names of its own
("AddCartItems, sold out") and is no failure. Nothing is checked here: `inventory race` has the proof.
"""

# ruff: noqa: E402 - the order of what follows is the point
from locust import User, constant, events, task  # importing Locust patches the standard library

# isort: split
import grpc.experimental.gevent

grpc.experimental.gevent.init_gevent()  # after the patching, before the first channel

import itertools
import logging
import random
import secrets
from typing import Any

from locust.argument_parser import LocustArgumentParser
from locust.env import Environment

import inventory_client
from inventory_loadtest.history import Event
from inventory_loadtest.locust_stats import report
from inventory_loadtest.plan import CartPlan, Line, synthetic_plan
from inventory_loadtest.shopper import Shopper


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: LocustArgumentParser) -> None:
    """The shop's own options; Locust's page shows them, too."""
    parser.add_argument("--products", type=int, default=10, help="different products")
    parser.add_argument("--stock", type=int, default=100_000, help="units of all products together")
    parser.add_argument("--lines", type=int, default=2, help="products in a cart, one unit each")
    parser.add_argument("--skew", type=float, default=1.0, help="how popular the popular are; 0: all alike")
    parser.add_argument("--split-share", type=float, default=0.0, help="share of the carts paid in two parts")
    parser.add_argument("--store", default="", help="store; empty: the server's default")


class Shop:
    """What all users of a test share: the connection, the products, the numbers of the carts."""

    def __init__(self, environment: Environment) -> None:
        options: Any = environment.parsed_options
        self._environment = environment
        self._name = f"locust-{secrets.token_hex(4)}"
        self._numbers = itertools.count(1)
        self._split_share: float = options.split_share
        # A few carts of the synthetic race are the patterns that users draw from.
        self._plan = synthetic_plan(
            self._name,
            carts=1_000,
            stock=options.stock,
            products=options.products,
            lines=options.lines,
            skew=options.skew,
        )
        self._client = inventory_client.connect(environment.host or "", store=options.store or None)
        self.shopper = Shopper(self._client, self._report)

    def open(self) -> str:
        """Make the stock; why that can't be, "" where it is done."""
        for product_id, units in self._plan.stock.items():
            made = self.shopper.stock(product_id, units)
            if not made.ok:
                return f"{made.reason}: {made.message}"
        return ""

    def next_cart(self) -> CartPlan:
        """A cart that nobody has had, filled like one of the patterns."""
        lines: tuple[Line, ...] = random.choice(self._plan.carts).lines
        number = next(self._numbers)
        return CartPlan(f"{self._name}.cart-{number}", lines, split=random.random() < self._split_share)

    def close(self) -> None:
        """Hang up."""
        self._client.close()

    def _report(self, event: Event) -> None:
        report(self._environment.events, event)


_shops: dict[Environment, Shop] = {}


@events.test_start.add_listener  # type: ignore[untyped-decorator]
def open_shop(environment: Environment, **_: Any) -> None:
    """Make the stock before the first user comes; without it the test ends with exit status 1."""
    _shops[environment] = Shop(environment)
    trouble = _shops[environment].open()
    if trouble and environment.runner:
        logging.error("no stock at %s: %s", environment.host, trouble)
        environment.process_exit_code = 1
        environment.runner.quit()


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def close_shop(environment: Environment, **_: Any) -> None:
    """Hang up when the last has gone."""
    if environment in _shops:
        _shops.pop(environment).close()


class Shopping(User):
    """A user: cart after cart, as fast as the server answers."""

    wait_time = constant(0)

    @task
    def shop(self) -> None:
        """One cart, from its creation to the last answer."""
        shop = _shops[self.environment]
        shop.shopper.walk(shop.next_cart())
