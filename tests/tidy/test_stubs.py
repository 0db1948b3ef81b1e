"""The committed stubs are what the protos say, and the protos keep their style."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

from google.protobuf.message import Message

from inventory_client import v1

ROOT = Path(__file__).parents[2]
STUBS = ROOT / "client" / "inventory_client" / "v1"


def test_the_stubs_are_fresh(tmp_path: Path) -> None:
    """Generating the stubs again gives the committed files, and none besides: else `make stubs`."""
    subprocess.run([sys.executable, str(ROOT / "tools" / "stubs.py"), "--into", str(tmp_path)], check=True)

    made = {path.name: path.read_text() for path in tmp_path.iterdir()}
    committed = {path.name: path.read_text() for path in STUBS.iterdir() if path.is_file()}
    assert sorted(committed) == sorted(made), "run `make stubs`"
    stale = [name for name in made if made[name] != committed[name]]
    assert stale == [], "run `make stubs`"


def test_a_proto_that_is_gone_takes_its_stubs_along(tmp_path: Path) -> None:
    """The generator removes stubs of no proto, and nothing else."""
    (tmp_path / "shelf_pb2.py").touch()
    (tmp_path / "shelf_pb2.pyi").touch()
    (tmp_path / "notes.txt").touch()
    subprocess.run([sys.executable, str(ROOT / "tools" / "stubs.py"), "--into", str(tmp_path)], check=True)

    assert not list(tmp_path.glob("shelf*"))
    assert (tmp_path / "notes.txt").exists()


def test_the_package_gathers_every_message() -> None:
    """`v1` offers each message and enum of the protos, and what gRPC needs to call or to serve."""
    for path in STUBS.glob("*_pb2.py"):
        module = sys.modules[f"inventory_client.v1.{path.stem}"]
        for name in (*module.DESCRIPTOR.message_types_by_name, *module.DESCRIPTOR.enum_types_by_name):
            assert getattr(v1, name) is getattr(module, name)
        for service in module.DESCRIPTOR.services_by_name:
            assert all(hasattr(v1, f"{service}{kind}") for kind in ("Stub", "Servicer"))
            assert hasattr(v1, f"add_{service}Servicer_to_server")
    assert issubclass(v1.ReserveStockRequest, Message)


def test_the_base_admits_no_grpc_that_refuses_the_stubs() -> None:
    """At import the stubs check that gRPC is no older than their generator: no such one may be installed."""
    generated = re.search(
        r"GRPC_GENERATED_VERSION = '([0-9.]+)'", (STUBS / "inventory_service_pb2_grpc.py").read_text()
    )
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (lowest,) = [need for need in project["dependencies"] if need.startswith("grpcio>")]
    assert generated is not None
    assert f">={generated[1]}," in lowest


def test_the_base_admits_no_protobuf_that_refuses_the_stubs() -> None:
    """The same for protobuf: the runtime may be newer than the generator, never older."""
    generated = re.search(r"# Protobuf Python Version: ([0-9.]+)", (STUBS / "stock_pb2.py").read_text())
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (lowest,) = [need for need in project["dependencies"] if need.startswith("protobuf")]
    assert generated is not None
    assert f">={generated[1]}," in lowest


def test_the_protos_keep_their_style() -> None:
    """`buf lint` (STANDARD, COMMENTS) finds nothing."""
    buf = shutil.which("buf", path=str(Path(sys.executable).parent))
    assert buf is not None
    linted = subprocess.run([buf, "lint"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")
