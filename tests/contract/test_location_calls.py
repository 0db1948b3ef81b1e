"""InventoryService: locations, made, read, listed, changed and deleted."""

from __future__ import annotations

from typing import Any

import pytest

from inventory_client import v1
from support.shop import Shop

PARIS = v1.Geolocation(latitude=48.8566, longitude=2.3522)
BERLIN = v1.Geolocation(latitude=52.52, longitude=13.405)
QUITO = v1.Geolocation(latitude=-0.1807, longitude=-78.4678)


def listed(shop: Shop, page_size: int = 0, **asked: Any) -> list[v1.Location]:
    """Return every location, page by page."""
    found: list[v1.Location] = []
    token = ""
    while True:
        page = shop.inventory.ListLocations(
            v1.ListLocationsRequest(page_size=page_size, page_token=token, **asked)
        )
        found += page.locations
        token = page.next_page_token
        if not token:
            return found


def slugs(found: list[v1.Location]) -> list[str]:
    return [location.slug for location in found]


def update(shop: Shop, slug: str, *paths: str, **fields: Any) -> v1.Location:
    request = v1.UpdateLocationRequest(slug=slug, **fields)
    request.update_mask.paths.extend(paths)
    return shop.inventory.UpdateLocation(request).location


def test_every_store_has_its_default(shop: Shop) -> None:
    """A new store has the one location `default`, enabled, of which nothing is known."""
    (default,) = listed(shop)
    assert default == shop.inventory.GetLocation(v1.GetLocationRequest(slug="default")).location
    assert (default.slug, default.name, default.priority, default.disabled) == ("default", "", 0, False)
    assert not default.HasField("geolocation") and not default.HasField("distance_m")
    assert default.etag


def test_a_location_is_read_as_it_was_made(shop: Shop) -> None:
    """Every field comes back, and the limits of each are taken."""
    made = shop.location(
        "Z-9_" * 32,
        name="\u00e9" * 128,
        external_ref="x" * 128,
        description="d" * 1024,
        address_lines=[str(number) * 256 for number in range(8)],
        geolocation=PARIS,
        priority=-1_000_000,
        disabled=True,
    )
    assert made == shop.inventory.GetLocation(v1.GetLocationRequest(slug=made.slug)).location
    assert (made.name, made.external_ref, made.description) == ("\u00e9" * 128, "x" * 128, "d" * 1024)
    assert list(made.address_lines) == [str(number) * 256 for number in range(8)]
    assert (made.geolocation, made.priority, made.disabled) == (PARIS, -1_000_000, True)
    assert made.create_time == made.update_time


def test_a_slug_is_taken_once(shop: Shop) -> None:
    """The same slug again changes nothing; another store has its own."""
    shop.location("north")
    with shop.refused("LOCATION_EXISTS") as refusal:
        shop.location("north", name="another")
    assert refusal.metadata == {"location": "north"}


def test_a_store_has_at_most_1024_locations(shop: Shop) -> None:
    """The 1,024th is made, one more is refused; all of them are listed, over pages of any size."""
    many = [f"l-{number:04}" for number in range(1_022)]
    shop.observer.add_locations(shop.store, many)
    shop.location("last")
    with shop.refused("QUANTITY_OVERFLOW") as refusal:
        shop.location("one-more")
    assert refusal.metadata == {"limit": "1024"}
    names = sorted(["default", *many, "last"])
    assert slugs(listed(shop, 1_000)) == slugs(listed(shop, 5_000)) == names
    shop.stock("a", 1)
    shop.change("a", "INCREMENT", 5, location="l-1021")
    assert [line.location for line in shop.reserve("r", ("a", 5)).lines] == ["l-1021"]


# --- lists -----------------------------------------------------------------------------------------


def test_by_slug_page_by_page(shop: Shop) -> None:
    """In the order of slugs, byte by byte; a page of exactly all is the last."""
    for slug in ("b", "a", "B"):
        shop.location(slug)
    for size in (1, 2, 3, 4, 5):
        assert slugs(listed(shop, size)) == ["B", "a", "b", "default"]
    assert not shop.inventory.ListLocations(v1.ListLocationsRequest(page_size=4)).next_page_token


def test_by_distance(shop: Shop) -> None:
    """The nearest first, with its metres; two at one place by slug; those that are nowhere last."""
    for slug, place in (("quito", QUITO), ("paris", PARIS), ("berlin-2", BERLIN), ("berlin", BERLIN)):
        shop.location(slug, geolocation=place)
    shop.location("anywhere")
    for size in (1, 2, 6):
        found = listed(shop, size, near=PARIS)
        assert slugs(found) == ["paris", "berlin", "berlin-2", "quito", "anywhere", "default"]
    assert [location.distance_m for location in found[:3]] == [0, 877_465, 877_465]
    assert [location.HasField("distance_m") for location in found] == [True] * 4 + [False] * 2


def test_a_page_token_belongs_to_its_point(shop: Shop) -> None:
    """A token of another point, or of the list by slug, is refused."""
    shop.location("a")
    by_slug = shop.inventory.ListLocations(v1.ListLocationsRequest(page_size=1)).next_page_token
    near = v1.ListLocationsRequest(page_size=1, near=PARIS)
    by_distance = shop.inventory.ListLocations(near).next_page_token
    for asked in ({"near": PARIS, "page_token": by_slug}, {"near": QUITO, "page_token": by_distance}):
        with shop.refused("INVALID_FIELD") as refusal:
            shop.inventory.ListLocations(v1.ListLocationsRequest(**asked))  # type: ignore[arg-type]
        assert refusal.fields == ["page_token"]


