"""Reservations in a batch or on a stream: items decoded, their verdicts encoded."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from inventory_client.v1 import reservation_calls_pb2 as pb
from inventory_server.domain.decide import Request
from inventory_server.domain.limits import ITEM_LINES_MAX
from inventory_server.rpc import answers, convert, items
from inventory_server.rpc.edge import Call
from inventory_server.rpc.rules import InvalidFields, Violation, validator

# A command, and the seconds that its verdict is waited for.
Asked = tuple[Request, float]

_violations = validator(pb.ReserveStockItem.DESCRIPTOR)


def all_of(asked: Sequence[pb.ReserveStockItem], call: Call) -> list[Asked]:
    """Decode the items of a batch. Raises: InvalidFields, where one of them breaks a rule."""
    items.need_different_ids(item.item_id for item in asked)
    _need_few_lines(asked)
    return [
        _asked(item, call, call.deadline_s, call.deadline_s, f"items[{index}].")
        for index, item in enumerate(asked)
    ]


def each_of(asked: Sequence[pb.ReserveStockItem], call: Call) -> list[Asked | InvalidFields]:
    """Decode the items of a stream's message, each by itself: what it breaks takes its place.

    Raises: InvalidFields, for one that has no name to be answered by, and for too many lines together.
    """
    items.need_ids(item.item_id for item in asked)
    _need_few_lines(asked)
    return [_asked_or_refused(item, call) for item in asked]


def _asked_or_refused(item: pb.ReserveStockItem, call: Call) -> Asked | InvalidFields:
    if broken := _violations(item):
        return InvalidFields(broken)
    try:
        return _asked(item, call, call.item_deadline_s, call.deadline_s)
    except InvalidFields as refusal:
        return refusal


def _asked(item: pb.ReserveStockItem, call: Call, unnamed_s: float, most_s: float, within: str = "") -> Asked:
    command = convert.reserve_stock(item, within)
    return Request(command, actor=call.actor), convert.item_timeout_s(item, unnamed_s, most_s, within)


def _need_few_lines(asked: Sequence[pb.ReserveStockItem]) -> None:
    if sum(len(item.lines) for item in asked) > ITEM_LINES_MAX:
        raise InvalidFields([Violation("items", f"must have at most {ITEM_LINES_MAX} lines together")])


def verdict(method: str, item_id: str, decided: Any) -> pb.ReserveStockVerdict:
    """Return what an item is told."""
    told = pb.ReserveStockVerdict()
    set_verdict(told, method, item_id, decided)
    return told


def set_verdict(told: pb.ReserveStockVerdict, method: str, item_id: str, decided: Any) -> None:
    """Fill an empty message with what an item is told: the reservation, or why there is none."""
    told.item_id = item_id
    if isinstance(decided, Exception):
        told.error.CopyFrom(items.error(method, decided))
    else:
        answers.set_reservation(told.result, decided)


def parts(verdicts: Sequence[pb.ReserveStockVerdict]) -> Iterator[list[pb.ReserveStockVerdict]]:
    """Cut verdicts into messages of ITEM_LINES_MAX lines or shortages, so that none is too large."""
    part: list[pb.ReserveStockVerdict] = []
    line_count = 0
    for each in verdicts:
        each_count = len(each.result.lines) + len(each.error.details)
        if part and line_count + each_count > ITEM_LINES_MAX:
            yield part
            part, line_count = [], 0
        part.append(each)
        line_count += each_count
    if part:
        yield part
