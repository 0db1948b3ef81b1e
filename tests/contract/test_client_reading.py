"""Client.pages, Client.watch and their aio twins: what doesn't fit into one answer is read to its end."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, closing
from typing import Any

import grpc
import pytest

import inventory_client
from inventory_client import AioClient, v1
from inventory_client.reading import Watch
from inventory_server.launch import LaunchedProcess, reserved_address
from support.shop import Shop
from support.sites import serving_on


@pytest.fixture
async def aio(server: LaunchedProcess, store: str) -> AsyncIterator[AioClient]:
    async with inventory_client.connect_aio(server.address, store=store, timeout_s=60) as client:
        yield client


async def test_pages_to_the_last(shop: Shop, aio: AioClient) -> None:
    """Each page comes once, in order, and the caller's request stays as it is; sync and aio alike."""
    shop.stocks(a=1, b=1, c=1, d=1, e=1)
    request = v1.ListStockRequest(page_size=2)
    pages = list(shop.client.pages(shop.inventory.ListStock, request))
    assert [[stock.product_id for stock in page.stocks] for page in pages] == [["a", "b"], ["c", "d"], ["e"]]
    assert [page async for page in aio.pages(aio.inventory.ListStock, request)] == pages
    assert request == v1.ListStockRequest(page_size=2)


def test_pages_of_a_list_that_is_refused(shop: Shop) -> None:
    """A call that is refused raises, as it would by itself."""
    with shop.refused("INVALID_FIELD"):
        next(shop.client.pages(shop.inventory.ListStock, v1.ListStockRequest(page_size=-1)))


def versions_in(message: v1.WatchStockResponse) -> list[int]:
    return [change.version for change in message.changes]


def take(messages: Iterator[v1.WatchStockResponse], last: int) -> list[int]:
    """Read until this version; return all that came."""
    versions: list[int] = []
    while versions[-1:] != [last]:
        versions += versions_in(next(messages))
    return versions


def test_a_watch_outlives_its_server(shop: Shop, database_url: str) -> None:
    """A server that stops ends the stream, not the watch: the next one misses nothing, repeats nothing."""
    shop.stock("a", 1)
    request = v1.WatchStockRequest(from_beginning=True)
    with (
        reserved_address() as address,
        inventory_client.connect(address, store=shop.store, timeout_s=60) as client,
        closing(client.watch(request)) as messages,
    ):
        port = address.rpartition(":")[2]
        with serving_on(database_url, port=port, reuse_port=True):
            versions = take(messages, 1)
        with serving_on(database_url, port=port, reuse_port=True):
            shop.change("a", "INCREMENT", 1)
            versions += take(messages, 2)
    assert versions == [1, 2]
    assert request == v1.WatchStockRequest(from_beginning=True)


async def test_an_aio_watch_outlives_its_server(shop: Shop, database_url: str) -> None:
    """The same, for asyncio."""

    async def take_aio(messages: Any, last: int) -> list[int]:
        versions: list[int] = []
        while versions[-1:] != [last]:
            versions += versions_in(await anext(messages))
        return versions

    shop.stock("a", 1)
    with reserved_address() as address:
        port = address.rpartition(":")[2]
        async with (
            inventory_client.connect_aio(address, store=shop.store, timeout_s=60) as client,
            aclosing(client.watch(v1.WatchStockRequest(from_beginning=True))) as messages,
        ):
            with serving_on(database_url, port=port, reuse_port=True):
                versions = await take_aio(messages, 1)
            with serving_on(database_url, port=port, reuse_port=True):
                shop.change("a", "INCREMENT", 1)
                versions += await take_aio(messages, 2)
    assert versions == [1, 2]


def test_what_ends_a_watch(shop: Shop) -> None:
    """What trying again doesn't mend is raised."""
    with shop.refused("INVALID_FIELD") as refusal:
        next(shop.client.watch(v1.WatchStockRequest(resume_token="x")))
    assert refusal.fields == ["resume_token"]


def test_the_pauses_of_a_watch() -> None:
    """They double from 0.1 s to 2 s until a message comes; where the server names one, it is that."""

    def broken(retry_after_s: float | None = None) -> inventory_client.Unavailable:
        return inventory_client.Unavailable(
            "away", code=grpc.StatusCode.UNAVAILABLE, retry_after_s=retry_after_s
        )

    watch = Watch(v1.WatchStockRequest())
    assert [watch.pause_s(broken()) for _ in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.6, 2.0]
    assert watch.pause_s(broken(retry_after_s=7)) == 7
    watch.take(v1.WatchStockResponse(resume_token="t"))
    assert watch.request.resume_token == "t"
    assert watch.pause_s(broken()) == 0.1
