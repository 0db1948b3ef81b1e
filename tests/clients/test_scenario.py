"""Programs in other languages, each built by its own tools, against the real server: see scenario.md."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from inventory_server.launch import LaunchedProcess

HERE = Path(__file__).parent
EXAMPLES = HERE.parents[1] / "client" / "examples"
VECTORS = json.loads((HERE / "vectors.json").read_text())

# A first build fetches and compiles all that it needs; a run waits for nothing but its own deadline.
BUILD_S = 1200.0
RUN_S = 120.0


class Language(NamedTuple):
    """How an example is made and run.

    Args:
        tools: the programs without which it can't be built.
        program: its command, in its folder, once it is built.
    """

    tools: tuple[str, ...]
    program: tuple[str, ...]


LANGUAGES = {
    "cpp": Language(("cmake", "g++", "pkg-config", "protoc", "grpc_cpp_plugin"), ("build/scenario",)),
    "go": Language(("go",), ("build/scenario",)),
    "java": Language(("javac", "mvn", "grpc_java_plugin"), ("java", "-jar", "target/scenario.jar")),
    "rust": Language(("cargo", "protoc"), ("target/debug/scenario",)),
    "typescript": Language(("node", "npm"), ("node", "build/main.js")),
}


def run(command: tuple[str, ...], folder: Path, within_s: float) -> str:
    """Run a command to its end; return what it printed. It and all that it started end with the time."""
    process = subprocess.Popen(
        command,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        output, errors = process.communicate(timeout=within_s)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    assert process.returncode == 0, output + errors
    return output


def test_there_is_a_test_for_every_example() -> None:
    """Each folder of examples in another language is built and run."""
    assert sorted(LANGUAGES) == sorted(path.parent.name for path in EXAMPLES.glob("*/Makefile"))


def test_the_scenario_tells_every_step() -> None:
    """scenario.md has a row for each line that the vectors hold, in their order."""
    rows = re.findall(r"^\| `(\w+)`", (HERE / "scenario.md").read_text(), re.MULTILINE)
    assert rows == [told["step"] for told in VECTORS]


@pytest.mark.parametrize("name", LANGUAGES)
def test_a_client_in_another_language(
    name: str, server: LaunchedProcess, store: str, request: pytest.FixtureRequest
) -> None:
    """With generated stubs alone it does the whole scenario, and sees what the vectors say."""
    language = LANGUAGES[name]
    missing = [tool for tool in (*language.tools, "make") if shutil.which(tool) is None]
    if missing and request.config.option.clients != "all":
        pytest.skip(f"not on this machine: {', '.join(missing)}")
    buf = Path(sys.executable).parent / "buf"
    run(("make", "build", f"BUF={buf}"), EXAMPLES / name, BUILD_S)

    printed = run((*language.program, server.address, store), EXAMPLES / name, RUN_S)
    assert [json.loads(line) for line in printed.splitlines()] == VECTORS
