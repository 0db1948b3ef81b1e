"""InventoryService: making, reading and changing stock by hand."""

from __future__ import annotations

import pytest

from inventory_client import v1
from support.shop import Shop, word

QUANTITY_MAX = 2**43 - 1


def test_create_stock_makes_units_available(shop: Shop) -> None:
    """A new record has its quantity available, nothing allocated, and one CREATE in its log."""
    made = shop.stock("tea", 5)

    assert (made.product_id, made.total, made.available, made.allocated) == ("tea", 5, 5, 0)
    assert made.create_time == made.update_time
    assert shop.numbers("tea") == (5, 5, 0)
    (entry,) = shop.log("tea")
    assert (word(entry, "action"), entry.quantity, entry.version, entry.location) == (
        "CREATE",
        5,
        1,
        "default",
    )


@pytest.mark.parametrize("quantity", [0, QUANTITY_MAX])
def test_create_stock_takes_its_limits(shop: Shop, quantity: int) -> None:
    """A record begins with 0 to 2^43-1 units."""
    shop.stock("tea", quantity)
    assert shop.numbers("tea") == (quantity, quantity, 0)


def test_stock_of_none_is_not_no_stock(shop: Shop) -> None:
    """A product with 0 units is managed; one without a record is not there at all."""
    shop.stock("none-left", 0)
    assert shop.numbers("none-left") == (0, 0, 0)
    with shop.refused("STOCK_NOT_FOUND"):
        shop.numbers("unmanaged")


def test_create_stock_twice(shop: Shop) -> None:
    """A product has one record; making it again changes nothing."""
    shop.stock("tea", 5)
    with shop.refused("STOCK_EXISTS") as refusal:
        shop.stock("tea", 5)
    assert refusal.metadata == {"product_id": "tea"}


# (action, quantity) on available 6, allocated by hand 4; what it makes of (total, available, allocated)
HAND_ACTIONS = [
    ("INCREMENT", 3, (13, 9, 4)),
    ("INCREMENT", QUANTITY_MAX - 10, (QUANTITY_MAX, QUANTITY_MAX - 4, 4)),
    ("DECREMENT", 2, (8, 4, 4)),
    ("DECREMENT", 6, (4, 0, 4)),
    ("ALLOCATE", 2, (10, 4, 6)),
    ("ALLOCATE", 6, (10, 0, 10)),
    ("DEALLOCATE", 1, (10, 7, 3)),
    ("DEALLOCATE", 4, (10, 10, 0)),
    ("SET", 25, (25, 21, 4)),
    ("SET", 10, (10, 6, 4)),
    ("SET", 4, (4, 0, 4)),
    ("SET", QUANTITY_MAX, (QUANTITY_MAX, QUANTITY_MAX - 4, 4)),
]


@pytest.mark.parametrize(("action", "quantity", "after"), HAND_ACTIONS)
def test_a_hand_action_moves_what_it_says(
    shop: Shop, action: str, quantity: int, after: tuple[int, int, int]
) -> None:
    """Each hand action has the effect of its row in the stock table, up to its limit, and says so."""
    shop.stock("tea", 10)
    shop.change("tea", "ALLOCATE", 4)

    entry = shop.change("tea", action, quantity, reason="a count", reference="po-7")

    assert shop.numbers("tea") == after
    assert (entry.available_after, entry.allocated_after) == after[1:]
    assert (word(entry, "action"), entry.quantity, entry.version) == (action, quantity, 3)
    assert (entry.reason, entry.reference, entry.reservation_id) == ("a count", "po-7", "")
    assert shop.log("tea")[-1] == entry


# one past the limit of each
REFUSED_ACTIONS = [
    ("INCREMENT", QUANTITY_MAX - 9, "QUANTITY_OVERFLOW"),
    ("DECREMENT", 7, "INSUFFICIENT_STOCK"),
    ("ALLOCATE", 7, "INSUFFICIENT_STOCK"),
    ("DEALLOCATE", 5, "HAND_ALLOCATION_TOO_SMALL"),
    ("SET", 3, "TOTAL_BELOW_ALLOCATED"),
]


