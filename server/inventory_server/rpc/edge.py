"""The door that every call passes, once: who calls, parse, validate, store, time, errors.

It takes the place of interceptors: empty ones of grpc.aio cost 11 to 20% of the echo rate (docs/decisions/).
All that can be known of a method is worked out when the service is added, not when it is called.
"""

from __future__ import annotations

import asyncio
import math
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import aclosing, suppress
from functools import partial
from typing import Any

import grpc
import structlog
from google.protobuf.descriptor import Descriptor, FieldDescriptor, MethodDescriptor, ServiceDescriptor
from google.protobuf.descriptor_pb2 import MethodOptions
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from inventory_client.v1 import options_pb2
from inventory_server.access.directory import Caller
from inventory_server.access.errors import Unauthenticated
from inventory_server.access.role import Role
from inventory_server.domain.limits import DEFAULT_STORE
from inventory_server.engine.errors import DeadlinePassed, Overloaded
from inventory_server.engine.room import has_room
from inventory_server.rpc import status
from inventory_server.rpc.guard import Guard
from inventory_server.rpc.named import Named, named_in
from inventory_server.rpc.rules import InvalidFields, Violation, validator
from inventory_server.rpc.unread import Unread

# What a call gets that names no deadline, and the most that any gets; a stream's deadline is its own.
CALL_TIMEOUT_S = 5.0
CALL_TIMEOUT_S_MAX = 300.0
# A caller who takes longer to make room for one message of a stream is cut off.
WRITE_TIMEOUT_S = 30.0
# So long must no unary call have come before a server that drains is stopped.
QUIET_S = 0.25
SETTLE_S_MAX = 1.0
# Calls inside the server at once; one more is OVERLOADED. The engine's queues have bounds of their own.
CALLS_MAX = 8_192
# Of one store's callers among them, where no other store's call: however many do, others find room.
STORE_CALLS_MAX = 6_144
# Calls among them whose caller sends a stream: each may keep a message of 4 MiB that never ends.
STREAMS_MAX = 1_024

# How a call ended, in the audit log, where it has no reason: the caller went away, or the server stopped.
OK, CANCELLED = "OK", "CANCELLED"

_ROLES: Mapping[int, Role | None] = {
    options_pb2.ROLE_UNSPECIFIED: None,
    options_pb2.ROLE_VIEWER: Role.VIEWER,
    options_pb2.ROLE_SELLER: Role.SELLER,
    options_pb2.ROLE_STOCK_KEEPER: Role.STOCK_KEEPER,
    options_pb2.ROLE_ADMIN: Role.ADMIN,
}

_log = structlog.get_logger("inventory_server.rpc")


class Call:
    """What a servicer knows of a call besides its request.

    Attributes:
        store_id: the store it is about, well-formed; it need not exist.
        actor: the credential's name; where callers are not told apart, who says that they act, "" = not said.
        deadline_s: seconds the caller still waits, counted from when the servicer is called; > 0, and at most
            CALL_TIMEOUT_S_MAX. A call with a stream has what it names, however long; infinity where it names
            none.
        item_deadline_s: the same for one item of a stream; > 0, and never infinity.
    """

    __slots__ = ("actor", "deadline_s", "item_deadline_s", "store_id")

    def __init__(
        self, store_id: str, deadline_s: float, actor: str = "", item_deadline_s: float = CALL_TIMEOUT_S
    ) -> None:
        self.store_id = store_id
        self.actor = actor
        self.deadline_s = deadline_s
        self.item_deadline_s = item_deadline_s


