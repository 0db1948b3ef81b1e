"""What the rules refuse, as nouns with their numbers. rpc/status.py maps each to its code, once."""

from __future__ import annotations

from typing import NamedTuple


class Shortage(NamedTuple):
    """One line that stock does not suffice for; `location` is None where any would do."""

    product_id: str
    location: str | None
    requested: int
    available: int
    managed: bool


class DomainError(Exception):
    """A call that the rules refuse. It changed nothing."""


class InvalidValue(DomainError):
    """A value that only the state shows to be out of its range."""

    def __init__(self, field: str, description: str) -> None:
        super().__init__(f"{field}: {description}")
        self.field = field
        self.description = description


class IdReused(DomainError):
    """An id or request_id that was used before with other content."""

    def __init__(self, field: str, value: str) -> None:
        super().__init__(f"{field} {value!r} was used before with other content")
        self.field = field
        self.value = value


class ItemIdReused(DomainError):
    """An item of a batch that was made before, under its call's request_id, with other content."""

    field = "request_id"

    def __init__(self, request_id: str, item_id: str) -> None:
        super().__init__(f"item {item_id!r} of request_id {request_id!r} was used before with other content")
        self.request_id = request_id
        self.item_id = item_id


class NotFound(DomainError):
    """Something named by an id that does not exist. The subclass says what."""

    noun = "resource"

    def __init__(self, key: str) -> None:
        super().__init__(f"{self.noun} {key!r} does not exist")
        self.key = key


class StoreNotFound(NotFound):
    noun = "store"


class StockNotFound(NotFound):
    noun = "stock of product"


class LocationNotFound(NotFound):
    noun = "location"


class StockTransactionNotFound(NotFound):
    noun = "stock transaction"


class ReservationNotFound(NotFound):
    noun = "reservation"


class CartNotFound(NotFound):
    noun = "cart"


class CartItemNotFound(NotFound):
    noun = "cart item of product"


class OrderNotFound(NotFound):
    noun = "order"


class PaymentNotFound(NotFound):
    noun = "payment"


class PaymentOperationNotFound(DomainError):
    def __init__(self, payment_id: str, operation_id: str) -> None:
        super().__init__(f"payment {payment_id!r} has no operation {operation_id!r}")
        self.payment_id = payment_id
        self.operation_id = operation_id


class ImportNotFound(NotFound):
    noun = "import"


class StockExists(DomainError):
    def __init__(self, product_id: str) -> None:
        super().__init__(f"product {product_id!r} has a stock record already")
        self.product_id = product_id


class LocationExists(DomainError):
    def __init__(self, slug: str) -> None:
        super().__init__(f"location {slug!r} exists already")
        self.slug = slug


class LocationDisabled(DomainError):
    def __init__(self, slug: str) -> None:
        super().__init__(f"location {slug!r} is disabled and allocates nothing new")
        self.slug = slug


class LocationNotEmpty(DomainError):
    def __init__(self, slug: str) -> None:
        super().__init__(f"location {slug!r} keeps units")
        self.slug = slug


class InsufficientStock(DomainError):
    """Sold out: final, never a retry.

    The message is fixed and names no product and no count, since a storefront may echo it
    (the origin document, "How stock is managed"); the shortages travel apart from it.
    """

    message = "There is not enough stock available."

    def __init__(self, shortages: tuple[Shortage, ...]) -> None:
        super().__init__(self.message)
        self.shortages = shortages


class ReservationExpired(InsufficientStock):
    """A hold that ran out and whose units cannot be had again."""

    message = "The reservation has expired and its stock is no longer available."


class TotalBelowAllocated(DomainError):
    def __init__(self, product_id: str, total: int, allocated: int) -> None:
        super().__init__(f"a total of {total} would be below the {allocated} units allocated")
        self.product_id = product_id
        self.total = total
        self.allocated = allocated


class QuantityOverflow(DomainError):
    def __init__(self, what: str, limit: int) -> None:
        super().__init__(f"{what} would pass its limit of {limit}")
        self.what = what
        self.limit = limit


class HandAllocationTooSmall(DomainError):
    def __init__(self, requested: int, hand_allocated: int) -> None:
        super().__init__(f"{requested} units to deallocate, {hand_allocated} were allocated by hand")
        self.requested = requested
        self.hand_allocated = hand_allocated


class StockInUse(DomainError):
    """A record that cannot be deleted: units of it are allocated by hand or held."""

    def __init__(self, product_id: str, allocated: int) -> None:
        super().__init__(f"{allocated} units of product {product_id!r} are allocated")
        self.product_id = product_id
        self.allocated = allocated


