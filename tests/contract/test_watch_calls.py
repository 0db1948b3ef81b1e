"""WatchStock over a real channel: where it begins, what it brings, and every way in which it ends."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpc
import pytest

import inventory_client
from inventory_client import v1
from inventory_server.db.embedded import EmbeddedPostgres
from support.polling import until
from support.shop import Shop, word
from support.sites import Site, serving_on, started

WAIT_S = 20.0


@contextmanager
def watching(shop: Shop, **request: Any) -> Iterator[Any]:
    """Open a watch and take its first message in: what is committed from here on will come."""
    call = shop.inventory.WatchStock(v1.WatchStockRequest(**request), timeout=60)
    try:
        first = next(call)
        assert not first.changes and first.resume_token and not first.continues
        call.first = first
        yield call
    finally:
        call.cancel()


def take(call: Any, count: int) -> tuple[list[tuple[str, int]], str]:
    """Return (product, version) of the next `count` changes, and the token after them."""
    changes: list[tuple[str, int]] = []
    message = v1.WatchStockResponse()
    while len(changes) < count:
        message = next(call)
        changes += [(change.product_id, change.version) for change in message.changes]
    return changes, message.resume_token


def test_what_happens_is_told(shop: Shop) -> None:
    """Each change comes as the log entry that it is."""
    with watching(shop) as call:
        shop.stock("a", 5)
        shop.reserve("r", ("a", 2))
        changes = []
        while len(changes) < 2:
            changes += list(next(call).changes)
        assert changes == shop.log("a")
        assert [word(change, "action") for change in changes] == ["CREATE", "RESERVE"]


def test_from_now_from_the_beginning_and_from_a_token(shop: Shop) -> None:
    """Without a start only what is new comes; from the beginning all; from a token what comes after it."""
    shop.stock("a", 5)
    shop.observer.wait_until_settled(shop.store)
    with watching(shop) as call:
        shop.change("a", "INCREMENT", 1)
        changes, token = take(call, 1)
        assert changes == [("a", 2)]
    shop.stock("b", 5)
    with watching(shop, from_beginning=True) as call:
        assert take(call, 3)[0] == [("a", 1), ("a", 2), ("b", 1)]
    with watching(shop, resume_token=token) as call:
        assert take(call, 1)[0] == [("b", 1)]
    with watching(shop, resume_token=token) as call:
        again = call.first.resume_token
    with watching(shop, resume_token=again) as call:
        assert take(call, 1)[0] == [("b", 1)]


def test_one_transaction_comes_in_one_message(shop: Shop) -> None:
    """The lines of one reservation are told together, by product."""
    shop.stocks(a=5, b=5, c=5)
    shop.observer.wait_until_settled(shop.store)
    with watching(shop) as call:
        shop.reserve("r", ("c", 1), ("a", 1), ("b", 1))
        message = next(call)
        assert [change.product_id for change in message.changes] == ["a", "b", "c"]
        assert not message.continues


def test_a_watch_of_1000_products_and_one_more(shop: Shop) -> None:
    """Other products' changes are not told; 1,000 products may be named, 1,001 not."""
    shop.stocks(other=5, p7=5)
    names = [f"p{number}" for number in range(1000)]
    with watching(shop, product_ids=names, from_beginning=True) as call:
        assert take(call, 1)[0] == [("p7", 1)]
    with shop.refused("INVALID_FIELD") as refusal:
        next(shop.inventory.WatchStock(v1.WatchStockRequest(product_ids=[*names, "p1000"])))
    assert refusal.fields == ["product_ids"]


@pytest.mark.fault(29)
def test_another_stores_changes_do_not_come(shop: Shop, hasty: Shop) -> None:
    """A watch is of one store; a token of another store, or of another database, is RESUME_TOKEN_EXPIRED."""
    shop.stock("a", 5)
    with watching(shop, from_beginning=True) as call:
        _, token = take(call, 1)
    for other in (hasty, _in_store("default", shop)):
        with other.refused("RESUME_TOKEN_EXPIRED"):
            next(other.inventory.WatchStock(v1.WatchStockRequest(resume_token=token)))


def _in_store(store: str, shop: Shop) -> Shop:
    """The same server, through metadata of the call's own."""

    class Inventory:
        def WatchStock(self, request: Any) -> Any:  # noqa: N802 - the stub's name
            return shop.inventory.WatchStock(request, metadata=(("x-inventory-store", store),))

    other = Shop(shop.client, shop.store, shop.observer)
    other.inventory = Inventory()  # type: ignore[assignment]
    return other


@pytest.mark.fault(29)
def test_forged_tokens(shop: Shop) -> None:
    """What is no token, or is damaged, is INVALID_FIELD at resume_token; `from_beginning = false` too."""
    shop.stock("a", 5)
    with watching(shop) as call:
        token = call.first.resume_token
    raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    payload = json.loads(raw[8:])
    moved = json.dumps([*payload[:2], payload[2] + 1, *payload[3:]], separators=(",", ":")).encode()
    forged = base64.urlsafe_b64encode(raw[:8] + moved).rstrip(b"=").decode()
    for bad in ("", "x", token[:-4], forged, "A" * 2048):
        with shop.refused("INVALID_FIELD") as refusal:
            next(shop.inventory.WatchStock(v1.WatchStockRequest(resume_token=bad)))
        assert refusal.fields == ["resume_token"]
    with shop.refused("INVALID_FIELD") as refusal:
        next(shop.inventory.WatchStock(v1.WatchStockRequest(from_beginning=False)))
    assert refusal.fields == ["from_beginning"]


