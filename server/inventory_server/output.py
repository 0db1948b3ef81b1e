"""Files that a command writes at its end, looked at before its work, which takes its time."""

from __future__ import annotations

from pathlib import Path

from inventory_server.operator_error import OperatorError


class OutputError(OperatorError):
    """A file that can't be written. Not 1, which says that a law is broken."""

    exit_status = 2


def need_writable(path: Path) -> None:
    """Find out whether a file can be written; make its folder where there is none. Raises: OutputError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.open("a").close()
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror}") from error
