"""VerifyStock and GetServiceStatistics over a real channel."""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from inventory_client import v1
from inventory_server.db.embedded import EmbeddedPostgres
from inventory_server.launch import INVENTORY_COMMAND, LaunchedProcess
from support.polling import until
from support.shop import Shop, StagedShop
from support.sites import Site, serving_on, started


def verify(shop: Shop, *product_ids: str) -> tuple[list[v1.StockViolation], list[v1.VerifyStockResponse]]:
    """Verify page by page; return the violations, and the pages."""
    pages = [shop.inventory.VerifyStock(v1.VerifyStockRequest(product_ids=product_ids), timeout=60)]
    while pages[-1].next_page_token:
        request = v1.VerifyStockRequest(product_ids=product_ids, page_token=pages[-1].next_page_token)
        pages.append(shop.inventory.VerifyStock(request, timeout=60))
    return [violation for page in pages for violation in page.violations], pages


def test_a_sound_store(shop: Shop) -> None:
    """The whole store: every level, entry, reservation and order is counted, and no law is broken."""
    shop.stocks(a=5, b=5)
    shop.reserve("r", ("a", 1), ("b", 2))
    shop.paid_order("o", ("a", 1))
    found, pages = verify(shop)
    assert found == []
    assert [
        sum(getattr(page, f"{kind}_count") for page in pages)
        for kind in ("level", "entry", "reservation", "order")
    ] == [2, 5, 2, 1]


def test_products_of_a_store(shop: Shop) -> None:
    """Named products alone, one named twice once, one without a record too; 1,000 of them, and one more."""
    shop.stocks(a=5, b=5, c=5)
    found, pages = verify(shop, "c", "a", "a", "ghost")
    assert (found, sum(page.level_count for page in pages)) == ([], 2)
    names = [f"p{number}" for number in range(999)]
    assert verify(shop, "a", *names)[0] == []
    with shop.refused("INVALID_FIELD") as refusal:
        verify(shop, "a", "b", *names)
    assert refusal.fields == ["product_ids"]


def test_an_empty_store(shop: Shop) -> None:
    """No page has anything, and there is a last one."""
    found, pages = verify(shop)
    assert found == [] and pages[-1].next_page_token == ""


@pytest.fixture(scope="module")
def corrupt_site(postgres: EmbeddedPostgres) -> Iterator[Site]:
    """A server and a database of its own: what is broken there disturbs nobody."""
    with started(postgres) as site:
        yield site


@contextmanager
def corrupted(site: Site) -> Iterator[Shop]:
    """Have a store with one log entry that is not what happened: INCREMENT 2, where it was 1."""
    with site.shop() as shop:
        shop.stocks(a=5, b=5)
        shop.change("a", "INCREMENT", 1)
        _rewrite(site, shop, 2)
        yield shop


def _rewrite(site: Site, shop: Shop, quantity: int) -> None:
    with psycopg.connect(site.database_url) as owner:
        owner.execute(
            "UPDATE stock_transaction SET quantity = %s"
            " WHERE store_id = %s AND product_id = 'a' AND version = 2",
            (quantity, shop.store),
        )


def test_a_violation_is_told_where_it_is(corrupt_site: Site) -> None:
    """The law, the words, and the place, by the product's own id and version."""
    with corrupted(corrupt_site) as shop:
        for found in (verify(shop)[0], verify(shop, "a")[0]):
            (violation,) = found
            assert (violation.law, violation.product_id, violation.location, violation.version) == (
                "log-replays", "a", "default", 2,
            )  # fmt: skip
            assert "INCREMENT 2" in violation.description
        assert verify(shop, "b")[0] == []