class _Method:
    """All that can be known of a method before it is called."""

    def __init__(self, servicer: object, method: MethodDescriptor) -> None:
        self.name = method.full_name
        self.takes_stream, self.gives_stream = method.client_streaming, method.server_streaming
        act = getattr(servicer, _snake(method.name), None)
        if act is None:
            name = _snake(method.name)
            raise TypeError(f"{self.name} needs a method {name} of {type(servicer).__name__}")
        self.act: Callable[[Any, Call], Any] = act
        options = method.GetOptions()
        self.role = _ROLES[options.Extensions[options_pb2.role]]
        self.may_change = options.idempotency_level != MethodOptions.NO_SIDE_EFFECTS
        self._id_fields = () if self.takes_stream else _id_fields(method.input_type)
        self.violations = validator(method.input_type)
        self._parse: Callable[[bytes], Message] = GetMessageClass(method.input_type).FromString
        self._unreadable = Violation("", f"the request is no valid {method.input_type.full_name}")

    def ids(self, request: Any) -> list[tuple[str, str]]:
        """Return what a request's own fields name, for the audit log; of a stream nothing."""
        if request is None:
            return []
        # A request that was refused may name anything.
        return [(name, value[:128]) for name in self._id_fields if (value := getattr(request, name))]

    def parse(self, data: bytes) -> Message:
        try:
            return self._parse(data)
        except DecodeError:
            raise InvalidFields([self._unreadable]) from None

    async def requests(self, stream: AsyncIterator[bytes]) -> AsyncIterator[Message]:
        """Yield a caller's messages, each valid. Raises: InvalidFields, with paths within the message."""
        async for data in stream:
            request = self.parse(data)
            if broken := self.violations(request):
                raise InvalidFields(broken)
            yield request


