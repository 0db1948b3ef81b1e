"""The `inventory` command: what it says when there is nothing to run."""

from __future__ import annotations

import importlib.metadata
import sys
import types
from typing import Any

import pytest

from inventory_client import command


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """Run the command; return its exit status."""
    monkeypatch.setattr(sys, "argv", ["inventory", *arguments])
    with pytest.raises(SystemExit) as exited:
        command.main()
    return exited.value.code


def put_in_place(monkeypatch: pytest.MonkeyPatch, app: Any) -> None:
    """Let `inventory_server.cli` be a module with this app."""
    module = types.ModuleType("inventory_server.cli")
    module.app = app  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "inventory_server.cli", module)


def test_the_version(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--version says which distribution is installed."""
    assert run(monkeypatch, "--version") == 0
    assert capsys.readouterr().out == f"inventory {importlib.metadata.version('inventory-service')}\n"


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_the_help(flag: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """--help lists every subcommand with its line, on stdout."""
    assert run(monkeypatch, flag) == 0
    shown = capsys.readouterr().out
    for name, subcommand in command.SUBCOMMANDS.items():
        assert any(name in line and subcommand.help in line for line in shown.splitlines())


def test_nothing_asked_for(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a subcommand the help goes to stderr, and the status says that nothing was done."""
    assert run(monkeypatch) == 2
    out, err = capsys.readouterr()
    assert (out, err.splitlines()[0]) == ("", "usage: inventory [--version] [--help] SUBCOMMAND ...")


@pytest.mark.parametrize("word", ["sevre", "--verbose", "client"])
def test_an_unknown_subcommand(
    word: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is named in one line on stderr; exit status 2."""
    assert run(monkeypatch, word) == 2
    assert capsys.readouterr().err == f"inventory: no subcommand {word!r}; see 'inventory --help'\n"


def test_the_whole_command_line_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """The subcommand's app gets every argument and the program's name, and decides the status."""
    seen: dict[str, Any] = {}

    def app(**given: Any) -> None:
        seen.update(given)
        sys.exit(7)

    put_in_place(monkeypatch, app)
    assert run(monkeypatch, "race", "--carts", "500") == 7
    assert seen == {"args": ["race", "--carts", "500"], "prog_name": "inventory"}


@pytest.mark.parametrize(
    ("subcommand", "extras"),
    [
        ("serve", "server"),
        ("migrate", "server"),
        ("store", "server"),
        ("race", "server,loadtest"),
        ("demo", "server,loadtest"),
    ],
)
def test_a_missing_extra(
    subcommand: str, extras: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A third-party module that isn't there, even once the subcommand runs: one line, what to install."""

    def app(**_: Any) -> None:
        raise ModuleNotFoundError("No module named 'locust'", name="locust.env")

    put_in_place(monkeypatch, app)
    assert run(monkeypatch, subcommand) == 2
    assert capsys.readouterr().err == (
        f"inventory: '{subcommand}' needs an extra: pip install 'inventory-service[{extras}]'"
        " (there is no module 'locust.env')\n"
    )


@pytest.mark.parametrize(
    "defect",
    [
        ModuleNotFoundError("No module named 'inventory_server.enginne'", name="inventory_server.enginne"),
        ModuleNotFoundError("No module named 'inventory_loadtest'", name="inventory_loadtest"),
        ImportError("cannot import name 'Lcoust' from 'locust'", name="locust"),
        ModuleNotFoundError("raised by hand"),
    ],
)
def test_a_defect_of_our_own_is_not_a_missing_extra(
    defect: ImportError, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A module of ours that isn't there, or a name that a module lacks, stays a traceback."""

    def app(**_: Any) -> None:
        raise defect

    put_in_place(monkeypatch, app)
    monkeypatch.setattr(sys, "argv", ["inventory", "serve"])
    with pytest.raises(ImportError) as raised:
        command.main()
    assert raised.value is defect


def test_the_extras_are_those_of_the_distribution() -> None:
    """What the line tells to install exists."""
    provided = set(importlib.metadata.metadata("inventory-service").get_all("Provides-Extra") or [])
    for subcommand in command.SUBCOMMANDS.values():
        assert set(subcommand.extras.split(",")) <= provided