@pytest.mark.parametrize(("action", "quantity", "reason"), REFUSED_ACTIONS)
def test_a_hand_action_past_its_limit(shop: Shop, action: str, quantity: int, reason: str) -> None:
    """One unit past what an action needs is refused, and nothing is written."""
    shop.stock("tea", 10)
    shop.change("tea", "ALLOCATE", 4)
    with shop.refused(reason):
        shop.change("tea", action, quantity)


def test_a_set_that_changes_nothing_is_logged(shop: Shop) -> None:
    """Counting the stock is an entry of the log even where the count was right."""
    shop.stock("tea", 5)
    shop.change("tea", "SET", 5)
    assert shop.actions("tea") == [("SET", 5)]


def test_deallocate_does_not_reach_held_units(shop: Shop) -> None:
    """Units held by a reservation are not there to be deallocated by hand."""
    shop.stock("tea", 10)
    shop.change("tea", "ALLOCATE", 2)
    shop.reserve("r", ("tea", 3))
    with shop.refused("HAND_ALLOCATION_TOO_SMALL") as refusal:
        shop.change("tea", "DEALLOCATE", 3)
    assert refusal.metadata == {"requested": "3", "hand_allocated": "2"}

    assert shop.change("tea", "DEALLOCATE", 2).hand_allocated_after == 0
    assert shop.numbers("tea") == (10, 7, 3)


@pytest.mark.parametrize("action", ["UNSPECIFIED", "CREATE", "RESERVE", "RELEASE", "EXPIRE", "FULFILL"])
def test_only_hand_actions_are_made_by_hand(shop: Shop, action: str) -> None:
    """What reservations log cannot be written by hand."""
    shop.stock("tea", 5)
    with shop.refused("INVALID_FIELD") as refusal:
        shop.change("tea", action, 1)
    assert refusal.fields == ["action"]


def test_an_action_that_nobody_knows(shop: Shop) -> None:
    """An enum's number that this server does not know is refused, not ignored."""
    shop.stock("tea", 5)
    request = v1.CreateStockTransactionRequest(product_id="tea", quantity=1)
    request.action = 99  # type: ignore[assignment]
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.CreateStockTransaction(request)
    assert refusal.fields == ["action"]


@pytest.mark.parametrize("action", ["INCREMENT", "DECREMENT", "ALLOCATE", "DEALLOCATE"])
def test_only_set_takes_0(shop: Shop, action: str) -> None:
    """A move of 0 units is a mistake."""
    shop.stock("tea", 5)
    with shop.refused("INVALID_FIELD") as refusal:
        shop.change("tea", action, 0)
    assert refusal.fields == ["quantity"]


def test_set_to_0_empties_a_level(shop: Shop) -> None:
    """SET takes 0; an absent quantity is not 0."""
    shop.stock("tea", 5)
    shop.change("tea", "SET", 0)
    assert shop.numbers("tea") == (0, 0, 0)
    request = shop.change_request("tea", "SET", 0)
    request.ClearField("quantity")
    with shop.refused("INVALID_FIELD") as refusal:
        shop.inventory.CreateStockTransaction(request)
    assert refusal.fields == ["quantity"]


@pytest.mark.parametrize(("field", "bytes_max"), [("reason", 512), ("reference", 128)])
def test_the_length_of_notes(shop: Shop, field: str, bytes_max: int) -> None:
    """Notes are bounded in bytes, not characters, and kept as they are."""
    shop.stock("tea", 5)
    note = "\u00e9" * (bytes_max // 2)
    assert getattr(shop.change("tea", "INCREMENT", 1, **{field: note}), field) == note
    with shop.refused("INVALID_FIELD") as refusal:
        shop.change("tea", "INCREMENT", 1, **{field: note + "."})
    assert refusal.fields == [field]


def test_batch_get_stock_answers_in_the_order_asked(shop: Shop) -> None:
    """What is there and what is missing come apart, each once, in the order asked for."""
    shop.stocks(a=1, b=2)
    asked = ["b", "ghost-2", "a", "b", "ghost-1", "ghost-2"]
    answer = shop.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=asked))
    assert [(stock.product_id, stock.total) for stock in answer.stocks] == [("b", 2), ("a", 1)]
    assert list(answer.missing_product_ids) == ["ghost-2", "ghost-1"]


