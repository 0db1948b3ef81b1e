"""The model's calls, sent to a real server; and the model, compared with all that the API shows."""

from __future__ import annotations

from typing import Any

import inventory_client
from inventory_client import v1
from support.model import Call, Line, Model
from support.shop import word


class Callers:
    """Sends calls to one store, from as many threads as like to."""

    def __init__(self, client: inventory_client.Client) -> None:
        self._inventory, self._checkout = client.inventory, client.checkout

    def send(self, call: Call) -> str:
        """Return the verdict's word: `OK`, `OK:` and a state, or the reason of the refusal."""
        try:
            answered = getattr(self, call.step)(*call.args, request_id=call.request_id)
        except inventory_client.InventoryError as refusal:
            return refusal.reason_name or refusal.code.name
        return f"OK:{answered}" if answered else "OK"

    # --- stock -------------------------------------------------------------------------------------

    def create(self, product: str, quantity: int, request_id: str) -> None:
        self._inventory.CreateStock(
            v1.CreateStockRequest(product_id=product, quantity=quantity, request_id=request_id)
        )

    def delete(self, product: str, request_id: str) -> None:
        self._inventory.DeleteStock(v1.DeleteStockRequest(product_id=product, request_id=request_id))

    def switch(self, place: str, enabled: bool, request_id: str) -> None:
        self._inventory.UpdateLocation(
            v1.UpdateLocationRequest(slug=place, disabled=not enabled, request_id=request_id)
        )

    def change(self, product: str, action: str, quantity: int, place: str, request_id: str) -> None:
        self._inventory.CreateStockTransaction(
            v1.CreateStockTransactionRequest(
                product_id=product,
                action=v1.StockAction.Value(f"STOCK_ACTION_{action}"),
                quantity=quantity,
                location=place,
                request_id=request_id,
            )
        )

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

    # --- reservations ------------------------------------------------------------------------------

    def reserve(self, reservation_id: str, lines: tuple[Line, ...], request_id: str) -> str:
        request = v1.ReserveStockRequest(
            reservation_id=reservation_id,
            lines=[v1.LineRequest(product_id=p, quantity=q, location=at) for p, q, at in lines],
            never_expires=True,
        )
        return word(self._inventory.ReserveStock(request).reservation)

    def confirm(self, reservation_id: str, request_id: str) -> str:
        request = v1.ConfirmReservationRequest(reservation_id=reservation_id, request_id=request_id)
        return word(self._inventory.ConfirmReservation(request).reservation)

    def release(self, reservation_id: str, request_id: str) -> str:
        request = v1.ReleaseReservationRequest(reservation_id=reservation_id, request_id=request_id)
        return word(self._inventory.ReleaseReservation(request).reservation)

    def give_back(
        self, reservation_id: str, return_id: str, unit: tuple[int, int], restock: bool, request_id: str
    ) -> str:
        request = v1.ReturnReservationItemsRequest(
            reservation_id=reservation_id,
            return_id=return_id,
            lines=_quantities(unit),
            restock=restock,
        )
        return word(self._inventory.ReturnReservationItems(request).reservation)

    def fulfill(self, reservation_id: str, units: tuple[tuple[int, int], ...], request_id: str) -> str:
        request = v1.FulfillReservationRequest(
            reservation_id=reservation_id,
            lines=_quantities(*units),
            request_id=request_id,
        )
        return word(self._inventory.FulfillReservation(request).reservation)

    # --- carts and orders --------------------------------------------------------------------------

    def cart(self, cart_id: str, request_id: str) -> None:
        self._checkout.CreateCart(v1.CreateCartRequest(cart_id=cart_id, currency="EUR"))

    def add(self, cart_id: str, product: str, quantity: int, price: int, at: str, request_id: str) -> None:
        item = v1.CartItemRequest(product_id=product, quantity=quantity, unit_price_minor=price, location=at)
        self._checkout.AddCartItems(
            v1.AddCartItemsRequest(cart_id=cart_id, items=[item], request_id=request_id)
        )

    def remove(self, cart_id: str, product: str, request_id: str) -> None:
        self._checkout.RemoveCartItem(
            v1.RemoveCartItemRequest(cart_id=cart_id, product_id=product, request_id=request_id)
        )

    def check_out(self, cart_id: str, order_id: str, request_id: str) -> None:
        self._checkout.Checkout(v1.CheckoutRequest(cart_id=cart_id, order_id=order_id))

    def cancel(self, order_id: str, target_id: str, request_id: str) -> None:
        self._checkout.CancelOrder(
            v1.CancelOrderRequest(order_id=order_id, target_order_id=target_id, request_id=request_id)
        )

    def ship(
        self, order_id: str, shipment_id: str, units: tuple[tuple[int, int], ...], request_id: str
    ) -> None:
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

    # --- payments ----------------------------------------------------------------------------------

    def pay(self, order_id: str, payment_id: str, amount: int, kind: str, how: str, request_id: str) -> str:
        request = v1.PayOrderRequest(
            order_id=order_id,
            payment_id=payment_id,
            amount_minor=amount,
            payment_method=f"sim:{how}",
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

    # --- looking -----------------------------------------------------------------------------------

    def shown(self, model: Model) -> dict[str, Any]:
        """Read all that the model knows of; the keys are those of `expected`."""
        seen: dict[str, Any] = {}
        if model.managed:
            request = v1.BatchGetStockRequest(product_ids=sorted(model.managed))
            for stock in self._inventory.BatchGetStock(request).stocks:
                seen[f"stock {stock.product_id}"] = (stock.available, stock.allocated)
        for product in sorted({product for product, _ in model.entries}):
            log = v1.ListStockTransactionsRequest(product_id=product, page_size=1000)
            for entry in self._inventory.ListStockTransactions(log).stock_transactions:
                key = f"log {product} {entry.location}"
                seen[key] = seen.get(key, 0) + 1
                assert entry.version == seen[key], "the log has a gap"
        for reservation_id, held in model.reservations.items():
            if not held["owner"]:
                seen[f"reservation {reservation_id}"] = self._reservation(reservation_id)
        for cart_id in model.carts:
            cart = self._checkout.GetCart(v1.GetCartRequest(cart_id=cart_id)).cart
            seen[f"cart {cart_id}"] = (
                [(i.product_id, i.quantity, i.unit_price_minor, i.location) for i in cart.items],
                cart.order_id,
            )
        for order_id in model.orders:
            order = self._checkout.GetOrder(v1.GetOrderRequest(order_id=order_id)).order
            held = self._reservation(order.reservation_id) if order.reservation_id else None
            cancelled = order.HasField("cancel_time")
            seen[f"order {order_id}"] = (word(order), order.total_minor, cancelled, held)
        for payment_id in model.payments:
            paid = self._checkout.GetPayment(v1.GetPaymentRequest(payment_id=payment_id)).payment
            seen[f"payment {payment_id}"] = (word(paid), paid.captured_minor, paid.refunded_minor)
        return seen

    def _reservation(self, reservation_id: str) -> tuple[str, list[tuple[Any, ...]]]:
        request = v1.GetReservationRequest(reservation_id=reservation_id)
        held = self._inventory.GetReservation(request).reservation
        lines = [
            (ln.product_id, ln.location, ln.reserved, ln.open, ln.fulfilled, ln.returned) for ln in held.lines
        ]
        return word(held), lines


def _quantities(*units: tuple[int, int]) -> list[v1.LineQuantity]:
    return [v1.LineQuantity(line_number=number, quantity=quantity) for number, quantity in units]


def expected(model: Model) -> dict[str, Any]:
    """Return what the API has to show of a model."""
    seen: dict[str, Any] = {f"stock {product}": model.stock(product) for product in model.managed}
    seen |= {f"log {product} {place}": count for (product, place), count in model.entries.items()}
    for reservation_id, held in model.reservations.items():
        if not held["owner"]:
            seen[f"reservation {reservation_id}"] = _held(held)
    for cart_id, cart in model.carts.items():
        items = [(product, quantity, price, at) for product, (quantity, price, at) in cart["items"].items()]
        seen[f"cart {cart_id}"] = (items, cart["order"])
    for order_id, order in model.orders.items():
        held = _held(model.reservations[order["hold"]]) if order["hold"] else None
        seen[f"order {order_id}"] = (model.order_word(order_id), order["total"], order["cancelled"], held)
    for payment_id, paid in model.payments.items():
        seen[f"payment {payment_id}"] = (model.payment_word(payment_id), paid["captured"], paid["refunded"])
    return seen


def _held(held: dict[str, Any]) -> tuple[str, list[tuple[Any, ...]]]:
    told = ("product", "at", "reserved", "open", "fulfilled", "returned")
    lines = [tuple(line[name] for name in told) for line in held["lines"]]
    return held["state"], lines
