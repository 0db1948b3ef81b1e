"""The rows of "Interleavings" that imports are part of, each test named after its row.

`together` makes each order of arrival, and a conflict: an import's rows are a command of a batch like others.
"""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from support.imports import errors, exported, imported, messages, row, wait_for_import
from support.interleavings import Together
from support.shop import StagedShop, word


def before_or_behind(
    staged: StagedShop, together: Together, first: str, move: Any, request: Any, *rows: v1.StockRow
) -> Any:
    """Send a call before an import's rows are applied, or, `first` being "import", behind them; return it."""
    if first == "import":
        with together.behind_an_import(*rows):
            call = move.future(request)
    else:
        with together():
            call = move.future(request)
            staged.settle_in()
            uploading = staged.inventory.ImportStock.future(messages(rows))
        uploading.result()
    wait_for_import(staged)
    return call


# --- import below allocated ------------------------------------------------------------------------


@pytest.mark.parametrize(("total", "is_applied"), [(2, False), (3, True), (4, True)])
def test_import_below_allocated(staged: StagedShop, total: int, is_applied: bool) -> None:
    """The row is refused, and the rest applied; equal is fine, available 0."""
    staged.stock("a", 5)
    staged.reserve("r", ("a", 3))
    imported(staged, row("a", total), row("b", 1))
    assert errors(staged) == ([] if is_applied else [(1, "levels[0].total", "TOTAL_BELOW_ALLOCATED")])
    assert staged.numbers("a") == ((total, total - 3, 3) if is_applied else (5, 2, 3))
    assert staged.numbers("b") == (1, 1, 0)


@pytest.mark.parametrize("first", ["hold", "import"])
def test_import_below_allocated_x_hold(staged: StagedShop, together: Together, first: str) -> None:
    """The hold first: the row is refused. The import first: the hold is short of it."""
    staged.stock("a", 5)
    held = before_or_behind(
        staged,
        together,
        first,
        staged.inventory.ReserveStock,
        staged.reserve_request("r", ("a", 3)),
        row("a", 1),
        row("b", 7),
    )
    assert staged.reason_of(held) == ("OK" if first == "hold" else "INSUFFICIENT_STOCK")
    below = [(1, "levels[0].total", "TOTAL_BELOW_ALLOCATED")]
    assert errors(staged) == (below if first == "hold" else [])
    assert staged.numbers("a") == ((5, 2, 3) if first == "hold" else (1, 1, 0))
    assert staged.numbers("b") == (7, 7, 0)


@pytest.mark.parametrize("first", ["pay", "import"])
def test_import_below_allocated_x_pay(staged: StagedShop, together: Together, first: str) -> None:
    """A paid order keeps its units, whatever an import counts; counted first, the payment is refused."""
    staged.stock("a", 5)
    staged.order("o", ("a", 2))
    pay = staged.pay_request("o", "p", 200)
    call = before_or_behind(staged, together, first, staged.checkout.PayOrder, pay, row("a", 1))
    if first == "import":
        assert staged.reason_of(call) == "INSUFFICIENT_STOCK"
        assert (staged.numbers("a"), staged.purchases) == ((1, 1, 0), [])
        return
    staged.at_gateway().accept()
    assert word(call.result().payment) == "CAPTURED"
    assert errors(staged) == [(1, "levels[0].total", "TOTAL_BELOW_ALLOCATED")]
    imported(staged, row("a", 2), import_id="j")
    assert staged.numbers("a") == (2, 0, 2)
    staged.ship("o", "h")
    assert staged.numbers("a") == (0, 0, 0)


# --- DeleteLocation x import row -------------------------------------------------------------------


@pytest.mark.parametrize("first", ["delete", "import"])
def test_delete_location_x_import_row(staged: StagedShop, together: Together, first: str) -> None:
    """Gone when the row is applied: the row's error. The import first: what it put there keeps it."""
    staged.location("north")
    staged.stock("a", 1)
    delete = v1.DeleteLocationRequest(slug="north")
    rows = row("a", ("north", 1)), row("b", 2)
    call = before_or_behind(staged, together, first, staged.inventory.DeleteLocation, delete, *rows)
    assert staged.reason_of(call) == ("OK" if first == "delete" else "LOCATION_NOT_EMPTY")
    gone = [(1, "levels[0].location", "LOCATION_NOT_FOUND")]
    assert errors(staged) == (gone if first == "delete" else [])
    assert staged.numbers("a") == ((1, 1, 0) if first == "delete" else (2, 2, 0))
    assert staged.numbers("b") == (2, 2, 0)


def test_delete_location_x_import_row_of_nothing(staged: StagedShop) -> None:
    """A total of 0 keeps no location; an export leaves one that is gone out."""
    staged.location("north")
    imported(staged, row("a", ("north", 0), ("default", 3)), row("b", ("north", 0)))
    assert errors(staged) == []
    assert exported(staged) == [row("a", 3, ("north", 0)), row("b", ("north", 0))]
    staged.delete_location("north")
    assert exported(staged) == [row("a", 3), row("b", 0)]
