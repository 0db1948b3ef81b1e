"""Write bench/bench.html, the page of the last full result, from bench/bench.json: `make docs`."""

from __future__ import annotations

import json
from pathlib import Path

from inventory_loadtest.bench.report import write_report

FOLDER = Path(__file__).resolve().parent.parent / "bench"

if __name__ == "__main__":
    write_report(json.loads((FOLDER / "bench.json").read_text(encoding="utf-8")), FOLDER / "bench.html")
