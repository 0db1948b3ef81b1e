"""The two services in few words: one store, one client, and a check on every refusal."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

import inventory_client
from inventory_client import v1
from support.database import GATE, Observer
from support.gateway import StagedGateway, Visit
from support.polling import under_way, until
from support.refusals import Refusal

AUTHORIZE = v1.PaymentKind.PAYMENT_KIND_AUTHORIZE

Item = tuple[str, int] | tuple[str, int, int]


def word(message: Any, field: str = "state") -> str:
    """Return an enum's value without its prefix: HELD, CAPTURED, RESERVE."""
    enum = message.DESCRIPTOR.fields_by_name[field].enum_type
    prefix = re.sub(r"(?<=.)(?=[A-Z])", "_", enum.name).upper() + "_"
    return str(enum.values_by_number[getattr(message, field)].name).removeprefix(prefix)


class Shop:
    """A store of a test's own."""

    def __init__(self, client: inventory_client.Client, store: str, observer: Observer) -> None:
        self.client, self.store, self.observer = client, store, observer
        self.inventory, self.checkout = client.inventory, client.checkout

    # --- refusals ----------------------------------------------------------------------------------

    @contextmanager
    def refused(self, reason: str) -> Iterator[Refusal]:
        """Expect a refusal for this reason, with its code and details, that wrote nothing at all."""
        before = self.observer.written(self.store)
        refusal = Refusal()
        with pytest.raises((inventory_client.InventoryError, grpc.RpcError)) as raised:
            yield refusal
        error = raised.value
        cause = error if isinstance(error, grpc.RpcError) else error.__cause__
        assert isinstance(cause, grpc.RpcError)
        refusal.read(cause)
        assert refusal.reason == reason, refusal
        assert self.observer.written(self.store) == before

    def reason_of(self, future: Any) -> str:
        """Wait for a call's end; return why it was refused, or OK."""
        error = future.exception()
        if error is None:
            return "OK"
        assert isinstance(error, inventory_client.InventoryError)
        return error.reason_name or error.code.name

    # --- stock -------------------------------------------------------------------------------------

    def stock(self, product_id: str, quantity: int, **more: Any) -> v1.Stock:
        request = v1.CreateStockRequest(product_id=product_id, quantity=quantity, **more)
        return self.inventory.CreateStock(request).stock

    def stocks(self, **quantities: int) -> None:
        for product_id, quantity in quantities.items():
            self.stock(product_id, quantity)

    def get(self, product_id: str) -> v1.Stock:
        return self.inventory.GetStock(v1.GetStockRequest(product_id=product_id)).stock

    def update(self, product_id: str, *mask: str, **fields: Any) -> v1.Stock:
        """Update a record; what is set, unless a mask says what."""
        request = v1.UpdateStockRequest(product_id=product_id, **fields)
        request.update_mask.paths.extend(mask)
        return self.inventory.UpdateStock(request).stock

    def delete(self, product_id: str, **more: Any) -> v1.DeleteStockResponse:
        return self.inventory.DeleteStock(v1.DeleteStockRequest(product_id=product_id, **more))

    def settings(self) -> v1.StoreSettings:
        return self.inventory.GetStoreSettings(v1.GetStoreSettingsRequest()).settings

    def set_up(self, *mask: str, **fields: Any) -> v1.StoreSettings:
        """Update the store's settings; what is set, unless a mask says what. Durations are in seconds."""
        request = v1.UpdateStoreSettingsRequest()
        request.update_mask.paths.extend(mask)
        for name, value in fields.items():
            if name in ("default_hold", "cart_expiry"):
                getattr(request, name).FromNanoseconds(int(value * 1e9))
            else:
                setattr(request, name, value)
        return self.inventory.UpdateStoreSettings(request).settings

    def numbers(self, product_id: str) -> tuple[int, int, int]:
        """Return (total, available, allocated)."""
        stock = self.get(product_id)
        return stock.total, stock.available, stock.allocated

    def change_request(
        self, product_id: str, action: str, quantity: int, **more: Any
    ) -> v1.CreateStockTransactionRequest:
        return v1.CreateStockTransactionRequest(
            product_id=product_id,
            action=v1.StockAction.Value(f"STOCK_ACTION_{action}"),
            quantity=quantity,
            **more,
        )

    def change(self, product_id: str, action: str, quantity: int, **more: Any) -> v1.StockTransaction:
        request = self.change_request(product_id, action, quantity, **more)
        return self.inventory.CreateStockTransaction(request).stock_transaction

    def log(self, product_id: str) -> list[v1.StockTransaction]:
        """Return the product's whole log, page by page."""
        entries: list[v1.StockTransaction] = []
        token = ""
        while True:
            page = self.inventory.ListStockTransactions(
                v1.ListStockTransactionsRequest(product_id=product_id, page_size=1000, page_token=token)
            )
            entries += page.stock_transactions
            token = page.next_page_token
            if not token:
                return entries

    def actions(self, product_id: str) -> list[tuple[str, int]]:
        """Return (action, quantity) of the product's log, from its second entry on (after CREATE)."""
        return [(word(entry, "action"), entry.quantity) for entry in self.log(product_id)[1:]]

    # --- locations ---------------------------------------------------------------------------------

    def location(self, slug: str, **more: Any) -> v1.Location:
        return self.inventory.CreateLocation(v1.CreateLocationRequest(slug=slug, **more)).location

    def locations(self) -> dict[str, v1.Location]:
        """Return the first 1,000 by slug."""
        page = self.inventory.ListLocations(v1.ListLocationsRequest(page_size=1000))
        return {location.slug: location for location in page.locations}

    def disable(self, slug: str) -> None:
        self.inventory.UpdateLocation(v1.UpdateLocationRequest(slug=slug, disabled=True))

    def delete_location(self, slug: str, etag: str = "") -> None:
        self.inventory.DeleteLocation(v1.DeleteLocationRequest(slug=slug, etag=etag))

    def transfer(
        self, product_id: str, quantity: int, source: str, target: str, **more: Any
    ) -> v1.TransferStockResponse:
        return self.inventory.TransferStock(
            v1.TransferStockRequest(
                product_id=product_id,
                quantity=quantity,
                source_location=source,
                target_location=target,
                **more,
            )
        )

    def level(self, product_id: str, location: str) -> tuple[int, int, int]:
        """Return (total, available, allocated) at a location, as its log ends."""
        last = [entry for entry in self.log(product_id) if entry.location == location][-1]
        return last.available_after + last.allocated_after, last.available_after, last.allocated_after

    # --- reservations ------------------------------------------------------------------------------

    def lines(self, *items: Item) -> list[v1.LineRequest]:
        return [v1.LineRequest(product_id=item[0], quantity=item[1]) for item in items]

    def reserve_request(self, reservation_id: str, *items: Item, **more: Any) -> v1.ReserveStockRequest:
        return v1.ReserveStockRequest(reservation_id=reservation_id, lines=self.lines(*items), **more)

    def reserve(self, reservation_id: str, *items: Item, **more: Any) -> v1.Reservation:
        request = self.reserve_request(reservation_id, *items, **more)
        return self.inventory.ReserveStock(request).reservation

    def reserve_until_soon(self, reservation_id: str, *items: Item) -> v1.ReserveStockRequest:
        """Hold units for a moment; return the request. A server that came too late is asked for more time."""
        ahead_s = 0.15
        while True:
            request = self.reserve_request(reservation_id, *items)
            request.expire_time.FromNanoseconds(time.time_ns() + int(ahead_s * 1e9))
            try:
                self.inventory.ReserveStock(request)
            except inventory_client.InvalidField:
                assert ahead_s < 5
                ahead_s *= 2
            else:
                return request

    def wait_until_due(self, *items: Item) -> None:
        """Wait until these units could be had: the holds on them have run out."""
        request = v1.CheckAvailabilityRequest(lines=self.lines(*items))
        until(lambda: self.inventory.CheckAvailability(request).sufficient, f"holds on {items} are due")

    def confirm(self, reservation_id: str, request_id: str = "") -> v1.Reservation:
        request = v1.ConfirmReservationRequest(reservation_id=reservation_id, request_id=request_id)
        return self.inventory.ConfirmReservation(request).reservation

    def release(self, reservation_id: str, request_id: str = "") -> v1.Reservation:
        request = v1.ReleaseReservationRequest(reservation_id=reservation_id, request_id=request_id)
        return self.inventory.ReleaseReservation(request).reservation

    def parts(self, by_line: dict[int, int]) -> list[v1.LineQuantity]:
        return [v1.LineQuantity(line_number=number, quantity=units) for number, units in by_line.items()]

    def fulfill(
        self, reservation_id: str, request_id: str = "", by_line: dict[int, int] | None = None
    ) -> v1.Reservation:
        """Take units out of the house; all that are open if none are named."""
        request = v1.FulfillReservationRequest(
            reservation_id=reservation_id, request_id=request_id, lines=self.parts(by_line or {})
        )
        return self.inventory.FulfillReservation(request).reservation

    def extend(self, reservation_id: str, ttl_s: int, request_id: str = "") -> v1.Reservation:
        request = v1.ExtendReservationRequest(reservation_id=reservation_id, request_id=request_id)
        request.ttl.seconds = ttl_s
        return self.inventory.ExtendReservation(request).reservation

    def list_reservations(self, **asked: Any) -> list[v1.Reservation]:
        """Return every reservation that the filters let through, page by page."""
        found: list[v1.Reservation] = []
        token = ""
        while True:
            page = self.inventory.ListReservations(v1.ListReservationsRequest(page_token=token, **asked))
            found += page.reservations
            token = page.next_page_token
            if not token:
                return found

    def bring_back(
        self,
        reservation_id: str,
        return_id: str,
        by_line: dict[int, int],
        restock: bool = True,
        **more: Any,
    ) -> v1.ReturnReservationItemsResponse:
        request = v1.ReturnReservationItemsRequest(
            reservation_id=reservation_id,
            return_id=return_id,
            lines=self.parts(by_line),
            restock=restock,
            **more,
        )
        return self.inventory.ReturnReservationItems(request)

    def reservation(self, reservation_id: str) -> v1.Reservation:
        request = v1.GetReservationRequest(reservation_id=reservation_id)
        return self.inventory.GetReservation(request).reservation

    # --- the order flow ----------------------------------------------------------------------------

    def items(
        self, *items: Item, location: str = "", track_stock: bool | None = None
    ) -> list[v1.CartItemRequest]:
        return [
            v1.CartItemRequest(
                product_id=item[0],
                quantity=item[1],
                unit_price_minor=item[2] if len(item) > 2 else 100,
                location=location,
                track_stock=track_stock,
            )
            for item in items
        ]

    def add(self, cart_id: str, *items: Item, request_id: str = "", **more: Any) -> v1.Cart:
        """Put items into a cart; `location` and `track_stock` hold for all of them."""
        request = v1.AddCartItemsRequest(
            cart_id=cart_id, items=self.items(*items, **more), request_id=request_id
        )
        return self.checkout.AddCartItems(request).cart

    def cart(self, cart_id: str, *items: Item, currency: str = "EUR", **more: Any) -> v1.Cart:
        """Make a cart with items, each (product, quantity) or (product, quantity, price); 1.00 by default."""
        request = v1.CreateCartRequest(cart_id=cart_id, currency=currency, **more)
        made = self.checkout.CreateCart(request).cart
        return self.add(cart_id, *items) if items else made

    def delete_cart(self, cart_id: str, etag: str = "", request_id: str = "") -> None:
        self.checkout.DeleteCart(v1.DeleteCartRequest(cart_id=cart_id, etag=etag, request_id=request_id))

    def get_cart(self, cart_id: str) -> v1.Cart:
        return self.checkout.GetCart(v1.GetCartRequest(cart_id=cart_id)).cart

    def check_out(self, cart_id: str, order_id: str) -> v1.Order:
        return self.checkout.Checkout(v1.CheckoutRequest(cart_id=cart_id, order_id=order_id)).order

    def order(self, order_id: str, *items: Item) -> v1.Order:
        """Make an unpaid order, of a cart of its own."""
        self.cart(f"cart-of-{order_id}", *items)
        return self.check_out(f"cart-of-{order_id}", order_id)

    def get_order(self, order_id: str) -> v1.Order:
        return self.checkout.GetOrder(v1.GetOrderRequest(order_id=order_id)).order

    def list_orders(self, **asked: Any) -> list[str]:
        """Return the ids of the orders that the filters let through, page by page."""
        return [
            order.order_id
            for page in self.pages_of(self.checkout.ListOrders, v1.ListOrdersRequest(**asked))
            for order in page.orders
        ]

    def list_carts(self, **asked: Any) -> list[str]:
        """Return the ids of the carts that the filters let through, page by page."""
        return [
            cart.cart_id
            for page in self.pages_of(self.checkout.ListCarts, v1.ListCartsRequest(**asked))
            for cart in page.carts
        ]

    def pages_of(self, method: Any, request: Any) -> Iterator[Any]:
        """Yield page after page, until an empty token ends the list."""
        while True:
            page = method(request)
            yield page
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def pay_request(
        self, order_id: str, payment_id: str, amount_minor: int, how: str = "accept", **more: Any
    ) -> v1.PayOrderRequest:
        return v1.PayOrderRequest(
            order_id=order_id,
            payment_id=payment_id,
            amount_minor=amount_minor,
            payment_method=f"sim:{how}",
            **more,
        )

    def pay(self, order_id: str, payment_id: str, amount_minor: int, how: str = "accept") -> v1.Payment:
        """Pay; `how` steers the gateway simulator."""
        return self.checkout.PayOrder(self.pay_request(order_id, payment_id, amount_minor, how)).payment

    def start_paying(self, order_id: str, payment_id: str, amount_minor: int, **more: Any) -> Any:
        """Begin to pay; return the call."""
        return self.checkout.PayOrder.future(self.pay_request(order_id, payment_id, amount_minor, **more))

    def authorize(self, order_id: str, payment_id: str, amount_minor: int, how: str = "accept") -> v1.Payment:
        """Pay by an authorization."""
        request = self.pay_request(order_id, payment_id, amount_minor, how, kind=AUTHORIZE)
        return self.checkout.PayOrder(request).payment

    def capture(self, payment_id: str, amount_minor: int, request_id: str = "") -> v1.Payment:
        request = v1.CapturePaymentRequest(
            payment_id=payment_id, amount_minor=amount_minor, request_id=request_id
        )
        return self.checkout.CapturePayment(request).payment

    def void(self, payment_id: str, request_id: str = "") -> v1.Payment:
        request = v1.VoidPaymentRequest(payment_id=payment_id, request_id=request_id)
        return self.checkout.VoidPayment(request).payment

    def refund(self, payment_id: str, refund_id: str, amount_minor: int) -> v1.Payment:
        request = v1.RefundPaymentRequest(
            payment_id=payment_id, refund_id=refund_id, amount_minor=amount_minor
        )
        return self.checkout.RefundPayment(request).payment

    def confirm_payment(self, payment_id: str, request_id: str = "") -> v1.Payment:
        request = v1.ConfirmPaymentRequest(payment_id=payment_id, request_id=request_id)
        return self.checkout.ConfirmPayment(request).payment

    def resolve_request(
        self, payment_id: str, outcome: str, reason: str = "seen on their page", request_id: str = ""
    ) -> v1.ResolvePaymentRequest:
        """Return a request about the payment's last operation."""
        return v1.ResolvePaymentRequest(
            payment_id=payment_id,
            operation_id=self.payment(payment_id).operations[-1].operation_id,
            outcome=v1.ResolvedOutcome.Value(f"RESOLVED_OUTCOME_{outcome}"),
            reason=reason,
            request_id=request_id,
        )

    def resolve(self, payment_id: str, outcome: str) -> v1.Payment:
        """End the payment's last operation by an administrator's word."""
        return self.checkout.ResolvePayment(self.resolve_request(payment_id, outcome)).payment

    def list_payments(self, **asked: Any) -> list[v1.Payment]:
        """Return every payment that the filters let through, page by page."""
        found: list[v1.Payment] = []
        token = ""
        while True:
            page = self.checkout.ListPayments(v1.ListPaymentsRequest(page_token=token, **asked))
            found += page.payments
            token = page.next_page_token
            if not token:
                return found

    def payment(self, payment_id: str) -> v1.Payment:
        return self.checkout.GetPayment(v1.GetPaymentRequest(payment_id=payment_id)).payment

    def wait_for_payment(self, payment_id: str, state: str) -> v1.Payment:
        """Wait until a payment is there and in this state."""

        def look() -> v1.Payment | None:
            try:
                found = self.payment(payment_id)
            except inventory_client.PaymentNotFound:
                return None
            return found if word(found) == state else None

        found = until(look, f"{payment_id} is {state}")
        assert found is not None
        return found

    def paid_order(self, order_id: str, *items: Item) -> v1.Order:
        made = self.order(order_id, *items)
        assert word(self.pay(order_id, f"pay-{order_id}", made.total_minor)) == "CAPTURED"
        return self.get_order(order_id)

    def cancel(self, order_id: str, request_id: str = "") -> v1.Order:
        request = v1.CancelOrderRequest(order_id=order_id, request_id=request_id)
        return self.checkout.CancelOrder(request).order

    def cancel_for(self, order_id: str, target: str, request_id: str = "") -> v1.CancelOrderResponse:
        """Cancel an order and hold another one of its units."""
        return self.checkout.CancelOrder(self.cancel_request(order_id, target, request_id))

    def cancel_request(self, order_id: str, target: str = "", request_id: str = "") -> v1.CancelOrderRequest:
        return v1.CancelOrderRequest(order_id=order_id, target_order_id=target, request_id=request_id)

    def ship(self, order_id: str, shipment_id: str, by_line: dict[int, int] | None = None) -> v1.Shipment:
        """Ship an order, or these units by the number of their line."""
        return self.checkout.ShipOrder(self.ship_request(order_id, shipment_id, by_line)).shipment

    def ship_request(
        self, order_id: str, shipment_id: str, by_line: dict[int, int] | None = None
    ) -> v1.ShipOrderRequest:
        return v1.ShipOrderRequest(
            order_id=order_id, shipment_id=shipment_id, lines=self.parts(by_line or {})
        )

    def return_request(
        self, order_id: str, return_id: str, by_line: dict[int, int], restock: bool = True, **more: Any
    ) -> v1.ReturnOrderItemsRequest:
        return v1.ReturnOrderItemsRequest(
            order_id=order_id, return_id=return_id, lines=self.parts(by_line), restock=restock, **more
        )

    def return_of(
        self, order_id: str, return_id: str, by_line: dict[int, int], restock: bool = True, **more: Any
    ) -> v1.Order:
        """Take back these units of an order by the number of their line."""
        request = self.return_request(order_id, return_id, by_line, restock, **more)
        return self.checkout.ReturnOrderItems(request).order

    # --- the order of arrival ----------------------------------------------------------------------

    def settle_in(self) -> None:
        """Return when the calls sent before this have reached the server's queue.

        They share one connection with this read, whose answer takes the server longer than taking them in.
        """
        self.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=["nothing"]))

    @contextmanager
    def batch_held(self, lead: Any | None = None, *, deadline: bool = False) -> Iterator[Any]:
        """Stop the store's batches: what arrives in the block is decided together, in order, after it.

        Args:
            lead: a request to CreateStockTransaction for product `gate` that is in the batch held; None: one
                that means nothing.
            deadline: its call has one, which may be over at any time.
        Yields: its call.
        """
        product_ids = [GATE]
        if self.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=product_ids)).missing_product_ids:
            self.stock(GATE, 1)
        with self.observer.level_locked(self.store, GATE) as holder:
            request = lead or self.change_request(GATE, "INCREMENT", 1)
            yield under_way(
                lambda deadline_s: self.inventory.CreateStockTransaction.future(request, deadline_s),
                lambda: self.observer.is_blocking(holder),
                deadline,
            )
            self.settle_in()


