"""Fault 11: the disk is full, for the tables or for the write-ahead log."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from inventory_client import v1
from inventory_server.db.embedded_account import account_of
from support.faults.calls import Caller
from support.faults.load import PRODUCTS, Load
from support.faults.place import WAIT_S, Place, placed
from support.faults.promises import check
from support.polling import until

Tell = Callable[..., None]
MEBIBYTE = 2**20


@pytest.fixture
def small_disk() -> Iterator[Path]:
    """A disk of 96 MiB that PostgreSQL's own user may write to; only root can make one."""
    folder = Path(tempfile.mkdtemp(prefix="inventory-disk-", dir="/tmp"))
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=96m", "tmpfs", folder],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if mounted.returncode:
        folder.rmdir()
        pytest.skip(f"a small disk can't be made here: {mounted.stderr.strip()}")
    try:
        folder.chmod(0o755)
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
        folder.rmdir()


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Take every block that is left."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(MEBIBYTE))
    with ballast.open("ab", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(512))
    try:
        yield
    finally:
        ballast.unlink()


@pytest.mark.fault(11)
def test_no_room_for_the_tables(small_disk: Path, chance: random.Random, tell: Tell) -> None:
    """53100: writes are UNAVAILABLE, none is told OK falsely, reads go on; all goes on when there is room."""
    with placed() as place:
        tables = small_disk / "tables"
        tables.mkdir(mode=0o700)
        account_of(place.folder / "data" / "postgresql").own(tables)
        with psycopg.connect(place.postgres.database_url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE TABLESPACE small LOCATION '{tables}'")
            connection.execute("ALTER DATABASE inventory SET TABLESPACE small")
        place.start_server()
        reader = Caller(lambda: place.server.address)
        with Load(lambda: place.server.address, chance) as load:
            with filled(small_disk):
                until(lambda: load.doubts["DATABASE_UNAVAILABLE"] >= 4, "writes are refused", WAIT_S)
                for product_id in PRODUCTS:
                    request = v1.GetStockRequest(product_id=product_id)
                    assert reader.try_once("GetStock", request, WAIT_S).stock.total
            load.goes_on()
        reader.close()
        tell(check(place, load))


@pytest.mark.fault(11)
def test_no_room_for_the_log(small_disk: Path, chance: random.Random, tell: Tell) -> None:
    """PostgreSQL gives up, and is started again when there is room: nothing acknowledged is lost."""
    with placed(postgres_settings={"max_wal_size": "32MB", "min_wal_size": "32MB"}) as place:
        place.postgres.stop()
        log = place.folder / "data" / "postgresql" / "pg_wal"
        shutil.copytree(log, small_disk / "pg_wal")
        _own_all(small_disk / "pg_wal", log)
        shutil.rmtree(log)
        log.symlink_to(small_disk / "pg_wal")
        place.start_postgres()
        place.start_server()
        with Load(lambda: place.server.address, chance) as load:
            with filled(small_disk):
                until(lambda: _next_segment_fails(place), "the log has no room", WAIT_S)
                load.wait_for_doubt()
            place.postgres.stop()
            place.start_postgres()
            load.goes_on()
        tell(check(place, load))
        place.server.stop()
        place.postgres.stop()


def _next_segment_fails(place: Place) -> bool:
    try:
        with psycopg.connect(place.postgres.url, autocommit=True) as connection:
            connection.execute("SELECT pg_logical_emit_message(false, 'fill', '')")
            connection.execute("SELECT pg_switch_wal()")
    except psycopg.Error:
        return True
    return False


def _own_all(copy: Path, original: Path) -> None:
    owner = original.stat()
    for path in [copy, *copy.rglob("*")]:
        os.chown(path, owner.st_uid, owner.st_gid)
