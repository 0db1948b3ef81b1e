"""The calls of the state machine, sent to a real server: each answers its verdict's word."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import inventory_client
from inventory_client import v1
from support.imports import messages, row
from support.machine.model import Call
from support.machine.reservations import Units
from support.machine.stock import Line, Row
from support.polling import until
from support.shop import word


class StockCalls:
    """Those that change stock, locations and settings."""

    def __init__(self, client: Any) -> None:
        self._inventory, self._checkout = client.inventory, client.checkout

    def create(self, product: str, quantity: int, request_id: str) -> None:
        self._inventory.CreateStock(
            v1.CreateStockRequest(product_id=product, quantity=quantity, request_id=request_id)
        )

    def threshold(self, product: str, least: int, request_id: str) -> None:
        request = v1.UpdateStockRequest(product_id=product, request_id=request_id)
        request.update_mask.paths.append("low_stock_threshold")
        if least >= 0:
            request.low_stock_threshold = least
        self._inventory.UpdateStock(request)

    def delete(self, product: str, request_id: str) -> None:
        self._inventory.DeleteStock(v1.DeleteStockRequest(product_id=product, request_id=request_id))

    def create_place(self, place: str, request_id: str) -> None:
        self._inventory.CreateLocation(v1.CreateLocationRequest(slug=place, request_id=request_id))

    def update_place(self, place: str, priority: int, enabled: bool, request_id: str) -> None:
        request = v1.UpdateLocationRequest(slug=place, priority=priority, request_id=request_id)
        request.disabled = not enabled
        self._inventory.UpdateLocation(request)

    def delete_place(self, place: str, request_id: str) -> None:
        self._inventory.DeleteLocation(v1.DeleteLocationRequest(slug=place, request_id=request_id))

    def set_up(self, name: str, value: bool, request_id: str) -> None:
        field = {"defer": "defer_inventory_check", "unmanaged": "sell_unmanaged_products"}[name]
        request = v1.UpdateStoreSettingsRequest(request_id=request_id)
        setattr(request, field, value)
        self._inventory.UpdateStoreSettings(request)

    def change(self, product: str, action: str, quantity: int, place: str, request_id: str) -> None:
        self._inventory.CreateStockTransaction(
            v1.CreateStockTransactionRequest(
                product_id=product,
                action=_action(action),
                quantity=quantity,
                location=place,
                request_id=request_id,
            )
        )

    def change_many(self, calls: Sequence[Call]) -> list[str]:
        """Send changes by hand as items of one call."""
        request = v1.BatchCreateStockTransactionsRequest()
        for number, call in enumerate(calls):
            product, action, quantity, place = call.args
            request.items.add(
                item_id=f"i{number}",
                product_id=product,
                action=_action(action),
                quantity=quantity,
                location=place,
            )
        answered = self._inventory.BatchCreateStockTransactions(request)
        return [_error(verdict) or "OK" for verdict in answered.verdicts]

    def transfer(self, product: str, source: str, target: str, quantity: int, request_id: str) -> None:
        self._inventory.TransferStock(
            v1.TransferStockRequest(
                product_id=product,
                source_location=source,
                target_location=target,
                quantity=quantity,
                request_id=request_id,
            )
        )

    def import_rows(self, import_id: str, rows: tuple[Row, ...], request_id: str) -> Any:
        """Upload rows, wait for the import's end; answer (line, reason) of its errors."""
        uploaded = [row(product, *totals) for product, totals in rows]
        self._inventory.ImportStock(messages(uploaded, import_id), timeout=60)
        look = v1.GetImportRequest(import_id=import_id)
        running = ("PENDING", "RUNNING")
        until(lambda: word(self._inventory.GetImport(look).stock_import) not in running, "the import ends")
        errors = self._inventory.ListImportErrors(v1.ListImportErrorsRequest(import_id=import_id)).errors
        return [(error.line, word(error, "reason")) for error in errors]


