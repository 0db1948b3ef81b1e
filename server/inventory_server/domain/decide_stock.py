"""Stock records and the actions by hand."""

from __future__ import annotations

from collections.abc import Callable

from inventory_server.domain import stock
from inventory_server.domain.commands import (
    CreateStock,
    CreateStockTransaction,
    DeleteStock,
    UpdateStock,
)
from inventory_server.domain.errors import (
    EtagMismatch,
    InsufficientStock,
    InvalidValue,
    LocationDisabled,
    Shortage,
    StockExists,
    StockInUse,
    StockNotFound,
    TotalBelowAllocated,
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
    """Make a record; over a tombstone its levels' versions go on."""
    state.need_location(command.location)
    if state.managed(command.product_id) is not None:
        raise StockExists(command.product_id)
    made = Stock(command.product_id, state.now, state.now, command.low_stock_threshold)
    state.stocks.put(command.product_id, made)
    level = stock.increment(state.level(command.product_id, command.location), command.quantity)
    state.write_level(
        command.product_id, command.location, Action.CREATE, command.quantity, level, request_id=request_id
    )
    return need_view(state, command.product_id)


def update_stock(state: State, command: UpdateStock, _request_id: str | None) -> StockView:
    record, view = _as_read(state, command.product_id, command.etag)
    threshold = command.low_stock_threshold
    if not command.set_low_stock_threshold or threshold == record.low_stock_threshold:
        return view
    state.stocks.put(command.product_id, record._replace(low_stock_threshold=threshold, updated_at=state.now))
    return need_view(state, command.product_id)


def delete_stock(state: State, command: DeleteStock, request_id: str | None) -> None:
    """End a record of which nothing is allocated. The engine has had its due holds expired before."""
    record, view = _as_read(state, command.product_id, command.etag)
    if view.allocated:
        raise StockInUse(command.product_id, view.allocated)
    for slug, level in state.opened_levels(command.product_id):
        state.write_level(
            command.product_id, slug, Action.DELETE, level.available, stock.write_off(level),
            request_id=request_id,
        )  # fmt: skip
    state.stocks.put(command.product_id, record._replace(deleted_at=state.now, updated_at=state.now))


def need_view(state: State, product_id: str) -> StockView:
    """Return a product's stock. Raises: StockNotFound."""
    view = state.stock_view(product_id)
    if view is None:
        raise StockNotFound(product_id)
    return view


def _as_read(state: State, product_id: str, etag: str | None) -> tuple[Stock, StockView]:
    """Return a record and what it shows. Raises: StockNotFound; EtagMismatch if another was read."""
    view = need_view(state, product_id)
    if etag not in (None, view.etag):
        raise EtagMismatch("etag", view.etag)
    record = state.stocks.get(product_id)
    assert record is not None
    return record, view


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
    except stock.BelowAllocated:
        raise TotalBelowAllocated(command.product_id, command.quantity, level.allocated) from None
    entry = state.write_level(
        command.product_id, command.location, command.action, command.quantity, after,
        reason=command.reason, reference=command.reference, request_id=request_id,
    )  # fmt: skip
    return LogRecord(entry, state.now)
