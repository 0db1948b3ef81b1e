"""The door that every call passes, once: parse, validate, name the store, bound the time, map the error.

It takes the place of interceptors: empty ones of grpc.aio cost 11 to 20% of the echo rate (docs/decisions/).
All that can be known of a method is worked out when the service is added, not when it is called.
"""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from inventory_server.domain.limits import DEFAULT_STORE
from inventory_server.engine.errors import DeadlinePassed, Overloaded
from inventory_server.rpc import status
from inventory_server.rpc.rules import ID_DESCRIPTION, InvalidFields, Violation, is_id, validator

STORE_KEY = "x-inventory-store"

# What a call gets that names no deadline, and the most that any call gets.
CALL_TIMEOUT_S = 5.0
CALL_TIMEOUT_S_MAX = 300.0
# Calls inside the server at once; one more is OVERLOADED. The engine's queues have bounds of their own.
CALLS_MAX = 8_192

_log = structlog.get_logger("inventory_server.rpc")

_Handler = Callable[[bytes, Any], Awaitable[bytes]]


class Call:
    """What a servicer knows of a call besides its request.

    Attributes:
        store_id: the store it is about, well-formed; it need not exist.
        deadline_s: seconds the caller still waits, counted from when the servicer is called; > 0, and at most
            CALL_TIMEOUT_S_MAX.
    """

    __slots__ = ("deadline_s", "store_id")

    def __init__(self, store_id: str, deadline_s: float) -> None:
        self.store_id = store_id
        self.deadline_s = deadline_s


class Edge:
    """The door of one server; it counts the calls inside.

    Args:
        call_timeout_s: what a call gets that names no deadline, > 0.
        calls_max: calls inside at once.
    """

    def __init__(self, *, call_timeout_s: float = CALL_TIMEOUT_S, calls_max: int = CALLS_MAX) -> None:
        self.call_timeout_s = call_timeout_s
        self.calls_max = calls_max
        self.calls_inside = 0

    def add_service(self, server: grpc.aio.Server, servicer: object, descriptor: ServiceDescriptor) -> None:
        """Let every method of a service be called.

        Args:
            servicer: has `async def reserve_stock(self, request, call: Call) -> response` for ReserveStock,
                and so on.
        Raises: TypeError for a method that the servicer lacks, that is not unary, or whose rules cannot be.
        """
        handlers: dict[str, grpc.RpcMethodHandler[bytes, bytes]] = {
            method.name: grpc.unary_unary_rpc_method_handler(self._handler(servicer, method))
            for method in descriptor.methods
        }
        generic = grpc.method_handlers_generic_handler(descriptor.full_name, handlers)
        server.add_generic_rpc_handlers((generic,))

    def _handler(self, servicer: object, method: MethodDescriptor) -> _Handler:
        name = method.full_name
        if method.client_streaming or method.server_streaming:
            raise TypeError(f"{name} is no unary method")
        act: Callable[[Any, Call], Awaitable[Message]] | None = getattr(servicer, _snake(method.name), None)
        if act is None:
            raise TypeError(f"{name} needs a method {_snake(method.name)} of {type(servicer).__name__}")
        parse: Callable[[bytes], Message] = GetMessageClass(method.input_type).FromString
        violations = validator(method.input_type)
        unreadable = Violation("", f"the request is no valid {method.input_type.full_name}")

        async def handle(data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            timeout = None
            self.calls_inside += 1
            try:
                if self.calls_inside > self.calls_max:
                    raise Overloaded
                try:
                    request = parse(data)
                except DecodeError:
                    raise InvalidFields([unreadable]) from None
                store_id, broken = _store(context.invocation_metadata())
                broken += violations(request)
                if broken:
                    raise InvalidFields(broken)
                call = Call(store_id, self._deadline_s(context.time_remaining()))
                # The engine keeps the deadline too and knows more; this is for whatever does not.
                async with asyncio.timeout(call.deadline_s) as timeout:
                    response = await act(request, call)
                return response.SerializeToString()
            except Exception as error:
                if timeout is not None and timeout.expired() and isinstance(error, TimeoutError):
                    error = DeadlinePassed()
                refusal = status.refusal(error) or _defect(name, error)
            finally:
                self.calls_inside -= 1
            # A CancelledError went by: the caller is gone, or the server stops; grpc answers CANCELLED.
            return await context.abort(*refusal)

        return handle

    def _deadline_s(self, remaining_s: float | None) -> float:
        if remaining_s is None:
            return self.call_timeout_s
        if remaining_s <= 0:
            raise DeadlinePassed
        return min(remaining_s, CALL_TIMEOUT_S_MAX)


def _store(metadata: Any) -> tuple[str, list[Violation]]:
    """Return the store that a call's metadata name, and what is wrong with that."""
    named = [value for key, value in metadata if key == STORE_KEY]
    if not named:
        return DEFAULT_STORE, []
    if len(named) > 1:
        return "", [Violation(STORE_KEY, "must be named once")]
    if not is_id(named[0]):
        return "", [Violation(STORE_KEY, ID_DESCRIPTION)]
    return named[0], []


def _defect(method: str, error: Exception) -> status.Refusal:
    """Log what nobody foresaw under an id of its own; the caller is told the id alone."""
    error_id = secrets.token_hex(8)
    _log.error("call_failed", method=method, error_id=error_id, exc_info=error)
    return status.internal(error_id)


def _snake(name: str) -> str:
    """ReserveStock -> reserve_stock."""
    return re.sub(r"(?<=.)(?=[A-Z])", "_", name).lower()