def test_batch_get_stock_of_many(shop: Shop) -> None:
    """1,000 products are answered, 1,001 and none are refused."""
    many = [f"p-{number}" for number in range(1001)]
    answer = shop.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=many[:1000]))
    assert list(answer.missing_product_ids) == many[:1000]
    for wrong in (many, []):
        with shop.refused("INVALID_FIELD") as refusal:
            shop.inventory.BatchGetStock(v1.BatchGetStockRequest(product_ids=wrong))
        assert refusal.fields == ["product_ids"]


def test_stock_says_when_it_last_changed(shop: Shop) -> None:
    """update_time moves with every change of the level, create_time never."""
    made = shop.stock("tea", 5)
    entry = shop.change("tea", "INCREMENT", 1)
    seen = shop.inventory.GetStock(v1.GetStockRequest(product_id="tea")).stock
    assert seen.create_time == made.create_time
    assert seen.update_time == entry.create_time
    assert seen.update_time.ToNanoseconds() > made.update_time.ToNanoseconds()


def test_get_stock_transaction_finds_one_entry(shop: Shop) -> None:
    """An entry is found by product, location and version; the location not named is `default`."""
    shop.stock("tea", 5)
    written = shop.change("tea", "DECREMENT", 2)
    for location in ("", "default"):
        request = v1.GetStockTransactionRequest(product_id="tea", location=location, version=2)
        assert shop.inventory.GetStockTransaction(request).stock_transaction == written


@pytest.mark.parametrize(
    ("product_id", "location", "version"),
    [("tea", "", 2), ("tea", "elsewhere", 1), ("ghost", "", 1), ("tea", "", 2**63 - 1)],
)
def test_get_stock_transaction_of_none(shop: Shop, product_id: str, location: str, version: int) -> None:
    """No entry under these three keys: it says so, whichever of them is wrong."""
    shop.stock("tea", 5)
    with shop.refused("STOCK_TRANSACTION_NOT_FOUND"):
        shop.inventory.GetStockTransaction(
            v1.GetStockTransactionRequest(product_id=product_id, location=location, version=version)
        )


def test_the_log_tells_who_moved_the_units(shop: Shop) -> None:
    """Entries of a reservation name it and its order; versions have no gap; hand and held stay apart."""
    shop.stock("tea", 10)
    shop.change("tea", "ALLOCATE", 2)
    shop.reserve("r", ("tea", 3), order_id="o-1")
    shop.fulfill("r")

    entries = shop.log("tea")
    assert [entry.version for entry in entries] == [1, 2, 3, 4]
    assert [
        (word(e, "action"), e.available_after, e.allocated_after, e.hand_allocated_after) for e in entries
    ] == [("CREATE", 10, 0, 0), ("ALLOCATE", 8, 2, 2), ("RESERVE", 5, 5, 2), ("FULFILL", 5, 2, 2)]
    assert [(e.reservation_id, e.order_id) for e in entries] == [
        ("", ""),
        ("", ""),
        ("r", "o-1"),
        ("r", "o-1"),
    ]


@pytest.mark.parametrize("call", ["CreateStock", "CreateStockTransaction"])
def test_a_location_that_is_not_there(shop: Shop, call: str) -> None:
    """Stock by hand goes to a location that exists."""
    shop.stock("tea", 5)
    with shop.refused("LOCATION_NOT_FOUND") as refusal:
        if call == "CreateStock":
            shop.inventory.CreateStock(
                v1.CreateStockRequest(product_id="new", quantity=1, location="elsewhere")
            )
        else:
            shop.change("tea", "INCREMENT", 1, location="elsewhere")
    assert refusal.metadata == {"location": "elsewhere"}
