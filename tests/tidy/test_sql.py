"""SQL stands in db/ alone, named; each statement is used, and keeps to one store."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from inventory_server.db.queries import statements

SERVER = Path(__file__).parents[2] / "server" / "inventory_server"
SQL = re.compile(
    r"\b(SELECT\s+\S|INSERT\s+INTO\b|UPDATE\s+\w+\s+SET\b|DELETE\s+FROM\b|TRUNCATE\s|MERGE\s+INTO\b"
    r"|(CREATE|ALTER|DROP)\s+(TABLE|INDEX|ROLE|SEQUENCE)\b|SET\s+(ROLE|LOCAL)\b|LOCK\s+TABLE\b"
    r"|BEGIN\s+ISOLATION\b)"
)
# No rows of a store: the list of stores, the name of the database, the credentials.
OF_NO_STORE = {"all_stores", "feed_origin", "credentials_live", "note_credentials_used"}


def sql_texts(source: str) -> list[str]:
    """Return the strings that look like SQL; docstrings are prose."""
    tree = ast.parse(source)
    docs = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    return [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        if id(node) not in docs and SQL.search(node.value)
    ]


def test_no_sql_outside_db() -> None:
    """Whatever talks to the database says a statement's name."""
    outside = [path for path in SERVER.rglob("*.py") if path.relative_to(SERVER).parts[0] != "db"]
    assert len(outside) > 30
    assert {path.name: texts for path in outside if (texts := sql_texts(path.read_text()))} == {}


@pytest.mark.parametrize(
    "source",
    [
        'x = "SELECT 1"',
        'x = f"DELETE FROM {table}"',
        'x = "update", "UPDATE stock SET a = 1"',
        'def f(x="SET ROLE nobody"): ...',
    ],
)
def test_sql_is_seen_where_it_is(source: str) -> None:
    """The look for SQL finds it."""
    assert sql_texts(source)


def test_the_tables_are_written_and_read_by_name_alone() -> None:
    """In db/ too, no Python file has a statement on the tables, but for stores, a bench's bulk and looks."""
    tables = re.findall(r"CREATE TABLE (\w+)", (SERVER / "db/migrations/0001_schema.sql").read_text())
    found = {
        path.name
        for path in (SERVER / "db").rglob("*.py")
        for text in sql_texts(path.read_text())
        if any(re.search(rf"\b{table}\b", text) for table in tables)
    }
    assert found == {"check.py", "grown.py", "measured.py", "stores.py"}


def test_every_statement_is_used() -> None:
    """No statement stands there that nobody runs."""
    texts = "".join(path.read_text() for path in (SERVER / "engine").glob("*.py"))
    assert [name for name in statements() if f'"{name}"' not in texts] == []


@pytest.mark.parametrize("name", sorted(set(statements()) - OF_NO_STORE))
def test_a_statement_keeps_to_one_store(name: str) -> None:
    """Each table of a statement is bound to the store by a constant, never by a join."""
    text = re.sub(r"--.*", "", statements()[name].text)
    tables = re.findall(r"(?:FROM|JOIN|INTO|UPDATE)\s+(?!LATERAL|unnest)([a-z_]+)", text)
    tables = [table for table in tables if not re.search(rf"\b{table} AS (?:MATERIALIZED )?\(", text)]
    assert tables
    assert text.count("%(store_id)s") >= len(tables)
    assert "store_id = o.store_id" not in text and "USING (store_id" not in text
