"""The console's command line: what it says, and with which exit status, where a subcommand cannot go on."""

from __future__ import annotations

import grpc
import pytest

import inventory_client
from inventory_client import v1
from inventory_console import cli
from inventory_console.connection import connect
from inventory_console.console_error import ConsoleError

REFUSED = inventory_client.StockNotFound(
    "stock of product 'a' does not exist",
    code=grpc.StatusCode.NOT_FOUND,
    reason=v1.ErrorReason.ERROR_REASON_STOCK_NOT_FOUND,
    reason_name="STOCK_NOT_FOUND",
)
LOST = inventory_client.Unavailable("nobody there", code=grpc.StatusCode.UNAVAILABLE)


@pytest.mark.parametrize(
    ("error", "status", "said"),
    [
        (ConsoleError("first\nsecond", exit_status=2), 2, "inventory: first\ninventory: second\n"),
        (ConsoleError("later"), 1, "inventory: later\n"),
        (REFUSED, 1, "inventory: STOCK_NOT_FOUND: stock of product 'a' does not exist\n"),
        (LOST, 1, "inventory: UNAVAILABLE: nobody there\n"),
        (KeyboardInterrupt(), 130, "inventory: interrupted\n"),
    ],
)
def test_what_went_wrong_is_said_in_lines(
    error: BaseException,
    status: int,
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What can be mended is one line each on stderr, and the exit status tells whether it had begun."""

    def fail(**_: object) -> None:
        raise error

    monkeypatch.setattr(cli, "cli", fail)
    with pytest.raises(SystemExit) as exited:
        cli.app([])
    assert exited.value.code == status
    assert capsys.readouterr() == ("", said)


def test_a_defect_is_no_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """What nobody foresaw keeps its traceback."""

    def fail(**_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "cli", fail)
    with pytest.raises(ZeroDivisionError):
        cli.app([])


def test_an_option_that_there_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    """A bad command line is one line on stderr and exit status 2."""
    with pytest.raises(SystemExit) as exited:
        cli.app(["--nonsense"])
    assert exited.value.code == 2
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)


def test_a_store_that_can_be_none() -> None:
    """A store's name is checked before anything is sent."""
    with pytest.raises(ConsoleError) as wrong:
        connect("127.0.0.1:1", "no store")
    assert wrong.value.exit_status == 2
