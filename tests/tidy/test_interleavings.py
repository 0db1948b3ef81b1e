"""The product's table "Interleavings" and the tests of it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from support.interleavings import OF_ONE_ORDER, ROWS

TESTS = Path(__file__).parents[1] / "contract"
NAMES = [name for names in ROWS.values() for name in names]


def functions() -> dict[str, ast.FunctionDef]:
    """Return the interleavings' tests by name, without `test_`."""
    return {
        node.name.removeprefix("test_"): node
        for path in sorted(TESTS.glob("test_interleavings_*.py"))
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    }


def has_both_orders(test: ast.FunctionDef) -> bool:
    """Whether it is run with one and with another call `first`."""
    return any(
        isinstance(mark, ast.Call)
        and isinstance(named := mark.args[0], ast.Constant)
        and named.value == "first"
        and isinstance(mark.args[1], ast.List)
        and len(mark.args[1].elts) >= 2
        for mark in test.decorator_list
    )


@pytest.mark.parametrize("name", NAMES)
def test_every_row_has_its_test(name: str) -> None:
    """Each is a test named after its row, with both orders of arrival and a forced conflict."""
    tests = [test for found, test in functions().items() if found.startswith(name)]
    assert tests, f"no test_{name} in tests/contract/test_interleavings_*.py"
    forced = [test for test in tests if any(arg.arg == "together" for arg in test.args.args)]
    assert forced, "none is run after a conflict"
    assert name in OF_ONE_ORDER or any(has_both_orders(test) for test in forced), "none in both orders"
