"""The product's table "Interleavings": its rows, and what makes the order in which two calls arrive."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from inventory_client import v1
from support.imports import upload
from support.shop import StagedShop

ROWS: dict[str, tuple[str, ...]] = {
    "pay A and B at once, A declines first": ("pay_a_and_b_at_once",),
    "A declines (released), B arrives later": ("a_declines_b_arrives",),
    "same payment_id 50 times": ("same_payment_id_50_times",),
    "same payment_id after DECLINED": ("same_payment_id_after_declined",),
    "half paid, never the rest": ("half_paid_never_the_rest",),
    "outcome unknown x cancel / reallocate / ship": ("outcome_unknown_x_cancel_reallocate_ship",),
    "void unknown": ("void_unknown",),
    "capture x void at once": ("capture_x_void_at_once",),
    "capture declined, unknown, lapsed": ("capture_declined_unknown_lapsed",),
    "cancel x authorized": ("cancel_x_authorized",),
    "cancel x ship": ("cancel_x_ship",),
    "refund in flight x ship": ("refund_in_flight_x_ship",),
    "refund + cancel + return": ("refund_and_cancel_and_return",),
    "return to a deleted location": ("return_to_a_deleted_location",),
    "expiry x pay": ("expiry_x_pay",),
    "decline of a once-held order": ("decline_of_a_once_held_order",),
    "expiry x confirm / extend": ("expiry_x_confirm", "expiry_x_extend"),
    "release before its reserve arrives": ("release_before_its_reserve_arrives",),
    "DeleteStock x cart, unpaid order": ("delete_stock_x_cart", "delete_stock_x_unpaid_order"),
    "DeleteStock x hold, hand allocation": ("delete_stock_x_hold", "delete_stock_x_hand_allocation"),
    "DeleteLocation x cart, order, import row": (
        "delete_location_x_cart",
        "delete_location_x_order",
        "delete_location_x_import_row",
    ),
    "import or set below allocated": ("import_below_allocated", "set_below_allocated"),
    "transfer x unpaid order pinned there": ("transfer_x_unpaid_order_pinned_there",),
    "product gets stock after an unmanaged payment": ("product_gets_stock_after_an_unmanaged_payment",),
    "sell_unmanaged off before pay": ("sell_unmanaged_off_before_pay",),
    "ResolvePayment(failed), the gateway accepts later": ("resolved_failed",),
    "several carts, lines (A,B) and (B,A)": ("several_carts_lines_a_b_and_b_a",),
}
"""Each row, and how its tests' names begin."""

OF_ONE_ORDER = {"same_payment_id_50_times": "50 calls that are equal have one order of arrival"}

Steps = Mapping[str, Callable[[], Any]]


class Together:
    """Decides what is sent in one batch, in order; so too where 40001 has undone its first run.

    The conflict is another writer's change of product `a`, which every batch of these tests loads.
    """

    def __init__(self, shop: StagedShop, *, after_a_conflict: bool) -> None:
        self._shop = shop
        self._after_a_conflict = after_a_conflict

    @contextmanager
    def __call__(self) -> Iterator[None]:
        """Decide what is sent in the block together."""
        if self._after_a_conflict:
            with self._shop.observer.level_rewritten(self._shop.store, "a"), self._shop.batch_held():
                yield
        else:
            with self._shop.batch_held():
                yield

    def sent(self, first: str, steps: Steps) -> dict[str, Any]:
        """Send the steps, the named one first; return the calls, in the order of `steps`."""
        calls = {}
        with self():
            for name in sorted(steps, key=lambda name: name != first):
                calls[name] = steps[name]()
                self._shop.settle_in()
        return {name: calls[name] for name in steps}

    def told(self, first: str, steps: Steps, *, is_paid: bool = False) -> dict[str, str]:
        """Send the steps, the named one first; return why each was refused, or OK.

        Args:
            is_paid: a payment among them comes to the gateway, which accepts it.
        """
        calls = self.sent(first, steps)
        if is_paid:
            self._shop.at_gateway().accept()
        return {name: self._shop.reason_of(call) for name, call in calls.items()}

    @contextmanager
    def behind_an_import(self, *rows: v1.StockRow) -> Iterator[None]:
        """Decide what is sent in the block in the batch after an import's rows; one of them is of `a`."""
        observer = self._shop.observer
        hold = observer.level_rewritten if self._after_a_conflict else observer.level_locked
        with hold(self._shop.store, "a") as holder:
            upload(self._shop, rows)
            observer.wait_for_one_blocked_by(holder)
            yield
            self._shop.settle_in()
