"""The error table: complete, true to the protos, and small enough for every client's header limit."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from inventory_client.v1 import error_pb2
from inventory_client.v1.error_pb2 import ErrorReason
from inventory_server.access import errors as access
from inventory_server.domain import errors as domain
from inventory_server.domain.errors import InsufficientStock, ReservationExpired, Shortage
from inventory_server.engine import errors as engine
from inventory_server.rpc import status
from inventory_server.rpc.rules import InvalidFields, Violation

PROTO = Path(__file__).parents[2] / "protos" / "inventory" / "v1" / "error.proto"
# What many clients take of headers in all (grpc's own default), the details in base64.
HEADER_BYTES_MAX = 8 * 1024

EXAMPLES: dict[type[Exception], Exception] = {
    access.PermissionDenied: access.PermissionDenied("viewer"),
    InvalidFields: InvalidFields([Violation("lines[3].quantity", "must be 1 to 8796093022207")]),
    domain.InvalidValue: domain.InvalidValue("amount_minor", "must be at least 1"),
    domain.IdReused: domain.IdReused("reservation_id", "r-1"),
    domain.ItemIdReused: domain.ItemIdReused("b-1", "1"),
    domain.PaymentOperationNotFound: domain.PaymentOperationNotFound("p-1", "op-1"),
    domain.StockExists: domain.StockExists("tea"),
    domain.ImportIncomplete: domain.ImportIncomplete("i-1", "3 of 4 rows came"),
    domain.LocationExists: domain.LocationExists("north"),
    domain.LocationDisabled: domain.LocationDisabled("north"),
    domain.LocationNotEmpty: domain.LocationNotEmpty("north"),
    domain.InsufficientStock: InsufficientStock((Shortage("tea", "north", 5, 2, managed=True),)),
    domain.ReservationExpired: ReservationExpired((Shortage("tea", None, 5, 0, managed=False),)),
    domain.TotalBelowAllocated: domain.TotalBelowAllocated("tea", 3, 4),
    domain.QuantityOverflow: domain.QuantityOverflow("the level's total", 2**43 - 1),
    domain.HandAllocationTooSmall: domain.HandAllocationTooSmall(5, 4),
    domain.StockInUse: domain.StockInUse("tea", 3),
    domain.ReservationNotActive: domain.ReservationNotActive("r-1", "CLOSED"),
    domain.ReservationOwnedByOrder: domain.ReservationOwnedByOrder("r-1", "o-1"),
    domain.QuantityExceedsHeld: domain.QuantityExceedsHeld(1, 5, 4),
    domain.ReturnExceedsShipped: domain.ReturnExceedsShipped(1, 5, 4),
    domain.OrderNotPayable: domain.OrderNotPayable("o-1", "no payment gateway is set"),
    domain.OrderNotCancellable: domain.OrderNotCancellable("o-1", "it was shipped whole"),
    domain.OrderNotShippable: domain.OrderNotShippable("o-1", "it was shipped before"),
    domain.OrderCancelled: domain.OrderCancelled("o-1"),
    domain.PaymentInProgress: domain.PaymentInProgress("o-1"),
    domain.AmountExceedsBalance: domain.AmountExceedsBalance(10, 9),
    domain.AmountExceedsAuthorized: domain.AmountExceedsAuthorized(10, 9),
    domain.AmountExceedsRefundable: domain.AmountExceedsRefundable(10, 9),
    domain.PaymentNotCapturable: domain.PaymentNotCapturable("p-1", "VOIDED"),
    domain.PaymentNotVoidable: domain.PaymentNotVoidable("p-1", "CAPTURED"),
    domain.PaymentNotRefundable: domain.PaymentNotRefundable("p-1", "AUTHORIZED"),
    domain.EtagMismatch: domain.EtagMismatch("expected_version", 7),
    domain.CartNotOpen: domain.CartNotOpen("c-1", "o-1"),
    domain.CartEmpty: domain.CartEmpty("c-1"),
    domain.ResumeTokenExpired: domain.ResumeTokenExpired(),
    engine.DeadlinePassed: engine.DeadlinePassed(),
}
# Classes that only others are made of.
BASES = {domain.DomainError, domain.NotFound, engine.NotDecided}


def classes(base: type[Exception]) -> Iterator[type[Exception]]:
    """Yield a class of the server's and all that are made of it."""
    if base.__module__.startswith("inventory_server."):
        yield base
    for derived in base.__subclasses__():
        yield from classes(derived)


