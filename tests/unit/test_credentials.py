"""Credentials in memory: who is found, who is ended, and how much each may call."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from inventory_server.access import audit as audit_module
from inventory_server.access import directory as directory_module
from inventory_server.access.audit import LINES_MAX, REFUSALS_PER_S_MAX, Audit
from inventory_server.access.credential import TOKEN_PREFIX, Credential, Kind, new_token, token_hash
from inventory_server.access.directory import BURST_S, STALE_S, Caller, Directory, Limits
from inventory_server.access.errors import RateLimited, Unauthenticated
from inventory_server.access.role import Role
from inventory_server.cli import CREDENTIAL_DAYS_MAX, app
from inventory_server.jobs.credentials import USED_INTERVAL_S, CredentialWatch
from support.engine import eventually


def credential(number: int = 1, **given: Any) -> Credential:
    known = {"name": "shop", "kind": Kind.CERTIFICATE, "identity": f"shop-{number}", "role": Role.SELLER}
    return Credential(**{"credential_id": f"c{number}", **known, **given})


class Clock:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now_s = 1_000_000.0
        monkeypatch.setattr(directory_module.time, "monotonic", lambda: self.now_s)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


def found(directory: Directory, number: int = 1) -> Caller:
    return directory.find(Kind.CERTIFICATE, f"shop-{number}")


def test_a_token_is_chance_and_its_hash_is_kept() -> None:
    """256 bits of chance, told by their prefix; what is kept of them is their SHA-256."""
    tokens = {new_token() for _ in range(100)}
    assert len(tokens) == 100
    assert all(token.startswith(TOKEN_PREFIX) and len(token) == len(TOKEN_PREFIX) + 43 for token in tokens)
    assert token_hash("a") == "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb"


def test_who_is_not_known_any_more_is_ended() -> None:
    """Who was revoked, has expired, or may something else now: his streams end; who stays, goes on."""
    directory = Directory()
    directory.replace([credential(number) for number in (1, 2, 3, 4)])
    callers = {number: found(directory, number) for number in (1, 2, 3, 4)}
    ended: list[int] = []
    for number, caller in callers.items():
        ending: Callable[[], None] = lambda number=number: ended.append(number)  # type: ignore[misc] # noqa: E731
        caller.endings.add(ending)
    directory.replace(
        [credential(1), credential(2, role=Role.VIEWER), credential(3, expires_at=time.time() - 1)]
    )
    assert found(directory, 1) is callers[1] and not callers[1].is_ended
    assert found(directory, 2).credential.role is Role.VIEWER
    assert sorted(ended) == [2, 3, 4] and callers[4].is_ended
    for number in (3, 4):
        with pytest.raises(Unauthenticated):
            found(directory, number)


def test_who_expires_between_two_looks_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """An expiry waits for no reading."""
    directory = Directory()
    directory.replace([credential(expires_at=time.time() + 1_000)])
    found(directory)
    then = time.time() + 1_001
    monkeypatch.setattr(directory_module.time, "time", lambda: then)
    with pytest.raises(Unauthenticated):
        found(directory)


def test_nobody_is_let_in_by_what_is_old(clock: Clock) -> None:
    """A directory is stale until it was read, and again when that is so long ago."""
    directory = Directory()
    assert directory.is_stale
    directory.replace([])
    clock.now_s += STALE_S
    assert not directory.is_stale
    clock.now_s += 0.001
    assert directory.is_stale


def test_so_many_calls_a_second(clock: Clock) -> None:
    """A second's worth at once, then one for each share of a second; its own limit goes first."""
    for caller in (
        Caller(credential(), Limits(calls_per_s=10)),
        Caller(credential(calls_per_s_max=10), Limits(calls_per_s=1)),
    ):
        for _ in range(int(10 * BURST_S)):
            caller.enter()
        for _ in range(3):
            with pytest.raises(RateLimited):
                caller.enter()
            clock.now_s += 0.1
            caller.enter()
        clock.now_s += 3600
        for _ in range(10):
            caller.enter()
        with pytest.raises(RateLimited):
            caller.enter()


def test_a_call_a_second_can_be_made(clock: Clock) -> None:
    """The least limit lets the first call through."""
    caller = Caller(credential(calls_per_s_max=1), Limits())
    caller.enter()
    with pytest.raises(RateLimited):
        caller.enter()


