"""What an administrator sets for a store."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from inventory_server.domain.etag import etag
from inventory_server.domain.limits import CART_EXPIRY_S_DEFAULT, HOLD_S_DEFAULT

_LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class StoreSettings(NamedTuple):
    """`defer_inventory_check` holds for carts made later; checkout checks whatever it says."""

    defer_inventory_check: bool = False
    sell_unmanaged_products: bool = False
    default_hold_s: int = HOLD_S_DEFAULT
    cart_expiry_s: int = CART_EXPIRY_S_DEFAULT
    updated_at: datetime = _LONG_AGO

    @property
    def etag(self) -> str:
        return etag(*self)


class SettingsChange(NamedTuple):
    """The verdict of a change of the settings: what they were, and what they are."""

    before: StoreSettings
    after: StoreSettings
