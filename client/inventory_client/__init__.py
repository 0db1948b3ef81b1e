"""The client of the inventory service: `connect()`, `connect_aio()`, and an exception for every reason.

    import inventory_client
    from inventory_client import v1

    with inventory_client.connect("127.0.0.1:50051") as client:
        line = v1.LineRequest(product_id="tea", quantity=2)
        try:
            client.inventory.ReserveStock(v1.ReserveStockRequest(reservation_id="r-1", lines=[line]))
        except inventory_client.InsufficientStock as error:
            print(error.shortages)

Messages and enums are in `inventory_client.v1`; every exception is an `InventoryError`.
"""

from inventory_client.calls import new_id
from inventory_client.client import AioClient, Client, connect, connect_aio
from inventory_client.errors import (
    AlreadyExists,
    AmountExceedsBalance,
    Cancelled,
    CartEmpty,
    CartItemNotFound,
    CartNotFound,
    CartNotOpen,
    CommitOutcomeUnknown,
    DatabaseUnavailable,
    DeadlineExceeded,
    FailedPrecondition,
    HandAllocationTooSmall,
    IdReused,
    InsufficientStock,
    Internal,
    InvalidArgument,
    InvalidField,
    InventoryError,
    LocationNotFound,
    NotFound,
    OrderCancelled,
    OrderNotCancellable,
    OrderNotFound,
    OrderNotPayable,
    OrderNotShippable,
    Overloaded,
    PaymentInProgress,
    PaymentNotCapturable,
    PaymentNotFound,
    PaymentNotRefundable,
    PaymentNotVoidable,
    QuantityOverflow,
    ReservationExpired,
    ReservationNotActive,
    ReservationNotFound,
    ReservationOwnedByOrder,
    StockExists,
    StockNotFound,
    StockTransactionNotFound,
    StoreNotFound,
    TotalBelowAllocated,
    TransactionConflict,
    Unavailable,
)

__all__ = [
    "AioClient",
    "AlreadyExists",
    "AmountExceedsBalance",
    "Cancelled",
    "CartEmpty",
    "CartItemNotFound",
    "CartNotFound",
    "CartNotOpen",
    "Client",
    "CommitOutcomeUnknown",
    "DatabaseUnavailable",
    "DeadlineExceeded",
    "FailedPrecondition",
    "HandAllocationTooSmall",
    "IdReused",
    "InsufficientStock",
    "Internal",
    "InvalidArgument",
    "InvalidField",
    "InventoryError",
    "LocationNotFound",
    "NotFound",
    "OrderCancelled",
    "OrderNotCancellable",
    "OrderNotFound",
    "OrderNotPayable",
    "OrderNotShippable",
    "Overloaded",
    "PaymentInProgress",
    "PaymentNotCapturable",
    "PaymentNotFound",
    "PaymentNotRefundable",
    "PaymentNotVoidable",
    "QuantityOverflow",
    "ReservationExpired",
    "ReservationNotActive",
    "ReservationNotFound",
    "ReservationOwnedByOrder",
    "StockExists",
    "StockNotFound",
    "StockTransactionNotFound",
    "StoreNotFound",
    "TotalBelowAllocated",
    "TransactionConflict",
    "Unavailable",
    "connect",
    "connect_aio",
    "new_id",
]
