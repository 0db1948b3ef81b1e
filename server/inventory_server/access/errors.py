"""Why a call is refused before it is looked at."""

from __future__ import annotations


class Unauthenticated(Exception):
    """Nobody known: no credential, an unknown one, one that has expired or was revoked."""


class PermissionDenied(Exception):
    """The credential's role does not have this method."""

    def __init__(self, role: str) -> None:
        self.role = role
        super().__init__(f"The role {role} may not call this method; ask an administrator.")


class StoreRequired(Exception):
    """The credential has several stores, and the call names none."""


class RateLimited(Exception):
    """More calls than this credential may make: in a second, or at once."""
