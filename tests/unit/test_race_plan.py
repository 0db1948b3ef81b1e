"""What a race will do, made up or made of real orders."""

from __future__ import annotations

from pathlib import Path

import pytest

from inventory_loadtest.plan import (
    PRODUCTS_PER_CART_MAX,
    Line,
    RacePlan,
    demand,
    plan_of_orders,
    synthetic_plan,
)


def test_the_units_are_shared_out() -> None:
    """All products together have the stock that was asked for, as evenly as it goes."""
    plan = synthetic_plan("r", carts=3, stock=100, products=7)
    assert sum(plan.stock.values()) == 100
    assert max(plan.stock.values()) - min(plan.stock.values()) == 1


@pytest.mark.parametrize(
    ("products", "lines", "skew"), [(1, 1, 1.0), (10, 10, 1.0), (1000, 5, 3.0), (50, 20, 0.0)]
)
def test_every_cart_has_its_lines(products: int, lines: int, skew: float) -> None:
    """Each cart wants exactly the lines asked for, all of different products, one unit each."""
    plan = synthetic_plan("r", carts=100, stock=10, products=products, lines=lines, skew=skew)
    for cart in plan.carts:
        assert len(cart.lines) == len(cart.units()) == lines
        assert set(cart.units().values()) == {1}


def test_the_popular_are_wanted_more() -> None:
    """With a skew of 1 the first of 10 products is wanted about a third of the time, the last seldom."""
    wanted = demand(synthetic_plan("r", carts=2000, stock=10, products=10).carts)
    assert 600 < wanted["r.product-01"] < 780
    assert 40 < wanted["r.product-10"] < 110


def test_a_seed_replays() -> None:
    """The same seed is the same plan, another seed another one."""
    plans = [
        synthetic_plan("r", carts=50, stock=10, products=9, lines=3, split_share=0.5, seed=s)
        for s in (1, 1, 2)
    ]
    assert plans[0] == plans[1] != plans[2]
    assert 10 < sum(cart.split for cart in plans[0].carts) < 40


@pytest.mark.parametrize(
    "wrong",
    [
        {"carts": 0},
        {"stock": -1},
        {"products": 0},
        {"lines": 0},
        {"lines": 2},
        {"skew": -1},
        {"split_share": 2},
    ],
)
def test_numbers_out_of_range(wrong: dict[str, int]) -> None:
    """A number that can't be meant is refused by its name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        synthetic_plan("r", **{"carts": 1, "stock": 1, **wrong})


def test_as_many_lines_as_a_cart_takes() -> None:
    """A cart of so many products is made up, one of a product more is not."""
    numbers = {"carts": 1, "stock": 1, "products": PRODUCTS_PER_CART_MAX + 1}
    plan = synthetic_plan("r", lines=PRODUCTS_PER_CART_MAX, **numbers)
    assert len(plan.carts[0].lines) == PRODUCTS_PER_CART_MAX
    with pytest.raises(ValueError, match="lines must be 1 to 1,000, not 1,001"):
        synthetic_plan("r", lines=PRODUCTS_PER_CART_MAX + 1, **numbers)


def test_a_race_of_orders() -> None:
    """Every order is a cart; a product has the ratio of what all want of it, rounded up."""
    orders = {"a": [Line("x", 20, 5), Line("x", 5, 6)], "b": [Line("x", 5, 5), Line("y", 1, 7)]}
    plan = plan_of_orders("r", orders, stock_ratio=0.1)
    assert plan.stock == {"r.x": 3, "r.y": 1}
    assert sorted(cart.order_id for cart in plan.carts) == ["r.a", "r.b"]
    assert demand(plan.carts) == {"r.x": 30, "r.y": 1}
    assert plan_of_orders("r", orders, stock_ratio=0).stock == {"r.x": 0, "r.y": 0}


@pytest.mark.parametrize(
    "wrong", [{"stock_ratio": -0.1}, {"stock_ratio": 101}, {"split_share": 1.5}, {"carts_per_s": 0}]
)
def test_shares_out_of_range(wrong: dict[str, float]) -> None:
    """A share that can't be meant is refused by its name."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        plan_of_orders("r", {"a": [Line("x", 1, 1)]}, **{"stock_ratio": 1, **wrong})


def test_carts_arrive_at_a_rate() -> None:
    """At 10 carts a second the 50th arrives in the fifth second, and nobody waits for a gun."""
    for plan in (
        synthetic_plan("r", carts=50, stock=1, carts_per_s=10),
        plan_of_orders("r", {str(n): [Line("x", 1, 1)] for n in range(50)}, stock_ratio=1, carts_per_s=10),
    ):
        arrivals = [cart.arrives_s for cart in plan.carts]
        assert arrivals == sorted(arrivals)
        assert 4.9 <= arrivals[-1] <= 5.0
        assert not plan.gun


def test_a_plan_survives_its_file(tmp_path: Path) -> None:
    """What is written is read back equal."""
    plan = synthetic_plan("r", carts=5, stock=3, products=4, lines=2, split_share=0.5, carts_per_s=10)
    plan.write(tmp_path / "plan.json")
    assert RacePlan.read(tmp_path / "plan.json") == plan
