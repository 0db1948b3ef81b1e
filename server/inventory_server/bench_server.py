"""The server that `inventory bench` measures: the service as it is, and calls that do nothing beside it.

python -m inventory_server.bench_server: settings from the environment, as `inventory serve`.
"""

from __future__ import annotations

import sys

from inventory_server import app
from inventory_server.config import load_settings
from inventory_server.launch import stop_when_stdin_closes
from inventory_server.rpc.echo import add_echo

COMMAND = (sys.executable, "-m", "inventory_server.bench_server")


def main() -> int:
    """Serve until standard input closes. Returns: the exit status."""
    stop_when_stdin_closes()
    return app.run(load_settings({}), beside=add_echo, worker_command=COMMAND)


if __name__ == "__main__":
    sys.exit(main())
