"""Callers of several servers that change and read the same records by chance, and note what they were told.

What an answer must have come from is noted only where the promises of docs/concepts.md leave one version:
- levels, holds and carts say their version, or are in a state that is one;
- a location is disabled, or deleted, once and for all. A line that was served there saw it enabled; one that
  was short there, where units abound, saw it disabled; units that came saw it there; whoever deleted it saw
  all of its levels unopened, since nothing leaves a location that is to be deleted.
"""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from inventory_client import v1
from support.faults.calls import Caller, Refused
from support.serial.history import Call, Versions

PRODUCTS = tuple("abcd")
HUB = "default"
CARTS = 6
CLIENTS = 12
# So many that no line is short but where its location is disabled.
UNITS = 1_000_000
_INCREMENT = v1.StockAction.STOCK_ACTION_INCREMENT
_STATES = v1.ReservationState
_HOLD_VERSIONS = {
    _STATES.RESERVATION_STATE_HELD: 1,
    _STATES.RESERVATION_STATE_COMMITTED: 2,
    _STATES.RESERVATION_STATE_RELEASED: 3,
    _STATES.RESERVATION_STATE_CLOSED: 3,
}


def level(product_id: str, location: str) -> str:
    return f"{product_id}@{location}"


@dataclass
class Told:
    """A call of the history with what it was answered, or the reason of its refusal.

    `moves`: the levels whose log must have an entry of it.
    """

    call: Call
    answer: Any
    reason: str
    moves: Sequence[str]


class Places:
    """Locations that are used up one after the other: all aim at one that somebody is about to take away."""

    def __init__(self, kind: str, count: int) -> None:
        self.names = [f"{kind}{number}" for number in range(count)]
        self._gone = 0
        self._lock = threading.Lock()

    def aim(self, chance: random.Random) -> str:
        """Return the next to be taken away, or the one that was last."""
        return self.names[min(max(0, self._gone - chance.randint(0, 1)), len(self.names) - 1)]

    def take(self) -> str | None:
        """Return the next one, which nobody else is given."""
        with self._lock:
            self._gone += 1
            return self.names[self._gone - 1] if self._gone <= len(self.names) else None


class Mixture:
    """Calls at several servers on one store, which nobody else uses.

    Args:
        addresses: of the servers; each client has one of them.
        call_count: about how many calls there will be.
        place_count: how many locations are disabled meanwhile, and how many are deleted.
    """

    def __init__(
        self, addresses: Sequence[str], store: str, chance: random.Random, call_count: int, place_count: int
    ) -> None:
        self.shelves = Places("shelf", place_count)
        self.attics = Places("attic", place_count)
        self.carts = [f"cart{number}" for number in range(CARTS)]
        self.holds: list[str] = []
        self.violations: list[str] = []
        self._left = itertools.repeat(None, call_count)
        self._clients = [
            _Client(self, number, addresses[number % len(addresses)], store, random.Random(chance.random()))
            for number in range(CLIENTS)
        ]

    def run(self) -> list[Call]:
        """Send all calls; return their history, with the versions that the log says they made."""
        first = self._clients[0]
        try:
            first.set_up()
            with ThreadPoolExecutor(len(self._clients), thread_name_prefix="client") as pool:
                for done in [pool.submit(client.work, self._left) for client in self._clients]:
                    done.result()
            told = [each for client in self._clients for each in client.told]
            self._note_versions(told, first.log())
        finally:
            for client in self._clients:
                client.close()
        return [each.call for each in told]

    def _note_versions(self, told: Sequence[Told], log: Sequence[v1.StockTransaction]) -> None:
        """Add the levels' versions. Raises: AssertionError where log and answers differ."""
        by_name = {each.call.name: each for each in told}
        for entry in log:
            name = entry.reference
            if entry.action == v1.StockAction.STOCK_ACTION_CREATE:
                name = f"CreateStock {entry.product_id}"
            elif entry.action == v1.StockAction.STOCK_ACTION_RESERVE:
                name = f"ReserveStock {entry.reservation_id}"
            writes = by_name[name].call.writes
            record = level(entry.product_id, entry.location)
            assert record not in writes, f"{name} is twice in the log of {record}"
            writes[record] = entry.version
        for each in told:
            logged = sorted(record for record in each.call.writes if "@" in record)
            assert logged == sorted(each.moves), f"{each.call.name} was answered {each.reason or 'OK'}"


