"""The committed stubs are what the protos say, and the protos keep their style."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
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


def buf(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    found = shutil.which("buf", path=str(Path(sys.executable).parent))
    assert found is not None
    return subprocess.run([found, *arguments], cwd=cwd, capture_output=True, text=True, check=False)


def test_the_protos_keep_their_style() -> None:
    """`buf lint` (STANDARD, COMMENTS) finds nothing."""
    linted = buf("lint")
    assert (linted.returncode, linted.stdout, linted.stderr) == (0, "", "")


def test_the_protos_break_no_released_client() -> None:
    """`buf breaking` (FILE) finds nothing against the protos as they were released."""
    compared = buf("breaking", "--against", ROOT / "protos" / "released.binpb")
    assert (compared.returncode, compared.stdout, compared.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        ("  string product_id = 1;\n", ""),
        ("  int64 requested = 3;\n", "  int32 requested = 3;\n"),
        ("  bool managed = 5;\n", "  bool managed = 6;\n"),
        ("  ERROR_REASON_STOCK_NOT_FOUND = 11;\n", ""),
        ("  int64 available = 4;\n", "  int64 available_count = 4;\n"),
    ],
)
def test_a_break_is_seen(tmp_path: Path, was: str, becomes: str) -> None:
    """A field, a number, a type, a name or a reason that is taken away or becomes another is a break."""
    shutil.copy(ROOT / "buf.yaml", tmp_path)
    shutil.copytree(ROOT / "protos", tmp_path / "protos")
    proto = tmp_path / "protos" / "inventory" / "v1" / "error.proto"
    text = proto.read_text()
    assert text.count(was) == 1
    proto.write_text(text.replace(was, becomes))

    compared = buf("breaking", "--against", "protos/released.binpb", cwd=tmp_path)
    assert compared.returncode == 100
    assert "inventory/v1/error.proto" in compared.stdout
