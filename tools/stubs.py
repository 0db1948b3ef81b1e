"""Generate the Python stubs of protos/ into client/inventory_client/v1.

    python tools/stubs.py            writes them, and removes those whose proto is gone
    python tools/stubs.py --into DIR writes them elsewhere (the freshness test compares)

The protos' package is `inventory.v1`, but no package of ours may be called `inventory` in
site-packages, so the imports between the generated modules are rewritten; file names inside
the descriptors stay as they are, which is what reflection shows.

`__init__.py` is made too: it gathers the messages, enums, stubs and servicers of all the
modules, so that a caller writes `v1.ReserveStockRequest` and need not know the file.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet

ROOT = Path(__file__).resolve().parent.parent
PROTOS = ROOT / "protos"
STUBS = ROOT / "client" / "inventory_client" / "v1"


def generate(into: Path) -> None:
    """Write the stubs and their types into a folder, made if absent; remove generated files of no proto.

    Raises: subprocess.CalledProcessError where protoc refuses a proto; nothing is written then.
    """
    with tempfile.TemporaryDirectory() as scratch:
        files = _protoc(Path(scratch))
        made = {"__init__.py": _gather(files)}
        for path in sorted((Path(scratch) / "inventory" / "v1").iterdir()):
            if "_pb2_grpc." in path.name and "_service_" not in path.name:
                continue  # protos without a service still get an empty module
            made[path.name] = re.sub(
                r"\binventory\.v1\b(?=( import|\.[a-z_]+_pb2))", "inventory_client.v1", path.read_text()
            )
    into.mkdir(parents=True, exist_ok=True)
    for name, text in made.items():
        (into / name).write_text(text)
    for old in into.glob("*_pb2*.py*"):
        if old.name not in made:
            old.unlink()


def _protoc(scratch: Path) -> list[FileDescriptorProto]:
    """Run protoc over every proto, into a folder; return the descriptors of the files, by name."""
    scripts = Path(sys.executable).parent  # protoc finds the type plugins beside the interpreter
    descriptors = scratch / "descriptors.binpb"
    subprocess.run(
        [
            sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTOS}",
            f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
            f"--python_out={scratch}", f"--grpc_python_out={scratch}",
            f"--mypy_out=quiet:{scratch}", f"--mypy_grpc_out=quiet:{scratch}",
            f"--descriptor_set_out={descriptors}",
            # protos/google is there for buf: its stubs come with googleapis-common-protos.
            *sorted(str(path.relative_to(PROTOS)) for path in (PROTOS / "inventory").rglob("*.proto")),
        ],
        check=True,
        cwd=PROTOS,
    )  # fmt: skip
    return sorted(FileDescriptorSet.FromString(descriptors.read_bytes()).file, key=lambda file: file.name)


def _gather(files: list[FileDescriptorProto]) -> str:
    """The text of `__init__.py`: each name once, `as` itself, which is how a typed package re-exports."""
    lines = ['"""Messages, enums, stubs and servicers of `inventory.v1`. Made by tools/stubs.py."""', ""]
    for file in files:
        module = f"inventory_client.v1.{Path(file.name).stem}_pb2"
        services = [service.name for service in file.service]
        names_by_module = {
            module: [kind.name for kind in (*file.message_type, *file.enum_type)],
            f"{module}_grpc": [
                name
                for service in services
                for name in (f"{service}Stub", f"{service}Servicer", f"add_{service}Servicer_to_server")
            ],
        }
        for origin, names in names_by_module.items():
            lines += [f"from {origin} import {name} as {name}" for name in sorted(names)]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Generate the Python stubs of protos/.")
    parser.add_argument("--into", type=Path, default=STUBS)
    target: Path = parser.parse_args().into
    generate(target)
    print(f"stubs written to {target.relative_to(ROOT) if target.is_relative_to(ROOT) else target}")
