"""THE error table: what an exception is to a caller. Nothing else in the server chooses a status code.

Source: protos/inventory/v1/error.proto; google.rpc.Status and its details, AIP-193.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

import grpc
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from inventory_client.v1 import error_pb2
from inventory_client.v1.error_pb2 import ErrorReason
from inventory_server.access import errors as access
from inventory_server.domain import errors as domain
from inventory_server.engine import errors as engine
from inventory_server.rpc import answers
from inventory_server.rpc.rules import InvalidFields, Violation

ERROR_DOMAIN = "inventory-service"
DETAILS_KEY = "grpc-status-details-bin"
# Measured: the details of 100 short lines pass the header limit of common clients (8 KiB, base64 included),
# and "sold out" reaches them as RESOURCE_EXHAUSTED.
SHORTAGES_BYTES_MAX = 4 * 1024

INTERNAL_MESSAGE = "Internal error. Its error_id stands in the server's log."

_PREFIX = "ERROR_REASON_"
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_Trailing = tuple[tuple[str, str | bytes], ...]


class Refusal(NamedTuple):
    """What a caller is told: context.abort's three arguments."""

    code: grpc.StatusCode
    message: str
    trailing_metadata: _Trailing


def _no_details(_error: Any) -> Iterable[Message]:
    return ()


class Row(NamedTuple):
    """One line of the table.

    `reason` is None for what the transport says by itself; `message` is None where the exception's own text
    is made for callers; `metadata` maps ErrorInfo's keys to attributes of the exception.
    """

    code: grpc.StatusCode
    reason: ErrorReason.ValueType | None
    message: str | None = None
    metadata: Mapping[str, str] = {}
    details: Callable[[Any], Iterable[Message]] = _no_details
    retry_delay_ms: int = 0


# --- details -------------------------------------------------------------------------------------


def _bad_request(violations: Iterable[Violation]) -> Message:
    request = error_details_pb2.BadRequest()
    for field, description in violations:
        request.field_violations.add(field=field, description=description)
    return request  # type: ignore[no-any-return]


def _field_violations(error: InvalidFields) -> Iterable[Message]:
    yield _bad_request(error.violations)


def _field_violation(error: domain.InvalidValue) -> Iterable[Message]:
    yield _bad_request([Violation(error.field, error.description)])


def _shortages(error: domain.InsufficientStock) -> Iterable[Message]:
    """Yield a StockShortage per short line, in order, as long as all of them stay within the bound."""
    left_bytes = SHORTAGES_BYTES_MAX
    for short in error.shortages:
        message = answers.shortage(short)
        left_bytes -= message.ByteSize() + _SHORTAGE_WRAPPING_BYTES
        if left_bytes < 0:
            return
        yield message


# What Any and Status add to a shortage: its type URL, and three tags with lengths of at most two bytes.
_SHORTAGE_WRAPPING_BYTES = len("type.googleapis.com/" + error_pb2.StockShortage.DESCRIPTOR.full_name) + 9


# --- the table -----------------------------------------------------------------------------------

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_NOT_FOUND = grpc.StatusCode.NOT_FOUND
_REFUSED = grpc.StatusCode.FAILED_PRECONDITION
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE
_R = error_pb2

