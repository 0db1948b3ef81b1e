"""Makes `sample_orders.csv`, the orders of a tea merchant who doesn't exist.

    python -m inventory_loadtest.sample_orders

120 orders of 60 products, made up with a seed so that they look like real ones: few products are in many
orders, most orders are small and some are long, and now and then one names a product twice, at two prices.
A test says when the file is not what this makes.
"""

from __future__ import annotations

import csv
import io
import random
from pathlib import Path

SAMPLE_FILE = Path(__file__).with_name("sample_orders.csv")

_ORDERS = 120
_TEAS = (
    "assam",
    "ceylon",
    "darjeeling",
    "earl grey",
    "green",
    "jasmine",
    "mint",
    "oolong",
    "rooibos",
    "white",
)
_KINDS = ("loose 100g", "loose 1kg", "bags x20", "bags x100", "gift tin", "sampler")
_QUANTITIES = (1, 2, 3, 4, 6, 12, 24)
_QUANTITY_WEIGHTS = (30, 20, 10, 8, 14, 12, 6)


def sample_orders(seed: int = 7) -> str:
    """Make the file's text; the same seed makes the same."""
    source = random.Random(seed)
    products = [
        (f"{tea[:3].upper()}-{number:02d}", f"{tea} tea, {kind}")
        for tea in _TEAS
        for number, kind in enumerate(_KINDS, 1)
    ]
    source.shuffle(products)  # popularity has nothing to do with the name
    prices = {product_id: source.randrange(195, 4_995, 10) for product_id, _ in products}
    weights = [rank**-0.9 for rank in range(1, len(products) + 1)]
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(("order_id", "product_id", "description", "quantity", "unit_price"))
    for order_id in range(100_001, 100_001 + _ORDERS):
        count = min(40, 1 + int(source.expovariate(1 / 5)))
        wanted = dict.fromkeys(source.choices(products, weights, k=count))
        lines = [(product, prices[product[0]]) for product in wanted]
        if source.random() < 0.1:  # some more of it, at the price for more
            product, price_minor = source.choice(lines)
            lines.append((product, price_minor * 9 // 10))
        for (product_id, description), price_minor in lines:
            (quantity,) = source.choices(_QUANTITIES, _QUANTITY_WEIGHTS)
            rows.writerow((order_id, product_id, description, quantity, f"{price_minor / 100:.2f}"))
    return text.getvalue()


if __name__ == "__main__":
    SAMPLE_FILE.write_text(sample_orders(), encoding="utf-8")