def example(kind: type[Exception]) -> Exception:
    if kind in EXAMPLES:
        return EXAMPLES[kind]
    if issubclass(kind, domain.NotFound):
        return kind("an-id")
    return kind("host=10.0.0.1 password=secret")


def told(error: Exception) -> tuple[status.Refusal, Any]:
    """Return what a caller is told, and the google.rpc.Status in it."""
    refusal = status.refusal(error)
    assert refusal is not None
    ((key, data),) = refusal.trailing_metadata
    assert key == "grpc-status-details-bin"
    return refusal, status_pb2.Status.FromString(data)


def unpacked(packed: Any, kind: Any) -> Any:
    message = kind()
    assert packed.Unpack(message)
    return message


@pytest.mark.parametrize("kind", [*classes(domain.DomainError), *classes(engine.NotDecided)])
def test_every_error_has_its_row(kind: type[Exception]) -> None:
    """Every class of the domain's and the engine's errors stands in the table, but for the bases."""
    assert (kind in status.TABLE) is (kind not in BASES)


def test_every_reason_is_told_by_some_row() -> None:
    """Every ErrorReason is somebody's: none that callers switch on never comes."""
    reasons = {row.reason for row in status.TABLE.values()} | {error_pb2.ERROR_REASON_INTERNAL}
    assert reasons - {None} == set(ErrorReason.values()) - {error_pb2.ERROR_REASON_UNSPECIFIED}


def test_every_code_is_the_one_the_proto_names() -> None:
    """The comment of each reason begins with its status code; the table says the same."""
    said = {
        name: code
        for code, name in re.findall(
            r"// ([A-Z_]+): (?:.*\n(?: *//.*\n)*?) *(ERROR_REASON_\w+) =", PROTO.read_text()
        )
    }
    done = {
        ErrorReason.Name(row.reason): row.code.name for row in status.TABLE.values() if row.reason is not None
    }
    assert said == done | {"ERROR_REASON_INTERNAL": "INTERNAL"}


@pytest.mark.parametrize("kind", [kind for kind in status.TABLE if kind is not engine.DeadlinePassed])
def test_a_refusal_is_whole(kind: type[Exception]) -> None:
    """Code, message and status agree; ErrorInfo comes first; all its metadata is text; nothing leaks."""
    error = example(kind)
    refusal, rpc_status = told(error)
    row = status.TABLE[kind]
    assert refusal.code is row.code
    assert rpc_status.code == row.code.value[0]
    assert rpc_status.message == refusal.message != ""
    assert row.reason is not None
    info = unpacked(rpc_status.details[0], error_details_pb2.ErrorInfo)
    assert info.domain == "inventory-service"
    assert f"ERROR_REASON_{info.reason}" == ErrorReason.Name(row.reason)
    for key, attribute in row.metadata.items():
        assert info.metadata[key] == str(getattr(error, attribute)) != ""
    assert "secret" not in refusal.message
    has_retry = any(packed.Is(error_details_pb2.RetryInfo.DESCRIPTOR) for packed in rpc_status.details)
    waits = refusal.code is grpc.StatusCode.UNAVAILABLE or kind is access.RateLimited
    assert has_retry is waits
    has_fields = any(packed.Is(error_details_pb2.BadRequest.DESCRIPTOR) for packed in rpc_status.details)
    assert has_fields is (info.reason == "INVALID_FIELD")


