"""Random sequences of commands, batch after batch: the laws hold after each, whatever was asked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from inventory_server.domain.commands import (
    AddCartItems,
    Checkout,
    Command,
    ConfirmReservation,
    CreateCart,
    CreateStock,
    CreateStockTransaction,
    DeleteStock,
    ExpireReservation,
    FulfillReservation,
    ReleaseReservation,
    RemoveCartItem,
    ReserveStock,
    UpdateCartItem,
    UpdateStock,
)
from inventory_server.domain.decide import Replay, Request, decide
from inventory_server.domain.errors import DomainError
from inventory_server.domain.location import Location
from inventory_server.domain.order import CartItem
from inventory_server.domain.order_commands import CancelOrder, ReturnOrderItems, ShipOrder
from inventory_server.domain.payment import OperationKind, OperationState, Payment
from inventory_server.domain.payment_commands import (
    BeginCapture,
    BeginConfirm,
    BeginPayment,
    BeginRefund,
    ClaimOperation,
    ResolvePayment,
    SettlePayment,
)
from inventory_server.domain.reservation import Line, LineUnits, ReservationState, merge, merge_units
from inventory_server.domain.reservation_commands import ExtendReservation, ReturnReservationItems
from inventory_server.domain.stock import Action
from inventory_server.domain.store import StoreSettings
from inventory_server.domain.store_commands import UpdateStoreSettings
from support.world import World, begin, further, repeatable

LOCATIONS = (
    Location("default", enabled=True),
    Location("shut", enabled=False),
    Location("far", enabled=True),
)

# Amounts that stand for a part of an order's balance.
WHOLE, HALF = -1, -2
# Stands for the id of the operation in flight, else of the last one; of one that begins, for the next.
LATEST = "latest"

few = st.sampled_from
products = few(["a", "b", "c"])
slugs = few(["default", "far", "shut"])
places = st.one_of(st.none(), slugs)
names = few(["1", "2", "3", "4"])
payments = few([f"p{number}" for number in range(1, 9)])
quantities = st.integers(1, 6)
lines = st.lists(st.builds(Line, products, quantities, places), min_size=1, max_size=3).map(
    lambda found: merge(tuple(found))
)
units = st.lists(st.builds(LineUnits, st.integers(1, 3), st.integers(1, 4)), min_size=1, max_size=3).map(
    merge_units
)
items = st.lists(st.builds(CartItem, products, quantities, st.integers(0, 3), places), min_size=1, max_size=3)
firsts = few([OperationKind.PURCHASE, OperationKind.AUTHORIZE])
kinds = few([OperationKind.CAPTURE, OperationKind.VOID, OperationKind.REFUND, OperationKind.CONFIRM])
amounts = few([WHOLE, HALF, 1, 40])
word = few([OperationState.ACCEPTED, OperationState.DECLINED, OperationState.FAILED])
settled = few([state for state in OperationState if state is not OperationState.PROCESSING])
by_hand = few([Action.INCREMENT, Action.DECREMENT, Action.ALLOCATE, Action.DEALLOCATE, Action.SET])

commands: st.SearchStrategy[Command] = st.one_of(
    st.builds(CreateStock, products, st.integers(0, 12), few(["default", "far"])),
    st.builds(CreateStockTransaction, products, by_hand, st.integers(0, 12), slugs),
    st.builds(CreateStock, products, st.integers(0, 12), few(["default", "far"]), st.integers(0, 3)),
    st.builds(UpdateStock, products, st.booleans(), few([None, 3]), few([None, "stale"])),
    st.builds(
        UpdateStoreSettings,
        few([(), (("default_hold_s", 5),), (("sell_unmanaged_products", True),)]),
        few([None, "stale"]),
    ),
    st.builds(DeleteStock, products, few([None, None, None, "stale"])),
    st.builds(ReserveStock, names, lines, ttl_s=few([None, 5.0, 60.0])),
    st.builds(ReserveStock, names, lines, never_expires=st.just(True)),
    st.builds(ConfirmReservation, names),
    st.builds(ReleaseReservation, names),
    st.builds(FulfillReservation, names),
    st.builds(FulfillReservation, names, units),
    st.builds(ReturnReservationItems, names, names, units, st.booleans(), places),
    st.builds(ExpireReservation, names),
    st.builds(ExtendReservation, names, ttl_s=few([1.0, 60.0])),
    st.builds(CreateCart, names, st.just("EUR")),
    st.builds(AddCartItems, names, items.map(tuple)),
    st.builds(UpdateCartItem, names, products, quantities, st.integers(0, 3), st.booleans(), places),
    st.builds(RemoveCartItem, names, products),
    st.builds(Checkout, names, names),
    st.builds(CancelOrder, names, st.one_of(st.none(), names)),
    st.builds(ShipOrder, names, names),
    st.builds(ShipOrder, names, names, units),
    st.builds(ReturnOrderItems, names, names, units, st.booleans(), places),
    st.builds(begin, names, payments, few([WHOLE, HALF, 0, 1, 7, 40])),
    st.builds(begin, names, payments, few([WHOLE, HALF]), kind=st.just(OperationKind.AUTHORIZE)),
    st.builds(
        lambda payment, kind, minor: further(kind, None, payment, LATEST, minor), payments, kinds, amounts
    ),
    st.builds(
        lambda payment, outcome, lapsed: SettlePayment(
            "", payment, LATEST, outcome, lapsed=lapsed, lease_s=12
        ),
        payments,
        settled,
        st.booleans(),
    ),
    st.builds(lambda payment: ClaimOperation("", payment, LATEST, 10.0), payments),
    st.builds(
        lambda payment, outcome: ResolvePayment(None, payment, LATEST, outcome, "seen"), payments, word
    ),
)
requests = st.one_of(commands.map(Request), st.builds(repeatable, commands, few(["q1", "q2", "q3"])))


class Laws(RuleBasedStateMachine):
    """A store under arbitrary batches; its clock goes on now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World(LOCATIONS)
        self.ended: set[str] = set()
        self.target_count = 0

    @initialize(
        units=st.lists(st.integers(6, 20), min_size=3, max_size=3),
        carts=st.lists(items, min_size=2, max_size=3),
        managed=few(["abc", "ab"]),
        sells=st.booleans(),
    )
    def open(self, units: list[int], carts: list[list[CartItem]], managed: str, sells: bool) -> None:
        """Begin with some stock, and with carts and orders of what it suffices for."""
        self.world.settings = StoreSettings(sell_unmanaged_products=sells)
        for product_id, quantity in zip(managed, units, strict=False):
            self.world.do(CreateStock(product_id, quantity))
        for name, chosen in enumerate(carts, start=1):
            self.world.batch(
                CreateCart(str(name), "EUR"),
                AddCartItems(str(name), tuple(item._replace(location=None) for item in chosen)),
                Checkout(str(name), str(name)),
            )

    @rule(asked=st.lists(requests, min_size=1, max_size=8))
    def batch(self, asked: list[Request]) -> None:
        verdicts = self.world.batch(*(self._aimed(request) for request in asked))
        assert len(verdicts) == len(asked)

    @rule(order=names, payment=payments, outcome=settled, ship=st.booleans())
    def pay(self, order: str, payment: str, outcome: OperationState, ship: bool) -> None:
        """Pay the rest of an order, and ship it now and then."""
        asked = [begin(order, payment, WHOLE), SettlePayment("", payment, LATEST, outcome, lease_s=12)]
        for command in [*asked, ShipOrder(order, f"s{order}")] if ship else asked:
            self.world.batch(self._aimed(Request(command)))

    @rule(
        order=names,
        payment=payments,
        first=firsts,
        start=few([OperationState.ACCEPTED, OperationState.REQUIRES_ACTION]),
        then=st.tuples(kinds, amounts, settled, st.one_of(st.none(), word)),
    )
    def go_on(
        self, order: str, payment: str, first: OperationKind, start: OperationState, then: tuple[Any, ...]
    ) -> None:
        """Begin a payment and go on with it; an administrator may be quicker than the gateway."""
        kind, amount_minor, outcome, resolved = then
        asked: list[Command] = [
            begin(order, payment, WHOLE, kind=first),
            SettlePayment("", payment, LATEST, start),
            further(kind, None, payment, LATEST, amount_minor),
        ]
        if resolved is not None:
            asked.append(ResolvePayment(None, payment, LATEST, resolved, "seen"))
        asked += [SettlePayment("", payment, LATEST, outcome)] * 2
        for command in asked:
            self.world.batch(self._aimed(Request(command)))

    @rule(asked=st.lists(requests, min_size=1, max_size=8))
    def one_batch_or_many_are_the_same(self, asked: list[Request]) -> None:
        """Batches are an arrangement of the transactions, nothing that a caller could tell."""
        asked = [self._aimed(request) for request in asked]
        together, apart = self._copy(), self._copy()
        at_once = together.batch(*asked)
        one_by_one = [apart.batch(request)[0] for request in asked]
        assert [_told(v) for v in at_once] == [_told(v) for v in one_by_one]
        assert together.snapshot() == apart.snapshot()

    @rule(asked=requests)
    def refused_changes_nothing(self, asked: Request) -> None:
        state = self.world.state()
        verdict = decide(state, [asked])[0]
        if isinstance(verdict, DomainError | Replay):
            # An expiry stands by itself, although what came upon it was refused.
            assert all(entry.action is Action.EXPIRE for entry in state.log)
            assert state.log or not any(getattr(state, name).written() for name in self.world.rows)
        if isinstance(verdict, Replay):
            assert not state.log

    @rule(sells=st.booleans())
    def set_up(self, sells: bool) -> None:
        self.world.settings = StoreSettings(sell_unmanaged_products=sells)

    @rule(seconds=few([0.5, 5.0, 1000.0]))
    def wait(self, seconds: float) -> None:
        self.world.wait(seconds)

    @invariant()
    def laws_hold(self) -> None:
        self.world.check()

    @invariant()
    def what_ended_stays_ended(self) -> None:
        """CLOSED and RELEASED are final."""
        final = (ReservationState.CLOSED, ReservationState.RELEASED)
        now = {r.reservation_id for r in self.world.rows["reservations"].values() if r.state in final}
        assert self.ended <= now
        self.ended = now

    @invariant()
    def no_more_paid_than_stocked(self) -> None:
        """Units of paid orders that are neither released nor shipped are allocated, every one tracked."""
        for product_id in ("a", "b", "c"):
            paid = sum(
                line.quantity - view.shipped[line.line_number]
                for view in (self.world.view(order_id) for order_id in self.world.rows["orders"])
                if view.is_covered and view.order.cancelled_at is None
                for line in view.order.lines
                if line.product_id == product_id and line.track_stock and not line.unmanaged
            )
            assert paid <= sum(
                level.allocated for key, level in self.world.rows["levels"].items() if key[0] == product_id
            )

    def _aimed(self, request: Request) -> Request:
        """Let a settling hit the order of its payment, and most payments fit the order's balance."""
        command: Any = request.command
        payment = self.world.rows["payments"].get(getattr(command, "payment_id", ""))
        if payment is not None and getattr(command, "operation_id", "") == LATEST:
            command = self._at_operation(replace(command, order_id=payment.order_id), payment)
        if isinstance(command, BeginPayment) and command.order_id in self.world.rows["orders"]:
            balance_minor = self.world.view(command.order_id).balance_minor
            parts = {WHOLE: balance_minor, HALF: balance_minor // 2}
            command = replace(command, amount_minor=parts.get(command.amount_minor, command.amount_minor))
        if isinstance(command, CancelOrder):
            self.target_count += 1
            command = replace(command, reservation_id=f"hold for target {self.target_count}")
        return request._replace(command=command)

    def _at_operation(self, command: Any, payment: Payment) -> Any:
        """Name an operation of the payment, or one that it does not have yet."""
        following = f"{payment.payment_id}-{len(payment.operations)}"
        if isinstance(command, SettlePayment | ClaimOperation | ResolvePayment):
            latest = payment.in_flight or (payment.operations[-1] if payment.operations else None)
            known = latest.operation_id if latest else "none"
            command = replace(command, operation_id=known)
            return replace(command, reversal_id=following) if isinstance(command, SettlePayment) else command
        whole_minor = payment.refundable_minor or payment.authorized_minor
        parts = {WHOLE: whole_minor, HALF: whole_minor // 2}
        if isinstance(command, BeginCapture | BeginRefund):
            command = replace(
                command, amount_minor=parts.get(command.amount_minor, command.amount_minor) or 1
            )
        if isinstance(command, BeginRefund):
            command = replace(command, refund_id=following)
        if isinstance(command, BeginConfirm):
            command = replace(command, reservation_id=f"hold for {following}")
        return replace(command, operation_id=following)

    def _copy(self) -> World:
        copy = World(LOCATIONS)
        copy.now = self.world.now
        copy.settings = self.world.settings
        copy.rows, copy.log = self.world.snapshot()
        copy.settings = self.world.settings
        return copy


def _told(verdict: object) -> object:
    return (type(verdict), str(verdict)) if isinstance(verdict, Exception) else verdict


Laws.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestLaws = Laws.TestCase