class _Client:
    """One caller, whose calls come one after the other."""

    def __init__(
        self, mixture: Mixture, number: int, address: str, store: str, chance: random.Random
    ) -> None:
        self.told: list[Told] = []
        self._mixture = mixture
        self._number = number
        self._caller = Caller(lambda: address, store)
        self._chance = chance
        # Its own live holds, with their lines; nobody else ends them.
        self._holds: dict[str, list[str]] = {}
        self._confirmed: set[str] = set()
        self.close = self._caller.close
        self._steps: dict[Callable[[], None], int] = {
            self._hold: 20, self._end_hold: 14, self._fill_cart: 12, self._bring: 12, self._look: 20,
            self._look_at_hold: 6, self._look_at_cart: 6, self._look_at_places: 6,
            self._disable: 3, self._delete: 3, self._verify: 1,
        }  # fmt: skip

    def work(self, left: Any) -> None:
        steps, weights = list(self._steps), list(self._steps.values())
        for _ in left:
            self._chance.choices(steps, weights)[0]()

    def _send(
        self, method: str, which: str, request: Any, moves: Sequence[str] = (), refusals: Sequence[str] = ()
    ) -> Told:
        """Send a call until it is answered, and note it. Raises: Refused for a reason not among these."""
        name = f"{method} {which}"
        if "reference" in request.DESCRIPTOR.fields_by_name:
            request.reference = name
        sent_s = time.monotonic()
        answer, reason = None, ""
        try:
            answer = self._caller.send(method, request)
        except Refused as refused:
            if refused.reason not in refusals:
                raise
            reason = refused.reason
        call = Call(name, self._number, sent_s, time.monotonic())
        told = Told(call, answer, reason, [] if reason else moves)
        self.told.append(told)
        return told

    def _next(self) -> str:
        return f"{self._number}-{len(self.told)}"

    # --- before and after --------------------------------------------------------------------------

    def set_up(self) -> None:
        """Make the store's records: what is to be disabled has units, what is to be deleted has none."""
        mixture = self._mixture
        for product in PRODUCTS:
            request = v1.CreateStockRequest(product_id=product, quantity=UNITS, request_id=product)
            self._send("CreateStock", product, request, [level(product, HUB)])
        for place in (*mixture.shelves.names, *mixture.attics.names):
            self._send("CreateLocation", place, v1.CreateLocationRequest(slug=place, request_id=place))
        for cart in mixture.carts:
            self._send("CreateCart", cart, v1.CreateCartRequest(cart_id=cart, currency="EUR"))
        shelf_levels = list(itertools.product(PRODUCTS, mixture.shelves.names))
        items = [
            v1.StockTransactionItem(
                item_id=level(product, place), product_id=product, location=place, action=_INCREMENT,
                quantity=UNITS, reference="BatchCreateStockTransactions shelves",
            )
            for product, place in shelf_levels
        ]  # fmt: skip
        batch = v1.BatchCreateStockTransactionsRequest(items=items, request_id="shelves")
        self._send(
            "BatchCreateStockTransactions", "shelves", batch, list(itertools.starmap(level, shelf_levels))
        )

    def log(self) -> list[v1.StockTransaction]:
        """Return the log of all products."""
        entries: list[v1.StockTransaction] = []
        request = v1.ListStockTransactionsRequest(page_size=1_000)
        while True:
            page = self._caller.send("ListStockTransactions", request)
            entries += page.stock_transactions
            request.page_token = page.next_page_token
            if not request.page_token:
                return entries

    # --- what changes ------------------------------------------------------------------------------

    def _hold(self) -> None:
        hold, shelf = self._next(), self._mixture.shelves.aim(self._chance)
        chosen = self._chance.sample(PRODUCTS, self._chance.randint(1, 3))
        lines = {product: self._chance.choice([HUB, shelf]) for product in chosen}
        request = v1.ReserveStockRequest(
            reservation_id=hold,
            lines=[v1.LineRequest(product_id=p, location=place, quantity=1) for p, place in lines.items()],
            never_expires=True,
        )
        self._mixture.holds.append(hold)
        levels = list(itertools.starmap(level, lines.items()))
        told = self._send("ReserveStock", hold, request, levels, self._reasons(shelf, lines.values()))
        self._note_shelf(told, shelf, lines.values())
        if not told.reason:
            told.call.writes[f"hold {hold}"] = 1
            self._holds[hold] = levels

    def _reasons(self, shelf: str, places: Any) -> Sequence[str]:
        return ["INSUFFICIENT_STOCK"] if shelf in places else []

    def _note_shelf(self, told: Told, shelf: str, places: Any) -> None:
        if shelf in places:
            told.call.reads[shelf] = 1 if told.reason else 0

    def _end_hold(self) -> None:
        if not self._holds:
            return
        hold = self._chance.choice(list(self._holds))
        method = self._chance.choice(
            ["Release", "Fulfill", *(["Confirm"] if hold not in self._confirmed else [])]
        )
        moves = [] if method == "Confirm" else self._holds.pop(hold)
        which = self._next()
        request = getattr(v1, f"{method}ReservationRequest")(reservation_id=hold, request_id=which)
        told = self._send(f"{method}Reservation", which, request, moves)
        if method == "Confirm":
            self._confirmed.add(hold)
        told.call.writes[f"hold {hold}"] = 2 if method == "Confirm" else 3

    def _fill_cart(self) -> None:
        cart, shelf, which = (
            self._chance.choice(self._mixture.carts),
            self._mixture.shelves.aim(self._chance),
            self._next(),
        )
        place = self._chance.choice([HUB, shelf])
        item = v1.CartItemRequest(
            product_id=self._chance.choice(PRODUCTS), quantity=1, unit_price_minor=1, location=place
        )
        request = v1.AddCartItemsRequest(cart_id=cart, items=[item], request_id=which)
        told = self._send("AddCartItems", which, request, refusals=self._reasons(shelf, [place]))
        self._note_shelf(told, shelf, [place])
        if not told.reason:
            told.call.writes[cart] = _units(told.answer.cart)

    def _bring(self) -> None:
        """Bring units to the hub or to an attic, from outside or from the hub."""
        which, product, attic = (
            self._next(),
            self._chance.choice(PRODUCTS),
            self._mixture.attics.aim(self._chance),
        )
        place = self._chance.choice([HUB, attic, attic])
        refusals = ["LOCATION_NOT_FOUND"] if place == attic else []
        if place == attic and self._chance.random() < 0.5:
            transfer = v1.TransferStockRequest(
                product_id=product, quantity=1, target_location=attic, request_id=which
            )
            moves = [level(product, HUB), level(product, attic)]
            told = self._send("TransferStock", which, transfer, moves, refusals)
        else:
            change = v1.CreateStockTransactionRequest(
                product_id=product, action=_INCREMENT, quantity=1, location=place, request_id=which
            )
            told = self._send("CreateStockTransaction", which, change, [level(product, place)], refusals)
        if place == attic:
            told.call.reads[attic] = 1 if told.reason else 0

    def _disable(self) -> None:
        shelf = self._mixture.shelves.take()
        if shelf is not None:
            request = v1.UpdateLocationRequest(slug=shelf, disabled=True, request_id=shelf)
            self._send("UpdateLocation", shelf, request).call.writes[shelf] = 1
            # Who disabled it looks at once whether anything is still served there.
            self._look()

    def _delete(self) -> None:
        attic = self._mixture.attics.take()
        if attic is not None:
            request = v1.DeleteLocationRequest(slug=attic, request_id=attic)
            told = self._send("DeleteLocation", attic, request, refusals=["LOCATION_NOT_EMPTY"])
            if not told.reason:
                told.call.writes[attic] = 1
                told.call.reads.update({level(product, attic): 0 for product in PRODUCTS})

    # --- what reads: each answer is of one moment --------------------------------------------------

    def _look(self) -> None:
        products = self._chance.sample(PRODUCTS, self._chance.randint(2, len(PRODUCTS)))
        request = v1.BatchGetStockRequest(product_ids=products, view=v1.StockView.STOCK_VIEW_LEVELS)
        told = self._send("BatchGetStock", self._next(), request)
        places = (HUB, *self._mixture.shelves.names, *self._mixture.attics.names)
        seen: Versions = {level(product, place): 0 for product in products for place in places}
        for stock in told.answer.stocks:
            seen.update({level(stock.product_id, each.location): each.version for each in stock.levels})
        told.call.reads.update(seen)

    def _look_at_hold(self) -> None:
        if self._mixture.holds:
            hold = self._chance.choice(self._mixture.holds[-2 * CLIENTS :])
            request = v1.GetReservationRequest(reservation_id=hold)
            told = self._send("GetReservation", self._next(), request, refusals=["RESERVATION_NOT_FOUND"])
            state = None if told.reason else told.answer.reservation.state
            told.call.reads[f"hold {hold}"] = 0 if state is None else _HOLD_VERSIONS[state]

    def _look_at_cart(self) -> None:
        cart = self._chance.choice(self._mixture.carts)
        told = self._send("GetCart", self._next(), v1.GetCartRequest(cart_id=cart))
        told.call.reads[cart] = _units(told.answer.cart)

    def _look_at_places(self) -> None:
        told = self._send("ListLocations", self._next(), v1.ListLocationsRequest(page_size=1_000))
        disabled = {place.slug: place.disabled for place in told.answer.locations}
        for shelf in self._mixture.shelves.names:
            told.call.reads[shelf] = int(disabled[shelf])
        for attic in self._mixture.attics.names:
            told.call.reads[attic] = int(attic not in disabled)

    def _verify(self) -> None:
        told = self._send("VerifyStock", self._next(), v1.VerifyStockRequest())
        self._mixture.violations += map(str, told.answer.violations)


def _units(cart: v1.Cart) -> int:
    """Return a cart's version: nothing is ever taken out, and each call adds one unit."""
    return sum(item.quantity for item in cart.items)
