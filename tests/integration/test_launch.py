"""Children are waited for, read, stopped, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from inventory_server.launch import KEPT_LINES, LaunchError, start_process

UNTIL_STDIN = "import sys; sys.stdin.read()"


def python(program: str) -> list[str]:
    return [sys.executable, "-c", program]


def test_ready_line_gives_the_address() -> None:
    """The address is what the child says; what it says before doesn't matter."""
    with start_process(python(f"print('hello'); print('ready here:1', flush=True); {UNTIL_STDIN}")) as child:
        assert child.address == "here:1"


def test_output_never_blocks_the_child() -> None:
    """A child that writes a lot runs on, and its last lines are kept."""
    program = (
        "import sys; print('ready x', flush=True);"
        "[print('o' * 100) for _ in range(10_000)];"
        "[print('e', n, file=sys.stderr) for n in range(10_000)];"
        f"sys.stdout.flush(); {UNTIL_STDIN}"
    )
    with start_process(python(program)) as child:
        give_up_s = time.monotonic() + 60
        while child.last_errors[-1:] != ("e 9999",) and time.monotonic() < give_up_s:
            time.sleep(0.01)
        assert len(child.last_errors) == KEPT_LINES and child.last_errors[-1] == "e 9999"


def test_a_child_that_dies_is_one_line() -> None:
    """The last words of a child that ended before it was ready are the error."""
    with pytest.raises(LaunchError) as caught:
        start_process(python("import sys; print('first', file=sys.stderr); sys.exit('no such folder')"))
    assert str(caught.value).endswith(": no such folder")
    with pytest.raises(LaunchError, match="exit status 3"):
        start_process(python("import sys; sys.exit(3)"))


def test_a_program_that_is_not_there() -> None:
    """A program that can't be started is one line."""
    with pytest.raises(LaunchError, match=r"^/no/such/program: No such file"):
        start_process(["/no/such/program"])


def test_waiting_is_bounded() -> None:
    """A child that never gets ready is killed."""
    with pytest.raises(LaunchError, match=r"not ready after 0\.2 s"):
        start_process(python("import time; time.sleep(60)"), ready_timeout_s=0.2)


def test_stop_asks_first_and_kills_then() -> None:
    """SIGTERM, and SIGKILL for whoever doesn't hear it; the status is told, a second time too."""
    obeys = start_process(python(f"print('ready x', flush=True); {UNTIL_STDIN}"))
    assert obeys.stop() == -signal.SIGTERM
    deaf = start_process(
        python(
            f"import signal; signal.signal(15, signal.SIG_IGN); print('ready x', flush=True); {UNTIL_STDIN}"
        )
    )
    assert deaf.stop(timeout_s=0.2) == -signal.SIGKILL
    assert deaf.stop() == -signal.SIGKILL


def test_a_killed_parent_leaves_no_child() -> None:
    """A child's standard input ends with its parent, however that ends."""
    child = f"import os; print('ready', os.getpid(), flush=True); {UNTIL_STDIN}"
    parent = (
        "import sys, time; from inventory_server.launch import start_process;"
        f"p = start_process([sys.executable, '-c', {child!r}]); print(p.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen(python(parent), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pid = int(process.stdout.readline())
        process.kill()
    give_up_s = time.monotonic() + 60
    while time.monotonic() < give_up_s:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    pytest.fail(f"the child {pid} outlived its parent")
