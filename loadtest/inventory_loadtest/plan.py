"""What a race will do: the products with their units, and the carts with their lines. Pure, and replayable.

Every id of a race begins with the race's name and a dot, so that it runs beside whatever a server holds.
"""

from __future__ import annotations

import itertools
import json
import math
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from fractions import Fraction
from pathlib import Path

CURRENCY = "EUR"
NAME_CHARS_MAX = 28
PRODUCTS_PER_CART_MAX = 1_000
"""What the API takes in one cart."""
_RATE_MAX = 100_000


@dataclass(frozen=True)
class Line:
    """A product to put into a cart.

    Args:
        product_id: 1..128 visible ASCII characters.
        quantity: units, 1..2^43-1.
        unit_price_minor: the price of one unit in minor units, >= 0.
    """

    product_id: str
    quantity: int
    unit_price_minor: int


@dataclass(frozen=True)
class CartPlan:
    """One cart that races.

    Args:
        cart_id: the cart's id; its order's and its payments' are made of it.
        lines: at least one, in the order they are put in; a product may stand in several.
        split: whether it is paid in two parts.
        arrives_s: seconds after the start of the race, >= 0, when it begins.
    """

    cart_id: str
    lines: tuple[Line, ...]
    split: bool = False
    arrives_s: float = 0.0

    @property
    def order_id(self) -> str:
        """The id of the order it becomes."""
        return self.cart_id

    def payment_id(self, part: int) -> str:
        """The id of its first (1) or second (2) payment."""
        return f"{self.cart_id}.p{part}"

    def units(self) -> Counter[str]:
        """Units of all lines together, by product."""
        wanted: Counter[str] = Counter()
        for line in self.lines:
            wanted[line.product_id] += line.quantity
        return wanted


@dataclass(frozen=True)
class RacePlan:
    """A race.

    Args:
        name: 1..28 visible ASCII characters; all ids begin with it.
        stock: units by product, >= 0.
        carts: who races.
        gun: whether paying starts for all at once, when every cart has checked out or given up; otherwise
            each pays as soon as it can.
    """

    name: str
    stock: dict[str, int]
    carts: tuple[CartPlan, ...]
    gun: bool = True

    def write(self, path: Path) -> None:
        """Write the plan as JSON."""
        path.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> RacePlan:
        """Read what `write` wrote."""
        read = json.loads(path.read_text(encoding="utf-8"))
        carts = tuple(
            CartPlan(**{**cart, "lines": tuple(Line(**line) for line in cart["lines"])})
            for cart in read["carts"]
        )
        return cls(read["name"], read["stock"], carts, read["gun"])


def synthetic_plan(
    name: str,
    *,
    carts: int,
    stock: int,
    products: int = 1,
    lines: int = 1,
    skew: float = 1.0,
    split_share: float = 0.0,
    carts_per_s: float | None = None,
    seed: int = 1,
) -> RacePlan:
    """Make up a race: every cart wants one unit of each of a few products.

    Args:
        name: of the race.
        carts: how many, >= 1.
        stock: units of all products together, >= 0, shared out evenly; the popular ones get what is over.
        products: how many, >= 1.
        lines: different products in a cart, 1..1,000 and at most `products`.
        skew: how popular the popular are: product number r is wanted with weight 1 / r^skew; 0 = all alike.
        split_share: share of the carts, 0..1, that pay in two parts.
        carts_per_s: so many carts arrive in a second, > 0, and each pays as soon as it can; None = all arrive
            at once and start to pay at once.
        seed: the same numbers give the same plan.
    Raises: ValueError for a number out of its range.
    """
    for what, number, least, most in (
        ("carts", carts, 1, 1_000_000),
        ("stock", stock, 0, 2**43 - 1),
        ("products", products, 1, 1_000_000),
        ("lines", lines, 1, min(products, PRODUCTS_PER_CART_MAX)),
        ("skew", skew, 0, 10),
        ("split_share", split_share, 0, 1),
        ("carts_per_s", _RATE_MAX if carts_per_s is None else carts_per_s, 0.001, _RATE_MAX),
    ):
        if not least <= number <= most:
            raise ValueError(f"{what} must be {least:,} to {most:,}, not {number:,}")
    random_of_plan = random.Random(seed)
    ids = [f"{name}.product-{number:0{len(str(products))}}" for number in range(1, products + 1)]
    prices_minor = {product_id: random_of_plan.randrange(100, 10_000) for product_id in ids}
    each, over = divmod(stock, products)
    weights = list(itertools.accumulate(rank**-skew for rank in range(1, products + 1)))
    return RacePlan(
        name,
        {product_id: each + (rank < over) for rank, product_id in enumerate(ids)},
        tuple(
            CartPlan(
                f"{name}.cart-{number:0{len(str(carts))}}",
                tuple(Line(p, 1, prices_minor[p]) for p in _choose(random_of_plan, ids, weights, lines)),
                split=random_of_plan.random() < split_share,
                arrives_s=_arrival_s(random_of_plan, number, carts_per_s),
            )
            for number in range(1, carts + 1)
        ),
        gun=carts_per_s is None,
    )


