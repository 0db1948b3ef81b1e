"""The life of a stock record: made, updated, deleted, and made again on top of its tombstone."""

from __future__ import annotations

import pytest

from inventory_server.domain import stock
from inventory_server.domain.commands import (
    CreateStock,
    CreateStockTransaction,
    DeleteStock,
    ReserveStock,
    UpdateStock,
)
from inventory_server.domain.errors import (
    EtagMismatch,
    InsufficientStock,
    Shortage,
    StockExists,
    StockInUse,
    StockNotFound,
)
from inventory_server.domain.location import Location
from inventory_server.domain.order import CartItem
from inventory_server.domain.reservation import Line
from inventory_server.domain.state import StockView
from inventory_server.domain.stock import Action, StockLevel
from support.world import World, begin

PLACES = (Location("default"), Location("far"), Location("unused"))


def world() -> World:
    """5 of `a` at `default`, 2 at `far`."""
    made = World(PLACES)
    made.do(CreateStock("a", 5))
    made.do(CreateStockTransaction("a", Action.INCREMENT, 2, "far"))
    return made


def view(made: World) -> StockView:
    found = made.state().stock_view("a")
    assert found is not None
    return found


def test_delete_writes_every_level_off() -> None:
    """An entry for each level that was opened says what was there; nothing is left."""
    made = world()
    made.do(DeleteStock("a"))
    assert [(e.location, e.action, e.quantity, e.level) for e in made.log[-2:]] == [
        ("default", Action.DELETE, 5, StockLevel(0, 0, 0, 2)),
        ("far", Action.DELETE, 2, StockLevel(0, 0, 0, 2)),
    ]
    assert made.state().stock_view("a") is None
    made.check()


def test_a_deleted_product_is_unmanaged() -> None:
    """Every call on it is STOCK_NOT_FOUND; whoever wants units is short, managed = false."""
    made = world()
    made.do(DeleteStock("a"))
    for command in (
        CreateStockTransaction("a", Action.SET, 0),
        CreateStockTransaction("a", Action.INCREMENT, 1, "far"),
        UpdateStock("a", True, 1),
        DeleteStock("a"),
    ):
        with pytest.raises(StockNotFound):
            made.do(command)
    with pytest.raises(InsufficientStock) as short:
        made.do(ReserveStock("r", (Line("a", 1),)))
    assert short.value.shortages == (Shortage("a", None, 1, 0, managed=False),)


def test_made_again_the_versions_go_on() -> None:
    """CREATE is the next entry of the level's log; the record is a new one, its other levels stay empty."""
    made = world()
    made.do(UpdateStock("a", True, 3))
    made.do(DeleteStock("a"))
    made.wait(60)
    again = made.do(CreateStock("a", 4, "far"))
    assert again == StockView("a", 4, 0, made.now, made.now)
    assert (made.level("a"), made.level("a", "far")) == (StockLevel(0, 0, 0, 2), StockLevel(4, 0, 0, 3))
    with pytest.raises(StockExists):
        made.do(CreateStock("a", 1))
    made.do(CreateStockTransaction("a", Action.SET, 1))
    assert made.level("a") == StockLevel(1, 0, 0, 3)
    made.do(DeleteStock("a"))
    assert made.level("a", "far").version == 4
    made.check()


def test_made_and_deleted_in_one_batch() -> None:
    """A batch's commands see what those before them left: one life after the other."""
    made = World(PLACES)
    verdicts = made.batch(
        CreateStock("a", 5), DeleteStock("a"), CreateStock("a", 2), CreateStock("a", 1), DeleteStock("a")
    )
    assert [type(verdict) for verdict in verdicts[1:4]] == [type(None), StockView, StockExists]
    assert [e.action for e in made.log] == [Action.CREATE, Action.DELETE] * 2
    assert made.level("a").version == 4
    made.check()


@pytest.mark.parametrize("by", ["hold", "hand", "order"])
def test_a_record_in_use_stays(by: str) -> None:
    """Units held by a reservation or an order, or allocated by hand, at any location: STOCK_IN_USE."""
    made = world()
    if by == "hold":
        made.hold("r", Line("a", 2, "far"))
    elif by == "hand":
        made.do(CreateStockTransaction("a", Action.ALLOCATE, 2, "far"))
    else:
        made.order("o", CartItem("a", 2, 1, "far"))
        made.do(begin("o", "p", 2))
    with pytest.raises(StockInUse) as refused:
        made.do(DeleteStock("a"))
    assert (refused.value.product_id, refused.value.allocated) == ("a", 2)
    made.check()


def test_an_etag_is_of_all_that_is_shown() -> None:
    """It changes with the numbers, the threshold and the times; the same content has the same etag."""
    made = world()
    seen = [view(made).etag]
    assert view(made).etag == seen[0]
    for command in (
        CreateStockTransaction("a", Action.ALLOCATE, 1, "far"),
        UpdateStock("a", True, 3),
        UpdateStock("a", True, None),
    ):
        made.wait(1)
        made.do(command)
        seen.append(view(made).etag)
    assert len(set(seen)) == 4
    for command in (UpdateStock("a", True, 9, seen[0]), DeleteStock("a", seen[0])):
        with pytest.raises(EtagMismatch) as refused:
            made.do(command)
        assert (refused.value.field, refused.value.current) == ("etag", seen[-1])
    assert made.do(UpdateStock("a", True, 9, seen[-1])).low_stock_threshold == 9


def test_an_update_changes_what_it_names() -> None:
    """A threshold is set, left alone, or taken away; set to what it is, nothing is written."""
    made = world()
    assert made.do(UpdateStock("a", True, 3)).low_stock_threshold == 3
    made.wait(1)
    before = made.snapshot()
    assert made.do(UpdateStock("a", False, None)).low_stock_threshold == 3
    assert made.do(UpdateStock("a", True, 3)).low_stock_threshold == 3
    assert made.snapshot() == before
    assert made.do(UpdateStock("a", True, None)).low_stock_threshold is None


@pytest.mark.parametrize(
    ("threshold", "is_below"), [(None, False), (0, False), (6, False), (7, False), (8, True)]
)
def test_below_the_threshold(threshold: int | None, is_below: bool) -> None:
    """Fewer units available than the threshold, over all locations; as many are not below it."""
    made = world()
    made.do(UpdateStock("a", True, threshold))
    assert view(made).is_below_threshold is is_below


def test_what_is_allocated_is_never_written_off() -> None:
    """A record in use that is deleted is a defect, not a refusal."""
    with pytest.raises(AssertionError):
        stock.write_off(StockLevel(5, 1, 0, 3))
