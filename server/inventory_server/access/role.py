"""The roles of credentials, and what each may."""

from __future__ import annotations

from enum import StrEnum


class Role(StrEnum):
    """What a credential may call, and the least that a method asks for."""

    VIEWER = "viewer"
    SELLER = "seller"
    STOCK_KEEPER = "stock_keeper"
    ADMIN = "admin"

    def may(self, needed: Role | None) -> bool:
        """Whether a credential of this role may call a method that needs `needed`; None: nobody may.

        Everybody may look, an administrator may all; sellers and stock keepers may nothing of each other's.
        """
        if needed is None:
            return False
        return needed in (Role.VIEWER, self) or self is Role.ADMIN
