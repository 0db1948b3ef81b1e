"""What a request's fields must obey: a table compiled from the `(inventory.v1.rules)` of the descriptors.

The rules stand once, in the .proto files, where callers read them too. They are compiled at start, so a rule
that cannot apply to its field stops the server instead of being skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from inventory_client.v1 import options_pb2
from inventory_client.v1.options_pb2 import FieldRules

# An answer names so many broken fields at most: it has to fit into a caller's header limit (8 KiB).
VIOLATIONS_MAX = 20

# google/protobuf/timestamp.proto: years 1 to 9999; duration.proto: +-10,000 years.
TIMESTAMP_S_MIN = -62_135_596_800
TIMESTAMP_S_MAX = 253_402_300_799
DURATION_S_MAX = 315_576_000_000
NANOS_MAX = 999_999_999


class Violation(NamedTuple):
    """A field by its path (`lines[3].quantity`), and what is allowed there. Never holds the value."""

    field: str
    description: str


class InvalidFields(Exception):
    """A request whose fields break their rules; at most VIOLATIONS_MAX of them are kept."""

    def __init__(self, violations: Sequence[Violation]) -> None:
        first = violations[0]
        more = f" (and {len(violations) - 1} more)" if len(violations) > 1 else ""
        super().__init__((f"{first.field}: " if first.field else "") + first.description + more)
        self.violations = tuple(violations[:VIOLATIONS_MAX])


# Appends what is broken in a message to the list, with names relative to that message.
Check = Callable[[Any, list[Violation]], None]
# Whether one value is allowed.
_Holds = Callable[[Any], bool]

_FORMATS = {
    options_pb2.TEXT_FORMAT_ID: (r"[!-~]{1,128}", "1 to 128 visible ASCII characters"),
    options_pb2.TEXT_FORMAT_SLUG: (r"[A-Za-z0-9_-]{1,128}", "1 to 128 of A-Z a-z 0-9 _ -"),
    options_pb2.TEXT_FORMAT_CURRENCY: (r"[A-Z]{3}", "an ISO 4217 code: three capital letters"),
}
ID_DESCRIPTION = f"must be {_FORMATS[options_pb2.TEXT_FORMAT_ID][1]}"
is_id = re.compile(_FORMATS[options_pb2.TEXT_FORMAT_ID][0]).fullmatch

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: (0, 2**64 - 1),
}


def validator(descriptor: Descriptor) -> Callable[[Any], list[Violation]]:
    """Compile the rules of a request message, nested messages included.

    Args:
        descriptor: of the request.
    Returns: a function from a message to its violations: at most VIOLATIONS_MAX, none = it is valid.
    Raises: TypeError for a rule that cannot apply to its field, a map, or a message that holds itself.
    """
    checks = _checks(descriptor, ())

    def violations(message: Any) -> list[Violation]:
        broken: list[Violation] = []
        for check in checks:
            check(message, broken)
        return broken[:VIOLATIONS_MAX] if broken else broken

    return violations


def _checks(descriptor: Descriptor, within: tuple[str, ...]) -> tuple[Check, ...]:
    if descriptor.full_name in within:
        raise TypeError(f"{descriptor.full_name} holds itself: its depth would have no bound")
    if descriptor.full_name in _WELL_KNOWN:
        return _WELL_KNOWN[descriptor.full_name]
    within = (*within, descriptor.full_name)
    compiled = (_field(field, within) for field in descriptor.fields)
    return tuple(check for check in compiled if check is not None)


def _field(field: FieldDescriptor, within: tuple[str, ...]) -> Check | None:
    rules = field.GetOptions().Extensions[options_pb2.rules]
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        raise TypeError(f"{field.full_name} is a map, which the rules do not know")
    if not field.is_repeated and (rules.items_min or rules.items_max):
        raise TypeError(f"{field.full_name} is not repeated and has no items to count")
    if rules.each_alone and not (field.is_repeated and field.message_type is not None):
        raise TypeError(f"{field.full_name} has no messages to be checked each alone")
    if field.message_type is not None:
        _need_no_scalar_rules(field, rules)
        # Compiled in any case, so that rules that cannot be stop the server here too.
        inner = _checks(field.message_type, within)
        if rules.each_alone:
            inner = ()
        return _messages(field.name, rules, inner) if field.is_repeated else _message(field, rules, inner)
    holds, description = _value(field, rules)
    if field.is_repeated:
        return _values(field.name, rules, holds, description)
    return _scalar(field, rules, holds, description) if holds is not None or rules.required else None


def _need_no_scalar_rules(field: FieldDescriptor, rules: FieldRules) -> None:
    if rules.format or rules.bytes_max or _has_range(rules) or _has_double_range(rules):
        raise TypeError(f"{field.full_name} is a message and takes no rule of a scalar")


def _has_range(rules: FieldRules) -> bool:
    return rules.HasField("min") or rules.HasField("max")


def _has_double_range(rules: FieldRules) -> bool:
    return rules.HasField("double_min") or rules.HasField("double_max")


# --- one value -----------------------------------------------------------------------------------


def _value(field: FieldDescriptor, rules: FieldRules) -> tuple[_Holds | None, str]:
    """Return what one present value must hold (None = anything goes), and the words for it."""
    is_text = field.type == FieldDescriptor.TYPE_STRING
    is_integer = field.cpp_type in _INTEGERS
    is_double = field.cpp_type == FieldDescriptor.CPPTYPE_DOUBLE
    if (rules.format or rules.bytes_max) and not is_text:
        raise TypeError(f"{field.full_name} is no string and takes neither format nor bytes_max")
    if _has_range(rules) and not is_integer:
        raise TypeError(f"{field.full_name} is no integer and takes neither min nor max")
    if _has_double_range(rules) and not is_double:
        raise TypeError(f"{field.full_name} is no double and takes neither double_min nor double_max")
    if is_text:
        return _text(rules)
    if is_integer:
        return _integer(field, rules)
    if is_double:
        return _double(field, rules)
    if field.enum_type is not None:
        numbers = frozenset(value.number for value in field.enum_type.values) - {0}
        # The parser lets unknown numbers through: proto3 enums are open.
        return numbers.__contains__, f"must be a value of {field.enum_type.name}"
    if field.cpp_type == FieldDescriptor.CPPTYPE_BOOL:
        return None, "must be set"
    raise TypeError(f"{field.full_name} has a type that the rules do not know")


def _text(rules: FieldRules) -> tuple[_Holds, str]:
    if rules.format:
        pattern, allowed = _FORMATS[rules.format]
        return _as_holds(re.compile(pattern)), f"must be {allowed}"
    bytes_max = rules.bytes_max

    def holds(text: str) -> bool:
        # PostgreSQL's text has no NUL.
        return "\0" not in text and (not bytes_max or len(text.encode()) <= bytes_max)

    return holds, f"must be at most {bytes_max} bytes, without NUL" if bytes_max else "must be without NUL"


def _as_holds(pattern: re.Pattern[str]) -> _Holds:
    # fullmatch itself is the fastest test; its Match is as good as True
    return pattern.fullmatch  # type: ignore[return-value]


def _integer(field: FieldDescriptor, rules: FieldRules) -> tuple[_Holds | None, str]:
    least, greatest = _INTEGERS[field.cpp_type]
    low = rules.min if rules.HasField("min") else least
    high = rules.max if rules.HasField("max") else greatest
    if low > high:
        raise TypeError(f"{field.full_name} has no value between {low} and {high}")
    if (low, high) == (least, greatest):
        return None, "must be set"
    if not rules.HasField("max"):
        return (lambda number: number >= low), f"must be at least {low}"
    if not rules.HasField("min"):
        return (lambda number: number <= high), f"must be at most {high}"
    return (lambda number: low <= number <= high), f"must be {low} to {high}"


def _double(field: FieldDescriptor, rules: FieldRules) -> tuple[_Holds, str]:
    low, high = rules.double_min, rules.double_max
    if not (rules.HasField("double_min") and rules.HasField("double_max") and low <= high):
        raise TypeError(f"{field.full_name} is a double and needs a range: double_min to double_max")
    # NaN is in no range.
    return (lambda number: low <= number <= high), f"must be {low:g} to {high:g}"


# --- one field -----------------------------------------------------------------------------------


def _scalar(field: FieldDescriptor, rules: FieldRules, holds: _Holds | None, description: str) -> Check:
    name, required, has_presence = field.name, rules.required, field.has_presence
    absent = f"is required; {description}"
    # Where an absent field's value is not allowed anyway, one that is allowed was there.
    is_absence_hidden = required and (holds is None or bool(holds(field.default_value)))

    def check(message: Any, broken: list[Violation]) -> None:
        value = getattr(message, name)
        if holds is None or holds(value):
            if is_absence_hidden and not (message.HasField(name) if has_presence else value):
                broken.append(Violation(name, absent))
        elif message.HasField(name) if has_presence else value:
            broken.append(Violation(name, description))
        elif required:
            broken.append(Violation(name, absent))

    return check


def _values(name: str, rules: FieldRules, holds: _Holds | None, description: str) -> Check:
    count_holds, count_description = _count(rules)

    def check(message: Any, broken: list[Violation]) -> None:
        values = getattr(message, name)
        if not count_holds(len(values)):
            broken.append(Violation(name, count_description))
            return
        for index, value in enumerate(values):
            if holds is not None and not holds(value):
                broken.append(Violation(f"{name}[{index}]", description))
                if len(broken) >= VIOLATIONS_MAX:
                    return

    return check


def _message(field: FieldDescriptor, rules: FieldRules, inner: tuple[Check, ...]) -> Check:
    name, required = field.name, rules.required

    def check(message: Any, broken: list[Violation]) -> None:
        if not message.HasField(name):
            if required:
                broken.append(Violation(name, "is required"))
            return
        found: list[Violation] = []
        value = getattr(message, name)
        for inner_check in inner:
            inner_check(value, found)
        broken.extend(Violation(_join(name, at), description) for at, description in found)

    return check


def _messages(name: str, rules: FieldRules, inner: tuple[Check, ...]) -> Check:
    count_holds, count_description = _count(rules)

    def check(message: Any, broken: list[Violation]) -> None:
        items = getattr(message, name)
        if not count_holds(len(items)):
            broken.append(Violation(name, count_description))
            return
        found: list[Violation] = []
        for index, item in enumerate(items):
            for inner_check in inner:
                inner_check(item, found)
            if found:
                broken.extend(Violation(_join(f"{name}[{index}]", at), text) for at, text in found)
                found.clear()
                if len(broken) >= VIOLATIONS_MAX:
                    return

    return check


def _join(name: str, inner: str) -> str:
    return f"{name}.{inner}" if inner else name


def _count(rules: FieldRules) -> tuple[Callable[[int], bool], str]:
    low = max(rules.items_min, int(rules.required))
    high = rules.items_max
    if not high:
        return (lambda count: count >= low), f"must have at least {low} elements"
    return (lambda count: low <= count <= high), f"must have {low} to {high} elements"


# --- google.protobuf's own messages, whose ranges stand in their comments ------------------------


def _check_timestamp(message: Any, broken: list[Violation]) -> None:
    if not (TIMESTAMP_S_MIN <= message.seconds <= TIMESTAMP_S_MAX and 0 <= message.nanos <= NANOS_MAX):
        broken.append(Violation("", "must be a time in the years 1 to 9999, with nanos of 0 to 999999999"))


def _check_duration(message: Any, broken: list[Violation]) -> None:
    seconds, nanos = message.seconds, message.nanos
    in_range = abs(seconds) <= DURATION_S_MAX and abs(nanos) <= NANOS_MAX
    if not in_range or seconds * nanos < 0:
        broken.append(Violation("", "must be a duration of at most 10,000 years, its nanos of the same sign"))


_WELL_KNOWN: dict[str, tuple[Check, ...]] = {
    "google.protobuf.Timestamp": (_check_timestamp,),
    "google.protobuf.Duration": (_check_duration,),
    # Which paths there are is the method's own matter: see convert.update_cart_item.
    "google.protobuf.FieldMask": (),
}