class Edge:
    """The door of one server; it counts the calls inside.

    Args:
        call_timeout_s: what a call gets that names no deadline, > 0.
        write_timeout_s: how long a stream's caller may take to make room for a message; then the answer is
            OVERLOADED.
        calls_max: calls inside at once.
        store_calls_max: those of one store among them where it is alone; 1..calls_max. See engine/room.py.
        streams_max: calls among them whose caller sends a stream.
        unread: calls whose request has not come yet; they are not inside.
        guard: tells callers apart; None: everybody may all, in every store.
    """

    def __init__(
        self,
        *,
        call_timeout_s: float = CALL_TIMEOUT_S,
        write_timeout_s: float = WRITE_TIMEOUT_S,
        calls_max: int = CALLS_MAX,
        store_calls_max: int = STORE_CALLS_MAX,
        streams_max: int = STREAMS_MAX,
        unread: Unread | None = None,
        guard: Guard | None = None,
    ) -> None:
        self.guard = guard
        self.call_timeout_s = call_timeout_s
        self.write_timeout_s = write_timeout_s
        self.calls_max = calls_max
        self.store_calls_max = min(store_calls_max, calls_max)
        self.streams_max = streams_max
        self.calls_inside = 0
        self.streams_inside = 0
        self._unread = Unread() if unread is None else unread
        self._inside_by_store: dict[str, int] = {}
        self._unary_inside = 0
        self._is_draining = False
        self._emptied = asyncio.Event()
        self._last_answered_s = -math.inf

    async def drain(self, grace_s: float) -> None:
        """Refuse what comes, and wait for the unary calls inside, `grace_s` seconds at most.

        The server's own stop would end calls that it has taken in and not begun as CANCELLED, which says
        nothing; what is refused here is OVERLOADED, and may be sent again, elsewhere. Whoever was just
        answered may ask again at once, so it then waits until nobody has called for QUIET_S, at most for
        SETTLE_S_MAX: some will call again for ever.
        """
        self._is_draining = True
        now_s = time.monotonic
        until_s = now_s() + grace_s
        self._emptied.clear()
        if self._unary_inside:
            with suppress(TimeoutError):
                async with asyncio.timeout(grace_s):
                    await self._emptied.wait()
        until_s = min(until_s, now_s() + SETTLE_S_MAX)
        # No event tells that nothing has happened.
        while (wait_s := min(self._last_answered_s + QUIET_S, until_s) - now_s()) > 0:  # noqa: ASYNC110
            await asyncio.sleep(wait_s)

    def _enter(self, store_id: str) -> str:
        """Take a place of a store's, to be left again. Raises: Overloaded."""
        inside = self._inside_by_store.get(store_id, 0)
        # The call itself is counted among those inside.
        if not has_room(
            inside, self.calls_inside - 1, own_max=self.store_calls_max, together_max=self.calls_max
        ):
            raise Overloaded
        self._inside_by_store[store_id] = inside + 1
        return store_id

    def _leave(self, store_id: str | None) -> None:
        if store_id is None:
            return
        self._inside_by_store[store_id] -= 1
        if not self._inside_by_store[store_id]:
            del self._inside_by_store[store_id]

    def add_service(self, server: grpc.aio.Server, servicer: object, descriptor: ServiceDescriptor) -> None:
        """Let every method of a service be called.

        Args:
            servicer: has `async def reserve_stock(self, request, call: Call) -> response` for ReserveStock,
                and so on. Where the caller streams, `request` is an async iterator of them; where the answer
                streams, the method is an async generator of responses.
        Raises: TypeError for a method that the servicer lacks, or whose rules cannot be.
        """
        handlers = {method.name: self._handler(_Method(servicer, method)) for method in descriptor.methods}
        generic = grpc.method_handlers_generic_handler(descriptor.full_name, handlers)
        server.add_generic_rpc_handlers((generic,))

    def _handler(self, method: _Method) -> grpc.RpcMethodHandler[bytes, bytes]:
        handle: Any
        if not method.takes_stream and not method.gives_stream:
            handle = self._unary(method)
        else:
            handle = self._streaming(method)
        if not method.takes_stream:
            handle = self._unread.reading(handle)
        if not method.gives_stream:
            return grpc.stream_unary_rpc_method_handler(handle)
        return grpc.stream_stream_rpc_method_handler(handle)

    def _unary(self, method: _Method) -> Callable[[bytes, Any], Awaitable[bytes]]:
        parse, violations, act = method.parse, method.violations, method.act

        async def handle(data: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            timeout = entered = caller = request = None
            outcome = CANCELLED
            self.calls_inside += 1
            self._unary_inside += 1
            try:
                if self.calls_inside > self.calls_max or self._is_draining:
                    raise Overloaded
                named = named_in(context.invocation_metadata())
                if self.guard is not None:
                    caller = self.guard.admit(method.name, method.role, named.authorization, context)
                request = parse(data)
                if broken := named.broken + violations(request):
                    raise InvalidFields(broken)
                store_id, actor = _place(named, caller)
                entered = self._enter(store_id)
                remaining_s = context.time_remaining()
                deadline_s = self.call_timeout_s if remaining_s is None else _left_s(remaining_s)
                call = Call(store_id, min(deadline_s, CALL_TIMEOUT_S_MAX), actor)
                # The engine keeps the deadline too and knows more; this is for whatever does not.
                async with asyncio.timeout(call.deadline_s) as timeout:
                    response = await act(request, call)
                answer: bytes = response.SerializeToString()
                outcome = OK
                return answer
            except Exception as error:
                refusal, outcome = _refusal(method.name, error, timeout)
            finally:
                self._leave(entered)
                if caller is not None:
                    self._let_out(method, caller, named, request, outcome)
                self.calls_inside -= 1
                self._unary_inside -= 1
                self._last_answered_s = time.monotonic()
                if not self._unary_inside:
                    self._emptied.set()
            # A CancelledError went by: the caller is gone, or the server stops; grpc answers CANCELLED.
            return await context.abort(*refusal)

        return handle

    def _streaming(self, method: _Method) -> Callable[[Any, Any], Awaitable[bytes | None]]:
        """The same for a method with a stream on either side, or on both."""

        async def answer(given: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes | None:
            timeout = entered = caller = request = ending = None
            outcome = CANCELLED
            try:
                if self.calls_inside > self.calls_max or self._is_draining:
                    raise Overloaded
                if method.takes_stream and self.streams_inside > self.streams_max:
                    raise Overloaded
                named = named_in(context.invocation_metadata())
                if self.guard is not None:
                    caller = self.guard.admit(method.name, method.role, named.authorization, context)
                request = method.requests(given) if method.takes_stream else method.parse(given)
                broken = named.broken + ([] if method.takes_stream else method.violations(request))
                if broken:
                    raise InvalidFields(broken)
                store_id, actor = _place(named, caller)
                entered = self._enter(store_id)
                remaining_s = context.time_remaining()
                deadline_s = math.inf if remaining_s is None else _left_s(remaining_s)
                call = Call(store_id, deadline_s, actor, min(deadline_s, self.call_timeout_s))
                async with asyncio.timeout(None if remaining_s is None else deadline_s) as timeout:
                    if caller is not None:
                        ending = partial(_end, timeout)
                        caller.endings.add(ending)
                    if not method.gives_stream:
                        answer: bytes = (await method.act(request, call)).SerializeToString()
                        outcome = OK
                        return answer
                    # Closed here and now, so that what it holds is let go when the caller goes away.
                    async with aclosing(method.act(request, call)) as responses:
                        async for response in responses:
                            await self._write(context, response)
                    outcome = OK
                    return None
            except Exception as error:
                if caller is not None and caller.is_ended and isinstance(error, TimeoutError):
                    error = Unauthenticated()
                refusal, outcome = _refusal(method.name, error, timeout)
            finally:
                self._leave(entered)
                if caller is not None:
                    caller.endings.discard(ending)
                    self._let_out(method, caller, named, request, outcome)
            return await context.abort(*refusal)

        async def handle(given: Any, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes | None:
            self.calls_inside += 1
            self.streams_inside += method.takes_stream
            try:
                return await answer(given, context)
            finally:
                # Where the caller reads nothing, gRPC keeps a message of the answer for as long as there is
                # a connection, and not even the refusal gets past it: the call is inside for as long.
                self.calls_inside -= 1
                self.streams_inside -= method.takes_stream

        return handle

    async def let_in(self, method: str, needed: Role, context: Any) -> None:
        """Let a call of a service beside ours in, or end it."""
        if self.guard is None:
            return
        try:
            authorization = named_in(context.invocation_metadata()).authorization
            self.guard.admit(method, needed, authorization, context).leave()
        except Exception as error:
            refusal, _ = _refusal(method, error, None)
            await context.abort(*refusal)

    def _let_out(self, method: _Method, caller: Caller, named: Named, request: Any, outcome: str) -> None:
        caller.leave()
        if method.may_change and self.guard is not None:
            self.guard.audit.call(
                method.name,
                caller.credential,
                named.store_id or "",
                named.actor,
                method.ids(request),
                outcome,
            )

    async def _write(self, context: grpc.aio.ServicerContext[bytes, bytes], response: Message) -> None:
        """Hand a message on as soon as flow control lets it. Raises: Overloaded."""
        try:
            async with asyncio.timeout(self.write_timeout_s):
                await context.write(response.SerializeToString())
        except TimeoutError as error:
            raise Overloaded from error


def _left_s(remaining_s: float) -> float:
    if remaining_s <= 0:
        raise DeadlinePassed
    return remaining_s


def _place(named: Named, caller: Caller | None) -> tuple[str, str]:
    """Return the store and the actor of a call. Raises: StoreRequired, StoreNotFound."""
    if caller is None:
        return named.store_id or DEFAULT_STORE, named.actor
    return caller.credential.store(named.store_id), caller.credential.name


def _end(timeout: asyncio.Timeout) -> None:
    """End a stream now, as its deadline would."""
    with suppress(RuntimeError):  # it ends already
        timeout.reschedule(asyncio.get_running_loop().time())


def _id_fields(message: Descriptor) -> tuple[str, ...]:
    return tuple(
        field.name
        for field in message.fields
        if field.type == FieldDescriptor.TYPE_STRING and not field.is_repeated and field.name.endswith("_id")
    )


def _refusal(method: str, error: Exception, timeout: asyncio.Timeout | None) -> tuple[status.Refusal, str]:
    """Return what a caller is told of an exception, and its name in the audit log.

    One that nobody foresaw is logged under an id.
    """
    if timeout is not None and timeout.expired() and isinstance(error, TimeoutError):
        error = DeadlinePassed()
    return status.refusal(error) or status.internal(log_defect(method, error)), status.reason_name(error)


def log_defect(method: str, error: BaseException) -> str:
    """Log what nobody foresaw; return the id that it stands under, which is all that a caller is told."""
    error_id = secrets.token_hex(8)
    _log.error("call_failed", method=method, error_id=error_id, exc_info=error)
    return error_id


def _snake(name: str) -> str:
    """ReserveStock -> reserve_stock."""
    return re.sub(r"(?<=.)(?=[A-Z])", "_", name).lower()
