"""Fault 35: whatever is called, something in it goes wrong that nobody foresaw."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import grpc
import pytest
from google.protobuf.descriptor import MethodDescriptor

from inventory_client.errors import decode_error
from inventory_server.rpc.status import INTERNAL_MESSAGE
from support.faults.place import WAIT_S, Place
from support.faults.promises import check
from support.polling import until
from support.requests import METHODS, minimal, raw_call_of

# What the server keeps in memory.
WITHOUT_TABLES = {"GetServiceStatistics"}


@pytest.mark.fault(35)
def test_every_method_on_tables_that_are_not_there(place: Place, tell: Callable[..., None]) -> None:
    """INTERNAL, a fixed text and an id that stands in the log: nothing of the inside, nothing is written."""
    methods = [method for method in METHODS if method.name not in WITHOUT_TABLES]
    with grpc.insecure_channel(place.server.address) as channel, tables_renamed(place):
        for method in methods:
            error_id = defect_of(channel, method)
            until(lambda: error_id in "".join(place.server.last_errors), f"{method.name} is logged", WAIT_S)  # noqa: B023
    tell(check(place) | {"methods": len(methods)})


@contextmanager
def tables_renamed(place: Place) -> Iterator[None]:
    """Let no statement find its table, which no rule and no SQLSTATE that is known can bring about."""
    tables = [row[0] for row in place.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
    # One by one: the jobs of the server go on reading, and who holds one lock at a time is in no deadlock.
    for name in tables:
        place.rows(f'ALTER TABLE "{name}" RENAME TO "not_{name}"')
    yield
    for name in tables:
        place.rows(f'ALTER TABLE "not_{name}" RENAME TO "{name}"')


def defect_of(channel: grpc.Channel, method: MethodDescriptor) -> str:
    """Call a method that goes wrong; return the id that its caller was told, and nothing else."""
    call = raw_call_of(channel, method)
    with pytest.raises(grpc.RpcError) as raised:
        call(minimal(method).SerializeToString())
    told = decode_error(raised.value)
    assert (told.code, told.reason_name, told.message) == (
        grpc.StatusCode.INTERNAL,
        "INTERNAL",
        INTERNAL_MESSAGE,
    ), method.name
    assert told.metadata.keys() == {"error_id"}
    return told.metadata["error_id"]
