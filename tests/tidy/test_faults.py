"""The list of fault cases and the tests of them."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from support.faults.cases import CASES

TESTS = Path(__file__).parents[1]


@cache
def claimed() -> set[int]:
    """Return the cases that a test claims by its mark."""
    return {
        number.value
        for path in TESTS.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.fault"
        for number in node.args
        if isinstance(number, ast.Constant)
    }


@pytest.mark.parametrize("number", CASES)
def test_every_case_has_a_test(number: int) -> None:
    """What the list names is held by a test."""
    assert number in claimed()
