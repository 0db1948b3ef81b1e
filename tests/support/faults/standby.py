"""A standby of a place's PostgreSQL, and a PostgreSQL whose start nobody waits for."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import psycopg

from inventory_server.db import embedded
from inventory_server.db.embedded_account import Account, account_of, binaries, clean_environment
from support.faults.place import WAIT_S, Place
from support.polling import until


class BarePostgres:
    """A postmaster on a cluster that is there already. It ends with us, as the embedded one does.

    Args:
        cluster: PGDATA.
    """

    def __init__(self, cluster: Path, settings: Mapping[str, str]) -> None:
        self._cluster = cluster
        self._account = account_of(cluster)
        self.run_dir = Path(tempfile.mkdtemp(prefix="inventory-", dir="/tmp"))
        self._account.own(self.run_dir)
        every = {**embedded.SETTINGS, "unix_socket_directories": str(self.run_dir), **settings}
        with (cluster.parent / "bare.log").open("ab") as log:
            self._keeper = subprocess.Popen(
                self._account.command(
                    "/bin/sh", "-c", embedded._KEEPER, "keeper", "QUIT", self.run_dir,
                    binaries(self._account) / "postgres", "-D", cluster,
                    *(f"--{name}={value}" for name, value in every.items()),
                ),
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd="/", umask=0o077,
                env=clean_environment(), start_new_session=True,
            )  # fmt: skip

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/inventory?host={self.run_dir}"

    @property
    def pid(self) -> int:
        return int((self._cluster / "postmaster.pid").read_text().split()[0])

    def refusal(self) -> str:
        """Return what a connection is refused with; "" where it is let in."""
        try:
            psycopg.connect(self.url, connect_timeout=5).close()
        except psycopg.Error as error:
            return str(error)
        return ""

    def wait_until_open(self) -> None:
        until(lambda: not self.refusal(), "PostgreSQL lets us in", WAIT_S)

    def wait_until_refusing(self, words: str) -> None:
        until(lambda: words in self.refusal(), f"PostgreSQL refuses: {words}", WAIT_S)

    def stop(self) -> None:
        """End it at once, as `embedded.EmbeddedPostgres.stop` may be called again."""
        self.thaw()
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        self._keeper.wait(WAIT_S)
        shutil.rmtree(self.run_dir, ignore_errors=True)

    # --- a standby that hears nothing for a while --------------------------------------------------

    def freeze(self) -> None:
        """Stop every process of it, so that it takes nothing in and hears of nothing."""
        for pid in self._processes():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _processes(self) -> list[int]:
        with suppress(FileNotFoundError, ValueError, IndexError):
            postmaster = self.pid
            with suppress(FileNotFoundError):
                children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
                return [postmaster, *map(int, children)]
        return []


def standby_of(place: Place) -> BarePostgres:
    """Copy the place's PostgreSQL and follow it. From then on a COMMIT waits until the copy has it too."""
    primary = place.folder / "data" / "postgresql"
    account = account_of(primary)
    cluster = place.folder / "standby" / "postgresql"
    cluster.parent.mkdir(mode=0o755)
    account.own(cluster.parent)
    _run(
        account, "pg_basebackup", "--pgdata", cluster, "--host", place.postgres.run_dir,
        "--username", "postgres", "--checkpoint", "fast", "--write-recovery-conf", "--no-sync",
    )  # fmt: skip
    standby = BarePostgres(cluster, {"idle_in_transaction_session_timeout": "0"})
    standby.wait_until_open()
    place.rows("ALTER SYSTEM SET synchronous_standby_names = '*'")
    place.rows("SELECT pg_reload_conf()")
    follows = "SELECT FROM pg_stat_replication WHERE sync_state = 'sync' AND state = 'streaming'"
    until(lambda: place.rows(follows), "the standby follows in step", WAIT_S)
    return standby


def fail_over(place: Place, standby: BarePostgres) -> None:
    """Make the standby the place's PostgreSQL, whose own is gone."""
    with psycopg.connect(standby.url, autocommit=True) as connection:
        assert connection.execute("SELECT pg_promote(true, 60)").fetchone() == (True,)
    place.postgres = standby  # type: ignore[assignment]


def _run(account: Account, program: str, *arguments: str | Path) -> None:
    done = account.run(binaries(account) / program, *arguments)
    assert done.returncode == 0, done.stderr