def _choose(source: random.Random, ids: Sequence[str], weights: Sequence[float], count: int) -> list[str]:
    """Draw different products by popularity; bounded: what 20 rounds don't find is the most popular left."""
    chosen: dict[str, None] = {}
    for _ in range(20):
        chosen.update(dict.fromkeys(source.choices(ids, cum_weights=weights, k=count)))
        if len(chosen) >= count:
            break
    return list(itertools.islice(dict.fromkeys([*chosen, *ids]), count))


def _arrival_s(source: random.Random, number: int, carts_per_s: float | None) -> float:
    """When cart number n arrives: somewhere in the n-th interval, so neither in step nor in heaps."""
    return 0.0 if carts_per_s is None else round((number - source.random()) / carts_per_s, 6)


def plan_of_orders(
    name: str,
    orders: dict[str, list[Line]],
    *,
    stock_ratio: float,
    split_share: float = 0.0,
    carts_per_s: float | None = None,
    seed: int = 1,
) -> RacePlan:
    """Make a race of real orders: each is a cart, and there is stock for a share of what they want.

    Args:
        name: of the race.
        orders: lines by order id; the ids of orders and products go without the race's name.
        stock_ratio: units of a product = what all orders want of it times this, 0..100, rounded up: a
            product that somebody wants is there, unless the ratio is 0.
        split_share, carts_per_s, seed: see `synthetic_plan`; the seed shuffles the carts, too.
    Raises: ValueError for a number out of its range.
    """
    if not 0 <= stock_ratio <= 100:
        raise ValueError(f"stock_ratio must be 0 to 100, not {stock_ratio}")
    if not 0 <= split_share <= 1:
        raise ValueError(f"split_share must be 0 to 1, not {split_share}")
    if carts_per_s is not None and not 0.001 <= carts_per_s <= _RATE_MAX:
        raise ValueError(f"carts_per_s must be 0.001 to {_RATE_MAX:,}, not {carts_per_s}")
    random_of_plan = random.Random(seed)
    shuffled = list(orders.items())
    random_of_plan.shuffle(shuffled)
    carts = [
        CartPlan(
            f"{name}.{order_id}",
            tuple(Line(f"{name}.{line.product_id}", line.quantity, line.unit_price_minor) for line in lines),
            split=random_of_plan.random() < split_share,
            arrives_s=_arrival_s(random_of_plan, number, carts_per_s),
        )
        for number, (order_id, lines) in enumerate(shuffled, start=1)
    ]
    ratio = Fraction(str(stock_ratio))  # 0.1 * 30 is 3, not a little more
    stock = {product_id: math.ceil(units * ratio) for product_id, units in demand(carts).items()}
    return RacePlan(name, stock, tuple(carts), gun=carts_per_s is None)


def demand(carts: Iterable[CartPlan]) -> Counter[str]:
    """Units that all carts want together, by product."""
    wanted: Counter[str] = Counter()
    for cart in carts:
        wanted.update(cart.units())
    return wanted
