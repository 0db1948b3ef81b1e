"""What the client makes of an error: the class, and every detail that came with it. No channel here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.duration_pb2 import Duration
from google.rpc import error_details_pb2, status_pb2

import inventory_client
from inventory_client import errors, v1

ERROR_PROTO = Path(__file__).parents[2] / "protos" / "inventory" / "v1" / "error.proto"
REASON_NAMES = [name.removeprefix("ERROR_REASON_") for name, number in v1.ErrorReason.items() if number]


class FakeRpcError(grpc.RpcError):
    """What gRPC raises, as far as decoding looks at it."""

    def __init__(self, code: grpc.StatusCode, trailing: Any = (), message: str | None = "no") -> None:
        super().__init__()
        self._code, self._trailing, self._message = code, trailing, message

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str | None:
        return self._message

    def trailing_metadata(self) -> Any:
        return self._trailing


def packed(*details: Any) -> tuple[tuple[str, bytes], ...]:
    """The trailing metadata of a status with these details."""
    status = status_pb2.Status(code=9, message="no")
    for detail in details:
        status.details.add().Pack(detail)
    return (("grpc-status-details-bin", status.SerializeToString()),)


def info(reason: str, domain: str = "inventory-service", **metadata: str) -> error_details_pb2.ErrorInfo:
    return error_details_pb2.ErrorInfo(reason=reason, domain=domain, metadata=metadata)


def codes_in_the_proto() -> dict[str, grpc.StatusCode]:
    """Reason -> code, as the comment before each reason in error.proto begins."""
    comment, codes = "", {}
    for line in map(str.strip, ERROR_PROTO.read_text().splitlines()):
        if line.startswith("ERROR_REASON_") and not line.startswith("ERROR_REASON_UNSPECIFIED"):
            code_name = comment.partition(":")[0]
            codes[line.split(" ")[0].removeprefix("ERROR_REASON_")] = grpc.StatusCode[code_name]
        comment = f"{comment} {line[3:]}".strip() if line.startswith("//") else ""
    return codes


@pytest.mark.parametrize("reason_name", REASON_NAMES)
def test_every_reason_has_a_class(reason_name: str) -> None:
    """An error with a reason of the protos is raised as a class of its own, which the package exports."""
    error = errors.decode_error(FakeRpcError(grpc.StatusCode.UNKNOWN, packed(info(reason_name))))

    assert type(error).__name__ == reason_name.title().replace("_", "")
    assert v1.ErrorReason.Name(error.reason) == f"ERROR_REASON_{reason_name}"
    assert error.reason_name == reason_name
    assert getattr(inventory_client, type(error).__name__) is type(error)
    assert type(error).__name__ in inventory_client.__all__
    assert type(error).__doc__


def test_the_reasons_stand_below_their_codes() -> None:
    """Each reason's class derives from the class of the code that error.proto names for it."""
    codes = codes_in_the_proto()
    assert sorted(codes) == sorted(REASON_NAMES)
    for reason_name, code in codes.items():
        assert issubclass(errors.CLASS_BY_REASON[reason_name], errors.CLASS_BY_CODE[code]), reason_name


def test_the_package_exports_every_exception() -> None:
    """`inventory_client.__all__` holds each exception of errors.py, and is what the module has."""
    made = {
        name
        for name, found in vars(errors).items()
        if isinstance(found, type) and issubclass(found, errors.InventoryError)
    }
    assert made <= set(inventory_client.__all__)
    assert all(hasattr(inventory_client, name) for name in inventory_client.__all__)
    assert inventory_client.__all__ == sorted(inventory_client.__all__)


@pytest.mark.parametrize(("code", "kind"), errors.CLASS_BY_CODE.items())
def test_without_a_reason_the_code_decides(code: grpc.StatusCode, kind: type[errors.InventoryError]) -> None:
    """An error of the transport has no details; it is raised as the class of its code."""
    error = errors.decode_error(FakeRpcError(code))

    assert type(error) is kind
    assert (error.reason, error.reason_name) == (v1.ErrorReason.ERROR_REASON_UNSPECIFIED, "")
    assert error.code is code


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code not in errors.CLASS_BY_CODE])
def test_any_other_code_is_an_inventory_error(code: grpc.StatusCode) -> None:
    """No status code escapes the tree."""
    assert type(errors.decode_error(FakeRpcError(code))) is errors.InventoryError


def test_a_reason_from_the_future_is_caught_by_its_code() -> None:
    """A reason newer than this package becomes the class of its code, and its name can still be read."""
    newer = packed(info("SHELF_ON_FIRE", shelf="7"))
    error = errors.decode_error(FakeRpcError(grpc.StatusCode.FAILED_PRECONDITION, newer))

    assert type(error) is errors.FailedPrecondition
    assert error.reason == v1.ErrorReason.ERROR_REASON_UNSPECIFIED
    assert (error.reason_name, error.metadata) == ("SHELF_ON_FIRE", {"shelf": "7"})


@pytest.mark.parametrize("reason_name", ["UNSPECIFIED", "", "insufficient_stock"])
def test_a_reason_that_is_none_is_not_taken_for_one(reason_name: str) -> None:
    """UNSPECIFIED, an empty name and another spelling are no reason that callers switch on."""
    error = errors.decode_error(FakeRpcError(grpc.StatusCode.NOT_FOUND, packed(info(reason_name))))
    assert type(error) is errors.NotFound


def test_a_reason_of_another_domain_is_not_ours() -> None:
    """ErrorInfo of a proxy or a library in between doesn't become one of our reasons."""
    foreign = packed(info("INTERNAL", domain="mesh.example", hop="3"))
    error = errors.decode_error(FakeRpcError(grpc.StatusCode.UNAVAILABLE, foreign))

    assert type(error) is errors.Unavailable
    assert (error.reason_name, error.metadata) == ("", {})


