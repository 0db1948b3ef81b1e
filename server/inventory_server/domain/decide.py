"""decide(state, requests): the batch's one loop. Pure: no clock, no connection, no await.

One command after the other, each all or nothing, in arrival order, which is the serial order.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from inventory_server.domain import (
    commands,
    decide_cart,
    decide_import,
    decide_location,
    decide_order,
    decide_payment,
    decide_reservation,
    decide_settlement,
    decide_shipping,
    decide_stock,
    decide_store,
    decide_transfer,
    import_commands,
    location_commands,
    order_commands,
    payment_commands,
    reservation_commands,
    store_commands,
)
from inventory_server.domain.commands import Command, content_hash
from inventory_server.domain.errors import DomainError, IdReused
from inventory_server.domain.state import State, StoredAnswer

# Each takes (state, command, request_id), drafts into the state, and returns the verdict or raises.
_HANDLERS: dict[type[Command], Callable[[State, Any, str | None], object]] = {
    commands.CreateStock: decide_stock.create_stock,
    commands.UpdateStock: decide_stock.update_stock,
    commands.DeleteStock: decide_stock.delete_stock,
    commands.CreateStockTransaction: decide_stock.create_stock_transaction,
    location_commands.CreateLocation: decide_location.create_location,
    location_commands.UpdateLocation: decide_location.update_location,
    location_commands.DeleteLocation: decide_location.delete_location,
    location_commands.TransferStock: decide_transfer.transfer_stock,
    commands.ReserveStock: decide_reservation.reserve_stock,
    commands.ConfirmReservation: decide_reservation.confirm_reservation,
    commands.ReleaseReservation: decide_reservation.release_reservation,
    commands.FulfillReservation: decide_reservation.fulfill_reservation,
    reservation_commands.ExtendReservation: decide_reservation.extend_reservation,
    reservation_commands.ReturnReservationItems: decide_reservation.return_reservation_items,
    commands.ExpireReservation: decide_reservation.expire_reservation,
    commands.CreateCart: decide_cart.create_cart,
    commands.AddCartItems: decide_cart.add_cart_items,
    commands.UpdateCartItem: decide_cart.update_cart_item,
    commands.RemoveCartItem: decide_cart.remove_cart_item,
    commands.DeleteCart: decide_cart.delete_cart,
    commands.RemoveExpiredCart: decide_cart.remove_expired_cart,
    commands.Checkout: decide_order.checkout,
    order_commands.CancelOrder: decide_order.cancel_order,
    order_commands.ShipOrder: decide_shipping.ship_order,
    order_commands.ReturnOrderItems: decide_shipping.return_order_items,
    payment_commands.BeginPayment: decide_payment.begin_payment,
    payment_commands.BeginCapture: decide_payment.begin_capture,
    payment_commands.BeginVoid: decide_payment.begin_void,
    payment_commands.BeginRefund: decide_payment.begin_refund,
    payment_commands.BeginConfirm: decide_payment.begin_confirm,
    payment_commands.SettlePayment: decide_settlement.settle_payment,
    payment_commands.ResolvePayment: decide_settlement.resolve_payment,
    payment_commands.ClaimOperation: decide_settlement.claim_operation,
    import_commands.CreateImport: decide_import.create_import,
    import_commands.ImportChunk: decide_import.import_chunk,
    import_commands.FailImport: decide_import.fail_import,
    store_commands.UpdateStoreSettings: decide_store.update_store_settings,
    commands.ForgetAnswers: lambda state, command, _: state.forget_answers(command.retention_h),
}


class Request(NamedTuple):
    """A command with what makes it repeatable.

    `encode` turns the verdict into the bytes that a repeat of this request_id is answered with;
    `actor` is who sent it, for the log.
    """

    command: Command
    request_id: str | None = None
    encode: Callable[[Any], bytes] | None = None
    actor: str = ""

    @property
    def scope(self) -> str:
        """Request ids are told apart by method."""
        return type(self.command).__name__


class Replay(NamedTuple):
    """The verdict of a request_id that was answered before.

    `is_own`: the answer is this very call's, whose COMMIT was in doubt and whose batch was run again.
    """

    response: bytes
    is_own: bool = False


def decide(state: State, requests: Sequence[Request]) -> list[object]:
    """Decide every request on the state that its predecessors left.

    Returns: a verdict each, in order: the handler's, a Replay, or the DomainError that refused it. They are
        of no use where `state.coverage` is lacking something.
    Effects: `state` holds what is to be saved.
    """
    return [_decide_one(state, request) for request in requests]


def _decide_one(state: State, request: Request) -> object:
    state.actor = request.actor
    try:
        replay = _replay(state, request)
        if replay is not None:
            return replay
        verdict = _HANDLERS[type(request.command)](state, request.command, request.request_id)
        # Only answers that changed something are stored; a refusal is decided afresh.
        if request.request_id is not None and request.encode is not None and state.is_drafted:
            answer = StoredAnswer(content_hash(request.command), request.encode(verdict))
            state.answers.put((request.scope, request.request_id), answer)
            state.answers.keep()
    except DomainError as refusal:
        state.drop()
        return refusal
    except BaseException:
        state.drop()
        if state.coverage.is_lacking:
            return None  # what looks like a defect without a level need be none with it
        raise
    state.keep()
    return verdict


def _replay(state: State, request: Request) -> Replay | None:
    if request.request_id is None:
        return None
    answer = state.answers.get((request.scope, request.request_id))
    if answer is None:
        return None
    if answer.content_hash != content_hash(request.command):
        raise IdReused("request_id", request.request_id)
    return Replay(answer.response)