TABLE: Mapping[type[Exception], Row] = {
    InvalidFields: Row(_INVALID, _R.ERROR_REASON_INVALID_FIELD, details=_field_violations),
    domain.InvalidValue: Row(_INVALID, _R.ERROR_REASON_INVALID_FIELD, details=_field_violation),
    domain.IdReused: Row(_INVALID, _R.ERROR_REASON_ID_REUSED, metadata={"field": "field", "id": "value"}),
    domain.ItemIdReused: Row(
        _INVALID,
        _R.ERROR_REASON_ID_REUSED,
        metadata={"field": "field", "id": "request_id", "item_id": "item_id"},
    ),
    access.StoreRequired: Row(
        _INVALID,
        _R.ERROR_REASON_STORE_REQUIRED,
        message="The credential has several stores; name one in x-inventory-store.",
    ),
    # Who may not
    access.Unauthenticated: Row(
        grpc.StatusCode.UNAUTHENTICATED,
        _R.ERROR_REASON_UNAUTHENTICATED,
        message="The call needs a credential that counts; ask an administrator.",
    ),
    access.PermissionDenied: Row(
        grpc.StatusCode.PERMISSION_DENIED, _R.ERROR_REASON_PERMISSION_DENIED, metadata={"role": "role"}
    ),
    access.RateLimited: Row(
        grpc.StatusCode.RESOURCE_EXHAUSTED,
        _R.ERROR_REASON_RATE_LIMITED,
        message="More calls than the credential may make; send the same call again a little later.",
        retry_delay_ms=1_000,
    ),
    # What is not there
    domain.StoreNotFound: Row(_NOT_FOUND, _R.ERROR_REASON_STORE_NOT_FOUND, metadata={"store_id": "key"}),
    domain.StockNotFound: Row(_NOT_FOUND, _R.ERROR_REASON_STOCK_NOT_FOUND, metadata={"product_id": "key"}),
    domain.LocationNotFound: Row(
        _NOT_FOUND, _R.ERROR_REASON_LOCATION_NOT_FOUND, metadata={"location": "key"}
    ),
    domain.StockTransactionNotFound: Row(
        _NOT_FOUND, _R.ERROR_REASON_STOCK_TRANSACTION_NOT_FOUND, metadata={"stock_transaction": "key"}
    ),
    domain.ReservationNotFound: Row(
        _NOT_FOUND, _R.ERROR_REASON_RESERVATION_NOT_FOUND, metadata={"reservation_id": "key"}
    ),
    domain.CartNotFound: Row(_NOT_FOUND, _R.ERROR_REASON_CART_NOT_FOUND, metadata={"cart_id": "key"}),
    domain.CartItemNotFound: Row(
        _NOT_FOUND, _R.ERROR_REASON_CART_ITEM_NOT_FOUND, metadata={"product_id": "key"}
    ),
    domain.OrderNotFound: Row(_NOT_FOUND, _R.ERROR_REASON_ORDER_NOT_FOUND, metadata={"order_id": "key"}),
    domain.PaymentNotFound: Row(
        _NOT_FOUND, _R.ERROR_REASON_PAYMENT_NOT_FOUND, metadata={"payment_id": "key"}
    ),
    domain.PaymentOperationNotFound: Row(
        _NOT_FOUND,
        _R.ERROR_REASON_PAYMENT_NOT_FOUND,
        metadata={"payment_id": "payment_id", "operation_id": "operation_id"},
    ),
    domain.ImportNotFound: Row(_NOT_FOUND, _R.ERROR_REASON_IMPORT_NOT_FOUND, metadata={"import_id": "key"}),
    # Stock
    domain.StockExists: Row(
        grpc.StatusCode.ALREADY_EXISTS,
        _R.ERROR_REASON_STOCK_EXISTS,
        metadata={"product_id": "product_id"},
    ),
    domain.LocationExists: Row(
        grpc.StatusCode.ALREADY_EXISTS, _R.ERROR_REASON_LOCATION_EXISTS, metadata={"location": "slug"}
    ),
    domain.LocationDisabled: Row(_REFUSED, _R.ERROR_REASON_LOCATION_DISABLED, metadata={"location": "slug"}),
    domain.LocationNotEmpty: Row(_REFUSED, _R.ERROR_REASON_LOCATION_NOT_EMPTY, metadata={"location": "slug"}),
    domain.InsufficientStock: Row(
        _REFUSED,
        _R.ERROR_REASON_INSUFFICIENT_STOCK,
        message=domain.InsufficientStock.message,
        details=_shortages,
    ),
    domain.TotalBelowAllocated: Row(
        _REFUSED,
        _R.ERROR_REASON_TOTAL_BELOW_ALLOCATED,
        metadata={"total": "total", "allocated": "allocated"},
    ),
    domain.QuantityOverflow: Row(_REFUSED, _R.ERROR_REASON_QUANTITY_OVERFLOW, metadata={"limit": "limit"}),
    domain.HandAllocationTooSmall: Row(
        _REFUSED,
        _R.ERROR_REASON_HAND_ALLOCATION_TOO_SMALL,
        metadata={"requested": "requested", "hand_allocated": "hand_allocated"},
    ),
    domain.StockInUse: Row(
        _REFUSED,
        _R.ERROR_REASON_STOCK_IN_USE,
        metadata={"product_id": "product_id", "allocated": "allocated"},
    ),
    # Reservations
    domain.ReservationNotActive: Row(
        _REFUSED,
        _R.ERROR_REASON_RESERVATION_NOT_ACTIVE,
        metadata={"reservation_id": "reservation_id", "state": "state"},
    ),
    domain.ReservationExpired: Row(
        _REFUSED,
        _R.ERROR_REASON_RESERVATION_EXPIRED,
        message=domain.ReservationExpired.message,
        details=_shortages,
    ),
    domain.ReservationOwnedByOrder: Row(
        _REFUSED,
        _R.ERROR_REASON_RESERVATION_OWNED_BY_ORDER,
        metadata={"reservation_id": "reservation_id", "order_id": "order_id"},
    ),
    domain.QuantityExceedsHeld: Row(
        _REFUSED,
        _R.ERROR_REASON_QUANTITY_EXCEEDS_HELD,
        metadata={"line_number": "line_number", "requested": "requested", "open": "open_count"},
    ),
    domain.ReturnExceedsShipped: Row(
        _REFUSED,
        _R.ERROR_REASON_RETURN_EXCEEDS_SHIPPED,
        metadata={"line_number": "line_number", "requested": "requested", "returnable": "returnable"},
    ),
    # The order flow
    domain.OrderNotPayable: Row(
        _REFUSED, _R.ERROR_REASON_ORDER_NOT_PAYABLE, metadata={"order_id": "order_id"}
    ),
    domain.OrderNotCancellable: Row(
        _REFUSED, _R.ERROR_REASON_ORDER_NOT_CANCELLABLE, metadata={"order_id": "order_id"}
    ),
    domain.OrderNotShippable: Row(
        _REFUSED, _R.ERROR_REASON_ORDER_NOT_SHIPPABLE, metadata={"order_id": "order_id"}
    ),
    domain.OrderCancelled: Row(_REFUSED, _R.ERROR_REASON_ORDER_CANCELLED, metadata={"order_id": "order_id"}),
    domain.PaymentInProgress: Row(
        _REFUSED, _R.ERROR_REASON_PAYMENT_IN_PROGRESS, metadata={"order_id": "order_id"}
    ),
    domain.AmountExceedsBalance: Row(
        _REFUSED,
        _R.ERROR_REASON_AMOUNT_EXCEEDS_BALANCE,
        metadata={"amount_minor": "amount_minor", "balance_minor": "left_minor"},
    ),
    domain.AmountExceedsAuthorized: Row(
        _REFUSED,
        _R.ERROR_REASON_AMOUNT_EXCEEDS_BALANCE,
        metadata={"amount_minor": "amount_minor", "authorized_minor": "left_minor"},
    ),
    domain.AmountExceedsRefundable: Row(
        _REFUSED,
        _R.ERROR_REASON_AMOUNT_EXCEEDS_BALANCE,
        metadata={"amount_minor": "amount_minor", "refundable_minor": "left_minor"},
    ),
    domain.PaymentNotCapturable: Row(
        _REFUSED,
        _R.ERROR_REASON_PAYMENT_NOT_CAPTURABLE,
        metadata={"payment_id": "payment_id", "state": "state"},
    ),
    domain.PaymentNotVoidable: Row(
        _REFUSED,
        _R.ERROR_REASON_PAYMENT_NOT_VOIDABLE,
        metadata={"payment_id": "payment_id", "state": "state"},
    ),
    domain.PaymentNotRefundable: Row(
        _REFUSED,
        _R.ERROR_REASON_PAYMENT_NOT_REFUNDABLE,
        metadata={"payment_id": "payment_id", "state": "state"},
    ),
    domain.CartNotOpen: Row(
        _REFUSED, _R.ERROR_REASON_CART_NOT_OPEN, metadata={"cart_id": "cart_id", "order_id": "order_id"}
    ),
    domain.CartEmpty: Row(_REFUSED, _R.ERROR_REASON_CART_EMPTY, metadata={"cart_id": "cart_id"}),
    # What was read is no longer what is there
    domain.EtagMismatch: Row(
        grpc.StatusCode.ABORTED,
        _R.ERROR_REASON_ETAG_MISMATCH,
        metadata={"field": "field", "current": "current"},
    ),
    domain.ImportIncomplete: Row(
        _REFUSED, _R.ERROR_REASON_IMPORT_INCOMPLETE, metadata={"import_id": "import_id"}
    ),
    domain.ResumeTokenExpired: Row(grpc.StatusCode.OUT_OF_RANGE, _R.ERROR_REASON_RESUME_TOKEN_EXPIRED),
    # Not decided: the same call is worth sending again. The texts are fixed, since the exceptions' own may
    # speak of the database.
    engine.TransactionConflict: Row(
        _UNAVAILABLE,
        _R.ERROR_REASON_TRANSACTION_CONFLICT,
        message="Other writers won again and again; send the same call again.",
        retry_delay_ms=50,
    ),
    engine.Overloaded: Row(
        _UNAVAILABLE,
        _R.ERROR_REASON_OVERLOADED,
        message="The server has more calls than it can take, or is stopping; send the same call again.",
        retry_delay_ms=200,
    ),
    engine.DatabaseUnavailable: Row(
        _UNAVAILABLE,
        _R.ERROR_REASON_DATABASE_UNAVAILABLE,
        message="The database does not answer; send the same call again.",
        retry_delay_ms=1_000,
    ),
    engine.CommitOutcomeUnknown: Row(
        _UNAVAILABLE,
        _R.ERROR_REASON_COMMIT_OUTCOME_UNKNOWN,
        message="The connection to the database died; send the same call again to learn its outcome.",
        retry_delay_ms=200,
    ),
    # The transport's own code: it has no reason, and its client says the same by itself.
    engine.DeadlinePassed: Row(
        grpc.StatusCode.DEADLINE_EXCEEDED,
        None,
        message="The deadline passed; send the same call again to learn its outcome.",
    ),
}


