"""Etags: what a resource showed when it was read (AIP-154). Computed of its content, never stored."""

from __future__ import annotations

from hashlib import blake2b


def etag(*parts: object) -> str:
    """Return 16 hexadecimal characters that are equal where all that a resource shows is.

    Args:
        parts: plain values with a repr of their own: text, numbers, times, tuples of them.
    """
    return blake2b(repr(parts).encode(), digest_size=8).hexdigest()
