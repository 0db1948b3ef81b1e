"""What callers ask for, decoded. Each command says what the load step must fetch for it.

`content()` is what "the same content" means where an id is used again: a tuple of plain values. A field
that is added later joins it only where it is set, so that rows written before still compare equal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from hashlib import blake2b
from typing import TYPE_CHECKING, ClassVar

from inventory_server.domain.limits import DEFAULT_LOCATION, LOCATIONS_MAX
from inventory_server.domain.order import CartItem
from inventory_server.domain.reservation import Line, LineUnits
from inventory_server.domain.stock import Action

if TYPE_CHECKING:
    from inventory_server.domain.state import State


@dataclass(slots=True)
class Wanted:
    """The keys that a batch names, gathered over its commands; the load step fetches them in one trip."""

    # Whether all of the store's locations are wanted; reads that need none leave them out.
    locations: bool = True
    # Whether all that is known of them is wanted, and not only what sourcing goes by.
    locations_described: bool = False
    # Products with all their levels; where a store has few locations the following bring those too.
    products: set[str] = field(default_factory=set)
    # Products of which what all levels come to is wanted, and not the levels.
    sums: set[str] = field(default_factory=set)
    # Levels by (product, slug).
    levels: set[tuple[str, str]] = field(default_factory=set)
    # How many lines want so many units of a product from anywhere, by (product, quantity).
    lines: dict[tuple[str, int], int] = field(default_factory=dict)
    # For reads: whether the units of holds that are due are wanted with either.
    expired_held: bool = False
    # Locations of which it must be known whether anything is kept there.
    locations_emptied: set[str] = field(default_factory=set)
    reservations: set[str] = field(default_factory=set)
    # Reservations whose products are needed too, since their units may move.
    reservations_moved: set[str] = field(default_factory=set)
    # Those of them whose lines may have to be served afresh.
    reservations_confirmed: set[str] = field(default_factory=set)
    item_returns: set[str] = field(default_factory=set)
    carts: set[str] = field(default_factory=set)
    # Carts whose products are needed too, for a check of the stock.
    carts_checked: set[str] = field(default_factory=set)
    # Orders come with their lines, last reservation, payments and shipments.
    orders: set[str] = field(default_factory=set)
    # Orders that are only looked at: the same without the stock of their products.
    orders_seen: set[str] = field(default_factory=set)
    # Payments come with all their operations.
    payments: set[str] = field(default_factory=set)
    refunds: set[str] = field(default_factory=set)
    shipments: set[str] = field(default_factory=set)
    order_returns: set[str] = field(default_factory=set)
    answers: set[tuple[str, str]] = field(default_factory=set)
    # Imports come with the one of the store that is running.
    imports: set[str] = field(default_factory=set)

    def want_line(self, product_id: str, quantity: int, location: str | None) -> None:
        """Want the levels that a line may be served from; None = anywhere."""
        if location is None:
            self.lines[product_id, quantity] = self.lines.get((product_id, quantity), 0) + 1
        else:
            self.levels.add((product_id, location))


class Command:
    """One thing asked for. Immutable; carries ids, never state."""

    __slots__ = ()
    # Whether the same call is told by a request_id (else by the id of the resource it makes).
    has_request_id: ClassVar[bool] = False
    # Whether many have one content at a time. It can be hashed; what stands in tuples is of one type each.
    is_often_alike: ClassVar[bool] = False

    @property
    def line_count(self) -> int:
        """How many lines it names."""
        return 1

    def lines_in(self, state: State) -> int:
        """How many lines it names or moves, now that what it names is loaded."""
        return self.line_count

    def content(self) -> tuple[object, ...]:
        raise NotImplementedError

    def want(self, wanted: Wanted) -> None:
        raise NotImplementedError


def content_hash(command: Command) -> bytes:
    """Return 16 bytes that are equal where the decoded content is."""
    digest = _kept_digest if command.is_often_alike else _digest
    return digest(type(command).__name__, *command.content())


def _digest(*content: object) -> bytes:
    return blake2b(repr(content).encode(), digest_size=16).digest()


# typed, since what is equal is the same content only where it is of one type: 1 and 1.0 and True are three.
_kept_digest = lru_cache(16, typed=True)(_digest)


# --- stock ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateStock(Command):
    has_request_id: ClassVar[bool] = True

    product_id: str
    quantity: int
    location: str = DEFAULT_LOCATION
    low_stock_threshold: int | None = None

    def content(self) -> tuple[object, ...]:
        threshold = self.low_stock_threshold
        return (
            self.product_id,
            self.quantity,
            self.location,
            *(() if threshold is None else (threshold,)),
        )

    def want(self, wanted: Wanted) -> None:
        wanted.sums.add(self.product_id)
        wanted.levels.add((self.product_id, self.location))


@dataclass(frozen=True, slots=True)
class UpdateStock(Command):
    """`set_low_stock_threshold` says whether to change it, None = to none; `etag` None = not checked."""

    has_request_id: ClassVar[bool] = True

    product_id: str
    set_low_stock_threshold: bool = False
    low_stock_threshold: int | None = None
    etag: str | None = None

    def content(self) -> tuple[object, ...]:
        return (self.product_id, self.set_low_stock_threshold, self.low_stock_threshold, self.etag)

    def want(self, wanted: Wanted) -> None:
        wanted.sums.add(self.product_id)


@dataclass(frozen=True, slots=True)
class DeleteStock(Command):
    """A log entry for each level; the record stays as a tombstone. `etag` None = not checked."""

    has_request_id: ClassVar[bool] = True

    product_id: str
    etag: str | None = None

    @property
    def line_count(self) -> int:
        # All its levels are loaded before it is known how many they are.
        return LOCATIONS_MAX

    def lines_in(self, state: State) -> int:
        return max(1, len(state.opened_levels(self.product_id)))

    def content(self) -> tuple[object, ...]:
        return (self.product_id, self.etag)

    def want(self, wanted: Wanted) -> None:
        wanted.products.add(self.product_id)


@dataclass(frozen=True, slots=True)
class CreateStockTransaction(Command):
    """An action by hand: INCREMENT, DECREMENT, ALLOCATE, DEALLOCATE or SET."""

    has_request_id: ClassVar[bool] = True

    product_id: str
    action: Action
    quantity: int
    location: str = DEFAULT_LOCATION
    reason: str = ""
    reference: str = ""
    # The level's version before it, 0 = never opened; None = whatever it is.
    expected_version: int | None = None

    def content(self) -> tuple[object, ...]:
        return (
            self.product_id,
            self.action.value,
            self.quantity,
            self.location,
            self.reason,
            self.reference,
            *(() if self.expected_version is None else (self.expected_version,)),
        )

    def want(self, wanted: Wanted) -> None:
        wanted.levels.add((self.product_id, self.location))


# --- reservations --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReserveStock(Command):
    """Lines are merged. Of ttl_s, expire_time, never_expires one at most; none = the store's default."""

    is_often_alike: ClassVar[bool] = True

    reservation_id: str
    lines: tuple[Line, ...]
    order_id: str | None = None
    ttl_s: float | None = None
    expire_time: datetime | None = None
    never_expires: bool = False

    @property
    def line_count(self) -> int:
        return len(self.lines)

    def content(self) -> tuple[object, ...]:
        expire_time = self.expire_time.isoformat() if self.expire_time else None
        return (
            self.order_id,
            self.ttl_s,
            expire_time,
            self.never_expires,
            tuple(map(tuple, self.lines)),
        )

    def want(self, wanted: Wanted) -> None:
        wanted.reservations.add(self.reservation_id)
        for line in self.lines:
            wanted.want_line(*line)