class ReservationCalls(StockCalls):
    """Those on reservations."""

    def reserve(self, reservation_id: str, lines: tuple[Line, ...], timed: bool, request_id: str) -> str:
        request = v1.ReserveStockRequest(**_hold(reservation_id, lines, timed))
        return word(self._inventory.ReserveStock(request).reservation)

    def reserve_many(self, calls: Sequence[Call]) -> list[str]:
        """Reserve by items of one call."""
        answered = self._inventory.BatchReserveStock(v1.BatchReserveStockRequest(items=_items(calls)))
        return [_error(verdict) or f"OK:{word(verdict.result)}" for verdict in answered.verdicts]

    def reserve_on_a_stream(self, calls: Sequence[Call]) -> list[str]:
        """Reserve by items of one stream, each in a message of its own."""
        sent = [v1.ReserveStockStreamRequest(items=[item]) for item in _items(calls)]
        told = {}
        for answer in self._inventory.ReserveStockStream(iter(sent), timeout=60):
            for verdict in answer.verdicts:
                told[verdict.item_id] = _error(verdict) or f"OK:{word(verdict.result)}"
        return [told[item_id] for item_id in sorted(told)]

    def confirm(self, reservation_id: str, request_id: str) -> str:
        request = v1.ConfirmReservationRequest(reservation_id=reservation_id, request_id=request_id)
        return word(self._inventory.ConfirmReservation(request).reservation)

    def release(self, reservation_id: str, request_id: str) -> str:
        request = v1.ReleaseReservationRequest(reservation_id=reservation_id, request_id=request_id)
        return word(self._inventory.ReleaseReservation(request).reservation)

    def extend(self, reservation_id: str, forever: bool, request_id: str) -> str:
        request = v1.ExtendReservationRequest(reservation_id=reservation_id, request_id=request_id)
        if forever:
            request.never_expires = True
        else:
            request.ttl.seconds = 10_000
        return word(self._inventory.ExtendReservation(request).reservation)

    def fulfill(self, reservation_id: str, units: Units, request_id: str) -> str:
        request = v1.FulfillReservationRequest(
            reservation_id=reservation_id, lines=_quantities(*units), request_id=request_id
        )
        return word(self._inventory.FulfillReservation(request).reservation)

    def bring_back(
        self, reservation_id: str, return_id: str, unit: tuple[int, int], restock: bool, request_id: str
    ) -> str:
        request = v1.ReturnReservationItemsRequest(
            reservation_id=reservation_id, return_id=return_id, lines=_quantities(unit), restock=restock
        )
        return word(self._inventory.ReturnReservationItems(request).reservation)