def test_a_passed_deadline_has_no_reason() -> None:
    """DEADLINE_EXCEEDED is the transport's own: no details."""
    refusal = status.refusal(engine.DeadlinePassed())
    assert refusal is not None
    assert (refusal.code, refusal.trailing_metadata) == (grpc.StatusCode.DEADLINE_EXCEEDED, ())
    of_item = status.status_of(engine.DeadlinePassed())
    assert of_item == status_pb2.Status(code=4, message=refusal.message)


@pytest.mark.parametrize("kind", [kind for kind in status.TABLE if kind is not engine.DeadlinePassed])
def test_an_item_is_told_what_a_call_is(kind: type[Exception]) -> None:
    """The google.rpc.Status of an item is that of a call that is refused for the same."""
    assert status.status_of(example(kind)) == told(example(kind))[1]
    assert status.status_of(ValueError("x")) is None


@pytest.mark.parametrize("error", [ValueError("x"), domain.DomainError("x"), domain.NotFound("x")])
def test_what_stands_in_no_row_is_a_defect(error: Exception) -> None:
    """The table guesses nothing: an error it does not know is the door's to log."""
    assert status.refusal(error) is None


def test_a_defect_is_told_by_its_id_alone() -> None:
    """INTERNAL: a fixed text and the id that stands in the log."""
    refusal = status.internal("abc")
    rpc_status = status_pb2.Status.FromString(refusal.trailing_metadata[0][1])
    info = unpacked(rpc_status.details[0], error_details_pb2.ErrorInfo)
    assert (refusal.code, info.reason, dict(info.metadata)) == (
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        {"error_id": "abc"},
    )


@pytest.mark.parametrize("kind", [InsufficientStock, ReservationExpired])
def test_sold_out_says_the_same_to_everybody(kind: type[InsufficientStock]) -> None:
    """The message names no product and no count; the details list the short lines and count them all."""
    shortages = (
        Shortage("tea", "north", 5, 2, managed=True),
        Shortage("cake", None, 7, 0, managed=False),
    )
    refusal, rpc_status = told(kind(shortages))
    assert refusal.message == kind.message
    assert not re.search(r"\d|tea|cake", refusal.message)
    info, *rest = rpc_status.details
    assert dict(unpacked(info, error_details_pb2.ErrorInfo).metadata) == {"shortage_count": "2"}
    assert [unpacked(packed, error_pb2.StockShortage) for packed in rest] == [
        error_pb2.StockShortage(product_id="tea", location="north", requested=5, available=2, managed=True),
        error_pb2.StockShortage(product_id="cake", requested=7, available=0, managed=False),
    ]


@pytest.mark.parametrize("id_length", [1, 4, 20, 128])
def test_shortages_stay_within_four_kib(id_length: int) -> None:
    """Of 1,000 short lines as many are listed as 4 KiB hold, one more would not fit; the count says 1,000."""
    short = Shortage("p" * id_length, "l" * id_length, 2**43 - 1, 2**43 - 2, managed=True)
    refusal, rpc_status = told(InsufficientStock((short,) * 1_000))
    info, *rest = rpc_status.details
    assert unpacked(info, error_details_pb2.ErrorInfo).metadata["shortage_count"] == "1000"
    # a detail in Status: a tag, a length of one or two bytes, and itself
    each_bytes = 3 + rest[0].ByteSize()
    assert len(rest) * each_bytes <= 4 * 1024 < (len(rest) + 2) * (each_bytes + 6)
    assert sum(map(len, wire(refusal))) < HEADER_BYTES_MAX


def test_the_most_violations_fit_into_the_headers() -> None:
    """Twenty violations of deep fields with the longest words stay below the header limit."""
    longest = Violation("lines[999].unit_price_minor", "is required; must be 0 to 9007199254740991")
    refusal, _ = told(InvalidFields([longest] * 1_000))
    assert sum(map(len, wire(refusal))) < HEADER_BYTES_MAX


def wire(refusal: status.Refusal) -> tuple[bytes, bytes]:
    """Return the message and the details as they stand in the headers."""
    return refusal.message.encode(), base64.b64encode(bytes(refusal.trailing_metadata[0][1]))  # type: ignore[arg-type]