def test_the_command_line(corrupt_site: Site) -> None:
    """`inventory verify`: exit status 0 and a count, or 1 and a line for each violation; as JSON too."""

    def run(shop: Shop, *arguments: str) -> subprocess.CompletedProcess[str]:
        options = ["--address", corrupt_site.address, "--store", shop.store]
        return subprocess.run(
            [*INVENTORY_COMMAND, "verify", *options, *arguments],
            capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip

    with corrupted(corrupt_site) as shop:
        for arguments in ((), ("--product", "a", "--product", "b")):
            found = run(shop, *arguments)
            line, outcome = found.stdout.splitlines()
            assert line.startswith("log-replays product_id='a' location='default' version=2: INCREMENT 2 on")
            assert outcome == "1 violations: 2 levels, 3 log entries, 0 reservations, 0 orders"
            assert (found.returncode, found.stderr) == (1, "")
        found = run(shop, "--json")
        outcome = json.loads(found.stdout)
        assert (found.returncode, outcome["entry_count"]) == (1, 3)
        assert [violation["law"] for violation in outcome["violations"]] == ["log-replays"]
        sound = run(shop, "--product", "b")
        assert (sound.returncode, sound.stdout.splitlines()) == (
            0, ["every law holds: 1 levels, 1 log entries, 0 reservations, 0 orders"],
        )  # fmt: skip
    refused = run(Shop(shop.client, "nowhere", shop.observer))
    assert refused.returncode == 1
    assert refused.stderr == "inventory: STORE_NOT_FOUND: store 'nowhere' does not exist\n"


def test_the_continuous_verification(corrupt_site: Site) -> None:
    """It finds by itself what is broken: one line in the log, and a metric until it is mended."""

    def said(server: LaunchedProcess, event: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in server.last_errors if f'"{event}"' in line]

    def violation_count(store: str) -> float | None:
        with urllib.request.urlopen(f"http://{metrics['address']}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        found = re.search(rf'^inventory_invariant_violations{{store="{store}"}} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else None

    with (
        corrupted(corrupt_site) as shop,
        serving_on(corrupt_site.database_url, verify_interval_s=0.01, metrics_port=0) as server,
    ):
        (metrics,) = until(lambda: said(server, "serving_metrics"), "it says where its metrics are")
        until(lambda: violation_count(shop.store) == 1, "the violation is found")
        _rewrite(corrupt_site, shop, 1)
        until(lambda: violation_count(shop.store) == 0, "a round does not find it any more")
        lines = until(lambda: said(server, "invariant_violated"), "it stands in the log")
        (told,) = [line for line in lines if line["store"] == shop.store]
        assert (told["level"], told["law"], told["product_id"], told["version"]) == (
            "error", "log-replays", "a", 2,
        )  # fmt: skip


def test_a_change_between_pages(staged: StagedShop) -> None:
    """Each page is of one moment: what changes between two pages breaks no law and stops nothing."""
    staged.stocks(a=5)
    first = staged.inventory.VerifyStock(v1.VerifyStockRequest())
    assert first.next_page_token
    staged.reserve("r", ("a", 1))
    request = v1.VerifyStockRequest(page_token=first.next_page_token)
    second = staged.inventory.VerifyStock(request)
    assert (second.reservation_count, list(second.violations)) == (1, [])


def test_tokens_of_another_list(shop: Shop) -> None:
    """A token of other products, of another method, or of nobody's: INVALID_FIELD at page_token."""
    shop.stocks(a=5, b=5)
    token = shop.inventory.VerifyStock(v1.VerifyStockRequest()).next_page_token
    other = shop.inventory.ListStock(v1.ListStockRequest(page_size=1)).next_page_token
    for request in (
        v1.VerifyStockRequest(product_ids=["a"], page_token=token),
        v1.VerifyStockRequest(page_token=other),
        v1.VerifyStockRequest(page_token="x"),
    ):
        with shop.refused("INVALID_FIELD") as refusal:
            shop.inventory.VerifyStock(request)
        assert refusal.fields == ["page_token"]


def test_statistics(staged: StagedShop) -> None:
    """What was decided, paid, declined and refused is counted: in all, by the second, by the batch's size."""
    staged.stock("a", 5)
    for order, word in (("paid", "accept"), ("declined", "decline")):
        staged.order(order, ("a", 1))
        call, visit = staged.pay_up_to_gateway(order, f"p-{order}", 100)
        getattr(visit, word)()
        call.result()
    with staged.refused("INSUFFICIENT_STOCK"):
        staged.reserve("r", ("a", 9))

    def counted() -> v1.GetServiceStatisticsResponse | None:
        read = staged.inventory.GetServiceStatistics(v1.GetServiceStatisticsRequest())
        seconds = sum(second.counts.batches for second in read.seconds)
        return read if seconds == read.totals.batches else None

    read = until(counted, "the second in which it happened is over")
    totals = read.totals
    assert (totals.orders_paid, totals.declined, totals.sold_out) == (1, 1, 1)
    assert totals.commands >= totals.batches >= 12
    assert (totals.conflicts, totals.retries, read.queue_length) == (0, 0, 0)
    assert len(read.seconds) == 60
    times = [second.start_time.seconds for second in read.seconds]
    assert times == list(range(times[0], times[0] + 60))
    assert sum(second.counts.orders_paid for second in read.seconds) == 1
    assert sum(size.batches for size in read.batch_sizes) == totals.batches
    assert read.start_time.seconds > 0
