"""What the reconciler and the metrics read of payments: what is in doubt, since when, what is polled."""

from __future__ import annotations

import pytest

from inventory_server.domain.commands import AddCartItems, Checkout, Command, CreateCart, CreateStock
from inventory_server.domain.order import CartItem
from inventory_server.domain.payment import OperationKind, OperationState, PaymentState
from inventory_server.domain.payment_commands import ResolvePayment, SettlePayment
from inventory_server.engine import payment_reads, reads
from inventory_server.engine.payment_reads import PaymentFilters
from support.engine import Database, running_engine
from support.world import begin, further


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


async def test_a_clock_that_was_set_back_turns_no_payment_round(database: Database) -> None:
    """What began a payment decides its money, though a refund of it seems to be older."""
    store = database.store
    async with running_engine(database.url) as (engine, reader):
        for command in (
            CreateStock("a", 9),
            CreateCart("c", "EUR"),
            AddCartItems("c", (CartItem("a", 3, 100, None),)),
            Checkout("c", "o"),
            begin("o", "p", 300),
            SettlePayment("o", "p", "op of p", OperationState.ACCEPTED),
            further(OperationKind.REFUND, "o", "p", "f", 100),
        ):
            await engine.change(store, command, deadline_s=20)
        database.rows(
            "UPDATE payment_operation SET created_at = created_at - interval '1 hour'"
            " WHERE store_id = %s AND operation_id = 'f' RETURNING operation_id",
            store,
        )
        settle = SettlePayment("o", "p", "f", OperationState.ACCEPTED)
        await engine.change(store, settle, deadline_s=20)
        payment = await reader.payment(store, "p", deadline_s=20)
        assert [o.operation_id for o in payment.operations] == ["op of p", "f"]
        assert (payment.captured_minor, payment.refunded_minor) == (300, 100)


async def test_a_list_by_state_looks_at_so_many(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page ends after a bounded look, short or empty; going on from it finds each payment once."""
    monkeypatch.setattr(payment_reads, "LOOKED_AT_MAX", 4)
    monkeypatch.setattr(payment_reads, "LOOKED_AT_ONCE", 2)
    filters = PaymentFilters(states=frozenset({PaymentState.CAPTURED}))
    store = database.store
    async with running_engine(database.url) as (engine, reader):
        for command in (
            CreateStock("a", 9),
            CreateCart("c", "EUR"),
            AddCartItems("c", (CartItem("a", 3, 100, None),)),
            Checkout("c", "o"),
        ):
            await engine.change(store, command, deadline_s=20)
        for number in range(10):
            word = OperationState.ACCEPTED if number in (6, 8) else OperationState.DECLINED
            await engine.change(store, begin("o", f"p{number}", 1), deadline_s=20)
            settle = SettlePayment("o", f"p{number}", f"op of p{number}", word)
            await engine.change(store, settle, deadline_s=20)
        pages = []
        last: payment_reads.PaymentKey | None = payment_reads.FIRST_KEY
        while last is not None:
            page, last = await reader.list_payments(store, filters, after=last, limit=1, deadline_s=20)
            pages.append([payment.payment_id for payment in page])
        assert pages == [[], ["p6"], ["p8"]]


async def test_reversals_that_are_open(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """One counts from the gateway's contrary word until something has undone it; so many are looked at."""
    store = database.store
    async with running_engine(database.url) as (engine, reader):

        async def do(*commands: Command) -> dict[str, int]:
            for command in commands:
                await engine.change(store, command, deadline_s=20)
            return await reader.open_reversals([store, "default"], deadline_s=20)

        def contradicted(payment_id: str) -> tuple[Command, ...]:
            operation_id = f"op of {payment_id}"
            return (
                begin("o", payment_id, 1),
                ResolvePayment("o", payment_id, operation_id, OperationState.FAILED, "seen"),
                SettlePayment(
                    "o", payment_id, operation_id, OperationState.ACCEPTED, reversal_id=f"undo {payment_id}"
                ),
            )

        cart = AddCartItems("c", (CartItem("a", 3, 100, None),))
        setup = (CreateStock("a", 9), CreateCart("c", "EUR"), cart, Checkout("c", "o"))
        assert await do(*setup, *contradicted("p")[:2]) == {}
        assert await do(*contradicted("p")[2:], *contradicted("q")) == {store: 2}
        declined = SettlePayment("o", "p", "undo p", OperationState.DECLINED)
        assert await do(declined) == {store: 2}
        monkeypatch.setattr(reads, "REVERSALS_LOOKED_FOR_MAX", 1)
        assert await do() == {store: 1}
        by_hand = ResolvePayment("o", "p", "undo p", OperationState.ACCEPTED, "sent by wire")
        assert await do(by_hand, SettlePayment("o", "q", "undo q", OperationState.ACCEPTED)) == {}


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