def test_so_many_calls_at_once() -> None:
    """So many are inside, one more is refused, and counts for nothing; who leaves makes room."""
    for caller in (Caller(credential(), Limits(calls=2)), Caller(credential(calls_max=2), Limits())):
        caller.enter()
        caller.enter()
        with pytest.raises(RateLimited):
            caller.enter()
        caller.leave()
        caller.enter()
        assert caller.calls_inside == 2


async def test_refusals_are_told_so_often(monkeypatch: pytest.MonkeyPatch) -> None:
    """So many refusals of a second have their line; of the rest there is the number."""
    now_s = 7.0
    monkeypatch.setattr("inventory_server.access.audit.time.monotonic", lambda: now_s)
    told: list[str] = []
    audit = Audit(told.extend)
    for _ in range(REFUSALS_PER_S_MAX + 5):
        audit.refused("M", "ipv4:1", None, "UNAUTHENTICATED")
    now_s = 8.0
    audit.refused("M", "ipv4:1", None, "UNAUTHENTICATED")
    audit.close()
    lines = "".join(told).splitlines()
    assert len(lines) == REFUSALS_PER_S_MAX + 2
    assert '"untold_count": 5' in lines[-2]


@pytest.mark.parametrize(
    ("days", "said"),
    [(CREDENTIAL_DAYS_MAX, "name the database"), (CREDENTIAL_DAYS_MAX + 1, "less than or equal")],
)
def test_how_long_a_credential_may_count(days: int, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """So many days, and not one more."""
    with pytest.raises(SystemExit):
        app(["tokens", "create", "shop", "--role", "viewer", "--all-stores", "--days", str(days)])
    assert said in capsys.readouterr().err


async def test_lines_are_written_beside_the_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads slowly keeps no call waiting, until so many lines wait; none is lost."""
    assert LINES_MAX == 100_000
    monkeypatch.setattr(audit_module, "LINES_MAX", 3)
    told: list[str] = []
    begun, reading = threading.Event(), threading.Event()

    def slowly(lines: Sequence[str]) -> None:
        if not begun.is_set():
            begun.set()
            assert reading.wait(60)
        told.extend(lines)

    audit = Audit(slowly)

    def tell() -> None:
        audit.call("M", credential(), "default", "", [], "OK")

    tell()
    await asyncio.to_thread(begun.wait, 60)
    for _ in range(3):
        tell()
    assert told == []
    tell()
    assert len(told) == 3
    reading.set()
    await eventually(lambda: len(told) == 5, "all are written")


def test_pieces_are_whole_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is written at a time ends with a line, and fits into a pipe at once."""
    pieces: list[bytes] = []

    def write(_descriptor: int, piece: bytes) -> int:
        pieces.append(piece)
        return len(piece)

    monkeypatch.setattr(audit_module.os, "write", write)
    monkeypatch.setattr(audit_module.sys, "stderr", open(os.devnull, "w"))  # noqa: SIM115, PTH123
    lines = [f"{number} {'x' * (number % 300)}\n" for number in range(200)]
    audit_module._write(lines)
    audit_module.sys.stderr.close()
    assert b"".join(pieces).decode() == "".join(lines)
    assert all(piece.endswith(b"\n") and len(piece) <= 4_096 for piece in pieces) and len(pieces) > 1


class Book:
    def __init__(self) -> None:
        self.noted: list[list[str]] = []

    async def live(self, *, deadline_s: float) -> list[Credential]:
        return [credential(1), credential(2)]

    async def note_used(self, credential_ids: list[str]) -> None:
        self.noted.append(credential_ids)


async def test_who_was_used_is_noted_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once a minute those are noted who called since, and nobody where nobody did."""
    now_s = 1_000.0
    monkeypatch.setattr("inventory_server.jobs.credentials.time.monotonic", lambda: now_s)
    directory, book = Directory(), Book()
    watch = CredentialWatch(book, directory)  # type: ignore[arg-type]
    await watch.look()
    found(directory, 2)
    await watch.look()
    assert book.noted == []
    now_s += USED_INTERVAL_S
    await watch.look()
    now_s += USED_INTERVAL_S
    await watch.look()
    assert book.noted == [["c2"]]
