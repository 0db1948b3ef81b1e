"""Logs are JSON, one object a line, whatever is in them."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

PROGRAM = r"""
import logging, warnings, structlog
from inventory_server.observability import configure_logging

configure_logging({level!r})
log = structlog.get_logger()
log.debug("whisper")
log.info("stock.changed", product_id="a\nb\x1b[31m\x7f\u2028\x85", count=3, odd=object)
logging.getLogger("library").warning("of %s", "others\r\n")
warnings.warn("old", DeprecationWarning)
try:
    raise ValueError("bad\nnews")
except ValueError:
    log.exception("defect")
"""


def lines(level: str) -> list[dict[str, object]]:
    run = subprocess.run(
        [sys.executable, "-W", "always", "-c", PROGRAM.replace("{level!r}", repr(level))],
        capture_output=True,
        check=True,
    )
    assert run.stdout == b""
    assert not [byte for byte in run.stderr if (byte < 32 and byte != 10) or byte >= 127]
    return [json.loads(line) for line in run.stderr.decode().splitlines()]


def test_every_line_is_one_json_object() -> None:
    """Our events, the libraries' and Python's warnings have one shape; no value breaks a line."""
    ours, theirs, warning, defect = lines("info")
    for line in (ours, theirs, warning, defect):
        assert list(line)[:3] == ["timestamp", "level", "event"]
        assert str(line["timestamp"]).endswith("Z")
    assert ours["event"] == "stock.changed" and ours["count"] == 3
    assert ours["product_id"] == "a\nb\x1b[31m\\x7f\u2028\x85"
    assert theirs["logger"] == "library" and theirs["event"] == "of others\r\n"
    assert "old" in str(warning["event"])
    assert "ValueError: bad\nnews" in str(defect["exception"])


@pytest.mark.parametrize(("level", "count"), [("debug", 5), ("info", 4), ("warning", 3), ("error", 1)])
def test_level_is_the_lowest_that_is_written(level: str, count: int) -> None:
    """What is below the level isn't written."""
    assert len(lines(level)) == count
