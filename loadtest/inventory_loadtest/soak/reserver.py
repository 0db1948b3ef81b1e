"""Who reserves without an order, one by one, in batches, on streams; and ends it, or lets it run out."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import grpc

from inventory_client import Client, InventoryError, Unavailable, error_of, v1
from inventory_client.reserving import batch_of, item_of, verdicts_of
from inventory_loadtest.asking import CALL_TIMEOUT_S, Asker, reason_of
from inventory_loadtest.history import Event, Outcome, Step
from inventory_loadtest.soak.shift import Shift

_ITEMS_AT_MOST = 12
_RUNS_OUT_S = 2
_RUNS_OUT_SHARE = 0.2

_Verdicts = Sequence[v1.Reservation | InventoryError]


class Reserver:
    """Reserves, and confirms, fulfils or releases what it got.

    Args:
        client: of the server that is asked.
    """

    def __init__(self, client: Client) -> None:
        self._inventory = client.inventory
        self._client = client

    def go(self, shift: Shift, name: str, chance: random.Random) -> None:
        """Reserve once, or many at once. Args: name: what the ids are made of, new to the shift."""
        asker = Asker(self._client, shift.record)
        way = chance.choice([self._one, self._batch, self._stream])
        count = 1 if way == self._one else chance.randint(2, _ITEMS_AT_MOST)
        requests = [_request(shift, f"{name}-{n}", chance) for n in range(count)]
        verdicts: list[v1.Reservation | InventoryError] = []

        def send() -> None:
            verdicts[:] = way(requests)
            for verdict in verdicts:
                if isinstance(verdict, InventoryError) and verdict.retryable:
                    raise verdict  # of this one nobody knows: all are sent again, under the same ids

        call = asker.tried(Step.RESERVE, send)
        for n, request in enumerate(requests):
            event = _event(call, request, verdicts[n] if call.ok else None)
            asker.record(event)
            if event.ok and request.never_expires:
                self._end(asker, request, chance)

    def _one(self, requests: Sequence[v1.ReserveStockRequest]) -> _Verdicts:
        try:
            return [self._inventory.ReserveStock(requests[0], timeout=CALL_TIMEOUT_S).reservation]
        except InventoryError as error:
            return [error]

    def _batch(self, requests: Sequence[v1.ReserveStockRequest]) -> _Verdicts:
        return verdicts_of(self._inventory.BatchReserveStock(batch_of(requests), timeout=CALL_TIMEOUT_S))

    def _stream(self, requests: Sequence[v1.ReserveStockRequest]) -> _Verdicts:
        """All in one message; a verdict for each, in the order asked for."""
        items = [item_of(str(n), request) for n, request in enumerate(requests)]
        call = self._inventory.ReserveStockStream(
            iter([v1.ReserveStockStreamRequest(items=items)]), timeout=CALL_TIMEOUT_S
        )
        told = {verdict.item_id: verdict for response in call for verdict in response.verdicts}
        if len(told) < len(items):
            raise Unavailable("the stream ended early", code=grpc.StatusCode.UNAVAILABLE)
        verdicts = [told[item.item_id] for item in items]
        return [each.result if each.HasField("result") else error_of(each.error) for each in verdicts]

    def _end(self, asker: Asker, request: v1.ReserveStockRequest, chance: random.Random) -> None:
        """Confirm, fulfil or release it, or leave it held."""
        step = chance.choice([Step.CONFIRM, Step.FULFILL, Step.RELEASE, None])
        if step is None:
            return
        ending: Any = getattr(v1, f"{step}Request")(
            reservation_id=request.reservation_id, request_id=f"{request.reservation_id}.{step}"
        )
        method = getattr(self._inventory, step)
        asker.ask(step, lambda: method(ending, timeout=CALL_TIMEOUT_S), call_id=request.reservation_id)


def _request(shift: Shift, reservation_id: str, chance: random.Random) -> v1.ReserveStockRequest:
    request = v1.ReserveStockRequest(
        reservation_id=reservation_id,
        lines=[
            v1.LineRequest(product_id=line.product_id, quantity=line.quantity) for line in shift.lines(chance)
        ],
    )
    if chance.random() < _RUNS_OUT_SHARE:
        request.ttl.FromSeconds(_RUNS_OUT_S)
    else:
        request.never_expires = True
    return request


def _event(
    call: Event, request: v1.ReserveStockRequest, verdict: v1.Reservation | InventoryError | None
) -> Event:
    """The event of one reservation. Args: verdict: None where the whole call has none."""
    about = replace(
        call,
        call_id=request.reservation_id,
        units={line.product_id: line.quantity for line in request.lines},
    )
    if isinstance(verdict, InventoryError):
        return replace(about, outcome=Outcome.REFUSED, reason=reason_of(verdict), message=verdict.message)
    return about
