"""The one kind of error that the command line shows as a single line, without a traceback."""

from __future__ import annotations


class OperatorError(Exception):
    """Something that whoever starts the program must mend: a setting, a folder, a database.

    Its text is one line and says what is wrong and, where there is one, the way out. It never holds a
    password. `cli` prints it and exits with `exit_status`.
    """

    exit_status = 1

    def __init__(self, message: str) -> None:
        super().__init__(" ".join(message.split()))
