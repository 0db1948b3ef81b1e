"""The audit log: a line for each call that may change something, and for each that was refused at the door.

A line is one JSON object like every line of the log, on standard error with it; `logger` is
`inventory.audit`. It is made by hand and written with its neighbours: through the logger it would cost ten
times as much. What a crash loses of it, a fifth of a second at most, the log in the database
has: every entry there names its actor.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from json.encoder import encode_basestring_ascii as _text

from inventory_server.access.credential import Credential

LOGGER = "inventory.audit"
WRITE_INTERVAL_S = 0.2
# Anybody can be refused as often as he likes; past it those of a second are counted, not told.
REFUSALS_PER_S_MAX = 100


# Past it the server itself waits until whoever reads them has made room.
LINES_MAX = 100_000
# So much at a time is written whole, whoever else writes to the same pipe (pipe(7), PIPE_BUF on Linux).
_PIECE_BYTES = 4_096


def _write(lines: Sequence[str]) -> None:
    piece = b""
    for line in lines:
        text = line.encode()
        if piece and len(piece) + len(text) > _PIECE_BYTES:
            _write_piece(piece)
            piece = b""
        piece += text
    _write_piece(piece)


def _write_piece(piece: bytes) -> None:
    with suppress(OSError):  # a closed standard error must not stop the service
        while piece:
            piece = piece[os.write(sys.stderr.fileno(), piece) :]


class Audit:
    """The audit log of a server.

    Args:
        write: takes lines, in a thread, since whoever reads them may keep it waiting.
    """

    def __init__(self, write: Callable[[Sequence[str]], object] = _write) -> None:
        self._write = write
        self._lines: list[str] = []
        self._is_writing = False
        self._second, self._refusal_count = 0, 0
        self._stamped_second, self._stamp = 0, ""

    def call(
        self,
        method: str,
        credential: Credential,
        store_id: str,
        on_behalf_of: str,
        ids: Sequence[tuple[str, str]],
        outcome: str,
    ) -> None:
        """Tell of a call that was let in: what it was about, and how it ended.

        Args:
            on_behalf_of: the actor that the caller names; "" = none.
            ids: those of its request, each 1 to 128 visible ASCII characters.
            outcome: OK, or the reason of its error.
        """
        told = f'{credential.told}, "store_id": {_text(store_id)}, '
        for name, value in ids:
            told += f'"{name}": {_text(value)}, '
        if on_behalf_of:
            told += f'"on_behalf_of": {_text(on_behalf_of)}, '
        self._line("info", "call", method, f'{told}"outcome": "{outcome}"')

    def refused(self, method: str, peer: str, credential: Credential | None, outcome: str) -> None:
        """Tell of a call that was not let in, and from where it came."""
        second = int(time.monotonic())
        if second != self._second:
            self._tell_untold()
            self._second, self._refusal_count = second, 0
        self._refusal_count += 1
        if self._refusal_count <= REFUSALS_PER_S_MAX:
            who = "" if credential is None else f"{credential.told}, "
            self._line("warning", "refused", method, f'"peer": {_text(peer)}, {who}"outcome": "{outcome}"')

    def flush(self) -> None:
        """Write what is waiting, now."""
        lines, self._lines = self._lines, []
        if lines:
            self._write(lines)

    def close(self) -> None:
        self._tell_untold()
        self.flush()

    def _hand_over(self) -> None:
        lines, self._lines = self._lines, []
        written = asyncio.get_running_loop().run_in_executor(None, self._write, lines)
        written.add_done_callback(self._written)

    def _written(self, written: asyncio.Future[object]) -> None:
        self._is_writing = bool(self._lines)
        if self._lines:
            asyncio.get_running_loop().call_later(WRITE_INTERVAL_S, self._hand_over)

    def _tell_untold(self) -> None:
        if (untold := self._refusal_count - REFUSALS_PER_S_MAX) > 0:
            self._line("warning", "refused", "", f'"untold_count": {untold}')

    def _line(self, level: str, event: str, method: str, told: str) -> None:
        now_s = time.time()
        second = int(now_s)
        if second != self._stamped_second:
            self._stamped_second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        if not self._is_writing:
            self._is_writing = True
            asyncio.get_running_loop().call_later(WRITE_INTERVAL_S, self._hand_over)
        if len(self._lines) >= LINES_MAX:
            self.flush()
        self._lines.append(
            f'{{"timestamp": "{self._stamp}.{int((now_s - second) * 1e6):06d}Z", "level": "{level}",'
            f' "event": "{event}", "logger": "{LOGGER}", "method": "{method}", {told}}}\n'
        )
