"""What a server holds, seen from outside: its memory, and the connections of its callers."""

from __future__ import annotations

from pathlib import Path

from support.faults.place import WAIT_S, Place
from support.polling import until

# Of /proc/net/tcp: connections that stand, and those whose caller has closed and the server has not.
_HELD = {"01", "08"}


class Used:
    """What the place's server held when this was made. Linux only, as /proc is."""

    def __init__(self, place: Place) -> None:
        self._server = place.server
        self._port = f"{int(place.server.address.rpartition(':')[2]):04X}"
        self._memory_mib = self.memory_mib()
        self._connections = self.connections()

    def memory_mib(self) -> int:
        """Return its resident memory, MiB."""
        status = Path(f"/proc/{self._server.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) // 1024

    def grown_mib(self) -> int:
        """Return what has come to its memory since then, MiB; at least 0."""
        return max(0, self.memory_mib() - self._memory_mib)

    def connections(self) -> int:
        """Return how many connections of callers it holds."""
        found = 0
        for name in ("tcp", "tcp6"):
            for line in Path(f"/proc/{self._server.pid}/net/{name}").read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                found += local.endswith(f":{self._port}") and state in _HELD
        return found

    def wait_until_as_before(self) -> None:
        """Wait until it holds no more connections than it did then."""
        until(lambda: self.connections() <= self._connections, "connections are closed", WAIT_S)
