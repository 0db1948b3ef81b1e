"""Transfers: units go from one location to another; what is allocated never moves."""

from __future__ import annotations

from inventory_server.domain import stock
from inventory_server.domain.errors import EtagMismatch, InsufficientStock, Shortage, StockNotFound
from inventory_server.domain.location_commands import TransferStock
from inventory_server.domain.state import State
from inventory_server.domain.stock import Action, LogRecord


def transfer_stock(
    state: State, command: TransferStock, request_id: str | None
) -> tuple[LogRecord, LogRecord]:
    """Move units that nobody has allocated. A disabled location gives and takes: that allocates nothing."""
    product_id, quantity = command.product_id, command.quantity
    state.need_location(command.source)
    state.need_location(command.target)
    if state.managed(product_id) is None:
        raise StockNotFound(product_id)
    level = state.level(product_id, command.source)
    if command.expected_version not in (None, level.version):
        raise EtagMismatch("expected_version", level.version)
    try:
        after_out = stock.decrement(level, quantity)
    except stock.NotEnough:
        short = Shortage(product_id, command.source, quantity, level.available, managed=True)
        raise InsufficientStock((short,)) from None
    after_in = stock.increment(state.level(product_id, command.target), quantity)
    out, into = (
        state.write_level(
            product_id, slug, action, quantity, after,
            reason=command.reason, reference=command.reference, request_id=request_id,
        )
        for slug, action, after in (
            (command.source, Action.TRANSFER_OUT, after_out),
            (command.target, Action.TRANSFER_IN, after_in),
        )
    )  # fmt: skip
    return LogRecord(out, state.now), LogRecord(into, state.now)
