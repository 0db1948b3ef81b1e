"""Every bound of the domain, by name. Documented in docs/concepts.md; tested at and one past it."""

from __future__ import annotations

# With 1,024 locations a product's sums stay below 2^53, exact in every language.
QUANTITY_MAX = 2**43 - 1
AMOUNT_MINOR_MAX = 2**53 - 1

LOCATIONS_MAX = 1_024
# Of one answer: with slugs at their longest they fit into a message of 4 MiB.
LEVELS_SHOWN_MAX = 16_384

LINES_MAX = 1_000
# Of all items of one message: what is answered stays below a message's limit, whatever the ids.
ITEM_LINES_MAX = 10_000
CART_ITEMS_MAX = 1_000

HOLD_S_MIN = 1
HOLD_S_MAX = 90 * 24 * 3600
HOLD_S_DEFAULT = 15 * 60
# How long the target of a cancelled order holds its units unpaid.
TARGET_HOLD_S = 24 * 3600

PAYMENTS_PER_ORDER_MAX = 1_000
# With so many, every text at its longest, an order still fits into a message of 4 MiB.
SHIPMENTS_PER_ORDER_MAX = 1_000
RETURNS_PER_ORDER_MAX = 1_000
# Of an order's shipments together, and of its returns: whoever decides about one loads them all.
MOVED_LINES_PER_ORDER_MAX = 10_000
# What the service begins by itself, to undo what was accepted too late, counts but is not refused.
OPERATIONS_PER_PAYMENT_MAX = 1_000

# How long the gateway is still asked about an operation that an administrator has ended.
RESOLVED_POLL_S_MAX = 7 * 24 * 3600
# The pause between two such questions doubles with each reversal that was begun, up to this.
REVERSAL_PAUSE_S_MAX = 3600
# A gateway that declines so many will not take the next: that is for people to settle.
REVERSALS_PER_OPERATION_MAX = 100

CART_EXPIRY_S_MIN = 1
CART_EXPIRY_S_DEFAULT = 7 * 24 * 3600
CART_EXPIRY_S_MAX = 90 * 24 * 3600
# How long an expired cart is still there to say so, before the sweeper removes it.
EXPIRED_CART_KEPT_S = 24 * 3600

PAGE_SIZE_DEFAULT = 100
PAGE_SIZE_MAX = 1_000

DEFAULT_LOCATION = "default"
DEFAULT_STORE = "default"
