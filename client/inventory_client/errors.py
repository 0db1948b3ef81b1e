"""What a call raises: one exception class per ErrorReason, with the details that came with it.

The tree has three floors: `InventoryError`; a class per status code (`NotFound`, `Unavailable`, ...), which
is also what an error without a reason, or with one newer than this package, becomes; and a class per reason
(`StockNotFound`, `Overloaded`, ...) below the class of its code. So `except Unavailable` means every reason
for sending the same again, and code written today still catches a reason that is added tomorrow.

None of them is a `grpc.RpcError`: callers switch on `error.reason` and `error.code`, which are values here
and methods there, and gRPC's interceptors take an RpcError that they catch for a call with a result. The
RpcError is kept as `__cause__`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import grpc
from google.protobuf.message import DecodeError, Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from inventory_client.v1 import error_pb2
from inventory_client.v1.error_pb2 import ErrorReason, StockShortage

ERROR_DOMAIN = "inventory-service"
"""`google.rpc.ErrorInfo.domain` of every reason; one of another domain isn't ours to read."""

_DETAILS_KEY = "grpc-status-details-bin"
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class InventoryError(Exception):
    """A call was not answered OK.

    Attributes:
        code: the status code, as the server or the transport gave it.
        reason: an `ErrorReason`; UNSPECIFIED where none came, or one that is newer than this package.
        reason_name: the reason as it stood on the wire, without the enum's prefix; "" where none came.
        message: one sentence for people. It names no product and no count.
        metadata: ErrorInfo's, for machines.
        field_violations: (path of the field, what is wrong with it), of InvalidField.
        shortages: the short lines, of InsufficientStock and ReservationExpired; at most 4 KiB of them.
        shortage_count: how many lines were short, listed or not.
        retry_after_s: seconds to wait before the same is sent again, > 0; None where the server named none.
        request: the message as it was sent, with the request_id that was filled in; what to send again.
    """

    def __init__(
        self,
        message: str,
        *,
        code: grpc.StatusCode,
        reason: ErrorReason.ValueType = error_pb2.ERROR_REASON_UNSPECIFIED,
        reason_name: str = "",
        metadata: Mapping[str, str] | None = None,
        field_violations: Sequence[tuple[str, str]] = (),
        shortages: Sequence[StockShortage] = (),
        shortage_count: int = 0,
        retry_after_s: float | None = None,
        request: Message | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.reason = reason
        self.reason_name = reason_name
        self.metadata = dict(metadata or {})
        self.field_violations = list(field_violations)
        self.shortages = list(shortages)
        self.shortage_count = shortage_count
        self.retry_after_s = retry_after_s
        self.request = request

    @property
    def retryable(self) -> bool:
        """Whether to send `request` again, unchanged: the outcome of this call is not known.

        True of UNAVAILABLE, DEADLINE_EXCEEDED and CANCELLED; the same request takes effect at most once.
        Every other error is final and changed nothing. A RESOURCE_EXHAUSTED with `retry_after_s` may be
        tried again after that time, but it is no matter of an unknown outcome.
        """
        return self.code in _OUTCOME_UNKNOWN

    def __str__(self) -> str:
        text = f"{self.reason_name or self.code.name}: {self.message}"
        violations = [f"{field}: {description}" for field, description in self.field_violations]
        if violations and self.message.startswith(violations[0]):
            del violations[0]  # the server says the first in its message
        return "; ".join([text, *violations])


_OUTCOME_UNKNOWN = (
    grpc.StatusCode.UNAVAILABLE,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.CANCELLED,
)


# A class per status code.


class InvalidArgument(InventoryError):
    """The request is wrong as it stands."""


class NotFound(InventoryError):
    """Something that the request names does not exist."""


class AlreadyExists(InventoryError):
    """What the request would make exists."""


class FailedPrecondition(InventoryError):
    """The state of things forbids it. Final: the same request is refused again until that state changes."""


class Aborted(InventoryError):
    """What was read before the call has changed since. Read again, decide again."""


class OutOfRange(InventoryError):
    """What the request names lies outside what there is. Final."""


class Unavailable(InventoryError):
    """Nobody could answer; the outcome is unknown. Send the same again, as gRPC did up to 5 times."""


class DeadlineExceeded(InventoryError):
    """No answer came in time; the outcome is unknown. Send the same again."""


class Cancelled(InventoryError):
    """The call was cancelled on its way; the outcome is unknown. Send the same again."""


class ResourceExhausted(InventoryError):
    """A limit was passed: of the caller's own, or of the transport."""


class Unauthenticated(InventoryError):
    """The server knows nobody by this call's credential. Final: ask an administrator."""


class PermissionDenied(InventoryError):
    """The credential's role may not call this method. Final: ask an administrator."""


class Internal(InventoryError):
    """A defect. From the server, `metadata["error_id"]` stands in its log."""


# A class per reason.


class InvalidField(InvalidArgument):
    """A field is absent or out of its range; `field_violations` names it."""


class IdReused(InvalidArgument):
    """An id or request_id was used before with other content."""


class StoreRequired(InvalidArgument):
    """The credential has several stores: name one."""


class StoreNotFound(NotFound):
    """The store that the client was connected with does not exist."""


class StockNotFound(NotFound):
    """The product has no stock record: it is unmanaged, which is not 0."""


class LocationNotFound(NotFound):
    """No location has this slug."""


class StockTransactionNotFound(NotFound):
    """No log entry has this product, location and version."""


class ReservationNotFound(NotFound):
    """No reservation has this id."""


class CartNotFound(NotFound):
    """No cart has this id."""


class CartItemNotFound(NotFound):
    """The cart holds no item of this product."""


class OrderNotFound(NotFound):
    """No order has this id."""


class PaymentNotFound(NotFound):
    """No payment has this id, or the payment no such operation (`metadata["operation_id"]`)."""


class ImportNotFound(NotFound):
    """No import has this id, or its upload is not whole yet."""


class StockExists(AlreadyExists):
    """The product has a stock record."""


class LocationExists(AlreadyExists):
    """A location has this slug."""


class InsufficientStock(FailedPrecondition):
    """Sold out, final; `shortages` lists the short lines, `shortage_count` counts them all."""


class TotalBelowAllocated(FailedPrecondition):
    """`set` would go below what is allocated."""


class QuantityOverflow(FailedPrecondition):
    """A level, a cart's line, an amount or the number of a store's locations would pass its limit."""


class HandAllocationTooSmall(FailedPrecondition):
    """`deallocate` asks for more than was allocated by hand."""


class LocationDisabled(FailedPrecondition):
    """A disabled location allocates nothing new."""


class LocationNotEmpty(FailedPrecondition):
    """Units are kept at the location."""


class StockInUse(FailedPrecondition):
    """Units of the product are allocated by hand or held, so its record can't be deleted."""


class ReservationNotActive(FailedPrecondition):
    """The reservation has ended: released, expired or closed."""


class ReservationExpired(FailedPrecondition):
    """The hold ran out and its units, listed in `shortages`, can't be had again; give the money back."""


class ReservationOwnedByOrder(FailedPrecondition):
    """The order flow made this reservation and alone moves it."""


class QuantityExceedsHeld(FailedPrecondition):
    """More units of a line are to be fulfilled than are open."""


class ReturnExceedsShipped(FailedPrecondition):
    """More units of a line are to come back than left the house and didn't come back yet."""


class OrderNotPayable(FailedPrecondition):
    """The order can't take this payment, or the server has no payment gateway."""


class OrderNotCancellable(FailedPrecondition):
    """The order has been shipped whole."""


class OrderNotShippable(FailedPrecondition):
    """The order isn't paid in full, or was shipped before."""


class OrderCancelled(FailedPrecondition):
    """The order is cancelled."""


class PaymentInProgress(FailedPrecondition):
    """A payment of this order is in flight or in doubt."""


class AmountExceedsBalance(FailedPrecondition):
    """The amount is more than what is left to pay, capture or refund."""


class EtagMismatch(Aborted):
    """`etag` or `expected_version` is no longer current; `metadata["current"]` is what it is now."""


class CartNotOpen(FailedPrecondition):
    """The cart was checked out before, or has expired: then `metadata["order_id"]` is empty."""


class CartEmpty(FailedPrecondition):
    """The cart holds nothing to check out."""


class PaymentNotCapturable(FailedPrecondition):
    """The payment has no open authorization to capture."""


class PaymentNotVoidable(FailedPrecondition):
    """The payment has nothing to call off."""


class PaymentNotRefundable(FailedPrecondition):
    """The payment has nothing left to give back."""


class ImportIncomplete(FailedPrecondition):
    """An upload that is not whole, by its announced number or its last message; nothing is applied."""


class ResumeTokenExpired(OutOfRange):
    """A watch can't go on from this token: begin anew, from the beginning or from an export."""


class TransactionConflict(Unavailable):
    """Other writers won again and again."""


class Overloaded(Unavailable):
    """The server's queue is full, or it is stopping."""


class DatabaseUnavailable(Unavailable):
    """The server's database does not answer."""


class CommitOutcomeUnknown(Unavailable):
    """The server lost its database around COMMIT; the same call finds out what became of it."""


class RateLimited(ResourceExhausted):
    """More calls than the credential may make. The same call again, after `retry_after_s`."""


def _class_of(reason_name: str) -> type[InventoryError]:
    """INSUFFICIENT_STOCK -> InsufficientStock. A reason of the protos without a class is a KeyError."""
    found: type[InventoryError] = globals()["".join(word.capitalize() for word in reason_name.split("_"))]
    return found


_PREFIX = "ERROR_REASON_"
CLASS_BY_REASON: Mapping[str, type[InventoryError]] = {
    name.removeprefix(_PREFIX): _class_of(name.removeprefix(_PREFIX))
    for name, number in ErrorReason.items()
    if number != error_pb2.ERROR_REASON_UNSPECIFIED
}
"""The class of a reason, by the reason's name on the wire."""

CLASS_BY_CODE: Mapping[grpc.StatusCode, type[InventoryError]] = {
    grpc.StatusCode.INVALID_ARGUMENT: InvalidArgument,
    grpc.StatusCode.NOT_FOUND: NotFound,
    grpc.StatusCode.ALREADY_EXISTS: AlreadyExists,
    grpc.StatusCode.FAILED_PRECONDITION: FailedPrecondition,
    grpc.StatusCode.ABORTED: Aborted,
    grpc.StatusCode.OUT_OF_RANGE: OutOfRange,
    grpc.StatusCode.UNAVAILABLE: Unavailable,
    grpc.StatusCode.DEADLINE_EXCEEDED: DeadlineExceeded,
    grpc.StatusCode.CANCELLED: Cancelled,
    grpc.StatusCode.INTERNAL: Internal,
    grpc.StatusCode.RESOURCE_EXHAUSTED: ResourceExhausted,
    grpc.StatusCode.UNAUTHENTICATED: Unauthenticated,
    grpc.StatusCode.PERMISSION_DENIED: PermissionDenied,
}
"""The class of an error whose reason is absent or unknown; a code that isn't listed is an InventoryError."""


def decode_error(error: grpc.RpcError, request: Message | None = None) -> InventoryError:
    """Make the exception that says what a finished call's error means.

    Args:
        error: what gRPC raised, sync or aio.
        request: the message as it was sent, kept for whoever sends it again; None if it isn't known.
    Returns: an exception of the reason's class, else of the code's. Details that can't be read are left out:
        a broken detail must not hide the error itself.
    Source: google.rpc.Status in the trailing metadata (AIP-193; gRPC's richer error model).
    """
    trailing: Iterable[Any] = error.trailing_metadata() or ()
    serialized = [value for key, value in trailing if key == _DETAILS_KEY and isinstance(value, bytes)]
    return _error(error.code(), error.details() or "", _Details(serialized), request)


def error_of(status: Any) -> InventoryError:
    """Make the exception that says what an item's error means; the same as if it had been a call of its own.

    Args:
        status: the google.rpc.Status in a batch RPC's answer.
    """
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    return _error(code, status.message, _Details([status.SerializeToString()]), None)


def _error(code: grpc.StatusCode, message: str, details: _Details, request: Message | None) -> InventoryError:
    return CLASS_BY_REASON.get(details.reason_name, CLASS_BY_CODE.get(code, InventoryError))(
        message,
        code=code,
        reason=ErrorReason.Value(_PREFIX + details.reason_name)
        if details.reason_name in CLASS_BY_REASON
        else error_pb2.ERROR_REASON_UNSPECIFIED,
        reason_name=details.reason_name,
        metadata=details.metadata,
        field_violations=details.field_violations,
        shortages=details.shortages,
        shortage_count=details.shortage_count,
        retry_after_s=details.retry_after_s,
        request=request,
    )


class _Details:
    """The details of serialized statuses, by kind."""

    def __init__(self, serialized: Iterable[bytes]) -> None:
        self.reason_name = ""
        self.metadata: dict[str, str] = {}
        self.field_violations: list[tuple[str, str]] = []
        self.shortages: list[StockShortage] = []
        self.retry_after_s: float | None = None
        for status in serialized:
            self._read(status)

    @property
    def shortage_count(self) -> int:
        """All short lines; only some of them may have found room in the answer."""
        counted = self.metadata.get("shortage_count", "")
        return int(counted) if counted.isdecimal() else len(self.shortages)

    def _read(self, serialized: bytes) -> None:
        try:
            for packed in status_pb2.Status.FromString(serialized).details:
                for kind, take in (
                    (error_details_pb2.ErrorInfo, self._take_error_info),
                    (error_details_pb2.BadRequest, self._take_bad_request),
                    (error_details_pb2.RetryInfo, self._take_retry_info),
                    (StockShortage, self.shortages.append),
                ):
                    detail = kind()
                    if packed.Unpack(detail):
                        take(detail)
        except DecodeError:
            return

    def _take_error_info(self, info: Any) -> None:
        if info.domain == ERROR_DOMAIN:
            self.reason_name = info.reason
            self.metadata = dict(info.metadata)

    def _take_bad_request(self, bad: Any) -> None:
        self.field_violations += [(found.field, found.description) for found in bad.field_violations]

    def _take_retry_info(self, retry: Any) -> None:
        delay_s = retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9
        self.retry_after_s = delay_s if delay_s > 0 else None
