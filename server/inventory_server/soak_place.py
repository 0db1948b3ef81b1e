"""Where things are hurt: a PostgreSQL behind a door, and servers on it, each a process of its own."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from inventory_server.db import embedded
from inventory_server.db.embedded_account import EmbeddedPostgresError
from inventory_server.db.migrate import migrate
from inventory_server.launch import (
    INVENTORY_COMMAND,
    UNTIL_STDIN_CLOSES,
    LaunchedProcess,
    reserved_address,
    start_process,
)

# Whatever else the machine does meanwhile: that a start takes long is none of the findings.
READY_TIMEOUT_S = 300.0


class Place:
    """Whoever makes it stops it, which ends whatever still runs.

    Args:
        folder: where PostgreSQL keeps its data; its own user can enter it.
        gateway: as the setting `payment_gateway`.
        settings: of every server, by their names.
        postgres_settings: server settings of PostgreSQL.
    Attributes:
        door: a link to the folder of the socket that PostgreSQL has now; servers know this way alone.
        servers: all that were started, the killed ones too.
    """

    def __init__(
        self,
        folder: Path,
        gateway: str,
        settings: Mapping[str, object],
        postgres_settings: Mapping[str, str],
    ) -> None:
        self.folder = folder
        self.gateway = gateway
        self.door = folder / "door"
        self._settings = settings
        self._postgres_settings = postgres_settings
        self.servers: list[LaunchedProcess] = []
        # The ports of servers that are dead: their callers must not come to somebody else's.
        self._ports = ExitStack()
        self.start_postgres()
        migrate(self.url)

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/inventory?host={self.door}"

    @property
    def server(self) -> LaunchedProcess:
        return self.servers[-1]

    @property
    def postgres_pid(self) -> int | None:
        """The postmaster's process id; None while it is down."""
        try:
            return self.postgres.pid
        except EmbeddedPostgresError:
            return None

    def start_postgres(self, *, opens: bool = True) -> None:
        """Start PostgreSQL on its folder. `opens`: whoever knocks at the door gets there."""
        self.postgres = embedded.start(self.folder / "data", self._postgres_settings)
        if opens:
            self.open_door()

    def open_door(self) -> None:
        self.door.unlink(missing_ok=True)
        self.door.symlink_to(self.postgres.run_dir)

    def close_door(self) -> None:
        """Nobody gets to PostgreSQL any more, whether it runs or not; who is inside stays."""
        self.door.unlink()

    def kill_postgres(self) -> None:
        """SIGKILL the postmaster; on return its children are gone too."""
        os.kill(self.postgres.pid, signal.SIGKILL)
        self.postgres.stop()

    def start_server(self, url: str = "", *, port: str = "", **settings: object) -> LaunchedProcess:
        """Start a server, or one more.

        Args:
            url: of the database, if not through the door.
            port: of a server that is dead; by default one that nobody had.
            settings: further ones, by their names.
        """
        port = port or self._ports.enter_context(reserved_address()).rpartition(":")[2]
        every = {
            "database_url": url or self.url, "payment_gateway": self.gateway, "reuse_port": True,
            **self._settings, **settings,
        }  # fmt: skip
        others = {name: value for name, value in os.environ.items() if not name.startswith("INVENTORY_")}
        env = others | {f"INVENTORY_{name.upper()}": str(value) for name, value in every.items()}
        argv = [*INVENTORY_COMMAND, "serve", "--port", port, UNTIL_STDIN_CLOSES]
        self.servers.append(start_process(argv, env=env, ready_timeout_s=READY_TIMEOUT_S))
        return self.server

    def kill_server(self) -> None:
        """SIGKILL the last server."""
        self.server.process.kill()
        assert self.server.stop() == -signal.SIGKILL

    def stop(self) -> None:
        for server in self.servers:
            server.stop()
        self._ports.close()
        self.postgres.stop()
