"""GetStoreSettings and UpdateStoreSettings."""

from __future__ import annotations

import json
from typing import Any

import pytest

from inventory_client import v1
from inventory_server.launch import LaunchedProcess
from support.polling import until
from support.shop import Shop, StagedShop

DAYS_90_S = 90 * 24 * 3600


def shown(settings: v1.StoreSettings) -> tuple[bool, bool, int, int]:
    return (
        settings.defer_inventory_check,
        settings.sell_unmanaged_products,
        settings.default_hold.seconds,
        settings.cart_expiry.seconds,
    )


def test_what_nobody_set(shop: Shop) -> None:
    """A new store checks, sells what is managed alone, holds for 15 minutes and keeps a cart for 7 days."""
    assert shown(shop.settings()) == (False, False, 900, 7 * 86_400)


def test_what_an_update_changes(shop: Shop) -> None:
    """What is set, or what the mask names; named and absent goes back to what nobody set."""
    before = shop.settings()
    changed = shop.set_up(default_hold=60, sell_unmanaged_products=True)
    assert shown(changed) == (False, True, 60, 7 * 86_400)
    assert changed.update_time.ToNanoseconds() > before.update_time.ToNanoseconds()
    assert changed == shop.settings()
    assert shown(shop.set_up("cart_expiry", default_hold=5, cart_expiry=120)) == (False, True, 60, 120)
    assert shown(shop.set_up(sell_unmanaged_products=False)) == (False, False, 60, 120)
    assert shown(shop.set_up("default_hold", "cart_expiry")) == (False, False, 900, 7 * 86_400)
    same = shop.settings()
    assert shop.set_up() == shop.set_up(defer_inventory_check=False) == same


@pytest.mark.parametrize("name", ["default_hold", "cart_expiry"])
def test_limits_of_a_duration(shop: Shop, name: str) -> None:
    """1 s to 90 days, in whole seconds."""
    for seconds in (1, DAYS_90_S):
        assert getattr(shop.set_up(**{name: seconds}), name).seconds == seconds
    for seconds in (0, -1, 1.5, DAYS_90_S + 1):
        with shop.refused("INVALID_FIELD") as refusal:
            shop.set_up(**{name: seconds})
        assert refusal.fields == [name]
    with shop.refused("INVALID_FIELD") as refusal:
        shop.set_up(name, "update_time")
    assert refusal.fields == ["update_mask.paths[1]"]


def test_an_etag_lets_nobody_overwrite(shop: Shop) -> None:
    """A change with the etag of what was read goes through once."""
    read = shop.settings()
    shop.set_up(default_hold=60, etag=read.etag)
    with shop.refused("ETAG_MISMATCH") as refusal:
        shop.set_up(default_hold=61, etag=read.etag)
    assert refusal.metadata == {"field": "etag", "current": shop.settings().etag}


def test_settings_are_one_stores_own(shop: Shop, hasty: Shop) -> None:
    """Another store's settings stay as they are."""
    shop.set_up(default_hold=60)
    assert shop.settings().default_hold.seconds == 60
    assert hasty.settings().default_hold.seconds == 900


def test_the_default_hold(shop: Shop) -> None:
    """A hold that says no time gets the store's of that moment; it keeps it whatever is set later."""
    shop.stock("a", 9)

    def held_s(reservation: v1.Reservation) -> int:
        return round(
            (reservation.expire_time.ToNanoseconds() - reservation.create_time.ToNanoseconds()) / 1e9
        )

    assert held_s(shop.reserve("r-1", ("a", 1))) == 900
    shop.set_up(default_hold=60)
    assert held_s(shop.reserve("r-2", ("a", 1))) == 60
    assert held_s(shop.reserve("r-1", ("a", 1))) == 900
    request = shop.reserve_request("r-3", ("a", 1))
    request.ttl.FromSeconds(30)
    assert held_s(shop.inventory.ReserveStock(request).reservation) == 30


def test_the_next_command_goes_by_them(staged: StagedShop) -> None:
    """In one batch too: what was set before counts for what comes after."""
    staged.stock("a", 9)
    change = v1.UpdateStoreSettingsRequest()
    change.default_hold.FromSeconds(60)
    with staged.batch_held():
        calls = []
        for method, request in (
            (staged.inventory.ReserveStock, staged.reserve_request("r-1", ("a", 1))),
            (staged.inventory.UpdateStoreSettings, change),
            (staged.inventory.ReserveStock, staged.reserve_request("r-2", ("a", 1))),
        ):
            calls.append(method.future(request))
            staged.settle_in()
    first, _, second = (call.result() for call in calls)
    apart_ns = first.reservation.expire_time.ToNanoseconds() - second.reservation.expire_time.ToNanoseconds()
    assert apart_ns == 840 * 10**9


def test_a_change_is_a_line_of_the_log(shop: Shop, server: LaunchedProcess) -> None:
    """Who changed what, from what to what; a call that changes nothing, or comes again, says nothing."""
    request = v1.UpdateStoreSettingsRequest(request_id="mine")
    request.default_hold.FromSeconds(60)
    for _ in range(2):
        shop.inventory.UpdateStoreSettings(request, metadata=(("x-inventory-actor", "ann"),))
    shop.set_up(default_hold=60)
    shop.set_up(sell_unmanaged_products=True)

    def lines() -> list[dict[str, Any]]:
        said = [
            line for line in server.last_errors if "store_settings_changed" in line and shop.store in line
        ]
        return [json.loads(line) for line in said]

    until(lambda: len(lines()) == 2, "both changes stand in the log")
    first, second = lines()
    assert (first["actor"], first["store"]) == ("ann", shop.store)
    assert (first["before"], first["after"]) == ({"default_hold_s": 900}, {"default_hold_s": 60})
    assert (second["actor"], second["after"]) == ("", {"sell_unmanaged_products": True})
