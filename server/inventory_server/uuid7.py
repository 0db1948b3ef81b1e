"""Ids that the server makes: UUIDv7, so that the index leaves of different writers stay apart."""

from __future__ import annotations

import secrets
import time
from uuid import UUID


def uuid7() -> UUID:
    """Return a UUID that sorts by its time of making. Source: RFC 9562, section 5.7."""
    milliseconds = time.time_ns() // 1_000_000
    random_bits = secrets.randbits(74)
    value = (
        milliseconds << 80 | 0x7 << 76 | (random_bits >> 62) << 64 | 0b10 << 62 | random_bits & (2**62 - 1)
    )
    return UUID(int=value)
