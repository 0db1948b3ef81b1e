"""What the payment gateway simulator knows of each payment, and so what it can't do whatever its script says.

A gateway captures an authorization once, gives back no more than it took, and lets nothing go that isn't
there. The service must never ask for more; that it would be refused is the second wall.
"""

from __future__ import annotations

from dataclasses import dataclass

from inventory_client import v1
from inventory_loadtest.gateway_ledger import OperationRequest, kind_of
from inventory_loadtest.gateway_script import Script

_Result = v1.GatewayResult


@dataclass
class Account:
    """One payment at the gateway; amounts in minor units.

    Args:
        payment_method: that of its purchase or authorization, which steers what comes after it, too.
        is_authorization: whether it began with one.
    """

    payment_method: str = ""
    is_authorization: bool = False
    waits_for_shopper: bool = False
    authorized_minor: int = 0
    lapsed: bool = False
    taken_minor: int = 0
    given_back_minor: int = 0

    def begin(self, request: v1.PurchaseRequest | v1.AuthorizeRequest) -> None:
        """Take note of what begins a payment."""
        self.payment_method = request.payment_method
        self.is_authorization = isinstance(request, v1.AuthorizeRequest)

    def end(self, request: OperationRequest, script: Script) -> tuple[v1.Outcome, int]:
        """Bring an operation to its end: the one place where money moves.

        Returns: how it ended, and how much it took from the shopper; below 0 = gave back.
        """
        refusal = self._refusal(request)
        if refusal:
            result, reason = _Result.GATEWAY_RESULT_DECLINED, refusal
        else:
            result, reason = script.result, script.decline_reason
        self.lapsed = self.lapsed or (script.lapsed and not refusal)
        if self.lapsed:
            self.authorized_minor = 0
        outcome = v1.Outcome(
            result=result,
            gateway_reference=f"sim-{request.operation_id}"[:128],
            decline_reason=reason,
            authorization_lapsed=self.lapsed and result == _Result.GATEWAY_RESULT_DECLINED,
        )
        return outcome, self._move(request, result)

    def _refusal(self, request: OperationRequest) -> str:
        kind, amount_minor = kind_of(request), request.amount_minor
        if kind == "Confirm" and not self.waits_for_shopper:
            return "nothing waits for the shopper"
        if kind == "Capture" and amount_minor > self.authorized_minor:
            return "there is no such authorization"
        if kind == "Void" and not (self.authorized_minor or self.waits_for_shopper):
            return "there is nothing to let go"
        if kind == "Refund" and amount_minor > self.taken_minor - self.given_back_minor:
            return "so much was not taken"
        return ""

    def _move(self, request: OperationRequest, result: v1.GatewayResult.ValueType) -> int:
        kind, amount_minor = kind_of(request), request.amount_minor
        if kind in ("Purchase", "Authorize", "Confirm"):
            self.waits_for_shopper = result == _Result.GATEWAY_RESULT_REQUIRES_ACTION
        if result != _Result.GATEWAY_RESULT_ACCEPTED:
            return 0
        if kind == "Refund":
            self.given_back_minor += amount_minor
            return -amount_minor
        if kind == "Void":
            self.authorized_minor, self.waits_for_shopper = 0, False
            return 0
        if kind == "Capture" or not self.is_authorization:
            self.authorized_minor = 0
            self.taken_minor += amount_minor
            return amount_minor
        self.authorized_minor = amount_minor
        return 0
