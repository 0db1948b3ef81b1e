"""The command line: exit statuses, and one line for whatever the operator can mend."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

import inventory_client
from inventory_client import v1
from inventory_server.launch import (
    INVENTORY_COMMAND,
    UNTIL_STDIN_CLOSES,
    LaunchedProcess,
    LaunchError,
    ephemeral_server,
    start_process,
)

NOBODY_LISTENS = "postgresql://shop:hunter2@127.0.0.1:1/shop"


def inventory(*args: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*INVENTORY_COMMAND, *args],
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refusal(run: subprocess.CompletedProcess[str], status: int) -> str:
    assert run.returncode == status, run.stderr
    assert run.stdout == ""
    assert run.stderr.count("\n") == 1 and run.stderr.startswith("inventory: "), run.stderr
    return run.stderr


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["serve", "--port", "many"], "port (INVENTORY_PORT)"),
        (["serve", "--port", "65536"], "port (INVENTORY_PORT)"),
        (["serve", "--host", "0.0.0.0"], "plaintext is served on the loopback"),
        (["serve", "--prot", "1"], "--prot"),
        (["serve", "--port"], "--port"),
        (["serve", "nonsense"], "nonsense"),
        (["serve", "--ephemeral", "--data-dir", "/tmp/x"], "ephemeral"),
        (["serve", "--payment-gateway", "nowhere"], "payment_gateway"),
        (["bench", "--entries", "-1"], "--entries"),
        (["bench", "--products", "-1"], "--products"),
        (["bench", "--changes", "-1"], "--changes"),
        (["bench", "--json", "/"], "/ can't be written"),
        (["migrate"], "--database-url"),
        (["store"], "Missing command"),
        (["store", "create"], "name"),
        (["store", "list"], "--database-url"),
    ],
)
def test_bad_options_are_one_line_and_status_2(args: list[str], said: str) -> None:
    """A bad option or setting is refused before anything starts."""
    assert said in refusal(inventory(*args), 2)


def test_bad_environment_is_one_line_and_status_2() -> None:
    """A bad variable of the environment is refused as a bad option is."""
    assert "call_timeout_s" in refusal(inventory("serve", INVENTORY_CALL_TIMEOUT_S="-1"), 2)


@pytest.mark.parametrize("args", [["migrate"], ["store", "create", "a"], ["store", "list"]])
def test_a_database_that_is_not_there(args: list[str]) -> None:
    """A database that can't be reached is one line and status 1, without the password."""
    assert "hunter2" not in refusal(inventory(*args, INVENTORY_DATABASE_URL=NOBODY_LISTENS), 1)


def test_migrate_and_stores(empty_database_url: str) -> None:
    """A new database is migrated once; a store is made once and listed."""
    first = inventory("migrate", "--database-url", empty_database_url)
    assert (first.returncode, first.stderr) == (0, "") and first.stdout.splitlines()
    again = inventory("migrate", "--database-url", empty_database_url)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    made = inventory("store", "create", "berlin", INVENTORY_DATABASE_URL=empty_database_url)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    twice = inventory("store", "create", "berlin", INVENTORY_DATABASE_URL=empty_database_url)
    assert "berlin" in refusal(twice, 1)
    listed = inventory("store", "list", INVENTORY_DATABASE_URL=empty_database_url)
    assert listed.stdout.splitlines() == ["berlin", "default"]


@pytest.mark.parametrize("name", ["", "two words", "x" * 129, "naïve", "line\nbreak"])
def test_bad_store_names_are_refused(empty_database_url: str, name: str) -> None:
    """A store's name has 1 to 128 visible ASCII characters."""
    refusal(inventory("store", "create", name, INVENTORY_DATABASE_URL=empty_database_url), 1)


def test_the_owners_url_is_taken_where_both_are_there(empty_database_url: str) -> None:
    """What changes the schema and makes stores does so as the owner; a URL on the command line wins."""
    owner = {"INVENTORY_OWNER_DATABASE_URL": empty_database_url}
    assert inventory("migrate", INVENTORY_DATABASE_URL=NOBODY_LISTENS, **owner).returncode == 0
    listed = inventory("store", "list", INVENTORY_DATABASE_URL=NOBODY_LISTENS, **owner)
    assert listed.stdout.split() == ["default"]
    nobody = {"INVENTORY_OWNER_DATABASE_URL": NOBODY_LISTENS}
    assert inventory("store", "list", "--database-url", empty_database_url, **nobody).stdout == listed.stdout


