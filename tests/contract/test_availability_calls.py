"""InventoryService.CheckAvailability: what could be had now, without taking it."""

from __future__ import annotations

from inventory_client import v1
from support.shop import Shop


def check(shop: Shop, *lines: v1.LineRequest) -> v1.CheckAvailabilityResponse:
    return shop.inventory.CheckAvailability(v1.CheckAvailabilityRequest(lines=lines))


def line(product_id: str, quantity: int, location: str = "") -> v1.LineRequest:
    return v1.LineRequest(product_id=product_id, quantity=quantity, location=location)


def short_lines(answer: v1.CheckAvailabilityResponse) -> list[tuple[str, str, int, int, bool]]:
    return [(s.product_id, s.location, s.requested, s.available, s.managed) for s in answer.shortages]


def test_enough_for_every_line(shop: Shop) -> None:
    """Exactly what is there is enough; asking takes nothing."""
    shop.stocks(a=3, b=1)
    before = shop.observer.written(shop.store)
    answer = check(shop, line("a", 3), line("b", 1, "default"))
    assert answer.sufficient
    assert not answer.shortages
    assert shop.observer.written(shop.store) == before


def test_every_short_line_is_listed(shop: Shop) -> None:
    """A line that is one unit short, and one of an unmanaged product, with what there is."""
    shop.stocks(a=3, b=1)
    answer = check(shop, line("a", 4), line("b", 1), line("ghost", 1, "default"))
    assert not answer.sufficient
    assert short_lines(answer) == [("a", "", 4, 3, True), ("ghost", "default", 1, 0, False)]


def test_lines_of_one_product_count_together(shop: Shop) -> None:
    """Equal lines are merged; a line that names a location is served before one that doesn't."""
    shop.stock("a", 5)
    assert check(shop, line("a", 2), line("a", 3)).sufficient
    assert short_lines(check(shop, line("a", 2), line("a", 4))) == [("a", "", 6, 5, True)]
    answer = check(shop, line("a", 3), line("a", 3, "default"))
    assert short_lines(answer) == [("a", "", 3, 2, True)]


def test_held_units_are_not_available(shop: Shop) -> None:
    """What a live hold has cannot be had; what it gave back can."""
    shop.stock("a", 5)
    shop.reserve("r", ("a", 4))
    assert not check(shop, line("a", 2)).sufficient
    shop.release("r")
    assert check(shop, line("a", 5)).sufficient


def test_units_of_a_due_hold_are_available(staged: Shop) -> None:
    """A hold that has run out counts as free although nobody has ended it yet."""
    staged.stock("a", 5)
    staged.reserve_until_soon("r", ("a", 4))
    staged.wait_until_due(("a", 5))
    assert staged.numbers("a") == (5, 1, 4)


def test_all_of_1000_short_lines_are_listed(shop: Shop) -> None:
    """Unlike an error's details, the answer has no bound below the request's own of 1,000 lines."""
    many = [line(f"ghost-{number}", 1) for number in range(1001)]
    answer = check(shop, *many[:1000])
    assert [short.product_id for short in answer.shortages] == [asked.product_id for asked in many[:1000]]
    for wrong in (many, []):
        with shop.refused("INVALID_FIELD") as refusal:
            check(shop, *wrong)
        assert refusal.fields == ["lines"]


def test_a_location_that_is_not_there(shop: Shop) -> None:
    """Asking for an unknown location is a mistake, not a shortage."""
    shop.stock("a", 5)
    with shop.refused("LOCATION_NOT_FOUND") as refusal:
        check(shop, line("a", 1), line("a", 1, "elsewhere"))
    assert refusal.metadata == {"location": "elsewhere"}
