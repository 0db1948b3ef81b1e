"""A mixed load from many threads; afterwards the laws of the product hold, judged over the API alone."""

from __future__ import annotations

import random
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

import inventory_client
from inventory_client import v1
from support.shop import Shop, word

THREADS = 12
STEPS = 25
PRODUCTS = ("a", "b", "c", "d")
REFUSALS = {
    "INSUFFICIENT_STOCK",
    "TOTAL_BELOW_ALLOCATED",
    "HAND_ALLOCATION_TOO_SMALL",
    "RESERVATION_NOT_ACTIVE",
    "RESERVATION_NOT_FOUND",
    "ORDER_CANCELLED",
    "ORDER_NOT_CANCELLABLE",
    "ORDER_NOT_FOUND",
    "ORDER_NOT_SHIPPABLE",
    "PAYMENT_IN_PROGRESS",
    "AMOUNT_EXCEEDS_BALANCE",
}


def step(shop: Shop, chance: random.Random, name: str) -> str:
    """Do one thing by chance; return what it was called and how it ended."""
    product, quantity = chance.choice(PRODUCTS), chance.randint(1, 4)
    # Ids of a small range, so that threads meet on them.
    some = f"{chance.randint(0, 30)}"
    lines = [(p, chance.randint(1, 3)) for p in chance.sample(PRODUCTS, chance.randint(1, 3))]
    what = chance.choice(
        ["hand", "hand", "reserve", "reserve", "confirm", "release", "fulfill", "order", "order", "pay",
         "cancel", "ship"]
    )  # fmt: skip
    try:
        if what == "hand":
            action = chance.choice(["INCREMENT", "DECREMENT", "ALLOCATE", "DEALLOCATE", "SET"])
            shop.change(product, action, quantity if action != "SET" else 20)
        elif what == "reserve":
            shop.reserve(f"r-{name}", *lines)
            shop.reserve(f"shared-{some}", (PRODUCTS[int(some) % 4], 1))
        elif what in ("confirm", "release", "fulfill"):
            getattr(shop, what)(f"shared-{some}")
        elif what == "order":
            total = shop.order(f"o-{name}", *lines).total_minor
            how = chance.choice(["accept", "accept", "decline", "slow-5ms", "requires-action"])
            shop.pay(f"o-{name}", f"p-{name}", total // chance.randint(1, 2), how)
            if chance.random() < 0.3:
                shop.ship(f"o-{name}", f"s-{name}")
        else:
            target = f"o-{chance.randrange(THREADS)}-{chance.randrange(STEPS)}"
            if what == "pay":
                shop.pay(target, f"p2-{name}", 50)
            elif what == "cancel":
                shop.cancel(target)
            else:
                shop.ship(target, f"s2-{name}")
    except inventory_client.InventoryError as error:
        return error.reason_name or error.code.name
    return "OK"


def replay(log: list[v1.StockTransaction]) -> tuple[int, int, int]:
    """Work out (available, allocated, by hand) from what the entries say, checking each on the way."""
    available = allocated = hand = 0
    for version, entry in enumerate(log, start=1):
        action, quantity = word(entry, "action"), entry.quantity
        if action in ("CREATE", "INCREMENT"):
            available += quantity
        elif action == "DECREMENT":
            available -= quantity
        elif action == "SET":
            available = quantity - allocated
        elif action in ("ALLOCATE", "RESERVE"):
            available, allocated = available - quantity, allocated + quantity
            hand += quantity if action == "ALLOCATE" else 0
        elif action in ("DEALLOCATE", "RELEASE", "EXPIRE"):
            available, allocated = available + quantity, allocated - quantity
            hand -= quantity if action == "DEALLOCATE" else 0
        else:
            assert action == "FULFILL"
            allocated -= quantity
        assert entry.version == version
        assert min(available, hand, allocated - hand) >= 0
        assert (entry.available_after, entry.allocated_after, entry.hand_allocated_after) == (
            available,
            allocated,
            hand,
        )
    return available, allocated, hand


@pytest.mark.fault(20)
def test_the_laws_hold_after_a_mixed_load(shop: Shop) -> None:
    """I1: the log replays to the levels, none below 0. I2: allocated = by hand + open units of live holds."""
    for product in PRODUCTS:
        shop.stock(product, 30)

    def run(thread: int) -> list[str]:
        chance = random.Random(1000 + thread)
        return [step(shop, chance, f"{thread}-{number}") for number in range(STEPS)]

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        verdicts = Counter(verdict for verdicts in pool.map(run, range(THREADS)) for verdict in verdicts)
    assert set(verdicts) <= REFUSALS | {"OK"}, verdicts
    assert verdicts["OK"] > THREADS * STEPS / 5
    assert verdicts["INSUFFICIENT_STOCK"] > 0

    logs = {product: shop.log(product) for product in PRODUCTS}
    live: Counter[str] = Counter()
    holders = {entry.reservation_id for log in logs.values() for entry in log} - {""}
    for reservation_id in holders:
        held = shop.reservation(reservation_id)
        is_live = word(held) in ("HELD", "COMMITTED")
        for line in held.lines:
            assert line.reserved == line.open + line.released + line.fulfilled
            assert is_live or line.open == 0
            live[line.product_id] += line.open
    for product, log in logs.items():
        available, allocated, hand = replay(log)
        assert shop.numbers(product) == (available + allocated, available, allocated)
        assert allocated == hand + live[product]

    for order_id in {entry.order_id for log in logs.values() for entry in log} - {""}:
        order = shop.get_order(order_id)
        payments = [shop.payment(payment_id) for payment_id in order.payment_ids]
        captured = sum(p.amount_minor for p in payments if word(p) == "CAPTURED")
        assert order.captured_minor == captured <= order.total_minor
        is_held = word(order) not in ("CANCELLED", "COMPLETE") and captured > 0
        assert [line.open for line in order.lines] == [line.quantity * is_held for line in order.lines]
