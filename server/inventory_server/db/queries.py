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
# Rows to write: what is selected of the parameters, and a column of it.
_ROWS = re.compile(r"SELECT (%\(store_id\)s,\s+unnest.*?)(?=\nON CONFLICT|\Z)", re.DOTALL)
_COLUMN = re.compile(r"unnest\((%\((\w+)\)s::\w+)\[\]\)")


class Statement(NamedTuple):
    """A named statement.

    Attributes:
        locking: the same with its row locks.
        numbered: that with $1, $2 ... for its parameters, as libpq takes it.
        parameters: their names, in this order.
        of_one: of a statement that writes rows the form for a single one, whose parameters are its values;
            the statement itself takes arrays of them (parameters.column).
    """

    name: str
    text: str
    locking: str
    numbered: bytes
    parameters: tuple[str, ...]
    of_one: Statement | None = None

    @classmethod
    def of(cls, name: str, text: str, lock: str = "") -> Statement:
        locking = f"{text}\n{lock}".strip()
        names = tuple(dict.fromkeys(_PARAMETER.findall(locking)))
        numbered = _PARAMETER.sub(lambda found: f"${names.index(found[1]) + 1}", locking)
        return cls(name, text, locking, numbered.encode(), names)

    @classmethod
    def of_rows(cls, name: str, text: str) -> Statement:
        """Return a statement that writes rows, in its two forms.

        For many rows a column that says one thing all the way down comes as an array of that alone, at the
        index 0. So `alike` has the value and `each` nothing from the second row on; with any other column it
        is the other way round. Read once it costs nothing a row, where an array is read and gone through.
        Rows have a key, so they are not alike in all columns.
        """
        found = _ROWS.search(text)
        assert found is not None
        columns = _COLUMN.findall(text)
        each = ", ".join(f"unnest({array}[]) AS {column}" for array, column in columns)
        alike = ", ".join(f"({array}[])[0] AS {column}" for array, column in columns)
        # OFFSET 0 keeps the planner from taking the value out of its array for every row.
        rows = f"\nFROM (SELECT {each}) AS each, (SELECT {alike} OFFSET 0) AS alike"
        selected = _COLUMN.sub(r"coalesce(each.\2, alike.\2)", found[1])
        many = cls.of(name, text[: found.start(1)] + selected + rows + text[found.end(1) :])
        return many._replace(of_one=cls.of(f"{name}_of_one", _COLUMN.sub(r"\1", text)))


@cache
def statements() -> dict[str, Statement]:
    """Return every statement by its name. Raises ValueError where two share one."""
    found: dict[str, Statement] = {}
    for file in sorted(files("inventory_server.db").joinpath("sql").iterdir(), key=lambda f: f.name):
        for name, body in _BLOCK.findall(file.read_text(encoding="utf-8")):
            if name in found:
                raise ValueError(f"two statements are called {name}")
            text, _, lock = body.partition("-- lock: ")
            text = text.strip()
            is_rows = _ROWS.search(text) is not None
            found[name] = Statement.of_rows(name, text) if is_rows else Statement.of(name, text, lock)
    return found


def statement(name: str) -> Statement:
    return statements()[name]
