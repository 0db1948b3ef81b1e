"""CheckoutService's calls on payments: each decodes, asks payments, engine or reader, and encodes."""

from __future__ import annotations

from inventory_client.v1 import checkout_service_pb2 as service_pb
from inventory_client.v1 import payment_calls_pb2 as pb
from inventory_server.rpc import answers, convert, pages
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Engine, OrderReader, Payments
from inventory_server.rpc.repeat import change_once


class PaymentCalls:
    """A part of CheckoutServicer. The .proto says what each call does."""

    _engine: Engine
    _reader: OrderReader
    _payments: Payments

    async def pay_order(self, request: service_pb.PayOrderRequest, call: Call) -> service_pb.PayOrderResponse:
        payment = await self._payments.pay(
            call.store_id,
            order_id=request.order_id,
            payment_id=request.payment_id,
            amount_minor=request.amount_minor,
            payment_method=request.payment_method,
            kind=convert.payment_kind(request.kind),
            deadline_s=call.deadline_s,
            actor=call.actor,
        )
        return service_pb.PayOrderResponse(payment=answers.payment(payment))

    async def get_payment(
        self, request: service_pb.GetPaymentRequest, call: Call
    ) -> service_pb.GetPaymentResponse:
        payment = await self._reader.payment(call.store_id, request.payment_id, deadline_s=call.deadline_s)
        return service_pb.GetPaymentResponse(payment=answers.payment(payment))

    async def list_payments(self, request: pb.ListPaymentsRequest, call: Call) -> pb.ListPaymentsResponse:
        filters = convert.payment_filters(request)
        scope = pages.list_scope(call.store_id, request)
        page = await self._reader.list_payments(
            call.store_id, filters, after=pages.moment_position(scope, request.page_token),
            limit=pages.size(request.page_size), deadline_s=call.deadline_s,
        )  # fmt: skip
        token = pages.moment_token(scope, page.last)
        return pb.ListPaymentsResponse(payments=map(answers.payment, page.payments), next_page_token=token)

    async def capture_payment(
        self, request: pb.CapturePaymentRequest, call: Call
    ) -> pb.CapturePaymentResponse:
        payment, replayed = await self._payments.capture(
            call.store_id, request.payment_id, request.amount_minor,
            request_id=request.request_id, deadline_s=call.deadline_s,
        )  # fmt: skip
        return pb.CapturePaymentResponse(payment=answers.payment(payment), replayed=replayed)

    async def void_payment(self, request: pb.VoidPaymentRequest, call: Call) -> pb.VoidPaymentResponse:
        payment, replayed = await self._payments.void(
            call.store_id, request.payment_id, request_id=request.request_id, deadline_s=call.deadline_s
        )
        return pb.VoidPaymentResponse(payment=answers.payment(payment), replayed=replayed)

    async def refund_payment(self, request: pb.RefundPaymentRequest, call: Call) -> pb.RefundPaymentResponse:
        payment = await self._payments.refund(
            call.store_id, request.payment_id, request.refund_id, request.amount_minor,
            deadline_s=call.deadline_s,
        )  # fmt: skip
        order = await self._reader.order(call.store_id, payment.order_id, deadline_s=call.deadline_s)
        return pb.RefundPaymentResponse(payment=answers.payment(payment), units_held=order.held_count)

    async def confirm_payment(
        self, request: pb.ConfirmPaymentRequest, call: Call
    ) -> pb.ConfirmPaymentResponse:
        payment, replayed = await self._payments.confirm(
            call.store_id, request.payment_id, request_id=request.request_id,
            deadline_s=call.deadline_s, actor=call.actor,
        )  # fmt: skip
        return pb.ConfirmPaymentResponse(payment=answers.payment(payment), replayed=replayed)

    async def resolve_payment(
        self, request: pb.ResolvePaymentRequest, call: Call
    ) -> pb.ResolvePaymentResponse:
        order_id = await self._payments.order_of(
            call.store_id, request.payment_id, deadline_s=call.deadline_s
        )
        return await change_once(
            self._engine, call, convert.resolve_payment(request, order_id), request.request_id,
            pb.ResolvePaymentResponse,
            lambda payment: pb.ResolvePaymentResponse(payment=answers.payment(payment)),
        )  # fmt: skip
