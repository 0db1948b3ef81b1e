"""Places to hurt. A test tells what it found by `tell`, which `make faults` writes down."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from support.faults.place import Place, placed


@pytest.fixture
def place() -> Iterator[Place]:
    """A PostgreSQL and a server without a gateway."""
    with placed() as made:
        made.start_server()
        yield made


@pytest.fixture
def place_without_server() -> Iterator[Place]:
    """A PostgreSQL on which nothing cleans up, so that nobody commits unasked; the test starts a server."""
    with placed(postgres_settings={"autovacuum": "off"}) as made:
        yield made


@pytest.fixture
def shop_place() -> Iterator[Place]:
    """A PostgreSQL, the gateway simulator, and a server that uses it."""
    with placed("simulator") as made:
        made.start_server()
        yield made


@pytest.fixture
def tell(request: pytest.FixtureRequest) -> Callable[[dict[str, object]], None]:
    """Give figures of a case to the page."""
    return lambda figures: request.node.user_properties.extend(figures.items())
