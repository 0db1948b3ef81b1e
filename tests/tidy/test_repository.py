"""The repository itself: what no file of it may hold, and what must be written down."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from inventory_server.config import Settings

ROOT = Path(__file__).resolve().parents[2]

# Split, so that this file doesn't hold them itself.
PACKAGE_HOSTS = [
    "py" + "pi.org",
    "python" + "hosted.org",
    "--" + "index-url",
    "--" + "find-links",
    "--extra-" + "index",
    "npm" + "js.org",
    "crates" + ".io",
    "proxy.go" + "lang.org",
    "maven" + ".org/maven2",
    "repo.maven" + ".apache.org",
]
MACHINE_PATHS = re.compile("(?<![\\w.$~})])/(?:ro" + "ot|ho" + "me|Us" + "ers|wo" + "rk)/\\w")


def texts() -> list[tuple[str, str]]:
    """Every file that is, or would be, committed, with its text; binary ones are left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=False,
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    found = []
    for name in sorted(set(listed.stdout.decode().split("\0")) - {""}):
        try:
            found.append((name, (ROOT / name).read_text(encoding="utf-8")))
        except (UnicodeDecodeError, FileNotFoundError, IsADirectoryError):
            continue
    return found


def test_no_file_names_a_package_host() -> None:
    """Where packages come from is the installer's own setting, never ours."""
    assert [(name, host) for name, text in texts() for host in PACKAGE_HOSTS if host in text] == []


def test_no_file_names_a_place_of_one_machine() -> None:
    """No path of anybody's machine is in the repository."""
    assert [(name, hit.group()) for name, text in texts() for hit in MACHINE_PATHS.finditer(text)] == []


def test_files_end_as_files_do() -> None:
    """Every text ends with one newline, holds no carriage return and no space at a line's end."""
    bad = [
        name
        for name, text in texts()
        if text
        and (not text.endswith("\n") or text.endswith("\n\n") or "\r" in text or re.search(r"[ \t]\n", text))
        if not name.endswith((".csv", ".pyi"))
    ]
    assert bad == []


@pytest.mark.parametrize(
    ("tool", "page"),
    [("settings.py", "settings.md"), ("api.py", "api.md"), ("order_flow.py", "order-flow.md")],
)
def test_pages_that_are_made_are_fresh(tool: str, page: str) -> None:
    """What is made of the settings, the protos and the rules says what they say: else `make docs`."""
    made = subprocess.run(
        [sys.executable, str(ROOT / "tools" / tool), "--print"], capture_output=True, text=True, check=True
    ).stdout
    assert (ROOT / "docs" / page).read_text() == made


@pytest.mark.parametrize(
    "name", [n for n, f in Settings.model_fields.items() if f.annotation in (int, float)]
)
def test_every_number_has_a_bound(name: str) -> None:
    """No setting is a number without a lowest and a highest value."""
    rules = Settings.model_fields[name].metadata
    assert any(hasattr(rule, "ge") or hasattr(rule, "gt") for rule in rules)
    assert any(hasattr(rule, "le") or hasattr(rule, "lt") for rule in rules)


def test_lock_covers_the_dependencies() -> None:
    """Every dependency of every extra is in the lock with hashes: else `make lock`."""
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [
        *project["dependencies"],
        *(d for extra in project["optional-dependencies"].values() for d in extra),
    ]
    locked = dict(
        re.findall(
            r"^([a-z0-9.-]+)(?:\[[a-z]+\])?==(\S+)", (ROOT / "requirements.lock").read_text(), re.MULTILINE
        )
    )
    names = {re.match(r"[A-Za-z0-9._-]+", wish).group().lower() for wish in wanted}  # type: ignore[union-attr]
    assert names - set(locked) == set()
    assert "--hash=sha256:" in (ROOT / "requirements.lock").read_text()
