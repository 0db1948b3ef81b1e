"""Faults 12 and 13: somebody else writes to our tables, or changes them, while the server is under load."""

from __future__ import annotations

import random
from collections.abc import Callable

import psycopg
import pytest

from inventory_client import v1
from inventory_server.db.migrate import migrate
from support.faults.calls import Caller
from support.faults.load import PRODUCTS, Load
from support.faults.place import WAIT_S, Place
from support.faults.promises import check
from support.polling import until

Tell = Callable[..., None]

_CHANGES = (
    "ALTER TABLE stock_level ADD COLUMN note text NOT NULL DEFAULT ''",
    "ALTER TABLE stock_transaction ADD COLUMN note text, ADD CONSTRAINT note_short CHECK (length(note) < 9)",
    "CREATE INDEX reservation_by_note ON reservation (store_id, updated_at, reservation_id)",
    "ALTER TABLE reservation_line ALTER COLUMN line_number TYPE bigint",
)


@pytest.mark.fault(12)
def test_a_storm_of_conflicts(place: Place, chance: random.Random, load_factor: int, tell: Tell) -> None:
    """A second writer is in the way of batch after batch: each is run again, each call takes effect once."""
    conflicts = 20 * load_factor
    with Load(lambda: place.server.address, chance) as load, place.database() as database:
        for _ in range(conflicts):
            with psycopg.connect(place.postgres.url) as holder:
                holder.execute(
                    "UPDATE stock_level SET version = version WHERE product_id = %s",
                    [chance.choice(PRODUCTS)],
                )
                until(lambda: database.blocked(holder), "a batch waits for the row", WAIT_S)
                holder.commit()
        load.goes_on()
        caller = Caller(lambda: place.server.address)
        told = caller.send("GetServiceStatistics", v1.GetServiceStatisticsRequest())
        caller.close()
    assert told.totals.conflicts >= conflicts
    tell(check(place, load) | {"conflicts": told.totals.conflicts})


@pytest.mark.fault(13)
def test_a_migration_under_load(shop_place: Place, chance: random.Random, tell: Tell) -> None:
    """Columns, constraints, indexes and types come while the server serves: nobody is told a defect."""
    place = shop_place
    with Load(lambda: place.server.address, chance, pays=True) as load:
        for change in chance.sample(_CHANGES, len(_CHANGES)):
            with psycopg.connect(place.postgres.url, autocommit=True) as connection:
                connection.execute(change.encode())
            assert migrate(place.url) == []
            load.goes_on()
    tell(check(place, load))
