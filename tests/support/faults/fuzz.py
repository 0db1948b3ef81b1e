"""Inputs for every method, made by hypothesis from the descriptors: messages by their own rules, and bytes.

Half of the messages keep all rules, so that calls get behind the door and meet what others made. In the
others a field has at times what stands at its limit, one past it, or far from it; some bytes are no message.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.message_factory import GetMessageClass
from hypothesis import strategies as st

from inventory_client.v1 import options_pb2
from support.requests import METHODS, rules_of

Draw = Callable[[st.SearchStrategy[Any]], Any]

# Of repeated messages without a limit.
ITEMS_MAX = 3
MESSAGES_OF_A_STREAM_MAX = 3
# Of each message in a failure's text.
SHOWN_BYTES_MAX = 1_000
_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}
_GOOD_TEXTS = {
    # Few, so that calls meet.
    options_pb2.TEXT_FORMAT_ID: ["a", "b", "x", "~" * 128],
    options_pb2.TEXT_FORMAT_SLUG: ["default", "x", "y", "x" * 128],
    options_pb2.TEXT_FORMAT_CURRENCY: ["EUR", "EUR", "USD"],
    # Those of the gateway simulator are among them.
    options_pb2.TEXT_FORMAT_UNSPECIFIED: ["", "sim:accept", "sim:decline", "caf\u00e9", "\U0001f4a5"],
}
_ODD_TEXTS = [
    "", " ", "x" * 129, "x" * 5_000, "a\0", "a\nb", "caf\u00e9", "\U0001f4a5", "\x1b[31m", "%s%n", "../../x",
    "'; DROP TABLE stock_level; --", '{"level":"error"}', "EURO", "e\u0301" * 64,
]  # fmt: skip
_ODD_DOUBLES = [0.0, -0.0, math.inf, -math.inf, math.nan, 1e308, 5e-324]
_ODD_BYTES = [b"\xff" * 10, b"\x0a\xff\xff\xff\xff\x0f", b"\x0c", b"\x0a\x02\xff\xfe", b"\x0b" * 200, b""]
# Fields whose good values are those of an answer.
_READ_BEFORE = ("etag", "page_token", "resume_token")
_HOWS = ("cut", "insert", "change", "other")


class Input(NamedTuple):
    """What is sent in one call: of a method that takes a stream several messages, of others one."""

    method: MethodDescriptor
    messages: list[bytes]

    def __repr__(self) -> str:
        shown = [data[:SHOWN_BYTES_MAX] for data in self.messages]
        return f"{self.method.name}({shown}, {[len(data) for data in self.messages]} bytes)"


@st.composite
def inputs(draw: Draw, methods: list[MethodDescriptor] = METHODS) -> Input:
    method = draw(st.sampled_from(methods))
    count = draw(st.integers(1, MESSAGES_OF_A_STREAM_MAX)) if method.client_streaming else 1
    return Input(method, [_data(draw, method.input_type) for _ in range(count)])


def _data(draw: Draw, descriptor: Descriptor) -> bytes:
    """Draw a message's bytes: by the rules, with odd values, or bent."""
    kind = draw(st.integers(0, 7))
    if kind < 4:
        return _bytes_of(_message(draw, descriptor, is_odd=False))
    data = _bytes_of(_message(draw, descriptor, is_odd=True))
    return data if kind < 7 else _bent(draw, data)


def _bytes_of(message: Any) -> bytes:
    data: bytes = message.SerializeToString()
    return data


def _bent(draw: Draw, data: bytes) -> bytes:
    """Draw bytes cut off, with more put in, with one changed, or others."""
    place = draw(st.integers(0, len(data)))
    how = draw(st.sampled_from(_HOWS))
    if how == "cut":
        return data[:place]
    if how == "insert":
        return data[:place] + draw(st.sampled_from(_ODD_BYTES)) + data[place:]
    if how == "change":
        return data[:place] + draw(st.binary(min_size=1, max_size=1)) + data[place + 1 :]
    drawn: bytes = draw(st.binary(max_size=64))
    return drawn