@dataclass(frozen=True, slots=True)
class _MoveReservation(Command):
    has_request_id: ClassVar[bool] = True

    reservation_id: str

    def lines_in(self, state: State) -> int:
        reservation = state.reservations.get(self.reservation_id)
        return len(reservation.lines) if reservation else 1

    def content(self) -> tuple[object, ...]:
        return (self.reservation_id,)

    def want(self, wanted: Wanted) -> None:
        wanted.reservations.add(self.reservation_id)
        wanted.reservations_moved.add(self.reservation_id)


class ConfirmReservation(_MoveReservation):
    __slots__ = ()

    def want(self, wanted: Wanted) -> None:
        _want_confirmed(wanted, self.reservation_id)


@dataclass(frozen=True, slots=True)
class ReleaseReservation(_MoveReservation):
    reason: str = ""
    reference: str = ""

    def content(self) -> tuple[object, ...]:
        note = (self.reason, self.reference)
        return (self.reservation_id, *(note if any(note) else ()))


@dataclass(frozen=True, slots=True)
class FulfillReservation(_MoveReservation):
    """`units` are merged; none = all that are open."""

    units: tuple[LineUnits, ...] = ()
    reason: str = ""
    reference: str = ""

    def content(self) -> tuple[object, ...]:
        units = tuple(tuple(each) for each in self.units)
        note = (self.reason, self.reference)
        if any(note):
            return (self.reservation_id, units, *note)
        return (self.reservation_id, units) if units else (self.reservation_id,)

    def want(self, wanted: Wanted) -> None:
        _want_confirmed(wanted, self.reservation_id)


def _want_confirmed(wanted: Wanted, reservation_id: str) -> None:
    wanted.reservations.add(reservation_id)
    wanted.reservations_moved.add(reservation_id)
    wanted.reservations_confirmed.add(reservation_id)


