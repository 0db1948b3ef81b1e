"""The audit log: a line for each call that may change something, and for each that was refused at the door.

A line is one JSON object like every line of the log, on standard error with it; `logger` is
`inventory.audit`. It is made by hand and written with its neighbours: through the logger it would cost ten
times as much. What a crash loses of it, a fifth of a second at most, the log in the database
has: every entry there names its actor.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable, Sequence
from json.encoder import encode_basestring_ascii as _text

from inventory_server.access.credential import Credential

LOGGER = "inventory.audit"
WRITE_INTERVAL_S = 0.2
# Anybody can be refused as often as he likes; past it those of a second are counted, not told.
REFUSALS_PER_S_MAX = 100


def _write(text: str) -> None:
    sys.stderr.write(text)
    sys.stderr.flush()


class Audit:
    """The audit log of a server.

    Args:
        write: takes whole lines.
    """

    def __init__(self, write: Callable[[str], None] = _write) -> None:
        self._write = write
        self._lines: list[str] = []
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
        """Write what is waiting."""
        lines, self._lines = self._lines, []
        if lines:
            self._write("".join(lines))

    def close(self) -> None:
        self._tell_untold()
        self.flush()

    def _tell_untold(self) -> None:
        if (untold := self._refusal_count - REFUSALS_PER_S_MAX) > 0:
            self._line("warning", "refused", "", f'"untold_count": {untold}')

    def _line(self, level: str, event: str, method: str, told: str) -> None:
        now_s = time.time()
        second = int(now_s)
        if second != self._stamped_second:
            self._stamped_second = second
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        if not self._lines:
            asyncio.get_running_loop().call_later(WRITE_INTERVAL_S, self.flush)
        self._lines.append(
            f'{{"timestamp": "{self._stamp}.{int((now_s - second) * 1e6):06d}Z", "level": "{level}",'
            f' "event": "{event}", "logger": "{LOGGER}", "method": "{method}", {told}}}\n'
        )
