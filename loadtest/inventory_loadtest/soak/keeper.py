"""Who keeps the stock: counts, moves between locations, imports totals, and exports what there is."""

from __future__ import annotations

import random

from inventory_client import Client, v1
from inventory_loadtest.asking import CALL_TIMEOUT_S, Asker
from inventory_loadtest.bench.imports import messages
from inventory_loadtest.history import Step
from inventory_loadtest.soak.shift import LOCATION, UNITS, Shift

_DEFAULT = "default"
_ACTIONS = ("INCREMENT", "INCREMENT", "DECREMENT", "ALLOCATE", "DEALLOCATE", "SET")
_QUANTITY_AT_MOST = 5
_TOTAL_AT_MOST = 2 * UNITS


class Keeper:
    """Changes stock by hand.

    Args:
        client: of the server that is asked.
    """

    def __init__(self, client: Client) -> None:
        self._inventory = client.inventory
        self._client = client

    def go(self, shift: Shift, name: str, chance: random.Random) -> None:
        """Do one thing. Args: name: the id that its effect bears, new to the shift."""
        asker = Asker(self._client, shift.record)
        ways = [self._change, self._transfer, self._import, self._export]
        chance.choices(ways, weights=(6, 3, 1, 1))[0](asker, shift, name, chance)

    def _change(self, asker: Asker, shift: Shift, name: str, chance: random.Random) -> None:
        action = chance.choice(_ACTIONS)
        quantity = chance.randint(1, UNITS if action == "SET" else _QUANTITY_AT_MOST)
        request = v1.CreateStockTransactionRequest(
            product_id=chance.choice(shift.products),
            action=v1.StockAction.Value(f"STOCK_ACTION_{action}"),
            quantity=quantity,
            request_id=name,
            reference=name,
        )
        asker.ask(
            Step.CHANGE,
            lambda: self._inventory.CreateStockTransaction(request, timeout=CALL_TIMEOUT_S),
            call_id=name,
            action=action,
            location=_DEFAULT,
            units={request.product_id: quantity},
        )

    def _transfer(self, asker: Asker, shift: Shift, name: str, chance: random.Random) -> None:
        source, target = chance.choice([(_DEFAULT, LOCATION), (LOCATION, _DEFAULT)])
        request = v1.TransferStockRequest(
            product_id=chance.choice(shift.products),
            quantity=chance.randint(1, _QUANTITY_AT_MOST),
            source_location=source,
            target_location=target,
            request_id=name,
            reference=name,
        )
        asker.ask(
            Step.TRANSFER,
            lambda: self._inventory.TransferStock(request, timeout=CALL_TIMEOUT_S),
            call_id=name,
            location=source,
            units={request.product_id: request.quantity},
        )

    def _import(self, asker: Asker, shift: Shift, name: str, chance: random.Random) -> None:
        """Set totals of some products; below what is allocated a row fails."""
        chosen = chance.sample(shift.products, chance.randint(1, len(shift.products)))
        rows = [(product_id, chance.randint(0, _TOTAL_AT_MOST)) for product_id in chosen]
        asker.ask(
            Step.IMPORT,
            lambda: self._inventory.ImportStock(messages(name, rows, name), timeout=CALL_TIMEOUT_S),
            call_id=name,
            units=dict(rows),
        )

    def _export(self, asker: Asker, shift: Shift, name: str, _: random.Random) -> None:
        """Export the store, and keep what it says of this shift's products."""

        def send() -> dict[str, int]:
            totals = {}
            for message in self._inventory.ExportStock(v1.ExportStockRequest(), timeout=CALL_TIMEOUT_S):
                for row in message.rows:
                    if row.product_id in shift.plan.stock:
                        totals.update(
                            {f"{row.product_id} {each.location}": each.total for each in row.levels}
                        )
            return totals

        asker.ask(Step.EXPORT, send, lambda totals: {"units": totals}, call_id=name)
