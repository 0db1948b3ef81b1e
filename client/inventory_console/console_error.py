"""What the person at the command line can mend: said in lines of their own, never with a traceback."""

from __future__ import annotations


class ConsoleError(Exception):
    """The text is what they are told. `exit_status` 2: nothing was begun; 1: it went wrong later."""

    def __init__(self, text: str, exit_status: int = 1) -> None:
        super().__init__(text)
        self.exit_status = exit_status