def test_the_fields_that_are_wrong() -> None:
    """BadRequest becomes (path, description), in its order, and shows in the text."""
    violation = error_details_pb2.BadRequest.FieldViolation
    bad = error_details_pb2.BadRequest(
        field_violations=[
            violation(field="lines[0].quantity", description="must be at least 1"),
            violation(field="reservation_id", description="is required"),
        ]
    )
    refused = FakeRpcError(
        grpc.StatusCode.INVALID_ARGUMENT, packed(info("INVALID_FIELD"), bad), "a field is wrong"
    )
    error = errors.decode_error(refused)

    assert type(error) is errors.InvalidField
    assert error.field_violations == [
        ("lines[0].quantity", "must be at least 1"),
        ("reservation_id", "is required"),
    ]
    assert str(error) == (
        "INVALID_FIELD: a field is wrong; lines[0].quantity: must be at least 1; reservation_id: is required"
    )


def test_a_field_that_the_message_names() -> None:
    """Its violation, which the server's message begins with, is said once; the others follow."""

    def text(message: str, *violations: tuple[str, str]) -> str:
        code = grpc.StatusCode.INVALID_ARGUMENT
        return str(errors.InvalidField(message, code=code, field_violations=violations))

    first, second = ("quantity", "must be at least 1"), ("etag", "is required")
    assert text("quantity: must be at least 1", first) == "INVALID_ARGUMENT: quantity: must be at least 1"
    assert text("quantity: must be at least 1 (and 1 more)", first, second) == (
        "INVALID_ARGUMENT: quantity: must be at least 1 (and 1 more); etag: is required"
    )


def test_the_lines_that_are_short() -> None:
    """The shortages that found room are listed; `shortage_count` of the metadata counts all of them."""
    tea = v1.StockShortage(product_id="tea", requested=5, available=2, managed=True)
    salt = v1.StockShortage(product_id="salt", requested=1)
    details = packed(info("INSUFFICIENT_STOCK", shortage_count="300"), tea, salt)
    error = errors.decode_error(FakeRpcError(grpc.StatusCode.FAILED_PRECONDITION, details))

    assert type(error) is errors.InsufficientStock
    assert error.shortages == [tea, salt]
    assert error.shortage_count == 300


@pytest.mark.parametrize("metadata", [{}, {"shortage_count": "many"}, {"shortage_count": "-1"}])
def test_short_lines_that_nobody_counted(metadata: dict[str, str]) -> None:
    """Without a count that is a number, those listed are counted."""
    details = packed(info("INSUFFICIENT_STOCK", **metadata), v1.StockShortage(product_id="tea"))
    assert errors.decode_error(FakeRpcError(grpc.StatusCode.FAILED_PRECONDITION, details)).shortage_count == 1


@pytest.mark.parametrize(
    ("delay", "retry_after_s"),
    [
        (Duration(seconds=2, nanos=500_000_000), 2.5),
        (Duration(nanos=50_000_000), 0.05),
        (Duration(), None),
        (Duration(seconds=-1), None),
    ],
)
def test_when_to_come_back(delay: Duration, retry_after_s: float | None) -> None:
    """RetryInfo becomes seconds; a delay that isn't above 0 is none."""
    details = packed(info("OVERLOADED"), error_details_pb2.RetryInfo(retry_delay=delay))
    error = errors.decode_error(FakeRpcError(grpc.StatusCode.UNAVAILABLE, details))

    assert type(error) is errors.Overloaded
    assert error.retry_after_s == retry_after_s


def test_what_is_worth_sending_again() -> None:
    """Exactly UNAVAILABLE, DEADLINE_EXCEEDED and CANCELLED leave the outcome open."""
    retryable = {code for code in grpc.StatusCode if errors.decode_error(FakeRpcError(code)).retryable}
    assert retryable == {
        grpc.StatusCode.UNAVAILABLE,
        grpc.StatusCode.DEADLINE_EXCEEDED,
        grpc.StatusCode.CANCELLED,
    }


@pytest.mark.parametrize(
    "trailing",
    [
        None,
        (("grpc-status-details-bin", b"\xff\xff\xff"),),
        (("grpc-status-details-bin", "text"),),
        (("x-other", b"\xff"),),
        (
            (
                "grpc-status-details-bin",
                status_pb2.Status(
                    details=[
                        AnyMessage(
                            type_url="type.googleapis.com/inventory.v1.StockShortage", value=b"\xff\xff"
                        ),
                    ]
                ).SerializeToString(),
            ),
        ),
        packed(v1.Stock(product_id="tea")),
    ],
    ids=["none", "broken status", "no bytes", "another key", "broken detail", "unknown detail"],
)
def test_details_that_cannot_be_read_do_not_hide_the_error(trailing: Any) -> None:
    """Whatever stands in the details, the code and the message come through."""
    error = errors.decode_error(FakeRpcError(grpc.StatusCode.NOT_FOUND, trailing, "no such stock"))

    assert type(error) is errors.NotFound
    assert error.message == "no such stock"
    assert error.shortages == []
    assert str(error) == "NOT_FOUND: no such stock"


def test_the_request_is_kept_for_sending_it_again() -> None:
    """The exception carries the message as it was sent; an absent text is an empty one."""
    request = v1.CancelOrderRequest(order_id="o", request_id="r")
    error = errors.decode_error(FakeRpcError(grpc.StatusCode.UNAVAILABLE, message=None), request)
    assert error.request is request
    assert error.message == ""
