"""The gun that starts the paying: it fires when everyone is at the line or out of the race."""

from __future__ import annotations

import threading


class StartingGun:
    """A barrier that runners may leave before it.

    With gevent it is made of greenlets' locks, since gevent patches `threading`.

    Args:
        runners: how many there are, >= 0.
        wait_s_max: seconds, > 0; so long after the first has come to the line it fires whoever is missing.
    """

    def __init__(self, runners: int, wait_s_max: float) -> None:
        self._missing = runners
        self._wait_s_max = wait_s_max
        self._lock = threading.Lock()
        self._fired = threading.Event()

    def arrive(self) -> None:
        """Come to the line; return when the gun has fired. Once for each runner that doesn't leave."""
        self.leave()
        self._fired.wait(self._wait_s_max)
        self._fired.set()

    def leave(self) -> None:
        """Be out of the race: nobody waits for this runner."""
        with self._lock:
            self._missing -= 1
            if self._missing <= 0:
                self._fired.set()

    @property
    def fired(self) -> bool:
        """Whether it has."""
        return self._fired.is_set()