def test_a_change_between_pages(shop: Shop) -> None:
    """What was made or deleted meanwhile neither shifts a page nor brings anything twice."""
    for slug in ("a", "c", "e"):
        shop.location(slug)
    page = shop.inventory.ListLocations(v1.ListLocationsRequest(page_size=2))
    assert slugs(list(page.locations)) == ["a", "c"]
    shop.location("b")
    shop.location("d")
    shop.delete_location("c")
    rest = shop.inventory.ListLocations(v1.ListLocationsRequest(page_size=5, page_token=page.next_page_token))
    assert slugs(list(rest.locations)) == ["d", "default", "e"]


# --- changes ---------------------------------------------------------------------------------------


def test_an_update_without_a_mask_changes_what_is_set(shop: Shop) -> None:
    """Also to an empty text, to 0 and to false, where that is what was set."""
    shop.location("north", name="North", priority=5, disabled=True, address_lines=["1"], geolocation=PARIS)
    changed = update(shop, "north", name="", priority=0, disabled=False)
    assert (changed.name, changed.priority, changed.disabled) == ("", 0, False)
    assert (list(changed.address_lines), changed.geolocation) == (["1"], PARIS)
    assert changed.update_time.ToNanoseconds() > changed.create_time.ToNanoseconds()
    assert changed == shop.inventory.GetLocation(v1.GetLocationRequest(slug="north")).location


def test_a_mask_clears_what_it_names(shop: Shop) -> None:
    """Named and absent is cleared; set and not named stays as it was."""
    shop.location("north", name="North", address_lines=["1"], geolocation=PARIS, description="cold")
    changed = update(shop, "north", "address_lines", "geolocation", "description", name="never")
    assert (changed.name, changed.description, list(changed.address_lines)) == ("North", "", [])
    assert not changed.HasField("geolocation")


@pytest.mark.parametrize("path", ["slug", "etag", "geolocation.latitude", "create_time", ""])
def test_a_mask_names_what_can_change(shop: Shop, path: str) -> None:
    """The slug is for ever, and a geolocation is one thing."""
    with shop.refused("INVALID_FIELD") as refusal:
        update(shop, "default", "name", path, name="x")
    assert refusal.fields == ["update_mask.paths[1]"]


def test_an_etag_guards_update_and_deletion(shop: Shop) -> None:
    """A change that was decided on what is no longer there is refused; the fresh etag is told."""
    read = shop.location("north").etag
    fresh = update(shop, "north", etag=read, name="North").etag
    with shop.refused("ETAG_MISMATCH") as refusal:
        update(shop, "north", etag=read, name="x")
    assert refusal.metadata == {"field": "etag", "current": fresh}
    with shop.refused("ETAG_MISMATCH"):
        shop.delete_location("north", read)
    shop.delete_location("north", fresh)


def test_only_an_empty_location_is_deleted(shop: Shop) -> None:
    """Not while a unit is there, available or allocated; `default` never."""
    shop.location("north")
    shop.stock("a", 0)
    shop.change("a", "SET", 2, location="north")
    shop.reserve("r", ("a", 2))
    with shop.refused("LOCATION_NOT_EMPTY") as refusal:
        shop.delete_location("north")
    assert refusal.metadata == {"location": "north"}
    shop.fulfill("r")
    shop.delete_location("north")
    with shop.refused("LOCATION_NOT_FOUND"):
        shop.inventory.GetLocation(v1.GetLocationRequest(slug="north"))
    with shop.refused("LOCATION_NOT_FOUND"):
        shop.change("a", "INCREMENT", 1, location="north")
    assert shop.numbers("a") == (0, 0, 0)
    with shop.refused("INVALID_FIELD") as refusal:
        shop.delete_location("default")
    assert refusal.fields == ["slug"]


def test_versions_go_on_where_a_slug_is_made_again(shop: Shop) -> None:
    """A location's log outlives it, and goes on where it stopped."""
    shop.location("north")
    shop.stock("a", 1)
    shop.change("a", "INCREMENT", 4, location="north")
    shop.change("a", "SET", 0, location="north")
    shop.delete_location("north")
    assert [entry.version for entry in shop.log("a") if entry.location == "north"] == [1, 2]
    shop.location("north")
    assert shop.change("a", "INCREMENT", 7, location="north").version == 3
    assert shop.numbers("a") == (8, 8, 0)


def test_a_disabled_location_allocates_nothing_new(shop: Shop) -> None:
    """ALLOCATE is refused there, lines are served elsewhere or short; all else goes on."""
    shop.location("north", priority=-1)
    shop.stock("a", 1)
    shop.change("a", "INCREMENT", 9, location="north")
    shop.change("a", "ALLOCATE", 2, location="north")
    held = shop.reserve("r", ("a", 3))
    assert held.lines[0].location == "north"
    update(shop, "north", disabled=True)
    with shop.refused("LOCATION_DISABLED") as refusal:
        shop.change("a", "ALLOCATE", 1, location="north")
    assert refusal.metadata == {"location": "north"}
    with shop.refused("INSUFFICIENT_STOCK") as refusal:
        shop.inventory.ReserveStock(
            v1.ReserveStockRequest(
                reservation_id="pinned", lines=[v1.LineRequest(product_id="a", quantity=1, location="north")]
            )
        )
    assert refusal.short_lines == [("a", "north", 1, 0, True)]
    assert shop.reserve("r-2", ("a", 1)).lines[0].location == "default"
    for action, quantity in (("INCREMENT", 1), ("DECREMENT", 1), ("DEALLOCATE", 2), ("SET", 9)):
        shop.change("a", action, quantity, location="north")
    shop.fulfill("r")
    assert shop.numbers("a") == (7, 6, 1)
    update(shop, "north", disabled=False)
    assert shop.reserve("r-3", ("a", 1)).lines[0].location == "north"