class OrderCalls(ReservationCalls):
    """Those on carts, orders and payments."""

    def cart(self, cart_id: str, request_id: str) -> None:
        self._checkout.CreateCart(v1.CreateCartRequest(cart_id=cart_id, currency="EUR"))

    def add(
        self,
        cart_id: str,
        product: str,
        quantity: int,
        price: int,
        at: str,
        track: bool | None,
        request_id: str,
    ) -> None:
        item = v1.CartItemRequest(
            product_id=product, quantity=quantity, unit_price_minor=price, location=at, track_stock=track
        )
        self._checkout.AddCartItems(
            v1.AddCartItemsRequest(cart_id=cart_id, items=[item], request_id=request_id)
        )

    def update(
        self, cart_id: str, product: str, changes: tuple[tuple[str, Any], ...], request_id: str
    ) -> None:
        names = {"price": "unit_price_minor", "place": "location", "track": "track_stock"}
        request = v1.UpdateCartItemRequest(cart_id=cart_id, product_id=product, request_id=request_id)
        for name, value in changes:
            setattr(request, names.get(name, name), value)
            request.update_mask.paths.append(names.get(name, name))
        self._checkout.UpdateCartItem(request)

    def remove(self, cart_id: str, product: str, request_id: str) -> None:
        self._checkout.RemoveCartItem(
            v1.RemoveCartItemRequest(cart_id=cart_id, product_id=product, request_id=request_id)
        )

    def delete_cart(self, cart_id: str, request_id: str) -> None:
        self._checkout.DeleteCart(v1.DeleteCartRequest(cart_id=cart_id, request_id=request_id))

    def check_out(self, cart_id: str, order_id: str, request_id: str) -> None:
        self._checkout.Checkout(v1.CheckoutRequest(cart_id=cart_id, order_id=order_id))

    def cancel(self, order_id: str, target_id: str, request_id: str) -> None:
        self._checkout.CancelOrder(
            v1.CancelOrderRequest(order_id=order_id, target_order_id=target_id, request_id=request_id)
        )

    def ship(self, order_id: str, shipment_id: str, units: Units, request_id: str) -> None:
        self._checkout.ShipOrder(
            v1.ShipOrderRequest(order_id=order_id, shipment_id=shipment_id, lines=_quantities(*units))
        )

    def take_back(
        self, order_id: str, return_id: str, unit: tuple[int, int], restock: bool, request_id: str
    ) -> None:
        self._checkout.ReturnOrderItems(
            v1.ReturnOrderItemsRequest(
                order_id=order_id, return_id=return_id, lines=_quantities(unit), restock=restock
            )
        )

    def pay(self, order_id: str, payment_id: str, amount: int, kind: str, how: str, request_id: str) -> str:
        request = v1.PayOrderRequest(
            order_id=order_id,
            payment_id=payment_id,
            amount_minor=amount,
            payment_method=how,
            kind=v1.PaymentKind.Value(f"PAYMENT_KIND_{kind}"),
        )
        return word(self._checkout.PayOrder(request).payment)

    def capture(self, payment_id: str, amount: int, request_id: str) -> str:
        request = v1.CapturePaymentRequest(payment_id=payment_id, amount_minor=amount)
        return word(self._checkout.CapturePayment(request).payment)

    def void(self, payment_id: str, request_id: str) -> str:
        return word(self._checkout.VoidPayment(v1.VoidPaymentRequest(payment_id=payment_id)).payment)

    def refund(self, payment_id: str, refund_id: str, amount: int, request_id: str) -> str:
        request = v1.RefundPaymentRequest(payment_id=payment_id, refund_id=refund_id, amount_minor=amount)
        return word(self._checkout.RefundPayment(request).payment)

    def confirm_payment(self, payment_id: str, request_id: str) -> str:
        return word(self._checkout.ConfirmPayment(v1.ConfirmPaymentRequest(payment_id=payment_id)).payment)

    def resolve(self, payment_id: str, operation: int, outcome: str, request_id: str) -> str:
        paid = self._checkout.GetPayment(v1.GetPaymentRequest(payment_id=payment_id)).payment
        request = v1.ResolvePaymentRequest(
            payment_id=payment_id,
            operation_id=paid.operations[operation - 1].operation_id,
            outcome=v1.ResolvedOutcome.Value(f"RESOLVED_OUTCOME_{outcome}"),
            reason="drawn",
        )
        return word(self._checkout.ResolvePayment(request).payment)


def _action(name: str) -> v1.StockAction.ValueType:
    return v1.StockAction.Value(f"STOCK_ACTION_{name}")


def _hold(reservation_id: str, lines: tuple[Line, ...], timed: bool) -> dict[str, Any]:
    asked = [v1.LineRequest(product_id=p, quantity=q, location=at) for p, q, at in lines]
    expiry = {} if timed else {"never_expires": True}
    return {"reservation_id": reservation_id, "lines": asked, **expiry}


def _items(calls: Sequence[Call]) -> list[v1.ReserveStockItem]:
    return [
        v1.ReserveStockItem(item_id=f"i{number}", **_hold(*call.args)) for number, call in enumerate(calls)
    ]


def _quantities(*units: tuple[int, int]) -> list[v1.LineQuantity]:
    return [v1.LineQuantity(line_number=number, quantity=quantity) for number, quantity in units]


def _error(verdict: Any) -> str:
    return inventory_client.error_of(verdict.error).reason_name if verdict.HasField("error") else ""
