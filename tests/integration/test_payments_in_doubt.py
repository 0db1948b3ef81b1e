"""What the reconciler and the metrics read of payments: what is in doubt, since when, what is polled."""

from __future__ import annotations

from inventory_server.domain.commands import AddCartItems, Checkout, CreateCart, CreateStock
from inventory_server.domain.order import CartItem
from inventory_server.domain.payment import OperationState
from inventory_server.domain.payment_commands import ResolvePayment, SettlePayment
from support.engine import Database, running_engine
from support.world import begin


async def test_in_doubt_and_resolved(database: Database) -> None:
    """An operation is asked about when its lease has run out; one ended by hand too; a settled one never."""
    store = database.store
    async with running_engine(database.url) as (engine, reader):
        for command in (
            CreateStock("a", 9),
            CreateCart("c", "EUR"),
            AddCartItems("c", (CartItem("a", 3, 100, None),)),
            Checkout("c", "o"),
            begin("o", "leased", 1, lease_s=900),
            begin("o", "doubted", 1, lease_s=0),
            begin("o", "ended", 1, lease_s=0),
            begin("o", "agreed", 1, lease_s=0),
            begin("o", "settled", 1, lease_s=0),
            ResolvePayment("o", "ended", "op of ended", OperationState.FAILED, "seen"),
            ResolvePayment("o", "agreed", "op of agreed", OperationState.ACCEPTED, "seen"),
            SettlePayment("o", "settled", "op of settled", OperationState.ACCEPTED),
        ):
            await engine.change(store, command, deadline_s=20)
        found = await reader.operations_in_doubt([store, "default"], limit=9, deadline_s=20)
        assert found == {store: [("o", "doubted", "op of doubted"), ("o", "ended", "op of ended")]}


async def test_the_age_of_the_oldest_in_doubt(database: Database) -> None:
    """Seconds since the oldest that is not settled was begun; a store without one is left out."""
    store = database.store
    async with running_engine(database.url) as (engine, reader):
        assert await reader.oldest_doubt_age_s([store], deadline_s=20) == {}
        for command in (
            CreateStock("a", 9),
            CreateCart("c", "EUR"),
            AddCartItems("c", (CartItem("a", 3, 100, None),)),
            Checkout("c", "o"),
            begin("o", "old", 1),
            begin("o", "new", 1),
        ):
            await engine.change(store, command, deadline_s=20)
        database.rows(
            "UPDATE payment_operation SET created_at = created_at - interval '1 hour'"
            " WHERE store_id = %s AND payment_id = 'old' RETURNING 1",
            store,
        )
        ages = await reader.oldest_doubt_age_s([store, "default"], deadline_s=20)
        assert list(ages) == [store] and 3600 <= ages[store] < 3700
        await engine.change(
            store, SettlePayment("o", "old", "op of old", OperationState.DECLINED), deadline_s=20
        )
        assert (await reader.oldest_doubt_age_s([store], deadline_s=20))[store] < 100
