"""Requests by chance: messages of every kind with values at the edges, and their bytes, bent."""

from __future__ import annotations

import math
import random
from typing import Any

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

DEPTH_MAX = 4
# The few that are good are ids, so that calls meet what others made.
_TEXTS = [
    *("a", "b", "x") * 6, "EUR", "default", "", "x" * 128, "x" * 129, "a\0", "a\nb", "caf\u00e9",
    "\U0001f4a5", "'; DROP TABLE stock; --", "%s%n", "\x1b[31m", '{"level":"error"}',
]  # fmt: skip
_NUMBERS = [*(1, 2, 5) * 3, 0, -1, 2**31, 2**43 - 1, 2**43, 2**53, 2**63 - 1, -(2**63)]
_DOUBLES = [0.0, 1.5, -90.0, 180.0, math.inf, -math.inf, math.nan, 1e308]
_BAD_BYTES = [b"\xff" * 10, b"\x0a\xff\xff\xff\xff\x0f", b"\x0c", b"\x0a\x02\xff\xfe", b"\x0b" * 200, b""]


def message(descriptor: Descriptor, chance: random.Random, depth: int = 0) -> Any:
    """Return a message of a kind, each field set or not."""
    made = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if chance.random() < 0.8:
            _set(made, field, chance, depth)
    return made


def bent(data: bytes, chance: random.Random) -> bytes:
    """Return bytes as they are, or cut off, changed, made longer, or others."""
    how = chance.randrange(8)
    place = chance.randint(0, len(data))
    if how == 0:
        return data[:place]
    if how == 1:
        return data[:place] + chance.choice(_BAD_BYTES) + data[place:]
    if how == 2:
        return data[:place] + bytes([chance.randrange(256)]) + data[place + 1 :]
    if how == 3:
        return chance.randbytes(chance.randint(0, 64))
    return data


def _set(made: Message, field: FieldDescriptor, chance: random.Random, depth: int) -> None:
    if field.message_type is not None:
        if depth < DEPTH_MAX:
            values = [message(field.message_type, chance, depth + 1) for _ in range(_count(field, chance))]
            if field.is_repeated:
                getattr(made, field.name).extend(values)
            else:
                getattr(made, field.name).CopyFrom(values[0])
        return
    scalars = [_scalar(field, chance) for _ in range(_count(field, chance))]
    if field.is_repeated:
        getattr(made, field.name).extend(scalars)
    else:
        setattr(made, field.name, scalars[0])


def _count(field: FieldDescriptor, chance: random.Random) -> int:
    return chance.randint(0, 3) if field.is_repeated else 1


def _scalar(field: FieldDescriptor, chance: random.Random) -> Any:
    number = chance.choice(_NUMBERS)
    if field.enum_type is not None:
        return chance.choice([*(value.number for value in field.enum_type.values), 999, -1])
    return {
        FieldDescriptor.TYPE_STRING: chance.choice(_TEXTS),
        FieldDescriptor.TYPE_BYTES: chance.randbytes(8),
        FieldDescriptor.TYPE_BOOL: chance.random() < 0.5,
        FieldDescriptor.TYPE_DOUBLE: chance.choice(_DOUBLES),
        FieldDescriptor.TYPE_INT32: max(-(2**31), min(2**31 - 1, number)),
        FieldDescriptor.TYPE_UINT32: abs(number) % 2**32,
        FieldDescriptor.TYPE_INT64: number,
        FieldDescriptor.TYPE_UINT64: abs(number),
    }[field.type]
