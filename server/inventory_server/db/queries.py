"""Named statements from sql/*.sql: the only SQL that the service runs.

A file holds blocks of `-- name: x` followed by one statement; `-- lock: CLAUSE` at its end is the row lock
that a batch takes and a read leaves out.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import NamedTuple

_BLOCK = re.compile(r"^-- name: (\w+)\n(.*?);\n", re.MULTILINE | re.DOTALL)
_PARAMETER = re.compile(r"%\((\w+)\)s")


class Statement(NamedTuple):
    """A named statement.

    Attributes:
        locking: the same with its row locks.
        numbered: that with $1, $2 ... for its parameters, as libpq takes it.
        parameters: their names, in this order.
    """

    name: str
    text: str
    locking: str
    numbered: bytes
    parameters: tuple[str, ...]

    @classmethod
    def of(cls, name: str, text: str, lock: str = "") -> Statement:
        locking = f"{text}\n{lock}".strip()
        names = tuple(dict.fromkeys(_PARAMETER.findall(locking)))
        numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", locking)
        return cls(name, text, locking, numbered.encode(), names)


@cache
def statements() -> dict[str, Statement]:
    """Return every statement by its name. Raises ValueError where two share one."""
    found: dict[str, Statement] = {}
    for file in sorted(files("inventory_server.db").joinpath("sql").iterdir(), key=lambda f: f.name):
        for name, body in _BLOCK.findall(file.read_text(encoding="utf-8")):
            if name in found:
                raise ValueError(f"two statements are called {name}")
            text, _, lock = body.partition("-- lock: ")
            found[name] = Statement.of(name, text.strip(), lock)
    return found


def statement(name: str) -> Statement:
    return statements()[name]