def test_folder_that_cannot_be_used() -> None:
    """A data folder that can't be made is one line and status 1."""
    run = inventory("serve", "--port", "0", "--data-dir", "/dev/null/data")
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1].startswith("inventory: data folder /dev/null/data: ")
    assert "Traceback" not in run.stderr


def test_serve_imports_nothing_of_the_race() -> None:
    """The server needs neither the load generator nor the plots."""
    program = (
        "import sys, inventory_server.cli, inventory_server.app;"
        "sys.exit(bool({'locust', 'gevent'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("option", ["--json", "--report", "--history"])
def test_an_output_that_cannot_be_written_is_told_before_the_race(option: str, tmp_path: Path) -> None:
    """One line that names it, at once, and the status is not that of a broken law."""
    run = inventory("race", option, str(tmp_path))
    assert run.returncode == 2 and run.stderr == f"inventory: {tmp_path} can't be written: Is a directory\n"
    assert run.stdout == ""


def test_sigterm_ends_a_server_with_status_0(database_url: str) -> None:
    """SIGTERM is the order to stop, and stopping in order is success."""
    argv = [*INVENTORY_COMMAND, "serve", "--port", "0", "--payment-gateway", "none", UNTIL_STDIN_CLOSES]
    started = start_process(argv, env={**os.environ, "INVENTORY_DATABASE_URL": database_url})
    with inventory_client.connect(started.address, timeout_s=60) as client:
        client.inventory.ListStock(v1.ListStockRequest())
    assert started.stop() == 0


def test_port_in_use_is_one_line(server: LaunchedProcess, database_url: str) -> None:
    """A port that another has is one line that names it, status 1."""
    port = server.address.rpartition(":")[2]
    run = inventory("serve", "--port", port, "--payment-gateway", "none", INVENTORY_DATABASE_URL=database_url)
    assert run.returncode == 1 and "Traceback" not in run.stderr
    assert port in run.stderr.splitlines()[-1]


def test_ephemeral_server_is_a_whole_one() -> None:
    """`ephemeral_server` gives an address that answers, with stock of nobody else, and takes payments."""
    with ephemeral_server() as address, inventory_client.connect(address, timeout_s=60) as client:
        product = f"p-{uuid.uuid4().hex}"
        client.inventory.CreateStock(v1.CreateStockRequest(product_id=product, quantity=3))
        listed = client.inventory.ListStock(v1.ListStockRequest()).stocks
        assert [stock.product_id for stock in listed] == [product]


def test_ephemeral_server_passes_bad_options_on() -> None:
    """What the server refuses is the launcher's error, in one line."""
    with (
        pytest.raises(LaunchError, match=r"^inventory serve: inventory: port \(INVENTORY_PORT\)"),
        ephemeral_server("--port", "x"),
    ):
        pass


@pytest.mark.parametrize("order", [signal.SIGTERM, signal.SIGINT])
def test_a_hint_for_people_follows_the_ready_line(database_url: str, order: signal.Signals) -> None:
    """Whoever starts a server by hand is shown a first call that works."""
    argv = [*INVENTORY_COMMAND, "serve", "--port", "0", "--payment-gateway", "none"]
    with subprocess.Popen(
        argv,
        env={**os.environ, "INVENTORY_DATABASE_URL": database_url},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready 127.0.0.1:")
        said = []
        while not (line := process.stdout.readline()).startswith("Ctrl-C"):
            said.append(line)
        hint = "".join(said).partition("<<'END'\n")[2].partition("  END")[0].replace("\n  ", "\n").strip()
        tried = subprocess.run([sys.executable, "-c", hint], capture_output=True, text=True, check=False)
        process.send_signal(order)
        assert process.wait(60) == 0
    assert tried.returncode == 0, tried.stderr
    assert "HELD" in tried.stdout
