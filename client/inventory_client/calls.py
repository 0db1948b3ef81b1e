"""What every call gets before it is sent: a deadline, the store, a request id. Sync and aio share it."""

from __future__ import annotations

import ipaddress
import os
import re
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar

from google.protobuf.message import Message

STORE_KEY = "x-inventory-store"
"""The metadata that names the store of a call."""
ACTOR_KEY = "x-inventory-actor"
"""The metadata that names who acts; it stands in the log."""

AUTHORIZATION_KEY = "authorization"
"""The metadata that holds the credential."""

Token = str | Callable[[], str]
"""A token, or what tells it: visible ASCII characters."""

_Request = TypeVar("_Request", bound=Message)
_Metadata = Iterable[tuple[str, str | bytes]]


def new_id() -> str:
    """Make an id for a request, cart, order, payment or reservation: a UUIDv7, 36 visible ASCII characters.

    Ids that sort by time keep the server's index pages apart from those of years ago (RFC 9562, 5.7).
    """
    milliseconds = time.time_ns() // 1_000_000
    octets = bytearray(milliseconds.to_bytes(6, "big") + os.urandom(10))
    octets[6] = octets[6] & 0x0F | 0x70  # the version
    octets[8] = octets[8] & 0x3F | 0x80  # the variant
    digits = octets.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@dataclass(frozen=True)
class CallDefaults:
    """What a client adds to a call that doesn't say it itself.

    Args:
        store: 1..128 visible ASCII characters; None = the metadata is not sent, so the server decides.
        timeout_s: seconds, > 0, for all attempts of one call together.
        actor: 1..128 visible ASCII characters; None = the metadata is not sent.
        token: visible ASCII characters; None = no credential is sent.
    Raises: ValueError for a store, a timeout, an actor or a token out of range; no text of a token.
    """

    store: str | None
    timeout_s: float
    actor: str | None = None
    token: Token | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for name, value in (("store", self.store), ("actor", self.actor)):
            if value is not None and not re.fullmatch(r"[!-~]{1,128}", value):
                raise ValueError(f"{name} must be 1 to 128 visible ASCII characters, not {value!r}")
        if isinstance(self.token, str):
            _bearer(self.token)
        if not self.timeout_s > 0:
            raise ValueError(f"timeout_s must be above 0, not {self.timeout_s!r}")

    def timeout(self, timeout_s: float | None) -> float:
        """The call's own deadline, else the client's; in seconds."""
        return self.timeout_s if timeout_s is None else timeout_s

    def metadata(self, metadata: _Metadata | None) -> list[tuple[str, str | bytes]]:
        """The call's own metadata, the store and the actor; what the call names itself wins."""
        pairs = list(metadata or ())
        named = {key for key, _ in pairs}
        for key, value in ((STORE_KEY, self.store), (ACTOR_KEY, self.actor)):
            if value is not None and key not in named:
                pairs.append((key, value))
        if self.token is not None and AUTHORIZATION_KEY not in named:
            pairs.append((AUTHORIZATION_KEY, _bearer(self.token)))
        return pairs


def _bearer(token: Token) -> str:
    told = token if isinstance(token, str) else token()
    if not re.fullmatch(r"[!-~]+", told):
        raise ValueError("a token has visible ASCII characters alone; does it end with a line break?")
    return f"Bearer {told}"


def need_local(target: str) -> None:
    """Refuse a target beyond this machine, where a token would be read on its way. Raises: ValueError."""
    host = target.rpartition(":")[0].strip("[]")
    if target.startswith(("unix:", "unix-abstract:")) or host == "localhost":
        return
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = False
    if not is_loopback:
        raise ValueError(f"a token is not sent to {target} in plaintext: give tls=Tls(...)")


def with_request_id(request: _Request) -> _Request:
    """Return the request with a request_id.

    A message that has no such field, or has it filled, is returned as it is. Otherwise a copy is: the
    caller's own object stays without, so that using it for a second call doesn't make that one a repeat.
    """
    if "request_id" not in request.DESCRIPTOR.fields_by_name or getattr(request, "request_id"):  # noqa: B009 - typed as any message
        return request
    named = type(request)()
    named.CopyFrom(request)
    setattr(named, "request_id", new_id())  # noqa: B010
    return named