@dataclass(frozen=True, slots=True)
class ExpireReservation(Command):
    """The server's own: end a hold that is due. Does nothing to one that is not."""

    reservation_id: str

    def lines_in(self, state: State) -> int:
        reservation = state.reservations.get(self.reservation_id)
        return len(reservation.lines) if reservation else 1

    def content(self) -> tuple[object, ...]:
        return (self.reservation_id,)

    def want(self, wanted: Wanted) -> None:
        wanted.reservations.add(self.reservation_id)
        wanted.reservations_moved.add(self.reservation_id)


# --- the order flow ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class CreateCart(Command):
    """`defer_inventory_check` None = as the store's setting says at that moment."""

    cart_id: str
    currency: str
    defer_inventory_check: bool | None = None

    def content(self) -> tuple[object, ...]:
        defers = () if self.defer_inventory_check is None else (self.defer_inventory_check,)
        return (self.currency, *defers)

    def want(self, wanted: Wanted) -> None:
        wanted.carts.add(self.cart_id)


@dataclass(frozen=True, slots=True)
class AddCartItems(Command):
    """Items are merged by product: quantities added, price and location named last."""

    has_request_id: ClassVar[bool] = True

    cart_id: str
    items: tuple[CartItem, ...]

    @property
    def line_count(self) -> int:
        return len(self.items)

    def content(self) -> tuple[object, ...]:
        # What says nothing of the tracking is hashed as before there was any.
        items = (item[:4] if item.track_stock is None else tuple(item) for item in self.items)
        return (self.cart_id, tuple(items))

    def want(self, wanted: Wanted) -> None:
        wanted.carts.add(self.cart_id)
        for item in self.items:
            wanted.want_line(item.product_id, item.quantity, item.location)


@dataclass(frozen=True, slots=True)
class UpdateCartItem(Command):
    """None = as it is, except `location`, which `set_location` says whether to change (None = any).

    `etag` None = not checked.
    """

    has_request_id: ClassVar[bool] = True

    cart_id: str
    product_id: str
    quantity: int | None = None
    unit_price_minor: int | None = None
    set_location: bool = False
    location: str | None = None
    etag: str | None = None
    track_stock: bool | None = None

    def content(self) -> tuple[object, ...]:
        optional = (each for each in (self.etag, self.track_stock) if each is not None)
        return (
            self.cart_id, self.product_id, self.quantity, self.unit_price_minor, self.set_location,
            self.location, *optional,
        )  # fmt: skip

    def want(self, wanted: Wanted) -> None:
        wanted.carts.add(self.cart_id)
        wanted.want_line(self.product_id, self.quantity or 1, self.location)


@dataclass(frozen=True, slots=True)
class RemoveCartItem(Command):
    has_request_id: ClassVar[bool] = True

    cart_id: str
    product_id: str

    def content(self) -> tuple[object, ...]:
        return (self.cart_id, self.product_id)

    def want(self, wanted: Wanted) -> None:
        wanted.carts.add(self.cart_id)


@dataclass(frozen=True, slots=True)
class DeleteCart(Command):
    """`etag` None = not checked."""

    has_request_id: ClassVar[bool] = True

    cart_id: str
    etag: str | None = None

    def lines_in(self, state: State) -> int:
        return _items_in(state, self.cart_id)

    def content(self) -> tuple[object, ...]:
        return (self.cart_id, self.etag)

    def want(self, wanted: Wanted) -> None:
        wanted.carts.add(self.cart_id)


@dataclass(frozen=True, slots=True)
class RemoveExpiredCart(Command):
    """The server's own: remove a cart that has long expired. Does nothing to one that has not."""

    cart_id: str

    def lines_in(self, state: State) -> int:
        return _items_in(state, self.cart_id)

    def content(self) -> tuple[object, ...]:
        return (self.cart_id,)

    def want(self, wanted: Wanted) -> None:
        wanted.carts.add(self.cart_id)


def _items_in(state: State, cart_id: str) -> int:
    cart = state.carts.get(cart_id)
    return len(cart.items) if cart else 1


@dataclass(frozen=True, slots=True)
class Checkout(Command):
    cart_id: str
    order_id: str

    def lines_in(self, state: State) -> int:
        return _items_in(state, self.cart_id)

    def content(self) -> tuple[object, ...]:
        return (self.cart_id,)

    def want(self, wanted: Wanted) -> None:
        wanted.carts.add(self.cart_id)
        wanted.carts_checked.add(self.cart_id)
        wanted.orders.add(self.order_id)


# --- housekeeping --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ForgetAnswers(Command):
    """The server's own: forget what request ids older than the retention were answered with."""

    retention_h: int

    def content(self) -> tuple[object, ...]:
        return (self.retention_h,)

    def want(self, wanted: Wanted) -> None:
        """Nothing: what is forgotten is not looked at."""
