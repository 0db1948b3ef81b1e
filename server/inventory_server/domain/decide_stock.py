"""Stock records and the actions by hand."""

from __future__ import annotations

from collections.abc import Callable

from inventory_server.domain import stock
from inventory_server.domain.commands import CreateStock, CreateStockTransaction
from inventory_server.domain.errors import (
    EtagMismatch,
    InsufficientStock,
    InvalidValue,
    LocationDisabled,
    Shortage,
    StockExists,
    StockNotFound,
)
from inventory_server.domain.state import State, StockView
from inventory_server.domain.stock import Action, LogRecord, Stock, StockLevel

_BY_HAND: dict[Action, Callable[[StockLevel, int], StockLevel]] = {
    Action.INCREMENT: stock.increment,
    Action.DECREMENT: stock.decrement,
    Action.ALLOCATE: stock.allocate,
    Action.DEALLOCATE: stock.deallocate,
    Action.SET: stock.set_total,
}


def create_stock(state: State, command: CreateStock, request_id: str | None) -> StockView:
    state.need_location(command.location)
    if state.managed(command.product_id) is not None:
        raise StockExists(command.product_id)
    state.stocks.put(command.product_id, Stock(command.product_id, state.now, state.now))
    level = stock.increment(StockLevel(), command.quantity)
    state.write_level(
        command.product_id, command.location, Action.CREATE, command.quantity, level, request_id=request_id
    )
    return StockView(command.product_id, level.available, level.allocated, state.now, state.now)


def create_stock_transaction(
    state: State, command: CreateStockTransaction, request_id: str | None
) -> LogRecord:
    if command.quantity == 0 and command.action is not Action.SET:
        raise InvalidValue("quantity", "must be at least 1; only SET takes 0")
    state.need_location(command.location)
    if state.managed(command.product_id) is None:
        raise StockNotFound(command.product_id)
    level = state.level(command.product_id, command.location)
    if command.expected_version not in (None, level.version):
        raise EtagMismatch("expected_version", level.version)
    if command.action is Action.ALLOCATE and not state.is_serving(command.location):
        raise LocationDisabled(command.location)
    try:
        after = _BY_HAND[command.action](level, command.quantity)
    except stock.NotEnough:
        short = Shortage(
            command.product_id, command.location, command.quantity, level.available, managed=True
        )
        raise InsufficientStock((short,)) from None
    entry = state.write_level(
        command.product_id, command.location, command.action, command.quantity, after,
        reason=command.reason, reference=command.reference, request_id=request_id,
    )  # fmt: skip
    return LogRecord(entry, state.now)
