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


class Statement(NamedTuple):
    """A named statement; `locking` is the same with its row locks."""

    name: str
    text: str
    locking: str


@cache
def statements() -> dict[str, Statement]:
    """Return every statement by its name. Raises ValueError where two share one."""
    found: dict[str, Statement] = {}
    for file in sorted(files("inventory_server.db").joinpath("sql").iterdir(), key=lambda f: f.name):
        for name, body in _BLOCK.findall(file.read_text(encoding="utf-8")):
            if name in found:
                raise ValueError(f"two statements are called {name}")
            text, _, lock = body.partition("-- lock: ")
            found[name] = Statement(name, text.strip(), f"{text.strip()}\n{lock}".strip())
    return found


def statement(name: str) -> Statement:
    return statements()[name]