def test_an_unknown_store(shop: Shop) -> None:
    """STORE_NOT_FOUND, before the first message."""
    with shop.refused("STORE_NOT_FOUND"):
        next(_in_store("nowhere", shop).inventory.WatchStock(v1.WatchStockRequest()))


def test_a_watch_ends_with_its_deadline(shop: Shop) -> None:
    """A deadline that the caller gives is kept; without one a watch has none."""

    def first_message(timeout_s: float) -> Any:
        call = shop.inventory.WatchStock(v1.WatchStockRequest(), timeout=timeout_s)
        try:
            next(call)
        except inventory_client.DeadlineExceeded:
            return None  # not even the first message came in time
        return call

    calls = (first_message(timeout_s) for timeout_s in (0.3, 1, 3, 9))
    call = next(call for call in calls if call is not None)
    with pytest.raises(inventory_client.DeadlineExceeded):
        next(call)


@pytest.fixture(scope="module")
def narrow_site(postgres: EmbeddedPostgres) -> Iterator[Site]:
    """A server with room for two watches."""
    with started(postgres, watchers_max=2, watch_heartbeat_s=0.2) as site:
        yield site


def test_the_bound_on_watches(narrow_site: Site) -> None:
    """The third of two is OVERLOADED; a watch that its caller cancels makes room; a quiet one speaks."""
    with narrow_site.shop() as shop:
        with watching(shop) as one, watching(shop):
            quiet = next(one)
            assert not quiet.changes and quiet.resume_token == one.first.resume_token
            third = shop.inventory.WatchStock(v1.WatchStockRequest())
            with shop.refused("OVERLOADED"):
                next(third)

        until(lambda: has_room(shop), "the place of a cancelled watch")


def has_room(shop: Shop) -> bool:
    """Whether one more watch is let in."""
    try:
        with watching(shop):
            return True
    except inventory_client.Overloaded:
        return False


@pytest.mark.fault(34)
def test_a_slow_reader_is_cut_and_goes_on(narrow_site: Site) -> None:
    """Who doesn't read is ended with OVERLOADED; from the last message that came nothing is missing."""
    text = "x" * 512
    with narrow_site.shop() as shop:
        shop.stock("a", 5)
        while len(shop.log("a")) < 1_000:
            futures = [
                shop.inventory.CreateStockTransaction.future(
                    shop.change_request("a", "INCREMENT", 1, reason=text), timeout=60
                )
                for _ in range(1_000)
            ]
            for future in futures:
                future.result()
        total = len(shop.log("a"))
        with serving_on(narrow_site.database_url, watchers_max=1, stream_write_timeout_s=0.3) as impatient:
            counts = read_slowly(impatient.address, shop, total)
    assert 0 < counts[0] < total


def read_slowly(address: str, shop: Shop, total: int) -> list[int]:
    """Read a log of one product, at first not at all; return how much was read at each cut."""
    versions: list[int] = []
    counts: list[int] = []
    token = ""
    with (
        _small_windows(address) as stub,
        inventory_client.connect(address, store=shop.store, timeout_s=60) as client,
    ):
        while len(versions) < total:
            start: dict[str, Any] = {"resume_token": token} if token else {"from_beginning": True}
            call = stub.WatchStock(
                v1.WatchStockRequest(**start), metadata=(("x-inventory-store", shop.store),)
            )
            try:
                token = next(call).resume_token
                if not counts:  # its place is free once the server has had enough
                    other = Shop(client, shop.store, shop.observer)
                    until(lambda: has_room(other), "a watch that nobody reads is cut")  # noqa: B023
                while len(versions) < total:
                    message = next(call)
                    versions += [change.version for change in message.changes]
                    token = message.resume_token
            except grpc.RpcError as error:
                assert error.code() is grpc.StatusCode.UNAVAILABLE
                counts.append(len(versions))
            call.cancel()
    assert versions == list(range(1, total + 1))
    return counts


@contextmanager
def _small_windows(address: str) -> Iterator[Any]:
    """A stub whose channel reads little ahead, so that the server soon feels a slow reader."""
    options = [("grpc.http2.lookahead_bytes", 1024), ("grpc.http2.bdp_probe", 0)]
    with grpc.insecure_channel(address, options) as channel:
        yield v1.InventoryServiceStub(channel)


def test_a_watch_goes_on_at_the_next_server(narrow_site: Site) -> None:
    """A server that stops ends its watches with OVERLOADED at once; the token is good at another one."""
    with serving_on(narrow_site.database_url) as first, narrow_site.new_store() as (_, store):
        with inventory_client.connect(first.address, store=store, timeout_s=60) as client:
            shop = Shop(client, store, narrow_site.observer)
            shop.stock("a", 5)
            with watching(shop, from_beginning=True) as call:
                changes, token = take(call, 1)
                assert first.stop() == 0
                with pytest.raises(inventory_client.Overloaded) as ended:
                    for quiet in call:
                        assert not quiet.changes
                assert ended.value.retry_after_s
        with (
            serving_on(narrow_site.database_url) as second,
            inventory_client.connect(second.address, store=store, timeout_s=60) as client,
        ):
            shop = Shop(client, store, narrow_site.observer)
            shop.change("a", "INCREMENT", 1)
            with watching(shop, resume_token=token) as call:
                changes += take(call, 1)[0]
    assert changes == [("a", 1), ("a", 2)]
