"""Who may call, as this server knows it: all live credentials, in memory, so that no call waits for them.

They are read again and again (jobs/credentials.py). A credential that was revoked is refused from the next
reading on; where none succeeds for STALE_S, nobody is let in: a server that cannot hear of a revocation
must not act as if there were none.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

from inventory_server.access.credential import Credential, Kind
from inventory_server.access.errors import RateLimited, Unauthenticated

STALE_S = 30.0
# So much of its calls a second a credential may make at once that has made none for so long.
BURST_S = 1.0


class Limits(NamedTuple):
    """What a credential may that has no limits of its own.

    Args:
        calls_per_s: calls that begin in a second, >= 1.
        calls: calls inside at once, streams too, >= 1.
    """

    calls_per_s: int = 20_000
    calls: int = 4_096


class Caller:
    """A credential as it is used: what its calls share.

    Attributes:
        is_ended: it has expired or was revoked.
        endings: ends a stream of it that is open.
    """

    __slots__ = (
        "_calls_max", "_free_at", "_interval_s", "calls_inside", "credential", "endings", "is_ended",
        "is_used",
    )  # fmt: skip

    def __init__(self, credential: Credential, limits: Limits) -> None:
        self.credential = credential
        self.is_ended = False
        self.is_used = False
        self.endings: set[Callable[[], None]] = set()
        self.calls_inside = 0
        self._calls_max = credential.calls_max or limits.calls
        self._interval_s = 1 / (credential.calls_per_s_max or limits.calls_per_s)
        # When the bucket is full again: each call puts it off by its share of a second.
        self._free_at = 0.0

    def enter(self) -> None:
        """Count a call in, to be let out by `leave`. Raises: RateLimited."""
        now_s = time.monotonic()
        free_at = max(self._free_at, now_s) + self._interval_s
        # A billionth for the rounding of so many sums.
        if self.calls_inside >= self._calls_max or free_at - now_s > max(BURST_S, self._interval_s) + 1e-9:
            raise RateLimited
        self._free_at = free_at
        self.calls_inside += 1

    def leave(self) -> None:
        self.calls_inside -= 1

    def end(self) -> None:
        self.is_ended = True
        for ending in tuple(self.endings):
            ending()


class Directory:
    """The live credentials. It starts stale, and empty."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._callers: dict[tuple[Kind, str], Caller] = {}
        self._stale_at = 0.0

    @property
    def is_stale(self) -> bool:
        """Whether too long ago nobody knows who was revoked since."""
        return time.monotonic() > self._stale_at

    def replace(self, credentials: Iterable[Credential]) -> None:
        """Take what was just read. Effects: the streams of those who are gone, or are another's now, end."""
        before, now_s = self._callers, time.time()
        self._callers = {}
        for credential in credentials:
            if credential.expires_at is not None and credential.expires_at <= now_s:
                continue
            key = credential.kind, credential.identity
            known = before.get(key)
            is_same = known is not None and known.credential == credential
            self._callers[key] = known if known is not None and is_same else Caller(credential, self._limits)
        self._stale_at = time.monotonic() + STALE_S
        for key, caller in before.items():
            if self._callers.get(key) is not caller:
                caller.end()

    def find(self, kind: Kind, identity: str) -> Caller:
        """Raises: Unauthenticated, for one that is unknown or has expired."""
        caller = self._callers.get((kind, identity))
        if caller is None:
            raise Unauthenticated
        expires_at = caller.credential.expires_at
        if expires_at is not None and expires_at <= time.time():
            raise Unauthenticated
        caller.is_used = True
        return caller

    def take_used(self) -> list[str]:
        """Return the ids of the credentials that were used since the last time."""
        used = [caller for caller in self._callers.values() if caller.is_used]
        for caller in used:
            caller.is_used = False
        return [caller.credential.credential_id for caller in used]
