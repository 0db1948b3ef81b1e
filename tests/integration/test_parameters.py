"""Array literals: whatever a list holds arrives as it was."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from operator import itemgetter
from typing import Any

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inventory_server.db.parameters import LONG, array, column, written
from inventory_server.db.queries import Statement

MOMENTS = st.datetimes(min_value=datetime(1, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(UTC))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "text": st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])),
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "boolean": st.booleans(),
    "float8": st.floats(allow_nan=False, allow_infinity=False),
    "timestamptz": MOMENTS,
    "bytea": st.binary(),
}


@pytest.fixture(scope="module")
def connection(postgres: Any) -> Any:
    with psycopg.connect(postgres.url, autocommit=True, options="-c TimeZone=UTC") as opened:
        yield opened


@pytest.mark.parametrize("kind", VALUES)
def test_a_list_comes_back_as_it_went(connection: psycopg.Connection, kind: str) -> None:
    """Of every type that is written so, NULL among them, also the text that looks like a literal."""

    @given(values=st.lists(st.none() | VALUES[kind], max_size=20))
    @settings(max_examples=50)
    def check(values: list[Any]) -> None:
        sent: Any = f"SELECT %s::{kind}[]"
        row = connection.execute(sent, (array(values),)).fetchone()
        assert row == (values,)

    check()


@pytest.mark.parametrize("count", [LONG - 1, LONG, LONG + 1])
@pytest.mark.parametrize("kind", VALUES)
def test_a_column_of_one_type_comes_back_as_it_went(
    connection: psycopg.Connection, kind: str, count: int
) -> None:
    """Long or short, one value all the way down or many, with and without what must be quoted."""

    @given(values=st.lists(VALUES[kind], min_size=1, max_size=count), number=st.integers(0, count - 1))
    @settings(max_examples=20)
    def check(values: list[Any], number: int) -> None:
        sent: Any = f"SELECT %s::{kind}[], %s::{kind}[]"
        columns = [values[:1] * count, (values * count)[:count]]
        columns[0][number] = values[-1]
        row = connection.execute(sent, tuple(array(column) for column in columns)).fetchone()
        # 0.0 == -0.0, but they are not written alike.
        assert repr(row) == repr(tuple(columns)) if kind == "float8" else row == tuple(columns)

    check()


@pytest.mark.parametrize("count", [1, 2, LONG])
@pytest.mark.parametrize("kind", VALUES)
def test_rows_are_written_as_they_are(connection: psycopg.Connection, kind: str, count: int) -> None:
    """One or many, alike in a column or not, with NULL all the way down, at either end or nowhere."""
    table: Any = f"CREATE TEMP TABLE written (store_id text, number int, value {kind})"
    connection.execute(table)
    made = Statement.of_rows(
        "insert",
        "INSERT INTO written (store_id, number, value)\n"
        f"SELECT %(store_id)s, unnest(%(number)s::int[]), unnest(%(value)s::{kind}[])",
    )
    assert made.of_one is not None
    one = made.of_one

    @given(some=st.lists(st.none() | VALUES[kind], min_size=1, max_size=count), alike=st.booleans())
    @settings(max_examples=20)
    def check(some: list[Any], alike: bool) -> None:
        values = some[:1] * count if alike else (some * count)[:count]
        rows = list(enumerate(values))
        params = {"number": column(range(count)), "value": column(values)}
        text: Any = made.text
        if count == 1:
            params, text = {"number": written(0), "value": written(values[0])}, one.text
        connection.execute(text, {"store_id": "s", **{key: _text(value) for key, value in params.items()}})
        found = connection.execute("DELETE FROM written RETURNING number, value").fetchall()
        found = sorted(found, key=itemgetter(0))
        # 0.0 == -0.0, but they are not written alike.
        assert repr(found) == repr(rows) if kind == "float8" else found == rows

    try:
        check()
    finally:
        connection.execute("DROP TABLE written")


def _text(literal: bytes | None) -> str | None:
    return None if literal is None else literal.decode()


@pytest.mark.parametrize("count", [2, LONG])
@pytest.mark.parametrize("text", ["", "NULL", "null", "{}", '"', "\\", "a,b", " ", "\n", '\\"', "{a}"])
def test_a_text_that_means_something_in_a_literal(
    connection: psycopg.Connection, text: str, count: int
) -> None:
    """It is no more than a text."""
    texts = [*[text] * (count - 1), "another"]
    row = connection.execute("SELECT %s::text[]", (array(texts),)).fetchone()
    assert row == (texts,)


def test_a_moment_of_another_zone(connection: psycopg.Connection) -> None:
    """It is the same moment."""
    moment = datetime(2026, 1, 2, 3, 4, 5, 6, timezone(timedelta(hours=5, minutes=30)))
    row = connection.execute("SELECT %s::timestamptz[]", (array([moment]),)).fetchone()
    assert row == ([moment],)


def test_a_type_that_is_not_known() -> None:
    """It is a defect, never written as something else."""
    for values in ([object()], [object()] * LONG):
        with pytest.raises(KeyError):
            array(values)
