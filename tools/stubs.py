"""Generate the Python stubs of protos/ into client/inventory_client/v1.

    python tools/stubs.py            writes them
    python tools/stubs.py --into DIR writes them elsewhere (the freshness test compares)

The protos' package is `inventory.v1`, but no package of ours may be called `inventory` in
site-packages, so the imports between the generated modules are rewritten; file names inside
the descriptors stay as they are, which is what reflection shows.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "client" / "inventory_client" / "v1"


def generate(into: Path) -> None:
    """Write the stubs and their types into a folder; files of other names stay."""
    scripts = Path(sys.executable).parent  # protoc finds the type plugins beside the interpreter
    with tempfile.TemporaryDirectory() as scratch:
        subprocess.run(
            [
                sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}",
                f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
                f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
                f"--python_out={scratch}", f"--grpc_python_out={scratch}",
                f"--mypy_out=quiet:{scratch}", f"--mypy_grpc_out=quiet:{scratch}",
                *sorted(str(p.relative_to(PROTOS)) for p in PROTOS.rglob("*.proto")),
            ],
            check=True,
            cwd=PROTOS,
        )  # fmt: skip
        into.mkdir(parents=True, exist_ok=True)
        for made in sorted((Path(scratch) / "inventory" / "v1").iterdir()):
            if made.name.endswith(("_pb2_grpc.py", "_pb2_grpc.pyi")) and "_service_" not in made.name:
                continue  # protos without a service still get an empty module
            text = re.sub(r"\binventory\.v1\b(?=( import|\.[a-z_]+_pb2))", "inventory_client.v1", made.read_text())
            (into / made.name).write_text(text)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Generate the Python stubs of protos/.")
    parser.add_argument("--into", type=Path, default=STUBS)
    target: Path = parser.parse_args().into
    if target == STUBS:
        for old in STUBS.glob("*_pb2*"):
            old.unlink()
    generate(target)
    print(f"stubs written to {target.relative_to(ROOT) if target.is_relative_to(ROOT) else target}")
