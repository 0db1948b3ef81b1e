"""What the laws report."""

from __future__ import annotations

from typing import NamedTuple


class Violation(NamedTuple):
    """A law that does not hold, and where; what it is not about is empty or 0."""

    law: str = ""
    description: str = ""
    product_id: str = ""
    location: str = ""
    version: int = 0
    reservation_id: str = ""
    order_id: str = ""
    payment_id: str = ""

    def of(self, law: str, description: str) -> Violation:
        """Return the same place with a law that does not hold there."""
        return self._replace(law=law, description=description)
