"""Validation: each rule of each request, at its limit and one past it, enumerated from the descriptors."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from google.protobuf import descriptor_pb2, descriptor_pool
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message_factory import GetMessageClass

from inventory_client.v1 import checkout_service_pb2, inventory_service_pb2, options_pb2
from inventory_client.v1 import inventory_service_pb2 as inventory
from inventory_client.v1.stock_import_pb2 import StockRow
from inventory_server.rpc import rules
from inventory_server.rpc.rules import VIOLATIONS_MAX, InvalidFields, Violation, validator

METHODS = [
    method
    for file in (inventory_service_pb2, checkout_service_pb2)
    for service in file.DESCRIPTOR.services_by_name.values()
    for method in service.methods
]
# What a request leaves to be checked by itself is a case of its own.
REQUESTS = [*[method.input_type for method in METHODS], StockRow.DESCRIPTOR]
GOOD_TEXT = {
    options_pb2.TEXT_FORMAT_ID: ["!", "~" * 128, "a.b:c/d"],
    options_pb2.TEXT_FORMAT_SLUG: ["a", "Z-9_" * 32],
    options_pb2.TEXT_FORMAT_CURRENCY: ["EUR"],
}
BAD_TEXT = {
    options_pb2.TEXT_FORMAT_ID: [
        "~" * 129,
        "a b",
        "a\n",
        "\n",
        "a\0",
        "\x1b[31m",
        "caf\u00e9",
        "\U0001f600",
        "\x7f",
    ],
    options_pb2.TEXT_FORMAT_SLUG: ["a" * 129, "a.b", "a b", "a\n", "a\0", "caf\u00e9", "a/b"],
    options_pb2.TEXT_FORMAT_CURRENCY: ["EU", "EURO", "eur", "EU\n", "E\0R", "\u20acUR"],
}


def rules_of(field: FieldDescriptor) -> options_pb2.FieldRules:
    return field.GetOptions().Extensions[options_pb2.rules]


def ours(field: FieldDescriptor) -> Descriptor | None:
    """Return the message that a field holds, if its fields bear our rules."""
    message = field.message_type
    return message if message is not None and message.full_name.startswith("inventory.") else None


def fill(message: Any) -> Any:
    """Give every required field of a message its least allowed value."""
    for field in message.DESCRIPTOR.fields:
        rule = rules_of(field)
        if field.is_repeated:
            for _ in range(rule.items_min):
                add(message, field)
        elif rule.required:
            setattr(message, field.name, least(field))
    return message


def add(message: Any, field: FieldDescriptor) -> None:
    """Give a repeated field one more valid element."""
    if ours(field):
        fill(getattr(message, field.name).add())
    else:
        getattr(message, field.name).append(least(field))


def least(field: FieldDescriptor) -> Any:
    rule = rules_of(field)
    if field.type == FieldDescriptor.TYPE_STRING:
        return GOOD_TEXT[rule.format][0] if rule.format else "x"
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        return rule.double_min
    if field.enum_type is not None:
        return 1
    return max(rule.min, 1)


class Case(NamedTuple):
    """A request that is valid but for what the case says of one field."""

    name: str
    request: Any
    path: str
    is_valid: bool


def cases(descriptor: Descriptor) -> Iterator[Case]:
    """Yield the cases of every field of a request, those of the first element of a repeated field too."""
    yield from _cases(descriptor, descriptor, ())


def _cases(root: Descriptor, descriptor: Descriptor, within: tuple[FieldDescriptor, ...]) -> Iterator[Case]:
    path = "".join(f"{field.name}[0]." if field.is_repeated else f"{field.name}." for field in within)

    def case(what: str, field: FieldDescriptor, is_valid: bool, suffix: str = "") -> tuple[Case, Any]:
        request = fill(GetMessageClass(root)())
        target = request
        for step in within:
            inner = getattr(target, step.name)
            if step.is_repeated:
                target = inner[0] if inner else fill(inner.add())
            else:
                inner.SetInParent()
                target = fill(inner)
        at = path + field.name + suffix
        return Case(f"{root.name}.{at} {what}", request, at, is_valid), target

    for field in descriptor.fields:
        if field.is_repeated:
            yield from _repeated_cases(field, case)
            if (inner := ours(field)) and not rules_of(field).each_alone:
                yield from _cases(root, inner, (*within, field))
        elif field.message_type is None:
            yield from _scalar_cases(field, case)
        elif inner := ours(field):
            yield from _cases(root, inner, (*within, field))


def _repeated_cases(field: FieldDescriptor, case: Any) -> Iterator[Case]:
    rule = rules_of(field)
    for count in {rule.items_min, rule.items_max, rule.items_min - 1, rule.items_max + 1} - {-1}:
        made, target = case(f"x{count}", field, rule.items_min <= count <= rule.items_max)
        target.ClearField(field.name)
        for _ in range(count):
            add(target, field)
        yield made
    if field.type == FieldDescriptor.TYPE_STRING:
        for value, is_valid in _texts(rule):
            made, target = case(f"= {value[:10]!r}", field, is_valid, "[0]")
            getattr(target, field.name)[:1] = [value]
            yield made
        made, target = case("= ''", field, not rule.format, "[0]")
        getattr(target, field.name)[:1] = [""]
        yield made


def _scalar_cases(field: FieldDescriptor, case: Any) -> Iterator[Case]:
    rule = rules_of(field)
    made, target = case("absent", field, not rule.required)
    target.ClearField(field.name)
    yield made
    for value, is_valid in _values(field, rule):
        shown = repr(value[:10]) if isinstance(value, str) else value
        made, target = case(f"= {shown}", field, is_valid)
        setattr(target, field.name, value)
        yield made


def _values(field: FieldDescriptor, rule: options_pb2.FieldRules) -> Iterator[tuple[Any, bool]]:
    if field.type == FieldDescriptor.TYPE_STRING:
        yield from _texts(rule)
    elif field.enum_type is not None:
        yield from ((number, True) for number in field.enum_type.values_by_number if number)
        yield from ((number, False) for number in (max(field.enum_type.values_by_number) + 1, 999, -1))
        yield 0, not rule.required
    elif field.cpp_type in (FieldDescriptor.CPPTYPE_INT64, FieldDescriptor.CPPTYPE_INT32):
        bits = 63 if field.cpp_type == FieldDescriptor.CPPTYPE_INT64 else 31
        low = rule.min if rule.HasField("min") else -(2**bits)
        high = rule.max if rule.HasField("max") else 2**bits - 1
        for value in {low, low - 1, high, high + 1, 0, -1, -(2**bits), 2**bits - 1}:
            if -(2**bits) <= value < 2**bits:
                yield value, low <= value <= high or (value == 0 and not field.has_presence)
    elif field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        low, high = rule.double_min, rule.double_max
        past = (math.nextafter(low, -math.inf), math.nextafter(high, math.inf))
        yield from ((value, True) for value in (low, high, -0.0))
        yield from ((value, False) for value in (*past, -math.inf, math.inf, math.nan))
    else:
        assert field.type == FieldDescriptor.TYPE_BOOL


def _texts(rule: options_pb2.FieldRules) -> Iterator[tuple[str, bool]]:
    if rule.format:
        yield from ((text, True) for text in GOOD_TEXT[rule.format])
        yield from ((text, False) for text in BAD_TEXT[rule.format])
        return
    yield from (("x" * rule.bytes_max, True), ("x" * (rule.bytes_max + 1), False))
    # bytes are counted, not characters
    yield from (("\u00e9" * (rule.bytes_max // 2), True), ("\u00e9" * (rule.bytes_max // 2 + 1), False))
    yield from (("a\0b", False), ("a\nb \x1b[31m \U0001f600 '; --", True))


@pytest.mark.parametrize("descriptor", REQUESTS, ids=lambda descriptor: descriptor.name)
def test_every_limit_at_and_one_past_it(descriptor: Descriptor) -> None:
    """A request is refused exactly where a field breaks its rule, and the violation names that field."""
    validate = validator(descriptor)
    assert validate(fill(GetMessageClass(descriptor)())) == []
    seen = 0
    for case in cases(descriptor):
        broken = [violation.field for violation in validate(case.request)]
        assert broken == ([] if case.is_valid else [case.path]), case.name
        # what a caller sends comes from the wire
        parsed = GetMessageClass(descriptor).FromString(case.request.SerializeToString())
        assert [violation.field for violation in validate(parsed)] == broken, case.name
        seen += 1
    assert seen or not descriptor.fields


@pytest.mark.parametrize("descriptor", REQUESTS, ids=lambda descriptor: descriptor.name)
def test_every_field_of_a_request_has_a_bound(descriptor: Descriptor) -> None:
    """No text, number or list that a caller sends is without a limit, at any depth."""

    def unbounded(message: Descriptor) -> Iterator[str]:
        for field in message.fields:
            rule = rules_of(field)
            is_text = field.type == FieldDescriptor.TYPE_STRING
            if field.is_repeated and not rule.items_max:
                yield field.full_name
            if is_text and not (rule.format or rule.bytes_max):
                yield field.full_name
            if field.cpp_type in rules._INTEGERS and not rule.HasField("min"):
                yield field.full_name
            if inner := ours(field):
                yield from unbounded(inner)

    assert list(unbounded(descriptor)) == []


def test_the_protos_say_what_the_product_says() -> None:
    """Spot checks against the numbers of the design, so that a slip in a .proto is seen."""
    validate = validator(inventory.ReserveStockRequest.DESCRIPTOR)

    def reserve(**line: Any) -> list[str]:
        request = inventory.ReserveStockRequest(reservation_id="r", lines=[{"product_id": "p", **line}])  # type: ignore[list-item]
        return [violation.field for violation in validate(request)]

    assert reserve(quantity=1) == reserve(quantity=2**43 - 1) == []
    for quantity in (0, -1, -(2**63), 2**43, 2**63 - 1):
        assert reserve(quantity=quantity) == ["lines[0].quantity"]
    assert reserve() == ["lines[0].quantity"]


def test_a_ten_byte_varint_that_overflows_is_refused() -> None:
    """The parser reads it as -1, which no quantity allows."""
    data = b"\x0a\x01p\x10" + b"\xff" * 9 + b"\x7f" + b"\x22\x01r"
    request = inventory.CreateStockRequest.FromString(data)
    broken = validator(inventory.CreateStockRequest.DESCRIPTOR)(request)
    assert [violation.field for violation in broken] == ["quantity"]


@pytest.mark.parametrize(
    ("field", "value", "is_valid"),
    [
        ("expire_time", {"seconds": rules.TIMESTAMP_S_MIN}, True),
        ("expire_time", {"seconds": rules.TIMESTAMP_S_MIN - 1}, False),
        ("expire_time", {"seconds": rules.TIMESTAMP_S_MAX, "nanos": rules.NANOS_MAX}, True),
        ("expire_time", {"seconds": rules.TIMESTAMP_S_MAX + 1}, False),
        ("expire_time", {"nanos": -1}, False),
        ("expire_time", {"nanos": rules.NANOS_MAX + 1}, False),
        ("ttl", {"seconds": rules.DURATION_S_MAX}, True),
        ("ttl", {"seconds": rules.DURATION_S_MAX + 1}, False),
        ("ttl", {"seconds": 1, "nanos": rules.NANOS_MAX}, True),
        ("ttl", {"seconds": 1, "nanos": rules.NANOS_MAX + 1}, False),
        ("ttl", {"seconds": -1, "nanos": -1}, True),  # a valid Duration; its range is convert's
        ("ttl", {"seconds": 1, "nanos": -1}, False),
    ],
)
def test_times_are_valid_protobuf(field: str, value: Any, is_valid: bool) -> None:
    """A Timestamp and a Duration keep to the ranges of their own .proto files."""
    request = fill(inventory.ReserveStockRequest(**{field: value}))
    broken = validator(inventory.ReserveStockRequest.DESCRIPTOR)(request)
    assert [violation.field for violation in broken] == ([] if is_valid else [field])


def test_violations_are_bounded() -> None:
    """At most VIOLATIONS_MAX of them are told, however many lines are broken."""
    validate = validator(inventory.ReserveStockRequest.DESCRIPTOR)
    lines: list[Any] = [{"product_id": "a b", "quantity": 0, "location": "."}] * 1_000
    broken = validate(inventory.ReserveStockRequest(reservation_id="r", lines=lines))
    assert len(broken) == VIOLATIONS_MAX
    assert broken[3].field == "lines[1].product_id"
    many = validator(inventory.BatchGetStockRequest.DESCRIPTOR)
    assert len(many(inventory.BatchGetStockRequest(product_ids=[""] * 1_000))) == VIOLATIONS_MAX
    assert len(InvalidFields([Violation("f", "d")] * 50).violations) == VIOLATIONS_MAX


def test_a_violation_never_repeats_the_value() -> None:
    """What a caller sent does not come back, nor into a log: only what is allowed is said."""
    request = inventory.GetStockRequest(product_id="\x1b[31msecret")
    (broken,) = validator(inventory.GetStockRequest.DESCRIPTOR)(request)
    assert broken == Violation("product_id", "must be 1 to 128 visible ASCII characters")
    assert str(InvalidFields([broken, broken])) == (
        "product_id: must be 1 to 128 visible ASCII characters (and 1 more)"
    )


# --- rules that make no sense stop the server ----------------------------------------------------


def message_type(*fields: descriptor_pb2.FieldDescriptorProto) -> Descriptor:
    """Make a message type of its own with these fields."""
    file = descriptor_pb2.FileDescriptorProto(name="t.proto", package="t", syntax="proto3")
    message = file.message_type.add(name="T")
    message.field.extend(fields)
    nested = message.nested_type.add(name="Entry")
    nested.options.map_entry = True
    for number, name in enumerate(("key", "value"), start=1):
        nested.field.add(name=name, number=number, type=FieldDescriptor.TYPE_STRING, label=1)
    pool = descriptor_pool.DescriptorPool()
    return pool.AddSerializedFile(file.SerializeToString()).message_types_by_name["T"]


def field(
    kind: Any, label: Any = FieldDescriptor.LABEL_OPTIONAL, type_name: str | None = None, **rule: Any
) -> descriptor_pb2.FieldDescriptorProto:
    made = descriptor_pb2.FieldDescriptorProto(
        name="f", number=1, type=kind, label=label, type_name=type_name
    )
    made.options.Extensions[options_pb2.rules].CopyFrom(options_pb2.FieldRules(**rule))
    return made


@pytest.mark.parametrize(
    ("made", "why"),
    [
        (field(FieldDescriptor.TYPE_INT64, bytes_max=3), "is no string"),
        (field(FieldDescriptor.TYPE_INT64, format=1), "is no string"),
        (field(FieldDescriptor.TYPE_STRING, min=1), "is no integer"),
        (field(FieldDescriptor.TYPE_STRING, items_max=1), "is not repeated"),
        (field(FieldDescriptor.TYPE_STRING, each_alone=True), "no messages"),
        (field(FieldDescriptor.TYPE_MESSAGE, type_name=".t.T", each_alone=True), "no messages"),
        (field(FieldDescriptor.TYPE_INT64, min=2, max=1), "no value between"),
        (field(FieldDescriptor.TYPE_FLOAT), "type that the rules do not know"),
        (field(FieldDescriptor.TYPE_DOUBLE), "needs a range"),
        (field(FieldDescriptor.TYPE_DOUBLE, double_min=0), "needs a range"),
        (field(FieldDescriptor.TYPE_DOUBLE, double_min=2, double_max=1), "needs a range"),
        (field(FieldDescriptor.TYPE_DOUBLE, min=1, double_min=0, double_max=1), "is no integer"),
        (field(FieldDescriptor.TYPE_INT64, double_max=1), "is no double"),
        (field(FieldDescriptor.TYPE_MESSAGE, type_name=".t.T"), "holds itself"),
        (field(FieldDescriptor.TYPE_MESSAGE, type_name=".t.T", min=1), "no rule of a scalar"),
        (field(FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.LABEL_REPEATED, ".t.T.Entry"), "is a map"),
    ],
)
def test_a_rule_that_cannot_apply_stops_the_start(
    made: descriptor_pb2.FieldDescriptorProto, why: str
) -> None:
    """A rule is checked or it is an error; none is skipped in silence."""
    with pytest.raises(TypeError, match=why):
        validator(message_type(made))
