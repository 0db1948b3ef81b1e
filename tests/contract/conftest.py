"""Shops: a store of a test's own, on the shared server or on one whose gateway or times are the test's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import inventory_client
from inventory_server.db.embedded import EmbeddedPostgres
from support.database import Observer
from support.gateway import StagedGateway, serving
from support.interleavings import Together
from support.shop import Shop, StagedShop
from support.sites import Site, started


@pytest.fixture(scope="session")
def observer(database_url: str) -> Iterator[Observer]:
    seeing = Observer(database_url)
    yield seeing
    seeing.close()


@pytest.fixture
def shop(client: inventory_client.Client, store: str, observer: Observer) -> Shop:
    """A new store on the shared server, whose gateway is the simulator."""
    return Shop(client, store, observer)


@pytest.fixture(scope="session")
def staged_gateway() -> StagedGateway:
    return StagedGateway()


@pytest.fixture(scope="session")
def staged_site(postgres: EmbeddedPostgres, staged_gateway: StagedGateway) -> Iterator[Site]:
    """A server whose gateway answers when the test says so, and whose sweeper never comes by."""
    with (
        serving(staged_gateway) as address,
        started(
            postgres,
            payment_gateway=address,
            sweep_interval_s=3600,
            reconcile_interval_s=0.1,
            resolved_poll_interval_s=0.1,
        ) as site,
    ):
        yield site
        staged_gateway.let_go()


@pytest.fixture
def staged(staged_site: Site, staged_gateway: StagedGateway) -> Iterator[StagedShop]:
    """A new store on a server whose payments wait until the test answers them; no sweeper helps."""
    with staged_site.new_store() as (client, store):
        yield StagedShop(client, store, staged_site.observer, staged_gateway)


@pytest.fixture(params=["at once", "after a conflict"])
def together(staged: StagedShop, request: pytest.FixtureRequest) -> Together:
    return Together(staged, after_a_conflict=request.param == "after a conflict")


@pytest.fixture(scope="session")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The simulator's books of `hasty`."""
    return tmp_path_factory.mktemp("gateway") / "ledger.jsonl"


@pytest.fixture(scope="session")
def hasty_site(postgres: EmbeddedPostgres, ledger: Path) -> Iterator[Site]:
    with started(
        postgres,
        gateway_args=f"--latency-ms 5 --ledger {ledger}",
        gateway_timeout_s=0.5,
        reconcile_interval_s=0.1,
        call_timeout_s=0.4,
    ) as site:
        yield site


@pytest.fixture
def hasty(hasty_site: Site) -> Iterator[Shop]:
    """A new store on a server that waits for nobody: gateway 0.5 s, calls 0.4 s, reconciler always awake."""
    with hasty_site.shop() as shop:
        yield shop
