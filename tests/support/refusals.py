"""How a refusal looks on the wire, decoded from the trailing metadata without the client package."""

from __future__ import annotations

from dataclasses import dataclass, field

import grpc
from google.rpc import error_details_pb2, status_pb2

from inventory_client import v1

_INVALID = grpc.StatusCode.INVALID_ARGUMENT
_NOT_FOUND = grpc.StatusCode.NOT_FOUND
_REFUSED = grpc.StatusCode.FAILED_PRECONDITION
_UNAVAILABLE = grpc.StatusCode.UNAVAILABLE

# The table "Reasons" of the API's design, as callers know it.
CODE_OF = {
    "INVALID_FIELD": _INVALID,
    "STORE_REQUIRED": _INVALID,
    "ID_REUSED": _INVALID,
    "STORE_NOT_FOUND": _NOT_FOUND,
    "STOCK_NOT_FOUND": _NOT_FOUND,
    "LOCATION_NOT_FOUND": _NOT_FOUND,
    "STOCK_TRANSACTION_NOT_FOUND": _NOT_FOUND,
    "RESERVATION_NOT_FOUND": _NOT_FOUND,
    "CART_NOT_FOUND": _NOT_FOUND,
    "CART_ITEM_NOT_FOUND": _NOT_FOUND,
    "ORDER_NOT_FOUND": _NOT_FOUND,
    "PAYMENT_NOT_FOUND": _NOT_FOUND,
    "IMPORT_NOT_FOUND": _NOT_FOUND,
    "STOCK_EXISTS": grpc.StatusCode.ALREADY_EXISTS,
    "LOCATION_EXISTS": grpc.StatusCode.ALREADY_EXISTS,
    "LOCATION_DISABLED": _REFUSED,
    "LOCATION_NOT_EMPTY": _REFUSED,
    "INSUFFICIENT_STOCK": _REFUSED,
    "TOTAL_BELOW_ALLOCATED": _REFUSED,
    "QUANTITY_OVERFLOW": _REFUSED,
    "HAND_ALLOCATION_TOO_SMALL": _REFUSED,
    "STOCK_IN_USE": _REFUSED,
    "RESERVATION_NOT_ACTIVE": _REFUSED,
    "RESERVATION_EXPIRED": _REFUSED,
    "RESERVATION_OWNED_BY_ORDER": _REFUSED,
    "QUANTITY_EXCEEDS_HELD": _REFUSED,
    "RETURN_EXCEEDS_SHIPPED": _REFUSED,
    "ORDER_NOT_PAYABLE": _REFUSED,
    "ORDER_NOT_CANCELLABLE": _REFUSED,
    "ORDER_NOT_SHIPPABLE": _REFUSED,
    "ORDER_CANCELLED": _REFUSED,
    "PAYMENT_IN_PROGRESS": _REFUSED,
    "AMOUNT_EXCEEDS_BALANCE": _REFUSED,
    "CART_NOT_OPEN": _REFUSED,
    "CART_EMPTY": _REFUSED,
    "PAYMENT_NOT_CAPTURABLE": _REFUSED,
    "PAYMENT_NOT_VOIDABLE": _REFUSED,
    "PAYMENT_NOT_REFUNDABLE": _REFUSED,
    "ETAG_MISMATCH": grpc.StatusCode.ABORTED,
    "IMPORT_INCOMPLETE": _REFUSED,
    "RESUME_TOKEN_EXPIRED": grpc.StatusCode.OUT_OF_RANGE,
    "TRANSACTION_CONFLICT": _UNAVAILABLE,
    "OVERLOADED": _UNAVAILABLE,
    "DATABASE_UNAVAILABLE": _UNAVAILABLE,
    "COMMIT_OUTCOME_UNKNOWN": _UNAVAILABLE,
    "RATE_LIMITED": grpc.StatusCode.RESOURCE_EXHAUSTED,
    "UNAUTHENTICATED": grpc.StatusCode.UNAUTHENTICATED,
    "PERMISSION_DENIED": grpc.StatusCode.PERMISSION_DENIED,
    "INTERNAL": grpc.StatusCode.INTERNAL,
}


@dataclass
class Refusal:
    """What a caller was told; empty until the call was refused.

    `fields` are the paths of BadRequest; `shortage_bytes` is the size of the packed shortages,
    `details_bytes` that of the whole google.rpc.Status.
    """

    code: grpc.StatusCode = grpc.StatusCode.OK
    message: str = ""
    reason: str = ""
    metadata: dict[str, str] = field(default_factory=dict)
    fields: list[str] = field(default_factory=list)
    shortages: list[v1.StockShortage] = field(default_factory=list)
    shortage_bytes: int = 0
    details_bytes: int = 0
    has_retry_info: bool = False

    @property
    def short_lines(self) -> list[tuple[str, str, int, int, bool]]:
        """(product, location, requested, available, managed) of each shortage listed."""
        return [(s.product_id, s.location, s.requested, s.available, s.managed) for s in self.shortages]

    def read(self, error: grpc.RpcError) -> None:
        """Take what an error says, and check what holds of every refusal."""
        self.code, self.message = error.code(), error.details()
        details = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
        assert len(details) == 1, f"{self.code} {self.message}: no details"
        self.details_bytes = len(details[0])
        status = status_pb2.Status.FromString(details[0])
        assert (status.code, status.message) == (self.code.value[0], self.message)
        infos = []
        for packed in status.details:
            info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
            retry, short = error_details_pb2.RetryInfo(), v1.StockShortage()
            if packed.Unpack(info):
                infos.append(info)
            elif packed.Unpack(bad):
                self.fields += [violation.field for violation in bad.field_violations]
                assert all(violation.description for violation in bad.field_violations)
            elif packed.Unpack(retry):
                self.has_retry_info = retry.retry_delay.ToNanoseconds() > 0
            elif packed.Unpack(short):
                self.shortages.append(short)
                self.shortage_bytes += packed.ByteSize()
            else:
                raise AssertionError(f"an unknown detail: {packed.type_url}")
        (info,) = infos
        assert info.domain == "inventory-service"
        self.reason, self.metadata = info.reason, dict(info.metadata)
        assert self.code is CODE_OF[self.reason]
        assert self.has_retry_info is (self.code is grpc.StatusCode.UNAVAILABLE)
