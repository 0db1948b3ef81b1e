"""docs/clients.md says what our own client does, and what each example pins."""

from __future__ import annotations

import json
import re
from pathlib import Path

from inventory_client.client import SERVICE_CONFIG

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "clients.md").read_text()


def test_the_service_config_is_ours() -> None:
    """The service config of the page is the one that inventory_client gives its channels."""
    (shown,) = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert json.loads(shown) == SERVICE_CONFIG


def test_every_example_is_on_the_page() -> None:
    """Each example has its row, and the versions there are those that its build file pins."""
    rows = dict(re.findall(r"^\| .*\(\.\./client/examples/(\w+)/README\.md\)(.*)", PAGE, re.MULTILINE))
    folders = {path.parent.name: path.parent for path in (ROOT / "client" / "examples").glob("*/Makefile")}
    assert sorted(rows) == sorted(folders)
    for name, row in rows.items():
        pinned = re.findall(r"`([\w.-]+)`", row)[0]
        text = (folders[name] / pinned).read_text()
        versions = re.findall(r"\d+\.\d+\.\d+", row)
        assert versions and [version for version in versions if version not in text] == [], name
