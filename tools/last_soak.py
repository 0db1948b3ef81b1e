"""Write the last soak into docs/robustness.md, from bench/soak.json: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path

from inventory_loadtest.soak.summary import HEADING, summary

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "robustness.md"
FIGURES = ROOT / "bench" / "soak.json"


def main() -> None:
    """Replace the section at the page's end."""
    before = PAGE.read_text().partition(HEADING)[0].rstrip()
    PAGE.write_text(f"{before}\n\n{summary(json.loads(FIGURES.read_text()))}")


if __name__ == "__main__":
    main()