def refusal(error: Exception) -> Refusal | None:
    """Return what a caller is told of an exception; None for one that the table does not know: a defect."""
    status = status_of(error)
    return None if status is None else _refusal(status)


def reason_name(error: Exception) -> str:
    """Return what an exception is called in a line of a log: its reason, or its code where it has none."""
    row = TABLE.get(type(error))
    if row is None:
        return "INTERNAL"
    return row.code.name if row.reason is None else ErrorReason.Name(row.reason).removeprefix(_PREFIX)


def internal(error_id: str) -> Refusal:
    """Return what a caller is told of a defect: nothing of the inside, and where to find it."""
    return _refusal(internal_status(error_id))


def status_of(error: Exception) -> status_pb2.Status | None:
    """Return an exception as a google.rpc.Status, which is what an item of a batch RPC is told.

    None for one that the table does not know: a defect.
    """
    row = TABLE.get(type(error))
    if row is None:
        return None
    message = str(error) if row.message is None else row.message
    if row.reason is None:
        return status_pb2.Status(code=row.code.value[0], message=message)
    metadata = {key: str(getattr(error, attribute)) for key, attribute in row.metadata.items()}
    if isinstance(error, domain.InsufficientStock):
        metadata["shortage_count"] = str(len(error.shortages))
    details = list(row.details(error))
    if row.retry_delay_ms:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromMilliseconds(row.retry_delay_ms)
        details.insert(0, retry)
    return _status(row.code, message, row.reason, metadata, details)


def internal_status(error_id: str) -> status_pb2.Status:
    """Return a defect as a google.rpc.Status."""
    return _status(
        grpc.StatusCode.INTERNAL,
        INTERNAL_MESSAGE,
        _R.ERROR_REASON_INTERNAL,
        {"error_id": error_id},
        (),
    )


def _status(
    code: grpc.StatusCode,
    message: str,
    reason: ErrorReason.ValueType,
    metadata: Mapping[str, str],
    details: Iterable[Message],
) -> status_pb2.Status:
    info = error_details_pb2.ErrorInfo(
        reason=ErrorReason.Name(reason).removeprefix(_PREFIX), domain=ERROR_DOMAIN, metadata=metadata
    )
    return status_pb2.Status(code=code.value[0], message=message, details=map(_pack, (info, *details)))


def _refusal(status: status_pb2.Status) -> Refusal:
    trailing = ((DETAILS_KEY, status.SerializeToString()),) if status.details else ()
    return Refusal(_CODES[status.code], status.message, trailing)


def _pack(message: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(message)
    return packed