class StagedShop(Shop):
    """A store whose payments wait at the gateway until the test answers them."""

    def __init__(
        self,
        client: inventory_client.Client,
        store: str,
        observer: Observer,
        gateway: StagedGateway,
    ) -> None:
        super().__init__(client, store, observer)
        self._gateway = gateway

    @property
    def purchases(self) -> list[str]:
        """The payments that the gateway was called to begin, in order of arrival."""
        return [payment_id for kind, payment_id in self.asked if kind in ("Purchase", "Authorize")]

    @property
    def asked(self) -> list[tuple[str, str]]:
        """What the gateway was called for, (kind, payment), in order of arrival."""
        return [(visit.kind, visit.request.payment_id) for visit in self._gateway.seen[self.store]]

    def at_gateway(self) -> Visit:
        """Wait for the next operation."""
        return self._gateway.next(self.store)

    def gateway_says(self, operation_id: str, result: str) -> None:
        """Let the gateway say this when it is asked about an operation."""
        self._gateway.said[operation_id] = v1.GatewayResult.Value(f"GATEWAY_RESULT_{result}")

    def pay_up_to_gateway(
        self, order_id: str, payment_id: str, amount_minor: int, **more: Any
    ) -> tuple[Any, Visit]:
        """Begin to pay and wait until the gateway was called; return the call and the visit."""
        call = self.start_paying(order_id, payment_id, amount_minor, **more)
        visit = self.at_gateway()
        assert visit.request.payment_id == payment_id
        return call, visit

    def start(self, kind: str, payment_id: str, amount_minor: int = 0) -> Any:
        """Begin a further operation, a Capture, Void, Refund or Confirm; return the call."""
        request = getattr(v1, f"{kind}PaymentRequest")(payment_id=payment_id)
        if kind in ("Capture", "Refund"):
            request.amount_minor = amount_minor
        if kind == "Refund":
            request.refund_id = f"refund-{inventory_client.new_id()}"
        return getattr(self.checkout, f"{kind}Payment").future(request)

    def up_to_gateway(self, kind: str, payment_id: str, amount_minor: int = 0) -> tuple[Any, Visit]:
        """Begin a further operation and wait until the gateway was called; return the call and the visit."""
        call = self.start(kind, payment_id, amount_minor)
        visit = self.at_gateway()
        assert (visit.kind, visit.request.payment_id) == (kind, payment_id)
        return call, visit

    def begun(self, order_id: str, payment_id: str, amount_minor: int, state: str) -> v1.Payment:
        """Pay, and have the gateway answer so that the payment is in this state."""
        kind = AUTHORIZE if state == "AUTHORIZED" else v1.PaymentKind.PAYMENT_KIND_PURCHASE
        call, visit = self.pay_up_to_gateway(order_id, payment_id, amount_minor, kind=kind)
        {"DECLINED": visit.decline, "REQUIRES_ACTION": visit.ask_the_shopper}.get(state, visit.accept)()
        payment: v1.Payment = call.result().payment
        assert word(payment) == state
        return payment