class ReservationNotActive(DomainError):
    def __init__(self, reservation_id: str, state: str) -> None:
        super().__init__(f"reservation {reservation_id!r} is {state}")
        self.reservation_id = reservation_id
        self.state = state


class ReservationOwnedByOrder(DomainError):
    def __init__(self, reservation_id: str, order_id: str) -> None:
        super().__init__(f"reservation {reservation_id!r} is moved by order {order_id!r} alone")
        self.reservation_id = reservation_id
        self.order_id = order_id


class QuantityExceedsHeld(DomainError):
    def __init__(self, line_number: int, requested: int, open_count: int) -> None:
        super().__init__(f"{requested} units of line {line_number} to fulfill, {open_count} are open")
        self.line_number = line_number
        self.requested = requested
        self.open_count = open_count


class ReturnExceedsShipped(DomainError):
    def __init__(self, line_number: int, requested: int, returnable: int) -> None:
        super().__init__(
            f"{requested} units of line {line_number} to return, {returnable} can still come back"
        )
        self.line_number = line_number
        self.requested = requested
        self.returnable = returnable


class OrderNotPayable(DomainError):
    def __init__(self, order_id: str, why: str) -> None:
        super().__init__(f"order {order_id!r} cannot be paid: {why}")
        self.order_id = order_id


class OrderNotCancellable(DomainError):
    def __init__(self, order_id: str, why: str) -> None:
        super().__init__(f"order {order_id!r} cannot be cancelled: {why}")
        self.order_id = order_id


class OrderNotShippable(DomainError):
    def __init__(self, order_id: str, why: str) -> None:
        super().__init__(f"order {order_id!r} cannot be shipped: {why}")
        self.order_id = order_id


class OrderCancelled(DomainError):
    def __init__(self, order_id: str) -> None:
        super().__init__(f"order {order_id!r} is cancelled")
        self.order_id = order_id


class PaymentInProgress(DomainError):
    def __init__(self, order_id: str) -> None:
        super().__init__(f"a payment of order {order_id!r} is in flight or in doubt")
        self.order_id = order_id


class AmountExceedsBalance(DomainError):
    """More than what is left of an order's balance; of something else in the subclasses."""

    verb = "pay"

    def __init__(self, amount_minor: int, left_minor: int) -> None:
        super().__init__(f"{amount_minor} is more than the {left_minor} left to {self.verb}")
        self.amount_minor = amount_minor
        self.left_minor = left_minor


class AmountExceedsAuthorized(AmountExceedsBalance):
    verb = "capture"


class AmountExceedsRefundable(AmountExceedsBalance):
    verb = "refund"


class PaymentNotCapturable(DomainError):
    def __init__(self, payment_id: str, state: str, why: str = "it has no open authorization") -> None:
        super().__init__(f"payment {payment_id!r} is {state}: {why}")
        self.payment_id = payment_id
        self.state = state


class PaymentNotVoidable(DomainError):
    def __init__(self, payment_id: str, state: str, why: str = "there is nothing to call off") -> None:
        super().__init__(f"payment {payment_id!r} is {state}: {why}")
        self.payment_id = payment_id
        self.state = state


class PaymentNotRefundable(DomainError):
    def __init__(self, payment_id: str, state: str, why: str = "there is nothing to give back") -> None:
        super().__init__(f"payment {payment_id!r} is {state}: {why}")
        self.payment_id = payment_id
        self.state = state


class CartNotOpen(DomainError):
    """`order_id` is "" where it has expired."""

    def __init__(self, cart_id: str, order_id: str | None) -> None:
        what = "has expired" if order_id is None else f"was checked out as order {order_id!r}"
        super().__init__(f"cart {cart_id!r} {what}")
        self.cart_id = cart_id
        self.order_id = order_id or ""


class CartEmpty(DomainError):
    def __init__(self, cart_id: str) -> None:
        super().__init__(f"cart {cart_id!r} holds nothing to check out")
        self.cart_id = cart_id


class EtagMismatch(DomainError):
    """What was read before the change is no longer what is there: read again, decide again."""

    def __init__(self, field: str, current: str | int) -> None:
        super().__init__(f"{field} is no longer current; it is {current}")
        self.field = field
        self.current = current


class ImportIncomplete(DomainError):
    """An upload that is not whole: nothing of it is applied."""

    def __init__(self, import_id: str, why: str) -> None:
        super().__init__(f"the upload of import {import_id!r} is incomplete: {why}")
        self.import_id = import_id


class ResumeTokenExpired(DomainError):
    """A watch cannot go on where it left off: that place is not in this store's log."""

    def __init__(self) -> None:
        super().__init__("the resume token is of another store or database, or its place in the log is gone")
