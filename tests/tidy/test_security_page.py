"""SECURITY.md names tests that are there; an audit that could not ask says so."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "SECURITY.md").read_text()
ROWS = re.findall(r"^\| (API\d+) .*$", PAGE, re.MULTILINE)
NAMED = sorted(set(re.findall(r"`(tests/\S+\.py)::(\w+)`", PAGE)))


def test_all_ten_are_there() -> None:
    """Each of the ten risks has its row, and each row a test."""
    assert [f"API{number}" for number in range(1, 11)] == ROWS
    for row in re.findall(r"^\| API.*$", PAGE, re.MULTILINE):
        assert "`tests/" in row, row


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_the_tests_that_are_named_are_there(path: str, name: str) -> None:
    """A test that is renamed is renamed on the page, too."""
    tree = ast.parse((ROOT / path).read_text())
    assert name in {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def package(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "version": "1", "vulns": [], **more}


UNKNOWN = {"name": "b", "skip_reason": "Dependency not found"}
AFFECTED = package("c", vulns=[{"id": "CVE-1", "fix_versions": ["2"]}])


@pytest.mark.parametrize(
    ("report", "status", "said"),
    [
        (json.dumps({"dependencies": [package("a")]}), 0, "1 of 1 packages asked about, 0 affected"),
        (json.dumps({"dependencies": [AFFECTED, UNKNOWN]}), 1, "c 1: CVE-1, mended in 2"),
        (json.dumps({"dependencies": [package("a"), UNKNOWN]}), 2, "could be asked about b"),
        (json.dumps({"dependencies": [UNKNOWN]}), 2, "could be asked about any package"),
        ("no route to it", 2, "no advisory database could be asked"),
    ],
)
def test_what_an_audit_says(tmp_path: Path, report: str, status: int, said: str) -> None:
    """What is known is told, and so is what nobody could be asked about: that is no clean bill."""
    pip_audit = tmp_path / "pip-audit"
    pip_audit.write_text(f"#!{sys.executable}\nprint({report!r})\n")
    pip_audit.chmod(0o755)
    run = subprocess.run(
        [sys.executable, ROOT / "tools" / "audit.py", pip_audit], check=False, capture_output=True, text=True
    )
    assert run.returncode == status
    assert said in run.stdout + run.stderr