# --- messages ------------------------------------------------------------------------------------


def _message(draw: Draw, descriptor: Descriptor, *, is_odd: bool) -> Any:
    made = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        rules = rules_of(field)
        if not is_odd and field.name.endswith(_READ_BEFORE):
            continue
        is_needed = not is_odd and (rules.required or rules.items_min)
        if is_needed or draw(st.booleans()):
            _set(draw, made, field, is_odd=is_odd and draw(st.integers(0, 3)) == 0, holds_odd=is_odd)
    return made


def _set(draw: Draw, made: Any, field: FieldDescriptor, *, is_odd: bool, holds_odd: bool) -> None:
    """Draw a field's value.

    Args:
        is_odd: the value itself may break its rules.
        holds_odd: fields of a message in it may.
    """

    def value() -> Any:
        if field.message_type is FieldMask.DESCRIPTOR:
            siblings = [sibling.name for sibling in field.containing_type.fields]
            return FieldMask(paths=draw(st.lists(st.sampled_from([*siblings, "", "*"]), max_size=2)))
        if field.message_type is not None:
            return _message(draw, field.message_type, is_odd=holds_odd)
        return draw(_odd(field) if is_odd else _good(field))

    if not field.is_repeated:
        if field.message_type is None:
            setattr(made, field.name, value())
        else:
            getattr(made, field.name).CopyFrom(value())
        return
    rules = rules_of(field)
    values = getattr(made, field.name)
    if is_odd and rules.items_max:
        values.extend([value()] * (rules.items_max + draw(st.integers(0, 1))))
        return
    least = 0 if is_odd else max(rules.items_min, int(rules.required))
    values.extend(value() for _ in range(draw(st.integers(least, max(least, ITEMS_MAX)))))


# --- values --------------------------------------------------------------------------------------


def _good(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Values that keep the field's rules, as far as it alone can tell."""
    rules = rules_of(field)
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values if value.number])
    if field.type == FieldDescriptor.TYPE_STRING:
        texts = _GOOD_TEXTS[rules.format]
        return st.sampled_from([*texts, "x" * rules.bytes_max] if rules.bytes_max else texts)
    if field.cpp_type in _INTEGERS:
        low, high = _range(field, rules)
        return st.sampled_from([*(n for n in (0, 1, 2, 3, 5, 1_000) if low <= n <= high), low, high])
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        low_double, high_double = rules.double_min, rules.double_max
        return st.floats(low_double, high_double) if high_double > low_double else st.floats()
    return st.booleans() if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL else st.binary(max_size=16)


def _odd(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    """Values one past a limit, far from it, or of no kind that the rules know."""
    rules = rules_of(field)
    if field.enum_type is not None:
        return st.sampled_from([0, -1, 999, 2**31 - 1, -(2**31)])
    if field.type == FieldDescriptor.TYPE_STRING:
        too_long = ["x" * (rules.bytes_max + 1)] if rules.bytes_max else []
        return st.sampled_from([*too_long, *_ODD_TEXTS])
    if field.cpp_type in _INTEGERS:
        least, greatest = _INTEGERS[field.cpp_type]
        low, high = _range(field, rules)
        numbers = {low - 1, high + 1, 0, -1, 2**43, 2**53, 253_402_300_800, 10**9, least, greatest}
        return st.sampled_from(sorted(number for number in numbers if least <= number <= greatest))
    if field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE:
        past = [math.nextafter(rules.double_min, -math.inf), math.nextafter(rules.double_max, math.inf)]
        return st.sampled_from([*past, *_ODD_DOUBLES])
    return _good(field)


def _range(field: FieldDescriptor, rules: Any) -> tuple[int, int]:
    least, greatest = _INTEGERS[field.cpp_type]
    low = rules.min if rules.HasField("min") else least
    high = rules.max if rules.HasField("max") else greatest
    # Of a Timestamp, whose rules stand in its comments, the near past and future are good.
    return (low, high) if field.containing_type.full_name.startswith("inventory.") else (0, 1_000)
