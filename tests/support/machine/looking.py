"""The reading calls of the state machine, sent to a real server; and all that the API shows of a store."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import inventory_client
from inventory_client import v1
from support.machine.model import Call
from support.machine.sending import OrderCalls
from support.machine.stock import Line
from support.polling import until
from support.shop import word


class Callers(OrderCalls):
    """Sends calls to one store, from as many threads as like to."""

    def send(self, calls: Sequence[Call], form: str = "") -> list[str]:
        """Return each call's verdict: `OK`, `OK:` and an answer, or the reason of the refusal.

        Args:
            form: how several calls of one kind are one request, a method's name; "" = one call, by itself.
        """
        if form:
            verdicts: list[str] = getattr(self, form)(calls)
            return verdicts
        (call,) = calls
        try:
            answered = getattr(self, call.step)(*call.args, request_id=call.request_id)
        except inventory_client.InventoryError as refusal:
            return [refusal.reason_name or refusal.code.name]
        return ["OK" if answered is None else f"OK:{answered}"]

    # --- looks, as `looks` has them ----------------------------------------------------------------

    def look_at_stock(self, products: tuple[str, ...], request_id: str) -> Any:
        stocks = self._inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=products)).stocks
        found = {s.product_id: (s.available, s.allocated, _threshold(s)) for s in stocks}
        return {product: found[product] for product in sorted(found)}

    def look_at_levels(self, product: str, request_id: str) -> Any:
        request = v1.GetStockRequest(product_id=product, view=v1.StockView.STOCK_VIEW_LEVELS)
        return _levels(self._inventory.GetStock(request).stock)

    def list_stock(self, only_out_of_stock: bool, only_few: bool, request_id: str) -> Any:
        only = v1.StockFilter(out_of_stock=only_out_of_stock, below_threshold=only_few)
        return [s.product_id for s in self._inventory.ListStock(v1.ListStockRequest(filter=only)).stocks]

    def check(self, lines: tuple[Line, ...], request_id: str) -> Any:
        asked = [v1.LineRequest(product_id=p, quantity=q, location=at) for p, q, at in lines]
        answered = self._inventory.CheckAvailability(v1.CheckAvailabilityRequest(lines=asked))
        return [short.product_id for short in answered.shortages]

    def look_at_entry(self, product: str, place: str, version: int, request_id: str) -> Any:
        request = v1.GetStockTransactionRequest(product_id=product, location=place, version=version)
        try:
            self._inventory.GetStockTransaction(request)
        except inventory_client.StockTransactionNotFound:
            return False
        return True

    def look_at_log(self, product: str, request_id: str) -> Any:
        return self._log(product).get(product, {})

    def look_at_place(self, place: str, request_id: str) -> Any:
        return _place(self._inventory.GetLocation(v1.GetLocationRequest(slug=place)).location)

    def list_places(self, request_id: str) -> Any:
        listed = self._inventory.ListLocations(v1.ListLocationsRequest()).locations
        return {location.slug: _place(location) for location in listed}

    def look_at_settings(self, request_id: str) -> Any:
        settings = self._inventory.GetStoreSettings(v1.GetStoreSettingsRequest()).settings
        return settings.defer_inventory_check, settings.sell_unmanaged_products

    def list_imports(self, request_id: str) -> Any:
        listed = self._inventory.ListImports(v1.ListImportsRequest()).stock_imports
        return sorted(job.import_id for job in listed)

    def export(self, request_id: str) -> Any:
        return {
            row.product_id: {level.location: level.total for level in sorted(row.levels, key=_location)}
            for answer in self._inventory.ExportStock(v1.ExportStockRequest())
            for row in answer.rows
        }

    def verify(self, request_id: str) -> Any:
        request, violations = v1.VerifyStockRequest(), []
        while True:
            page = self._inventory.VerifyStock(request)
            violations += [(found.law, found.description) for found in page.violations]
            request.page_token = page.next_page_token
            if not request.page_token:
                return violations

    def look_at_reservation(self, reservation_id: str, request_id: str) -> Any:
        request = v1.GetReservationRequest(reservation_id=reservation_id)
        return _held(self._inventory.GetReservation(request).reservation)

    def look_at_cart(self, cart_id: str, request_id: str) -> Any:
        return _cart(self._checkout.GetCart(v1.GetCartRequest(cart_id=cart_id)).cart)

    def look_at_order(self, order_id: str, request_id: str) -> Any:
        return _order(self._checkout.GetOrder(v1.GetOrderRequest(order_id=order_id)).order)

    def look_at_payment(self, payment_id: str, request_id: str) -> Any:
        return _paid(self._checkout.GetPayment(v1.GetPaymentRequest(payment_id=payment_id)).payment)

    def list_reservations(self, state: str, request_id: str) -> Any:
        states = [v1.ReservationState.Value(f"RESERVATION_STATE_{state}")]
        listed = self._inventory.ListReservations(v1.ListReservationsRequest(states=states)).reservations
        owned = sum(held.owned_by_order for held in listed)
        return sorted(held.reservation_id for held in listed if not held.owned_by_order), owned

    def list_carts(self, state: str, request_id: str) -> Any:
        states = [v1.CartState.Value(f"CART_STATE_{state}")]
        return sorted(c.cart_id for c in self._checkout.ListCarts(v1.ListCartsRequest(states=states)).carts)

    def list_orders(self, state: str, request_id: str) -> Any:
        request = v1.ListOrdersRequest(states=[v1.OrderState.Value(f"ORDER_STATE_{state}")])
        return sorted(order.order_id for order in self._checkout.ListOrders(request).orders)

    def list_payments(self, state: str, request_id: str) -> Any:
        request = v1.ListPaymentsRequest(states=[v1.PaymentState.Value(f"PAYMENT_STATE_{state}")])
        return sorted(paid.payment_id for paid in self._checkout.ListPayments(request).payments)

    # --- the store at rest -------------------------------------------------------------------------

    def wait_until_swept(self) -> None:
        """Wait until no hold is due any more, but for those that a payment in flight keeps."""
        request = v1.ListReservationsRequest(states=[v1.ReservationState.RESERVATION_STATE_HELD])
        request.due_by.FromDatetime(datetime.now(UTC))

        def is_swept() -> bool:
            due = self._inventory.ListReservations(request).reservations
            return all(held.owned_by_order and self._is_in_flight(held.order_id) for held in due)

        until(is_swept, "what is due is swept")

    def _is_in_flight(self, order_id: str) -> bool:
        request = v1.ListPaymentsRequest(order_id=order_id, states=[v1.PaymentState.PAYMENT_STATE_PROCESSING])
        return bool(self._checkout.ListPayments(request).payments)

    def shown(self) -> dict[str, Any]:
        """Read all that there is; the keys are those of `expected`."""
        seen: dict[str, Any] = {}
        listing = v1.ListStockRequest(view=v1.StockView.STOCK_VIEW_LEVELS)
        for stock in self._inventory.ListStock(listing).stocks:
            seen[f"stock {stock.product_id}"] = _levels(stock)
            seen[f"threshold {stock.product_id}"] = _threshold(stock)
        for product, counts in self._log().items():
            seen |= {f"log {product} {place}": count for place, count in counts.items()}
        holds = self._inventory.ListReservations(v1.ListReservationsRequest(page_size=1000)).reservations
        held = {each.reservation_id: _held(each) for each in holds}
        seen |= {
            f"reservation {each.reservation_id}": _held(each) for each in holds if not each.owned_by_order
        }
        for cart in self._checkout.ListCarts(v1.ListCartsRequest(page_size=1000)).carts:
            seen[f"cart {cart.cart_id}"] = _cart(cart)
        for order in self._checkout.ListOrders(v1.ListOrdersRequest(page_size=1000)).orders:
            seen[f"order {order.order_id}"] = (*_order(order), held.get(order.reservation_id))
        for paid in self._checkout.ListPayments(v1.ListPaymentsRequest(page_size=1000)).payments:
            seen[f"payment {paid.payment_id}"] = _paid(paid)
        return seen

    def hold_of(self, order_id: str) -> str:
        """Return the server's own id of an order's reservation."""
        order = self._checkout.GetOrder(v1.GetOrderRequest(order_id=order_id)).order
        return str(order.reservation_id)

    def _log(self, product: str = "") -> dict[str, dict[str, int]]:
        """Count the entries of every location, by product."""
        seen: dict[str, dict[str, int]] = {}
        log = v1.ListStockTransactionsRequest(product_id=product, page_size=1000)
        for entry in self._inventory.ListStockTransactions(log).stock_transactions:
            counts = seen.setdefault(entry.product_id, {})
            counts[entry.location] = counts.get(entry.location, 0) + 1
            assert entry.version == counts[entry.location], "the log has a gap"
        return {product: {place: seen[product][place] for place in sorted(seen[product])} for product in seen}


def _held(held: v1.Reservation) -> tuple[str, list[tuple[Any, ...]]]:
    lines = [
        (ln.line_number, ln.product_id, ln.location, ln.reserved, ln.open, ln.fulfilled, ln.returned)
        for ln in held.lines
    ]
    return word(held), lines


def _cart(cart: v1.Cart) -> tuple[Any, ...]:
    items = [(i.product_id, i.quantity, i.unit_price_minor, i.location, i.track_stock) for i in cart.items]
    return word(cart), items, cart.order_id, cart.defer_inventory_check


def _order(order: v1.Order) -> tuple[Any, ...]:
    lines = [(ln.open, ln.fulfilled, ln.returned, ln.unmanaged) for ln in order.lines]
    return word(order), order.total_minor, order.HasField("cancel_time"), lines


def _paid(paid: v1.Payment) -> tuple[Any, ...]:
    return word(paid), paid.captured_minor, paid.refunded_minor, len(paid.operations)


def _levels(stock: v1.Stock) -> dict[str, tuple[int, int, int, int]]:
    return {
        level.location: (level.available, level.allocated, level.hand_allocated, level.version)
        for level in sorted(stock.levels, key=_location)
    }


def _location(level: Any) -> str:
    return str(level.location)


def _threshold(stock: v1.Stock) -> int:
    return stock.low_stock_threshold if stock.HasField("low_stock_threshold") else -1


def _place(location: v1.Location) -> tuple[int, bool]:
    return location.priority, not location.disabled
