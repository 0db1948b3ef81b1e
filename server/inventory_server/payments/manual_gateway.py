"""The gateway `manual`: nobody is called; an administrator's ResolvePayment says how an operation ended."""

from __future__ import annotations

from inventory_server.payments.gateway import GatewayResult, Outcome, Task

_PENDING = Outcome(GatewayResult.PENDING)


class ManualGateway:
    """A Gateway that knows nothing: money is moved elsewhere, by people who then say so."""

    async def perform(self, task: Task, *, timeout_s: float) -> Outcome:
        """See Gateway.perform."""
        return _PENDING

    async def get_operation(self, operation_id: str, *, timeout_s: float) -> Outcome:
        """See Gateway.get_operation."""
        return _PENDING

    async def close(self) -> None:
        """See Gateway.close."""
