"""What a call gets before it is sent: deadline, store, request id."""

from __future__ import annotations

import math
import time
import uuid

import pytest

import inventory_client
from inventory_client import v1
from inventory_client.calls import CallDefaults, new_id, with_request_id


def test_an_id_is_a_uuid_that_sorts_by_time() -> None:
    """new_id() is a UUIDv7 of RFC 9562: version, variant, and the milliseconds first."""
    before_ms = time.time_ns() // 1_000_000
    made = [uuid.UUID(new_id()) for _ in range(1_000)]
    after_ms = time.time_ns() // 1_000_000

    assert len(set(made)) == 1_000
    assert {(one.version, one.variant) for one in made} == {(7, uuid.RFC_4122)}
    assert all(before_ms <= one.int >> 80 <= after_ms for one in made)


def test_an_empty_request_id_is_filled_in_a_copy() -> None:
    """The caller's message stays as it is, so that using it twice makes two calls, not a repeat."""
    request = v1.CreateStockTransactionRequest(product_id="tea", quantity=3)
    sent = [with_request_id(request) for _ in range(2)]

    assert request.request_id == ""
    assert sent[0].request_id != sent[1].request_id
    assert all(uuid.UUID(one.request_id).version == 7 for one in sent)
    assert all((one.product_id, one.quantity) == ("tea", 3) for one in sent)


def test_a_request_id_of_the_callers_own_is_kept() -> None:
    """A caller that names its call is not overruled, and pays for no copy."""
    request = v1.CancelOrderRequest(order_id="o", request_id="mine")
    assert with_request_id(request) is request
    assert request.request_id == "mine"


def test_a_message_without_the_field_is_sent_as_it_is() -> None:
    """Reads, and requests that bear an id of their own, have no request_id."""
    for request in (v1.GetStockRequest(product_id="tea"), v1.ReserveStockRequest(reservation_id="r")):
        assert with_request_id(request) is request


def test_the_clients_deadline_stands_in_for_none() -> None:
    """A call's own timeout wins, even one of 0."""
    defaults = CallDefaults(store=None, timeout_s=5.0)
    assert defaults.timeout(None) == 5.0
    assert defaults.timeout(0.25) == 0.25
    assert defaults.timeout(0) == 0


def test_the_store_is_added_to_the_metadata() -> None:
    """The store goes after the call's own metadata, unless the call names one; without a store, nothing."""
    defaults = CallDefaults(store="north", timeout_s=5.0)
    mine = (("x-trace", "1"),)

    assert defaults.metadata(None) == [("x-inventory-store", "north")]
    assert defaults.metadata(mine) == [("x-trace", "1"), ("x-inventory-store", "north")]
    assert defaults.metadata([("x-inventory-store", "south")]) == [("x-inventory-store", "south")]
    assert CallDefaults(store=None, timeout_s=5.0).metadata(mine) == [("x-trace", "1")]
    assert mine == (("x-trace", "1"),)


@pytest.mark.parametrize("store", ["", "a" * 129, "two words", "ümlaut", "new\nline", "nul\x00"])
def test_a_store_out_of_range_is_refused_at_once(store: str) -> None:
    """connect() says so, instead of every call."""
    with pytest.raises(ValueError, match="store must be"):
        inventory_client.connect("127.0.0.1:1", store=store)


def test_a_store_at_its_limit() -> None:
    """128 visible characters are a store's name, one more is not (above)."""
    assert CallDefaults(store="!" + "~" * 127, timeout_s=1).store == "!" + "~" * 127


@pytest.mark.parametrize("timeout_s", [0, -1.0, math.nan])
def test_a_default_deadline_out_of_range_is_refused_at_once(timeout_s: float) -> None:
    """A client whose every call is late before it starts is a mistake."""
    with pytest.raises(ValueError, match="timeout_s must be above 0"):
        inventory_client.connect("127.0.0.1:1", timeout_s=timeout_s)
