"""Calls that a request_id makes repeatable: the stored answer again, marked `replayed`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol, Self, TypeVar

from inventory_server.domain.commands import Command
from inventory_server.domain.decide import Replay
from inventory_server.rpc.edge import Call
from inventory_server.rpc.ports import Engine


class Repeatable(Protocol):
    """A response that says whether it is an earlier call's."""

    replayed: bool

    def SerializeToString(self) -> bytes: ...  # noqa: N802 - protobuf's name

    @classmethod
    def FromString(cls, s: bytes) -> Self: ...  # noqa: N802 - protobuf's name


R = TypeVar("R", bound=Repeatable)


async def change_once(
    engine: Engine,
    call: Call,
    command: Command,
    request_id: str,
    response: type[R],
    build: Callable[[Any], R],
) -> R:
    """Have a command decided, unless its request_id was answered before.

    Args:
        command: decoded; what is compared where the request_id comes again.
        request_id: the caller's, valid.
        response: the message that `build` makes.
        build: turns the verdict into it. Pure: it runs inside the batch too, since the answer is stored in
            the transaction that makes it true.
    Returns: the answer; the one stored, with `replayed`, where this request_id made the change before.
    Raises: what Engine.change raises; IdReused first.
    """
    verdict = await engine.change(
        call.store_id,
        command,
        deadline_s=call.deadline_s,
        request_id=request_id,
        encode=lambda decided: build(decided).SerializeToString(),
        actor=call.actor,
    )
    if not isinstance(verdict, Replay):
        return build(verdict)
    stored = response.FromString(verdict.response)
    stored.replayed = not verdict.is_own
    return stored
